/* Gradients of whole networks with branches, shared memory and two outputs against central differences: what
 * the planner puts in one place must never be alive twice. Once more with hints from another network. */
#include "tests/unit/worker_nets.h"
#include "worker/op/op.h"
#include "worker/train/hints.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { SAMPLES = 21, BLOCKS = 2 };

/* A network, and the one that it takes hints from. */
struct pair {
    struct graph *graph, *wise;
    struct net *net, *teacher;
    double weight; /* of the hints; 0: there are none */
};

/* |x - t|^2 / |t|^2 of the value over the samples. */
static double miss(const struct pair *p, int v)
{
    const size_t features = features_of(p->graph, v);
    const real *x = net_value(p->net, v),
               *t = net_value(p->teacher, graph_find_value(p->wise, p->graph->value[v].name));
    double norm = 0, error = 0;
    for (size_t i = 0; i < BLOCKS * features * LANES; i++) {
        if (i / LANES / features * LANES + i % LANES >= SAMPLES)
            continue;
        norm += t[i] * t[i];
        error += (x[i] - t[i]) * (x[i] - t[i]);
    }
    return error / norm;
}

static double hint_loss(const struct pair *p)
{
    double sum = 0;
    int layers = 0;
    for (int i = 0; i < p->graph->nodes; i++) {
        const struct node *n = &p->graph->node[i];
        if (n->op->weight < 0 || !strcmp(n->name, "head")) /* that one makes an output */
            continue;
        sum += miss(p, n->output[0]);
        layers++;
    }
    return p->weight * sum / layers;
}

static double loss(const struct pair *p)
{
    const struct graph *g = p->graph;
    double sum = 0;
    net_forward(p->net, SAMPLES, true, 1);
    for (int k = 0; k < g->outputs; k++) {
        size_t count = BLOCKS * features_of(g, g->output[k]) * LANES;
        real *r = mem_array(count, sizeof *r);
        fill_lanes(r, count / BLOCKS / LANES, BLOCKS, SAMPLES, 2 + k);
        for (size_t i = 0; i < count; i++)
            sum += r[i] * net_output(p->net, k)[i];
        free(r);
    }
    return p->weight > 0 ? sum + hint_loss(p) : sum;
}

static void compare(const struct pair *p)
{
    const double h = 1e-5;
    struct graph *g = p->graph;
    real *gradient = mem_array(g->param_count, sizeof *gradient);
    memcpy(gradient, net_gradients(p->net), g->param_count * sizeof *gradient);
    for (int v = 0; v < g->values; v++) {
        const struct value *value = &g->value[v];
        if (value->kind != VALUE_PARAM || !value->trainable)
            continue;
        for (size_t i = 0; i < features_of(g, v); i += 7) {
            real *at = g->param + value->offset + i, kept = *at;
            *at = kept + h;
            double above = loss(p);
            *at = kept - h;
            double below = loss(p);
            *at = kept;
            double numeric = (above - below) / (2 * h), exact = gradient[value->offset + i];
            if (!(fabs(exact - numeric) <= 1e-6 * (fabs(exact) + fabs(numeric)) + 1e-7))
                fail_msg("%s: %s[%zu]: gradient %.10g, the difference says %.10g", g->name, value->name, i,
                         exact, numeric);
        }
    }
    free(gradient);
}

static void against_differences(void **state)
{
    struct err e = { 0 };
    struct pair p = { .graph = branches() };
    (void)state;
    assert_int_equal(graph_finish(p.graph, &e), 0);
    assert_int_equal(
        net_new(p.graph, &(struct net_options){ .batch = SAMPLES, .train = true, .seed = 1 }, &p.net, &e), 0);
    step_net(p.graph, p.net, SAMPLES, 1);
    compare(&p);
    net_free(p.net);
    graph_free(p.graph);
}

/* A layer whose gradient lies where that of a sum was, one behind which only the shape changes, an output
 * under another name. */
static struct graph *corners(void)
{
    struct err e;
    struct graph *g = graph_new("corners");
    int x = graph_add_input(g, "image", &(struct shape){ 3, { 4, 6, 6 } }, &e);
    int y = add_norm(g, "norm", add_same(g, "main", x), 4), z = add_same(g, "shortcut", x);
    x = add_layer(g, "Relu", "relu", add_join(g, "Add", "add", y, z), NULL);
    x = add_layer(g, "Flatten", "flat", add_same(g, "last", x), NULL);
    g->output[g->outputs++] = add_layer(g, "Identity", "again", add_dense(g, "head", x, 5, 144), NULL);
    return g;
}

/* With nothing but the layer that makes the output there is nothing to learn from. */
static void no_hints_for_outputs(void **state)
{
    struct err e = { 0 };
    struct graph *g = graph_new("one");
    int x = graph_add_input(g, "image", &(struct shape){ 1, { 8 } }, &e);
    (void)state;
    g->output[g->outputs++] = add_layer(g, "Identity", "again", add_dense(g, "head", x, 5, 8), NULL);
    assert_int_equal(graph_finish(g, &e), 0);
    assert_int_equal(hints_bytes(g, g, SAMPLES), 0);
    graph_free(g);
}

static void with_hints(struct graph *(*make)(void))
{
    struct err e = { 0 };
    struct pair p = { .graph = make(), .wise = make(), .weight = 40 };
    struct net_options o = { .batch = SAMPLES, .seed = 1 };
    struct hints *h;
    assert_int_equal(graph_finish(p.graph, &e), 0);
    assert_int_equal(graph_finish(p.wise, &e), 0);
    for (size_t i = 0; i < p.wise->param_count; i++)
        p.wise->param[i] *= 1 + 0.5 * sin((double)i);
    assert_int_equal(net_new(p.wise, &o, &p.teacher, &e), 0);
    o.train = o.hints = true;
    assert_int_equal(net_new(p.graph, &o, &p.net, &e), 0);
    const struct hints_new how = { p.graph, p.wise, p.net, p.teacher, NULL };
    assert_int_equal(hints_new(&how, &h, &e), 0);
    step_net(p.graph, p.net, SAMPLES, 1); /* without hints: the input is there now */
    assert_true(hints_error(h) == 0);
    memcpy(net_input(p.teacher), net_input(p.net),
           BLOCKS * features_of(p.graph, p.graph->input) * LANES * sizeof(real));
    net_forward(p.teacher, SAMPLES, false, 0);
    hints_set(h, SAMPLES, p.weight);
    step_net(p.graph, p.net, SAMPLES, 1);
    const double error = hints_error(h);
    compare(&p);
    loss(&p);
    assert_true(fabs(error - hint_loss(&p) / p.weight) < 1e-12);
    hints_free(h);
    net_free(p.net);
    net_free(p.teacher);
    graph_free(p.graph);
    graph_free(p.wise);
}

static void hints_against_differences(void **state)
{
    (void)state;
    with_hints(branches);
    with_hints(residuals);
    with_hints(corners);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(against_differences),
        cmocka_unit_test(hints_against_differences),
        cmocka_unit_test(no_hints_for_outputs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
