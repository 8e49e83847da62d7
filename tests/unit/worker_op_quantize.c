/* QuantizeLinear, DequantizeLinear and QuantdFakeQuant against their definitions. */
#include "tests/unit/worker_nets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FEATURES = 40 };

static int add_zero_point(struct graph *g, const char *name, enum dtype dtype, int value)
{
    struct err e;
    struct tensor *t = tensor_new(dtype, &(struct shape){ 0 });
    *(unsigned char *)t->data = (unsigned char)value;
    return graph_add_const(g, name, t, &e);
}

/* x -> op(x, scale, zero point) -> y; the graph's input is x. */
static int add_quantizer(struct graph *g, const char *op, int x, int scale, int zero)
{
    struct err e = { 0 };
    char text[64];
    snprintf(text, sizeof text, "%s.out", op);
    int y = graph_add_value(g, text, &e);
    assert_true(graph_add_node(g, op, op, (int[]){ x, scale, zero }, zero < 0 ? 2 : 3, &y, 1, &e) >= 0);
    return y;
}

static struct graph *with_input(int *x, int *scale, float value)
{
    struct err e;
    struct graph *g = graph_new("quantized");
    *x = graph_add_input(g, "x", &(struct shape){ 1, { FEATURES } }, &e);
    *scale = graph_add_param(g, "scale", &(struct shape){ 0 }, true, &value, &e);
    return g;
}

static struct net *net_for(struct graph *g, bool train)
{
    struct err e = { 0 };
    struct net *n;
    if (graph_finish(g, &e) < 0)
        fail_msg("%s (%s)", e.text, e.place);
    assert_int_equal(net_new(g, &(struct net_options){ .batch = 16, .train = train }, &n, &e), 0);
    return n;
}

/* Halves and borders: k/2 around zero, then far out. */
static void fill_halves(real *x, real scale)
{
    for (int i = 0; i < FEATURES; i++)
        for (int l = 0; l < LANES; l++)
            x[i * LANES + l] =
                ((real)((i * LANES + l) % 41 - 20) / 2 + (real)(i / 8) * 64 * (l % 2 ? 1 : -1)) * scale;
}

struct range {
    enum dtype dtype;
    int zero, low, high;
};

static void quantize_and_back(void **state)
{
    static const struct range ranges[] = { { DTYPE_INT8, 0, -128, 127 },
                                           { DTYPE_INT8, -3, -128, 127 },
                                           { DTYPE_UINT8, 0, 0, 255 },
                                           { DTYPE_UINT8, 128, 0, 255 } };
    const real scale = (real)0.37;
    (void)state;
    for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++) {
        const struct range *r = &ranges[k];
        int x, s;
        struct graph *g = with_input(&x, &s, (float)scale);
        int zero = add_zero_point(g, "zero", r->dtype, r->zero);
        int q = add_quantizer(g, "QuantizeLinear", x, s, zero);
        g->output[g->outputs++] = q;
        g->output[g->outputs++] = add_quantizer(g, "DequantizeLinear", q, s, zero);
        struct net *n = net_for(g, false);
        fill_halves(net_input(n), scale);
        net_forward(n, 16, false, 0);
        for (int i = 0; i < FEATURES * LANES; i++) {
            double want = rint((double)(net_input(n)[i] / scale)) + r->zero;
            want = want < r->low ? r->low : want > r->high ? r->high : want;
            assert_true((double)net_output(n, 0)[i] == want);
            assert_true(net_output(n, 1)[i] == ((real)want - (real)r->zero) * scale);
        }
        net_free(n);
        graph_free(g);
    }
}

