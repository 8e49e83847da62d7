/* The zoo: every architecture has the size that was published, at its own and at other inputs; a reference is
 * taken apart strictly; parameters depend on the seed alone and are spread as they should be. */
#include "base/mem.h"
#include "base/variant.h"
#include "worker/op/op.h"
#include "worker/zoo/build.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct graph *make(const char *reference, uint64_t seed, bool hollow)
{
    struct zoo_request r;
    struct graph *g = NULL;
    struct err e = { 0 };
    int bad = zoo_parse(reference, &r, &e);
    r.seed = seed;
    r.hollow = hollow;
    if (bad || zoo_make(&r, &g, &e))
        fail_msg("%s: %s (%s)", reference, e.text, e.place);
    return g;
}

static uint64_t macs_of(struct graph *g)
{
    struct layer *layers;
    struct err e = { 0 };
    uint64_t sum = 0;
    int count;
    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    for (int i = 0; i < count; ++i)
        sum += layers[i].macs;
    free(layers);
    return sum;
}

/* Parameters as they are counted in the field, without running statistics; multiply-accumulates of a sample
 * in millions where a figure was published (0: none). */
static const struct {
    const char *name;
    int64_t parameters;
    double macs; /* millions */
} published[] = {
    { "lenet5", 431080, 2.293 },
    { "resnet20", 269722, 40.8 },
    { "resnet32", 464154, 69.1 },
    { "resnet56", 853018, 125.7 },
    { "resnet18", 11689512, 1814 },
    { "vgg-small", 4660106, 0 },
    { "vgg16", 138357544, 15470 },
    { "alexnet", 60965224, 724.4 },
    { "googlenet", 6998552, 0 },
    { "densenet121", 7978856, 2834 },
    { "densenet-bc-100", 769162, 0 },
    { "mobilenet-v1", 4231976, 569 },
    { "mobilenet-v1-x0.5", 1331592, 149 },
    { "mobilenet-v2", 3504872, 300 },
    { "mobilenet-v2-x0.5", 1968680, 97 },
    { "mobilenet-v3-small", 2542856, 56 },
    { "mobilenet-v3-small-x0.5", 917264, 0 },
    { "shufflenet-v1", 1865728, 137 },
    { "shufflenet-v2", 2278604, 146 },
    { "shufflenet-v2-x0.5", 1366792, 41 },
    { "srcnn-9-5-5", 57281, 0 },
    { "ct-srcnn-5", 163905, 0 },
    { "vdsr", 664704, 0 },
    { "srresnet", 1549462, 0 },
    { "srresnet-x2", 1401749, 0 },
    { "srresnet-x3", 1586389, 0 },
    { "edsr-baseline", 1369859, 0 },
    { "edsr-baseline-x3", 1554499, 0 },
    { "edsr-baseline-x4", 1517571, 0 },
};

static void published_sizes(void **state)
{
    const size_t rows = sizeof published / sizeof *published;
    size_t listed = 0;
    (void)state;
    while (zoo_list[listed])
        ++listed;
    assert_int_equal(listed, rows);
    for (size_t i = 0; i < rows; ++i) {
        const struct zoo *z = zoo_find(published[i].name);
        assert_non_null(z);
        struct graph *g = make(z->name, 1, true);
        const struct shape in = { .rank = 3, .dim = { z->channels, z->height, z->width } };
        const struct shape out = { .rank = 3,
                                   .dim = { z->channels, z->scale * z->height, z->scale * z->width } };
        const struct shape *got = &g->value[g->output[0]].shape;
        const double macs = (double)macs_of(g) / 1e6;
        assert_int_equal(graph_trainable(g), published[i].parameters);
        assert_int_equal(z->parameters, published[i].parameters);
        if (published[i].macs > 0 && fabs(macs / published[i].macs - 1) > 0.02)
            fail_msg("%s: %.1f million operations, published are %.1f", z->name, macs, published[i].macs);
        assert_true(z->macs == 0 || fabs((double)z->macs / 1e6 / published[i].macs - 1) < 0.001);
        assert_true(shape_equal(&g->value[g->input].shape, &in));
        assert_true(g->batched);
        assert_true((z->classes == 0) == (z->scale > 0));
        if (z->classes)
            assert_true(got->rank == 1 && got->dim[0] == z->classes);
        else
            assert_true(shape_equal(got, &out));
        graph_free(g);
    }
}

