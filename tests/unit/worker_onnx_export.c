/* Writing ONNX: what is written reads back as the same network, and written again it is the same file. */
#include "onnx_trip.h"

static void float_network(void **state)
{
    (void)state;
    struct graph *g = lenet(), *back = round_trip(g);
    same_graph(g, back);
    assert_int_equal(graph_parameters(back), 431080);
    graph_free(g);
    graph_free(back);
}

static void the_frame(void **state)
{
    (void)state;
    struct graph *g = lenet();
    char *data;
    size_t length;
    write_file(g, &data, &length);
    struct err e = { 0 };
    assert_int_equal(pb_check(data, length, &e), 0);
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, length, (const uint8_t *)data);
    assert_non_null(m);
    assert_int_equal(m->ir_version, 7);
    assert_int_equal(m->opset_import[0]->version, 13);
    assert_string_equal(m->producer_name, "quantd");
    assert_int_equal(m->n_metadata_props, 2);
    assert_string_equal(m->metadata_props[1]->key, "method");
    assert_string_equal(m->metadata_props[1]->value, "msqe");
    const Onnx__TensorShapeProto *shape = m->graph->input[0]->type->tensor_type->shape;
    assert_int_equal(shape->n_dim, 4);
    assert_string_equal(shape->dim[0]->dim_param, "N");
    assert_int_equal(shape->dim[3]->dim_value, 28);
    assert_int_equal(m->graph->n_node, 8);
    assert_int_equal(m->graph->n_initializer, 8);
    onnx__model_proto__free_unpacked(m, NULL);
    free(data);
    graph_free(g);
}

/* --- quantized ---------------------------------------------------------------------------------------------
 */

/* Integers for a parameter: code = i mod levels + low, spread over channels of the axis (-1: one scale). */
static void set_codes(struct graph *g, const char *name, int bits, int axis, int low, int levels)
{
    struct value *v = &g->value[graph_find_value(g, name)];
    const int64_t count = shape_count(&v->shape);
    struct value_codes *c = mem_alloc(sizeof *c);
    c->bits = bits;
    c->axis = axis;
    c->channels = axis < 0 ? 1 : v->shape.dim[axis];
    c->scale = mem_array((size_t)c->channels, sizeof *c->scale);
    c->code = mem_array((size_t)count, sizeof *c->code);
    int64_t inner = 1;
    for (int a = axis + 1; axis >= 0 && a < v->shape.rank; ++a)
        inner *= v->shape.dim[a];
    for (int64_t k = 0; k < c->channels; ++k)
        c->scale[k] = 0.013f * (float)(k + 1);
    for (int64_t i = 0; i < count; ++i) {
        c->code[i] = (int32_t)(i % levels) + low;
        g->param[v->offset + i] = (float)c->code[i] * c->scale[axis < 0 ? 0 : i / inner % c->channels];
    }
    v->codes = c;
}

static void stored_integers(void **state)
{
    (void)state;
    struct graph *g = lenet();
    set_codes(g, "conv1.weight", 8, -1, -127, 255);
    set_codes(g, "conv2.weight", 4, 0, -7, 15);   /* per output channel */
    set_codes(g, "fc1.weight", 8, -1, 0, 256);    /* needs uint8 */
    set_codes(g, "fc2.weight", 8, -1, -255, 511); /* an 8-bit mid-rise grid fits no byte */
    set_codes(g, "conv1.bias", 32, -1, -100000, 20);
    set_codes(g, "conv2.bias", 32, 0, -5, 11);
    struct graph *back = round_trip(g);
    same_graph(g, back);
    graph_free(g);
    graph_free(back);
}