/* One scale and zero point per feature: what each alone would give. */
static void along_an_axis(void **state)
{
    struct err e = { 0 };
    int x, s;
    (void)state;
    struct graph *g = with_input(&x, &s, 1);
    float scale[FEATURES];
    struct tensor *zero = tensor_new(DTYPE_UINT8, &(struct shape){ 1, { FEATURES } });
    for (int i = 0; i < FEATURES; i++) {
        scale[i] = 0.03f * (float)(i + 1);
        ((unsigned char *)zero->data)[i] = (unsigned char)(6 * i);
    }
    int wide = graph_add_param(g, "wide", &(struct shape){ 1, { FEATURES } }, false, scale, &e);
    int shift = graph_add_const(g, "shift", zero, &e);
    int q = add_quantizer(g, "QuantizeLinear", x, wide, shift);
    g->output[g->outputs++] = q;
    g->output[g->outputs++] = add_quantizer(g, "DequantizeLinear", q, wide, shift);
    struct net *n = net_for(g, false);
    fill_halves(net_input(n), (real)0.4);
    net_forward(n, 16, false, 0);
    for (int i = 0; i < FEATURES * LANES; i++) {
        int f = i / LANES;
        double want = rint((double)(net_input(n)[i] / scale[f])) + 6 * f;
        want = want < 0 ? 0 : want > 255 ? 255 : want;
        assert_true((double)net_output(n, 0)[i] == want);
        assert_true(net_output(n, 1)[i] == ((real)want - (real)(6 * f)) * scale[f]);
    }
    net_free(n);
    graph_free(g);
}

/* Without a zero point the range is uint8. */
static void no_zero_point(void **state)
{
    int x, s;
    (void)state;
    struct graph *g = with_input(&x, &s, 1);
    g->output[g->outputs++] = add_quantizer(g, "QuantizeLinear", x, s, -1);
    struct net *n = net_for(g, false);
    real *in = net_input(n);
    const real value[] = { -1, (real)0.5, (real)1.5, (real)2.5, 255, (real)255.5, 1000 };
    const real want[] = { 0, 0, 2, 2, 255, 255, 255 };
    memcpy(in, value, sizeof value);
    net_forward(n, 16, false, 0);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++)
        assert_true(net_output(n, 0)[i] == want[i]);
    net_free(n);
    graph_free(g);
}

/* In evaluation the training node is the file's three nodes, bit for bit: also for 3-bit ranges behind a
 * Clip. */
static void fake_is_the_file(void **state)
{
    static const int ranges[][2] = { { 0, 255 }, { -128, 127 }, { 0, 7 }, { -4, 3 } };
    (void)state;
    for (size_t k = 0; k < sizeof ranges / sizeof *ranges; k++) {
        struct err e = { 0 };
        int x, s, low = ranges[k][0], high = ranges[k][1];
        enum dtype dtype = low < 0 ? DTYPE_INT8 : DTYPE_UINT8;
        struct graph *g = with_input(&x, &s, 0.0173f);
        int zero = add_zero_point(g, "zero", dtype, 0), least = add_zero_point(g, "low", dtype, low);
        int most = add_zero_point(g, "high", dtype, high);
        int q = add_quantizer(g, "QuantizeLinear", x, s, zero), c = graph_add_value(g, "c", &e);
        assert_true(graph_add_node(g, "Clip", "clip", (int[]){ q, least, most }, 3, &c, 1, &e) >= 0);
        g->output[g->outputs++] = add_quantizer(g, "DequantizeLinear", c, s, zero);
        int fake = add_quantizer(g, "QuantdFakeQuant", x, s, -1);
        node_set_int(last_node(g), "low", low);
        node_set_int(last_node(g), "high", high);
        g->output[g->outputs++] = fake;
        struct net *n = net_for(g, false);
        fill_lanes(net_input(n), FEATURES, 1, 16, k);
        fill_halves(net_input(n) + 5 * LANES, (real)0.0173f);
        net_forward(n, 16, false, 0);
        assert_memory_equal(net_output(n, 0), net_output(n, 1), FEATURES * LANES * sizeof(real));
        net_free(n);
        graph_free(g);
    }
}

/* LSQ, equations 3 and 5: inside dx = dy and ds takes rint(x/s) - x/s, outside dx = 0 and ds takes the
 * border. */