/* The same layers by name, whatever the size. */
static void same_layers(struct graph *a, struct graph *b)
{
    struct layer *la, *lb;
    struct err e = { 0 };
    int na, nb;
    assert_int_equal(graph_layers(a, &la, &na, &e), 0);
    assert_int_equal(graph_layers(b, &lb, &nb, &e), 0);
    assert_int_equal(na, nb);
    for (int i = 0; i < na; ++i)
        assert_string_equal(la[i].name, lb[i].name);
    free(la);
    free(lb);
}

static void other_sizes(void **state)
{
    static const struct {
        const char *reference;
        int64_t parameters;
        double macs; /* millions; 0: not compared */
        int64_t out; /* elements */
    } rows[] = {
        { "lenet5@1x28x28/10", 431080, 2.293, 10 },
        { "lenet5/3", 427573, 0, 3 },
        { "resnet20@3x32x32/100", 275572, 40.8, 100 },
        { "resnet18@3x32x32/10", 11173962, 555.4, 10 },
        { "resnet18/10", 11181642, 0, 10 },
        { "densenet121@3x32x32/10", 6956426, 0, 10 },
        { "mobilenet-v1@3x32x32/10", 3217226, 0, 10 },
        { "mobilenet-v2@3x32x32/10", 2236682, 0, 10 },
        { "shufflenet-v2@3x32x32/10", 1263854, 0, 10 },
        { "vgg16@3x32x32/10", 33638218, 0, 10 },
        { "vdsr@1x100x60", 664704, 0.664704 * 6000, 6000 },
        { "vdsr@3x20x20", 667008, 0, 1200 },
        { "edsr-baseline-x4@3x10x12", 1517571, 0, 3 * 40 * 48 },
        { "srresnet-x3@3x10x12", 1586389, 0, 3 * 30 * 36 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct variant v;
        assert_true(variant_parse(rows[i].reference, &v));
        struct graph *g = make(rows[i].reference, 1, true), *whole = make(v.name, 1, true);
        const double macs = (double)macs_of(g) / 1e6;
        if (graph_trainable(g) != rows[i].parameters ||
            (rows[i].macs > 0 && fabs(macs / rows[i].macs - 1) > 0.02))
            fail_msg("%s: %lld parameters, %.1f million operations", rows[i].reference,
                     (long long)graph_trainable(g), macs);
        assert_int_equal(shape_count(&g->value[g->output[0]].shape), rows[i].out);
        same_layers(g, whole);
        graph_free(g);
        graph_free(whole);
    }
}

/* Whatever passes the check can be built: the smallest image of each, also one that is wide. */
static void smallest_sizes(void **state)
{
    char reference[64];
    (void)state;
    for (const struct zoo *const *p = zoo_list; *p; ++p) {
        const int side = (*p)->smallest;
        for (int width = side; width < side + 3; ++width) {
            snprintf(reference, sizeof reference, "%s@1x%dx%d%s", (*p)->name, side, width,
                     (*p)->classes ? "/7" : "");
            graph_free(make(reference, 1, true));
        }
    }
}

static void bad_references(void **state)
{
    static const struct {
        const char *reference;
        int code;
    } rows[] = {
        { "", ERR_INVALID },
        { "@1x28x28", ERR_INVALID },
        { "lenet5@", ERR_INVALID },
        { "lenet5@1", ERR_INVALID },
        { "lenet5@1x28", ERR_INVALID },
        { "lenet5@1x28x28x1", ERR_INVALID },
        { "lenet5@1X28X28", ERR_INVALID },
        { "lenet5@ 1x28x28", ERR_INVALID },
        { "lenet5@+1x28x28", ERR_INVALID },
        { "lenet5@1x028x28", ERR_INVALID },
        { "lenet5@1x28x28/", ERR_INVALID },
        { "lenet5@1x28x28/0", ERR_INVALID },
        { "lenet5@1x28x28/10 ", ERR_INVALID },
        { "lenet5@1x28x28/99999999999999999999", ERR_INVALID },
        { "lenet5/10@1x28x28", ERR_INVALID },
        { "lenet5@0x28x28", ERR_INVALID },
        { "lenet5@1x15x28", ERR_INVALID },
        { "lenet5@1x28x1025", ERR_INVALID },
        { "lenet5@65x28x28", ERR_INVALID },
        { "lenet5/65537", ERR_INVALID },
        { "vdsr/10", ERR_INVALID },
        { "alexnet@3x15x15", ERR_INVALID },
        { "a-name-that-is-much-longer-than-any-architecture-would-have", ERR_INVALID },
        { "lenet6", ERR_NOT_FOUND },
        { "LENET5", ERR_NOT_FOUND },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct graph *g;
        struct err e = { 0 };
        if (zoo_graph(rows[i].reference, 1, &g, &e) != rows[i].code)
            fail_msg("\"%s\" gives %d (%s)", rows[i].reference, e.code, e.text);
        assert_null(g);
        assert_true(e.text[0]);
    }
    assert_null(zoo_find("lenet6"));
}

static void memory_limit(void **state)
{
    struct zoo_request r;
    struct graph *g;
    struct err e = { 0 };
    (void)state;
    assert_int_equal(zoo_parse("vgg16", &r, &e), 0);
    r.limit = (size_t)500 << 20; /* 528 MB are needed */
    assert_int_equal(zoo_make(&r, &g, &e), ERR_MEMORY);
    assert_null(g);
    assert_int_equal(zoo_parse("resnet20", &r, &e), 0);
    r.limit = 4 * 280000;
    assert_int_equal(zoo_make(&r, &g, &e), 0);
    assert_int_equal(g->param_capacity, g->param_count); /* no more than it takes */
    graph_free(g);
}

static void seeds(void **state)
{
    static const char *const names[] = { "lenet5", "resnet20", "densenet-bc-100", "srcnn-9-5-5", "vdsr" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        struct graph *a = make(names[i], 1, false), *b = make(names[i], 1, false),
                     *c = make(names[i], 2, false);
        const size_t bytes = a->param_count * sizeof *a->param;
        assert_memory_equal(a->param, b->param, bytes);
        assert_memory_not_equal(a->param, c->param, bytes);
        graph_free(a);
        graph_free(b);
        graph_free(c);
    }
}

/* Mean 0 and the variance that the paper of each says, within five standard errors. */
static void laws(void **state)
{
    static const struct {
        const char *reference, *weight;
        double variance, kurtosis; /* of the normal distribution 3, of the uniform one 1.8 */
    } rows[] = {
        { "lenet5", "fc1.weight", 1.0 / 800, 1.8 },
        { "lenet5", "fc2.weight", 1.0 / 500, 1.8 },
        { "resnet20", "layer2.0.conv1.weight", 2.0 / (32 * 9), 3 },
        { "resnet20", "linear.weight", 1.0 / 64, 3 },
        { "mobilenet-v1-x0.5", "block13.depthwise.weight", 2.0 / 9, 3 },
        { "densenet-bc-100", "features.denseblock2.denselayer1.conv1.weight", 2.0 / 108, 3 },
        { "srcnn-9-5-5", "conv2.weight", 1.0 / (3 * 1600), 1.8 },
        { "vdsr", "convs.7.weight", 2.0 / 576, 3 },
        { "edsr-baseline", "body.3.body.2.weight", 1.0 / (3 * 576), 1.8 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct graph *g = make(rows[i].reference, 7, false);
        const struct value *w = &g->value[graph_find_value(g, rows[i].weight)];
        const int64_t count = shape_count(&w->shape);
        double sum = 0, squares = 0, fourth = 0;
        for (int64_t k = 0; k < count; ++k) {
            const double x = (double)g->param[w->offset + (size_t)k] / sqrt(rows[i].variance);
            sum += x;
            squares += x * x;
            fourth += x * x * x * x;
        }
        const double n = (double)count;
        assert_true(fabs(sum / n) < 5 / sqrt(n));
        assert_true(fabs(squares / n - 1) < 5 * sqrt((rows[i].kurtosis - 1) / n));
        assert_true(fabs(fourth / n - rows[i].kurtosis) < 50 / sqrt(n));
        graph_free(g);
    }
}

static void lenet5(void **state)
{
    (void)state;
    static const struct {
        const char *name, *op;
        int64_t parameters;
        uint64_t macs;
    } rows[] = {
        { "conv1", "Conv", 520, 288000 },
        { "conv2", "Conv", 25050, 1600000 },
        { "fc1", "Gemm", 400500, 400000 },
        { "fc2", "Gemm", 5010, 5000 },
    };
    struct graph *g = make("lenet5", 7, false);
    struct layer *layers;
    struct err e = { 0 };
    int count;
    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    assert_int_equal(count, 4);
    for (int i = 0; i < count; ++i) {
        const struct value *b = &g->value[layers[i].bias];
        assert_string_equal(layers[i].name, rows[i].name);
        assert_string_equal(g->node[layers[i].node].op->name, rows[i].op);
        assert_int_equal(layers[i].parameters, rows[i].parameters);
        assert_int_equal(layers[i].macs, rows[i].macs);
        for (int64_t k = 0; k < shape_count(&b->shape); ++k)
            assert_true(g->param[b->offset + (size_t)k] == 0);
    }
    free(layers);
    graph_free(g);
}

/* 90 % at least, and a multiple of 8. */
static void widths(void **state)
{
    (void)state;
    assert_int_equal(zoo_width(32, 100), 32);
    assert_int_equal(zoo_width(24, 50), 16);
    assert_int_equal(zoo_width(16, 25), 8);
    assert_int_equal(zoo_width(88, 50), 48);
    assert_int_equal(zoo_width(72, 25), 24);
    for (int channels = 8; channels < 2000; ++channels) {
        const int width = zoo_width(channels, 35);
        assert_true(width % 8 == 0 && width >= 8 && 100 * width * 10 >= 9 * 35 * channels);
    }
}

static void block_layers(struct zoo_build *b)
{
    zoo_conv(b, "depthwise", .out = 4, .kernel = 3, .stride = 2, .groups = 4);
    zoo_bn(b, "bn", 0.01);
    zoo_act(b, "Relu", "relu");
    zoo_average(b, "pool", .kernel = 5, .stride = 1);
    zoo_flatten(b, "flatten");
    zoo_head(b, "fc");
}

static void taken_twice(struct zoo_build *b)
{
    zoo_conv(b, "a", .out = 2, .kernel = 3);
    zoo_conv(b, "a", .out = 2, .kernel = 3);
    zoo_relu6(b, "relu");
    zoo_shuffle(b, 2);
    zoo_channels(b, "half", 0, 1);
    zoo_head(b, "head");
}

/* What a row says is built; an error stays the first one, and calls behind it do nothing. */
static void builder(void **state)
{
    const struct zoo block = { .name = "block", .init = ZOO_HE, .layers = block_layers };
    const struct zoo wrong = { .name = "wrong", .layers = taken_twice };
    struct zoo_request r = { .zoo = &block, .channels = 4, .height = 9, .width = 9, .classes = 3, .seed = 5 };
    struct graph *g;
    struct err e = { 0 };
    (void)state;
    if (zoo_make(&r, &g, &e))
        fail_msg("%s (%s)", e.text, e.place);
    assert_int_equal(graph_trainable(g), 36 + 8 + 15);
    assert_int_equal(graph_parameters(g), 36 + 16 + 15);
    assert_false(g->value[graph_find_value(g, "bn.running_var")].trainable);
    assert_true(g->param[g->value[graph_find_value(g, "bn.running_var")].offset] == 1);
    assert_true(node_float(&g->node[graph_find_node(g, "bn")], "epsilon", 0) == 0.01);
    assert_int_equal(g->value[g->output[0]].shape.dim[0], 3);
    graph_free(g);
    r.zoo = &wrong;
    assert_int_equal(zoo_make(&r, &g, &e), ERR_INVALID);
    assert_non_null(strstr(e.text, "a.weight"));
    assert_null(g);
}

static void out_of_memory(void **state)
{
    static const char *const names[] = { "lenet5", "resnet20", "mobilenet-v3-small@1x16x16/2",
                                         "shufflenet-v2-x0.5@1x16x16/2", "edsr-baseline@1x2x2" };
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i)
        for (int n = 0, step = i == 0 ? 1 : 37;; n += step) {
            struct graph *g;
            struct err e = { 0 };
            mem_fail_after(n);
            const int got = zoo_graph(names[i], 1, &g, &e);
            mem_fail_after(-1);
            graph_free(g);
            if (got == 0)
                break;
            assert_int_equal(got, ERR_NOMEM);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_sizes),
        cmocka_unit_test(other_sizes),
        cmocka_unit_test(smallest_sizes),
        cmocka_unit_test(bad_references),
        cmocka_unit_test(memory_limit),
        cmocka_unit_test(seeds),
        cmocka_unit_test(laws),
        cmocka_unit_test(lenet5),
        cmocka_unit_test(widths),
        cmocka_unit_test(builder),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
