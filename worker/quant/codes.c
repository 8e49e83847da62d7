/* codes.c - integers for the exporter. Codes are taken from snapped weights once; nothing quantizes again. */
#include "worker/op/op.h"
#include "worker/quant/quantizer.h"

#include <stdlib.h>

/* count codes with the scales of w, each times `factor`, along that axis where there are several. */
static struct value_codes *codes_new(const struct quant_weight *w, int axis, int bits, size_t count,
                                     real factor)
{
    const struct value_codes like = { .bits = bits,
                                      .planes = w->width > 1 ? w->width : 0,
                                      .axis = w->axis < 0 ? -1 : axis,
                                      .channels = w->channels };
    struct value_codes *c = value_codes_new(&like, count);

    if (!c)
        return NULL;
    for (int k = 0; k < w->channels * w->width; k++)
        c->scale[k] = (float)(factor * w->scale[k]);
    return c;
}

/* Channel of element i of the weight. */
static int channel_of(const struct quant_weight *w, size_t i)
{
    return (int)(w->stride == 1 ? i / (w->count / (size_t)w->channels) : i % (size_t)w->stride);
}

static int weight_codes(const struct quant_weight *w, struct graph *g, struct err *e)
{
    struct value_codes *c = codes_new(w, w->axis, w->bits, w->count, 1);

    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
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

static const struct quant_weight *weight_of(const struct quant *q, int value)
{
    for (int i = 0; i < q->weights; i++)
        if (q->weight[i].value == value)
            return &q->weight[i];
    return NULL;
}

/* int32 bias in units of the accumulator: input step * weight scale. A bias that would not fit stays float.
 */
static int bias_codes(const struct quant *q, struct graph *g, const struct layer *l, struct err *e)
{
    const struct quant_weight *w = weight_of(q, l->weight);
    real step = input_step(g, &g->node[l->node]);

    if (!w || w->width > 1 || l->bias < 0 || !(step > 0))
        return 0;
    struct value *v = &g->value[l->bias];
    size_t count = (size_t)shape_count(&v->shape);
    real *b = g->param + v->offset;
    if (w->axis >= 0 && (v->shape.rank != 1 || count != (size_t)w->channels))
        return 0; /* broadcast in some other way */
    struct value_codes *c = codes_new(w, 0, 32, count, step);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        const real scale = (real)c->scale[c->axis < 0 ? 0 : i];
        const real code = real_rint(b[i] / scale);
        if (!(real_fabs(code) < (real)1e9)) {
            value_codes_free(c);
            return 0;
        }
        c->code[i] = (int32_t)code;
    }
    for (size_t i = 0; i < count; i++)
        b[i] = (real)c->code[i] * (real)c->scale[c->axis < 0 ? 0 : i];
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
        status = bias_codes(q, g, &layers[i], e);
    free(layers);
    return status;
}
