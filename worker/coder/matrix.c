#include "worker/coder/matrix.h"

#include "base/mem.h"
#include "worker/coder/coder_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CLEARLY 0.99 /* flags have fewer contexts than codes */

enum { UNARY = 15, MAGNITUDES = 16, SHAPES = 81, COUNTS = 13 };
/* contexts of their own: beyond them rows, inputs and places share */
enum { LINES = 1 << 14 };
/* weight sets of mixing.h: one for each kind of decision */
enum { SET_ROW, SET_INPUT, SET_BLOCK, SET_ZERO, SET_SIGN = SET_ZERO + 2, SET_MORE = SET_SIGN + 2 };

struct tables {
    struct counter alive[3], row_alive[2], input_alive[2], block_near[4];
    struct counter zero, near[5], shape[SHAPES], cross[16], crowd[COUNTS][8];
    struct counter sign, sign_near[9], sign_shape[SHAPES], sign_net[15];
    struct counter more[MAGNITUDES], more_near[7][MAGNITUDES];
    struct counter_number large;
};

/* A pass over one matrix. */
struct pass {
    struct mixing *m;
    const struct matrix *x;
    struct tables t;
    struct counter *row_zero, *row_sign, *row_more;       /* [rows] ([..][MAGNITUDES]) */
    struct counter *input_zero, *input_sign, *input_more; /* [inputs] */
    struct counter *row_block, *input_block;
    struct counter *place_zero;         /* [inner] */
    struct counter *all;                /* owned: the arrays in one piece */
    int64_t lines, tracks, places;      /* lengths of these arrays */
    uint8_t *input_lives, *block_lives; /* owned; [inputs]: this row's blocks and the row's before */
    bool bad;
};

static int64_t least64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int carve(struct pass *s, struct err *e)
{
    const size_t rows = (size_t)(s->lines = least64(s->x->rows, LINES)),
                 inputs = (size_t)(s->tracks = least64(s->x->inputs, LINES)),
                 inner = (size_t)(s->places = least64(s->x->inner, LINES));
    const size_t count = (rows + inputs) * (3 + MAGNITUDES) + inner, blocks = (size_t)s->x->inputs;
    struct counter *c = s->all = mem_array(count + 1, sizeof *c);

    s->input_lives = mem_array(blocks + 1, 1);
    s->block_lives = mem_array(2 * blocks + 1, 1);
    if (!c || !s->input_lives || !s->block_lives)
        return err_set(e, ERR_NOMEM, "out of memory for the coder's contexts");
    counters_reset(c, count);
    counters_reset((struct counter *)&s->t, sizeof s->t / sizeof *c);
    struct {
        struct counter **at;
        size_t count;
    } part[] = { { &s->row_zero, rows },      { &s->row_sign, rows },
                 { &s->row_block, rows },     { &s->row_more, rows * MAGNITUDES },
                 { &s->input_zero, inputs },  { &s->input_sign, inputs },
                 { &s->input_block, inputs }, { &s->input_more, inputs * MAGNITUDES },
                 { &s->place_zero, inner } };
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        *part[i].at = c;
        c += part[i].count;
    }
    return 0;
}

static int sign_of(int32_t v)
{
    return v > 0 ? 2 : v < 0;
}

static uint32_t size_of(int32_t v)
{
    return v < 0 ? 0 - (uint32_t)v : (uint32_t)v;
}

static int least(int64_t a, int b)
{
    return a < b ? (int)a : b;
}

struct place {
    int64_t row, input, at; /* at: within the block */
    int32_t left, up, corner, other, before,
        above;      /* in the block; the same place one input and one row before */
    int count, net; /* codes of the block (or row) so far: not zero; their signs' sum */
};

