/* Integer convolution: every set gives the sums of a plain loop over integers, bit for bit, whatever form the
 * result takes, in any cut of the blocks. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/kernels/int8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/conv_case.h"

static const struct int8_case {
    struct conv_case conv;
    int weight; /* greatest magnitude */
} cases[] = {
    { { "one weight", 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1 }, 128 },
    { { "lenet conv2", 20, 12, 12, 50, 5, 5, 1, 1, 1, 1, 0, 0, 0, 0, 1, 3 }, 7 },
    { { "dense", 37, 1, 1, 23, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 5 }, 128 },
    { { "dense, narrow weights", 200, 1, 1, 10, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 4 }, 64 },
    { { "same 3x3", 3, 8, 8, 5, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 }, 127 },
    { { "same 3x3, 16 channels", 16, 6, 7, 16, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 }, 7 },
    { { "same 3x3, small image", 5, 3, 2, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5 }, 128 },
    { { "stride 3 by 2, lopsided padding", 2, 10, 7, 3, 4, 3, 3, 2, 1, 1, 2, 0, 1, 3, 1, 1 }, 128 },
    { { "stride larger than the kernel", 2, 11, 11, 3, 2, 2, 4, 5, 1, 1, 0, 0, 0, 0, 1, 1 }, 128 },
    { { "dilation and stride", 2, 12, 11, 3, 3, 2, 2, 3, 2, 3, 1, 2, 2, 1, 1, 1 }, 128 },
    { { "more padding than kernel", 1, 3, 3, 2, 2, 2, 1, 1, 1, 1, 3, 4, 3, 4, 1, 1 }, 128 },
    { { "two groups", 6, 5, 5, 10, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2 }, 128 },
    { { "three groups of whole quads", 12, 3, 4, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 3, 2 }, 128 },
    { { "five groups of 3 outputs", 5, 4, 6, 15, 3, 3, 2, 1, 1, 1, 1, 1, 1, 1, 5, 1 }, 128 },
    { { "six groups of 2 by 1", 12, 4, 4, 6, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6, 1 }, 128 },
    { { "depthwise", 7, 6, 6, 7, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 7, 2 }, 128 },
    { { "depthwise, two outputs each", 6, 5, 5, 12, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1, 6, 2 }, 128 },
    { { "kernel 1x7", 3, 4, 9, 5, 1, 7, 1, 1, 1, 1, 0, 3, 0, 3, 1, 1 }, 128 },
};

enum { ZERO = 3 };

struct bench {
    struct int8_conv k;
    int blocks;
    uint8_t *x;
    int8_t *w, *packed;
    int32_t *start, *want; /* want: [blocks][O][OH][OW][LANES] */
    double *factor, *shift;
};

static size_t sums(const struct bench *b)
{
    const struct conv *c = &b->k.conv;
    return (size_t)b->blocks * c->O * c->OH * c->OW * LANES;
}

static int code_at(const struct bench *b, int block, int channel, int h, int w, int lane)
{
    const struct conv *c = &b->k.conv;
    if (h < 0 || h >= c->H || w < 0 || w >= c->W)
        return ZERO;
    size_t pixel = ((size_t)(block * quads(c->C) + channel / QUAD) * c->H + h) * c->W + w;
    return b->x[(pixel * LANES + lane) * QUAD + channel % QUAD];
}

static int32_t sum_at(const struct bench *b, int block, int o, int oh, int ow, int lane)
{
    const struct conv *c = &b->k.conv;
    int channels = c->C / c->groups, first = o / (c->O / c->groups) * channels;
    int64_t sum = b->start[o];
    for (int i = 0; i < channels; i++)
        for (int kh = 0; kh < c->KH; kh++)
            for (int kw = 0; kw < c->KW; kw++)
                sum += b->w[((o * channels + i) * c->KH + kh) * c->KW + kw] *
                       code_at(b, block, first + i, oh * c->stride_h + kh * c->dilation_h - c->top,
                               ow * c->stride_w + kw * c->dilation_w - c->left, lane);
    return (int32_t)sum;
}

static void *room(size_t bytes)
{
    void *p = mem_aligned(64, bytes);
    assert_non_null(p);
    memset(p, 0, bytes);
    return p;
}

