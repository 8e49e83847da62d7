/* What is computed while a file is read: shape arithmetic and weights rearranged, each against figures worked
 * out by hand from the standard's text. The result c is seen as the parameter that y = x + float(c) leaves.
 */
#include "onnx_model.h"
#include "worker/onnx/import.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define INTS(...) (const int64_t[]){ __VA_ARGS__ }, sizeof((int64_t[]){ __VA_ARGS__ }) / sizeof(int64_t)

/* a: 0..5 as 2x3 floats; l: -1 0 1 2 as int64; x: the input, with enough axes of 1 for
 * any c to be added. */
static void start(struct model *m, int opset)
{
    model_start(m);
    m->opset = opset;
    model_input(m, "x", -1, 1, 1, 1, 1, 1);
    model_output(m, "y", -1, 1, 1, 1, 1, 1);
    model_init(m, "a", ONNX_FLOAT, (const int[]){ 2, 3, -1 }, (const float[]){ 0, 1, 2, 3, 4, 5 }, 24);
    model_longs(m, "l", -1, 0, 1, 2);
}

static int finish(struct model *m, struct graph **g, struct err *e)
{
    struct buf attrs, file;
    buf_init(&attrs, 0);
    attr_int(&attrs, "to", ONNX_FLOAT);
    model_node(m, "Cast", "cast", "c -> f", &attrs);
    model_node(m, "Add", "add", "x f -> y", NULL);
    model_done(m, &file);
    const int bad = onnx_import(file.data, file.length, g, e);
    buf_free(&file);
    return bad;
}

/* The parameter must have that shape (ends with -1) and those numbers. */
static void gives(struct model *m, const int *dims, const float *numbers)
{
    struct graph *g;
    struct err e = { 0 };
    if (finish(m, &g, &e))
        fail_msg("%s (%s)", e.text, e.place);
    const int v = graph_find_value(g, "f");
    assert_true(v >= 0);
    assert_int_equal(g->value[v].kind, VALUE_PARAM);
    const struct shape *s = &g->value[v].shape;
    int rank = 0;
    for (; dims[rank] >= 0; ++rank)
        assert_int_equal(s->dim[rank], dims[rank]);
    assert_int_equal(s->rank, rank);
    const int64_t count = shape_count(s);
    for (int64_t i = 0; i < count; ++i)
        if (!(g->param[g->value[v].offset + i] == numbers[i]))
            fail_msg("element %d is %g, not %g", (int)i, g->param[g->value[v].offset + i], numbers[i]);
    graph_free(g);
}

#define DIMS(...)                                                                                            \
    (const int[])                                                                                            \
    {                                                                                                        \
        __VA_ARGS__, -1                                                                                      \
    }
#define REALS(...)                                                                                           \
    (const float[])                                                                                          \
    {                                                                                                        \
        __VA_ARGS__                                                                                          \
    }

static void refused(struct model *m, int code, const char *place, const char *text)
{
    struct graph *g;
    struct err e = { 0 };
    const int got = finish(m, &g, &e);
    assert_null(g);
    if (got != code || strcmp(e.place, place) != 0 || !strstr(e.text, text))
        fail_msg("%s at '%s': %s", err_name(got), e.place, e.text);
}

static struct buf attr1(const char *name, int64_t i)
{
    struct buf b;
    buf_init(&b, 0);
    attr_int(&b, name, i);
    return b;
}

static struct buf attrs1(const char *name, const int64_t *ints, size_t count)
{
    struct buf b;
    buf_init(&b, 0);
    attr_ints(&b, name, ints, count);
    return b;
}

