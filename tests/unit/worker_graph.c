/* Building, ordering, editing and copying graphs; and what each mistake is called. */
#include "tests/unit/worker_nets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void finish(struct graph *g)
{
    struct err e = { 0 };
    if (graph_finish(g, &e) < 0)
        fail_msg("%s (%s)", e.text, e.place);
}

static void lenet_shapes(void **state)
{
    struct graph *g = lenet();
    struct layer *layers;
    int count;
    char text[64];
    (void)state;
    finish(g);
    shape_text(&g->value[graph_find_value(g, "pool2.out")].shape, text, sizeof text);
    assert_string_equal(text, "50x4x4");
    assert_int_equal(graph_parameters(g), 431080);
    assert_int_equal(graph_trainable(g), 431080);
    assert_int_equal(graph_layers(g, &layers, &count, NULL), 0);
    assert_int_equal(count, 4);
    assert_string_equal(layers[1].name, "conv2");
    assert_int_equal(layers[1].parameters, 25050);
    assert_int_equal(layers[0].macs + layers[1].macs + layers[2].macs + layers[3].macs, 2293000);
    assert_string_equal(g->value[layers[3].bias].name, "fc2.bias");
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM)
            assert_int_equal(g->value[v].offset % 16, 0);
    free(layers);
    graph_free(g);
}

/* Nodes in the wrong order are sorted; what no output needs goes away, and its parameters with it. */
static void order_and_dead_code(void **state)
{
    struct err e;
    struct graph *g = graph_new("mixed up");
    struct shape s = { 1, { 3 } };
    (void)state;
    int x = graph_add_input(g, "x", &s, &e);
    int dead = graph_add_param(g, "dead", &(struct shape){ 1, { 40 } }, true, (float[40]){ 7 }, &e);
    int p = graph_add_param(g, "p", &s, true, (float[]){ 1, 2, 3 }, &e);
    int a = graph_add_value(g, "a", &e), b = graph_add_value(g, "b", &e), c = graph_add_value(g, "c", &e);
    graph_add_node(g, "Relu", "second", &a, 1, &b, 1, &e);
    graph_add_node(g, "Add", "unused", (int[]){ x, dead }, 2, &c, 1, &e);
    graph_add_node(g, "Add", "first", (int[]){ x, p }, 2, &a, 1, &e);
    g->output[g->outputs++] = b;
    finish(g);
    assert_int_equal(g->nodes, 2);
    assert_string_equal(g->node[0].name, "first");
    assert_int_equal(graph_find_node(g, "second"), 1);
    assert_int_equal(graph_find_node(g, "unused"), -1);
    assert_int_equal(graph_find_value(g, "dead"), -1);
    assert_int_equal(graph_parameters(g), 3);
    const struct value *kept = &g->value[graph_find_value(g, "p")];
    assert_int_equal(kept->offset, 0);
    assert_true(g->param[1] == 2 && g->param_count == 16);
    graph_free(g);
}

static void insert_and_clone(void **state)
{
    struct err e = { 0 };
    struct graph *g = lenet(), *copy;
    (void)state;
    finish(g);
    int v = graph_find_value(g, "relu.out");
    int step = graph_add_param(g, "relu.step", &(struct shape){ 1, { 1 } }, true, (float[]){ 0.5f }, &e);
    int n = graph_insert(g, v, "QuantdFakeQuant", "relu.quant", &step, 1, NULL, -1, &e);
    assert_true(n >= 0);
    node_set_int(&g->node[n], "low", 0);
    node_set_int(&g->node[n], "high", 255);
    finish(g);
    const struct node *fc2 = &g->node[graph_find_node(g, "fc2")];
    assert_string_equal(g->value[fc2->input[0]].name, "relu.quant.output");
    assert_int_equal(graph_find_node(g, "relu.quant"), graph_find_node(g, "fc2") - 1);

    assert_int_equal(graph_clone(g, &copy, &e), 0);
    assert_int_equal(copy->nodes, g->nodes);
    assert_int_equal(copy->param_count, g->param_count);
    assert_memory_equal(copy->param, g->param, g->param_count * sizeof *g->param);
    assert_int_equal(node_int(&copy->node[graph_find_node(copy, "relu.quant")], "high", 0), 255);
    graph_free(g);
    assert_true(shape_equal(&copy->value[copy->output[0]].shape, &(struct shape){ 1, { 10 } }));
    graph_free(copy);
}

