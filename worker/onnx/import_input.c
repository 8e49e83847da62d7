/* import_input.c - the data input: which one it is, where its batch is, what shape one sample has. */
#include "worker/onnx/import.h"

#include "worker/op/op.h"

#include <stdio.h>
#include <string.h>

enum { BATCH_AND_SAMPLE = GRAPH_RANK + 1 };

/* The one input that living nodes read and no initializer fills. */
static int find(struct import *im, const Onnx__ValueInfoProto **input)
{
    *input = NULL;
    for (size_t i = 0; i < im->file->n_input; ++i) {
        const Onnx__ValueInfoProto *p = im->file->input[i];
        const struct symbol *s = symbol_find(&im->symbols, p->name);
        if (s->proto || s->tensor || s->readers == 0)
            continue;
        if (*input)
            return err_set(im->e, ERR_UNSUPPORTED,
                           "The network has several inputs ('%s', '%s'); one is supported", (*input)->name,
                           p->name);
        *input = p;
    }
    return *input ? 0 : err_set(im->e, ERR_INVALID, "The network has no input that its outputs depend on");
}

/* Axes as declared; open ones (symbolic, missing, 0 or negative) as -1. Returns the rank or a negative error.
 */
static int declared(struct import *im, const Onnx__ValueInfoProto *p, struct onnx_axis axis[BATCH_AND_SAMPLE])
{
    const bool tensor = p->type && p->type->value_case == ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE; /* a union */
    const Onnx__TypeProto__Tensor *type = tensor ? p->type->tensor_type : NULL;
    if (!type || !type->shape || type->shape->n_dim < 1)
        return err_set(im->e, ERR_INVALID, "The input '%s' has no shape", p->name);
    if (type->elem_type != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
        return err_set(im->e, ERR_UNSUPPORTED, "The input '%s' is not of type float", p->name);
    if (type->shape->n_dim > BATCH_AND_SAMPLE)
        return err_set(im->e, ERR_UNSUPPORTED, "The input '%s' has more than %d axes", p->name,
                       BATCH_AND_SAMPLE);
    const int rank = (int)type->shape->n_dim;
    const bool whole = im->options && im->options->batch == ONNX_BATCH_NONE; /* then 0 is a length */
    for (int a = 0; a < rank; ++a) {
        const Onnx__TensorShapeProto__Dimension *d = type->shape->dim[a];
        const bool fixed = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        const bool named = d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        axis[a].size = fixed && d->dim_value >= !whole ? d->dim_value : -1;
        snprintf(axis[a].name, sizeof axis[a].name, "%s", named ? d->dim_param : "");
    }
    return rank;
}

static int check_batch(struct import *im, const char *name, int64_t size)
{
    im->graph->batched = im->options->batch != ONNX_BATCH_NONE;
    if (im->options->batch != ONNX_BATCH_FREE)
        return 0;
    im->graph->batch_fixed_one = size == 1;
    if (size == 1 || size == -1)
        return 0;
    return err_set(im->e, ERR_UNSUPPORTED,
                   "The input '%s' fixes its first axis, the batch, to %lld; it must be open or 1", name,
                   (long long)size);
}

/* Images of any size: height and width are open, the channels known. */
static bool size_open(const struct onnx_axis *axis, int rank)
{
    return rank == 3 && axis[0].size > 0 && axis[1].size < 0 && axis[2].size < 0;
}

static int sample_shape(struct import *im, const char *name, const struct onnx_axis *axis, int rank,
                        struct shape *sample)
{
    const struct shape *wish = im->options->sample;
    if (rank > GRAPH_RANK)
        return err_set(im->e, ERR_UNSUPPORTED, "The input '%s' has more than %d axes", name, GRAPH_RANK);
    *sample = (struct shape){ .rank = rank };
    if (wish && wish->rank != rank)
        return err_set(im->e, ERR_INVALID, "The input '%s' has %d axes without the batch, not %d", name, rank,
                       wish->rank);
    for (int a = 0; a < rank; ++a) {
        sample->dim[a] = axis[a].size >= 0 ? axis[a].size : wish ? wish->dim[a] : -1;
        if (sample->dim[a] < 0)
            return err_set(im->e, ERR_UNSUPPORTED, "The input '%s' leaves axis %s open; a size must be given",
                           name, *axis[a].name ? axis[a].name : "without a name");
        if (wish && sample->dim[a] != wish->dim[a])
            return err_set(im->e, ERR_INVALID, "The input '%s' fixes an axis to %lld, not %lld", name,
                           (long long)sample->dim[a], (long long)wish->dim[a]);
    }
    return 0;
}

int import_input(struct import *im)
{
    const Onnx__ValueInfoProto *p;
    struct onnx_axis axis[BATCH_AND_SAMPLE];
    struct shape sample;
    int bad = find(im, &p);
    if (bad)
        return bad;
    const int rank = declared(im, p, axis);
    if (rank < 0)
        return rank;
    bad = check_batch(im, p->name, axis[0].size);
    const int first = im->graph->batched ? 1 : 0;
    if (!bad)
        bad = sample_shape(im, p->name, axis + first, rank - first, &sample);
    if (bad)
        return bad;
    im->graph->size_open = im->graph->batched && size_open(axis + first, rank - first);
    const int v = graph_add_input(im->graph, p->name, &sample, im->e);
    symbol_find(&im->symbols, p->name)->value = v;
    return v < 0 ? v : 0;
}

int import_input_info(struct import *im, struct onnx_info *info)
{
    const Onnx__ValueInfoProto *p;
    const int bad = find(im, &p);
    if (bad)
        return bad;
    info->rank = declared(im, p, info->axis);
    return info->rank < 0 ? info->rank : 0;
}

/* Exporters of channels-last networks begin with this. */
static bool turns_to_nchw(const struct node *n)
{
    static const int64_t perm[] = { 0, 3, 1, 2 };
    const struct attr *a = node_attr(n, "perm");
    return strcmp(n->op->name, "Transpose") == 0 && a && a->type == ATTR_INTS && a->count == 4 &&
           memcmp(a->ints, perm, sizeof perm) == 0;
}

bool import_input_nhwc(const struct graph *g)
{
    if (!g->batched || g->value[g->input].shape.rank != 3)
        return false;
    for (int i = 0; i < g->nodes; ++i)
        for (int k = 0; k < g->node[i].inputs; ++k)
            if (g->node[i].input[k] == g->input && !turns_to_nchw(&g->node[i]))
                return false;
    return true;
}
