/* matrix.h - the model of a tensor of codes: rows of blocks, which rows, inputs and blocks live at all, and
 * each code in the light of its neighbours. Layout and contexts: README.md. */
#ifndef WORKER_CODER_MATRIX_H
#define WORKER_CODER_MATRIX_H

#include "worker/coder/mixing.h"

/* [rows][inputs][inner] codes in [low, high]; a block of inner codes is a picture of lines of `width`. */
struct matrix {
    int64_t rows, inputs, inner, width;
    int32_t low, high;
    int32_t *code;
    /* is said of each row, input, block whether it lives? The last never for blocks of one code */
    bool dead_rows, dead_inputs, dead_blocks;
    bool alone; /* decisions are their first counter's alone: faster, where the others know nothing more */
};

/* From this many codes on a message says `alone`; it is false below. */
enum { MATRIX_LARGE = 1 << 15 };

/* Where that pays, because zeros come in whole rows, inputs, blocks: sets the three. */
void matrix_choose(struct matrix *x);

/* Sets `alone`, by what a quarter of the rows costs either way. ERR_NOMEM. */
int matrix_choose_alone(struct matrix *x, struct err *e);

/* Through m, in its direction; decoding fills code. ERR_NOMEM, ERR_CORRUPT. */
int matrix_code(struct mixing *m, const struct matrix *x, struct err *e);

#endif
