/* Every kernel set of this CPU against a plain double loop, over a table of shapes; and the property that the
 * executor relies on: any cut of the work gives the same bits. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/tiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conv_case.h"

static const struct conv_case cases[] = {
    { "one weight", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1 },
    { "lenet conv1", 1, 28, 28, 20, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 2 },
    { "tiles, lenet conv2", 20, 12, 12, 50, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 3 },
    { "dense", 37, 1, 1, 23, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 5 },
    { "dense, wide", 200, 1, 1, 10, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 4 },
    { "dense over an image", 3, 4, 5, 7, 4, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 2 },
    { "same 3x3", 3, 8, 8, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 },
    { "same 3x3, small image", 5, 3, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5 },
    { "stride 2", 3, 9, 8, 6, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 2 },
    { "stride 3 by 2, lopsided padding", 2, 10, 7, 3, 4, 3, 3, 2, 1, 1, 2, 0, 1, 3, 1, 1 },
    { "stride larger than the kernel", 2, 11, 11, 3, 2, 2, 4, 5, 1, 1, 0, 0, 0, 0, 1, 1 },
    { "dilation 2", 3, 9, 9, 5, 3, 3, 1, 1, 2, 2, 2, 2, 2, 2, 1, 2 },
    { "dilation and stride", 2, 12, 11, 3, 3, 2, 2, 3, 2, 3, 1, 2, 2, 1, 1, 1 },
    { "taps that only see padding", 2, 2, 2, 3, 5, 5, 1, 1, 2, 2, 4, 4, 4, 4, 1, 1 },
    { "more padding than kernel", 1, 3, 3, 2, 2, 2, 1, 1, 1, 1, 3, 4, 3, 4, 1, 1 },
    { "1x1 on an image", 20, 5, 5, 7, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 2 },
    { "1x1, stride 2", 4, 6, 6, 8, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1, 2 },
    { "two groups", 6, 5, 5, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2 },
    { "five groups of 3", 5, 4, 6, 15, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 5, 1 },
    { "depthwise", 7, 6, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 7, 2 },
    { "depthwise, stride 2", 5, 19, 18, 5, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 5, 3 },
    { "depthwise 5x4, dilated", 3, 12, 21, 3, 5, 4, 1, 1, 1, 2, 2, 3, 2, 3, 3, 2 },
    { "depthwise, more padding than image", 2, 2, 3, 2, 7, 7, 1, 1, 1, 1, 3, 3, 3, 3, 2, 2 },
    { "1x1, wide", 101, 3, 5, 38, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 3 },
    { "1x1, wide, stride 2", 70, 5, 7, 33, 1, 1, 2, 2, 1, 1, 0, 0, 0, 0, 1, 2 },
    { "1x1, wide, pixels of padding", 34, 3, 2, 40, 1, 1, 1, 1, 1, 1, 1, 1, 0, 2, 1, 2 },
    { "1x1, wide, two groups", 70, 3, 4, 66, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 1 },
    { "kernel 1x7", 3, 4, 9, 5, 1, 7, 1, 1, 1, 1, 0, 3, 0, 3, 1, 1 },
    { "tiles, 3x3", 13, 7, 10, 22, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 },
    { "tiles, 3x3, no padding", 33, 9, 10, 12, 3, 3, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1 },
    { "tiles, 3x3, lopsided padding", 12, 6, 9, 35, 3, 3, 1, 1, 1, 1, 2, 0, 2, 1, 1, 1 },
    { "tiles, 3x3, one a block", 24, 4, 4, 24, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3 },
    { "tiles, 5x5", 36, 7, 6, 18, 5, 5, 1, 1, 1, 1, 2, 2, 2, 2, 1, 1 },
    { "tiles, 5x5, lopsided padding", 17, 6, 7, 34, 5, 5, 1, 1, 1, 1, 0, 1, 2, 0, 1, 1 },
};

/* Everything that one case needs; sizes in elements. */
struct bench {
    struct conv c;
    int blocks;
    size_t in, out, weights;
    real *x, *y, *w, *bias; /* inputs: y is the output gradient */
    double *want, *size;    /* a result and the sum of its terms' magnitudes */
};

