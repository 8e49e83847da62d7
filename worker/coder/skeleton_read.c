/* skeleton_read.c - every number is checked against what it counts or indexes before it is used. */
#include "base/mem.h"
#include "worker/coder/skeleton.h"

#include <stdlib.h>
#include <string.h>

#define DIM_MOST ((uint64_t)1 << 40)

struct skeleton {
    struct wire w;
    struct graph *g;
    uint64_t parameters; /* how many elements may still come */
    int last;            /* index that differences are from */
    char name[WIRE_NAME + 1], text[WIRE_NAME + 1];
};

static int damaged(const struct skeleton *s, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "the description of the network is damaged near byte %zu", s->w.position);
}

/* False when it does not hold at most `most` elements. */
static bool get_shape(struct wire *w, struct shape *shape, uint64_t most)
{
    *shape = (struct shape){ .rank = (int)wire_number(w, GRAPH_RANK) };
    for (int i = 0; i < shape->rank; i++)
        shape->dim[i] = (int64_t)wire_number(w, DIM_MOST);
    int64_t count = shape_count(shape);
    return !w->bad && count >= 0 && (uint64_t)count <= most;
}

static void get_doubles(struct wire *w, double *f, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const uint8_t *bytes = wire_bytes(w, 8);
        uint64_t bits = 0;
        for (int k = 0; bytes && k < 8; k++)
            bits |= (uint64_t)bytes[k] << (8 * k);
        memcpy(&f[i], &bits, sizeof bits);
    }
}

/* Store n as element i; false when it does not fit the type. */
static bool set_integer(struct tensor *t, int64_t i, int64_t n)
{
    switch (t->dtype) {
    case DTYPE_INT64:
        ((int64_t *)t->data)[i] = n;
        return true;
    case DTYPE_INT32:
        ((int32_t *)t->data)[i] = (int32_t)n;
        return n == (int32_t)n;
    case DTYPE_INT8:
        ((int8_t *)t->data)[i] = (int8_t)n;
        return n == (int8_t)n;
    case DTYPE_UINT8:
        ((uint8_t *)t->data)[i] = (uint8_t)n;
        return n == (uint8_t)n;
    case DTYPE_BOOL:
        ((uint8_t *)t->data)[i] = (uint8_t)n;
        return n == 0 || n == 1;
    case DTYPE_FLOAT:
        break;
    }
    return false;
}

static void get_integers(struct wire *w, struct tensor *t)
{
    int64_t count = shape_count(&t->shape);
    for (int64_t i = 0; i < count && !w->bad; i++)
        if (!set_integer(t, i, wire_signed(w)))
            w->bad = true;
}

/* Every element takes a byte at least, a float four. */
static int get_tensor(struct skeleton *s, struct tensor **out, struct err *e)
{
    struct shape shape;
    uint8_t dtype = wire_byte(&s->w);
    if (dtype > DTYPE_BOOL || !get_shape(&s->w, &shape, wire_left(&s->w)))
        return damaged(s, e);
    struct tensor *t = tensor_new((enum dtype)dtype, &shape);
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory for a constant");
    if (dtype == DTYPE_FLOAT)
        wire_floats(&s->w, t->data, (size_t)shape_count(&shape));
    else
        get_integers(&s->w, t);
    if (s->w.bad) {
        tensor_free(t);
        return damaged(s, e);
    }
    *out = t;
    return 0;
}

static int get_const(struct skeleton *s, struct err *e)
{
    struct tensor *t;
    int rc = get_tensor(s, &t, e);
    return rc ? rc : graph_add_const(s->g, s->name, t, e);
}

static int get_param(struct skeleton *s, bool trainable, struct err *e)
{
    struct shape shape;
    if (!get_shape(&s->w, &shape, s->parameters))
        return damaged(s, e);
    s->parameters -= (uint64_t)shape_count(&shape);
    return graph_add_param(s->g, s->name, &shape, trainable, NULL, e);
}

static int get_input(struct skeleton *s, struct err *e)
{
    struct shape shape;
    if (!get_shape(&s->w, &shape, DIM_MOST))
        return damaged(s, e);
    return graph_add_input(s->g, s->name, &shape, e);
}

static int get_value(struct skeleton *s, struct err *e)
{
    uint8_t kind = wire_byte(&s->w);
    wire_string(&s->w, s->name);
    if (s->w.bad || kind > (VALUE_PARAM | 4) || (kind > VALUE_CONST && kind != (VALUE_PARAM | 4)))
        return damaged(s, e);
    switch (kind & 3) {
    case VALUE_INPUT:
        return get_input(s, e);
    case VALUE_ACT:
        return graph_add_value(s->g, s->name, e);
    case VALUE_PARAM:
        return get_param(s, kind & 4, e);
    default:
        return get_const(s, e);
    }
}

/* False when there are more than `room`, or one is no value; lowest -1 allows inputs that are left out. */
static bool get_indices(struct skeleton *s, int *index, int room, int lowest, int *count)
{
    *count = (int)wire_number(&s->w, (uint64_t)room);
    for (int i = 0; i < *count; i++) {
        int64_t difference = wire_signed(&s->w);
        if (difference < lowest - s->last || difference >= s->g->values - s->last)
            return false;
        index[i] = s->last += (int)difference;
    }
    return !s->w.bad;
}

