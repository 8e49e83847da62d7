/* coder.c - speed of the coders in million weights a second, encoding and decoding, and bytes against order-0
 * entropy: each coder's record of a matrix, and the message, which is what a .qdz file of the coder cabac is
 * made of, as it chooses to take these codes and mixed, as it takes codes that depend on each other. CPU
 * time, the best of several repetitions: other users of the machine disturb that least. */
#include "worker/coder/coder.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/coder/matrix.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPEATS = 7 };

static int32_t draw_sign(struct rng *r, double zeros, int32_t low, int32_t high)
{
    (void)low;
    (void)high;
    return rng_uniform(r) < zeros ? 0 : rng_below(r, 2) ? 1 : -1;
}

static int32_t draw_laplace(struct rng *r, double spread, int32_t low, int32_t high)
{
    double u = rng_uniform(r) - 0.5, x = rint(-spread * copysign(log(1 - 2 * fabs(u)), u));
    return x < low ? low : x > high ? high : (int32_t)x;
}

static const struct sample {
    const char *name;
    int64_t rows, inputs, inner, width;
    int32_t low, high;
    int32_t (*draw)(struct rng *r, double parameter, int32_t low, int32_t high);
    double parameter;
} samples[] = {
    { "ternary, 60 % zeros", 1000, 1000, 1, 1, -1, 1, draw_sign, 0.6 },
    { "4 bits, Laplace", 1000, 1000, 1, 1, -8, 7, draw_laplace, 1.5 },
    { "8 bits, Laplace", 1000, 1000, 1, 1, -127, 127, draw_laplace, 20 },
    { "90 % pruned", 1000, 1000, 1, 1, -1, 1, draw_sign, 0.9 },
    { "99 % pruned", 1000, 1000, 1, 1, -1, 1, draw_sign, 0.99 },
    { "3x3, ternary", 256, 434, 9, 3, -1, 1, draw_sign, 0.6 },
    { "3x3, 4 bits", 256, 434, 9, 3, -8, 7, draw_laplace, 1.5 },
    { "3x3, 90 % pruned", 256, 434, 9, 3, -8, 7, draw_laplace, 0.217 },
};

struct bench {
    struct code_block block;
    struct matrix matrix;
    size_t count, bytes; /* bytes: of what was encoded last */
    double entropy;      /* in bytes */
    struct buf record;
    struct mixing message;
};

static void check(int rc)
{
    if (!rc)
        return;
    fprintf(stderr, "the coder failed: %d\n", rc);
    exit(1);
}

static void encode_record(const struct coder *c, struct bench *b)
{
    buf_clear(&b->record);
    check(c->encode(&b->block, &b->record, NULL));
    b->bytes = b->record.length;
}

static void decode_record(const struct coder *c, struct bench *b)
{
    check(c->decode(&b->block, (const uint8_t *)b->record.data, b->record.length, NULL));
}

static void encode_mixed(const struct coder *c, struct bench *b)
{
    (void)c;
    mixing_deinit(&b->message);
    check(mixing_init(&b->message, NULL, 0, NULL));
    check(matrix_code(&b->message, &b->matrix, NULL));
    check(range_encoder_finish(&b->message.encoder, NULL));
    b->bytes = b->message.encoder.length;
}

static void encode_message(const struct coder *c, struct bench *b)
{
    matrix_choose(&b->matrix);
    check(matrix_choose_alone(&b->matrix, NULL));
    encode_mixed(c, b);
}

static void decode_message(const struct coder *c, struct bench *b)
{
    struct mixing m;

    (void)c;
    check(mixing_init(&m, b->message.encoder.data, b->message.encoder.length, NULL));
    check(matrix_code(&m, &b->matrix, NULL));
    check(!range_decoder_finished(&m.decoder));
}

/* Million weights a second of one direction. */
static double measure(void (*run)(const struct coder *c, struct bench *b), const struct coder *c,
                      struct bench *b)
{
    double best = 0;

    for (int i = 0; i < REPEATS; i++) {
        const double start = clock_cpu_s();
        run(c, b);
        const double speed = (double)b->count / 1e6 / (clock_cpu_s() - start);
        best = speed > best ? speed : best;
    }
    return best;
}

static void print(const struct sample *s, const char *coder, const struct bench *b, double encoding,
                  double decoding)
{
    printf("%-20s %-8s %12.1f %12.1f %10zu %8.4f\n", s->name, coder, encoding, decoding, b->bytes,
           (double)b->bytes / b->entropy);
    fflush(stdout);
}

static void bench_sample(const struct sample *s)
{
    struct rng r = rng_at(1, 1, 0);
    struct bench b = { .count = (size_t)(s->rows * s->inputs * s->inner) };
    int32_t *code = mem_array(b.count, sizeof *code), *as_drawn = mem_array(b.count, sizeof *code);

    if (!code || !as_drawn)
        exit(1);
    for (size_t i = 0; i < b.count; i++)
        as_drawn[i] = code[i] = s->draw(&r, s->parameter, s->low, s->high);
    b.block = (struct code_block){ s->rows, s->inputs * s->inner, s->low, s->high, code };
    b.matrix = (struct matrix){ .rows = s->rows,
                                .inputs = s->inputs,
                                .inner = s->inner,
                                .width = s->width,
                                .low = s->low,
                                .high = s->high,
                                .code = code };
    b.entropy = coder_entropy(&b.block) * (double)b.count / 8;
    buf_init(&b.record, 0);
    check(mixing_init(&b.message, NULL, 0, NULL));
    double encoding = measure(encode_message, NULL, &b), decoding = measure(decode_message, NULL, &b);
    print(s, "message", &b, encoding, decoding);
    b.matrix.alone = false;
    encoding = measure(encode_mixed, NULL, &b);
    decoding = measure(decode_message, NULL, &b);
    print(s, "mixed", &b, encoding, decoding);
    for (int c = 0; coder_list[c]; c++) {
        encoding = measure(encode_record, coder_list[c], &b);
        decoding = measure(decode_record, coder_list[c], &b);
        print(s, coder_list[c]->name, &b, encoding, decoding);
    }
    check(memcmp(code, as_drawn, b.count * sizeof *code));
    mixing_deinit(&b.message);
    buf_free(&b.record);
    free(code);
    free(as_drawn);
}

int main(void)
{
    printf("%-20s %-8s %12s %12s %10s %8s\n", "codes", "coder", "encode Mw/s", "decode Mw/s", "bytes",
           "x H0");
    for (size_t s = 0; s < sizeof samples / sizeof *samples; s++)
        bench_sample(&samples[s]);
    return 0;
}
