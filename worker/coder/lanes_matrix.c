/* lanes_matrix.c - the walk through a matrix of codes, and what is asked about each, for one instruction set:
 * KERNEL_SET. README.md has contexts and their order. */
#include "worker/coder/matrix_pass.h"
#include "worker/coder/mixing_alone.h"

#include <string.h>

#define ALWAYS static inline __attribute__((always_inline))

#if defined(__AVX2__)
#include "worker/coder/mixing_lanes.h"
#else
#include "worker/coder/mixing_plain.h"
#endif

/* weight sets of mixing.h: one for each kind of decision */
enum { SET_ROW, SET_INPUT, SET_BLOCK, SET_ZERO, SET_SIGN = SET_ZERO + 2, SET_MORE = SET_SIGN + 2 };

/* A decision: by all its counters, or by the first alone. */
ALWAYS bool ask(struct mixing *m, bool decoding, bool alone, int set, struct mixed *const *c, int count,
                bool bit)
{
    return alone ? alone_single(m, decoding, &c[0]->alone, bit) : decide(m, decoding, set, c, count, bit);
}

/* How many of four neighbours are not zero, by their shape: their signs (0, 1 negative, 2) to the base 3. */
#define ROW3(n)  (n), (n) + 1, (n) + 1
#define ROW9(n)  ROW3(n), ROW3((n) + 1), ROW3((n) + 1)
#define ROW27(n) ROW9(n), ROW9((n) + 1), ROW9((n) + 1)
static const uint8_t near_of[MATRIX_SHAPES] = { ROW27(0), ROW27(1), ROW27(1) };

/* Which are not zero, as bits: left, up, and once more, for a block of one code; by left + 3 * up. */
static const uint8_t cross_of[9] = { 0, 5, 5, 10, 15, 15, 10, 15, 15 };

ALWAYS int sign_of(int32_t v)
{
    return (v > 0) << 1 | (v < 0);
}

ALWAYS int least(int a, int b)
{
    return a < b ? a : b;
}

/* What is known of a code before it is told. */
struct place {
    struct matrix_line *row, *input;
    int64_t row_at, input_at;    /* among those that have contexts of their own */
    struct mixed *place, *crowd; /* crowd: of codes so far and eighth of the block */
    int32_t left, up;
    int shape, cross;
    int count, net; /* codes of the block (or row) so far: not zero; their signs' sum */
};

ALWAYS uint32_t code_size(struct matrix_pass *s, bool decoding, bool alone, const struct place *p,
                          uint32_t size, uint32_t most)
{
    struct matrix_tables *t = &s->t;
    const uint32_t near = matrix_size(p->left) + matrix_size(p->up);
    struct mixed *const near_more = t->more_near[near < 6 ? near : 6];
    struct mixed *const row_more = s->row_more + p->row_at * s->sizes - 1;
    struct mixed *const input_more = s->input_more + p->input_at * s->sizes - 1;
    uint32_t m = 1;

    if (most > MATRIX_UNARY)
        return alone_number(s->m, decoding, &s->large, size - 1) + 1;
    for (; m < most; m++) {
        struct mixed *const c[] = { &t->more[m], &near_more[m], &row_more[m], &input_more[m] };
        if (!ask(s->m, decoding, alone, SET_MORE + least((int)m - 1, 2), c, 4, size > m))
            break;
    }
    return m;
}

