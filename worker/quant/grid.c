#include "worker/quant/grid.h"

#include <string.h>

static int mid_tread_high(int bits)
{
    return bits == 1 ? 1 : (1 << (bits - 1)) - 1;
}

static int sym_low(int bits)
{
    return -mid_tread_high(bits);
}

static int twos_low(int bits)
{
    return bits == 1 ? -1 : -(1 << (bits - 1));
}

static int midrise_high(int bits)
{
    return (1 << bits) - 1;
}

static int midrise_low(int bits)
{
    return -midrise_high(bits);
}

static const struct grid grid_sym = { "sym",   "symmetric around zero, zero is a level",
                                      8,       mid_tread_high,
                                      sym_low, 0 };
static const struct grid grid_twos = { "twos",   "two's complement, one more negative level",
                                       8,        mid_tread_high,
                                       twos_low, 0 };
static const struct grid grid_midrise = { "midrise",   "symmetric without a zero level",
                                          7,           midrise_high,
                                          midrise_low, 1 };

const struct grid *const grid_list[] = { &grid_sym, &grid_twos, &grid_midrise, NULL };

const struct grid *grid_find(const char *name)
{
    for (const struct grid *const *g = grid_list; *g; g++)
        if (strcmp((*g)->name, name) == 0)
            return *g;
    return NULL;
}

const struct grid *grid_of_bits(const struct grid *g, int bits)
{
    return bits > g->bits_max ? &grid_sym : g;
}

struct grid_rule grid_rule(const struct grid *g, int bits, real scale)
{
    return (struct grid_rule){ g->low(bits), g->high(bits), g->odd || bits == 1, scale };
}

/* Nearest code of w/scale; ties to even codes (mid-tread), and in an odd grid zero goes to +1. */
static inline real nearest(const struct grid_rule *r, real w)
{
    real u = w / r->scale;
    real low = (real)r->low, high = (real)r->high;

    u = u < low ? low : u > high ? high : u;
    if (!r->odd)
        return real_rint(u);
    /* 2*ceil(u/2) - 1 would send even numbers down; the half-open cells [2m, 2m+2) -> 2m+1 send 0 to +1 */
    real k = 2 * real_floor(u / 2) + 1;
    return k > high ? high : k;
}

int grid_code(const struct grid_rule *r, real w)
{
    return (int)nearest(r, w);
}

static double scale_error(const struct grid *g, int bits, const real *w, size_t count, size_t stride,
                          double scale)
{
    struct grid_rule r = grid_rule(g, bits, (real)scale);
    double error = 0;

    for (size_t i = 0; i < count; i++) {
        double d = (double)w[i * stride] - (double)nearest(&r, w[i * stride]) * scale;
        error += d * d;
    }
    return error;
}

/* The error as a function of the scale is nearly unimodal: a geometric scan finds the valley, thirds narrow
 * it. */
real grid_fit(const struct grid *g, int bits, const real *w, size_t count, size_t stride)
{
    const double ratio = 1.12;
    double sum = 0, top = 0;

    for (size_t i = 0; i < count; i++) {
        double a = (double)real_fabs(w[i * stride]);
        sum += a;
        top = a > top ? a : top;
    }
    if (!(sum > 0))
        return (real)1e-3; /* all zero: any scale is as good */
    double high = g->high(bits), mean = sum / (double)count, best_error = INFINITY, best = top / high;
    /* the clipping point is between half the mean and the maximum of |w| */
    for (double scale = top / high; scale * high > mean / 2; scale /= ratio) {
        double error = scale_error(g, bits, w, count, stride, scale);
        if (error < best_error) {
            best_error = error;
            best = scale;
        }
    }
    double low = best / ratio, up = best * ratio;
    while (up - low > 1e-4 * best) {
        double a = low + (up - low) / 3, b = up - (up - low) / 3;
        if (scale_error(g, bits, w, count, stride, a) < scale_error(g, bits, w, count, stride, b))
            up = b;
        else
            low = a;
    }
    return (real)((low + up) / 2);
}
