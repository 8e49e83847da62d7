/* What methods do to one weight: gradients against finite differences, first scales against their formulas,
 * channels against each other. */
#include "tests/unit/normal_weight.h"

#include "base/mem.h"
#include "worker/kernels/kernels.h"
#include "worker/quant/histogram.h"

/* sum of g Q(w) */
static double projected(const struct quant_weight *w, const real *scale, const real *x, const real *g)
{
    real q[COUNT];
    int8_t code[COUNT];
    struct grid_sums sums = { 0 };
    double total = 0;

    w->quantizer->apply(w, scale, &(struct quant_run){ x, q, code, COUNT, 1, kernels_best()->update }, &sums,
                        NULL);
    for (int i = 0; i < COUNT; i++)
        total += (double)g[i] * (double)q[i];
    return total;
}

/* The slope that LSQ gives is that of s rint(w / s) where w / s is held: rint's steps don't count, and w/s -
 * w/s is nought. So with v = w / s fixed, d/ds of s (rint(v) - v) + w. */
static void test_lsq_slope_in_the_scale_is_equation_3(void **state)
{
    real x[COUNT], g[COUNT], mine[COUNT];
    const real s = (real)0.37, small = (real)1e-2;
    (void)state;

    fill_normal(x, COUNT, 1);
    fill_normal(g, COUNT, 2);
    for (int bits = 2; bits <= 4; bits++) {
        const struct quant_weight w = weight_of(&method_lsq, bits, "twos");
        const double high = (1 << (bits - 1)) - 1, low = -(1 << (bits - 1));
        memcpy(mine, g, sizeof g);
        const double slope =
            w.quantizer->step(&w, &s) > 0 ? method_lsq.backward(&w, &s, x, mine, COUNT, 1) : 0;
        double expected = 0;
        for (int i = 0; i < COUNT; i++) {
            const double v = (double)(x[i] / s), up = (double)(s + small), down = (double)(s - small);
            const double k = v < low ? low : v > high ? high : nearbyint(v);
            const bool inside = v >= low && v <= high;
            const double f = inside ? k - v : k; /* what s multiplies */
            expected += (double)g[i] * (up * f - down * f) / (up - down);
            assert_true(mine[i] == (inside ? g[i] : 0));
        }
        expected /= sqrt(COUNT * high);
        assert_true(fabs(slope - expected) < 1e-5 * (1 + fabs(expected)));
    }
}

/* The same of the nearest odd number. */
static void test_lsq_slope_on_a_grid_without_zero(void **state)
{
    real x[COUNT], g[COUNT], mine[COUNT];
    const real s = (real)0.37;
    (void)state;

    fill_normal(x, COUNT, 1);
    fill_normal(g, COUNT, 2);
    for (int bits = 2; bits <= 4; bits++) {
        const struct quant_weight w = weight_of(&method_lsq, bits, "midrise");
        const double high = (1 << bits) - 1;
        double expected = 0;
        int clipped = 0;
        memcpy(mine, g, sizeof g);
        const double slope = method_lsq.backward(&w, &s, x, mine, COUNT, 1);
        for (int i = 0; i < COUNT; i++) {
            const double v = (double)(x[i] / s);
            const bool inside = fabs(v) <= high;
            expected += (double)g[i] * (inside ? 2 * floor(v / 2) + 1 - v : copysign(high, v));
            assert_true(mine[i] == (inside ? g[i] : 0));
            clipped += !inside;
        }
        expected /= sqrt(COUNT * high);
        assert_true(fabs(slope - expected) < 1e-5 * (1 + fabs(expected)));
        assert_true(bits > 2 || clipped > 0);
    }
}

/* Outside the range the level itself moves: there finite differences of the whole quantizer agree. */
static void test_lsq_slope_of_clipped_weights_against_differences(void **state)
{
    real x[COUNT], g[COUNT], mine[COUNT];
    const real s = (real)0.01, up = (real)0.0101, down = (real)0.0099;
    const struct quant_weight w = weight_of(&method_lsq, 3, "sym");
    (void)state;

    fill_normal(x, COUNT, 3);
    fill_normal(g, COUNT, 4);
    for (int i = 0; i < COUNT; i++)
        x[i] += x[i] < 0 ? -1 : 1;
    memcpy(mine, g, sizeof g);
    const double slope = method_lsq.backward(&w, &s, x, mine, COUNT, 1) * sqrt(COUNT * 3.0);
    const double expected = (projected(&w, &up, x, g) - projected(&w, &down, x, g)) / (double)(up - down);
    assert_true(fabs(slope - expected) < 1e-3 * fabs(expected));
    for (int i = 0; i < COUNT; i++)
        assert_true(mine[i] == 0);
}

