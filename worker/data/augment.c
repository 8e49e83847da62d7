#include "worker/data/augment.h"

struct augment_sample augment_sample(const struct dataset *d, bool nhwc, real *x, int lane)
{
    struct augment_sample s = { x, lane, d->channels, d->height, d->width, nhwc, { 0 } };

    for (int c = 0; c < d->channels; c++)
        s.black[c] = (real)((0 - d->mean[c]) / d->stddev[c]);
    return s;
}

/* One channel of the sample as rows of pixels with strides. */
struct channel {
    real *x;
    size_t row, step;
    int height, width;
};

static struct channel channel_of(const struct augment_sample *s, int c)
{
    const size_t plane = (size_t)s->height * s->width, depth = (size_t)s->channels;
    const size_t first = s->nhwc ? (size_t)c : c * plane, step = s->nhwc ? depth : 1;

    return (struct channel){ s->x + first * LANES + s->lane, s->width * step * LANES, step * LANES, s->height,
                             s->width };
}

static real *pixel(const struct channel *k, int y, int x)
{
    return k->x + (size_t)y * k->row + (size_t)x * k->step;
}

/* In place: walks against the direction of the move, so that nothing is overwritten before it is read. */
static void move(const struct channel *k, int dy, int dx, real black)
{
    for (int i = 0; i < k->height; i++) {
        const int y = dy > 0 ? k->height - 1 - i : i, from_y = y - dy;
        for (int j = 0; j < k->width; j++) {
            const int x = dx > 0 ? k->width - 1 - j : j, from_x = x - dx;
            const bool inside = from_y >= 0 && from_y < k->height && from_x >= 0 && from_x < k->width;
            *pixel(k, y, x) = inside ? *pixel(k, from_y, from_x) : black;
        }
    }
}

static void mirror(const struct channel *k)
{
    for (int y = 0; y < k->height; y++)
        for (int left = 0, right = k->width - 1; left < right; left++, right--) {
            const real keep = *pixel(k, y, left);
            *pixel(k, y, left) = *pixel(k, y, right);
            *pixel(k, y, right) = keep;
        }
}

static int distance(struct rng *r, int reach)
{
    return (int)rng_below(r, 2 * (uint32_t)reach + 1) - reach;
}

void augment_shift(const struct augment_sample *s, int reach, struct rng *r)
{
    const int dy = distance(r, reach), dx = distance(r, reach);

    for (int c = 0; c < s->channels; c++) {
        const struct channel k = channel_of(s, c);
        move(&k, dy, dx, s->black[c]);
    }
}

void augment_crop_flip(const struct augment_sample *s, int pad, struct rng *r)
{
    augment_shift(s, pad, r);
    if (rng_below(r, 2) == 0)
        return;
    for (int c = 0; c < s->channels; c++) {
        const struct channel k = channel_of(s, c);
        mirror(&k);
    }
}

void augment_cutout(const struct augment_sample *s, int side, struct rng *r)
{
    const int top = (int)rng_below(r, (uint32_t)s->height) - side / 2;
    const int left = (int)rng_below(r, (uint32_t)s->width) - side / 2;

    for (int c = 0; c < s->channels; c++) {
        const struct channel k = channel_of(s, c);
        for (int y = top < 0 ? 0 : top; y < top + side && y < k.height; y++)
            for (int x = left < 0 ? 0 : left; x < left + side && x < k.width; x++)
                *pixel(&k, y, x) = s->black[c];
    }
}

int augment_cutout_side(int height, int width)
{
    const int shorter = height < width ? height : width;

    return shorter < 4 ? 1 : shorter / 4;
}
