/* glyphs.c - builtin:glyphs, digits as if written by hand: strokes with jitter, bent, slanted, drawn with
 * pens of all kinds, here and there interrupted or smudged. Sample i is a function of (seed, split, i) alone,
 * made from integers and exactly rounded arithmetic, so everybody has the same bits. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/data/glyphs_strokes.h"
#include "worker/data/list.h"
#include "worker/data/pen.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRAIN = 20000, TEST = 4000, PIXELS = PEN_SIDE * PEN_SIDE, PIECES = 5 /* lines a curve is made of */ };

/* Sample i of split k draws from stream STREAM + k * 2^31 + i. */
#define STREAM ((uint64_t)0x676c7970 << 32)

/* How this writer holds pen and paper. Lengths in pixels, angles as tangents. */
struct hand {
    double height, width; /* of the box that the strokes are given in */
    double cosine, sine;  /* rotation */
    double slant, bend;   /* x moves by slant * v + bend * (v^2 - 1/4), v = -1/2 .. 1/2 downwards */
    double x, y;          /* centre */
    double jitter;        /* of control points, in units of the box (100) */
    double taper;         /* how much the radius grows or shrinks along a stroke, as a share */
    struct pen pen;
};

static double between(struct rng *r, double low, double high)
{
    return low + (high - low) * rng_uniform(r);
}

/* Bell-shaped around 0 with deviation 1, never beyond +-3.5: the sum of four uniform numbers. */
static double bell(struct rng *r)
{
    double sum = 0;

    for (int i = 0; i < 4; i++)
        sum += rng_uniform(r);
    return (sum - 2) * 1.7320508075688772; /* variance of the sum is 4/12 */
}

static bool chance(struct rng *r, double p)
{
    return rng_uniform(r) < p;
}

static struct hand hand_draw(struct rng *r)
{
    struct hand h;
    double half = 0.06 * bell(r); /* tan(angle/2): rotation without sine and cosine */

    h.height = between(r, 15.5, 21.5);
    h.width = h.height * between(r, 0.62, 1.05);
    h.cosine = (1 - half * half) / (1 + half * half);
    h.sine = 2 * half / (1 + half * half);
    h.slant = -0.12 + 0.2 * bell(r);
    h.bend = 0.25 * bell(r);
    h.x = (PEN_SIDE - 1) / 2.0 + 1.2 * bell(r);
    h.y = (PEN_SIDE - 1) / 2.0 + 1.0 * bell(r);
    h.jitter = between(r, 2.0, 6.5);
    h.taper = between(r, -0.35, 0.35);
    h.pen.radius = between(r, 0.65, 1.75);
    h.pen.soft = between(r, 0.55, 0.95);
    h.pen.ink = between(r, 0.65, 1.0);
    return h;
}

static struct pen_point hand_place(const struct hand *h, double x, double y)
{
    double v = y / 100 - 0.5;
    double dx = (x / 100 - 0.5) * h->width - (h->slant * v + h->bend * (v * v - 0.25)) * h->height;
    double dy = v * h->height;

    return (struct pen_point){ h->x + h->cosine * dx - h->sine * dy, h->y + h->sine * dx + h->cosine * dy };
}

static struct pen_point middle(struct pen_point a, struct pen_point b)
{
    return (struct pen_point){ (a.x + b.x) / 2, (a.y + b.y) / 2 };
}

static struct pen_point bezier(struct pen_point a, struct pen_point b, struct pen_point c, double t)
{
    double s = 1 - t, wa = s * s, wb = 2 * s * t, wc = t * t;

    return (struct pen_point){ wa * a.x + wb * b.x + wc * c.x, wa * a.y + wb * b.y + wc * c.y };
}

static void stroke_points(const struct glyph_stroke *s, const struct hand *h, struct rng *r,
                          struct pen_point point[GLYPH_POINTS])
{
    for (int i = 0; i < s->count; i++) {
        const int8_t *at = &s->at[2 * i];
        if (i > 0 && at[0] == at[-2] && at[1] == at[-1]) { /* a corner stays one */
            point[i] = point[i - 1];
            continue;
        }
        double jx = h->jitter * bell(r), jy = h->jitter * bell(r);
        point[i] = hand_place(h, at[0] + jx, at[1] + jy);
    }
}

/* The spline: curve i goes from the middle before point i to the middle behind it; the first and the last
 * reach the ends. Now and then the pen leaves the paper for a moment. */
