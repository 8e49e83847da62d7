/* gradients.c - one training step of a network, written down for another program to repeat: graph, weights,
 * the batch, loss and gradients. Usage: gradients MODEL BATCH OUT, MODEL an ONNX file or zoo:NAME. Makes
 * OUT.json (what is where) and OUT.bin (numbers; also what every function with a kink is applied to). The
 * loss is the mean cross entropy; normalization takes the batch's statistics. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/zoo/zoo.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

static void fail(const struct err *e)
{
    fprintf(stderr, "%s %s\n", e->text, e->place);
    exit(1);
}

static struct graph *open_model(const char *name)
{
    struct err e = { 0 };
    struct graph *g = NULL;
    char *data;
    size_t length;
    if (!strncmp(name, "zoo:", 4)) {
        if (zoo_graph(name + 4, 1, &g, &e))
            fail(&e);
        return g;
    }
    if (file_load(name, (size_t)1 << 30, &data, &length, &e) || onnx_import(data, length, &g, &e))
        fail(&e);
    free(data);
    return g;
}

/* --- the step
 * ------------------------------------------------------------------------------------------------ */

static size_t place(size_t features, int sample, size_t i)
{
    return ((size_t)(sample / LANES) * features + i) * LANES + (size_t)(sample % LANES);
}

/* Mean cross entropy of the answers sample % classes, and its gradient. */
static double cross_entropy(const real *y, real *dy, size_t classes, int batch)
{
    double loss = 0;
    for (int s = 0; s < batch; s++) {
        double most = -HUGE_VAL, sum = 0;
        for (size_t i = 0; i < classes; i++)
            most = fmax(most, (double)y[place(classes, s, i)]);
        for (size_t i = 0; i < classes; i++)
            sum += exp((double)y[place(classes, s, i)] - most);
        for (size_t i = 0; i < classes; i++) {
            double logit = (double)y[place(classes, s, i)] - most, right = i == (size_t)s % classes;
            dy[place(classes, s, i)] = (real)((exp(logit) / sum - right) / batch);
            loss -= right * (logit - log(sum)) / batch;
        }
    }
    return loss;
}

/* Waves of another length, direction, contrast and colour in every sample. Plain noise looks the same to deep
 * layers whatever the sample: normalization would divide by next to nothing and show mostly rounding. */
static void fill_input(real *x, const struct shape *shape, int batch)
{
    size_t features = (size_t)shape_count(shape);
    for (int s = 0; s < batch; s++) {
        struct rng r = rng_at(5, (uint64_t)s, 0);
        double across = rng_normal(&r) / 2, down = rng_normal(&r) / 2, contrast = rng_normal(&r);
        size_t i = 0;
        for (int64_t c = 0; c < shape->dim[0]; c++) {
            double level = rng_normal(&r), phase = rng_uniform(&r) * 6;
            for (int64_t h = 0; h < shape->dim[1]; h++)
                for (int64_t w = 0; w < shape->dim[2]; w++, i++) {
                    double wave = contrast * cos(phase + across * (double)w + down * (double)h);
                    x[place(features, s, i)] = (real)(level + wave + rng_normal(&r) / 4);
                }
        }
    }
}

/* --- writing
 * ------------------------------------------------------------------------------------------------- */

static void put_floats(FILE *bin, const real *x, size_t count)
{
    if (fwrite(x, sizeof *x, count, bin) != count)
        abort();
}

/* From lanes to one sample behind the other. */
static void put_samples(FILE *bin, const real *x, size_t features, int batch)
{
    for (int s = 0; s < batch; s++)
        for (size_t i = 0; i < features; i++)
            put_floats(bin, &x[place(features, s, i)], 1);
}

static json_t *shape_json(const struct shape *s)
{
    json_t *list = json_array();
    for (int i = 0; i < s->rank; i++)
        json_array_append_new(list, json_integer(s->dim[i]));
    return list;
}

static json_t *attr_json(const struct attr *a)
{
    if (a->type == ATTR_INT)
        return json_integer(a->i);
    if (a->type == ATTR_FLOAT)
        return json_real(a->f);
    if (a->type == ATTR_STRING)
        return json_string(a->s);
    json_t *list = json_array();
    for (size_t i = 0; i < a->count; i++)
        json_array_append_new(list,
                              a->type == ATTR_INTS ? json_integer(a->ints[i]) : json_real(a->floats[i]));
    return list;
}

static json_t *names_json(const struct graph *g, const int *value, int count)
{
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, value[i] < 0 ? json_null() : json_string(g->value[value[i]].name));
    return list;
}

static json_t *node_json(const struct graph *g, const struct node *n)
{
    json_t *attrs = json_object();
    for (size_t i = 0; i < n->attrs; i++)
        json_object_set_new(attrs, n->attr[i].name, attr_json(&n->attr[i]));
    return json_pack("{s:s, s:o, s:o, s:o}", "op", n->op->name, "inputs", names_json(g, n->input, n->inputs),
                     "outputs", names_json(g, n->output, n->outputs), "attrs", attrs);
}

