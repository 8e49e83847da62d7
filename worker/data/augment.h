/* augment.h - small changes to one sample that leave its class as it was. A change is numbers only: where
 * each pixel of the changed image comes from. Whoever lays the sample out asks for it row by row, so the
 * sample itself is neither copied nor changed.
 *
 * The random numbers come in: with r = rng_at(seed, a stream of the epoch, AUGMENT_DRAWS * sample) a change
 * is a function of (seed, epoch, sample), whatever thread makes it; two changes in a row go on drawing from
 * the same r. */
#ifndef WORKER_DATA_AUGMENT_H
#define WORKER_DATA_AUGMENT_H

#include "base/rng.h"

#include <stdbool.h>
#include <stdint.h>

#define AUGMENT_DRAWS        8  /* more numbers than all changes to one sample together draw, */
#define AUGMENT_DEFORM_DRAWS 32 /* but for this one */

/* A displacement that swings once over the side of the image: height * w(t + phase), t from 0 to 1. */
struct augment_wave {
    float height, phase;
};

/* All zero: the sample as it is. First moved, then mirrored, then covered; or deformed, and nothing else. */
struct augment {
    int dy, dx;          /* moved down and to the right by so many pixels */
    bool mirror;         /* left to right */
    int top, left, side; /* a black square, cut off at the borders; side 0: none */
    bool deformed;       /* pixel (y, x) comes from row[0] y + row[1] x + row[2] + wave of x, */
    float row[3], column[3];
    struct augment_wave down, across; /* and column[0] y + column[1] x + column[2] + wave of y */
};

/* Move by up to reach pixels along each axis, every distance equally likely, rows first. What comes in from
 * outside is black. Two draws. */
void augment_shift(struct augment *a, int reach, struct rng *r);

/* Pad with `pad` black pixels on all sides, cut out a window of the old size anywhere, mirror it left to
 * right half of the time (He et al., "Deep residual learning", CVPR 2016, section 4.2: pad 4). Three draws.
 */
void augment_crop_flip(struct augment *a, int pad, struct rng *r);

/* A black square of `side` pixels, its centre anywhere in the image, cut off at the borders (DeVries and
 * Taylor, "Improved regularization of convolutional neural networks with cutout", 2017). Two draws. */
void augment_cutout(struct augment *a, int height, int width, int side, struct rng *r);

/* As by another hand: turned by up to 8 degrees, each axis scaled by up to 7 %, slanted by up to 0.1, moved
 * by up to 1.2 pixels of 28, waves of up to 0.8; all uniform, all about the middle. Three samples in ten stay
 * as they are. Between pixels values are linear, outside black. Fewer than AUGMENT_DEFORM_DRAWS draws. */
void augment_deform(struct augment *a, int height, int width, struct rng *r);

int augment_cutout_side(int height, int width); /* the default: a quarter of the shorter side, at least 1 */

/* Pixels [from, from + count) of row y of one changed channel, from its plane [height][width] of bytes; black
 * is 0. */
void augment_row(const struct augment *a, const uint8_t *plane, int height, int width, int y, int from,
                 int count, uint8_t *row);

#endif
