#include "worker/rate/rate.h"

#include "base/mem.h"
#include "worker/quant/method.h"
#include "worker/quant/quantizer.h"

#include <stdlib.h>

#define FROZEN_SHARE 0.5 /* of lambda, when nothing can die any more */

static const struct prune_weight *shape_of(const struct prune *p, int value)
{
    for (int i = 0; i < p->weights; i++)
        if (p->weight[i].value == value)
            return &p->weight[i];
    return NULL;
}

static int find_tensors(struct rate *r, const struct quant *q, const struct prune *p, struct err *e)
{
    size_t lines = 0;

    for (int i = 0; i < q->weights; i++) {
        const struct prune_weight *w = shape_of(p, q->weight[i].value);
        if (!w || q->weight[i].channels != 1)
            return err_set(e, ERR_INTERNAL, "layer %s can't be charged", q->weight[i].layer);
        r->tensor[i] = (struct slope_tensor){ q->code + w->offset, w->rows, w->columns, w->inner, w->turned };
        lines = w->rows + w->columns > lines ? w->rows + w->columns : lines;
    }
    r->odds = mem_array(lines + 1, sizeof *r->odds);
    return r->odds ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

int rate_new(const struct graph *g, const struct quant *q, const struct prune *p,
             const struct rate_rule *rule, struct rate **out, struct err *e)
{
    struct rate *r = mem_alloc(sizeof *r);

    *out = NULL;
    if (!r)
        return err_set(e, ERR_NOMEM, "out of memory");
    r->rule = *rule;
    r->parameters = g->param_count;
    r->weights = q->weights;
    r->slope = mem_array(r->parameters + 1, sizeof *r->slope);
    r->dead = mem_array(r->parameters + 1, sizeof *r->dead);
    r->more = mem_array((size_t)r->weights + 1, sizeof *r->more);
    r->steep = mem_array((size_t)r->weights + 1, sizeof *r->steep);
    r->tensor = mem_array((size_t)r->weights + 1, sizeof *r->tensor);
    int status =
        r->slope && r->dead && r->more && r->steep && r->tensor ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    if (!status)
        status = find_tensors(r, q, p, e);
    if (status)
        rate_free(r);
    else
        *out = r;
    return status;
}

void rate_free(struct rate *r)
{
    if (!r)
        return;
    free(r->slope);
    free(r->dead);
    free(r->more);
    free(r->steep);
    free(r->odds);
    free(r->tensor);
    free(r);
}

size_t rate_bytes(size_t parameters)
{
    return parameters * (sizeof(float) + sizeof(uint8_t));
}

void rate_begin(struct rate *r, int64_t steps)
{
    r->at = (struct rate_state){ 0 };
    r->steps = steps;
}

static void estimate(struct rate *r, const struct quant *q)
{
    r->at.bits = 0;
    for (int i = 0; i < r->weights; i++) {
        float *slope = r->slope + q->weight[i].offset;
        r->at.bits += slope_bits(&r->tensor[i], slope, r->more[i], r->odds);
        if (q->method->learns)
            r->steep[i] = slope_of_step(&r->tensor[i], slope, r->more[i]);
    }
}

static void freeze(struct rate *r, const struct quant *q)
{
    for (int i = 0; i < q->weights; i++)
        for (size_t k = q->weight[i].offset; k < q->weight[i].offset + q->weight[i].count; k++)
            r->dead[k] = q->code[k] == 0;
    r->at.frozen = 1;
}

void rate_update(struct rate *r, const struct quant *q, int64_t step)
{
    const double progress = (double)step / (double)(r->steps > 0 ? r->steps : 1);

    if (step % RATE_PERIOD == 0)
        estimate(r, q);
    if (!r->at.frozen && r->rule.freeze > 0 && progress >= 1 - r->rule.freeze)
        freeze(r, q);
    r->at.price = r->rule.lambda * (progress < r->rule.ramp ? progress / r->rule.ramp : 1) *
                  (r->at.frozen ? FROZEN_SHARE : 1);
}

void rate_costs(const struct rate *r, const struct quant *q, int i, size_t from, const real *w, size_t count,
                real *cost)
{
    const struct quant_weight *x = &q->weight[i];
    const float *slope = r->slope + x->offset + from;
    const double step = x->quantizer->step(x, x->scale);
    const real inverse = (real)(1 / step), price = (real)(r->at.price / step);

    for (size_t k = 0; k < count; k++) {
        const real u = real_fabs(w[k]) * inverse;
        const int m = u < SLOPE_LEVELS ? (int)u : SLOPE_LEVELS;
        cost[k] = price * (m ? (real)r->more[i][m - 1] : (real)slope[k]);
    }
}

/* Gradients of learned scales have LSQ's factor. */
void rate_slopes(const struct rate *r, struct quant *q)
{
    for (int i = 0; i < q->weights; i++) {
        const struct quant_weight *w = &q->weight[i];
        q->slope[w->scale - q->scale] -=
            (real)(lsq_factor(w) * r->at.price * r->steep[i] / (double)w->scale[0]);
    }
}

void rate_bury(const struct rate *r, const struct quant *q, int i, size_t from, real *w, size_t count)
{
    const uint8_t *dead = r->dead + q->weight[i].offset + from;

    for (size_t k = 0; r->at.frozen && k < count; k++)
        if (dead[k])
            w[k] = 0;
}

int rate_parts(struct rate *r, struct quant_part part[RATE_PARTS])
{
    part[0] = (struct quant_part){ &r->at, sizeof r->at };
    part[1] = (struct quant_part){ r->slope, r->parameters * sizeof *r->slope };
    part[2] = (struct quant_part){ r->dead, r->parameters * sizeof *r->dead };
    part[3] = (struct quant_part){ r->more, (size_t)r->weights * sizeof *r->more };
    part[4] = (struct quant_part){ r->steep, (size_t)r->weights * sizeof *r->steep };
    return RATE_PARTS;
}
