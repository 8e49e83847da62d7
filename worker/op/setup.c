#include "worker/op/setup.h"

#include "base/mem.h"

#include <stdlib.h>

int setup_attrs(const struct node *n, const char *const *known, struct err *e)
{
    for (size_t i = 0; i < n->attrs; i++) {
        int k = 0;
        while (known[k] && strcmp(known[k], n->attr[i].name))
            k++;
        if (!known[k])
            return err_set(e, ERR_UNSUPPORTED, "The attribute '%s' is not supported", n->attr[i].name);
    }
    return 0;
}

bool setup_has(const struct node *n, int input)
{
    return input < n->inputs && n->input[input] >= 0;
}

int setup_inputs(const struct node *n, int least, int most, struct err *e)
{
    if (n->inputs > most)
        return err_set(e, ERR_UNSUPPORTED, "%d inputs; at most %d are supported", n->inputs, most);
    for (int i = 0; i < least; i++)
        if (!setup_has(n, i))
            return err_set(e, ERR_INVALID, "Input %d is missing", i + 1);
    return 0;
}

int setup_arity(const struct node *n, int least, int most, struct err *e)
{
    int r = setup_inputs(n, least, most, e);
    if (r < 0)
        return r;
    if (n->outputs != 1)
        return err_set(e, ERR_UNSUPPORTED, "%d outputs are used; one is supported", n->outputs);
    return 0;
}

const struct shape *setup_activation(const struct graph *g, const struct node *n, int input, struct err *e)
{
    const struct value *v = &g->value[n->input[input]];
    if (v->kind == VALUE_INPUT || v->kind == VALUE_ACT)
        return &v->shape;
    err_set(e, ERR_UNSUPPORTED, "Input %d ('%s') is a constant; only computed values are supported there",
            input + 1, v->name);
    return NULL;
}

const struct shape *setup_param(const struct graph *g, const struct node *n, int input, struct err *e)
{
    const struct value *v = &g->value[n->input[input]];
    if (v->kind == VALUE_PARAM || v->kind == VALUE_CONST)
        return &v->shape;
    err_set(e, ERR_UNSUPPORTED, "Input %d ('%s') is computed; only parameters are supported there", input + 1,
            v->name);
    return NULL;
}

int setup_vector(const struct graph *g, const struct node *n, int input, int64_t count, struct err *e)
{
    char text[128];
    const struct shape *s = setup_param(g, n, input, e);
    if (!s)
        return ERR_UNSUPPORTED;
    if (shape_count(s) == count)
        return 0;
    shape_text(s, text, sizeof text);
    return err_set(e, ERR_INVALID, "Input %d ('%s') has the shape %s; %lld elements are expected", input + 1,
                   g->value[n->input[input]].name, text, (long long)count);
}

int setup_axis(const struct graph *g, int rank, int64_t axis, int *out, struct err *e)
{
    int full = rank + (g->batched ? 1 : 0);
    int64_t at = axis < 0 ? axis + full : axis;
    if (at < 0 || at >= full)
        return err_set(e, ERR_INVALID, "Axis %lld of %d dimensions", (long long)axis, full);
    if (g->batched && at == 0)
        return err_set(e, ERR_UNSUPPORTED, "Axis %lld is the batch", (long long)axis);
    *out = (int)at - (g->batched ? 1 : 0);
    return 0;
}

int setup_word(const struct node *n, const char *name, const char *const *words, int *index, struct err *e)
{
    const struct attr *a = node_attr(n, name);
    *index = 0;
    if (!a)
        return 0;
    if (a->type != ATTR_STRING)
        return err_set(e, ERR_INVALID, "The attribute '%s' is no text", name);
    for (; words[*index]; ++*index)
        if (!strcmp(a->s, words[*index]))
            return 0;
    return err_set(e, ERR_UNSUPPORTED, "'%s' is '%.40s', which is not supported", name, a->s);
}

static int too_many(struct err *e, const char *name, int capacity)
{
    return err_set(e, ERR_UNSUPPORTED, "'%s' has more than %d elements", name, capacity);
}

int setup_ints(const struct graph *g, const struct node *n, const char *name, int input, int64_t *out,
               int capacity, int *count, struct err *e)
{
    const struct attr *a = node_attr(n, name);
    *count = -1;
    if (a && a->type != ATTR_INTS)
        return err_set(e, ERR_INVALID, "The attribute '%s' is no list of integers", name);
    if (a) {
        if (a->count > (size_t)capacity)
            return too_many(e, name, capacity);
        *count = (int)a->count;
        for (int i = 0; i < *count; i++)
            out[i] = a->ints[i];
        return 0;
    }
    if (input < 0 || !setup_has(n, input))
        return 0;
    const struct value *v = &g->value[n->input[input]];
    if (v->kind != VALUE_CONST || v->constant->dtype == DTYPE_FLOAT)
        return err_set(e, ERR_UNSUPPORTED, "Input %d ('%s') must be constant integers", input + 1, v->name);
    int64_t elements = shape_count(&v->shape);
    if (elements > capacity)
        return too_many(e, name, capacity);
    *count = (int)elements;
    for (int i = 0; i < *count; i++)
        out[i] = tensor_integer(v->constant, i);
    return 0;
}

int setup_scalar(const struct graph *g, const struct node *n, int input, double *out, struct err *e)
{
    int r = setup_vector(g, n, input, 1, e);
    if (r < 0)
        return r;
    const struct value *v = &g->value[n->input[input]];
    *out = v->kind == VALUE_PARAM ? (double)g->param[v->offset] : tensor_number(v->constant, 0);
    return 0;
}

void setup_output(struct graph *g, const struct node *n, const struct shape *shape)
{
    g->value[n->output[0]].shape = *shape;
}

void *setup_state(struct node *n, size_t size, struct err *e)
{
    n->state = mem_alloc(size);
    if (!n->state)
        err_set(e, ERR_NOMEM, "Out of memory for the network");
    return n->state;
}

void setup_teardown(struct node *n)
{
    free(n->state);
    n->state = NULL;
}

size_t setup_block(const struct graph *g, int value)
{
    return (size_t)shape_count(&g->value[value].shape) * LANES;
}
