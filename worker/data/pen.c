#include "worker/data/pen.h"

#include <math.h>

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

static int pixel_clamp(double v)
{
    return (int)clamp(v, 0, PEN_SIDE - 1);
}

static double darker(double a, double b)
{
    return a > b ? a : b;
}

/* 1 inside, 0 outside, a cubic slope of width 2*soft between. */
static double coverage(const struct pen *pen, double distance)
{
    double t = clamp((pen->radius + pen->soft - distance) / (2 * pen->soft), 0, 1);

    return t * t * (3 - 2 * t);
}

void pen_line(struct canvas *c, struct pen pen, struct pen_point from, struct pen_point to)
{
    const double reach = pen.radius + pen.soft;
    const double dx = to.x - from.x, dy = to.y - from.y;
    const double square = dx * dx + dy * dy;
    const double scale = square > 1e-12 ? 1 / square : 0; /* a dot when there is no length */
    const int left = pixel_clamp((dx < 0 ? to.x : from.x) - reach);
    const int right = pixel_clamp((dx < 0 ? from.x : to.x) + reach + 1);
    const int top = pixel_clamp((dy < 0 ? to.y : from.y) - reach);
    const int bottom = pixel_clamp((dy < 0 ? from.y : to.y) + reach + 1);

    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            double px = x - from.x, py = y - from.y;
            double along = clamp((px * dx + py * dy) * scale, 0, 1);
            double ox = px - along * dx, oy = py - along * dy;
            double ink = pen.ink * coverage(&pen, sqrt(ox * ox + oy * oy));
            double *at = &c->ink[y][x];
            *at = ink >= 0 ? darker(*at, ink) : *at * (1 + ink);
        }
}
