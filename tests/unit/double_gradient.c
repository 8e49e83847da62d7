/* Gradients of every operator against central differences, in double precision. One row of the table is one
 * small network: x -> node -> y..., with the loss sum r * y for fixed random r over all outputs. The test
 * fails for an operator without a row. QuantizeLinear, DequantizeLinear and QuantdFakeQuant are not
 * differentiable: worker_op_quantize.c. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/graph/net.h"
#include "worker/op/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SAMPLES = 18 }; /* two blocks, the second with unused lanes */

struct ints {
    const char *name; /* of the attribute; NULL among consts */
    int count;
    int64_t value[8];
};

struct row {
    const char *op;
    struct shape in;
    const char *second;    /* operator that makes a second computed input from x; NULL: none */
    struct shape param[4]; /* parameters behind it, up to the first without dimensions; all positive */
    struct ints consts[4]; /* constant inputs behind them; OUT leaves one out */
    struct ints ints[5];   /* attributes: lists, */
    struct {
        const char *name;
        int64_t value;
    } integer[3];
    struct {
        const char *name;
        double value;
    } real[2];
    struct {
        const char *name, *value;
    } text[2];
    int outputs;      /* 0: one */
    int opset;        /* 0: 13 */
    bool unbatched;   /* the graph has no batch axis */
    bool frozen;      /* forward without training */
    bool param_first; /* the parameter is the first input */
};

#define S(...)                                                                                               \
    {                                                                                                        \
        sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t),                                                \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define L(name, ...)                                                                                         \
    {                                                                                                        \
        name, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t),                                          \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define C(...) L(NULL, __VA_ARGS__)
#define OUT                                                                                                  \
    {                                                                                                        \
        NULL, -1,                                                                                            \
        {                                                                                                    \
            0                                                                                                \
        }                                                                                                    \
    }