static void stroke_draw(struct canvas *c, const struct glyph_stroke *s, const struct hand *h, struct rng *r)
{
    struct pen_point point[GLYPH_POINTS];
    const int curves = s->count - 2, lines = curves * PIECES;
    const bool broken = chance(r, 0.12);
    const int gap = (int)rng_below(r, (uint32_t)lines), gap_end = gap + 2 + (int)rng_below(r, 3);

    stroke_points(s, h, r, point);
    struct pen_point from = point[0];
    for (int line = 0; line < lines; line++) {
        int i = 1 + line / PIECES;
        struct pen_point a = i == 1 ? point[0] : middle(point[i - 1], point[i]);
        struct pen_point b = i == curves ? point[i + 1] : middle(point[i], point[i + 1]);
        struct pen_point to = bezier(a, point[i], b, (double)(line % PIECES + 1) / PIECES);
        struct pen pen = h->pen;
        pen.radius *= 1 + h->taper * (2.0 * line / lines - 1);
        if (!broken || line < gap || line >= gap_end)
            pen_line(c, pen, from, to);
        from = to;
    }
}

static struct pen_point anywhere(struct rng *r)
{
    double x = between(r, 0, PEN_SIDE - 1), y = between(r, 0, PEN_SIDE - 1);

    return (struct pen_point){ x, y };
}

/* A short line in any direction: a stray mark for ink > 0, a scratch that takes ink away for ink < 0. */
static void mark_draw(struct canvas *c, struct rng *r, double ink, double length)
{
    struct pen pen = { .radius = between(r, 0.4, 1.1), .soft = 0.65, .ink = ink };
    struct pen_point from = anywhere(r), to = from;

    to.x += length * between(r, -1, 1);
    to.y += length * between(r, -1, 1);
    pen_line(c, pen, from, to);
}

static void clutter_draw(struct canvas *c, struct rng *r)
{
    while (chance(r, 0.3))
        mark_draw(c, r, between(r, 0.3, 0.9), 5);
    if (chance(r, 0.15))
        mark_draw(c, r, between(r, -1.0, -0.6), 14);
}

/* Paper is never quite black, and the scanner adds its grain. */
static void canvas_scan(const struct canvas *c, struct rng *r, uint8_t pixel[PIXELS])
{
    const double floor = chance(r, 0.3) ? between(r, 0, 40) : 0, grain = between(r, 2, 34);
    const double *ink = &c->ink[0][0];
    uint64_t bits = 0;

    for (int i = 0; i < PIXELS; i++, bits >>= 8) {
        if (i % 8 == 0)
            bits = rng_u64(r);
        double noise = ((double)(bits & 255) - 127.5) / 127.5 * grain;
        double v = floor + (255 - floor) * ink[i] + noise + 0.5;
        pixel[i] = v < 0 ? 0 : v > 255 ? 255 : (uint8_t)v;
    }
}

static void sample_draw(uint64_t seed, int split, int64_t index, int digit, uint8_t pixel[PIXELS])
{
    struct rng r = rng_at(seed, STREAM + ((uint64_t)split << 31) + (uint64_t)index, 0);
    struct canvas c = { 0 };
    const struct glyph *g = &glyph_table[digit][rng_below(&r, GLYPH_VARIANTS)];
    const struct hand h = hand_draw(&r);

    for (int i = 0; i < GLYPH_STROKES && g->stroke[i].count > 0; i++)
        stroke_draw(&c, &g->stroke[i], &h, &r);
    clutter_draw(&c, &r);
    canvas_scan(&c, &r, pixel);
}

static int split_draw(struct split *s, uint64_t seed, int split, int64_t count, struct err *e)
{
    s->pixel = mem_array((size_t)count, PIXELS);
    s->label = mem_array((size_t)count, sizeof *s->label);
    if (s->pixel == NULL || s->label == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %lld glyphs", (long long)count);
    for (int64_t i = 0; i < count; i++) {
        s->label[i] = (int32_t)(i % GLYPH_DIGITS); /* as many of each; training shuffles anyway */
        sample_draw(seed, split, i, s->label[i], s->pixel + i * PIXELS);
    }
    s->count = count;
    return 0;
}

static int glyphs_draw(uint64_t seed, struct dataset **out, struct err *e)
{
    struct dataset *d = dataset_new();

    if (d == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    snprintf(d->format, sizeof d->format, "glyphs");
    d->channels = 1;
    d->height = d->width = PEN_SIDE;
    d->classes = GLYPH_DIGITS;
    int r = split_draw(&d->split[SPLIT_TRAIN], seed, SPLIT_TRAIN, TRAIN, e);
    if (r == 0)
        r = split_draw(&d->split[SPLIT_TEST], seed, SPLIT_TEST, TEST, e);
    if (r < 0) {
        dataset_free(d);
        return r;
    }
    *out = d;
    return 0;
}

const struct dataset_builtin dataset_builtin_glyphs = {
    .name = "glyphs",
    .title = "Drawn digits, 28x28, from a seed",
    .channels = 1,
    .height = PEN_SIDE,
    .width = PEN_SIDE,
    .classes = GLYPH_DIGITS,
    .train = TRAIN,
    .test = TEST,
    .draw = glyphs_draw,
};