static void containers(void **state)
{
    (void)state;
    struct graph *g = lenet();
    set_codes(g, "conv1.weight", 4, -1, -7, 15);
    set_codes(g, "conv1.bias", 32, -1, -10, 20);
    set_codes(g, "conv2.weight", 2, 0, -1, 3);
    char *data;
    size_t length;
    write_file(g, &data, &length);
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, length, (const uint8_t *)data);
    assert_non_null(m);
    static const struct {
        const char *name;
        int type;
        size_t dims, bytes;
    } expected[] = { { "conv1.weight_q", ONNX_INT8, 4, 500 },      { "conv1.weight_scale", ONNX_FLOAT, 0, 4 },
                     { "conv1.weight_zp", ONNX_INT8, 0, 1 },       { "conv1.bias_q", ONNX_INT32, 1, 80 },
                     { "conv1.bias_scale", ONNX_FLOAT, 0, 4 },     { "conv2.weight_q", ONNX_INT8, 4, 25000 },
                     { "conv2.weight_scale", ONNX_FLOAT, 1, 200 }, { "conv2.weight_zp", ONNX_INT8, 1, 50 },
                     { "conv2.bias", ONNX_FLOAT, 1, 200 } };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; ++i) {
        const Onnx__TensorProto *t = m->graph->initializer[i];
        assert_string_equal(t->name, expected[i].name);
        assert_int_equal(t->data_type, expected[i].type);
        assert_int_equal(t->n_dims, expected[i].dims);
        assert_int_equal(t->raw_data.len, expected[i].bytes);
    }
    assert_string_equal(m->graph->node[0]->op_type, "DequantizeLinear");
    assert_string_equal(m->graph->node[0]->output[0], "conv1.weight");
    assert_int_equal(m->graph->node[1]->n_input, 2); /* the bias: no zero point */
    onnx__model_proto__free_unpacked(m, NULL);
    free(data);
    graph_free(g);
}

static void fake(struct graph *g, const char *value, const char *name, int low, int high, float step)
{
    struct err e = { 0 };
    char text[64];
    snprintf(text, sizeof text, "%s.step", name);
    const struct shape scalar = { 0 };
    const int v = graph_add_param(g, text, &scalar, true, &step, &e);
    assert_true(v >= 0);
    const int n = graph_insert(g, graph_find_value(g, value), "QuantdFakeQuant", name, &v, 1, NULL, -1, &e);
    if (n < 0)
        fail_msg("%s", e.text);
    assert_int_equal(node_set_int(&g->node[n], "low", low), 0);
    assert_int_equal(node_set_int(&g->node[n], "high", high), 0);
    if (graph_finish(g, &e))
        fail_msg("%s (%s)", e.text, e.place);
}

static void quantized_activations(void **state)
{
    (void)state;
    struct graph *g = lenet();
    fake(g, "input", "q1", 0, 255, 1 / 255.0f);
    fake(g, "pool1.output", "q2", -128, 127, 0.02f);
    fake(g, "flatten.output", "q3", 0, 15, 0.1f);
    fake(g, "relu1.output", "q4", -4, 3, 0.25f);
    set_codes(g, "conv1.weight", 4, -1, -7, 15);
    struct graph *back = round_trip(g);
    /* two nodes for each quantizer, a third where the levels are fewer than the container's */
    assert_int_equal(back->nodes, g->nodes - 4 + 2 + 2 + 3 + 3);
    const int clip = graph_find_node(back, "q3_clip"), q = graph_find_node(back, "q4_quantize");
    assert_true(clip >= 0 && q >= 0);
    const struct value *high = &back->value[back->node[clip].input[2]];
    assert_int_equal(high->constant->dtype, DTYPE_UINT8);
    assert_int_equal(tensor_integer(high->constant, 0), 15);
    const struct value *zero = &back->value[back->node[q].input[2]];
    assert_int_equal(zero->constant->dtype, DTYPE_INT8);
    assert_int_equal(zero->kind, VALUE_CONST);
    assert_string_equal(back->value[back->node[q].input[1]].name, "q4.step");
    assert_string_equal(back->value[back->node[graph_find_node(back, "fc2")].input[0]].name, "q4.output");
    graph_free(g);
    graph_free(back);
}

static void levels_beyond_a_byte(void **state)
{
    (void)state;
    if (!op_find("QuantdFakeQuant"))
        skip();
    struct graph *g = lenet();
    fake(g, "input", "wide", 0, 1023, 0.1f);
    char *data;
    size_t length;
    struct err e = { 0 };
    assert_int_equal(onnx_export(g, NULL, 0, &data, &length, &e), ERR_UNSUPPORTED);
    assert_string_equal(e.place, "node wide (QuantdFakeQuant)");
    assert_null(data);
    graph_free(g);
}

/* --- files of others
 * ---------------------------------------------------------------------------------------- */

