/* augment.h - small changes to one sample that leave its class as it was, made in its lane. The random
 * numbers come in: with r = rng_at(seed, a stream of the epoch, AUGMENT_DRAWS * sample) a change is a
 * function of (seed, epoch, sample), whatever thread makes it; two changes in a row go on drawing from the
 * same r. */
#ifndef WORKER_DATA_AUGMENT_H
#define WORKER_DATA_AUGMENT_H

#include "base/rng.h"
#include "worker/data/dataset.h"
#include "worker/real.h"

#include <stdbool.h>

#define AUGMENT_DRAWS 8 /* more numbers than all changes to one sample together draw */

/* One lane of a block, with values as dataset_put leaves them. */
struct augment_sample {
    real *x; /* [channels*height*width][LANES]; features are CHW, or HWC when nhwc */
    int lane;
    int channels, height, width;
    bool nhwc;
    real black[4]; /* the value of a black pixel, per channel */
};

struct augment_sample augment_sample(const struct dataset *d, bool nhwc, real *x, int lane);

/* Move by up to reach pixels along each axis, every distance equally likely, rows first. What comes in from
 * outside is black. Two draws. */
void augment_shift(const struct augment_sample *s, int reach, struct rng *r);

/* Pad with `pad` black pixels on all sides, cut out a window of the old size anywhere, mirror it left to
 * right half of the time (He et al., "Deep residual learning", CVPR 2016, section 4.2: pad 4). Three draws.
 */
void augment_crop_flip(const struct augment_sample *s, int pad, struct rng *r);

/* A black square of `side` pixels, its centre anywhere in the image, cut off at the borders (DeVries and
 * Taylor, "Improved regularization of convolutional neural networks with cutout", 2017). Two draws. */
void augment_cutout(const struct augment_sample *s, int side, struct rng *r);

int augment_cutout_side(int height, int width); /* the default: a quarter of the shorter side, at least 1 */

#endif
