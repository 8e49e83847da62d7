/* window.h - the sliding window of convolutions and pools: kernel, stride, dilation, padding, output size. */
#ifndef WORKER_OP_WINDOW_H
#define WORKER_OP_WINDOW_H

#include "worker/kernels/element.h"
#include "worker/op/op.h"

struct window {
    int C, H, W, OH, OW, KH, KW;
    int stride_h, stride_w, dilation_h, dilation_w;
    int top, left, bottom, right;
};

/* From the attributes strides, dilations, pads, auto_pad, ceil_mode, and kernel_shape when KH is 0 on entry
 * (else it must agree). C, H and W of the input are given by the sample's shape. */
int window_setup(const struct node *n, const struct shape *sample, struct window *w, struct err *e);

/* The window of a pool: one input, kernel_shape and no attributes but those `known` (NULL-terminated). */
int window_setup_pool(const struct graph *g, const struct node *n, const char *const *known, struct window *w,
                      struct err *e);

/* The window of a global pool: the whole image. Checks that the node has one input and no attributes. */
int window_setup_global(const struct graph *g, const struct node *n, struct window *w, struct err *e);

/* One direction of one window: where it begins (maybe in the padding), its taps [lo, hi) that lie inside the
 * image, and how many lie inside the padded image. */
struct span {
    int at, lo, hi, padded;
};

struct span window_rows(const struct window *w, int oh);
struct span window_columns(const struct window *w, int ow);

/* Windows side by side in one output row that have the same taps. */
struct window_run {
    struct span v, h; /* of the first */
    int pixels;       /* how many */
    ptrdiff_t corner; /* offset of the first's first tap in one channel's image, in numbers */
    ptrdiff_t step;   /* from one to the next */
    struct taps taps;
};
struct window_run window_run(const struct window *w, int oh, int ow);

#endif