/* Weights as uint8 with a zero point per channel, as other tools write them: the codes are relative to it. */
static void foreign_zero_points(void **state)
{
    (void)state;
    struct model m;
    struct buf file, attrs;
    model_start(&m);
    model_input(&m, "x", -1, 2);
    model_output(&m, "y", -1, 3);
    const uint8_t q[] = { 0, 128, 255, 100, 101, 99 }, zero[] = { 128, 100 };
    model_init(&m, "w_q", ONNX_UINT8, (const int[]){ 2, 3, -1 }, q, sizeof q);
    model_floats(&m, "s", 0.5f, 2);
    model_init(&m, "z", ONNX_UINT8, (const int[]){ 2, -1 }, zero, sizeof zero);
    buf_init(&attrs, 0);
    attr_int(&attrs, "axis", 0);
    model_node(&m, "DequantizeLinear", "dq", "w_q s z -> w", &attrs);
    model_node(&m, "Gemm", "fc", "x w -> y", NULL);
    model_done(&m, &file);
    struct graph *g = read_file(file.data, file.length);
    const struct value *w = &g->value[graph_find_value(g, "w")];
    const float expected[] = { -64, 0, 63.5f, 0, 2, -2 };
    assert_int_equal(w->kind, VALUE_PARAM);
    assert_memory_equal(g->param + w->offset, expected, sizeof expected);
    assert_non_null(w->codes);
    assert_int_equal(w->codes->code[0], -128);
    assert_int_equal(w->codes->axis, 0);
    assert_int_equal(g->nodes, 1);
    graph_free(round_trip(g));
    graph_free(g);
    buf_free(&file);
}

/* Attributes of old opsets come out as inputs: the file written is one of opset 13. */
static void old_forms(void **state)
{
    (void)state;
    struct model m;
    struct buf file, attrs;
    model_start(&m);
    m.opset = 9;
    model_input(&m, "x", 1, 4);
    model_output(&m, "y", 1, 4);
    buf_init(&attrs, 0);
    attr_float(&attrs, "min", 0);
    attr_float(&attrs, "max", 6);
    model_node(&m, "Clip", "clip", "x -> a", &attrs);
    buf_init(&attrs, 0);
    attr_float(&attrs, "ratio", 0.25f);
    model_node(&m, "Dropout", "drop", "a -> b mask", &attrs);
    model_node(&m, "Softmax", "soft", "b -> y", NULL);
    model_done(&m, &file);
    struct graph *g = read_file(file.data, file.length);
    assert_true(g->batch_fixed_one);
    const struct node *clip = &g->node[0], *drop = &g->node[1], *soft = &g->node[2];
    assert_int_equal(clip->inputs, 3);
    assert_int_equal(clip->attrs, 0);
    assert_true(tensor_number(g->value[clip->input[2]].constant, 0) == 6);
    assert_int_equal(drop->outputs, 1);
    assert_true(tensor_number(g->value[drop->input[1]].constant, 0) == 0.25);
    assert_int_equal(node_int(soft, "axis", 7), 1);
    struct graph *back = round_trip(g);
    same_graph(g, back);
    graph_free(g);
    graph_free(back);
    buf_free(&file);
}

/* Names that the exporter would like to take may be taken already. */
static void taken_names(void **state)
{
    (void)state;
    struct model m;
    struct buf file;
    model_start(&m);
    model_input(&m, "w_q", -1, 2);
    model_output(&m, "w_scale", -1, 2);
    const float w[] = { 1, 2, 3, 4 };
    model_init(&m, "w", ONNX_FLOAT, (const int[]){ 2, 2, -1 }, w, sizeof w);
    model_node(&m, "Gemm", "fc", "w_q w -> w_scale", NULL);
    model_done(&m, &file);
    struct graph *g = read_file(file.data, file.length);
    set_codes(g, "w", 8, -1, -2, 4);
    struct graph *back = round_trip(g);
    same_graph(g, back);
    graph_free(g);
    graph_free(back);
    buf_free(&file);
}

static void out_of_memory(void **state)
{
    (void)state;
    struct graph *g = lenet();
    set_codes(g, "conv1.weight", 4, 0, -7, 15);
    write_without_memory(g);
    graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(float_network),         cmocka_unit_test(the_frame),
        cmocka_unit_test(stored_integers),       cmocka_unit_test(containers),
        cmocka_unit_test(quantized_activations), cmocka_unit_test(levels_beyond_a_byte),
        cmocka_unit_test(foreign_zero_points),   cmocka_unit_test(old_forms),
        cmocka_unit_test(taken_names),           cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