/* Codes and weights reach their ends often: that is where 16 bits would overflow. */
static struct bench bench_new(const struct int8_case *example)
{
    const struct conv_case *k = &example->conv;
    const int most = example->weight;
    struct rng r = rng_at(7, 1, 0);
    struct bench b = { .k = { .conv = conv_of(k), .zero = ZERO }, .blocks = k->blocks };
    const struct conv *c = &b.k.conv;
    size_t in = (size_t)k->blocks * quads(c->C) * c->H * c->W * PIXEL;
    size_t weights = (size_t)c->O * (c->C / c->groups) * c->KH * c->KW, rows = (size_t)quads(c->O) * QUAD;
    b.x = room(in);
    b.w = room(weights);
    b.packed = room(int8_packed(c));
    b.start = room(rows * sizeof *b.start);
    b.factor = room(rows * sizeof *b.factor);
    b.shift = room(rows * sizeof *b.shift);
    b.want = room(sums(&b) * sizeof *b.want);
    for (size_t i = 0; i < in; i++)
        b.x[i] = rng_below(&r, 3) ? (uint8_t)rng_below(&r, 256) : 255;
    for (size_t i = 0; i < weights; i++) {
        int w = rng_below(&r, 3) ? (int)rng_below(&r, 2 * (uint32_t)most) - most : -most;
        b.w[i] = (int8_t)(w == 0 && most < 128 ? most : w);
    }
    for (int o = 0; o < c->O; o++) {
        b.start[o] = (int32_t)rng_below(&r, 2000) - 1000;
        b.factor[o] = (double)(1 + rng_below(&r, 1 << 20)) / (1 << 28);
        b.shift[o] = ((double)rng_below(&r, 1 << 20) - (1 << 19)) / (1 << 12);
    }
    int8_pack(&b.k, b.w, b.packed);
    int32_t *at = b.want;
    for (int block = 0; block < b.blocks; block++)
        for (int o = 0; o < c->O; o++)
            for (int oh = 0; oh < c->OH; oh++)
                for (int ow = 0; ow < c->OW; ow++)
                    for (int lane = 0; lane < LANES; lane++)
                        *at++ = sum_at(&b, block, o, oh, ow, lane);
    return b;
}

static void bench_free(struct bench *b)
{
    free(b->x);
    free(b->w);
    free(b->packed);
    free(b->start);
    free(b->factor);
    free(b->shift);
    free(b->want);
}

static void run(const struct bench *b, const struct int8_kernels *k, const struct int8_in *x,
                const struct int8_out *y, int cut)
{
    void *scratch = room(k->scratch(&b->k));
    if (cut)
        k->conv(&b->k, x, b->packed, y, 0, cut, scratch);
    k->conv(&b->k, x, b->packed, y, cut, b->blocks, scratch);
    free(scratch);
}

static void check_sums(const struct bench *b, const struct int8_kernels *k, int cut)
{
    struct int8_in x = int8_dense_in(&b->k.conv, b->x);
    int32_t *got = room(sums(b) * sizeof *got);
    struct int8_out y = int8_dense_out(&b->k.conv, INT8_SUMS, got);
    y.start = b->start;
    run(b, k, &x, &y, cut);
    assert_memory_equal(got, b->want, sums(b) * sizeof *got);
    free(got);
}

static void check_reals(const struct bench *b, const struct int8_kernels *k)
{
    struct int8_in x = int8_dense_in(&b->k.conv, b->x);
    const struct conv *c = &b->k.conv;
    real *got = room(sums(b) * sizeof *got);
    struct int8_out y = int8_dense_out(c, INT8_REALS, got);
    y.start = b->start;
    y.factor = b->factor;
    y.shift = b->shift;
    run(b, k, &x, &y, 0);
    for (size_t i = 0, plane = (size_t)c->OH * c->OW * LANES; i < sums(b); i++) {
        size_t o = i / plane % c->O;
        double want = b->want[i] * b->factor[o] + b->shift[o];
        assert_true(fabs((double)got[i] - want) <= 1e-6 * (fabs(want) + fabs(b->shift[o])));
    }
    free(got);
}

static uint8_t code_of(const struct bench *b, size_t i, int o)
{
    double code = rint((double)b->want[i] * b->factor[o] + b->shift[o]) + ZERO;
    return (uint8_t)(code < 10 ? 10 : code > 230 ? 230 : code);
}

