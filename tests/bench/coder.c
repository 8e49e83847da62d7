/* coder.c - speed of every coder in million weights a second, encoding and decoding, and bytes against
 * entropy. */
#include "worker/coder/coder.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS    1000
#define COLUMNS 1000
#define SECONDS 0.5

static int32_t draw_ternary(struct rng *r)
{
    return rng_uniform(r) < 0.6 ? 0 : rng_below(r, 2) ? 1 : -1;
}

static int32_t draw_laplace(struct rng *r)
{
    double u = rng_uniform(r) - 0.5, x = rint(-1.5 * copysign(log(1 - 2 * fabs(u)), u));
    return x < -8 ? -8 : x > 7 ? 7 : (int32_t)x;
}

static const struct {
    const char *name;
    int32_t low, high;
    int32_t (*draw)(struct rng *r);
} samples[] = {
    { "ternary, 60 % zeros", -1, 1, draw_ternary },
    { "4 bits, Laplace", -8, 7, draw_laplace },
};

/* Million weights a second of one direction, over at least SECONDS. */
static double measure(const struct coder *c, struct code_block *b, struct buf *out, bool decoding)
{
    int64_t start = clock_mono_ns(), spent;
    int rounds = 0;
    do {
        int rc;
        if (decoding) {
            rc = c->decode(b, (const uint8_t *)out->data, out->length, NULL);
        } else {
            buf_clear(out);
            rc = c->encode(b, out, NULL);
        }
        if (rc)
            exit(1);
        rounds++;
        spent = clock_mono_ns() - start;
    } while ((double)spent < SECONDS * 1e9);
    return (double)rounds * ROWS * COLUMNS / ((double)spent / 1e3);
}

int main(void)
{
    int32_t *code = mem_array((size_t)ROWS * COLUMNS, sizeof *code);
    if (!code)
        return 1;
    printf("%-20s %-8s %12s %12s %10s %8s\n", "codes", "coder", "encode Mw/s", "decode Mw/s", "bytes",
           "x H0");
    for (size_t s = 0; s < sizeof samples / sizeof *samples; s++) {
        struct rng r = rng_at(1, 1, 0);
        for (size_t i = 0; i < (size_t)ROWS * COLUMNS; i++)
            code[i] = samples[s].draw(&r);
        struct code_block b = { ROWS, COLUMNS, samples[s].low, samples[s].high, code };
        double bound = coder_entropy(&b) * ROWS * COLUMNS / 8;
        for (int c = 0; coder_list[c]; c++) {
            struct buf out;
            buf_init(&out, 0);
            double encoding = measure(coder_list[c], &b, &out, false);
            double decoding = measure(coder_list[c], &b, &out, true);
            printf("%-20s %-8s %12.1f %12.1f %10zu %8.4f\n", samples[s].name, coder_list[c]->name, encoding,
                   decoding, out.length, (double)out.length / bound);
            buf_free(&out);
        }
    }
    free(code);
    return 0;
}