ALWAYS int32_t code_value(struct matrix_pass *s, bool decoding, bool alone, bool inside,
                          const struct place *p, int32_t v)
{
    struct matrix_tables *t = &s->t;
    const struct matrix *x = s->x;
    struct mixed *const zero[] = {
        &t->zero, &t->near[near_of[p->shape]], &p->row->zero, &p->input->zero,
        p->place, &t->cross[p->cross],         p->crowd,      &t->shape[p->shape]
    };

    if (!ask(s->m, decoding, alone, SET_ZERO + inside, zero, 8, v != 0))
        return 0;
    bool negative = x->high <= 0;
    if (x->low < 0 && x->high > 0) {
        const int net = p->net > 1 ? 3 : p->net < -1 ? 0 : p->net > 0 ? 2 : p->net < 0 ? 1 : 4;
        struct mixed *const sign[] = { &t->sign,
                                       &t->sign_near[p->shape % 9],
                                       &t->sign_shape[p->shape],
                                       &p->row->sign,
                                       &t->sign_net[net * 3 + least(p->count, 2)],
                                       &p->input->sign };
        negative = ask(s->m, decoding, alone, SET_SIGN + inside, sign, 6, v < 0);
    }
    const uint32_t most = matrix_size(negative ? x->low : x->high),
                   size = code_size(s, decoding, alone, p, matrix_size(v), most);
    if (__builtin_expect(!most || size > most, 0)) {
        s->bad = true;
        return 0;
    }
    return negative ? (int32_t)(0 - size) : (int32_t)size;
}

/* A code that is not zero was told. */
ALWAYS void crowd(struct matrix_pass *s, struct place *p, int32_t v, int eighth)
{
    p->count++;
    p->net += v > 0 ? 1 : -1;
    p->crowd = &s->t.crowd[least(p->count, MATRIX_COUNTS - 1)][eighth];
}

ALWAYS void at_input(struct matrix_pass *s, struct place *p, int64_t input)
{
    p->input_at = input & (MATRIX_LINES - 1);
    p->input = s->input + p->input_at;
}

/* Blocks of one code: their neighbours are in the row and in the one above. */
ALWAYS void code_line(struct matrix_pass *s, bool decoding, bool alone, struct place *p, int32_t *code,
                      const int32_t *above)
{
    const int64_t inputs = s->x->inputs;
    int corner = 0, other = 0, left = 0; /* signs */

    p->place = s->place;
    p->crowd = s->t.crowd[0];
    for (int64_t i = 0; i < inputs; i++) {
        p->up = above[i];
        const int up = sign_of(p->up);
        if (s->input_lives[i]) {
            at_input(s, p, i);
            p->shape = left + 3 * up + 9 * corner + 27 * other;
            p->cross = cross_of[left + 3 * up];
            p->left = code_value(s, decoding, alone, false, p, code[i]);
            if (decoding)
                code[i] = p->left;
            if (p->left)
                crowd(s, p, p->left, 0);
        } else {
            p->left = 0;
        }
        corner = up;
        other = left;
        left = sign_of(p->left);
    }
}

/* A block of several codes: its own picture is what is near. before, above: the block of the input and of the
 * row before. */
ALWAYS void code_picture(struct matrix_pass *s, bool decoding, bool alone, struct place *p, int32_t *code,
                         const int32_t *before, const int32_t *above)
{
    const int64_t inner = s->x->inner, w = s->x->width;
    int eighth = 0;

    p->count = p->net = 0;
    p->crowd = s->t.crowd[0];
    for (int64_t at = 0, across = 0, part = 0; at < inner; at++) {
        const bool higher = at >= w;
        p->left = across ? code[at - 1] : 0;
        p->up = higher ? code[at - w] : 0;
        const int corner = across && higher ? sign_of(code[at - w - 1]) : 0;
        const int other = higher && across + 1 < w ? sign_of(code[at - w + 1]) : 0;
        p->shape = sign_of(p->left) + 3 * sign_of(p->up) + 9 * corner + 27 * other;
        p->cross = (p->left != 0) | (p->up != 0) << 1 | (before[at] != 0) << 2 | (above[at] != 0) << 3;
        p->place = s->place + (at & (MATRIX_LINES - 1));
        const int32_t v = code_value(s, decoding, alone, true, p, code[at]);
        if (decoding)
            code[at] = v;
        across = across + 1 < w ? across + 1 : 0;
        for (part += 8; part >= inner; part -= inner) {
            eighth++;
            p->crowd++;
        }
        if (v)
            crowd(s, p, v, eighth);
    }
}

