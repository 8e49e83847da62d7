#include "worker/train/loss.h"

static int lane_argmax(const real *y, int classes, int lane)
{
    int best = 0;

    for (int c = 1; c < classes; c++)
        if (y[c * LANES + lane] > y[best * LANES + lane])
            best = c;
    return best;
}

struct loss_result loss_cross_entropy(const real *y, const int32_t *label, int classes, int samples,
                                      int blocks, real *gradient)
{
    struct loss_result r = { 0 };

    for (int i = 0; i < blocks * LANES; i++) {
        size_t at = (size_t)(i / LANES) * (size_t)classes * LANES;
        int lane = i % LANES;
        if (i >= samples) {
            for (int c = 0; gradient && c < classes; c++)
                gradient[at + (size_t)c * LANES + lane] = 0;
            continue;
        }
        int best = lane_argmax(y + at, classes, lane);
        real top = y[at + (size_t)best * LANES + lane];
        double sum = 0;
        for (int c = 0; c < classes; c++)
            sum += exp((double)(y[at + (size_t)c * LANES + lane] - top));
        double own = (double)(y[at + (size_t)label[i] * LANES + lane] - top);
        r.loss += log(sum) - own;
        r.correct += best == label[i];
        for (int c = 0; gradient && c < classes; c++) {
            double p = exp((double)(y[at + (size_t)c * LANES + lane] - top)) / sum;
            gradient[at + (size_t)c * LANES + lane] = (real)((p - (c == label[i])) / samples);
        }
    }
    return r;
}
