/* window.h - the sliding window of convolutions and pools: kernel, strides, dilations, padding, output size. */
#ifndef WORKER_OP_WINDOW_H
#define WORKER_OP_WINDOW_H

#include "worker/op/op.h"

struct window {
    int C, H, W, OH, OW, KH, KW;
    int stride_h, stride_w, dilation_h, dilation_w;
    int top, left, bottom, right;
};

/* From the attributes strides, dilations, pads, auto_pad, ceil_mode, and kernel_shape when KH is 0 on entry (else it
 * must agree). C, H and W of the input are given by the sample's shape. */
int window_setup(const struct node *n, const struct shape *sample, struct window *w, struct err *e);

#endif
