#include "worker/graph/node.h"

#include "base/mem.h"
#include "worker/graph/graph.h"
#include "worker/op/op.h"

#include <stdlib.h>

static void attr_clear(struct attr *a)
{
    free(a->s);
    free(a->ints);
    free(a->floats);
    tensor_free(a->tensor);
    *a = (struct attr){ .name = a->name };
}

void node_reset(struct node *n)
{
    if (n->op->teardown)
        n->op->teardown(n);
    n->state = NULL;
}

void node_free(struct node *n)
{
    node_reset(n);
    for (size_t i = 0; i < n->attrs; i++) {
        attr_clear(&n->attr[i]);
        free(n->attr[i].name);
    }
    free(n->attr);
    free(n->name);
    free(n->layer);
    *n = (struct node){ 0 };
}

const struct attr *node_attr(const struct node *n, const char *name)
{
    for (size_t i = 0; i < n->attrs; i++)
        if (!strcmp(n->attr[i].name, name))
            return &n->attr[i];
    return NULL;
}

int64_t node_int(const struct node *n, const char *name, int64_t fallback)
{
    const struct attr *a = node_attr(n, name);
    return a && a->type == ATTR_INT ? a->i : fallback;
}

double node_float(const struct node *n, const char *name, double fallback)
{
    const struct attr *a = node_attr(n, name);
    return a && a->type == ATTR_FLOAT ? a->f : fallback;
}

/* The attribute of that name, emptied, or a new one; NULL when out of memory. */
static struct attr *attr_put(struct node *n, const char *name)
{
    struct attr *a = (struct attr *)node_attr(n, name);
    if (a) {
        attr_clear(a);
        return a;
    }
    struct attr *list = mem_grow(n->attr, n->attrs + 1, sizeof *list);
    if (!list)
        return NULL;
    n->attr = list;
    char *copy = mem_strdup(name);
    if (!copy)
        return NULL;
    n->attr[n->attrs] = (struct attr){ .name = copy };
    return &n->attr[n->attrs++];
}

int node_set_int(struct node *n, const char *name, int64_t i)
{
    struct attr *a = attr_put(n, name);
    if (!a)
        return ERR_NOMEM;
    a->type = ATTR_INT;
    a->i = i;
    return 0;
}

int node_set_float(struct node *n, const char *name, double f)
{
    struct attr *a = attr_put(n, name);
    if (!a)
        return ERR_NOMEM;
    a->type = ATTR_FLOAT;
    a->f = f;
    return 0;
}

int node_set_string(struct node *n, const char *name, const char *s)
{
    struct attr *a = attr_put(n, name);
    if (!a)
        return ERR_NOMEM;
    a->type = ATTR_STRING;
    a->s = mem_strdup(s);
    return a->s ? 0 : ERR_NOMEM;
}

static void *copy_array(const void *data, size_t count, size_t size)
{
    void *copy = mem_array(count, size);
    if (copy && count)
        memcpy(copy, data, count * size);
    return copy;
}

int node_set_ints(struct node *n, const char *name, const int64_t *ints, size_t count)
{
    struct attr *a = attr_put(n, name);
    if (!a)
        return ERR_NOMEM;
    a->type = ATTR_INTS;
    a->ints = copy_array(ints, count, sizeof *ints);
    a->count = a->ints ? count : 0;
    return a->ints ? 0 : ERR_NOMEM;
}

int node_set_floats(struct node *n, const char *name, const double *floats, size_t count)
{
    struct attr *a = attr_put(n, name);
    if (!a)
        return ERR_NOMEM;
    a->type = ATTR_FLOATS;
    a->floats = copy_array(floats, count, sizeof *floats);
    a->count = a->floats ? count : 0;
    return a->floats ? 0 : ERR_NOMEM;
}

int node_set_tensor(struct node *n, const char *name, const struct tensor *t)
{
    struct attr *a = attr_put(n, name);
    if (!a)
        return ERR_NOMEM;
    a->type = ATTR_TENSOR;
    a->tensor = tensor_copy(t);
    return a->tensor ? 0 : ERR_NOMEM;
}

int node_copy_attrs(struct node *to, const struct node *from)
{
    int r = 0;
    for (size_t i = 0; i < from->attrs && r == 0; i++) {
        const struct attr *a = &from->attr[i];
        switch (a->type) {
        case ATTR_INT:
            r = node_set_int(to, a->name, a->i);
            break;
        case ATTR_FLOAT:
            r = node_set_float(to, a->name, a->f);
            break;
        case ATTR_STRING:
            r = node_set_string(to, a->name, a->s);
            break;
        case ATTR_INTS:
            r = node_set_ints(to, a->name, a->ints, a->count);
            break;
        case ATTR_FLOATS:
            r = node_set_floats(to, a->name, a->floats, a->count);
            break;
        case ATTR_TENSOR:
            r = node_set_tensor(to, a->name, a->tensor);
            break;
        }
    }
    return r;
}
