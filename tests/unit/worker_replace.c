/* Quantizers that a model came with give way to the job's own: one on an input, the same function where the
 * levels are the same, and nothing left behind. */
#include "onnx_trip.h"
#include "same_function.h"

#include "worker/quant/method.h"
#include "worker/quant/replace.h"

/* Quantize the input of every layer, but for those named in `but` (a mask), in steps of 0.1; how many gave
 * way. */
static int quantize_to(struct graph *g, const struct method *m, int bits, unsigned but)
{
    struct layer *layers;
    struct quant *q;
    struct err e = { 0 };
    int count;

    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    free(layers);
    struct quant_layer_plan *plan = mem_array((size_t)count, sizeof *plan);
    for (int i = 0; i < count; i++) {
        plan[i] = (struct quant_layer_plan){ .weight_bits = 32, .activation = { .bits = 32 } };
        if (but >> i & 1)
            continue;
        plan[i].activation.bits = bits;
        plan[i].activation.high = (1 << bits) - 1;
        plan[i].activation.step = (real)0.1;
        plan[i].activation.basis = m->activation_basis && m->activation_basis(bits);
        for (int k = 0; k < 4; k++)
            plan[i].activation.v[k] = (real)(0.1 * (1 << k));
    }
    const struct quant_options o = { .method = m, .grid = grid_find("sym") };
    if (quant_new(g, plan, count, &o, &q, &e))
        fail_msg("%s (%s)", e.text, e.place);
    const int replaced = q->replaced;
    quant_free(q);
    free(plan);
    return replaced;
}

static int quantize(struct graph *g, const struct method *m, unsigned but)
{
    return quantize_to(g, m, 4, but);
}

static int nodes_of(const struct graph *g, const char *op)
{
    int count = 0;

    for (int i = 0; i < g->nodes; i++)
        count += strcmp(g->node[i].op->name, op) == 0;
    return count;
}

static const struct {
    const struct method *method;
    const char *op;
    bool chain; /* in a file it is QuantizeLinear, Clip, DequantizeLinear */
} kinds[] = { { &method_lsq, "QuantdFakeQuant", true }, { &method_lq_nets, "QuantdLevels", false } };

static void the_jobs_own_take_their_place(void **state)
{
    (void)state;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t next = 0; next < sizeof kinds / sizeof *kinds; next++) {
            struct graph *g = lenet();
            assert_int_equal(quantize(g, kinds[k].method, 0), 0);
            struct graph *came = round_trip(g), *again;
            assert_int_equal(nodes_of(came, "QuantizeLinear"), kinds[k].chain ? 4 : 0);
            assert_int_equal(graph_clone(came, &again, NULL), 0);
            assert_int_equal(quantize(again, kinds[next].method, 0), 4);
            assert_int_equal(nodes_of(again, kinds[next].op), 4);
            assert_int_equal(again->nodes, g->nodes);
            assert_int_equal(again->values,
                             g->values + 4 * (kinds[k].chain - kinds[next].chain)); /* levels have two */
            assert_same_function(came, again);
            graph_free(g);
            graph_free(came);
            graph_free(again);
        }
}

static void layers_that_the_plan_leaves_keep_theirs(void **state)
{
    (void)state;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct graph *g = lenet();
        assert_int_equal(quantize(g, kinds[k].method, 0), 0);
        struct graph *came = round_trip(g);
        graph_free(g);
        assert_int_equal(graph_clone(came, &g, NULL), 0);
        assert_int_equal(quantize(g, &method_lsq, 1u << 1), 3);
        assert_int_equal(nodes_of(g, "QuantizeLinear"), kinds[k].chain ? 1 : 0);
        assert_int_equal(nodes_of(g, "QuantdLevels"), kinds[k].chain ? 0 : 1);
        assert_int_equal(nodes_of(g, "QuantdFakeQuant"), 3);
        assert_same_function(came, g);
        graph_free(g);
        graph_free(came);
    }
}

/* Two layers read one value through one quantizer; one of them is left as it is. */
static struct graph *fork_of_layers(void)
{
    struct graph *g = graph_new("fork");
    struct err e = { 0 };
    float w[8 * 3];
    int y[3], in = graph_add_input(g, "x", &(struct shape){ 1, { 8 } }, &e);

    for (int i = 0; i < 2; i++) {
        for (int k = 0; k < 8 * 3; k++)
            w[k] = 0.1f * (float)((7 * k + i) % 11 - 5);
        const int a = graph_add_param(g, i ? "b" : "a", &(struct shape){ 2, { 8, 3 } }, true, w, &e);
        y[i] = graph_add_value(g, i ? "y1" : "y0", &e);
        assert_true(graph_add_node(g, "MatMul", i ? "n1" : "n0", (int[]){ in, a }, 2, &y[i], 1, &e) >= 0);
    }
    y[2] = graph_add_value(g, "y", &e);
    assert_true(graph_add_node(g, "Add", "sum", (int[]){ y[0], y[1] }, 2, &y[2], 1, &e) >= 0);
    g->output[g->outputs++] = y[2];
    g->batched = true;
    assert_int_equal(graph_finish(g, &e), 0);
    return g;
}

