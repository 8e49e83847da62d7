#include "worker/image/bicubic.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One axis: output i is the sum over t of weight[i*taps + t] * input[at[i*taps + t]]. */
struct axis {
    int from, to, taps;
    int *at;        /* owned */
    double *weight; /* owned */
};

struct bicubic {
    struct axis across, down;
    double *between; /* owned: [to height][from width], behind the vertical pass */
};

static double kernel(double x)
{
    x = fabs(x);
    if (x >= 2)
        return 0;
    return x <= 1 ? (1.5 * x - 2.5) * x * x + 1 : ((-0.5 * x + 2.5) * x - 4) * x + 2;
}

static int inside(int64_t i, int n, enum bicubic_edge edge)
{
    if (edge == BICUBIC_CLAMP)
        return (int)(i < 0 ? 0 : i < n ? i : n - 1);
    i %= 2 * (int64_t)n;
    if (i < 0)
        i += 2 * (int64_t)n;
    return (int)(i < n ? i : 2 * (int64_t)n - 1 - i);
}

static int axis_make(struct axis *a, int from, int to, enum bicubic_edge edge, struct err *e)
{
    const double f = (double)from / to, stretch = f > 1 ? f : 1;

    a->from = from;
    a->to = to;
    a->taps = (int)ceil(4 * stretch) + 1;
    a->at = mem_array((size_t)to * a->taps, sizeof *a->at);
    a->weight = mem_array((size_t)to * a->taps, sizeof *a->weight);
    if (a->at == NULL || a->weight == NULL)
        return err_set(e, ERR_NOMEM, "no memory to scale %d pixels to %d", from, to);
    for (int i = 0; i < to; i++) {
        const double centre = (i + 0.5) * f - 0.5;
        const int64_t first = (int64_t)floor(centre - 2 * stretch);
        double *weight = a->weight + (size_t)i * a->taps, sum = 0;
        for (int t = 0; t < a->taps; t++) {
            a->at[(size_t)i * a->taps + t] = inside(first + t, from, edge);
            sum += weight[t] = kernel((centre - (double)(first + t)) / stretch);
        }
        for (int t = 0; t < a->taps; t++)
            weight[t] /= sum;
    }
    return 0;
}

static void axis_free(struct axis *a)
{
    free(a->at);
    free(a->weight);
}

/* Row i of the output of the vertical pass: whole rows are added, so the inner loop has unit stride. */
static void down_row(const struct axis *a, int i, const double *from, size_t width, double *to)
{
    memset(to, 0, width * sizeof *to);
    for (int t = 0; t < a->taps; t++) {
        const double weight = a->weight[(size_t)i * a->taps + t];
        const double *row = from + (size_t)a->at[(size_t)i * a->taps + t] * width;
        if (weight == 0)
            continue;
        for (size_t x = 0; x < width; x++)
            to[x] += weight * row[x];
    }
}

static void across_row(const struct axis *a, const double *from, double *to)
{
    const int *at = a->at;
    const double *weight = a->weight;

    for (int i = 0; i < a->to; i++, at += a->taps, weight += a->taps) {
        double sum = 0;
        for (int t = 0; t < a->taps; t++)
            sum += weight[t] * from[at[t]];
        to[i] = sum;
    }
}

int bicubic_new(int from_width, int from_height, int to_width, int to_height, enum bicubic_edge edge,
                struct bicubic **out, struct err *e)
{
    const int least = from_width < from_height ? from_width : from_height;
    const int smallest = to_width < to_height ? to_width : to_height;
    int r = 0;

    *out = NULL;
    if (least < 1 || smallest < 1)
        return err_set(e, ERR_INVALID, "an image of %dx%d pixels can't be scaled to %dx%d", from_width,
                       from_height, to_width, to_height);
    struct bicubic *b = mem_alloc(sizeof *b);
    if (b == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    r = axis_make(&b->across, from_width, to_width, edge, e);
    if (r == 0)
        r = axis_make(&b->down, from_height, to_height, edge, e);
    b->between = mem_array((size_t)to_height * (size_t)from_width, sizeof *b->between);
    if (r == 0 && b->between == NULL)
        r = err_set(e, ERR_NOMEM, "no memory to scale %dx%d pixels", from_width, from_height);
    if (r < 0)
        bicubic_free(b);
    else
        *out = b;
    return r;
}

void bicubic_free(struct bicubic *b)
{
    if (b == NULL)
        return;
    axis_free(&b->across);
    axis_free(&b->down);
    free(b->between);
    free(b);
}

static void round_bytes(double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        v[i] = floor(v[i] + 0.5);
        v[i] = v[i] < 0 ? 0 : v[i] > 255 ? 255 : v[i];
    }
}

