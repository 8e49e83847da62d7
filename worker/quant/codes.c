/* codes.c - integers for the exporter. Codes are taken from snapped weights once; nothing quantizes again. */
#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/quant/quant.h"

#include <stdlib.h>

static struct value_codes *codes_new(int bits, size_t count, float scale)
{
    struct value_codes *c = mem_alloc(sizeof *c);

    if (!c)
        return NULL;
    c->bits = bits;
    c->axis = -1;
    c->channels = 1;
    c->scale = mem_array(1, sizeof *c->scale);
    c->code = mem_array(count, sizeof *c->code);
    if (!c->scale || !c->code) {
        free(c->scale);
        free(c->code);
        free(c);
        return NULL;
    }
    c->scale[0] = scale;
    return c;
}

static void codes_free(struct value_codes *c)
{
    if (!c)
        return;
    free(c->scale);
    free(c->code);
    free(c);
}

static int weight_codes(const struct quant_weight *w, struct graph *g, struct err *e)
{
    struct value_codes *c = codes_new(w->bits, w->count, (float)w->scale);
    struct grid_rule rule = grid_rule(w->grid, w->bits, w->scale);

    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < w->count; i++) {
        c->code[i] = grid_code(&rule, g->param[w->offset + i]);
        g->param[w->offset + i] = (real)c->code[i] * w->scale;
    }
    codes_free(g->value[w->value].codes);
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

    if (!w || l->bias < 0 || !(step > 0))
        return 0;
    struct value *v = &g->value[l->bias];
    size_t count = (size_t)shape_count(&v->shape);
    real *b = g->param + v->offset, scale = step * w->scale;
    for (size_t i = 0; i < count; i++)
        if (!(real_fabs(b[i] / scale) < (real)1e9))
            return 0;
    struct value_codes *c = codes_new(32, count, (float)scale);
    if (!c)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        c->code[i] = (int32_t)real_rint(b[i] / scale);
        b[i] = (real)c->code[i] * scale;
    }
    codes_free(v->codes);
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
