/* color.h - luma and chroma as super-resolution papers use them: ITU-R BT.601 with studio swing,
 *
 *     Y  =  16 + ( 65.481 R + 128.553 G +  24.966 B) / 255        16 .. 235 for R, G, B in 0 .. 255
 *     Cb = 128 + (-37.797 R -  74.203 G + 112.0   B) / 255        16 .. 240
 *     Cr = 128 + (112.0   R -  93.786 G -  18.214 B) / 255        16 .. 240
 *
 * in double, never rounded. */
#ifndef WORKER_IMAGE_COLOR_H
#define WORKER_IMAGE_COLOR_H

#include "worker/image/image.h"

/* Luma of an image, a new plane. A gray image counts as R = G = B. */
int color_luma(const struct image *image, struct plane *y, struct err *e);

/* Luma of n pixels [n][channels] into y[n]. */
void color_luma_row(const uint8_t *pixel, int channels, int n, double *y);

/* Y, Cb, Cr, three new planes; nothing to free on an error. */
int color_split(const struct image *image, struct plane ycc[3], struct err *e);

/* Back to bytes: three planes of the same size to an RGB image, rounded half up and clipped to 0 .. 255. */
int color_join(const struct plane ycc[3], struct image *image, struct err *e);

/* One channel as it is. */
int color_channel(const struct image *image, int channel, struct plane *plane, struct err *e);

/* Rounded half up, clipped to 0 .. 255; the planes (1 or 3, same size) become the channels of a new image. */
int color_bytes(const struct plane *planes, int channels, struct image *image, struct err *e);

#endif