static real *draw(struct rng *r, size_t count)
{
    real *p = mem_aligned(64, count * sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; i < count; i++)
        p[i] = (real)(rng_uniform(r) * 2 - 1);
    return p;
}

static struct bench bench_new(const struct conv_case *k)
{
    struct rng r = rng_at(7, 1, 0);
    struct bench b = { .c = conv_of(k), .blocks = k->blocks };
    b.in = (size_t)b.blocks * k->C * k->H * k->W * LANES;
    b.out = (size_t)b.blocks * k->O * b.c.OH * b.c.OW * LANES;
    b.weights = (size_t)k->O * (k->C / k->groups) * k->KH * k->KW;
    b.x = draw(&r, b.in);
    b.y = draw(&r, b.out);
    b.w = draw(&r, b.weights);
    b.bias = draw(&r, (size_t)k->O);
    size_t most = b.in > b.out ? b.in : b.out;
    most = most > b.weights ? most : b.weights;
    b.want = mem_array(most, sizeof *b.want);
    b.size = mem_array(most, sizeof *b.size);
    assert_true(b.want && b.size);
    return b;
}

static void bench_free(struct bench *b)
{
    free(b->x);
    free(b->y);
    free(b->w);
    free(b->bias);
    free(b->want);
    free(b->size);
}

static void clear(struct bench *b, size_t count)
{
    memset(b->want, 0, count * sizeof *b->want);
    memset(b->size, 0, count * sizeof *b->size);
}

static void add(struct bench *b, size_t at, double term)
{
    b->want[at] += term;
    b->size[at] += fabs(term);
}

/* Visit every (input element, weight, output element) that meet. */
typedef void meet_fn(struct bench *b, size_t in, size_t weight, size_t out);

static void meet_channel(struct bench *b, int block, int o, int channel, size_t first_weight, meet_fn *meet)
{
    const struct conv *c = &b->c;
    for (int oh = 0; oh < c->OH; oh++)
        for (int ow = 0; ow < c->OW; ow++)
            for (int tap = 0; tap < c->KH * c->KW; tap++) {
                int h = oh * c->stride_h + tap / c->KW * c->dilation_h - c->top;
                int w = ow * c->stride_w + tap % c->KW * c->dilation_w - c->left;
                if (h < 0 || h >= c->H || w < 0 || w >= c->W)
                    continue;
                size_t in = ((((size_t)block * c->C + channel) * c->H + h) * c->W + w) * LANES;
                size_t out = ((((size_t)block * c->O + o) * c->OH + oh) * c->OW + ow) * LANES;
                for (int l = 0; l < LANES; l++)
                    meet(b, in + l, first_weight + tap, out + l);
            }
}

static void meet_all(struct bench *b, meet_fn *meet)
{
    const struct conv *c = &b->c;
    int per_group = c->C / c->groups;
    for (int block = 0; block < b->blocks; block++)
        for (int o = 0; o < c->O; o++)
            for (int i = 0; i < per_group; i++)
                meet_channel(b, block, o, o / (c->O / c->groups) * per_group + i,
                             ((size_t)o * per_group + i) * c->KH * c->KW, meet);
}

static void meet_forward(struct bench *b, size_t in, size_t weight, size_t out)
{
    add(b, out, (double)b->x[in] * (double)b->w[weight]);
}

static void meet_data(struct bench *b, size_t in, size_t weight, size_t out)
{
    add(b, in, (double)b->y[out] * (double)b->w[weight]);
}

static void meet_weight(struct bench *b, size_t in, size_t weight, size_t out)
{
    add(b, weight, (double)b->y[out] * (double)b->x[in]);
}

/* Where tiles of Winograd may do the work, the error of a pixel is that of the largest one of its tile. */
static bool may_be_tiled(const struct conv *c)
{
    return c->groups == 1 && c->C > 8 && c->O > 8 && c->KH == c->KW && (c->KH == 3 || c->KH == 5) &&
           c->stride_h * c->stride_w * c->dilation_h * c->dilation_w == 1;
}