static void fake_gradients(void **state)
{
    const int low = -2, high = 5;
    const real step = (real)0.25;
    int x, s;
    (void)state;
    struct graph *g = with_input(&x, &s, (float)step);
    g->output[g->outputs++] = add_quantizer(g, "QuantdFakeQuant", x, s, -1);
    node_set_int(last_node(g), "low", low);
    node_set_int(last_node(g), "high", high);
    struct err e = { 0 };
    struct net *n;
    assert_int_equal(graph_finish(g, &e), 0);
    struct net_options o = { .batch = 40, .train = true, .input_gradient = true };
    assert_int_equal(net_new(g, &o, &n, &e), 0);
    fill_lanes(net_input(n), FEATURES, 3, 40, 1);
    for (int i = 0; i < 3 * FEATURES * LANES; i++)
        net_input(n)[i] *= 2;
    net_forward(n, 40, true, 0);
    fill_lanes(net_output_gradient(n, 0), FEATURES, 3, 40, 2);
    net_backward(n);
    double total = 0, size = 0;
    int inside = 0;
    for (int i = 0; i < 3 * FEATURES * LANES; i++) {
        double r = (double)(net_input(n)[i] / step), dy = (double)net_output_gradient(n, 0)[i];
        bool in = r >= low && r <= high;
        double slope = in ? rint(r) - r : r < low ? low : high;
        total += dy * slope;
        size += fabs(dy * slope);
        inside += in;
        assert_true((double)net_input_gradient(n)[i] == (in ? dy : 0));
    }
    assert_true(inside > 100 && inside < 3 * FEATURES * LANES - 100);
    assert_true(fabs((double)net_gradients(n)[0] - total) < 1e-6 * size);
    net_free(n);
    graph_free(g);
}

static void refused(void **state)
{
    struct err e = { 0 };
    int x, s;
    (void)state;
    struct graph *g = with_input(&x, &s, 1);
    int wide = graph_add_param(g, "wide", &(struct shape){ 1, { FEATURES / 2 } }, false, NULL, &e);
    g->output[g->outputs++] = add_quantizer(g, "QuantizeLinear", x, wide, -1);
    assert_int_equal(graph_finish(g, &e), ERR_INVALID);
    assert_string_equal(e.place, "node QuantizeLinear (QuantizeLinear)");
    graph_free(g);
    e = (struct err){ 0 };
    g = with_input(&x, &s, 1);
    g->output[g->outputs++] = add_quantizer(g, "QuantdFakeQuant", x, s, -1); /* no range */
    assert_int_equal(graph_finish(g, &e), ERR_INVALID);
    graph_free(g);
}

/* Levels: a value on a threshold belongs below it; gradients pass between the least and the greatest level.
 */
static void levels(void **state)
{
    static const real least[] = { 0, (real)-1.5 };
    (void)state;
    for (int way = 0; way < 2; way++) {
        const float level[] = { (float)least[way], 0.25f, 1 }, threshold[] = { 0.125f, 0.625f };
        struct err e = { 0 };
        struct graph *g = graph_new("levels");
        struct net *n;
        int x = graph_add_input(g, "x", &(struct shape){ 1, { FEATURES } }, &e),
            y = graph_add_value(g, "y", &e);
        int t = graph_add_param(g, "t", &(struct shape){ 1, { 2 } }, false, threshold, &e);
        int l = graph_add_param(g, "l", &(struct shape){ 1, { 3 } }, false, level, &e);
        assert_true(graph_add_node(g, "QuantdLevels", "q", (int[]){ x, t, l }, 3, &y, 1, &e) >= 0);
        g->output[g->outputs++] = y;
        assert_int_equal(graph_finish(g, &e), 0);
        struct net_options o = { .batch = 40, .train = true, .input_gradient = true };
        assert_int_equal(net_new(g, &o, &n, &e), 0);
        for (int i = 0; i < 3 * FEATURES * LANES; i++)
            net_input(n)[i] = (real)(i % 41 - 20) / 8; /* thresholds and levels among them */
        net_forward(n, 40, true, 0);
        fill_lanes(net_output_gradient(n, 0), FEATURES, 3, 40, 2);
        net_backward(n);
        for (int i = 0; i < 3 * FEATURES * LANES; i++) {
            const real at = net_input(n)[i], dy = net_output_gradient(n, 0)[i];
            const bool passes = at <= 1 && at >= least[way];
            assert_true(net_output(n, 0)[i] == (real)level[(at > threshold[0]) + (at > threshold[1])]);
            assert_true(net_input_gradient(n)[i] == (passes ? dy : 0));
        }
        net_free(n);
        graph_free(g);
    }
}