static void a_shared_quantizer_stays_for_who_is_left(void **state)
{
    (void)state;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct graph *g = fork_of_layers();
        assert_int_equal(quantize(g, kinds[k].method, 0), 0);
        struct graph *came = round_trip(g), *half, *both;
        assert_int_equal(graph_clone(came, &half, NULL), 0);
        assert_int_equal(quantize(half, kinds[k].method, 1u << 1), 1);
        assert_int_equal(nodes_of(half, "QuantizeLinear"), kinds[k].chain ? 1 : 0);
        assert_int_equal(nodes_of(half, kinds[k].op), kinds[k].chain ? 1 : 2);
        assert_same_function(came, half);
        both = round_trip(half); /* names don't collide */
        assert_int_equal(quantize(both, kinds[k].method, 0),
                         0); /* one value through two: who knows which range is right */
        assert_int_equal(nodes_of(both, kinds[k].op), kinds[k].chain ? 2 : 4);
        assert_same_function(came, both);
        graph_free(g);
        graph_free(came);
        graph_free(half);
        graph_free(both);
    }
}

/* QuantdLevels with 16 levels in front of every layer; the first of the levels as told. */
static void more_levels(struct graph *g, float first)
{
    struct err e = { 0 };
    struct layer *layers;
    float number[2][16] = { { 0 } };
    int count;

    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    for (int k = 0; k < 16; k++) {
        number[0][k] = 0.1f * ((float)k + 0.5f);
        number[1][k] = k > 0 ? 0.1f * (float)k : first;
    }
    for (int i = 0; i < count; i++) {
        char name[32];
        int v[2];
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, "more%d.%d", i, k);
            v[k] = graph_add_param(g, name, &(struct shape){ 1, { 15 + k } }, false, number[k], &e);
        }
        snprintf(name, sizeof name, "more%d", i);
        assert_true(graph_insert(g, g->node[layers[i].node].input[0], "QuantdLevels", name, v, 2,
                                 &layers[i].node, 1, &e) >= 0);
    }
    free(layers);
    assert_int_equal(graph_finish(g, &e), 0);
}

/* Files of older versions have two in a row. */
static void several_in_a_row_give_way_together(void **state)
{
    struct graph *g = lenet(), *twice;
    (void)state;

    assert_int_equal(quantize(g, &method_lsq, 0), 0);
    struct graph *came = round_trip(g);
    more_levels(came, 0);
    twice = round_trip(came);
    assert_int_equal(quantize(twice, &method_lsq, 0), 4);
    assert_int_equal(twice->nodes, g->nodes);
    assert_same_function(came, twice);
    graph_free(g);
    graph_free(came);
    graph_free(twice);
}

/* Without it the network would be another: fewer levels than the job has, steps that round to something else,
 * a scale on the way back that isn't that of the way there. */
static void what_is_more_than_a_quantizer_stays(void **state)
{
    struct err e = { 0 };
    struct graph *g, *came;
    (void)state;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        g = lenet();
        assert_int_equal(quantize(g, kinds[k].method, 0), 0);
        came = round_trip(g);
        assert_int_equal(quantize_to(came, &method_lsq, 8, 0), 0);
        assert_int_equal(nodes_of(came, "QuantizeLinear"), kinds[k].chain ? 4 : 0);
        assert_same_function(g, came);
        graph_free(came);
        graph_free(g);
    }
    g = lenet();
    more_levels(g, 0.07f); /* beyond its threshold */
    assert_int_equal(quantize(g, &method_lsq, 0), 0);
    assert_int_equal(nodes_of(g, "QuantdLevels"), 4);
    graph_free(g);

    g = lenet();
    assert_int_equal(quantize(g, &method_lsq, 0), 0);
    came = round_trip(g);
    graph_free(g);
    for (int i = 0; i < came->nodes; i++)
        if (strcmp(came->node[i].op->name, "DequantizeLinear") == 0) {
            char name[32];
            snprintf(name, sizeof name, "wider%d", i);
            came->node[i].input[1] =
                graph_add_param(came, name, &(struct shape){ 0 }, false, &(float){ 0.2f }, &e);
        }
    assert_int_equal(graph_finish(came, &e), 0);
    assert_int_equal(quantize(came, &method_lsq, 0), 0);
    assert_int_equal(nodes_of(came, "QuantizeLinear"), 4);
    graph_free(came);
}

/* Whatever allocation fails, it is said. */
static void without_memory(void **state)
{
    struct graph *g = lenet(), *came, *copy;
    struct quant_layer_plan plan[4];
    int failures = 0, replaced = 0;
    (void)state;

    assert_int_equal(quantize(g, &method_lsq, 0), 0);
    came = round_trip(g);
    for (int i = 0; i < 4; i++)
        plan[i] = (struct quant_layer_plan){ .weight_bits = 32, .activation = { .bits = 4 } };
    for (int n = 0; replaced == 0 && n < 10000; n++) {
        struct err e = { 0 };
        assert_int_equal(graph_clone(came, &copy, NULL), 0);
        mem_fail_after(n);
        const int got = replace_quantizers(copy, plan, 4, &replaced, &e);
        mem_fail_after(-1);
        failures += got != 0;
        replaced = got ? 0 : replaced;
        assert_true(got == 0 || got == ERR_NOMEM);
        graph_free(copy);
    }
    assert_int_equal(replaced, 4);
    assert_true(failures > 3);
    graph_free(g);
    graph_free(came);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_jobs_own_take_their_place),
        cmocka_unit_test(layers_that_the_plan_leaves_keep_theirs),
        cmocka_unit_test(a_shared_quantizer_stays_for_who_is_left),
        cmocka_unit_test(several_in_a_row_give_way_together),
        cmocka_unit_test(what_is_more_than_a_quantizer_stays),
        cmocka_unit_test(without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