static void test_lsq_binary_slope_against_differences(void **state)
{
    real x[COUNT], g[COUNT], mine[COUNT];
    const real s = (real)0.5, up = (real)0.51, down = (real)0.49;
    const struct quant_weight w = weight_of(&method_lsq, 1, "sym");
    (void)state;

    fill_normal(x, COUNT, 5);
    fill_normal(g, COUNT, 6);
    memcpy(mine, g, sizeof g);
    const double slope = method_lsq.backward(&w, &s, x, mine, COUNT, 1) * sqrt((double)COUNT);
    const double expected = (projected(&w, &up, x, g) - projected(&w, &down, x, g)) / (double)(up - down);
    assert_true(fabs(slope - expected) < 1e-3 * fabs(expected));
    assert_memory_equal(mine, g, sizeof g);
}

/* Both first steps: any other has a larger error. */
static void test_lsq_starts_at_the_least_error(void **state)
{
    static const char *const grids[] = { "sym", "twos", "midrise" };
    real x[COUNT], scale;
    (void)state;

    fill_normal(x, COUNT, 7);
    for (int bits = 1; bits <= 8; bits++) {
        for (int i = 0; i < 3; i++) {
            const struct quant_weight w = weight_of(&method_lsq, bits, bits == 8 ? "sym" : grids[i]);
            double error[3] = { 0 };
            method_lsq.start(&w, x, COUNT, 1, &scale);
            for (int way = 0; way < 3; way++) {
                const real s = scale * (real)(1 + 0.1 * (way - 1));
                const struct grid_rule r = grid_rule(w.grid, bits, s);
                for (int k = 0; k < COUNT; k++)
                    error[way] += pow((double)(x[k] - s * (real)grid_code(&r, x[k])), 2);
            }
            assert_true(error[1] < error[0] && error[1] < error[2]);
        }
        const int high = (1 << bits) - 1;
        const real step = method_lsq.activation(x, COUNT, 0, high);
        const double least = method_activation_error(x, COUNT, step, 0, high);
        assert_true(least < method_activation_error(x, COUNT, step * (real)0.9, 0, high));
        assert_true(least < method_activation_error(x, COUNT, step * (real)1.1, 0, high));
    }
}

/* x - MatMul [6,5] - MatMul transposed as Gemm [4,5] - Gemm [4,3]: channels along both axes. */
static struct graph *matrices(void)
{
    struct graph *g = graph_new("matrices");
    struct err e = { 0 };
    float init[64];
    struct rng r = rng_at(6, 1, 0);

    for (int i = 0; i < 64; i++)
        init[i] = (float)rng_normal(&r) * (float)(1 + i % 5); /* columns of very different size */
    int in = graph_add_input(g, "x", &(struct shape){ 1, { 6 } }, &e);
    int a = graph_add_param(g, "a.weight", &(struct shape){ 2, { 6, 5 } }, true, init, &e);
    int b = graph_add_param(g, "b.weight", &(struct shape){ 2, { 4, 5 } }, true, init, &e);
    int c = graph_add_param(g, "c.weight", &(struct shape){ 2, { 4, 3 } }, true, init, &e);
    int u = graph_add_value(g, "u", &e), v = graph_add_value(g, "v", &e), y = graph_add_value(g, "y", &e);
    graph_add_node(g, "MatMul", "a", (int[]){ in, a }, 2, &u, 1, &e);
    int gemm = graph_add_node(g, "Gemm", "b", (int[]){ u, b }, 2, &v, 1, &e);
    node_set_int(&g->node[gemm], "transB", 1);
    graph_add_node(g, "Gemm", "c", (int[]){ v, c }, 2, &y, 1, &e);
    g->output[g->outputs++] = y;
    if (graph_finish(g, &e))
        fail_msg("%s at %s", e.text, e.place);
    return g;
}