static const struct row table[] = {
    { .op = "Conv", .in = S(3, 5, 4), .param = { S(6, 3, 3, 3), S(6) }, .ints = { L("pads", 1, 1, 1, 1) } },
    { .op = "Conv",
      .in = S(4, 6, 5),
      .param = { S(6, 2, 3, 2) },
      .ints = { L("strides", 2, 1), L("dilations", 1, 2) },
      .integer = { { "group", 2 } } },
    { .op = "Conv",
      .in = S(3, 5, 5),
      .param = { S(3, 1, 3, 3), S(3) },
      .text = { { "auto_pad", "SAME_UPPER" } },
      .integer = { { "group", 3 } },
      .ints = { L("strides", 2, 2) } },
    { .op = "Conv", .in = S(2, 3, 3), .param = { S(5, 2, 3, 3), S(5) } },
    { .op = "Gemm", .in = S(7), .param = { S(5, 7), S(5) }, .integer = { { "transB", 1 } } },
    { .op = "Gemm", .in = S(19), .param = { S(19, 6), S(1, 6) } },
    { .op = "Gemm", .in = S(7), .param = { S(7, 5), S(1) }, .real = { { "alpha", 0.4 }, { "beta", -0.7 } } },
    { .op = "Gemm",
      .in = S(4, 3),
      .param = { S(4, 6), S(3, 1) },
      .integer = { { "transA", 1 } },
      .unbatched = true },
    { .op = "Gemm",
      .in = S(4, 3),
      .param = { S(5, 4), S(3, 5) },
      .integer = { { "transA", 1 }, { "transB", 1 } },
      .real = { { "alpha", 1.5 } },
      .unbatched = true },
    { .op = "MatMul", .in = S(9), .param = { S(9, 4) } },
    { .op = "MatMul", .in = S(3, 5), .param = { S(5, 4) } },
    { .op = "MaxPool", .in = S(2, 6, 6), .ints = { L("kernel_shape", 2, 2), L("strides", 2, 2) } },
    { .op = "MaxPool",
      .in = S(2, 5, 5),
      .ints = { L("kernel_shape", 3, 3), L("strides", 2, 2), L("pads", 1, 0, 1, 0) },
      .integer = { { "ceil_mode", 1 } } },
    { .op = "MaxPool", .in = S(1, 6, 5), .ints = { L("kernel_shape", 2, 2), L("dilations", 2, 3) } },
    { .op = "GlobalMaxPool", .in = S(3, 3, 4) },
    { .op = "AveragePool", .in = S(1, 6, 5), .ints = { L("kernel_shape", 2, 2), L("dilations", 2, 3) } },
    { .op = "AveragePool", .in = S(2, 5, 5), .ints = { L("kernel_shape", 3, 3), L("pads", 1, 1, 1, 1) } },
    { .op = "AveragePool",
      .in = S(2, 5, 5),
      .ints = { L("kernel_shape", 3, 2), L("strides", 2, 2), L("pads", 1, 1, 1, 1) },
      .integer = { { "count_include_pad", 1 }, { "ceil_mode", 1 } } },
    { .op = "AveragePool",
      .in = S(1, 6, 6),
      .ints = { L("kernel_shape", 3, 3), L("strides", 2, 2) },
      .text = { { "auto_pad", "SAME_LOWER" } } },
    { .op = "GlobalAveragePool", .in = S(3, 3, 4) },
    { .op = "Relu", .in = S(5, 3) },
    { .op = "LeakyRelu", .in = S(5, 3), .real = { { "alpha", 0.3 } } },
    { .op = "Sigmoid", .in = S(5, 3) },
    { .op = "Tanh", .in = S(5, 3) },
    { .op = "HardSigmoid", .in = S(5, 3), .real = { { "alpha", 0.9 }, { "beta", 0.4 } } },
    { .op = "HardSwish", .in = S(5, 3) },
    { .op = "Clip", .in = S(5, 3), .real = { { "min", -0.4 }, { "max", 0.6 } }, .opset = 6 },
    { .op = "PRelu", .in = S(2, 3, 2), .param = { S(2, 1, 1) } },
    { .op = "PRelu", .in = S(2, 3, 2), .param = { S(1) } },
    { .op = "PRelu", .in = S(2, 3, 2), .param = { S(2, 3, 2) } },
    { .op = "LRN",
      .in = S(7, 2, 1),
      .integer = { { "size", 4 } },
      .real = { { "alpha", 0.9 }, { "beta", 0.75 } } },
    { .op = "LRN",
      .in = S(3, 2),
      .integer = { { "size", 5 } },
      .real = { { "beta", 0.6 }, { "bias", 0.5 } } },
    { .op = "Add", .in = S(2, 3, 2), .second = "Sigmoid" },
    { .op = "Add", .in = S(2, 3, 2), .param = { S(2, 1, 1) } },
    { .op = "Add", .in = S(2, 3, 2), .param = { S(1, 2, 3, 2) } },
    { .op = "Add", .in = S(2, 3, 2), .param = { S(3, 1) }, .param_first = true },
    { .op = "Add", .in = S(2, 3, 2), .second = "GlobalAveragePool" },
    { .op = "Sub", .in = S(4), .second = "Sigmoid" },
    { .op = "Sub", .in = S(4, 3), .param = { S(1) } },
    { .op = "Sub", .in = S(4, 3), .param = { S(3) }, .param_first = true },
    { .op = "Sum", .in = S(2, 3, 2), .second = "Tanh", .param = { S(3, 2) } },
    { .op = "Mul", .in = S(2, 3, 2), .second = "Sigmoid" },
    { .op = "Mul", .in = S(2, 3, 2), .second = "GlobalAveragePool" },
    { .op = "Mul", .in = S(2, 3, 2), .param = { S(1, 2, 1, 1) } },
    { .op = "Mul", .in = S(2, 3, 2), .param = { S(2, 3, 2) }, .param_first = true },
    { .op = "BatchNormalization", .in = S(3, 2, 2), .param = { S(3), S(3), S(3), S(3) } },
    { .op = "BatchNormalization", .in = S(4), .param = { S(4), S(4), S(4), S(4) }, .frozen = true },
    { .op = "Softmax", .in = S(7) },
    { .op = "Softmax", .in = S(3, 4, 2), .integer = { { "axis", 2 } } },
    { .op = "Softmax", .in = S(3, 4), .opset = 9 },
    { .op = "Dropout", .in = S(6, 2), .real = { { "ratio", 0.4 } }, .opset = 9 },
    { .op = "Dropout", .in = S(6, 2), .frozen = true },
    { .op = "Identity", .in = S(3, 2) },
    { .op = "Flatten", .in = S(3, 2, 2) },
    { .op = "Reshape", .in = S(3, 2, 2), .consts = { C(0, -1, 3) } },
    { .op = "Reshape", .in = S(3, 2, 2), .consts = { C(-1, 12) } },
    { .op = "Squeeze", .in = S(3, 1, 2), .ints = { L("axes", 2) }, .opset = 11 },
    { .op = "Unsqueeze", .in = S(3, 2), .consts = { C(1, -1) } },
    { .op = "Transpose", .in = S(2, 3, 4), .ints = { L("perm", 0, 3, 1, 2) } },
    { .op = "Slice", .in = S(4, 5), .consts = { C(3, 1), C(0, 5), C(1, 2), C(-2, 3) } },
    { .op = "Slice",
      .in = S(4, 5, 3),
      .ints = { L("starts", 0, -2), L("ends", 9, -1), L("axes", 3, 1) },
      .opset = 9 },
    { .op = "Pad",
      .in = S(2, 3),
      .ints = { L("pads", 0, 1, 0, 0, 2, 1) },
      .real = { { "value", 0.5 } },
      .opset = 10 },
    { .op = "Pad", .in = S(2, 3), .consts = { C(0, 0, 2, 0, 1, 1) } },
    { .op = "DepthToSpace", .in = S(8, 2, 3), .integer = { { "blocksize", 2 } } },
    { .op = "DepthToSpace",
      .in = S(8, 2, 3),
      .integer = { { "blocksize", 2 } },
      .text = { { "mode", "CRD" } } },
    { .op = "SpaceToDepth", .in = S(2, 4, 6), .integer = { { "blocksize", 2 } } },
    { .op = "Resize", .in = S(2, 3, 2), .consts = { OUT, OUT, C(1, 2, 5, 3) } },
    { .op = "Resize",
      .in = S(1, 4, 5),
      .consts = { OUT, OUT, C(1, 1, 7, 3) },
      .text = { { "mode", "linear" }, { "coordinate_transformation_mode", "align_corners" } } },
    { .op = "Resize",
      .in = S(1, 4, 5),
      .consts = { OUT, OUT, C(1, 1, 8, 6) },
      .text = { { "mode", "cubic" } } },
    { .op = "Split", .in = S(5, 2), .consts = { C(1, 3, 1) }, .integer = { { "axis", 1 } }, .outputs = 3 },
    { .op = "Split", .in = S(3, 4), .integer = { { "axis", -1 } }, .outputs = 2 },
    { .op = "Concat", .in = S(2, 3), .second = "Tanh", .integer = { { "axis", 1 } } },
    { .op = "Concat", .in = S(2, 3), .second = "Tanh", .integer = { { "axis", -1 } } },
    { .op = "ReduceMean", .in = S(3, 4, 2), .ints = { L("axes", 2, -1) } },
    { .op = "ReduceMean",
      .in = S(3, 4, 2),
      .consts = { C(1) },
      .integer = { { "keepdims", 0 } },
      .opset = 18 },
};

