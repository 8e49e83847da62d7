#include "worker/data/augment.h"

#include <string.h>

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

void augment_row(const struct augment *a, const uint8_t *plane, int height, int width, int y, int from,
                 int count, uint8_t *row)
{
    const int from_y = y - a->dy;

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
