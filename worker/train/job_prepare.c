/* job_prepare.c - from the specification to quantizers: widths per layer, overrides, calibration. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/mem.h"

#include <fnmatch.h>
#include <stdlib.h>

/* First and last layer get first_last_bits where that is wider; then overrides, the last match wins. */
static void plan_layer(const json_t *spec, const char *name, bool outer, struct quant_layer_plan *p)
{
    int outer_bits = (int)spec_int(spec, "/quantize/first_last_bits", 8);

    p->weight_bits = (int)spec_int(spec, "/quantize/weights/bits", 4);
    p->activation.bits = (int)spec_int(spec, "/quantize/activations/bits", 8);
    if (outer && outer_bits > p->weight_bits)
        p->weight_bits = outer_bits;
    if (outer && outer_bits > p->activation.bits)
        p->activation.bits = outer_bits;
    size_t i;
    json_t *o;
    json_array_foreach((json_t *)spec_at(spec, "/overrides"), i, o)
    {
        if (fnmatch(spec_text(o, "/match", ""), name, 0) != 0)
            continue;
        p->weight_bits = (int)spec_int(o, "/weights/bits", p->weight_bits);
        p->activation.bits = (int)spec_int(o, "/activations/bits", p->activation.bits);
    }
}

bool job_overridden(const struct job *j, const char *layer)
{
    size_t i;
    json_t *o;

    json_array_foreach((json_t *)spec_at(j->spec, "/overrides"), i, o)
    {
        if (fnmatch(spec_text(o, "/match", ""), layer, 0) == 0 &&
            (spec_at(o, "/weights/bits") || spec_at(o, "/activations/bits")))
            return true;
    }
    return false;
}

/* A pruned weight is zero: its grid must have such a level. Dead units leave the network, so their scales
 * must not be counted. */
static int check_zero(const struct quant_options *o, const struct layer *layers,
                      const struct quant_layer_plan *plan, int count, struct err *e)
{
    if (o->per_channel) {
        err_set(e, ERR_INVALID, "pruned weights are quantized with a scale per layer");
        return err_at(e, "/quantize/weights/granularity");
    }
    for (int i = 0; i < count; i++) {
        const struct grid *grid = grid_of_bits(o->grid, plan[i].weight_bits);
        if (plan[i].weight_bits != 32 && (grid->odd || plan[i].weight_bits == 1)) {
            err_set(e, ERR_INVALID,
                    "pruned weights need a grid with a zero level: %s with %d bits has none (layer %s)",
                    grid->name, plan[i].weight_bits, layers[i].name);
            return err_at(e, grid->odd ? "/quantize/weights/grid" : "/quantize/weights/bits");
        }
    }
    return 0;
}

int job_quant_options(const struct job *j, struct quant_options *o, struct err *e)
{
    *o = (struct quant_options){ .method = method_find(spec_text(j->spec, "/quantize/method", "msqe")),
                                 .grid = grid_find(spec_text(j->spec, "/quantize/weights/grid", "sym")) };
    if (!o->method || !o->grid)
        return err_set(e, ERR_INVALID, "no such method or grid");
    const char *granularity =
        spec_text(j->spec, "/quantize/weights/granularity", o->method->granularities[0]);
    o->per_channel = strcmp(granularity, "channel") == 0;
    o->basis_learns = strcmp(spec_text(j->spec, "/quantize/activations/basis", "qem"), "gradient") == 0;
    return 0;
}

int job_plan_layers(struct job *j, struct quant_layer_plan **out, int *count, struct err *e)
{
    struct quant_options o;
    struct quant_layer_plan *plan = NULL;
    struct layer *layers = NULL;
    int status = graph_layers(j->graph, &layers, count, e);

    *out = NULL;
    if (!status)
        status = job_quant_options(j, &o, e);
    if (!status && *count == 0)
        status = err_set(e, ERR_INVALID, "the model has no layer with weights");
    if (!status && !(plan = mem_array((size_t)*count, sizeof *plan)))
        status = err_set(e, ERR_NOMEM, "out of memory");
    for (int i = 0; !status && i < *count; i++)
        plan_layer(j->spec, layers[i].name, i == 0 || i == *count - 1, &plan[i]);
    if (!status && j->kind->prunes)
        status = check_zero(&o, layers, plan, *count, e);
    free(layers);
    if (status)
        free(plan);
    else
        *out = plan;
    return status;
}

double job_rate_lambda(const struct job *j)
{
    return j->kind->prunes && j->kind->quantizes ? spec_double(j->spec, "/rate/lambda", 0) : 0;
}

static int make_rate(struct job *j, struct err *e)
{
    const struct rate_rule rule = { job_rate_lambda(j), spec_double(j->spec, "/rate/ramp", 0.3),
                                    spec_double(j->spec, "/rate/freeze", 0.15) };

    return rate_new(j->graph, j->quant, j->prune, &rule, &j->rate, e);
}

/* With half of the codes not zero one more costs a bit, with a tenth of them more than four: training under a
 * price stays about where it begins. */
static void start_scales(struct job *j)
{
    const double factor = j->rate ? spec_double(j->spec, "/rate/coarseness", 1.6) : 1;

    quant_start(j->quant, j->graph);
    for (int i = 0; i < j->quant->scales; i++)
        j->quant->scale[i] *= (real)factor;
}

int job_prepare(struct job *j, struct err *e)
{
    struct quant_options o;
    struct quant_layer_plan *plan;
    struct graph *plain = NULL;
    int count, status = job_plan_layers(j, &plan, &count, e);

    if (status)
        return status;
    if ((status = job_quant_options(j, &o, e)))
        goto out;
    if (job_has_budget(j) && (status = job_allocate(j, plan, count, e)))
        goto out;
    events_phase(j->events, "calibrate");
    status = job_calibrate(j, o.method, plan, count, e);
    if (!status && job_corrects(j))
        status = graph_clone(j->graph, &plain, e);
    if (!status)
        status = quant_new(j->graph, plan, count, &o, &j->quant, e);
    if (!status && j->quant->replaced)
        events_log(j->events, "info",
                   "the inputs of %d layers came quantized; their quantizers gave way to the job's",
                   j->quant->replaced);
    if (!status && j->prune)
        status = prune_locate(j->prune, j->graph, e);
    if (!status && job_rate_lambda(j) > 0)
        status = make_rate(j, e);
    if (!status)
        start_scales(j);
    if (!status && plain)
        status = job_correct(j, plain, e);
    for (int i = 0; i < count && !status; i++)
        json_array_append_new(j->layers, json_pack("{s:i, s:i}", "weight_bits", plan[i].weight_bits,
                                                   "activation_bits", plan[i].activation.bits));
out:
    graph_free(plain);
    free(plan);
    return status;
}
