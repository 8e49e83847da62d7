/* skeleton_write.c - layout: README.md, section "skeleton". */
#include "worker/coder/skeleton.h"
#include "worker/op/op.h"

#include <string.h>

static void put_shape(struct buf *out, const struct shape *s)
{
    wire_put_number(out, (uint64_t)s->rank);
    for (int i = 0; i < s->rank; i++)
        wire_put_number(out, (uint64_t)s->dim[i]);
}

static void put_doubles(struct buf *out, const double *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, &f[i], sizeof bits);
        for (int shift = 0; shift < 64; shift += 8)
            wire_put_byte(out, (uint8_t)(bits >> shift));
    }
}

static void put_tensor(struct buf *out, const struct tensor *t)
{
    int64_t count = shape_count(&t->shape);
    wire_put_byte(out, (uint8_t)t->dtype);
    put_shape(out, &t->shape);
    if (t->dtype == DTYPE_FLOAT)
        wire_put_floats(out, t->data, (size_t)count);
    else
        for (int64_t i = 0; i < count; i++)
            wire_put_signed(out, tensor_integer(t, i));
}

/* A name that the reader would refuse must not be written. */
static int put_name(struct buf *out, const char *name, struct err *e)
{
    if (strlen(name) > WIRE_NAME)
        return err_set(e, ERR_INVALID, "the name '%.40s...' is longer than %d bytes", name, WIRE_NAME);
    wire_put_string(out, name);
    return 0;
}

static int put_value(struct buf *out, const struct value *v, struct err *e)
{
    wire_put_byte(out, (uint8_t)(v->kind | (v->kind == VALUE_PARAM && v->trainable ? 4 : 0)));
    int rc = put_name(out, v->name, e);
    if (rc)
        return rc;
    if (v->kind == VALUE_INPUT || v->kind == VALUE_PARAM)
        put_shape(out, &v->shape);
    if (v->kind == VALUE_CONST)
        put_tensor(out, v->constant);
    return 0;
}

static int put_attr(struct buf *out, const struct attr *a, struct err *e)
{
    int rc = put_name(out, a->name, e);
    if (rc)
        return rc;
    wire_put_byte(out, (uint8_t)a->type);
    switch (a->type) {
    case ATTR_INT:
        wire_put_signed(out, a->i);
        break;
    case ATTR_FLOAT:
        put_doubles(out, &a->f, 1);
        break;
    case ATTR_STRING:
        return put_name(out, a->s, e);
    case ATTR_INTS:
        wire_put_number(out, a->count);
        for (size_t i = 0; i < a->count; i++)
            wire_put_signed(out, a->ints[i]);
        break;
    case ATTR_FLOATS:
        wire_put_number(out, a->count);
        put_doubles(out, a->floats, a->count);
        break;
    case ATTR_TENSOR:
        put_tensor(out, a->tensor);
        break;
    }
    return 0;
}

/* Most nodes use values that were made just before: differences are small numbers. */
static void put_indices(struct buf *out, const int *index, int count, int *last)
{
    wire_put_number(out, (uint64_t)count);
    for (int i = 0; i < count; i++) {
        wire_put_signed(out, index[i] - *last);
        *last = index[i];
    }
}

static int put_node(struct buf *out, const struct node *n, int *last, struct err *e)
{
    wire_put_string(out, n->op->name);
    int rc = put_name(out, n->name, e);
    if (n->attrs > SKELETON_ATTRS)
        return err_set(e, ERR_INVALID, "node %s has more than %d attributes", n->name, SKELETON_ATTRS);
    put_indices(out, n->input, n->inputs, last);
    put_indices(out, n->output, n->outputs, last);
    wire_put_number(out, n->attrs);
    for (size_t i = 0; !rc && i < n->attrs; i++)
        rc = put_attr(out, &n->attr[i], e);
    return rc;
}

int skeleton_write(const struct graph *g, struct buf *out, struct err *e)
{
    int last = 0, rc = put_name(out, g->name, e);
    wire_put_number(out, (uint64_t)g->opset);
    wire_put_byte(out,
                  (uint8_t)(g->batched | g->batch_fixed_one << 1 | g->input_nhwc << 2 | g->size_open << 3));
    wire_put_number(out, (uint64_t)g->values);
    for (int i = 0; !rc && i < g->values; i++)
        rc = put_value(out, &g->value[i], e);
    wire_put_number(out, (uint64_t)g->nodes);
    for (int i = 0; !rc && i < g->nodes; i++)
        rc = put_node(out, &g->node[i], &last, e);
    put_indices(out, g->output, g->outputs, &last);
    return rc;
}