static json_t *constant_json(const struct tensor *t)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < shape_count(&t->shape); i++)
        json_array_append_new(list, t->dtype == DTYPE_FLOAT ? json_real(tensor_number(t, i))
                                                            : json_integer(tensor_integer(t, i)));
    return json_pack("{s:o, s:o}", "shape", shape_json(&t->shape), "data", list);
}

/* Functions with a kink: the other program can go down the same side where rounding decides. */
static bool has_kink(const struct node *n)
{
    static const char *const names[] = { "Relu", "PRelu", "LeakyRelu", "Clip", "HardSigmoid", "HardSwish" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(n->op->name, names[i]))
            return true;
    return false;
}

static json_t *write_kinks(const struct graph *g, struct net *n, int batch, FILE *bin)
{
    json_t *kinks = json_array();
    for (int i = 0; i < g->nodes; i++) {
        const struct node *node = &g->node[i];
        const struct value *x = &g->value[node->input[0]];
        if (!has_kink(node))
            continue;
        put_samples(bin, net_value(n, node->input[0]), (size_t)shape_count(&x->shape), batch);
        json_array_append_new(kinks, json_pack("{s:s, s:o}", "node", g->value[node->output[0]].name, "shape",
                                               shape_json(&x->shape)));
    }
    return kinks;
}

static FILE *open_floats(const char *out)
{
    char path[512];
    snprintf(path, sizeof path, "%s.bin", out);
    FILE *bin = fopen(path, "wb");
    if (!bin)
        abort();
    return bin;
}

/* Weights before the step, which moves running statistics, are in `before`. */
static json_t *write_params(const struct graph *g, struct net *n, const real *before, FILE *bin)
{
    json_t *params = json_array();
    for (int v = 0; v < g->values; v++) {
        const struct value *p = &g->value[v];
        if (p->kind != VALUE_PARAM)
            continue;
        put_floats(bin, before + p->offset, (size_t)shape_count(&p->shape));
        put_floats(bin, net_gradients(n) + p->offset, (size_t)shape_count(&p->shape));
        json_array_append_new(params, json_pack("{s:s, s:o, s:b}", "name", p->name, "shape",
                                                shape_json(&p->shape), "trainable", p->trainable));
    }
    return params;
}

static json_t *graph_json(const struct graph *g)
{
    json_t *nodes = json_array(), *constants = json_object();
    for (int i = 0; i < g->nodes; i++)
        json_array_append_new(nodes, node_json(g, &g->node[i]));
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_CONST)
            json_object_set_new(constants, g->value[v].name, constant_json(g->value[v].constant));
    return json_pack("{s:s, s:s, s:o, s:o, s:o}", "input", g->value[g->input].name, "output",
                     g->value[g->output[0]].name, "shape", shape_json(&g->value[g->input].shape), "nodes",
                     nodes, "constants", constants);
}

/* Forward, loss, backward; what is only there between them is written between them. */
static json_t *run_step(struct graph *g, struct net *n, int batch, FILE *bin)
{
    size_t features = (size_t)shape_count(&g->value[g->input].shape);
    size_t classes = (size_t)shape_count(&g->value[g->output[0]].shape);
    real *before = mem_array(g->param_count, sizeof *before), *dy = net_output_gradient(n, 0);
    if (!before)
        abort();
    memcpy(before, g->param, g->param_count * sizeof *before);
    fill_input(net_input(n), &g->value[g->input].shape, batch);
    put_samples(bin, net_input(n), features, batch);
    net_forward(n, batch, true, 1);
    json_t *kinks = write_kinks(g, n, batch, bin);
    memset(dy, 0, (size_t)net_blocks(n) * LANES * classes * sizeof *dy);
    double loss = cross_entropy(net_output(n, 0), dy, classes, batch);
    net_backward(n);
    json_t *step = json_pack("{s:i, s:i, s:f, s:o, s:o}", "bytes", (int)sizeof(real), "batch", batch, "loss",
                             loss, "kinks", kinks, "params", write_params(g, n, before, bin));
    free(before);
    return step;
}

int main(int argc, char **argv)
{
    struct err e = { 0 };
    struct net *n;
    char path[512];
    if (argc != 4) {
        fprintf(stderr, "usage: gradients MODEL BATCH OUT\n");
        return 2;
    }
    int batch = atoi(argv[2]);
    struct graph *g = open_model(argv[1]);
    if (net_new(g, &(struct net_options){ .batch = batch, .train = true, .apart = true }, &n, &e))
        fail(&e);
    FILE *bin = open_floats(argv[3]);
    json_t *all = run_step(g, n, batch, bin), *graph = graph_json(g);
    snprintf(path, sizeof path, "%s.json", argv[3]);
    if (fclose(bin) || !all || !graph || json_object_update(all, graph) ||
        json_dump_file(all, path, JSON_REAL_PRECISION(17)))
        abort();
    json_decref(graph);
    json_decref(all);
    net_free(n);
    graph_free(g);
    return 0;
}
