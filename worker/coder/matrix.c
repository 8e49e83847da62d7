#include "worker/coder/matrix.h"

#include "base/mem.h"
#include "worker/coder/matrix_pass.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLEARLY     0.99  /* flags have fewer contexts than codes */
#define MIXING_PAYS 0.999 /* of the bytes; it takes four times as long */
#define SMALL       4096  /* bytes that are not worth to be any faster */

extern const struct matrix_walk matrix_walk_avx2, matrix_walk_generic;

const struct matrix_walk *const matrix_walks[] = { &matrix_walk_avx2, &matrix_walk_generic, NULL };

static const struct matrix_walk *best_walk(void)
{
    const char *wanted = getenv("QUANTD_KERNELS");

    for (int i = 0; wanted && matrix_walks[i]; i++)
        if (strcmp(wanted, matrix_walks[i]->name) == 0 && matrix_walks[i]->usable())
            return matrix_walks[i];
    for (int i = 0;; i++) /* generic is always usable */
        if (matrix_walks[i]->usable())
            return matrix_walks[i];
}

/* Entropy of a bit, in bits. */
static double surprise(double p)
{
    return p > 0 && p < 1 ? -p * log2(p) - (1 - p) * log2(1 - p) : 0;
}

/* Zero or not, said of each of `groups` groups first, then of each code in those that live: fewer bits than
 * of all codes at once? */
static bool pays(int64_t groups, int64_t dead, int64_t codes, int64_t nonzero)
{
    const double all = (double)codes, alive = all * (double)(groups - dead) / (double)groups;

    return dead && dead < groups &&
           (double)groups * surprise((double)dead / (double)groups) +
                   alive * surprise((double)nonzero / alive) <
               CLEARLY * all * surprise((double)nonzero / all);
}

void matrix_choose(struct matrix *x)
{
    const int64_t row = x->inputs * x->inner, codes = x->rows * row;
    int64_t nonzero = 0, rows = 0, inputs = 0, blocks = 0;

    for (int64_t i = 0; i < codes; i++)
        nonzero += x->code[i] != 0;
    for (int64_t r = 0; r < x->rows; r++)
        rows += !matrix_any(x->code + r * row, 1, 0, row);
    for (int64_t i = 0; i < x->inputs; i++)
        inputs += !matrix_any(x->code + i * x->inner, x->rows, row, x->inner);
    for (int64_t b = 0; x->inner > 1 && b < x->rows * x->inputs; b++)
        blocks += !matrix_any(x->code + b * x->inner, 1, 0, x->inner);
    x->dead_rows = pays(x->rows, rows, codes, nonzero);
    x->dead_inputs = pays(x->inputs, inputs, codes, nonzero);
    x->dead_blocks = x->inner > 1 && pays(x->rows * x->inputs, blocks, codes, nonzero);
}

static int64_t least64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many decisions in unary tell a size up to that of this bound; either side has its own. */
static int64_t unary_sizes(int32_t bound)
{
    const uint32_t most = matrix_size(bound);

    return most && most <= MATRIX_UNARY ? most - 1 : 0;
}

/* The first counters of all decisions begin even. */
static void begin_alone(struct matrix_tables *t)
{
    const struct counter even = { .p = MIXING_ONE / 2 };

    for (int i = 0; i < 3; i++)
        t->alive[i].alone = even;
    for (int i = 0; i < MATRIX_SIZES; i++)
        t->more[i].alone = even;
    t->zero.alone = t->sign.alone = even;
}

/* Memory for the contexts, in one piece: *mixed, *bytes and s->nothing are the caller's to free. */
static int carve(struct matrix_pass *s, struct mixed **mixed, uint8_t **bytes, struct err *e)
{
    const struct matrix *x = s->x;
    const size_t rows = (size_t)least64(x->rows, MATRIX_LINES),
                 inputs = (size_t)least64(x->inputs, MATRIX_LINES),
                 inner = (size_t)least64(x->inner, MATRIX_LINES), line = sizeof *s->row / sizeof **mixed;
    const int64_t low = unary_sizes(x->low), high = unary_sizes(x->high);

    s->sizes = low > high ? low : high;
    const size_t each = line + (size_t)s->sizes, count = (rows + inputs) * each + inner;
    *mixed = mem_array(count + 1, sizeof **mixed);
    *bytes = mem_array(3 * (size_t)x->inputs + 1, 1);
    s->nothing = mem_array((size_t)(x->inputs * x->inner) + 1, sizeof *s->nothing);
    if (!*mixed || !*bytes || !s->nothing)
        return err_set(e, ERR_NOMEM, "out of memory for the coder's contexts");
    if (x->alone)
        begin_alone(&s->t);
    counters_reset((struct counter *)&s->large, sizeof s->large / sizeof(struct counter));
    s->row = (struct matrix_line *)*mixed;
    s->input = s->row + rows;
    s->row_more = (struct mixed *)(s->input + inputs);
    s->input_more = s->row_more + rows * (size_t)s->sizes;
    s->place = s->input_more + inputs * (size_t)s->sizes;
    s->input_lives = *bytes;
    s->block_lives = *bytes + x->inputs;
    return 0;
}

/* How long the first `rows` rows are. */
static int try_out(const struct matrix *x, int64_t rows, bool alone, size_t *length, struct err *e)
{
    struct matrix part = *x;
    struct mixing m;

    part.rows = rows;
    part.alone = alone;
    int status = mixing_init(&m, NULL, 0, e);
    if (!status)
        status = matrix_code(&m, &part, e);
    if (!status)
        status = range_encoder_finish(&m.encoder, e);
    *length = m.encoder.length;
    mixing_deinit(&m);
    return status;
}

int matrix_choose_alone(struct matrix *x, struct err *e)
{
    const int64_t row = x->inputs * x->inner, least = (MATRIX_LARGE + row - 1) / row,
                  rows = x->rows / 4 > least ? x->rows / 4 : least;
    size_t mixed, alone;
    int status = try_out(x, least64(rows, x->rows), false, &mixed, e);

    if (!status)
        status = try_out(x, least64(rows, x->rows), true, &alone, e);
    x->alone = !status && alone >= SMALL && (double)mixed >= MIXING_PAYS * (double)alone;
    return status;
}

int matrix_code(struct mixing *m, const struct matrix *x, struct err *e)
{
    return matrix_code_by(best_walk(), m, x, e);
}

int matrix_code_by(const struct matrix_walk *walk, struct mixing *m, const struct matrix *x, struct err *e)
{
    struct matrix_pass *s = mem_alloc(sizeof *s);
    struct mixed *mixed = NULL;
    uint8_t *bytes = NULL;

    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for the coder");
    s->m = m;
    s->x = x;
    int status = carve(s, &mixed, &bytes, e);
    if (!status)
        (m->decoding ? walk->decode : walk->encode)(s);
    if (!status && s->bad)
        status = err_set(e, ERR_CORRUPT, "the coded weights are damaged");
    free(mixed);
    free(bytes);
    free(s->nothing);
    free(s);
    return status;
}