static void run(struct bicubic *b, const double *from, double *to, bool bytes)
{
    const size_t width = (size_t)b->across.from;

    for (int y = 0; y < b->down.to; y++) {
        double *row = b->between + (size_t)y * width, *out = to + (size_t)y * b->across.to;
        down_row(&b->down, y, from, width, row);
        if (bytes)
            round_bytes(row, width);
        across_row(&b->across, row, out);
        if (bytes)
            round_bytes(out, (size_t)b->across.to);
    }
}

void bicubic_run(struct bicubic *b, const double *from, double *to)
{
    run(b, from, to, false);
}

void bicubic_run_bytes(struct bicubic *b, const double *from, double *to)
{
    run(b, from, to, true);
}

int bicubic_plane(const struct plane *from, int width, int height, enum bicubic_edge edge, struct plane *to,
                  struct err *e)
{
    struct bicubic *b;
    int r = bicubic_new(from->width, from->height, width, height, edge, &b, e);

    *to = (struct plane){ 0 };
    if (r == 0)
        r = plane_make(to, width, height, e);
    if (r == 0)
        bicubic_run(b, from->value, to->value);
    bicubic_free(b);
    return r;
}

static void channel_run(struct bicubic *b, const struct image *from, int c, struct image *to, double *in,
                        double *out)
{
    const size_t before = (size_t)from->width * from->height, after = (size_t)to->width * to->height;

    for (size_t i = 0; i < before; i++)
        in[i] = from->pixel[i * from->channels + c];
    run(b, in, out, true);
    for (size_t i = 0; i < after; i++)
        to->pixel[i * to->channels + c] = (uint8_t)out[i];
}

int bicubic_image(const struct image *from, int width, int height, enum bicubic_edge edge, struct image *to,
                  struct err *e)
{
    struct plane in = { 0 }, out = { 0 };
    struct bicubic *b;
    int r = bicubic_new(from->width, from->height, width, height, edge, &b, e);

    *to = (struct image){ 0 };
    if (r == 0)
        r = plane_make(&in, from->width, from->height, e);
    if (r == 0)
        r = plane_make(&out, width, height, e);
    if (r == 0)
        r = image_make(to, width, height, from->channels, SIZE_MAX, e);
    for (int c = 0; r == 0 && c < from->channels; c++)
        channel_run(b, from, c, to, in.value, out.value);
    plane_free(&in);
    plane_free(&out);
    bicubic_free(b);
    return r;
}

int bicubic_shrink(const struct image *from, int scale, struct image *to, struct err *e)
{
    struct image whole;

    *to = (struct image){ 0 };
    if (scale < 1 || from->width < scale || from->height < scale)
        return err_set(e, ERR_INVALID, "an image of %dx%d pixels can't be shrunk by %d", from->width,
                       from->height, scale);
    int r =
        image_crop(from, from->width - from->width % scale, from->height - from->height % scale, &whole, e);
    if (r == 0)
        r = bicubic_image(&whole, whole.width / scale, whole.height / scale, BICUBIC_CLAMP, to, e);
    image_free(&whole);
    return r;
}

int bicubic_baseline(const struct plane *truth, int scale, struct plane *small, struct plane *enlarged,
                     struct err *e)
{
    struct plane low = { 0 };

    *enlarged = (struct plane){ 0 };
    if (small != NULL)
        *small = low;
    if (scale < 1 || truth->width % scale != 0 || truth->height % scale != 0)
        return err_set(e, ERR_INVALID, "the sides of %dx%d pixels are no multiples of %d", truth->width,
                       truth->height, scale);
    int r = bicubic_plane(truth, truth->width / scale, truth->height / scale, BICUBIC_MIRROR, &low, e);
    if (r == 0)
        r = bicubic_plane(&low, truth->width, truth->height, BICUBIC_MIRROR, enlarged, e);
    if (r == 0 && small != NULL)
        *small = low;
    else
        plane_free(&low);
    return r;
}
