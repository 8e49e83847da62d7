/* import_attr.c - attributes of nodes, from the file to the graph. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

const Onnx__AttributeProto *import_attr(const Onnx__NodeProto *p, const char *name)
{
    for (size_t i = 0; i < p->n_attribute; ++i)
        if (p->attribute[i]->name && strcmp(p->attribute[i]->name, name) == 0)
            return p->attribute[i];
    return NULL;
}

int64_t import_attr_int(const Onnx__NodeProto *p, const char *name, int64_t fallback)
{
    const Onnx__AttributeProto *a = import_attr(p, name);
    return a && a->has_i ? a->i : fallback;
}

/* Files of IR 1 leave the type out: then the field that is filled tells. */
static int type_of(const Onnx__AttributeProto *a)
{
    if (a->has_type)
        return (int)a->type;
    if (a->has_f)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
    if (a->has_i)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT;
    if (a->has_s)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING;
    if (a->n_ints)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
    if (a->n_floats)
        return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS;
    return ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED;
}

static int copy_string(const Onnx__AttributeProto *a, struct node *n)
{
    char *text =
        mem_printf("%.*s", a->s.len > 256 ? 256 : (int)a->s.len, a->s.len ? (const char *)a->s.data : "");
    const int bad = text ? node_set_string(n, a->name, text) : ERR_NOMEM;
    free(text);
    return bad;
}

static int copy_floats(const Onnx__AttributeProto *a, struct node *n)
{
    double *wide = mem_array(a->n_floats, sizeof *wide);
    if (!wide)
        return ERR_NOMEM;
    for (size_t i = 0; i < a->n_floats; ++i)
        wide[i] = (double)a->floats[i];
    const int bad = node_set_floats(n, a->name, wide, a->n_floats);
    free(wide);
    return bad;
}

int import_attr_copy(const Onnx__AttributeProto *a, struct node *n, struct err *e)
{
    if (!a->name || !*a->name)
        return err_set(e, ERR_INVALID, "An attribute has no name");
    int bad;
    switch (type_of(a)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        bad = node_set_int(n, a->name, a->i);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        bad = node_set_float(n, a->name, (double)a->f);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        bad = copy_string(a, n);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        bad = node_set_ints(n, a->name, a->ints, a->n_ints);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        bad = copy_floats(a, n);
        break;
    default:
        return err_set(e, ERR_UNSUPPORTED, "The kind of its attribute '%s' is not supported", a->name);
    }
    return bad ? err_set(e, bad, "Out of memory for attribute '%s'", a->name) : 0;
}