static const char *const defined_elsewhere[] = { "QuantizeLinear", "DequantizeLinear", "QuantdFakeQuant",
                                                 "QuantdLevels", NULL };

/* --- one row's network --- */

static void must(int r, const struct err *e, const struct row *t)
{
    if (r < 0)
        fail_msg("%s: %s (%s)", t->op, e->text, e->place);
}

static int add_param(struct graph *g, const struct shape *s, int index, struct rng *r)
{
    char name[16];
    struct err e;
    float init[512];
    int64_t count = shape_count(s);
    assert_true(count <= 512);
    for (int64_t i = 0; i < count; i++)
        init[i] = (float)(0.2 + rng_uniform(r));
    snprintf(name, sizeof name, "p%d", index);
    return graph_add_param(g, name, s, true, init, &e);
}

static int add_const(struct graph *g, const struct ints *c, int index)
{
    char name[16];
    struct err e;
    struct tensor *t = tensor_new(DTYPE_INT64, &(struct shape){ 1, { c->count } });
    memcpy(t->data, c->value, (size_t)c->count * sizeof c->value[0]);
    snprintf(name, sizeof name, "c%d", index);
    return graph_add_const(g, name, t, &e);
}

static void set_attributes(struct node *n, const struct row *t)
{
    for (int i = 0; i < 5 && t->ints[i].name; i++)
        node_set_ints(n, t->ints[i].name, t->ints[i].value, (size_t)t->ints[i].count);
    for (int i = 0; i < 3 && t->integer[i].name; i++)
        node_set_int(n, t->integer[i].name, t->integer[i].value);
    for (int i = 0; i < 2 && t->real[i].name; i++)
        node_set_float(n, t->real[i].name, t->real[i].value);
    for (int i = 0; i < 2 && t->text[i].name; i++)
        node_set_string(n, t->text[i].name, t->text[i].value);
}

