/* Learned bases and levels in ONNX: what is written reads back as the same network, and written again it is
 * the same file; what is no such thing is refused with its place. */
#include "onnx_trip.h"

/* Codes of a basis: each is a sum of +-2^k, its bits wander. */
static void set_planes(struct graph *g, const char *name, int planes, int axis)
{
    struct value *v = &g->value[graph_find_value(g, name)];
    const int64_t count = shape_count(&v->shape), channels = axis < 0 ? 1 : v->shape.dim[axis];
    struct value_codes *c = value_codes_new(
        &(struct value_codes){ .bits = planes, .planes = planes, .axis = axis, .channels = channels },
        (size_t)count);
    for (int64_t k = 0; k < channels * planes; ++k)
        c->scale[k] = 0.013f * (float)(1 + k * k % 7);
    for (int64_t i = 0; i < count; ++i)
        c->code[i] = 2 * (int32_t)(i * i % (1 << planes)) - (1 << planes) + 1;
    value_codes_numbers(c, &v->shape, g->param + v->offset);
    v->codes = c;
}

static void bit_planes(void **state)
{
    (void)state;
    struct graph *g = lenet();
    set_planes(g, "conv1.weight", 2, 0);
    set_planes(g, "conv2.weight", 4, 0);
    set_planes(g, "fc1.weight", 3, -1);
    struct graph *back = round_trip(g);
    same_graph(g, back);
    graph_free(g);
    graph_free(back);
}

/* Learned levels behind a value, as quant/attach.c makes them; the names are those of the importer. */
static void stairs(struct graph *g, const char *value, const char *name, int count)
{
    struct err e = { 0 };
    char text[64];
    float level[16], threshold[15];
    int v[2];
    for (int i = 0; i < count; ++i)
        level[i] = 0.3f * (float)(i * i);
    for (int i = 0; i + 1 < count; ++i)
        threshold[i] = (level[i] + level[i + 1]) / 2;
    snprintf(text, sizeof text, "%s.output_thresholds", name);
    v[0] = graph_add_param(g, text, &(struct shape){ 1, { count - 1 } }, false, threshold, &e);
    snprintf(text, sizeof text, "%s.output_levels", name);
    v[1] = graph_add_param(g, text, &(struct shape){ 1, { count } }, false, level, &e);
    assert_true(v[0] >= 0 && v[1] >= 0);
    if (graph_insert(g, graph_find_value(g, value), "QuantdLevels", name, v, 2, NULL, -1, &e) < 0)
        fail_msg("%s", e.text);
    if (graph_finish(g, &e))
        fail_msg("%s (%s)", e.text, e.place);
}

static void learned_levels(void **state)
{
    (void)state;
    struct graph *g = lenet();
    stairs(g, "pool1.output", "a", 2);
    stairs(g, "flatten.output", "b", 4);
    stairs(g, "relu1.output", "c", 16);
    struct graph *back = round_trip(g);
    same_graph(g, back);
    graph_free(g);
    graph_free(back);
}

/* The start of a chain is read by others, too; and what is no chain at all. */
static void foreign_comparisons(void **state)
{
    static const struct {
        const char *where;
        const char *place; /* of the error; NULL: fine */
    } rows[] = { { "a l1 l0 -> y", NULL },
                 { "a x l0 -> y", "node end (Where)" },
                 { "a l1 x -> y", "node end (Where)" },
                 { "x l1 l0 -> y", "node end (Where)" } };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct model m;
        struct buf file;
        struct graph *g = NULL;
        struct err e = { 0 };
        model_start(&m);
        model_input(&m, "x", -1, 2);
        model_output(&m, "z", -1, 2);
        model_floats(&m, "t", 0.5f);
        model_floats(&m, "l0", -1.0f);
        model_floats(&m, "l1", 2.0f);
        model_node(&m, "Greater", "above", "x t -> a", NULL);
        model_node(&m, "Where", "end", rows[i].where, NULL);
        model_node(&m, "Relu", "relu", "y -> r", NULL);
        model_node(&m, "Add", "add", "y r -> z", NULL);
        model_done(&m, &file);
        const int got = onnx_import(file.data, file.length, &g, &e);
        if (got != (rows[i].place ? ERR_UNSUPPORTED : 0))
            fail_msg("%s: %s (%s)", rows[i].where, e.text, e.place);
        if (rows[i].place)
            assert_string_equal(e.place, rows[i].place);
        else
            assert_int_equal(g->nodes, 3);
        graph_free(g);
        buf_free(&file);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    struct graph *g = lenet();
    set_planes(g, "conv1.weight", 3, 0);
    stairs(g, "flatten.output", "b", 4);
    write_without_memory(g);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bit_planes),
        cmocka_unit_test(learned_levels),
        cmocka_unit_test(foreign_comparisons),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
