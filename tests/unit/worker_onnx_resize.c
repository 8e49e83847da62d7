/* Forms of operators that ONNX's own tests don't have: Resize in its modes against PyTorch's interpolate,
 * Upsample of old files, Split with an output that nobody reads. */
#include "onnx_model.h"
#include "onnx_run.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { H = 3, W = 4 };

static const float image[H * W] = { -2, -1, 2, 0, 0, 2, -1, -2, -1, 2, 0, 0 };

struct resized {
    const char *mode, *place, *nearest;
    int h, w;
    float want[48];
};

static const struct resized cases[] = {
    { "linear", "half_pixel", NULL, 5, 6, { -2,    -1.5f, -0.5f,     1.5f,      1,    0, -1.2f, -0.5f,
                                            0.3f,  0.7f,  0,         -0.8f,     0,    1, 1.5f,  -0.5f,
                                            -1.5f, -2,    -0.6f,     0.7f,      1.6f, 0, -0.6f, -0.8f,
                                            -1,    0.5f,  1.666667f, 0.333333f, 0,    0 } },
    { "linear", "align_corners", NULL, 5, 6, { -2,    -1.4f, -0.4f, 1.4f, 1.2f, 0,    -1,    -0.1f,
                                               0.5f,  0.5f,  -0.1f, -1,   0,    1.2f, 1.4f,  -0.4f,
                                               -1.4f, -2,    -0.5f, 1,    1.5f, 0,    -0.7f, -1,
                                               -1,    0.8f,  1.6f,  0.4f, 0,    0 } },
    { "cubic",
      "half_pixel",
      NULL,
      5,
      3,
      { -2.124343f, 0.781251f, 0.554897f, -0.973546f, 0.74525f, -0.667898f, 0.33912f, 0.78125f, -1.908564f,
        -0.033838f, 1.08725f, -0.923605f, -0.618611f, 1.32925f, 0.145167f } },
    { "cubic", "align_corners", NULL, 4, 5, { -2,         -1.542969f, 0.78125f,  1.863281f,  0,
                                              -0.518519f, 0.827835f,  0.725695f, -0.618634f, -1.592593f,
                                              -0.092592f, 2.137225f,  0.938657f, -1.502098f, -1.592592f,
                                              -1,         1.53125f,   1.28125f,  -0.210938f, 0 } },
    { "nearest", "asymmetric", "floor", 6, 8, { -2, -2, -1, -1, 2,  2,  0,  0,  -2, -2, -1, -1,
                                                2,  2,  0,  0,  0,  0,  2,  2,  -1, -1, -2, -2,
                                                0,  0,  2,  2,  -1, -1, -2, -2, -1, -1, 2,  2,
                                                0,  0,  0,  0,  -1, -1, 2,  2,  0,  0,  0,  0 } },
    { "nearest", "asymmetric", "floor", 2, 3, { -2, -1, 2, 0, 2, -1 } },
    { "nearest", "half_pixel", "round_prefer_ceil", 5, 6, { -2, -1, -1, 2, 0,  0,  -2, -1, -1, 2,
                                                            0,  0,  0,  2, 2,  -1, -2, -2, -1, 2,
                                                            2,  0,  0,  0, -1, 2,  2,  0,  0,  0 } },
};

static void put_text(struct buf *attrs, const char *name, const char *text)
{
    struct buf a;
    buf_init(&a, 0);
    pb_put_text(&a, 1, name);
    pb_put_text(&a, 4, text);
    pb_put_int(&a, 20, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    pb_put_message(attrs, 5, &a);
}

static void expect(struct graph *g, const float *want, int count)
{
    struct tensor x = { DTYPE_FLOAT, { 4, { 1, 1, H, W } }, (void *)image };
    struct err e = { 0 };
    float *y;
    assert_int_equal(run_graph(g, &x, 1, &y, &e), count);
    for (int i = 0; i < count; i++)
        if (!(fabsf(y[i] - want[i]) <= 2e-6f))
            fail_msg("element %d is %g, not %g", i, (double)y[i], (double)want[i]);
    free(y);
    graph_free(g);
}

static struct graph *resize(const struct resized *c, bool by_scale)
{
    struct model m;
    struct buf attrs;
    model_start(&m);
    model_input(&m, "x", -1, 1, H, W);
    buf_init(&attrs, 0);
    put_text(&attrs, "mode", c->mode);
    put_text(&attrs, "coordinate_transformation_mode", c->place);
    if (c->nearest)
        put_text(&attrs, "nearest_mode", c->nearest);
    if (by_scale)
        model_floats(&m, "how", 1, 1, (float)c->h / H, (float)c->w / W);
    else
        model_longs(&m, "how", 1, 1, c->h, c->w);
    model_node(&m, "Resize", "resize", by_scale ? "x - how -> y" : "x - - how -> y", &attrs);
    model_output(&m, "y", -1, 1, c->h, c->w);
    return model_graph(&m);
}

static void modes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        expect(resize(&cases[i], false), cases[i].want, cases[i].h * cases[i].w);
        if (cases[i].h % H == 0) /* else the factor is rounded */
            expect(resize(&cases[i], true), cases[i].want, cases[i].h * cases[i].w);
    }
}

