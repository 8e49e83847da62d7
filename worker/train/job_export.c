/* job_export.c - the trained graph to files, and what there is to say of each layer. */
#include "worker/train/job_parts.h"

#include "api/spec.h"
#include "base/file.h"
#include "base/hash.h"
#include "worker/coder/qdz.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/quant/exact.h"
#include "worker/quant/fold.h"

#include <stdio.h>
#include <stdlib.h>

void job_export_path(const struct job *j, const char *name, char path[4096])
{
    snprintf(path, 4096, j->prefix[0] ? "%s/%s%s" : "%s/out/%s%s", j->dir, j->prefix, name);
}

static int write_artifact(struct job *j, const char *name, const void *data, size_t length, struct err *e)
{
    char path[4096];

    job_export_path(j, name, path);
    return file_publish(path, data, length, 0644, e);
}

static int export_onnx(struct job *j, const struct graph *g, struct err *e)
{
    char trained[32], metric[48], weights[8], activations[8], seed[24];
    const char *model = spec_text(j->spec, "/model", ""), *dataset = spec_text(j->spec, "/dataset", "");
    char *data;
    size_t length;

    snprintf(metric, sizeof metric, "quantd.%s", j->task->metric);
    snprintf(trained, sizeof trained, "%.6f", j->trained_value);
    snprintf(weights, sizeof weights, "%d", (int)spec_int(j->spec, "/quantize/weights/bits", 32));
    snprintf(activations, sizeof activations, "%d", (int)spec_int(j->spec, "/quantize/activations/bits", 32));
    snprintf(seed, sizeof seed, "%lld", (long long)spec_int(j->spec, "/train/seed", 1));
    const struct onnx_meta meta[] = {
        { "quantd.version", QUANTD_VERSION },
        { "quantd.kind", j->kind->name },
        { "quantd.method", spec_text(j->spec, "/quantize/method", "none") },
        { "quantd.weight_bits", weights },
        { "quantd.activation_bits", activations },
        { "quantd.seed", seed },
        { "quantd.model", model },
        { "quantd.dataset", dataset },
        { metric, trained },
    };
    int status = onnx_export(g, meta, sizeof meta / sizeof *meta, &data, &length, e);
    if (status)
        return status;
    status = write_artifact(j, "model.onnx", data, length, e);
    j->onnx_bytes = (int64_t)length;
    free(data);
    return status;
}

static int64_t count_zeros(const struct graph *g, const struct value *v)
{
    int64_t zeros = 0, count = shape_count(&v->shape);

    for (int64_t i = 0; i < count; i++)
        zeros += g->param[v->offset + (size_t)i] == 0;
    return zeros;
}

/* The row of one layer: widths were noted when the plan was made, the rest is read off the graph. */
static void describe_layer(struct job *j, const struct layer *l, int index, const struct qdz_layer *coded,
                           int coded_count)
{
    const struct graph *g = j->graph;
    const struct value *weight = &g->value[l->weight];
    json_t *row = json_array_get(j->layers, (size_t)index);

    if (!row) {
        json_array_append_new(j->layers, json_pack("{s:i, s:i}", "weight_bits", 32, "activation_bits", 32));
        row = json_array_get(j->layers, (size_t)index);
    }
    const struct qdz_layer *c = NULL;
    for (int i = 0; i < coded_count; i++)
        if (strncmp(coded[i].name, weight->name, sizeof coded[i].name - 1) == 0)
            c = &coded[i];
    double msqe = 0;
    for (int i = 0; j->quant && i < j->quant->weights; i++)
        if (j->quant->weight[i].value == l->weight)
            msqe = j->quant->weight[i].sums.error / (double)j->quant->weight[i].count;
    json_object_set_new(row, "name", json_string(l->name));
    json_object_set_new(row, "op", json_string(g->node[l->node].op->name));
    json_object_set_new(row, "parameters", json_integer(l->parameters));
    json_object_set_new(row, "macs", json_integer((json_int_t)l->macs));
    json_object_set_new(row, "sparsity",
                        json_real((double)count_zeros(g, weight) / (double)shape_count(&weight->shape)));
    json_object_set_new(row, "entropy_bits", c ? json_real(c->entropy_bits) : json_null());
    json_object_set_new(row, "bytes", json_integer(c ? c->payload_bytes : 4 * shape_count(&weight->shape)));
    json_object_set_new(row, "msqe", json_real(msqe));
}

