/* codes.c - integers for the exporter. Codes are taken from snapped weights once; nothing quantizes again. */
#include "worker/op/op.h"
#include "worker/quant/quantizer.h"

#include <stdlib.h>

/* Channel of element i of the weight. */
static int channel_of(const struct quant_weight *w, size_t i)
{
    return (int)(w->stride == 1 ? i / (w->count / (size_t)w->channels) : i % (size_t)w->stride);
}

static int weight_codes(const struct quant_weight *w, struct graph *g, struct err *e)
{
    const struct value_codes like = {
        .bits = w->bits, .planes = w->width > 1 ? w->width : 0, .axis = w->axis, .channels = w->channels
    };
    struct value_codes *c = value_codes_new(&like, w->count);

    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int k = 0; k < w->channels * w->width; k++)
        c->scale[k] = (float)w->scale[k];
    for (size_t i = 0; i < w->count; i++) {
        const real *scale = w->scale + channel_of(w, i) * w->width;
        c->code[i] = w->quantizer->code(w, scale, g->param[w->offset + i]);
    }
    value_codes_numbers(c, &g->value[w->value].shape, g->param + w->offset);
    value_codes_free(g->value[w->value].codes);
    g->value[w->value].codes = c;
    return 0;
}

/* Step of the activation quantizer that feeds this layer; 0 when its input is float. */
static real input_step(const struct graph *g, const struct node *layer)
{
    int producer = g->value[layer->input[0]].producer;

    if (producer < 0 || strcmp(g->node[producer].op->name, "QuantdFakeQuant") != 0)
        return 0;
    return g->param[g->value[g->node[producer].input[1]].offset];
}

/* A bias that would not fit stays float. */
int quant_bias_codes(struct graph *g, const struct node *layer, struct err *e)
{
    const int at = layer->op->bias < layer->inputs ? layer->input[layer->op->bias] : -1;
    const struct value_codes *w = g->value[layer->input[layer->op->weight]].codes;
    const real step = input_step(g, layer);

    if (!w || w->planes || at < 0 || g->value[at].kind != VALUE_PARAM || !(step > 0))
        return 0;
    struct value *v = &g->value[at];
    const size_t count = (size_t)shape_count(&v->shape);
    real *b = g->param + v->offset;
    if (w->axis >= 0 && (v->shape.rank != 1 || count != (size_t)w->channels))
        return 0; /* broadcast in some other way */
    const struct value_codes like = { .bits = 32, .axis = w->axis < 0 ? -1 : 0, .channels = w->channels };
    struct value_codes *c = value_codes_new(&like, count);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int64_t k = 0; k < w->channels; k++)
        c->scale[k] = (float)(step * (real)w->scale[k]);
    for (size_t i = 0; i < count; i++) {
        const real scale = (real)c->scale[c->axis < 0 ? 0 : i];
        const real code = real_rint(b[i] / scale);
        if (!(real_fabs(code) < (real)1e9)) {
            value_codes_free(c);
            return 0;
        }
        c->code[i] = (int32_t)code;
    }
    value_codes_numbers(c, &v->shape, b);
    value_codes_free(v->codes);
    v->codes = c;
    return 0;
}

int quant_codes(const struct quant *q, struct graph *g, struct err *e)
{
    struct layer *layers = NULL;
    int count, status = 0;

    for (int i = 0; i < q->weights && !status; i++)
        status = weight_codes(&q->weight[i], g, e);
    if (!status)
        status = graph_layers(g, &layers, &count, e);
    for (int i = 0; !status && i < count; i++)
        status = quant_bias_codes(g, &g->node[layers[i].node], e);
    free(layers);
    return status;
}