static uint32_t code_size(struct pass *s, const struct place *p, uint32_t size, uint32_t most)
{
    struct tables *t = &s->t;
    const uint32_t near = size_of(p->left) + size_of(p->up);
    const int n = near < 6 ? (int)near : 6;
    uint32_t m = 1;

    if (most > UNARY)
        return mixing_number(s->m, &t->large, size - 1) + 1;
    for (; m < most; m++) {
        struct counter *const c[] = { &t->more[m], &t->more_near[n][m],
                                      &s->row_more[p->row % s->lines * MAGNITUDES + m],
                                      &s->input_more[p->input % s->tracks * MAGNITUDES + m] };
        if (!mixing_bit(s->m, SET_MORE + least(m - 1, 2), c, 4, size > m))
            break;
    }
    return m;
}

static int32_t code_value(struct pass *s, const struct place *p, int32_t v)
{
    struct tables *t = &s->t;
    const struct matrix *x = s->x;
    const int near = !!p->left + !!p->up + !!p->corner + !!p->other;
    const int shape = sign_of(p->left) + 3 * sign_of(p->up) + 9 * sign_of(p->corner) + 27 * sign_of(p->other);
    const int cross = (p->left != 0) | (p->up != 0) << 1 | (p->before != 0) << 2 | (p->above != 0) << 3;
    const int64_t row = p->row % s->lines, input = p->input % s->tracks;
    struct counter *const zero[] = { &t->zero,
                                     &t->near[near],
                                     &s->row_zero[row],
                                     &s->input_zero[input],
                                     &s->place_zero[p->at % s->places],
                                     &t->cross[cross],
                                     &t->crowd[least(p->count, COUNTS - 1)][p->at * 8 / x->inner],
                                     &t->shape[shape] };
    if (!mixing_bit(s->m, SET_ZERO + (x->inner > 1), zero, 8, v != 0))
        return 0;
    bool negative = x->high <= 0;
    if (x->low < 0 && x->high > 0) {
        const int net = p->net > 1 ? 3 : p->net < -1 ? 0 : p->net > 0 ? 2 : p->net < 0 ? 1 : 4;
        struct counter *const sign[] = {
            &t->sign,          &t->sign_near[sign_of(p->left) + 3 * sign_of(p->up)], &t->sign_shape[shape],
            &s->row_sign[row], &t->sign_net[net * 3 + least(p->count, 2)],           &s->input_sign[input]
        };
        negative = mixing_bit(s->m, SET_SIGN + (x->inner > 1), sign, 6, v < 0);
    }
    const uint32_t most = size_of(negative ? x->low : x->high), size = code_size(s, p, size_of(v), most);
    if (!most || size > most) {
        s->bad = true;
        return 0;
    }
    return negative ? (int32_t)(0 - size) : (int32_t)size;
}

/* The neighbours of a code. Blocks of one code have theirs in the row: to the left, and above. */
static void look_around(const struct matrix *x, struct place *p, const int32_t *code)
{
    const int64_t w = x->width, at = p->at, row = x->inputs * x->inner;
    const bool inside = x->inner > 1;
    const int64_t across = inside ? at % w : 0;

    p->before = p->input ? code[-x->inner] : 0;
    p->above = p->row ? code[-row] : 0;
    if (!inside) {
        p->left = p->before;
        p->up = p->above;
        p->corner = p->row && p->input ? code[-row - 1] : 0;
        p->other = p->input > 1 ? code[-2] : 0;
        return;
    }
    p->left = across ? code[-1] : 0;
    p->up = at >= w ? code[-w] : 0;
    p->corner = across && at >= w ? code[-w - 1] : 0;
    p->other = at >= w && across + 1 < w ? code[1 - w] : 0;
}

static bool any(const int32_t *code, int64_t count, int64_t step, int64_t length)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < length; k++)
            if (code[i * step + k])
                return true;
    return false;
}