ALWAYS bool code_block_alive(struct matrix_pass *s, bool decoding, bool alone, const struct place *p,
                             int64_t row, int64_t input, const int32_t *block)
{
    const uint8_t *lives = s->block_lives;
    const int near = (input ? lives[input - 1] : 0) | (row ? lives[s->x->inputs + input] << 1 : 0);
    struct mixed *const c[] = { &s->t.alive[2], &p->row->block, &p->input->block, &s->t.block_near[near] };

    return ask(s->m, decoding, alone, SET_BLOCK, c, 4, !decoding && matrix_any(block, 1, 0, s->x->inner));
}

ALWAYS void code_row(struct matrix_pass *s, bool decoding, bool alone, int64_t row, int32_t *code,
                     const int32_t *above)
{
    const struct matrix *x = s->x;
    struct place p = { .row_at = row & (MATRIX_LINES - 1), .row = s->row + (row & (MATRIX_LINES - 1)) };

    if (x->inner == 1) {
        code_line(s, decoding, alone, &p, code, above);
        return;
    }
    for (int64_t i = 0; i < x->inputs; i++) {
        const int64_t at = i * x->inner;
        bool alive = s->input_lives[i];
        at_input(s, &p, i);
        if (alive && x->dead_blocks)
            alive = code_block_alive(s, decoding, alone, &p, row, i, code + at);
        s->block_lives[i] = alive;
        if (alive)
            code_picture(s, decoding, alone, &p, code + at, i ? code + at - x->inner : s->nothing,
                         above + at);
    }
}

/* Which inputs are read by any row at all. */
ALWAYS void code_inputs(struct matrix_pass *s, bool decoding, bool alone)
{
    const struct matrix *x = s->x;
    bool before = true;

    memset(s->input_lives, 1, (size_t)x->inputs);
    for (int64_t i = 0; x->dead_inputs && i < x->inputs; i++) {
        struct mixed *const c[] = { &s->t.alive[1], &s->t.input_alive[before] };
        const bool alive =
            !decoding && matrix_any(x->code + i * x->inner, x->rows, x->inputs * x->inner, x->inner);
        s->input_lives[i] = before = ask(s->m, decoding, alone, SET_INPUT, c, 2, alive);
    }
}

ALWAYS void code_rows(struct matrix_pass *s, bool decoding, bool alone)
{
    const struct matrix *x = s->x;
    const int64_t row = x->inputs * x->inner;
    bool before = true;

    code_inputs(s, decoding, alone);
    for (int64_t r = 0; r < x->rows && !s->bad; r++) {
        struct mixed *const c[] = { &s->t.alive[0], &s->t.row_alive[before] };
        int32_t *code = x->code + r * row;
        if (x->dead_rows)
            before = ask(s->m, decoding, alone, SET_ROW, c, 2, !decoding && matrix_any(code, 1, 0, row));
        if (decoding)
            memset(code, 0, (size_t)row * sizeof *code);
        memset(s->block_lives, 0, (size_t)x->inputs);
        if (before)
            code_row(s, decoding, alone, r, code, r ? code - row : s->nothing);
        memcpy(s->block_lives + x->inputs, s->block_lives, (size_t)x->inputs);
    }
}

static void encode(struct matrix_pass *s)
{
    if (s->x->alone)
        code_rows(s, false, true);
    else
        code_rows(s, false, false);
}

static void decode(struct matrix_pass *s)
{
    if (s->x->alone)
        code_rows(s, true, true);
    else
        code_rows(s, true, false);
}

static bool usable(void)
{
#if defined(__AVX2__)
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#else
    return true;
#endif
}

#define NAME2(set)  matrix_walk_##set
#define NAME(set)   NAME2(set)
#define TEXT2(text) #text
#define TEXT(text)  TEXT2(text)

extern const struct matrix_walk NAME(KERNEL_SET);
const struct matrix_walk NAME(KERNEL_SET) = { TEXT(KERNEL_SET), usable, encode, decode };
