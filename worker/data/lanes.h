/* lanes.h - sixteen samples side by side: from bytes to numbers, from one image after the other to one pixel
 * of all of them after the other. */
#ifndef WORKER_DATA_LANES_H
#define WORKER_DATA_LANES_H

#include "worker/data/augment.h"
#include "worker/data/dataset.h"
#include "worker/real.h"

/* What each byte of each channel is as a number: (pixel/255 - mean) / std. */
struct lanes_table {
    real number[4][256];
};
void lanes_table(const struct dataset *d, struct lanes_table *t);

struct lane {
    const uint8_t *pixel; /* [C][H][W] of the data set */
    struct augment change;
};

/* count samples, 1..LANES, into one block x [features][LANES]; the other lanes become zero. Features are CHW,
 * or HWC when nhwc. */
void lanes_put(const struct dataset *d, const struct lanes_table *t, const struct lane *lane, int count,
               bool nhwc, real *x);

#endif
