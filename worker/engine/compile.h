/* compile.h - what is known of each value of the graph while its program is made. */
#ifndef WORKER_ENGINE_COMPILE_H
#define WORKER_ENGINE_COMPILE_H

#include "worker/engine/program.h"

enum known_form {
    KNOWN_NOT,
    KNOWN_INPUT,  /* the sample in real numbers */
    KNOWN_CODES,  /* tensor, quantizer */
    KNOWN_LEVELS, /* tensor, planes: codes of a learned basis */
    KNOWN_SUMS,   /* a convolution whose step isn't there yet: what becomes of its sums is still open */
    KNOWN_NUMBERS /* tensor */
};

struct known {
    enum known_form form;
    int tensor;
    struct quantizer quantizer;
    struct planes planes;
    struct engine_step *sums; /* owned */
};

struct compile {
    struct program *p;
    const struct graph *g;
    struct known *known; /* by value */
    struct err *e;
};

/* compile_conv.c: Conv, Gemm and MatMul over codes become sums. */
int compile_layer(struct compile *c, const struct node *n);
/* y = x * factor + shift per channel, on sums that are still open. */
int compile_normalize(struct compile *c, const struct node *n);

/* The same layer of a program that has packed it; NULL. */
const struct engine_step *compile_packed(const struct compile *c, const struct node *n);

/* levels.c: QuantdLevels */
int compile_levels(struct compile *c, const struct node *n);
/* bases.c: a layer whose weights (w: their integers) or input are sums of a learned basis. Biases are in
 * s->shift already. */
int compile_bases(struct compile *c, const struct node *n, struct engine_step *s, const int8_t *w);

/* compile_value.c */
int compile_refuse(const struct compile *c, const char *why); /* ERR_UNSUPPORTED */
/* Is the activation a picture of the value's own shape? What is only given another shape stays where it lies.
 */
bool compile_shaped(const struct compile *c, int tensor, int value);
/* Numbers lie in the order of a flat value, too, unless they are in tiles: ERR_UNSUPPORTED. */
int compile_keeps_shape(const struct compile *c, int tensor, int value);
bool compile_is(const struct node *n, const char *op);
const struct node *compile_reader(const struct compile *c, int value); /* the only one, else NULL */

/* Scale and zero point of a Q or DQ node; the whole of a Q with the Clip behind it; the only Q behind a value
 * when nothing but the order of numbers matters until there, else NULL. */
int compile_scale(const struct compile *c, const struct node *n, struct quantizer *q);
int compile_quantizer(const struct compile *c, const struct node *n, struct quantizer *q);
const struct node *compile_ahead(const struct compile *c, int value);

int compile_codes(struct compile *c, int value, const struct quantizer *q); /* a new activation, or ERR_* */
void compile_set_codes(struct compile *c, int value, int tensor, const struct quantizer *q);
/* Close the sums of `value`: into numbers, codes by q (NULL: none), or both. *codes: the activation. */
int compile_close(struct compile *c, int value, bool numbers, const struct quantizer *q, int *codes);
int compile_numbers(struct compile *c, int value); /* whatever it is, it is numbers afterwards */
/* A step from activation `in` to `value` as numbers. */
int compile_numbers_step(struct compile *c, const struct step_type *type, const struct node *n, int in,
                         int value, double bound, struct engine_step **step);

#endif