static void compare(const struct bench *b, const real *got, size_t count, const char *what, const char *name,
                    const char *set)
{
    double largest = 0;
    for (size_t i = 0; i < count && may_be_tiled(&b->c); i++)
        largest = b->size[i] > largest ? b->size[i] : largest;
    for (size_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - b->want[i]) <= 4e-6 * b->size[i] + 1e-6 * largest + 1e-30))
            fail_msg("%s of '%s' with %s: element %zu is %g, expected %g", what, name, set, i, (double)got[i],
                     b->want[i]);
}

static void check_forward(struct bench *b, const struct kernels *k, const char *name, void *scratch)
{
    real *y = mem_aligned(64, b->out * sizeof *y);
    size_t pixels = (size_t)b->c.OH * b->c.OW * LANES;
    clear(b, b->out);
    for (size_t i = 0; i < b->out; i++)
        add(b, i, (double)b->bias[i / pixels % b->c.O]);
    meet_all(b, meet_forward);
    k->conv_forward(&b->c, b->x, b->w, b->bias, y, 0, b->blocks, scratch);
    compare(b, y, b->out, "forward", name, k->name);
    free(y);
}

static void check_data(struct bench *b, const struct kernels *k, const char *name, void *scratch)
{
    real *dx = mem_aligned(64, b->in * sizeof *dx);
    clear(b, b->in);
    for (size_t i = 0; i < b->in; i++)
        add(b, i, dx[i] = (real)0.5); /* it accumulates */
    meet_all(b, meet_data);
    k->conv_backward_data(&b->c, b->y, b->w, dx, true, 0, b->blocks, scratch);
    compare(b, dx, b->in, "data gradient", name, k->name);
    clear(b, b->in);
    meet_all(b, meet_data);
    k->conv_backward_data(&b->c, b->y, b->w, dx, false, 0, b->blocks, scratch); /* whatever was there */
    compare(b, dx, b->in, "written data gradient", name, k->name);
    free(dx);
}

static void check_weight(struct bench *b, const struct kernels *k, const char *name, void *scratch)
{
    real *dw = mem_aligned(64, b->weights * sizeof *dw),
         *dbias = mem_aligned(64, (size_t)b->c.O * sizeof *dbias);
    clear(b, b->weights);
    for (size_t i = 0; i < b->weights; i++)
        add(b, i, dw[i] = (real)0.25);
    meet_all(b, meet_weight);
    k->conv_backward_weight(&b->c, b->blocks, b->x, b->y, dw, dbias, 0, b->c.O, scratch);
    compare(b, dw, b->weights, "weight gradient", name, k->name);
    clear(b, (size_t)b->c.O);
    size_t pixels = (size_t)b->c.OH * b->c.OW * LANES;
    for (size_t i = 0; i < b->out; i++)
        add(b, i / pixels % b->c.O, (double)b->y[i]);
    compare(b, dbias, (size_t)b->c.O, "bias gradient", name, k->name);
    free(dw);
    free(dbias);
}

static void *scratch_of(const struct kernels *k, const struct conv *c)
{
    void *scratch = mem_aligned(64, k->conv_scratch(c) + 64);
    assert_non_null(scratch);
    memset(scratch, 0xff, k->conv_scratch(c)); /* NaN: nothing may be read before it is written */
    return scratch;
}

static void against_plain_loops(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b = bench_new(&cases[i]);
        for (int k = 0; kernels_list[k]; k++) {
            if (!kernels_list[k]->usable())
                continue;
            void *scratch = scratch_of(kernels_list[k], &b.c);
            check_forward(&b, kernels_list[k], cases[i].name, scratch);
            check_data(&b, kernels_list[k], cases[i].name, scratch);
            check_weight(&b, kernels_list[k], cases[i].name, scratch);
            free(scratch);
        }
        bench_free(&b);
    }
}

