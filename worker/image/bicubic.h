/* bicubic.h - the bicubic scaler that super-resolution is measured with.
 *
 * Cubic convolution (Keys, "Cubic convolution interpolation for digital image processing", IEEE ASSP 1981,
 * eq. 15) with a = -1/2. Shrinking by f stretches the kernel by f; the weights of a pixel are normalised to
 * sum
 * 1. Output pixel x = 0, 1, ... lies at source coordinate (x + 1/2) f - 1/2, f = source / target size, in
 * each axis by itself. The vertical pass comes first.
 *
 * Two rules for taps outside the image: CLAMP repeats the edge pixel (the scaler that made the benchmarks'
 * 8-bit inputs); MIRROR reflects, edge pixel included (the one that published figures use for planes). */
#ifndef WORKER_IMAGE_BICUBIC_H
#define WORKER_IMAGE_BICUBIC_H

#include "worker/image/image.h"

enum bicubic_edge { BICUBIC_CLAMP, BICUBIC_MIRROR };

/* Tables from one size to another, made once and used for any number of planes by one thread. */
struct bicubic;

int bicubic_new(int from_width, int from_height, int to_width, int to_height, enum bicubic_edge edge,
                struct bicubic **b, struct err *e);
void bicubic_free(struct bicubic *b); /* NULL is fine */

/* from [from_height][from_width], to [to_height][to_width], not overlapping; nothing is rounded. */
void bicubic_run(struct bicubic *b, const double *from, double *to);

/* The same with each pass rounded half up and clipped to 0 .. 255. */
void bicubic_run_bytes(struct bicubic *b, const double *from, double *to);

/* The same for one plane and one image, into a new one. Image: each pass is rounded half up and clipped to
 * 0 .. 255, so the bytes between the passes are bytes. */
int bicubic_plane(const struct plane *from, int width, int height, enum bicubic_edge edge, struct plane *to,
                  struct err *e);
int bicubic_image(const struct image *from, int width, int height, enum bicubic_edge edge, struct image *to,
                  struct err *e);

/* The benchmarks' low-resolution input, bit for bit: `from` cropped at the top left to a multiple of scale,
 * then bicubic_image with CLAMP. ERR_INVALID when no pixel would be left. */
int bicubic_shrink(const struct image *from, int scale, struct image *to, struct err *e);

/* The bicubic baseline of a truth plane whose sides are multiples of scale: shrunk and enlarged again with
 * MIRROR, never rounded. small may be NULL. */
int bicubic_baseline(const struct plane *truth, int scale, struct plane *small, struct plane *enlarged,
                     struct err *e);

#endif