static bool code_block_alive(struct pass *s, int64_t row, int64_t input, bool alive)
{
    const uint8_t *lives = s->block_lives;
    const int near = (input ? lives[input - 1] : 0) | (row ? lives[s->x->inputs + input] << 1 : 0);
    struct counter *const c[] = { &s->t.alive[2], &s->row_block[row % s->lines],
                                  &s->input_block[input % s->tracks], &s->t.block_near[near] };

    return mixing_bit(s->m, SET_BLOCK, c, 4, alive);
}

static void code_row(struct pass *s, int64_t row, int32_t *code)
{
    const struct matrix *x = s->x;
    struct place p = { .row = row };

    for (int64_t i = 0; i < x->inputs; i++) {
        int32_t *block = code + i * x->inner;
        bool alive = s->input_lives[i];
        if (alive && x->dead_blocks)
            alive = code_block_alive(s, row, i, !s->m->decoding && any(block, 1, 0, x->inner));
        s->block_lives[i] = alive;
        if (!alive)
            continue;
        p.input = i;
        if (x->inner > 1)
            p.count = p.net = 0;
        for (p.at = 0; p.at < x->inner; p.at++) {
            look_around(x, &p, block + p.at);
            const int32_t v = code_value(s, &p, s->m->decoding ? 0 : block[p.at]);
            if (s->m->decoding)
                block[p.at] = v;
            p.count += v != 0;
            p.net += (v > 0) - (v < 0);
        }
    }
}

/* Which inputs are read by any row at all. */
static void code_inputs(struct pass *s)
{
    const struct matrix *x = s->x;
    bool before = true;

    memset(s->input_lives, 1, (size_t)x->inputs);
    for (int64_t i = 0; x->dead_inputs && i < x->inputs; i++) {
        struct counter *const c[] = { &s->t.alive[1], &s->t.input_alive[before] };
        const bool alive =
            !s->m->decoding && any(x->code + i * x->inner, x->rows, x->inputs * x->inner, x->inner);
        s->input_lives[i] = before = mixing_bit(s->m, SET_INPUT, c, 2, alive);
    }
}

static void code_rows(struct pass *s)
{
    const struct matrix *x = s->x;
    const int64_t row = x->inputs * x->inner;
    bool before = true;

    code_inputs(s);
    for (int64_t r = 0; r < x->rows && !s->bad; r++) {
        struct counter *const c[] = { &s->t.alive[0], &s->t.row_alive[before] };
        int32_t *code = x->code + r * row;
        if (x->dead_rows)
            before = mixing_bit(s->m, SET_ROW, c, 2, !s->m->decoding && any(code, 1, 0, row));
        if (s->m->decoding)
            memset(code, 0, (size_t)row * sizeof *code);
        memset(s->block_lives, 0, (size_t)x->inputs);
        if (before)
            code_row(s, r, code);
        memcpy(s->block_lives + x->inputs, s->block_lives, (size_t)x->inputs);
    }
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
        rows += !any(x->code + r * row, 1, 0, row);
    for (int64_t i = 0; i < x->inputs; i++)
        inputs += !any(x->code + i * x->inner, x->rows, row, x->inner);
    for (int64_t b = 0; b < x->rows * x->inputs; b++)
        blocks += !any(x->code + b * x->inner, 1, 0, x->inner);
    x->dead_rows = pays(x->rows, rows, codes, nonzero);
    x->dead_inputs = pays(x->inputs, inputs, codes, nonzero);
    x->dead_blocks = x->inner > 1 && pays(x->rows * x->inputs, blocks, codes, nonzero);
}

int matrix_code(struct mixing *m, const struct matrix *x, struct err *e)
{
    struct pass *s = mem_alloc(sizeof *s);

    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for the coder");
    s->m = m;
    s->x = x;
    int status = carve(s, e);
    if (!status)
        code_rows(s);
    if (!status && s->bad)
        status = err_set(e, ERR_CORRUPT, "the coded weights are damaged");
    free(s->all);
    free(s->input_lives);
    free(s->block_lives);
    free(s);
    return status;
}