/* Cut one stage in two at `cut`, and not at all. */
static void check_cuts(struct bench *b, const struct kernels *k, const char *name)
{
    void *scratch = scratch_of(k, &b->c);
    size_t most = b->in > b->out ? b->in : b->out;
    most = (most > b->weights ? most : b->weights) * sizeof(real);
    real *whole = mem_aligned(64, most), *parts = mem_aligned(64, most);
    assert_true(whole && parts);
    for (int cut = 1; cut < b->blocks; cut++) {
        k->conv_forward(&b->c, b->x, b->w, b->bias, whole, 0, b->blocks, scratch);
        k->conv_forward(&b->c, b->x, b->w, b->bias, parts, 0, cut, scratch);
        k->conv_forward(&b->c, b->x, b->w, b->bias, parts, cut, b->blocks, scratch);
        if (memcmp(whole, parts, b->out * sizeof *whole))
            fail_msg("forward of '%s' with %s depends on the cut", name, k->name);
        memset(whole, 0, most);
        memset(parts, 0, most);
        k->conv_backward_data(&b->c, b->y, b->w, whole, true, 0, b->blocks, scratch);
        k->conv_backward_data(&b->c, b->y, b->w, parts, true, 0, cut, scratch);
        k->conv_backward_data(&b->c, b->y, b->w, parts, true, cut, b->blocks, scratch);
        if (memcmp(whole, parts, b->in * sizeof *whole))
            fail_msg("data gradient of '%s' with %s depends on the cut", name, k->name);
    }
    for (int cut = KERNELS_OUTPUTS; cut < b->c.O; cut += KERNELS_OUTPUTS) {
        memset(whole, 0, most);
        memset(parts, 0, most);
        k->conv_backward_weight(&b->c, b->blocks, b->x, b->y, whole, NULL, 0, b->c.O, scratch);
        k->conv_backward_weight(&b->c, b->blocks, b->x, b->y, parts, NULL, 0, cut, scratch);
        k->conv_backward_weight(&b->c, b->blocks, b->x, b->y, parts, NULL, cut, b->c.O, scratch);
        if (memcmp(whole, parts, b->weights * sizeof *whole))
            fail_msg("weight gradient of '%s' with %s depends on the cut", name, k->name);
    }
    free(whole);
    free(parts);
    free(scratch);
}

static void any_cut_same_bits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b = bench_new(&cases[i]);
        for (int k = 0; kernels_list[k]; k++)
            if (kernels_list[k]->usable())
                check_cuts(&b, kernels_list[k], cases[i].name);
        bench_free(&b);
    }
}

/* Sums of codes are exact where that is asked for; and the cases above do meet tiles where it is not. */
static void codes_are_exact(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b = bench_new(&cases[i]);
        real *y = mem_aligned(64, b.out * sizeof *y), *tiled = mem_aligned(64, b.out * sizeof *tiled);
        assert_true(y && tiled);
        for (size_t j = 0; j < b.in; j++)
            b.x[j] = real_rint(b.x[j] * 255);
        for (size_t j = 0; j < b.weights; j++)
            b.w[j] = real_rint(b.w[j] * 7) / 8;
        clear(&b, b.out);
        meet_all(&b, meet_forward);
        for (int k = 0; kernels_list[k]; k++) {
            if (!kernels_list[k]->usable())
                continue;
            void *scratch = scratch_of(kernels_list[k], &b.c);
            bool same = true;
            b.c.exact = false;
            kernels_list[k]->conv_forward(&b.c, b.x, b.w, NULL, tiled, 0, b.blocks, scratch);
            b.c.exact = true;
            kernels_list[k]->conv_forward(&b.c, b.x, b.w, NULL, y, 0, b.blocks, scratch);
            for (size_t j = 0; j < b.out; j++) {
                if ((double)y[j] != b.want[j])
                    fail_msg("'%s' with %s: a sum of codes is %g, expected %g", cases[i].name,
                             kernels_list[k]->name, (double)y[j], b.want[j]);
                same = same && y[j] == tiled[j];
            }
            if (strcmp(kernels_list[k]->name, "blas") != 0 &&
                same != (strncmp(cases[i].name, "tiles, ", 7) != 0))
                fail_msg("'%s' with %s: tiles were %sused", cases[i].name, kernels_list[k]->name,
                         same ? "not " : "");
            free(scratch);
        }
        free(y);
        free(tiled);
        bench_free(&b);
    }
}