static struct graph *build(const struct row *t, struct rng *r)
{
    struct err e = { 0 };
    struct graph *g = graph_new(t->op);
    int input[NODE_INPUTS], inputs = 0;
    g->opset = t->opset ? t->opset : 13;
    g->batched = !t->unbatched;
    input[inputs++] = graph_add_input(g, "x", &t->in, &e);
    if (t->second) {
        input[inputs] = graph_add_value(g, "second", &e);
        must(graph_add_node(g, t->second, "second", input, 1, &input[inputs], 1, &e), &e, t);
        inputs++;
    }
    for (int i = 0; i < 4 && t->param[i].rank; i++)
        input[inputs++] = add_param(g, &t->param[i], i, r);
    for (int i = 0; i < 4 && t->consts[i].count; i++)
        input[inputs++] = t->consts[i].count < 0 ? -1 : add_const(g, &t->consts[i], i);
    if (t->param_first) {
        input[0] = input[1];
        input[1] = g->input;
    }
    for (g->outputs = 0; !g->outputs || g->outputs < t->outputs; g->outputs++)
        g->output[g->outputs] = graph_add_value(g, (char[]){ 'y', (char)('0' + g->outputs), 0 }, &e);
    int n = graph_add_node(g, t->op, "node", input, inputs, g->output, g->outputs, &e);
    must(n, &e, t);
    set_attributes(&g->node[n], t);
    must(graph_finish(g, &e), &e, t);
    return g;
}

/* --- loss and differences --- */

struct check {
    const struct row *t;
    struct graph *g;
    struct net *n;
    size_t in;             /* features */
    real *r[NODE_OUTPUTS]; /* loss = sum of r * y over the valid samples, layouts of the outputs */
};

static bool valid(size_t at, size_t features)
{
    return at / (features * LANES) * LANES + at % LANES < SAMPLES;
}

/* Numbers of output k. */
static size_t count_of(const struct check *c, int k)
{
    return 2 * (size_t)shape_count(&c->g->value[c->g->output[k]].shape) * LANES;
}

static double loss(struct check *c)
{
    double sum = 0;
    net_forward(c->n, SAMPLES, !c->t->frozen, 3);
    for (int k = 0; k < c->g->outputs; k++)
        for (size_t i = 0; i < count_of(c, k); i++)
            sum += c->r[k][i] * net_output(c->n, k)[i];
    return sum;
}

static void step(struct check *c)
{
    net_forward(c->n, SAMPLES, !c->t->frozen, 3);
    for (int k = 0; k < c->g->outputs; k++)
        memcpy(net_output_gradient(c->n, k), c->r[k], count_of(c, k) * sizeof(real));
    net_backward(c->n);
}