static void moves(void **state)
{
    (void)state;
    struct model m;
    struct buf attrs;

    start(&m, 13);
    model_node(&m, "Transpose", "t", "a -> c", NULL);
    gives(&m, DIMS(3, 2), REALS(0, 3, 1, 4, 2, 5));

    start(&m, 13);
    attrs = attrs1("perm", INTS(0, 1));
    model_node(&m, "Transpose", "t", "a -> c", &attrs);
    gives(&m, DIMS(2, 3), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 13);
    model_longs(&m, "shape", -1, 2);
    model_node(&m, "Reshape", "r", "a shape -> c", NULL);
    gives(&m, DIMS(3, 2), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 13);
    model_longs(&m, "shape", 0, 1, -1);
    model_node(&m, "Reshape", "r", "a shape -> c", NULL);
    gives(&m, DIMS(2, 1, 3), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 13);
    attrs = attr1("axis", 1);
    model_node(&m, "Concat", "cat", "a a -> c", &attrs);
    gives(&m, DIMS(2, 6), REALS(0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5));

    start(&m, 13);
    attrs = attr1("axis", -2);
    model_node(&m, "Concat", "cat", "a a -> c", &attrs);
    gives(&m, DIMS(4, 3), REALS(0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5));

    start(&m, 13);
    attrs = attr1("axis", 1);
    model_longs(&m, "i", 2, -3);
    model_node(&m, "Gather", "g", "a i -> c", &attrs);
    gives(&m, DIMS(2, 2), REALS(2, 0, 5, 3));

    start(&m, 13);
    model_init(&m, "i", ONNX_INT64, (const int[]){ -1 }, &(int64_t){ 1 }, 8);
    model_node(&m, "Gather", "g", "a i -> c", NULL);
    gives(&m, DIMS(3), REALS(3, 4, 5));

    start(&m, 13);
    model_node(&m, "Identity", "i", "a -> c", NULL);
    gives(&m, DIMS(2, 3), REALS(0, 1, 2, 3, 4, 5));
}

static void squeezes(void **state)
{
    (void)state;
    struct model m;
    struct buf attrs;

    start(&m, 13);
    model_longs(&m, "axes", 0, -1);
    model_node(&m, "Unsqueeze", "u", "a axes -> c", NULL);
    gives(&m, DIMS(1, 2, 3, 1), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 11);
    attrs = attrs1("axes", INTS(1));
    model_node(&m, "Unsqueeze", "u", "a -> c", &attrs);
    gives(&m, DIMS(2, 1, 3), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 11);
    attrs = attrs1("axes", INTS(1, 3));
    model_node(&m, "Unsqueeze", "u", "a -> b", &attrs);
    model_node(&m, "Squeeze", "s", "b -> c", NULL);
    gives(&m, DIMS(2, 3), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 13);
    model_longs(&m, "axes", 0, 1);
    model_longs(&m, "last", -3);
    model_node(&m, "Unsqueeze", "u", "a axes -> b", NULL);
    model_node(&m, "Squeeze", "s", "b last -> c", NULL);
    gives(&m, DIMS(1, 2, 3), REALS(0, 1, 2, 3, 4, 5));

    start(&m, 13);
    model_longs(&m, "axes", 1);
    model_node(&m, "Squeeze", "s", "a axes -> c", NULL);
    refused(&m, ERR_INVALID, "node s (Squeeze)", "axis");
}