/* A scale per channel is what a tensor of that channel alone would get, along whichever axis. */
static void test_channels_are_quantized_as_if_alone(void **state)
{
    static const int axis[] = { 1, 0, 1 }, rows[] = { 6, 4, 4 }, columns[] = { 5, 5, 3 };
    (void)state;

    for (const struct method *const *m = method_list; *m; m++)
        for (int bits = 1; bits <= 8; bits++) {
            struct graph *g = matrices();
            struct quant *q = NULL;
            struct pool *p = pool_new(2);
            struct err e = { 0 };
            struct quant_layer_plan plan[3];
            for (int i = 0; i < 3; i++)
                plan[i] = (struct quant_layer_plan){ .weight_bits = bits, .activation.bits = 32 };
            const struct quant_options o = { .method = *m, .grid = grid_find("sym"), .per_channel = true };
            assert_int_equal(quant_new(g, plan, 3, &o, &q, &e), 0);
            quant_start(q, g);
            quant_apply(q, g, p);
            for (int i = 0; i < 3; i++) {
                const struct quant_weight *w = &q->weight[i];
                assert_int_equal(w->axis, axis[i]);
                assert_int_equal(w->channels, axis[i] ? columns[i] : rows[i]);
                const int each = rows[i] * columns[i] / w->channels;
                for (int c = 0; c < w->channels; c++) {
                    real own[8], quantized[8], scale[4];
                    int8_t code[8];
                    struct grid_sums sums = { 0 };
                    for (int k = 0; k < each; k++)
                        own[k] =
                            g->param[w->offset + (size_t)(axis[i] ? k * columns[i] + c : c * columns[i] + k)];
                    struct quant_weight alone = *w;
                    alone.count = (size_t)each;
                    alone.channels = alone.stride = 1;
                    (*m)->start(&alone, own, (size_t)each, 1, scale);
                    assert_memory_equal(scale, w->scale + c * w->width, (size_t)w->width * sizeof *scale);
                    w->quantizer->apply(
                        &alone, scale,
                        &(struct quant_run){ own, quantized, code, (size_t)each, 1, kernels_best()->update },
                        &sums, NULL);
                    for (int k = 0; k < each; k++)
                        assert_true(
                            quantized[k] ==
                            q->q[w->offset + (size_t)(axis[i] ? k * columns[i] + c : c * columns[i] + k)]);
                }
            }
            quant_free(q);
            graph_free(g);
            pool_free(p);
        }
}

/* --- bins
 * --------------------------------------------------------------------------------------------------- */

/* lambda sum over bins of N [(mean - i s)^2 + var], with the codes as they are: the definition. N, the mean
 * size of a bin, is at most four times the bin's. */
static double bins_loss(const struct quant *q, int weight, const real *w, const real *scale, double lambda)
{
    const struct quant_weight *l = &q->weight[weight];
    double total = 0, used = 0;

    for (int code = -16; code <= 16; code++)
        used += memchr(q->code + l->offset, code, l->count) != NULL;
    for (int code = -16; code <= 16; code++) {
        double members = 0, sum = 0, square = 0;
        for (size_t i = 0; i < l->count; i++) {
            if (q->code[l->offset + i] != code)
                continue;
            const int channel = l->axis < 0 ? 0
                                : l->axis   ? (int)i % l->channels
                                            : (int)(i / (l->count / l->channels));
            const double miss = (double)w[l->offset + i] - code * (double)scale[channel];
            members++;
            sum += miss;
            square += miss * miss;
        }
        if (members > 0) { /* mean and variance of w - i s: the target is nought */
            const double mean = (double)l->count / used, size = mean < 4 * members ? mean : 4 * members;
            total += size * (pow(sum / members, 2) + (square / members - pow(sum / members, 2)));
        }
    }
    return lambda * total;
}

