/* Reading ONNX: what becomes what, and that every kind of bad file is refused with its place. */
#include "onnx_model.h"
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* input [N,4] -> Gemm fc (weights 4x2, no bias) -> Relu -> output, with what the test adds before. */
static void simple(struct model *m)
{
    static const float w[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
    model_input(m, "input", -1, 4);
    model_output(m, "output", -1, 2);
    model_init(m, "fc.weight", ONNX_FLOAT, (const int[]){ 4, 2, -1 }, w, sizeof w);
    model_node(m, "Gemm", "fc", "input fc.weight -> hidden", NULL);
    model_node(m, "Relu", NULL, "hidden -> output", NULL);
}

static void bad(struct model *m, int code, const char *place, const char *text)
{
    struct buf file;
    struct graph *g = NULL;
    struct err e = { 0 };
    model_done(m, &file);
    const int got = onnx_import(file.data, file.length, &g, &e);
    buf_free(&file);
    assert_null(g);
    if (got != code || strcmp(place, e.place) != 0 || !strstr(e.text, text))
        fail_msg("%s at '%s': %s; expected %s at '%s': %s", err_name(got), e.place, e.text, err_name(code),
                 place, text);
}

static void a_simple_model(void **state)
{
    (void)state;
    struct model m;
    model_start(&m);
    simple(&m);
    struct graph *g = model_graph(&m);
    assert_int_equal(g->nodes, 2);
    assert_string_equal(g->node[0].name, "fc");
    assert_string_equal(g->node[1].name, "Relu_1"); /* no name in the file: operator and position */
    assert_true(g->batched);
    assert_false(g->batch_fixed_one);
    assert_int_equal(g->value[g->input].shape.rank, 1);
    assert_int_equal(graph_parameters(g), 8);
    const int w = graph_find_value(g, "fc.weight");
    assert_int_equal(g->value[w].kind, VALUE_PARAM);
    assert_true(g->value[w].trainable);
    assert_true(g->param[g->value[w].offset + 7] == 8);
    assert_string_equal(g->value[g->output[0]].name, "output");
    graph_free(g);
}

/* Order in the file, dead nodes, dead initializers, IR 3's listing of initializers as inputs. */
static void untidy_files(void **state)
{
    (void)state;
    struct model m;
    model_start(&m);
    static const float w[] = { 1, 2 };
    model_output(&m, "y", -1, 2);
    model_node(&m, "Relu", "last", "sum -> y", NULL);
    model_node(&m, "Bogus", "dead", "sum nobody -> z", NULL);
    model_node(&m, "Add", "first", "x w -> sum", NULL);
    model_init(&m, "w", ONNX_FLOAT, (const int[]){ 2, -1 }, w, sizeof w);
    model_init(&m, "unused", ONNX_FLOAT, (const int[]){ 2, -1 }, w, sizeof w);
    model_input(&m, "w", 2);
    model_input(&m, "x", 1, 2);
    model_input(&m, "queue", 1, 1); /* read by nothing alive */
    struct graph *g = model_graph(&m);
    assert_int_equal(g->nodes, 2);
    assert_string_equal(g->node[0].name, "first");
    assert_int_equal(graph_find_value(g, "unused"), -1);
    assert_true(g->batch_fixed_one);
    graph_free(g);
}

static void roles(void **state)
{
    (void)state;
    struct model m;
    model_start(&m);
    model_input(&m, "x", -1, 2, 1, 1);
    model_output(&m, "y", -1, 2, 1, 1);
    model_floats(&m, "scale", 1, 1);
    model_floats(&m, "bias", 0, 0);
    model_floats(&m, "mean", 0, 0);
    model_floats(&m, "var", 1, 1);
    model_init(&m, "low", ONNX_FLOAT, (const int[]){ -1 }, &(float){ 0 }, 4);
    model_init(&m, "six", ONNX_FLOAT, (const int[]){ -1 }, &(float){ 6 }, 4);
    model_node(&m, "BatchNormalization", "bn", "x scale bias mean var -> a", NULL);
    model_node(&m, "Clip", "clip", "a low six -> b", NULL);
    model_node(&m, "Mul", "mul", "b six -> y", NULL);
    struct graph *g = model_graph(&m);
    const struct {
        const char *name;
        enum value_kind kind;
        bool trainable;
    } expected[] = {
        { "scale", VALUE_PARAM, true },      { "bias", VALUE_PARAM, true }, { "mean", VALUE_PARAM, false },
        { "var", VALUE_PARAM, false },       { "low", VALUE_CONST, false }, { "six", VALUE_CONST, false },
        { "six_param", VALUE_PARAM, false }, /* a number in a formula: not trained, and Clip's bound stays */
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; ++i) {
        const int v = graph_find_value(g, expected[i].name);
        assert_true(v >= 0);
        assert_int_equal(g->value[v].kind, expected[i].kind);
        assert_int_equal(g->value[v].trainable, expected[i].trainable);
    }
    graph_free(g);
}

/* --- bad files --------------------------------------------------------------------------------------------
 */

static void unknown_operators(void **state)
{
    (void)state;
    static const struct {
        const char *op, *name, *place;
    } cases[] = {
        { "Einsum", "e", "node e (Einsum)" },
        { "Einsum", NULL, "node Einsum_2 (Einsum)" },
        { "QuantdFakeQuant", "q", "node q (QuantdFakeQuant)" }, /* ours, not a file's */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct model m;
        model_start(&m);
        simple(&m);
        model_node(&m, cases[i].op, cases[i].name, "output -> more", NULL);
        model_output(&m, "more", -1, 2);
        bad(&m, ERR_UNSUPPORTED, cases[i].place, "is not supported");
    }
}

static void wrong_wiring(void **state)
{
    (void)state;
    struct model m;
    model_start(&m);
    simple(&m);
    model_node(&m, "Relu", "again", "input -> hidden", NULL);
    bad(&m, ERR_INVALID, "node again (Relu)", "'hidden' is made twice");

    model_start(&m);
    simple(&m);
    model_node(&m, "Relu", "overwrites", "input -> fc.weight", NULL);
    bad(&m, ERR_INVALID, "node overwrites (Relu)", "'fc.weight' is made twice");

    model_start(&m);
    model_input(&m, "input", -1, 4);
    model_output(&m, "output", -1, 4);
    model_node(&m, "Relu", "r", "nowhere -> output", NULL);
    bad(&m, ERR_INVALID, "node r (Relu)", "'nowhere'");

    model_start(&m);
    model_input(&m, "input", -1, 4);
    model_output(&m, "output", -1, 4);
    model_node(&m, "Add", "a", "input c -> b", NULL);
    model_node(&m, "Relu", "r", "b -> c", NULL);
    model_node(&m, "Relu", "o", "c -> output", NULL);
    bad(&m, ERR_INVALID, "node a (Add)", "its own result");

    model_start(&m);
    simple(&m);
    model_output(&m, "nothing", -1, 2);
    bad(&m, ERR_INVALID, "", "'nothing'");

    model_start(&m);
    simple(&m);
    model_output(&m, "fc.weight", 4, 2);
    bad(&m, ERR_UNSUPPORTED, "", "does not depend on the input");

    model_start(&m);
    simple(&m);
    model_output(&m, "input", -1, 4);
    bad(&m, ERR_UNSUPPORTED, "", "'input'");
}

static void wrong_shapes(void **state)
{
    (void)state;
    static const float w[6] = { 0 };
    struct model m;
    model_start(&m);
    model_input(&m, "input", -1, 4);
    model_output(&m, "output", -1, 2);
    model_init(&m, "w", ONNX_FLOAT, (const int[]){ 3, 2, -1 }, w, sizeof w);
    model_node(&m, "Gemm", "fc", "input w -> output", NULL);
    bad(&m, ERR_INVALID, "node fc (Gemm)", "");
}

/* What other programs can do and we can't: said with the node, and what it is about. */
static void shapes_that_are_refused(void **state)
{
    (void)state;
    static const float w[24] = { 0 };
    static const char *const product[][2] = { { "MatMul", "node p (MatMul)" }, { "Gemm", "node p (Gemm)" } };
    struct model m;
    model_start(&m);
    model_input(&m, "input", -1, 3, 16);
    model_output(&m, "output", -1, 4, 15);
    model_init(&m, "w", ONNX_FLOAT, (const int[]){ 4, 3, 2, -1 }, w, sizeof w);
    model_node(&m, "Conv", "over_time", "input w -> output", NULL);
    bad(&m, ERR_UNSUPPORTED, "node over_time (Conv)", "4x3x2: only convolutions over two dimensions");
    for (size_t i = 0; i < sizeof product / sizeof *product; ++i) {
        model_start(&m);
        model_input(&m, "input", -1, 4);
        model_output(&m, "output", -1, 4);
        model_node(&m, "Relu", "r", "input -> keys", NULL);
        model_node(&m, product[i][0], "p", "input keys -> output", NULL);
        bad(&m, ERR_UNSUPPORTED, product[i][1], "Input 2 ('keys') is computed");
    }
}

static void lying_tensors(void **state)
{
    (void)state;
    static const float w[8] = { 0 };
    static const struct {
        int dims[5];
        size_t bytes;
        const char *text;
    } cases[] = {
        { { 4, 3, -1 }, sizeof w, "12 elements" },
        { { 4, 1, -1 }, sizeof w, "4 elements" },
        { { 4, 2, -1 }, sizeof w - 1, "inside an element" },
        { { 23170, 23170, -1 }, sizeof w, "536848900 elements" }, /* two gibibytes in a hundred bytes */
        { { 2000000000, 2000000000, 2000000000, 4, -1 }, sizeof w, "larger than any file" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct model m;
        model_start(&m);
        model_input(&m, "input", -1, 4);
        model_output(&m, "output", -1, 2);
        model_init(&m, "w", ONNX_FLOAT, cases[i].dims, w, cases[i].bytes);
        model_node(&m, "Gemm", "fc", "input w -> output", NULL);
        bad(&m, ERR_CORRUPT, "initializer w", cases[i].text);
    }
}

/* One initializer whose TensorProto is written by hand. */
static void with_tensor(struct buf *t, int code, const char *text)
{
    struct model m;
    model_start(&m);
    model_input(&m, "input", -1, 2);
    model_output(&m, "output", -1, 2);
    pb_put_text(t, 8, "w");
    pb_put_message(&m.graph, 5, t);
    model_node(&m, "Add", "add", "input w -> output", NULL);
    bad(&m, code, "initializer w", text);
}

static void tensors_that_are_not_read(void **state)
{
    (void)state;
    struct buf t, entry;
    buf_init(&t, 0);
    buf_init(&entry, 0);
    pb_put_text(&entry, 1, "location");
    pb_put_text(&entry, 2, "../../etc/passwd");
    pb_put_int(&t, 1, 2);
    pb_put_int(&t, 2, ONNX_FLOAT);
    pb_put_message(&t, 13, &entry);
    with_tensor(&t, ERR_UNSUPPORTED, "another file");

    buf_init(&t, 0);
    pb_put_int(&t, 1, 2);
    pb_put_int(&t, 2, ONNX_FLOAT);
    pb_put_int(&t, 14, 1); /* data_location EXTERNAL */
    with_tensor(&t, ERR_UNSUPPORTED, "another file");

    buf_init(&t, 0);
    pb_put_int(&t, 1, 2);
    pb_put_int(&t, 2, 8); /* strings */
    with_tensor(&t, ERR_UNSUPPORTED, "lement type 8");

    buf_init(&t, 0);
    pb_put_int(&t, 1, -2);
    pb_put_int(&t, 2, ONNX_FLOAT);
    with_tensor(&t, ERR_CORRUPT, "negative");

    buf_init(&t, 0);
    for (int i = 0; i < 9; ++i)
        pb_put_int(&t, 1, 1);
    pb_put_int(&t, 2, ONNX_FLOAT);
    with_tensor(&t, ERR_UNSUPPORTED, "9 dimensions");

    buf_init(&t, 0);
    pb_put_int(&t, 1, 1);
    pb_put_int(&t, 2, ONNX_INT8);
    pb_put_int(&t, 5, 128);
    with_tensor(&t, ERR_CORRUPT, "does not fit");
}

static void inputs_that_are_not_read(void **state)
{
    (void)state;
    static const struct {
        int type, dims[4];
        int code;
        const char *text;
    } cases[] = {
        { ONNX_FLOAT, { 5, 4 }, ERR_UNSUPPORTED, "the batch, to 5" },
        { ONNX_FLOAT, { -1, -1 }, ERR_UNSUPPORTED, "axis N open" },
        { ONNX_UINT8, { -1, 4 }, ERR_UNSUPPORTED, "not of type float" },
        { ONNX_FLOAT, { 0 }, ERR_INVALID, "no shape" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct model m;
        model_start(&m);
        model_port(&m, 11, "input", cases[i].type, cases[i].dims);
        model_output(&m, "output", -1, 4);
        model_node(&m, "Relu", "r", "input -> output", NULL);
        bad(&m, cases[i].code, "", cases[i].text);
    }
    struct model m;
    struct buf sequence, type, port;
    model_start(&m); /* a sequence: in the unpacked file its type shares memory with a tensor's */
    buf_init(&sequence, 0), buf_init(&type, 0), buf_init(&port, 0);
    pb_put_message(&type, 4, &sequence);
    pb_put_text(&port, 1, "input");
    pb_put_message(&port, 2, &type);
    pb_put_message(&m.graph, 11, &port);
    model_output(&m, "output", -1, 4);
    model_node(&m, "Relu", "r", "input -> output", NULL);
    bad(&m, ERR_INVALID, "", "no shape");

    model_start(&m);
    model_input(&m, "a", -1, 4);
    model_input(&m, "b", -1, 4);
    model_output(&m, "y", -1, 4);
    model_node(&m, "Add", "add", "a b -> y", NULL);
    bad(&m, ERR_UNSUPPORTED, "", "several inputs ('a', 'b')");

    model_start(&m);
    model_floats(&m, "a", 1, 2);
    model_output(&m, "y", 2);
    model_node(&m, "Relu", "r", "a -> y", NULL);
    bad(&m, ERR_INVALID, "", "no input");

    model_start(&m);
    simple(&m);
    model_input(&m, "input", -1, 4);
    bad(&m, ERR_INVALID, "", "listed twice");

    model_start(&m);
    simple(&m);
    model_floats(&m, "fc.weight", 1);
    bad(&m, ERR_INVALID, "initializer fc.weight", "twice");
}

static void versions_and_names(void **state)
{
    (void)state;
    for (int opset = 5; opset <= 23; ++opset) {
        struct model m;
        model_start(&m);
        m.opset = opset;
        simple(&m);
        if (opset >= 7 && opset <= 21)
            graph_free(model_graph(&m));
        else
            bad(&m, ERR_UNSUPPORTED, "", "7 to 21 are");
    }
    static const char *const names[] = { "\xff",         "a\x01",    "\xc0\x80",
                                         "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80" };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        struct model m;
        model_start(&m);
        simple(&m);
        model_node(&m, "Relu", names[i], "hidden -> other", NULL);
        bad(&m, ERR_CORRUPT, "", "not readable text");
    }
    struct model m;
    model_start(&m);
    simple(&m);
    model_node(&m, "Relu", "\xe2\x82\xac \xf0\x9f\x98\x80", "hidden -> other", NULL);
    model_output(&m, "other", -1, 2);
    graph_free(model_graph(&m));

    model_start(&m);
    bad(&m, ERR_CORRUPT, "", "holds no network");
}

static void foreign_domains_and_sparse_weights(void **state)
{
    (void)state;
    struct model m;
    struct buf n;
    model_start(&m);
    simple(&m);
    buf_init(&n, 0);
    pb_put_text(&n, 1, "output");
    pb_put_text(&n, 2, "more");
    pb_put_text(&n, 3, "gelu");
    pb_put_text(&n, 4, "Relu");
    pb_put_text(&n, 7, "com.microsoft");
    pb_put_message(&m.graph, 1, &n);
    model_output(&m, "more", -1, 2);
    bad(&m, ERR_UNSUPPORTED, "node gelu (Relu)", "com.microsoft");

    model_start(&m);
    simple(&m);
    buf_init(&n, 0);
    pb_put_message(&m.graph, 15, &n);
    bad(&m, ERR_UNSUPPORTED, "", "parse initializers");
}

/* Cut anywhere, and with any byte changed, a file gives an error or a network, never a crash. */
static void damaged_files(void **state)
{
    (void)state;
    struct model m;
    struct buf file;
    model_start(&m);
    simple(&m);
    model_done(&m, &file);
    struct graph *g;
    for (size_t length = 0; length < file.length; ++length) {
        struct err e = { 0 };
        char *cut = malloc(length + 1); /* so that reading past the end is noticed */
        assert_non_null(cut);
        memcpy(cut, file.data, length);
        assert_true(onnx_import(cut, length, &g, &e) < 0);
        assert_true(e.code < 0 && *e.text);
        assert_null(g);
        free(cut);
    }
    static const unsigned char values[] = { 0x00, 0x01, 0x7f, 0x80, 0xff };
    for (size_t at = 0; at < file.length; ++at)
        for (size_t k = 0; k < sizeof values; ++k) {
            const char was = file.data[at];
            file.data[at] = (char)values[k];
            struct err e = { 0 };
            if (onnx_import(file.data, file.length, &g, &e) == 0)
                graph_free(g);
            file.data[at] = was;
        }
    buf_free(&file);
}

/* Whichever allocation fails, it is said and nothing leaks (protobuf-c's own are not covered). */
static void out_of_memory(void **state)
{
    (void)state;
    struct model m;
    struct buf file;
    model_start(&m);
    simple(&m);
    model_done(&m, &file);
    int failures = 0;
    for (int n = 0;; ++n) {
        struct graph *g;
        struct err e = { 0 };
        mem_fail_after(n);
        const int got = onnx_import(file.data, file.length, &g, &e);
        mem_fail_after(-1);
        graph_free(g);
        if (got == 0)
            break;
        assert_int_equal(got, ERR_NOMEM);
        ++failures;
    }
    assert_true(failures > 10);
    buf_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_simple_model),
        cmocka_unit_test(untidy_files),
        cmocka_unit_test(roles),
        cmocka_unit_test(unknown_operators),
        cmocka_unit_test(wrong_wiring),
        cmocka_unit_test(wrong_shapes),
        cmocka_unit_test(shapes_that_are_refused),
        cmocka_unit_test(lying_tensors),
        cmocka_unit_test(tensors_that_are_not_read),
        cmocka_unit_test(inputs_that_are_not_read),
        cmocka_unit_test(versions_and_names),
        cmocka_unit_test(foreign_domains_and_sparse_weights),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