static int get_ints(struct skeleton *s, struct node *n, struct err *e)
{
    size_t count = (size_t)wire_number(&s->w, wire_left(&s->w));
    int64_t *ints = mem_array(count, sizeof *ints);
    if (!ints)
        return err_set(e, ERR_NOMEM, "out of memory for an attribute");
    for (size_t i = 0; i < count; i++)
        ints[i] = wire_signed(&s->w);
    int rc = s->w.bad ? damaged(s, e) : node_set_ints(n, s->name, ints, count);
    free(ints);
    return rc;
}

static int get_floats(struct skeleton *s, struct node *n, struct err *e)
{
    size_t count = (size_t)wire_number(&s->w, wire_left(&s->w) / 8);
    double *floats = mem_array(count, sizeof *floats);
    if (!floats)
        return err_set(e, ERR_NOMEM, "out of memory for an attribute");
    get_doubles(&s->w, floats, count);
    int rc = s->w.bad ? damaged(s, e) : node_set_floats(n, s->name, floats, count);
    free(floats);
    return rc;
}

static int get_attr_tensor(struct skeleton *s, struct node *n, struct err *e)
{
    struct tensor *t;
    int rc = get_tensor(s, &t, e);
    if (rc)
        return rc;
    rc = node_set_tensor(n, s->name, t);
    tensor_free(t);
    return rc;
}

static int get_attr(struct skeleton *s, struct node *n, struct err *e)
{
    double f;
    wire_string(&s->w, s->name);
    uint8_t type = wire_byte(&s->w);
    if (s->w.bad || node_attr(n, s->name))
        return damaged(s, e);
    switch (type) {
    case ATTR_INT:
        return node_set_int(n, s->name, wire_signed(&s->w));
    case ATTR_FLOAT:
        get_doubles(&s->w, &f, 1);
        return node_set_float(n, s->name, f);
    case ATTR_STRING:
        return node_set_string(n, s->name, wire_string(&s->w, s->text));
    case ATTR_INTS:
        return get_ints(s, n, e);
    case ATTR_FLOATS:
        return get_floats(s, n, e);
    case ATTR_TENSOR:
        return get_attr_tensor(s, n, e);
    default:
        return damaged(s, e);
    }
}

static int get_node(struct skeleton *s, struct err *e)
{
    int input[NODE_INPUTS], output[NODE_OUTPUTS], inputs, outputs;
    wire_string(&s->w, s->text);
    wire_string(&s->w, s->name);
    if (!get_indices(s, input, NODE_INPUTS, -1, &inputs) ||
        !get_indices(s, output, NODE_OUTPUTS, 0, &outputs))
        return damaged(s, e);
    int index = graph_add_node(s->g, s->text, s->name, input, inputs, output, outputs, e);
    if (index < 0)
        return index;
    if (strcmp(s->g->node[index].name, s->name)) /* empty or taken: the graph has made another */
        return damaged(s, e);
    uint64_t attrs = wire_number(&s->w, SKELETON_ATTRS);
    int rc = 0;
    for (uint64_t i = 0; !rc && !s->w.bad && i < attrs; i++)
        rc = get_attr(s, &s->g->node[index], e);
    if (rc == ERR_NOMEM)
        return err_set(e, ERR_NOMEM, "out of memory for an attribute");
    return rc;
}

static int get_graph(struct skeleton *s, struct err *e)
{
    int rc = 0;
    s->g->opset = (int)wire_number(&s->w, 1000);
    uint8_t flags = wire_byte(&s->w);
    if (flags > 15)
        return damaged(s, e);
    s->g->batched = flags & 1;
    s->g->batch_fixed_one = flags & 2;
    s->g->input_nhwc = flags & 4;
    s->g->size_open = flags & 8;
    uint64_t values = wire_number(&s->w, GRAPH_MAX_VALUES);
    for (uint64_t i = 0; rc >= 0 && !s->w.bad && i < values; i++)
        rc = get_value(s, e);
    uint64_t nodes = rc >= 0 ? wire_number(&s->w, GRAPH_MAX_NODES) : 0;
    for (uint64_t i = 0; rc >= 0 && !s->w.bad && i < nodes; i++)
        rc = get_node(s, e);
    if (rc < 0)
        return rc;
    if (!get_indices(s, s->g->output, NODE_OUTPUTS, 0, &s->g->outputs) || wire_left(&s->w))
        return damaged(s, e);
    return 0;
}

int skeleton_read(const uint8_t *data, size_t length, uint64_t parameters, struct graph **g, struct err *e)
{
    *g = NULL;
    struct skeleton *s = mem_alloc(sizeof *s);
    if (!s)
        return err_set(e, ERR_NOMEM, "out of memory for the network");
    *s = (struct skeleton){ .w = { .data = data, .length = length }, .parameters = parameters };
    s->g = graph_new(wire_string(&s->w, s->name));
    int rc = s->g ? get_graph(s, e) : err_set(e, ERR_NOMEM, "out of memory for the network");
    /* What the graph refuses (a name twice, no such value) was not written by us. */
    if (rc == ERR_INVALID || rc == ERR_INTERNAL || rc == ERR_TOO_LARGE)
        rc = damaged(s, e);
    if (rc) {
        graph_free(s->g);
        s->g = NULL;
    }
    *g = s->g;
    free(s);
    return rc;
}