/* Only some consumers are redirected; behind an output, the output is too. */
static void insert_for_some(void **state)
{
    struct err e = { 0 };
    struct graph *g = branches();
    (void)state;
    finish(g);
    int left = graph_find_node(g, "left"), flat = graph_find_value(g, "flat.out");
    assert_true(graph_insert(g, flat, "Tanh", "only_left", NULL, 0, &left, 1, &e) >= 0);
    assert_true(graph_insert(g, g->output[0], "Relu", "last", NULL, 0, NULL, -1, &e) >= 0);
    finish(g);
    assert_string_equal(g->value[g->node[graph_find_node(g, "left")].input[0]].name, "only_left.output");
    assert_int_equal(g->node[graph_find_node(g, "right")].input[0], graph_find_value(g, "flat.out"));
    assert_string_equal(g->value[g->output[0]].name, "last.output");
    graph_free(g);
}

/* --- mistakes --- */

static void expect(struct graph *g, int code, const char *place, const char *text)
{
    struct err e = { 0 };
    assert_int_equal(graph_finish(g, &e), code);
    assert_int_equal(e.code, code);
    assert_string_equal(e.place, place);
    if (!strstr(e.text, text))
        fail_msg("'%s' does not say '%s'", e.text, text);
    graph_free(g);
}

static struct graph *with_input(int *x)
{
    struct err e;
    struct graph *g = graph_new("wrong");
    *x = graph_add_input(g, "x", &(struct shape){ 3, { 2, 4, 4 } }, &e);
    return g;
}

static void mistakes_in_the_whole(void **state)
{
    struct err e;
    int x;
    (void)state;
    struct graph *g = with_input(&x);
    int a = graph_add_value(g, "a", &e), b = graph_add_value(g, "b", &e);
    graph_add_node(g, "Relu", "there", &b, 1, &a, 1, &e);
    graph_add_node(g, "Relu", "back", &a, 1, &b, 1, &e);
    g->output[g->outputs++] = b;
    expect(g, ERR_INVALID, "node there (Relu)", "cycle");

    g = with_input(&x);
    a = graph_add_value(g, "nothing", &e);
    b = add_layer(g, "Relu", "act", a, NULL);
    g->output[g->outputs++] = b;
    expect(g, ERR_INVALID, "node act (Relu)", "'nothing'");

    g = with_input(&x);
    expect(g, ERR_INVALID, "", "no output");

    g = with_input(&x);
    g->output[g->outputs++] = graph_add_value(g, "y", &e);
    expect(g, ERR_INVALID, "", "'y'");

    g = graph_new("no input");
    expect(g, ERR_INVALID, "", "no input");

    g = with_input(&x);
    g->output[0] = g->output[1] = add_layer(g, "Relu", "act", x, NULL);
    g->outputs = 2;
    expect(g, ERR_INVALID, "", "twice");
}

