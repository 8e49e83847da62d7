/* Every architecture of the zoo runs: written as ONNX it reads back the same, its outputs are finite, and a
 * step against the gradient lowers the loss on a fixed batch. Small images: the layers are the same. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/onnx/onnx.h"
#include "worker/zoo/zoo.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SAMPLES = 8 };

static struct graph *make(const char *reference)
{
    struct graph *g = NULL;
    struct err e = { 0 };
    if (zoo_graph(reference, 3, &g, &e))
        fail_msg("%s: %s (%s)", reference, e.text, e.place);
    return g;
}

static void round_trip(const char *reference, struct graph *g)
{
    char *data;
    size_t length;
    struct graph *h = NULL;
    struct err e = { 0 };
    if (onnx_export(g, NULL, 0, &data, &length, &e) || onnx_import(data, length, &h, &e))
        fail_msg("%s: %s (%s)", reference, e.text, e.place);
    assert_int_equal(graph_parameters(g), graph_parameters(h));
    assert_int_equal(graph_trainable(g), graph_trainable(h));
    assert_int_equal(g->nodes, h->nodes);
    assert_true(shape_equal(&g->value[g->output[0]].shape, &h->value[h->output[0]].shape));
    for (int i = 0; i < g->values; ++i) {
        const struct value *a = &g->value[i];
        if (a->kind != VALUE_PARAM)
            continue;
        const int found = graph_find_value(h, a->name);
        assert_true(found >= 0);
        const struct value *b = &h->value[found];
        assert_true(shape_equal(&a->shape, &b->shape) && a->trainable == b->trainable);
        assert_memory_equal(g->param + a->offset, h->param + b->offset,
                            (size_t)shape_count(&a->shape) * sizeof *g->param);
    }
    free(data);
    graph_free(h);
}

static void fill_input(struct net *n, const struct graph *g)
{
    const int64_t features = shape_count(&g->value[g->input].shape);
    struct rng r = rng_at(11, 0, 0);
    real *x = net_input(n);
    for (int64_t f = 0; f < features; ++f)
        for (int lane = 0; lane < SAMPLES; ++lane)
            x[f * LANES + lane] = (real)rng_uniform(&r);
}

/* Half the mean of the squares of y - target, the target being drawn: the same batch each time, with the same
 * dropout. Its gradient goes to the output's. */
static double forward(struct net *n, const struct graph *g)
{
    const int64_t features = shape_count(&g->value[g->output[0]].shape);
    const double share = 1.0 / (double)(features * SAMPLES);
    struct rng r = rng_at(12, 0, 0);
    double sum = 0;
    net_forward(n, SAMPLES, true, 1);
    const real *y = net_output(n, 0);
    real *gradient = net_output_gradient(n, 0);
    for (int64_t f = 0; f < features; ++f)
        for (int lane = 0; lane < LANES; ++lane) {
            const double off = lane < SAMPLES ? (double)y[f * LANES + lane] - rng_uniform(&r) : 0;
            assert_true(isfinite(off));
            gradient[f * LANES + lane] = (real)(off * share);
            sum += off * off * share / 2;
        }
    return sum;
}

/* A step that lowers the loss by `share` if it were linear. */
static void descend(struct graph *g, const real *gradient, double loss, double share)
{
    double square = 0;
    for (int pass = 0; pass < 2; ++pass)
        for (int v = 0; v < g->values; ++v) {
            const struct value *p = &g->value[v];
            if (p->kind != VALUE_PARAM || !p->trainable)
                continue;
            for (size_t i = p->offset; i < p->offset + (size_t)shape_count(&p->shape); ++i)
                if (pass == 0)
                    square += (double)gradient[i] * (double)gradient[i];
                else
                    g->param[i] -= (real)(share * loss / square * (double)gradient[i]);
        }
    assert_true(square > 0 && isfinite(square));
}

static void train(const char *reference, struct graph *g)
{
    const struct net_options options = { .batch = SAMPLES, .train = true, .seed = 5 };
    struct net *n;
    struct err e = { 0 };
    if (net_new(g, &options, &n, &e))
        fail_msg("%s: %s (%s)", reference, e.text, e.place);
    fill_input(n, g);
    const double before = forward(n, g);
    net_backward(n);
    descend(g, net_gradients(n), before, 0.01);
    const double after = forward(n, g);
    print_message("%-34s %.5f -> %.5f\n", reference, before, after);
    assert_true(after < before);
    net_free(n);
}

/* One for every row of the list. */
static const char *const small[] = {
    "lenet5@1x16x16/5",
    "resnet20@3x8x8/5",
    "resnet32@3x8x8/5",
    "resnet56@3x8x8/5",
    "resnet18@3x16x16/5",
    "vgg-small@3x8x8/5",
    "vgg16@3x32x32/5",
    "alexnet@3x16x16/5",
    "googlenet@3x16x16/5",
    "densenet121@3x16x16/5",
    "densenet-bc-100@3x16x16/5",
    "mobilenet-v1@3x16x16/5",
    "mobilenet-v1-x0.5@3x16x16/5",
    "mobilenet-v2@3x16x16/5",
    "mobilenet-v2-x0.5@3x16x16/5",
    "mobilenet-v3-small@3x16x16/5",
    "mobilenet-v3-small-x0.5@3x16x16/5",
    "shufflenet-v1@3x16x16/5",
    "shufflenet-v2@3x16x16/5",
    "shufflenet-v2-x0.5@3x16x16/5",
    "srcnn-9-5-5@1x9x9",
    "ct-srcnn-5@1x9x9",
    "vdsr@1x9x9",
    "srresnet@3x5x5",
    "srresnet-x2@3x5x5",
    "srresnet-x3@3x5x5",
    "edsr-baseline@3x5x5",
    "edsr-baseline-x3@3x5x5",
    "edsr-baseline-x4@3x5x5",
};

static void all(void **state)
{
    size_t listed = 0;
    (void)state;
    while (zoo_list[listed])
        ++listed;
    assert_int_equal(listed, sizeof small / sizeof *small);
    for (size_t i = 0; i < listed; ++i) {
        struct graph *g = make(small[i]);
        round_trip(small[i], g);
        train(small[i], g);
        graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
