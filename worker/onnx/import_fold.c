/* import_fold.c - nodes whose inputs are all known are computed here once: what exporters write to say a
 * shape (Shape, Gather, Concat, Mul...), and weights that are reshaped or transposed before use. */
#include "worker/onnx/fold.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* Of all elements that folding may make for one file: the largest real network needs half of it. */
#define FOLD_LIMIT ((int64_t)1 << 28)

static const struct fold {
    const char *op;
    int least, most; /* inputs */
    int (*fn)(struct fold_call *c);
} folds[] = {
    { "Constant", 0, 0, fold_constant },
    { "ConstantOfShape", 1, 1, fold_constant_of_shape },
    { "Identity", 1, 1, fold_identity },
    { "Cast", 1, 1, fold_cast },
    { "Shape", 1, 1, fold_shape },
    { "Gather", 2, 2, fold_gather },
    { "Concat", 1, FOLD_INPUTS, fold_concat },
    { "Slice", 1, 5, fold_slice },
    { "Squeeze", 1, 2, fold_squeeze },
    { "Unsqueeze", 1, 2, fold_unsqueeze },
    { "Reshape", 2, 2, fold_reshape },
    { "Transpose", 1, 1, fold_transpose },
    { "Add", 2, 2, fold_binary },
    { "Sub", 2, 2, fold_binary },
    { "Mul", 2, 2, fold_binary },
    { "Div", 2, 2, fold_binary },
};

static const struct fold *fold_of(const char *op)
{
    for (size_t i = 0; i < sizeof folds / sizeof *folds; ++i)
        if (strcmp(folds[i].op, op) == 0)
            return &folds[i];
    return NULL;
}

int fold_new(struct fold_call *c, enum dtype dtype, const struct shape *shape)
{
    const int64_t wish = c->im->options->fold_limit, limit = wish ? wish : FOLD_LIMIT;
    const int64_t count = shape_count(shape);
    if (count < 0 || count > limit - c->im->folded)
        return err_set(c->im->e, ERR_TOO_LARGE, "The constants computed in this file are too large");
    c->im->folded += count;
    return constant_new(dtype, shape, &c->out, c->im->e);
}

/* Shape is special: the shape of an activation is known too, but for the batch. */
static int shape_of_activation(struct fold_call *c, struct symbol *s)
{
    const int v = import_value(c->im, s), bad = v < 0 ? v : import_infer(c->im, c->im->graph->nodes);
    if (bad)
        return bad;
    const struct graph *g = c->im->graph;
    const struct shape *sample = &g->value[v].shape;
    if (!g->batched)
        return fold_shape_of(c, sample);
    struct shape whole = { .rank = sample->rank + 1, .dim = { BATCH_SIZE } };
    if (whole.rank > GRAPH_RANK)
        return err_set(c->im->e, ERR_UNSUPPORTED, "Too many dimensions");
    memcpy(whole.dim + 1, sample->dim, (size_t)sample->rank * sizeof *sample->dim);
    return fold_shape_of(c, &whole);
}

/* Inputs of the call; *known = false when one is an activation. */
static int gather_inputs(struct fold_call *c, bool *known)
{
    *known = true;
    for (size_t i = 0; i < c->p->n_input; ++i) {
        const char *name = c->p->input[i];
        struct symbol *s = *name ? symbol_find(&c->im->symbols, name) : NULL;
        c->in[i] = NULL;
        const int bad = s ? symbol_tensor(s, &c->in[i], c->im->e) : 0;
        if (bad)
            return bad;
        if (s && !c->in[i])
            *known = false;
    }
    c->inputs = (int)c->p->n_input;
    return 0;
}

int import_fold(struct import *im, const Onnx__NodeProto *p, bool *done)
{
    struct fold_call c = { .im = im, .p = p };
    const struct fold *f = fold_of(p->op_type);
    *done = false;
    if (!f || p->n_input > FOLD_INPUTS)
        return 0;
    bool known;
    int bad = gather_inputs(&c, &known);
    if (bad)
        return bad;
    const bool activation_shape = f->fn == fold_shape && !known && c.inputs == 1;
    if (!known && !activation_shape)
        return 0;
    if (c.inputs < f->least || c.inputs > f->most || p->n_output != 1 || (f->least > 0 && !*p->input[0]) ||
        (f->least > 1 && !*p->input[1]))
        return err_set(im->e, ERR_INVALID, "Wrong number of inputs or outputs");
    bad = activation_shape ? shape_of_activation(&c, symbol_find(&im->symbols, p->input[0])) : f->fn(&c);
    if (bad) {
        tensor_free(c.out);
        return bad;
    }
    symbol_find(&im->symbols, p->output[0])->tensor = c.out;
    *done = true;
    return import_planes(im, p);
}