static void slices(void **state)
{
    (void)state;
    static const struct {
        int64_t start, end, step;
        int count;
        float first, second;
    } cases[] = {
        /* of -1 0 1 2 */
        { 0, 4, 1, 4, -1, 0 },          { 1, 3, 1, 2, 0, 1 },   { -2, INT64_MAX, 1, 2, 1, 2 },
        { INT64_MIN, -3, 1, 1, -1, 0 }, { 0, 4, 3, 2, -1, 2 },  { 3, INT64_MIN, -1, 4, 2, 1 },
        { 100, -5, -2, 2, 2, 0 },       { -1, 0, -1, 3, 2, 1 }, { 1, 2, 100, 1, 0, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        struct model m;
        start(&m, 13);
        model_longs(&m, "s", cases[i].start);
        model_longs(&m, "e", cases[i].end);
        model_longs(&m, "axes", 0);
        model_longs(&m, "steps", cases[i].step);
        model_node(&m, "Slice", "s", "l s e axes steps -> c", NULL);
        struct graph *g;
        struct err e = { 0 };
        if (finish(&m, &g, &e))
            fail_msg("case %zu: %s", i, e.text);
        const struct value *v = &g->value[graph_find_value(g, "f")];
        assert_int_equal(v->shape.dim[0], cases[i].count);
        assert_true(g->param[v->offset] == cases[i].first);
        if (cases[i].count > 1)
            assert_true(g->param[v->offset + 1] == cases[i].second);
        graph_free(g);
    }
    struct model m;
    struct buf attrs;
    start(&m, 9); /* attributes, two axes */
    attrs = attrs1("starts", INTS(1, 0));
    attr_ints(&attrs, "ends", INTS(2, -1));
    model_node(&m, "Slice", "s", "a -> c", &attrs);
    gives(&m, DIMS(1, 2), REALS(3, 4));
}

static void arithmetic(void **state)
{
    (void)state;
    static const struct {
        const char *op;
        float numbers[6];
    } cases[] = {
        { "Add", { 10, 21, 32, 13, 24, 35 } },
        { "Sub", { -10, -19, -28, -7, -16, -25 } },
        { "Mul", { 0, 20, 60, 30, 80, 150 } },
        { "Div", { 0, 0.05f, 2 / 30.f, 0.3f, 0.2f, 5 / 30.f } },
    };
    struct model m;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; ++i) {
        start(&m, 13);
        model_floats(&m, "b", 10, 20, 30);
        model_node(&m, cases[i].op, "op", "a b -> c", NULL);
        gives(&m, DIMS(2, 3), cases[i].numbers);
    }
    start(&m, 13); /* integers: division towards zero, broadcasting both ways */
    model_init(&m, "p", ONNX_INT64, (const int[]){ 2, 1, -1 }, (const int64_t[]){ 7, -7 }, 16);
    model_longs(&m, "q", 2, -2);
    model_node(&m, "Div", "op", "p q -> c", NULL);
    gives(&m, DIMS(2, 2), REALS(3, -3, -3, 3));

    start(&m, 13);
    model_longs(&m, "q", 0, 1, 1, 1);
    model_node(&m, "Div", "op", "l q -> c", NULL);
    refused(&m, ERR_UNSUPPORTED, "node op (Div)", "out of range");

    start(&m, 13);
    model_longs(&m, "big", INT64_MAX);
    model_node(&m, "Mul", "op", "l big -> c", NULL);
    refused(&m, ERR_UNSUPPORTED, "node op (Mul)", "out of range");

    start(&m, 13);
    model_longs(&m, "q", 1, 2, 3);
    model_node(&m, "Add", "op", "l q -> c", NULL);
    refused(&m, ERR_INVALID, "node op (Add)", "don't match");

    start(&m, 13);
    model_node(&m, "Add", "op", "l a -> c", NULL);
    refused(&m, ERR_INVALID, "node op (Add)", "different types");
}

static void constants(void **state)
{
    (void)state;
    struct model m;
    struct buf attrs, value, t;

    start(&m, 13);
    attrs = attrs1("value_ints", INTS(5, 6));
    model_node(&m, "Constant", "k", "-> c", &attrs);
    gives(&m, DIMS(2), REALS(5, 6));

    start(&m, 13);
    buf_init(&attrs, 0);
    attr_float(&attrs, "value_float", 2.5f);
    model_node(&m, "Constant", "k", "-> c", &attrs);
    gives(&m, (const int[]){ -1 }, REALS(2.5f));

    start(&m, 13); /* a shape made of constants, filled with 7 */
    buf_init(&attrs, 0);
    buf_init(&value, 0);
    model_tensor(&t, "", ONNX_FLOAT, (const int[]){ 1, -1 }, &(float){ 7 }, 4);
    pb_put_text(&value, 1, "value");
    pb_put_message(&value, 5, &t);
    pb_put_int(&value, 20, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR);
    pb_put_message(&attrs, 5, &value);
    model_longs(&m, "two", 2);
    model_node(&m, "ConstantOfShape", "k", "two -> c", &attrs);
    gives(&m, DIMS(2), REALS(7, 7));

    start(&m, 13);
    model_longs(&m, "huge", 1 << 20, 1 << 20);
    model_node(&m, "ConstantOfShape", "k", "huge -> c", NULL);
    refused(&m, ERR_TOO_LARGE, "node k (ConstantOfShape)", "too large");

    start(&m, 13);
    model_longs(&m, "less", 3, -3);
    model_node(&m, "ConstantOfShape", "k", "less -> c", NULL);
    refused(&m, ERR_INVALID, "node k (ConstantOfShape)", "negative");

    start(&m, 13);
    model_node(&m, "Shape", "s", "a -> c", NULL);
    gives(&m, DIMS(2), REALS(2, 3));

    start(&m, 15);
    attrs = attr1("start", -1);
    model_node(&m, "Shape", "s", "a -> c", &attrs);
    gives(&m, DIMS(1), REALS(3));

    start(&m, 13);
    model_floats(&m, "r", -1.5f, 1.5f);
    attrs = attr1("to", ONNX_INT32);
    model_node(&m, "Cast", "i", "r -> c", &attrs);
    gives(&m, DIMS(2), REALS(-1, 1));
}