/* Until opset 9 the operator was called Upsample, until 8 its scales were an attribute, until 10 pixels were
 * counted from the corner. */
static void old_forms(void **state)
{
    const struct resized *doubled = &cases[4];
    (void)state;
    for (int opset = 8; opset <= 10; opset++) {
        struct model m;
        struct buf attrs, a;
        model_start(&m);
        m.opset = opset;
        model_input(&m, "x", -1, 1, H, W);
        buf_init(&attrs, 0), buf_init(&a, 0);
        put_text(&attrs, "mode", "nearest");
        if (opset == 8) {
            pb_put_text(&a, 1, "scales");
            for (int i = 0; i < 4; i++)
                pb_put_float(&a, 7, i < 2 ? 1 : 2);
            pb_put_int(&a, 20, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS);
            pb_put_message(&attrs, 5, &a);
        } else {
            model_floats(&m, "scales", 1, 1, 2, 2);
        }
        model_node(&m, opset < 10 ? "Upsample" : "Resize", "up", opset == 8 ? "x -> y" : "x scales -> y",
                   &attrs);
        model_output(&m, "y", -1, 1, 2 * H, 2 * W);
        struct graph *g = model_graph(&m), *back;
        char *data;
        size_t length;
        struct err e = { 0 };
        assert_int_equal(onnx_export(g, NULL, 0, &data, &length, &e), 0);
        assert_int_equal(onnx_import(data, length, &back, &e), 0);
        free(data);
        expect(g, doubled->want, 4 * H * W);
        expect(back, doubled->want, 4 * H * W);
    }
}

static void refusals(void **state)
{
    static const struct {
        const char *attr, *value, *text;
    } bad[] = { { "mode", "lanczos", "'mode' is 'lanczos'" },
                { "coordinate_transformation_mode", "tf_crop_and_resize", "'tf_crop_and_resize'" },
                { "window", "1", "The attribute 'window'" } };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model m;
        struct buf attrs, file;
        struct graph *g;
        struct err e = { 0 };
        model_start(&m);
        model_input(&m, "x", -1, 1, H, W);
        model_longs(&m, "sizes", 1, 1, 6, 8);
        buf_init(&attrs, 0);
        put_text(&attrs, bad[i].attr, bad[i].value);
        model_node(&m, "Resize", "up", "x - - sizes -> y", &attrs);
        model_output(&m, "y", -1, 1, 6, 8);
        model_done(&m, &file);
        assert_int_equal(onnx_import(file.data, file.length, &g, &e), ERR_UNSUPPORTED);
        assert_string_equal(e.place, "node up (Resize)");
        assert_non_null(strstr(e.text, bad[i].text));
        buf_free(&file);
    }
}

/* The parts stay where they are although nobody reads the last one. */
static void unread_part(void **state)
{
    (void)state;
    for (int given = 0; given < 2; given++) {
        struct model m;
        struct buf attrs;
        model_start(&m);
        model_input(&m, "x", -1, 1, H, W);
        buf_init(&attrs, 0);
        attr_int(&attrs, "axis", 3);
        if (given)
            model_longs(&m, "parts", 2, 2);
        model_node(&m, "Split", "split", given ? "x parts -> left right" : "x -> left right", &attrs);
        model_node(&m, "Relu", "relu", "left -> y", NULL);
        model_output(&m, "y", -1, 1, H, 2);
        expect(model_graph(&m), (const float[]){ 0, 0, 0, 2, 0, 2 }, 2 * H);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),
        cmocka_unit_test(old_forms),
        cmocka_unit_test(refusals),
        cmocka_unit_test(unread_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
