/* patch.h - square pieces of the images of a set, to train super-resolution with: which one, and what it
 * looks like shrunk. Nothing is prepared for whole images, so a set costs no more memory than its bytes. */
#ifndef WORKER_DATA_PATCH_H
#define WORKER_DATA_PATCH_H

#include "base/rng.h"
#include "worker/data/imageset.h"
#include "worker/real.h"

#define PATCH_DRAWS 2 /* numbers that patch_pick takes */

/* Where patches can lie. Images are taken as cropped at the top left to a multiple of scale; those smaller
 * than a patch are left out. */
struct patches {
    const struct imageset_split *set;
    int size, scale; /* side in pixels of the truth, a multiple of scale */
    int64_t *before; /* owned: [set->count + 1] positions in the images before; the last is all of them */
};

/* ERR_INVALID when size is no positive multiple of scale or no image is large enough. */
int patches_new(const struct imageset_split *set, int size, int scale, struct patches *p, struct err *e);
void patches_free(struct patches *p);

struct patch {
    int64_t image; /* index in the set */
    int top, left; /* multiples of scale */
    int turn;      /* 0..7: bit 0 mirrored left to right, then bits 1 and 2 quarter turns */
};

/* Every position in the whole set is equally likely, so large images give more patches. With
 * r = rng_at(seed, a stream of the epoch, PATCH_DRAWS * index) a function of (seed, epoch, index). turn:
 * whether to mirror and rotate at random. */
struct patch patch_pick(const struct patches *p, bool turn, struct rng r);

/* What the network sees of a patch and what it should answer, as values of 0..1:
 *
 *     luma, enlarged   Y shrunk and enlarged again, never rounded, mirrored edges: SRCNN, VDSR
 *     luma, small      Y shrunk, never rounded, mirrored edges
 *     RGB, enlarged    as luma, each colour by itself
 *     RGB, small       the bytes of the benchmarks' low-resolution files (bicubic_shrink): SRResNet, EDSR
 *
 * Pixels around the patch are used where there are any: the result is the same, up to rounding of doubles, as
 * that of treating the whole image and cutting the patch out of it. */
struct patch_maker; /* tables and buffers for one thread */

int patch_maker_new(int size, int scale, bool rgb, bool enlarged, struct patch_maker **m, struct err *e);
void patch_maker_free(struct patch_maker *m); /* NULL is fine */

/* Lane `lane` of input [C][n][n][LANES] (n = size, or size/scale when small) and truth
 * [C][size][size][LANES], C = 1 or 3. `image` is the one that the patch lies in. Allocates nothing. */
void patch_make(struct patch_maker *m, const struct image *image, const struct patch *at, real *input,
                real *truth, int lane);

#endif