static void test_bin_gradients_against_differences(void **state)
{
    (void)state;

    for (int way = 0; way < 3; way++) { /* a step per layer, per channel, per layer without zero */
        struct graph *g = matrices();
        struct pool *p = pool_new(1);
        struct quant *q = NULL;
        struct quant_layer_plan plan[3];
        double s[REGULARIZER_STATE] = { 0 };
        for (int i = 0; i < 3; i++)
            plan[i] = (struct quant_layer_plan){ .weight_bits = 2 + i % 2, .activation.bits = 32 };
        const struct quant_options o = { .method = &method_lsq_br,
                                         .grid = grid_find(way == 2 ? "midrise" : "twos"),
                                         .per_channel = way == 1 };
        assert_int_equal(quant_new(g, plan, 3, &o, &q, NULL), 0);
        quant_start(q, g);
        quant_apply(q, g, p);
        regularizer_bins.begin(s, q,
                               &(struct regularizer_settings){
                                   .bins = 7, .travel = 10, .steps = 10, .warmup = 0.2, .ramp = 0.2 });
        assert_true(regularizer_bins.coefficient(s) == 0);
        for (int i = 0; i < 4; i++)
            regularizer_bins.update(s, q);
        assert_true(fabs(regularizer_bins.coefficient(s) - 0.7) < 1e-12);

        real *gradient = mem_aligned(64, g->param_count * sizeof *gradient);
        quant_backward(q, g, gradient, s, p); /* of a loss that is nought: only the bins' */
        for (int i = 0; i < 3; i++) {
            const struct quant_weight *w = &q->weight[i];
            for (size_t k = 0; k < w->count; k++) {
                real *at = &g->param[w->offset + k], was = *at;
                *at = was + (real)1e-2;
                const double up = bins_loss(q, i, g->param, w->scale, 0.7);
                *at = was - (real)1e-2;
                const double down = bins_loss(q, i, g->param, w->scale, 0.7);
                *at = was;
                assert_true(fabs((up - down) / 2e-2 - (double)gradient[w->offset + k]) < 1e-3);
            }
            for (int c = 0; c < w->channels; c++) /* steps follow the task alone */
                assert_true(q->slope[w->scale - q->scale + c] == 0);
        }
        free(gradient);
        quant_free(q);
        graph_free(g);
        pool_free(p);
    }
}

/* Weights on their levels have no spread; weights everywhere have that of a uniform bin, 1/12. */
static void test_histogram_of_known_distributions(void **state)
{
    struct graph *g = graph_new("one");
    struct err e = { 0 };
    enum { WIDE = 4000 };
    float *init = mem_array(2 * WIDE, sizeof *init);
    struct quant *q = NULL;
    struct pool *p = pool_new(1);
    struct histogram h;
    struct quant_layer_plan plan = { .weight_bits = 3, .activation.bits = 32 };
    const struct quant_options o = { .method = &method_lsq, .grid = grid_find("twos") };
    (void)state;

    for (int i = 0; i < 2 * WIDE; i++)
        init[i] = (float)(-4.5 + 8.0 * (i + 0.5) / (2 * WIDE));
    int in = graph_add_input(g, "x", &(struct shape){ 1, { WIDE } }, &e);
    int a = graph_add_param(g, "a.weight", &(struct shape){ 2, { WIDE, 2 } }, true, init, &e);
    int y = graph_add_value(g, "y", &e);
    graph_add_node(g, "MatMul", "a", (int[]){ in, a }, 2, &y, 1, &e);
    g->output[g->outputs++] = y;
    assert_int_equal(graph_finish(g, &e), 0);
    assert_int_equal(quant_new(g, &plan, 1, &o, &q, &e), 0);
    q->scale[0] = 1;
    quant_apply(q, g, p);
    histogram_take(q, g->param, &h);
    assert_int_equal(h.count, 2 * WIDE);
    assert_true(fabs(h.variance * 12 - 1) < 1e-3);
    for (int k = 0; k < HISTOGRAM_CELLS; k++)
        assert_true(fabs(h.offset[k] * HISTOGRAM_CELLS - 1) < 1e-2);
    quant_snap(q, g, p);
    quant_apply(q, g, p);
    histogram_take(q, g->param, &h);
    assert_true(h.variance == 0 && h.offset[HISTOGRAM_CELLS / 2] == 1);
    free(init);
    quant_free(q);
    graph_free(g);
    pool_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lsq_slope_in_the_scale_is_equation_3),
        cmocka_unit_test(test_lsq_slope_on_a_grid_without_zero),
        cmocka_unit_test(test_lsq_slope_of_clipped_weights_against_differences),
        cmocka_unit_test(test_lsq_binary_slope_against_differences),
        cmocka_unit_test(test_lsq_starts_at_the_least_error),
        cmocka_unit_test(test_channels_are_quantized_as_if_alone),
        cmocka_unit_test(test_bin_gradients_against_differences),
        cmocka_unit_test(test_histogram_of_known_distributions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
