#include "worker/image/quality.h"

#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PEAK 255.0
#define C1   ((0.01 * PEAK) * (0.01 * PEAK))
#define C2   ((0.03 * PEAK) * (0.03 * PEAK))

enum { WINDOW = 11, SUMS = 5 };

static const char *const channel_text[] = {
    [QUALITY_LUMA] = "Y = 16 + (65.481 R + 128.553 G + 24.966 B)/255",
    [QUALITY_RGB] = "R, G, B",
};

void quality_text(const struct quality *q, char out[QUALITY_TEXT])
{
    static const char *const estimate[2][2] = { { "as it is", "rounded" },
                                                { "clipped to 0..255", "clipped to 0..255 and rounded" } };

    snprintf(out, QUALITY_TEXT, "%s, peak 255, %d pixel%s shaved off every border, estimate %s",
             channel_text[q->channel], q->shave, q->shave == 1 ? "" : "s", estimate[q->clip][q->round]);
}

static int check(const struct plane *a, const struct plane *b, const struct quality *q, int least,
                 struct err *e)
{
    if (a->width != b->width || a->height != b->height)
        return err_set(e, ERR_INVALID, "images of %dx%d and %dx%d pixels can't be compared", a->width,
                       a->height, b->width, b->height);
    if (q->shave < 0 || a->width - 2 * (int64_t)q->shave < least || a->height - 2 * (int64_t)q->shave < least)
        return err_set(e, ERR_INVALID,
                       "an image of %dx%d pixels less %d on every border has not the %d a side needed",
                       a->width, a->height, q->shave, least);
    return 0;
}

static double judged(double v, const struct quality *q)
{
    if (q->round)
        v = floor(v + 0.5);
    if (!q->clip)
        return v;
    return v < 0 ? 0 : v > PEAK ? PEAK : v;
}

/* Row by row, so that a large image loses no digits to one long sum. */
static double squared_error(const struct plane *a, const struct plane *b, const struct quality *q)
{
    double total = 0;

    for (int y = q->shave; y < a->height - q->shave; y++) {
        const size_t row = (size_t)y * a->width;
        double sum = 0;
        for (int x = q->shave; x < a->width - q->shave; x++) {
            double d = a->value[row + x] - judged(b->value[row + x], q);
            sum += d * d;
        }
        total += sum;
    }
    return total / ((double)(a->width - 2 * q->shave) * (a->height - 2 * q->shave));
}

int quality_psnr(const struct plane *truth, const struct plane *estimate, int planes, const struct quality *q,
                 double *db, struct err *e)
{
    double error = 0;

    for (int p = 0; p < planes; p++) {
        int r = check(&truth[p], &estimate[p], q, 1, e);
        if (r < 0)
            return r;
        error += squared_error(&truth[p], &estimate[p], q);
    }
    *db = error == 0 ? (double)INFINITY : 10 * log10(PEAK * PEAK * planes / error);
    return 0;
}

/* --- SSIM --- */

static void window_make(double window[WINDOW])
{
    double sum = 0;

    for (int i = 0; i < WINDOW; i++) {
        const double d = (i - WINDOW / 2) / 1.5;
        sum += window[i] = exp(-d * d / 2);
    }
    for (int i = 0; i < WINDOW; i++)
        window[i] /= sum;
}

/* The weighted sums over WINDOW rows of a, b, a^2, b^2 and ab, for each column: the window is separable. */
static void sum_down(const struct plane *a, const struct plane *b, const struct quality *q, int top,
                     const double window[WINDOW], double (*column)[SUMS])
{
    for (int x = q->shave; x < a->width - q->shave; x++) {
        double *s = column[x - q->shave];
        for (int k = 0; k < SUMS; k++)
            s[k] = 0;
        for (int i = 0; i < WINDOW; i++) {
            const size_t at = (size_t)(top + i) * a->width + x;
            const double u = a->value[at], v = judged(b->value[at], q), w = window[i];
            s[0] += w * u;
            s[1] += w * v;
            s[2] += w * (u * u);
            s[3] += w * (v * v);
            s[4] += w * (u * v);
        }
    }
}

static double similarity(const double s[SUMS])
{
    const double square = s[0] * s[0] + s[1] * s[1], product = s[0] * s[1];

    return (2 * product + C1) * (2 * (s[4] - product) + C2) / ((square + C1) * (s[2] + s[3] - square + C2));
}

static double sum_across(double (*column)[SUMS], int count, const double window[WINDOW])
{
    double total = 0;

    for (int x = 0; x < count; x++) {
        double s[SUMS] = { 0 };
        for (int i = 0; i < WINDOW; i++)
            for (int k = 0; k < SUMS; k++)
                s[k] += window[i] * column[x + i][k];
        total += similarity(s);
    }
    return total;
}

int quality_ssim(const struct plane *truth, const struct plane *estimate, int planes, const struct quality *q,
                 double *ssim, struct err *e)
{
    double window[WINDOW], mean = 0;

    window_make(window);
    for (int p = 0; p < planes; p++) {
        const struct plane *a = &truth[p], *b = &estimate[p];
        int r = check(a, b, q, WINDOW, e);
        if (r < 0)
            return r;
        const int across = a->width - 2 * q->shave - WINDOW + 1, down = a->height - 2 * q->shave - WINDOW + 1;
        double(*column)[SUMS] = mem_array((size_t)a->width, sizeof *column);
        if (column == NULL)
            return err_set(e, ERR_NOMEM, "out of memory");
        double total = 0;
        for (int y = 0; y < down; y++) {
            sum_down(a, b, q, q->shave + y, window, column);
            total += sum_across(column, across, window);
        }
        free(column);
        mean += total / ((double)across * down);
    }
    *ssim = mean / planes;
    return 0;
}
