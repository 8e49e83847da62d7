/* matrix_pass.h - a pass over one matrix: the contexts, and the walk through the codes as lanes_matrix.c has
 * it for each instruction set. */
#ifndef WORKER_CODER_MATRIX_PASS_H
#define WORKER_CODER_MATRIX_PASS_H

#include "worker/coder/matrix.h"
#include "worker/coder/mixing.h"

enum { MATRIX_UNARY = 15, MATRIX_SIZES = 16, MATRIX_SHAPES = 81, MATRIX_COUNTS = 13 };
/* contexts of their own, a power of two: beyond them rows, inputs and places share */
enum { MATRIX_LINES = 1 << 14 };

/* A row's or an input's. */
struct matrix_line {
    struct mixed zero, sign, block;
};

struct matrix_tables {
    struct mixed alive[3], row_alive[2], input_alive[2], block_near[4];
    struct mixed zero, near[5], shape[MATRIX_SHAPES], cross[16], crowd[MATRIX_COUNTS][8];
    struct mixed sign, sign_near[9], sign_shape[MATRIX_SHAPES], sign_net[15];
    struct mixed more[MATRIX_SIZES], more_near[7][MATRIX_SIZES];
};

struct matrix_pass {
    struct mixing *m;
    const struct matrix *x;
    struct matrix_tables t;
    struct counter_number large;
    struct matrix_line *row, *input;     /* [rows], [inputs], at most MATRIX_LINES */
    struct mixed *row_more, *input_more; /* [rows][sizes], [inputs][sizes]: from size 1 on */
    struct mixed *place;                 /* [inner], at most MATRIX_LINES */
    int64_t sizes;                       /* of codes that are told in unary, less one */
    uint8_t *input_lives, *block_lives;  /* [inputs]: this row's blocks and the row's before */
    int32_t *nothing;                    /* [inputs * inner + 1] zeros: the row above the first */
    bool bad;
};

/* |v|, also of INT32_MIN. */
static inline uint32_t matrix_size(int32_t v)
{
    return v < 0 ? 0 - (uint32_t)v : (uint32_t)v;
}

/* Is any code not zero, of count pieces of so many codes, step apart? */
static inline bool matrix_any(const int32_t *code, int64_t count, int64_t step, int64_t length)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = 0; k < length; k++)
            if (code[i * step + k])
                return true;
    return false;
}

/* All rows, one after the other. */
struct matrix_walk {
    const char *name;
    bool (*usable)(void);
    void (*encode)(struct matrix_pass *s);
    void (*decode)(struct matrix_pass *s);
};

/* matrix_code() by one of the walks below. */
int matrix_code_by(const struct matrix_walk *walk, struct mixing *m, const struct matrix *x, struct err *e);

extern const struct matrix_walk *const matrix_walks[]; /* fastest first, NULL-terminated */

#endif