/* Growth is bounded for the whole file, not per node: each of these alone would pass. */
static void no_bomb(void **state)
{
    (void)state;
    struct model m;
    start(&m, 13);
    model_longs(&m, "some", 1 << 16);
    model_longs(&m, "rest", (1 << 28) - (1 << 16) + 1);
    model_node(&m, "ConstantOfShape", "first", "some -> b", NULL);
    model_node(&m, "ConstantOfShape", "second", "rest -> d", NULL);
    struct buf attrs = attr1("axis", 0);
    model_node(&m, "Concat", "cat", "b d -> c", &attrs);
    refused(&m, ERR_TOO_LARGE, "node second (ConstantOfShape)", "too large");
}

/* Arrays without elements may claim any length along their other axes: nothing runs along those. */
static void empty_but_long(void **state)
{
    (void)state;
    static const int dims[] = { 1 << 30, 512, 0, -1 };
    struct model m;
    struct buf attrs;
    start(&m, 13);
    model_init(&m, "none", ONNX_INT64, dims, "", 0);
    model_node(&m, "Gather", "g", "l none -> c", NULL);
    refused(&m, ERR_UNSUPPORTED, "node add (Add)", "empty");

    start(&m, 13);
    model_init(&m, "none", ONNX_FLOAT, dims, "", 0);
    attrs = attr1("axis", 2);
    model_node(&m, "Concat", "cat", "none none -> c", &attrs);
    refused(&m, ERR_UNSUPPORTED, "node add (Add)", "empty");
}

/* PyTorch's way of flattening: the batch size travels through Shape, Gather, Unsqueeze, Concat to a Reshape.
 */
static void batch_through_shape(void **state)
{
    (void)state;
    struct model m;
    struct buf attrs;
    model_start(&m);
    model_input(&m, "x", -1, 2, 3);
    model_output(&m, "y", -1, 6);
    model_init(&m, "zero", ONNX_INT64, (const int[]){ -1 }, &(int64_t){ 0 }, 8);
    model_longs(&m, "first", 0);
    model_longs(&m, "rest", -1);
    model_node(&m, "Relu", "r", "x -> h", NULL);
    model_node(&m, "Shape", "s", "h -> shape", NULL);
    model_node(&m, "Gather", "g", "shape zero -> n", NULL);
    model_node(&m, "Unsqueeze", "u", "n first -> n1", NULL);
    attrs = attr1("axis", 0);
    model_node(&m, "Concat", "cat", "n1 rest -> to", &attrs);
    model_node(&m, "Reshape", "view", "h to -> y", NULL);
    struct graph *g = model_graph(&m);
    const struct value *to = &g->value[graph_find_value(g, "to")];
    assert_int_equal(to->kind, VALUE_CONST);
    assert_int_equal(tensor_integer(to->constant, 0), 0); /* "as it is" */
    assert_int_equal(tensor_integer(to->constant, 1), -1);
    assert_int_equal(g->value[g->output[0]].shape.rank, 1);
    assert_int_equal(g->value[g->output[0]].shape.dim[0], 6);
    graph_free(g);
}

/* A network that computes with the batch size can't be run with another one. */
static void batch_as_a_number(void **state)
{
    (void)state;
    struct model m;
    start(&m, 13);
    model_node(&m, "Shape", "s", "x -> shape", NULL);
    model_longs(&m, "two", 2);
    model_node(&m, "Mul", "m", "shape two -> c", NULL);
    refused(&m, ERR_UNSUPPORTED, "node m (Mul)", "batch size");
    start(&m, 13);
    model_node(&m, "Shape", "s", "x -> c", NULL);
    refused(&m, ERR_UNSUPPORTED, "node cast (Cast)", "batch size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves),
        cmocka_unit_test(squeezes),
        cmocka_unit_test(slices),
        cmocka_unit_test(arithmetic),
        cmocka_unit_test(constants),
        cmocka_unit_test(no_bomb),
        cmocka_unit_test(empty_but_long),
        cmocka_unit_test(batch_through_shape),
        cmocka_unit_test(batch_as_a_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