/* The weight gradient of an input that is codes: that of its numbers. */
static void codes_in_tiles(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (strncmp(cases[i].name, "tiles, ", 7) != 0)
            continue;
        struct bench b = bench_new(&cases[i]);
        const size_t pixels = (size_t)b.c.H * b.c.W, quads = (size_t)(b.c.C + 3) / 4;
        uint8_t *code = mem_aligned(64, (size_t)b.blocks * quads * pixels * LANES * 4);
        const int zero = i % 2 ? 128 : 0;
        const real step = (real)0.0125;
        assert_non_null(code);
        for (size_t at = 0; at < b.in; at++) {
            size_t lane = at % LANES, pixel = at / LANES % pixels, channel = at / LANES / pixels % b.c.C;
            size_t block = at / LANES / pixels / b.c.C;
            uint8_t *c =
                &code[((block * quads + channel / 4) * pixels + pixel) * LANES * 4 + lane * 4 + channel % 4];
            *c = (uint8_t)(127.5 + 127 * (double)b.x[at]);
            b.x[at] = (real)(*c - zero) * step;
        }
        for (int k = 0; kernels_list[k]; k++) {
            if (!kernels_list[k]->usable())
                continue;
            void *own = mem_aligned(64, kernels_list[k]->tiles->scratch(&b.c));
            real *dw = mem_aligned(64, b.weights * sizeof *dw);
            assert_true(own && dw);
            clear(&b, b.weights);
            for (size_t j = 0; j < b.weights; j++)
                add(&b, j, dw[j] = (real)0.25);
            meet_all(&b, meet_weight);
            /* in two parts, as two threads would */
            const int half = b.c.O / 2 / KERNELS_OUTPUTS * KERNELS_OUTPUTS;
            const struct coded x = { code, zero };
            kernels_list[k]->tiles->coded_weight(&b.c, b.blocks, &x, step, b.y, dw, 0, half, own);
            kernels_list[k]->tiles->coded_weight(&b.c, b.blocks, &x, step, b.y, dw, half, b.c.O, own);
            compare(&b, dw, b.weights, "weight gradient of codes", cases[i].name, kernels_list[k]->name);
            free(own);
            free(dw);
        }
        free(code);
        bench_free(&b);
    }
}

/* What was measured (tests/bench/RESULTS.md): tiles or pairs of bf16, both gradients together. */
static void tiles_or_pairs(void **state)
{
    static const struct {
        int C, size, O, kernel;
        bool tiles;
    } row[] = {
        { 64, 41, 64, 3, true },   { 64, 8, 64, 3, true },   { 32, 16, 32, 3, true },
        { 16, 32, 16, 3, false },  { 128, 8, 128, 3, true }, { 64, 33, 32, 5, false },
        { 160, 4, 320, 3, false }, { 64, 8, 64, 1, false },  { 1, 41, 64, 3, false },
    };
    (void)state;
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        const int pad = row[i].kernel / 2, size = row[i].size;
        const struct conv c = { row[i].C,      size,          size, row[i].O, size, size,
                                row[i].kernel, row[i].kernel, 1,    1,        1,    1,
                                pad,           pad,           pad,  pad,      1,    false };
        if (tiles_beat_pairs(&c) != row[i].tiles)
            fail_msg("%d to %d channels of %dx%d", c.C, c.O, size, size);
    }
}

static void found_by_name(void **state)
{
    (void)state;
    assert_string_equal(kernels_find("generic")->name, "generic");
    assert_string_equal(kernels_find("blas")->name, "blas");
    assert_null(kernels_find("abacus"));
    setenv("QUANTD_KERNELS", "generic", 1);
    assert_string_equal(kernels_best()->name, "generic");
    setenv("QUANTD_KERNELS", "abacus", 1);
    assert_true(kernels_best()->usable());
    unsetenv("QUANTD_KERNELS");
    assert_true(kernels_best()->usable());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_plain_loops), cmocka_unit_test(any_cut_same_bits),
        cmocka_unit_test(codes_are_exact),     cmocka_unit_test(codes_in_tiles),
        cmocka_unit_test(tiles_or_pairs),      cmocka_unit_test(found_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