static void tell_inexact(const void *of, const struct node *n, const char *why)
{
    const struct job *j = of;
    char text[400];

    snprintf(text, sizeof text, "node %.200s (%s) is not exact in floating point: %s", n->name, n->op->name,
             why);
    events_emit(j->events, "warning", json_pack("{s:s, s:s}", "code", "not_exact", "text", text));
}

bool job_exact(const struct job *j)
{
    return spec_bool(j->spec, "/export/exact", false);
}

bool job_export_rounds(const struct job *j)
{
    return job_exact(j) || spec_bool(j->spec, "/export/fold_normalization", false);
}

/* What the job wants to be different in model.onnx. */
static int change(struct job *j, struct graph *g, struct err *e)
{
    struct exact_report r = { .tell = tell_inexact, .of = j };
    int folded, status;

    if (!job_export_rounds(j))
        return 0;
    status = fold_normalizations(g, &folded, e);
    if (status)
        return status;
    events_log(j->events, "info", "%d normalizations are a part of their layers in model.onnx", folded);
    if (!job_exact(j))
        return 0;
    status = exact_scales(g, &r, e);
    if (!status) {
        events_log(j->events, "info", "%d of %d layers are exact in floating point in model.onnx", r.exact,
                   r.layers);
        j->exact_layers = r.exact;
    }
    return status;
}

/* model.onnx is made from what model.qdz gives back: the two are one network, but for what `change` rounds,
 * and the score is that of model.onnx. */
static int export_files(struct job *j, struct err *e)
{
    struct buf file;
    struct qdz_layer *coded = NULL;
    struct layer *layers = NULL;
    struct graph *back = NULL;
    int coded_count = 0, count = 0;

    buf_init(&file, (size_t)1 << 31);
    int status = qdz_encode(j->graph, coder_find("cabac"), &file, &coded, &coded_count, &j->sizes, e);
    if (!status)
        status = write_artifact(j, "model.qdz", file.data, file.length, e);
    if (!status)
        status = qdz_decode(file.data, file.length, &back, e);
    if (!status)
        status = change(j, back, e);
    if (!status)
        status = export_onnx(j, back, e);
    if (!status)
        status = graph_layers(j->graph, &layers, &count, e);
    j->file_bytes = (int64_t)file.length;
    for (int i = 0; !status && i < coded_count; i++)
        j->payload_bytes += coded[i].payload_bytes;
    for (int i = 0; !status && i < count; i++)
        describe_layer(j, &layers[i], i, coded, coded_count);
    graph_free(back);
    free(layers);
    free(coded);
    buf_free(&file);
    return status;
}

/* One hash over all parameter values: two runs that agree in it made the same network. */
static int hash_weights(struct job *j, struct err *e)
{
    const struct graph *g = j->graph;
    unsigned char digest[HASH_BYTES];
    struct hash *h = hash_new();

    if (!h)
        return err_set(e, ERR_NOMEM, "out of memory");
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM) {
            hash_add(h, g->value[v].name, strlen(g->value[v].name) + 1);
            hash_add(h, g->param + g->value[v].offset,
                     (size_t)shape_count(&g->value[v].shape) * sizeof(real));
        }
    hash_done(h, digest);
    hash_text(digest, j->weights_hash);
    return 0;
}

int job_export(struct job *j, struct err *e)
{
    int status;

    events_phase(j->events, "export");
    status = hash_weights(j, e);
    return status ? status : export_files(j, e);
}