/* Levels that learn: each gets the gradients of its values, the greatest besides -x / level of those that are
 * not clipped; of even levels that makes LSQ's slope of the step. */
static void level_gradients(void **state)
{
    const real step = (real)0.25;
    (void)state;
    for (int signs = 0; signs < 2; signs++) {
        float level[4], threshold[3];
        double expected[4] = { 0 }, size = 0, slope = 0, even = 0;
        int member[4] = { 0 };
        for (int j = 0; j < 4; j++)
            level[j] = (float)step * (float)(signs ? 2 * j - 3 : j);
        for (int j = 0; j < 3; j++)
            threshold[j] = (level[j] + level[j + 1]) / 2;
        struct err e = { 0 };
        struct graph *g = graph_new("levels");
        struct net *n;
        int x = graph_add_input(g, "x", &(struct shape){ 1, { FEATURES } }, &e),
            y = graph_add_value(g, "y", &e);
        int t = graph_add_param(g, "t", &(struct shape){ 1, { 3 } }, false, threshold, &e);
        int l = graph_add_param(g, "l", &(struct shape){ 1, { 4 } }, true, level, &e);
        assert_true(graph_add_node(g, "QuantdLevels", "q", (int[]){ x, t, l }, 3, &y, 1, &e) >= 0);
        g->output[g->outputs++] = y;
        assert_int_equal(graph_finish(g, &e), 0);
        struct net_options o = { .batch = 40, .train = true, .input_gradient = true };
        assert_int_equal(net_new(g, &o, &n, &e), 0);
        fill_lanes(net_input(n), FEATURES, 3, 40, 3);
        for (int i = 0; !signs && i < 3 * FEATURES * LANES; i++)
            net_input(n)[i] = real_fabs(net_input(n)[i]);
        net_forward(n, 40, true, 0);
        fill_lanes(net_output_gradient(n, 0), FEATURES, 3, 40, 4);
        net_backward(n);
        for (int i = 0; i < 3 * FEATURES * LANES; i++) {
            const double at = (double)net_input(n)[i], dy = (double)net_output_gradient(n, 0)[i];
            const int j =
                (at > (double)threshold[0]) + (at > (double)threshold[1]) + (at > (double)threshold[2]);
            const double low = (double)level[0], high = (double)level[3];
            const bool inside = at >= low && at <= high;
            expected[j] += dy;
            expected[3] -= inside ? dy * at / high : 0;
            slope += dy * ((double)level[j] - (inside ? at : 0)) / (double)step;
            size += fabs(dy);
            member[j]++;
            assert_true((double)net_input_gradient(n)[i] == (inside ? dy : 0));
        }
        for (int j = 0; j < 4; j++) {
            const double found = (double)net_gradients(n)[g->value[l].offset + (size_t)j];
            assert_true(member[j] > 50);
            assert_true(fabs(found - expected[j]) < 1e-5 * size);
            even += found * (double)level[j] / (double)step;
        }
        assert_true(fabs(even - slope) < 1e-4 * size);
        net_free(n);
        graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quantize_and_back), cmocka_unit_test(along_an_axis),
        cmocka_unit_test(no_zero_point),     cmocka_unit_test(fake_is_the_file),
        cmocka_unit_test(fake_gradients),    cmocka_unit_test(levels),
        cmocka_unit_test(refused),           cmocka_unit_test(level_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