static void mistakes_in_a_node(void **state)
{
    int x;
    (void)state;
    struct graph *g = with_input(&x);
    g->output[g->outputs++] = add_layer(g, "Conv", "conv", x, &(struct shape){ 4, { 5, 3, 3, 3 } });
    expect(g, ERR_INVALID, "node conv (Conv)", "5x3x3x3");

    g = with_input(&x);
    g->output[g->outputs++] = add_layer(g, "Conv", "conv", x, &(struct shape){ 4, { 5, 2, 5, 5 } });
    expect(g, ERR_INVALID, "node conv (Conv)", "5 pixels");

    g = with_input(&x);
    g->output[g->outputs++] = add_layer(g, "Relu", "act", x, NULL);
    node_set_int(last_node(g), "slope", 1);
    expect(g, ERR_UNSUPPORTED, "node act (Relu)", "'slope'");

    g = with_input(&x);
    g->output[g->outputs++] = add_dense(g, "fc", x, 10, 32);
    expect(g, ERR_INVALID, "node fc (Gemm)", "Flatten");

    g = with_input(&x);
    g->output[g->outputs++] =
        add_join(g, "Concat", "both", x, add_layer(g, "GlobalAveragePool", "gap", x, NULL));
    expect(g, ERR_INVALID, "node both (Concat)", "2x1x1");

    g = with_input(&x);
    g->output[g->outputs++] = add_layer(g, "Transpose", "turn", x, NULL);
    expect(g, ERR_UNSUPPORTED, "node turn (Transpose)", "batch");

    g = with_input(&x);
    g->output[g->outputs++] = add_layer(g, "Softmax", "soft", x, NULL);
    node_set_int(last_node(g), "axis", 4);
    expect(g, ERR_INVALID, "node soft (Softmax)", "Axis 4");

    g = with_input(&x);
    g->output[g->outputs++] = add_layer(g, "MaxPool", "pool", x, NULL);
    node_set_ints(last_node(g), "kernel_shape", (int64_t[]){ 1, 1 }, 2);
    node_set_ints(last_node(g), "strides", (int64_t[]){ 0, 1 }, 2);
    expect(g, ERR_UNSUPPORTED, "node pool (MaxPool)", "'strides'");
}

static void mistakes_while_building(void **state)
{
    struct err e = { 0 };
    int x;
    (void)state;
    struct graph *g = with_input(&x);
    int y = graph_add_value(g, "y", &e);
    assert_int_equal(graph_add_node(g, "Abracadabra", "magic", &x, 1, &y, 1, &e), ERR_UNSUPPORTED);
    assert_string_equal(e.place, "node magic (Abracadabra)");
    e = (struct err){ 0 };
    assert_int_equal(graph_add_value(g, "y", &e), ERR_INVALID);
    assert_int_equal(graph_add_value(g, "", &e), ERR_INVALID);
    assert_int_equal(graph_add_input(g, "second", &g->value[x].shape, &e), ERR_UNSUPPORTED);
    assert_true(graph_add_node(g, "Relu", "act", &x, 1, &y, 1, &e) >= 0);
    assert_int_equal(graph_add_node(g, "Relu", "again", &x, 1, &y, 1, &e), ERR_INVALID);
    assert_int_equal(graph_add_node(g, "Relu", "far", (int[]){ 99 }, 1, &y, 1, &e), ERR_INTERNAL);
    assert_int_equal(
        graph_add_param(g, "huge", &(struct shape){ 3, { 1 << 20, 1 << 20, 9 } }, true, NULL, &e),
        ERR_TOO_LARGE);
    /* names of nodes are made unique instead */
    int z = graph_add_value(g, "z", &e);
    int n = graph_add_node(g, "Relu", "act", &x, 1, &z, 1, &e);
    assert_string_not_equal(g->node[n].name, "act");
    graph_free(g);
}

/* Whichever allocation fails: a clean error, nothing leaks (the sanitizer watches). */
static void out_of_memory(void **state)
{
    (void)state;
    for (int64_t fail = 0;; fail++) {
        struct err e = { 0 };
        struct graph *g = branches(), *copy = NULL;
        struct net *n = NULL;
        struct layer *layers = NULL;
        int count;
        mem_fail_after(fail);
        int r = graph_finish(g, &e);
        if (r == 0)
            r = graph_clone(g, &copy, &e);
        if (r == 0)
            r = graph_layers(copy, &layers, &count, &e);
        if (r == 0)
            r = net_new(copy, &(struct net_options){ .batch = 20, .train = true }, &n, &e);
        mem_fail_after(-1);
        net_free(n);
        free(layers);
        graph_free(copy);
        graph_free(g);
        if (r == 0)
            return;
        assert_int_equal(r, ERR_NOMEM);
        assert_true(fail < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lenet_shapes),
        cmocka_unit_test(order_and_dead_code),
        cmocka_unit_test(insert_and_clone),
        cmocka_unit_test(insert_for_some),
        cmocka_unit_test(mistakes_in_the_whole),
        cmocka_unit_test(mistakes_in_a_node),
        cmocka_unit_test(mistakes_while_building),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
