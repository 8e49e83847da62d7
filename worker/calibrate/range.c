#include "worker/calibrate/range.h"

#include "worker/quant/method.h"

#include <stdlib.h>
#include <string.h>

/* The step at which x is the last code; what lies beyond nought where there are no codes needs none. */
static real step_to(real x, int low, int high)
{
    return x > 0 ? x / (real)high : low < 0 ? x / (real)low : 0;
}

/* Never anything but zero: any step will do. */
static real or_any(real step, int high)
{
    return step > 0 ? step : 1 / (real)high;
}

static real error_step(struct range *r, int low, int high, double percentile)
{
    (void)percentile;
    return method_activation(r->sample, r->count, low, high);
}

static real extremes_step(struct range *r, int low, int high, double percentile)
{
    const real up = step_to(r->high, low, high), down = step_to(r->low, low, high);

    (void)percentile;
    return or_any(up > down ? up : down, high);
}

static int ascending(const void *a, const void *b)
{
    const real x = *(const real *)a, y = *(const real *)b;

    return (x > y) - (x < y);
}

/* Of the steps that each value of the sample would need, the percentile. */
static real percentile_step(struct range *r, int low, int high, double percentile)
{
    real *need = r->sample;

    if (r->count == 0)
        return extremes_step(r, low, high, percentile);
    for (size_t i = 0; i < r->count; i++)
        need[i] = step_to(need[i], low, high);
    qsort(need, r->count, sizeof *need, ascending);
    const double at = percentile / 100 * (double)(r->count - 1);
    const size_t below = (size_t)at, above = below + 1 < r->count ? below + 1 : below;
    const real step = need[below] + (real)(at - (double)below) * (need[above] - need[below]);
    return or_any(step, high);
}

static const struct range_rule error = { "error", error_step },
                               percentile = { "percentile", percentile_step },
                               extremes = { "extremes", extremes_step };

const struct range_rule *const range_rule_list[] = { &error, &percentile, &extremes, NULL };

const struct range_rule *range_rule_find(const char *name)
{
    for (const struct range_rule *const *r = range_rule_list; *r; r++)
        if (strcmp((*r)->name, name) == 0)
            return *r;
    return NULL;
}
