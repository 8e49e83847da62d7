/* conv_case.h - convolutions as rows of a table of test cases. */
#ifndef TESTS_UNIT_CONV_CASE_H
#define TESTS_UNIT_CONV_CASE_H

#include "worker/kernels/kernels.h"

struct conv_case {
    const char *name;
    int C, H, W, O, KH, KW, stride_h, stride_w, dilation_h, dilation_w, top, left, bottom, right, groups,
        blocks;
};

static inline struct conv conv_of(const struct conv_case *k)
{
    struct conv c = { k->C,        k->H,        k->W,          k->O,
                      0,           0,           k->KH,         k->KW,
                      k->stride_h, k->stride_w, k->dilation_h, k->dilation_w,
                      k->top,      k->left,     k->bottom,     k->right,
                      k->groups,   false };
    c.OH = (k->H + k->top + k->bottom - (k->KH - 1) * k->dilation_h - 1) / k->stride_h + 1;
    c.OW = (k->W + k->left + k->right - (k->KW - 1) * k->dilation_w - 1) / k->stride_w + 1;
    return c;
}

#endif
