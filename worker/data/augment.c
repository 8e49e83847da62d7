#include "worker/data/augment.h"

#include <math.h>
#include <string.h>

#define UNTOUCHED 0.3
#define TURN      (8 * M_PI / 180)
#define SCALE     0.07
#define SLANT     0.1
#define MOVE      (1.2 / 28)
#define WAVE      (0.8 / 28)

static int distance(struct rng *r, int reach)
{
    return (int)rng_below(r, 2 * (uint32_t)reach + 1) - reach;
}

void augment_shift(struct augment *a, int reach, struct rng *r)
{
    a->dy = distance(r, reach);
    a->dx = distance(r, reach);
}

void augment_crop_flip(struct augment *a, int pad, struct rng *r)
{
    augment_shift(a, pad, r);
    a->mirror = rng_below(r, 2) == 1;
}

void augment_cutout(struct augment *a, int height, int width, int side, struct rng *r)
{
    a->top = (int)rng_below(r, (uint32_t)height) - side / 2;
    a->left = (int)rng_below(r, (uint32_t)width) - side / 2;
    a->side = side;
}

int augment_cutout_side(int height, int width)
{
    const int shorter = height < width ? height : width;

    return shorter < 4 ? 1 : shorter / 4;
}

/* Uniform in -reach..reach. */
static double between(struct rng *r, double reach)
{
    return reach * (2 * rng_uniform(r) - 1);
}

static struct augment_wave draw_wave(struct rng *r, int side)
{
    const double height = WAVE * side * rng_uniform(r);

    return (struct augment_wave){ (float)height, (float)rng_uniform(r) };
}

void augment_deform(struct augment *a, int height, int width, struct rng *r)
{
    if (rng_uniform(r) < UNTOUCHED)
        return;
    const double turn = between(r, TURN), c = cos(turn), s = sin(turn), slant = between(r, SLANT);
    const double tall = 1 + between(r, SCALE), wide = 1 + between(r, SCALE);
    const double m[2][2] = { { c * tall, s * wide }, { (slant * c - s) * tall, (slant * s + c) * wide } };
    const double y = (height - 1) / 2.0, x = (width - 1) / 2.0;

    a->deformed = true;
    a->row[0] = (float)m[0][0];
    a->row[1] = (float)m[0][1];
    a->row[2] = (float)(y - m[0][0] * y - m[0][1] * x + between(r, MOVE * height));
    a->column[0] = (float)m[1][0];
    a->column[1] = (float)m[1][1];
    a->column[2] = (float)(x - m[1][0] * y - m[1][1] * x + between(r, MOVE * width));
    a->down = draw_wave(r, height);
    a->across = draw_wave(r, width);
}

static int clamp(int i, int low, int high)
{
    return i < low ? low : i > high ? high : i;
}

/* Pixels [from, from + count) of a row that has been moved to the right by dx. */
static void move_row(const uint8_t *source, int width, int dx, int from, int count, uint8_t *row)
{
    const int first = clamp(dx, from, from + count), end = clamp(width + dx, first, from + count);

    memset(row, 0, (size_t)(first - from));
    memcpy(row + (first - from), source + (first - dx), (size_t)(end - first));
    memset(row + (end - from), 0, (size_t)(from + count - end));
}

static void reverse(uint8_t *row, int count)
{
    for (int i = 0, j = count - 1; i < j; i++, j--) {
        const uint8_t keep = row[i];
        row[i] = row[j];
        row[j] = keep;
    }
}

/* Two parabolas in the place of a sine: it is asked for each pixel. t: 0 to 1. */
static float swing(struct augment_wave w, float t)
{
    t += w.phase;
    t -= t < 1 ? 0 : 1;
    return w.height * (t < 0.5f ? 16 * t * (0.5f - t) : 16 * (t - 0.5f) * (t - 1));
}

static float pixel_at(const uint8_t *plane, int height, int width, int y, int x)
{
    return y < 0 || y >= height || x < 0 || x >= width ? 0 : (float)plane[(size_t)y * width + x];
}

/* Between four pixels. */
static uint8_t blend(const uint8_t *plane, int height, int width, float y, float x)
{
    if (!(y > -1 && y < (float)height && x > -1 && x < (float)width))
        return 0;
    const int i = (int)(y + 1) - 1, k = (int)(x + 1) - 1; /* rounded down */
    const float v = y - (float)i, u = x - (float)k;
    float a, b, c, d;
    if (i >= 0 && i + 1 < height && k >= 0 && k + 1 < width) {
        const uint8_t *p = plane + (size_t)i * width + k;
        if (!(p[0] | p[1] | p[width] | p[width + 1]))
            return 0;
        a = p[0];
        b = p[1];
        c = p[width];
        d = p[width + 1];
    } else {
        a = pixel_at(plane, height, width, i, k);
        b = pixel_at(plane, height, width, i, k + 1);
        c = pixel_at(plane, height, width, i + 1, k);
        d = pixel_at(plane, height, width, i + 1, k + 1);
    }
    const float top = a + u * (b - a), bottom = c + u * (d - c);
    return (uint8_t)(top + v * (bottom - top) + 0.5f);
}

static void deform_row(const struct augment *a, const uint8_t *plane, int height, int width, int y, int from,
                       int count, uint8_t *row)
{
    const float part = 1 / (float)width, down = a->row[0] * (float)y + a->row[2],
                across = a->column[0] * (float)y + a->column[2] + swing(a->across, (float)y / (float)height);

    for (int i = 0; i < count; i++) {
        const float x = (float)(from + i);
        row[i] = blend(plane, height, width, down + a->row[1] * x + swing(a->down, x * part),
                       across + a->column[1] * x);
    }
}

void augment_row(const struct augment *a, const uint8_t *plane, int height, int width, int y, int from,
                 int count, uint8_t *row)
{
    const int from_y = y - a->dy;

    if (a->deformed) {
        deform_row(a, plane, height, width, y, from, count, row);
        return;
    }
    if (from_y < 0 || from_y >= height)
        memset(row, 0, (size_t)count);
    else
        move_row(plane + (size_t)from_y * width, width, a->dx, a->mirror ? width - from - count : from, count,
                 row);
    if (a->mirror)
        reverse(row, count);
    if (y < a->top || y >= a->top + a->side)
        return;
    const int left = clamp(a->left, from, from + count), end = clamp(a->left + a->side, left, from + count);
    memset(row + (left - from), 0, (size_t)(end - left));
}