static void compare(struct check *c, real *at, double gradient, const char *what, size_t index)
{
    const double h = 1e-5;
    double kept = *at;
    *at = kept + h;
    double above = loss(c);
    *at = kept - h;
    double below = loss(c);
    *at = kept;
    double numeric = (above - below) / (2 * h);
    if (!(fabs(gradient - numeric) <= 1e-6 * (fabs(gradient) + fabs(numeric)) + 1e-8))
        fail_msg("%s (row %d): gradient of %s[%zu] is %.10g, the difference says %.10g", c->t->op,
                 (int)(c->t - table), what, index, gradient, numeric);
}

static void check_input(struct check *c)
{
    real *x = net_input(c->n);
    size_t count = 2 * c->in * LANES;
    real *gradient = mem_array(count, sizeof *gradient);
    memcpy(gradient, net_input_gradient(c->n), count * sizeof *gradient);
    for (size_t i = 0; i < count; i++) {
        if (!valid(i, c->in))
            assert_true(gradient[i] == 0);
        else if (i % LANES % 5 == 1) /* samples 1, 6, 11 and 17 */
            compare(c, &x[i], gradient[i], "x", i);
    }
    free(gradient);
}

static void check_params(struct check *c)
{
    size_t bytes = c->g->param_count * sizeof(real);
    real *gradient = mem_alloc(bytes);
    memcpy(gradient, net_gradients(c->n), bytes);
    for (int v = 0; v < c->g->values; v++) {
        const struct value *value = &c->g->value[v];
        if (value->kind != VALUE_PARAM)
            continue;
        /* in training, BatchNormalization's statistics (inputs 4 and 5) only take what the batch gives */
        bool statistic = !strcmp(c->t->op, "BatchNormalization") && value->name[1] >= '2';
        for (int64_t i = 0; i < shape_count(&value->shape) && !statistic; i++)
            compare(c, c->g->param + value->offset + i, gradient[value->offset + i], value->name, (size_t)i);
    }
    free(gradient);
}

static void check_row(const struct row *t)
{
    struct rng r = rng_at(11, (uint64_t)(t - table), 0);
    struct err e = { 0 };
    struct check c = { .t = t, .g = build(t, &r) };
    struct net_options o = { .batch = SAMPLES, .train = true, .input_gradient = true, .seed = 5 };
    must(net_new(c.g, &o, &c.n, &e), &e, t);
    c.in = (size_t)shape_count(&t->in);
    for (int k = 0; k < c.g->outputs; k++) {
        c.r[k] = mem_array(count_of(&c, k), sizeof *c.r[k]);
        for (size_t i = 0; i < count_of(&c, k); i++)
            c.r[k][i] = valid(i, count_of(&c, k) / 2 / LANES) ? rng_uniform(&r) * 2 - 1 : 0;
    }
    for (size_t i = 0; i < 2 * c.in * LANES; i++)
        net_input(c.n)[i] = valid(i, c.in) ? rng_uniform(&r) * 2 - 1 : 0;
    step(&c);
    check_input(&c);
    step(&c);
    check_params(&c);
    for (int k = 0; k < c.g->outputs; k++)
        free(c.r[k]);
    net_free(c.n);
    graph_free(c.g);
}

static void against_differences(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check_row(&table[i]);
}

static void every_operator_has_a_row(void **state)
{
    (void)state;
    for (int i = 0; op_list[i]; i++) {
        bool found = false;
        for (size_t k = 0; k < sizeof table / sizeof *table; k++)
            found |= !strcmp(table[k].op, op_list[i]->name);
        for (int k = 0; defined_elsewhere[k]; k++)
            found |= !strcmp(defined_elsewhere[k], op_list[i]->name);
        if (!found)
            fail_msg("The operator %s has no row in the gradient check", op_list[i]->name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operator_has_a_row),
        cmocka_unit_test(against_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
