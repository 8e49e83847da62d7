/* quality.h - how like two images are: PSNR and SSIM, and the protocol that such a figure means nothing
 * without.
 */
#ifndef WORKER_IMAGE_QUALITY_H
#define WORKER_IMAGE_QUALITY_H

#include "worker/image/image.h"

#define QUALITY_TEXT 200

enum quality_channel { QUALITY_LUMA, QUALITY_RGB };

/* What is compared with what. It is plain data: put it into results by quality_text. */
struct quality {
    enum quality_channel channel; /* for the text; the planes handed over must be these */
    int shave;                    /* pixels ignored along every border */
    bool clip, round;             /* the estimate, to 0..255 and half up to integers, before comparing */
};

/* "Y = 16 + (65.481 R + 128.553 G + 24.966 B)/255, peak 255, 2 pixels shaved off every border, estimate
 * clipped to 0..255 and rounded" */
void quality_text(const struct quality *q, char out[QUALITY_TEXT]);

/* 10 log10(255^2 / MSE), in dB, the error being the mean over all `planes` planes together; INFINITY when
 * they are equal. ERR_INVALID for different sizes, or when nothing is left after shaving. */
int quality_psnr(const struct plane *truth, const struct plane *estimate, int planes, const struct quality *q,
                 double *db, struct err *e);

/* Mean structural similarity, 1 when equal (Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from
 * error visibility to structural similarity", IEEE TIP 2004, eq. 13): 11x11 Gaussian window of deviation 1.5,
 * K1 = 0.01, K2 = 0.03, L = 255, windows that lie wholly inside; the mean over the planes. ERR_INVALID as
 * above, and when fewer than 11 pixels a side are left. */
int quality_ssim(const struct plane *truth, const struct plane *estimate, int planes, const struct quality *q,
                 double *ssim, struct err *e);

#endif