/* Into the middle of a larger picture, read from the middle of another, whose rim is there already. */
static void check_codes(const struct bench *b, const struct int8_kernels *k, int cut)
{
    const struct conv *c = &b->k.conv;
    ptrdiff_t W = c->W + c->left + c->right, H = c->H + c->top + c->bottom, in = quads(c->C);
    ptrdiff_t out = quads(c->O), row = c->OW + 2, plane = row * (c->OH + 1);
    uint8_t *x = room((size_t)(b->blocks * in * H * W) * PIXEL);
    uint8_t *got = room((size_t)(b->blocks * out * plane) * PIXEL);
    memset(x, ZERO, (size_t)(b->blocks * in * H * W) * PIXEL);
    for (ptrdiff_t q = 0; q < b->blocks * in; q++)
        for (int h = 0; h < c->H; h++)
            memcpy(x + ((q * H + h + c->top) * W + c->left) * PIXEL, b->x + (q * c->H + h) * c->W * PIXEL,
                   (size_t)c->W * PIXEL);
    struct int8_in from = { x + (c->top * W + c->left) * PIXEL, W, H * W, in * H * W, true };
    struct int8_out y = { .form = INT8_CODES,
                          .at = got + PIXEL,
                          .row = row,
                          .plane = plane,
                          .block = out * plane,
                          .start = b->start,
                          .factor = b->factor,
                          .shift = b->shift,
                          .zero = ZERO,
                          .low = 10,
                          .high = 230 };
    run(b, k, &from, &y, cut);
    const int32_t *want = b->want;
    for (int block = 0; block < b->blocks; block++)
        for (int o = 0; o < c->O; o++)
            for (int oh = 0; oh < c->OH; oh++)
                for (int ow = 0; ow < c->OW; ow++)
                    for (int lane = 0; lane < LANES; lane++, want++) {
                        ptrdiff_t pixel = (block * out + o / QUAD) * plane + oh * row + ow + 1;
                        uint8_t code = got[(pixel * LANES + lane) * QUAD + o % QUAD];
                        assert_int_equal(code, code_of(b, (size_t)(want - b->want), o));
                    }
    for (ptrdiff_t q = 0; q < b->blocks * out; q++) /* the rim is untouched */
        assert_int_equal(got[q * plane * PIXEL], 0);
    free(x);
    free(got);
}

static void test_convolution(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bench b = bench_new(&cases[i]);
        for (int k = 0; kernels_list[k]; k++) {
            if (!kernels_list[k]->usable())
                continue;
            print_message("%s, %s\n", cases[i].conv.name, kernels_list[k]->name);
            const struct int8_kernels *set = kernels_list[k]->int8;
            check_sums(&b, set, 0);
            check_sums(&b, set, b.blocks / 2);
            check_reals(&b, set);
            check_codes(&b, set, b.blocks / 2);
        }
        bench_free(&b);
    }
}

/* Halves go to the even neighbour, on both sides of zero. */
static void test_halves_go_to_even(void **state)
{
    static const struct {
        int32_t sum;
        int code;
    } rows[] = { { 1, 100 }, { 3, 102 }, { 5, 102 }, { -1, 100 }, { -3, 98 }, { 2, 101 }, { -2, 99 } };
    (void)state;
    for (int k = 0; kernels_list[k]; k++)
        for (size_t i = 0; kernels_list[k]->usable() && i < sizeof rows / sizeof *rows; i++) {
            struct bench b = bench_new(&cases[0]);
            memset(b.x, 0, PIXEL);
            uint8_t *got = room(PIXEL);
            struct int8_in x = int8_dense_in(&b.k.conv, b.x);
            struct int8_out y = int8_dense_out(&b.k.conv, INT8_CODES, got);
            b.start[0] = rows[i].sum;
            b.factor[0] = 0.5;
            b.shift[0] = 0;
            y.start = b.start;
            y.factor = b.factor;
            y.shift = b.shift;
            y.zero = 100;
            run(&b, kernels_list[k]->int8, &x, &y, 0);
            assert_int_equal(got[0], rows[i].code);
            free(got);
            bench_free(&b);
        }
}

static void test_codes_of_reals(void **state)
{
    enum { PIXELS = 3 };
    struct rng r = rng_at(9, 1, 0);
    real *x = room(QUAD * PIXELS * LANES * sizeof *x);
    real *back = room(QUAD * PIXELS * LANES * sizeof *back);
    uint8_t *code = room(PIXELS * PIXEL);
    struct quant_range range = { (real)0.037, 128, 1, 255, 0 };
    (void)state;
    for (int i = 0; i < QUAD * PIXELS * LANES; i++)
        x[i] = (real)(rng_uniform(&r) * 12 - 6);
    for (int k = 0; kernels_list[k]; k++)
        for (int channels = 1; kernels_list[k]->usable() && channels <= QUAD; channels++) {
            kernels_list[k]->int8->codes(code, x, PIXELS * LANES, channels, PIXELS, &range);
            for (int i = 0; i < PIXELS * PIXEL; i++) {
                int c = i % QUAD;
                real q = real_rint(x[c * PIXELS * LANES + i / QUAD] / range.scale) + 128;
                q = q < 1 ? 1 : q > 255 ? 255 : q;
                assert_int_equal(code[i], c < channels ? (int)q : 0);
            }
            kernels_list[k]->int8->numbers(back, code, PIXELS * LANES, channels, PIXELS, 128, range.scale);
            for (int i = 0; i < channels * PIXELS * LANES; i++) {
                real q = real_rint(x[i] / range.scale);
                q = q < -127 ? -127 : q > 127 ? 127 : q;
                assert_true(back[i] == q * range.scale);
            }
        }
    free(x);
    free(back);
    free(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_halves_go_to_even),
        cmocka_unit_test(test_codes_of_reals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
