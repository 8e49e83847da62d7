#include "worker/data/lanes.h"

#include <string.h>

enum { SPAN = 64 }; /* pixels of a row at a time: sixteen of them stay in the first cache */

void lanes_table(const struct dataset *d, struct lanes_table *t)
{
    for (int c = 0; c < d->channels; c++)
        for (int i = 0; i < 256; i++)
            t->number[c][i] = ((real)i / 255 - d->mean[c]) / d->stddev[c];
}

/* One span of one row of all samples, [lane][SPAN] to [pixel][LANES], `step` numbers from pixel to pixel. */
static void transpose(const uint8_t span[LANES][SPAN], const real *number, int pixels, int samples, real *x,
                      size_t step)
{
    if (samples < LANES)
        for (int i = 0; i < pixels; i++) {
            memset(x + i * step, 0, LANES * sizeof *x);
            for (int lane = 0; lane < samples; lane++)
                x[i * step + lane] = number[span[lane][i]];
        }
    else
        for (int i = 0; i < pixels; i++)
            for (int lane = 0; lane < LANES; lane++)
                x[i * step + lane] = number[span[lane][i]];
}

void lanes_put(const struct dataset *d, const struct lanes_table *t, const struct lane *lane, int count,
               bool nhwc, real *x)
{
    const size_t plane = (size_t)d->height * d->width;
    const size_t channel = (nhwc ? 1 : plane) * LANES, step = (nhwc ? (size_t)d->channels : 1) * LANES;
    uint8_t span[LANES][SPAN];

    for (int c = 0; c < d->channels; c++)
        for (int y = 0; y < d->height; y++)
            for (int from = 0; from < d->width; from += SPAN) {
                const int pixels = d->width - from < SPAN ? d->width - from : SPAN;
                for (int i = 0; i < count; i++)
                    augment_row(&lane[i].change, lane[i].pixel + c * plane, d->height, d->width, y, from,
                                pixels, span[i]);
                transpose(span, t->number[c], pixels, count,
                          x + c * channel + ((size_t)y * d->width + from) * step, step);
            }
}
