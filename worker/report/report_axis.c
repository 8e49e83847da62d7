/* report_axis.c - limits and ticks that people would choose by hand. */
#include "worker/report/report_parts.h"

#include <math.h>

/* Beyond these a diverged job has no use for precision, and powers of ten overflow. */
#define SMALLEST 1e-300
#define LARGEST  1e300

/* The smallest of 1, 2, 5, 10 times a power of ten that is not below x > 0. */
static double nice_above(double x)
{
    double power = pow(10, floor(log10(x)));
    double digit = x / power;
    return power * (digit <= 1.0001 ? 1 : digit <= 2.0001 ? 2 : digit <= 5.0001 ? 5 : 10);
}

static struct axis linear_axis(double low, double high, int wanted)
{
    if (!(high - low > fmax(SMALLEST, 1e-12 * fmax(fabs(low), fabs(high))))) {
        double margin = fabs(low) < SMALLEST ? 1 : 0.1 * fabs(low);
        low -= margin;
        high += margin;
    }
    double step = nice_above((high - low) / wanted);
    struct axis a = { .low = step * floor(low / step + 1e-9), .high = step * ceil(high / step - 1e-9) };
    int steps = (int)lround((a.high - a.low) / step);
    for (int i = 0; i <= steps && a.ticks < AXIS_TICKS; i++) {
        double tick = a.low + i * step;
        a.tick[a.ticks++] = fabs(tick) < 1e-9 * step ? 0 : tick;
    }
    return a;
}

/* Ticks at every power of ten, or every few of them; within two decades also at 2 and 5. */
static struct axis log_axis(double low, double high, int wanted)
{
    static const double digits[] = { 1, 2, 5 };
    int first = (int)floor(log10(low) + 1e-9), last = (int)ceil(log10(high) - 1e-9);
    if (first == last)
        last++;
    struct axis a = { .low = pow(10, first), .high = pow(10, last), .logarithmic = true };
    if (last - first > 2) {
        int stride = (last - first + wanted - 1) / wanted;
        for (int k = first; k <= last && a.ticks < AXIS_TICKS; k += stride)
            a.tick[a.ticks++] = pow(10, k);
        return a;
    }
    for (int k = first; k <= last; k++)
        for (int d = 0; d < 3 && a.ticks < AXIS_TICKS; d++)
            a.tick[a.ticks++] = digits[d] * pow(10, k);
    /* Cut what lies outside of the data by more than one tick. */
    int from = 0, to = a.ticks - 1;
    while (from + 1 < to && a.tick[from + 1] <= low * (1 + 1e-9))
        from++;
    while (to - 1 > from && a.tick[to - 1] >= high * (1 - 1e-9))
        to--;
    for (int i = from; i <= to; i++)
        a.tick[i - from] = a.tick[i];
    a.ticks = to - from + 1;
    a.low = a.tick[0];
    a.high = a.tick[a.ticks - 1];
    return a;
}

struct axis axis_make(double low, double high, bool logarithmic, int wanted)
{
    low = fmin(fmax(low, -LARGEST), LARGEST);
    high = fmin(fmax(high, -LARGEST), LARGEST);
    if (logarithmic && low > SMALLEST)
        return log_axis(low, high, wanted);
    return linear_axis(low, high, wanted);
}

double axis_place(const struct axis *a, double x)
{
    if (a->logarithmic)
        return log(x / a->low) / log(a->high / a->low);
    return (x - a->low) / (a->high - a->low);
}
