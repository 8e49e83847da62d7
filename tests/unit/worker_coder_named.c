/* Networks of the zoo in a .qdz file: recognised whatever they are called, told by a name, and back. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/coder/qdz.h"
#include "worker/coder/reference.h"
#include "worker/onnx/onnx.h"
#include "worker/op/op.h"
#include "worker/prune/dead.h"
#include "worker/quant/method.h"
#include "worker/zoo/zoo.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/coded_graph.h"

static void zero_row(struct graph *g, const char *name, int64_t row)
{
    const struct value *v = &g->value[graph_find_value(g, name)];
    const size_t inner = (size_t)(shape_count(&v->shape) / v->shape.dim[0]);
    memset(g->param + v->offset + (size_t)row * inner, 0, inner * sizeof(real));
}

/* LeNet-5 with fewer units, quantized activations and coded weights; its inner names are its own if asked. */
static struct graph *small_lenet(bool renamed)
{
    struct err e = { 0 };
    struct graph *g, *copy;
    struct quant *q;
    struct quant_layer_plan plan[4] = {
        { 4, { .bits = 8, .low = 0, .high = 255, .step = (real)0.00390625, .fixed = true } },
        { 2, { .bits = 8, .low = -128, .high = 127, .step = (real)0.03, .fixed = false } },
        { 2, { .bits = 32, .low = 0, .high = 0, .step = 0, .fixed = false } },
        { 4, { .bits = 4, .low = 0, .high = 15, .step = (real)0.1, .fixed = false } }
    };
    const struct quant_options options = { .method = &method_msqe, .grid = grid_find("sym") };
    int64_t removed;
    ok(zoo_graph("lenet5", 1, &g, &e), &e);
    for (int i = 0; i < 300; i++)
        zero_row(g, "fc1.weight", i);
    for (int i = 0; i < 7; i++)
        zero_row(g, "conv1.weight", 2 * i);
    ok(dead_remove(g, &removed, &e), &e);
    assert_int_equal(removed, 307);
    ok(quant_new(g, plan, 4, &options, &q, &e), &e);
    quant_free(q);
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_PARAM && g->value[v].shape.rank > 1)
            add_codes(g, v, 2, v % 2 ? 0 : -1, (uint64_t)v);
    if (!renamed)
        return g;
    for (int v = 0; v < g->values; v++)
        if (v != g->input && g->value[v].kind != VALUE_CONST) {
            free(g->value[v].name);
            g->value[v].name = mem_printf("/other/%d", v);
        }
    ok(graph_clone(g, &copy, &e), &e);
    graph_free(g);
    return copy;
}

/* A network of the zoo takes a name of two bytes, whatever its inner names, its widths and its quantizers. */
static void test_named(void **state)
{
    (void)state;
    for (int renamed = 0; renamed < 2; renamed++) {
        struct err e = { 0 };
        struct graph *g = small_lenet(renamed), *h;
        struct buf out;
        struct qdz_sizes sizes;
        buf_init(&out, 0);
        ok(qdz_encode(g, coder_find("cabac"), &out, NULL, NULL, &sizes, &e), &e);
        assert_true(sizes.named && sizes.skeleton == 0);
        ok(qdz_decode(out.data, out.length, &h, &e), &e);
        if (!renamed) {
            assert_same_onnx(g, h);
        }
        assert_int_equal(g->nodes, h->nodes);
        assert_string_equal(g->value[g->output[0]].name, h->value[h->output[0]].name);
        assert_string_equal(g->value[g->input].name, h->value[h->input].name);
        assert_true(graph_find_value(h, "conv1.weight") >= 0 && graph_find_node(h, "fc2") >= 0);
        struct layer *a, *b;
        int count, other;
        ok(graph_layers(g, &a, &count, &e), &e);
        ok(graph_layers(h, &b, &other, &e), &e);
        assert_int_equal(count, other);
        for (int i = 0; i < count; i++) {
            const struct value *v = &g->value[a[i].weight], *w = &h->value[b[i].weight];
            assert_true(shape_equal(&v->shape, &w->shape));
            assert_memory_equal(v->codes->code, w->codes->code,
                                (size_t)shape_count(&v->shape) * sizeof(int32_t));
            assert_memory_equal(v->codes->scale, w->codes->scale, (size_t)v->codes->channels * sizeof(float));
        }
        free(a);
        free(b);
        buf_free(&out);
        graph_free(g);
        graph_free(h);
    }
}

/* Every architecture has its number, at its own size and at another. */
static void test_every_row_has_a_name(void **state)
{
    (void)state;
    bool seen[256] = { false };
    for (int i = 0; zoo_list[i]; i++)
        for (int other = 0; other < 2; other++) {
            struct err e = { 0 };
            struct zoo_request q;
            struct reference r, back;
            struct graph *g;
            ok(zoo_parse(zoo_list[i]->name, &q, &e), &e);
            q.hollow = true;
            q.classes += other && q.classes;
            q.height += other && !q.classes ? 8 : 0;
            ok(zoo_make(&q, &g, &e), &e);
            if (!reference_find(g, &r))
                fail_msg("%s is not recognised", zoo_list[i]->name);
            const uint8_t byte = reference_byte(&r);
            assert_int_equal(r.own_size, !other);
            assert_false(seen[byte]);
            seen[byte] = true;
            ok(reference_of(byte, &back, &e), &e);
            assert_string_equal(back.request.zoo->name, zoo_list[i]->name);
            reference_deinit(&r);
            graph_free(g);
        }
}

/* What only looks like the zoo's keeps its description. */
static void test_not_named(void **state)
{
    (void)state;
    struct err e = { 0 };
    for (int i = 0; i < 3; i++) {
        struct graph *g;
        struct qdz_sizes sizes;
        struct buf out;
        buf_init(&out, 0);
        ok(zoo_graph("lenet5", 1, &g, &e), &e);
        if (i == 0)
            assert_int_equal(node_set_int(&g->node[graph_find_node(g, "pool1")], "ceil_mode", 1), 0);
        if (i == 1)
            g->value[graph_find_value(g, "conv1.bias")].trainable = false;
        ok(graph_finish(g, &e), &e);
        ok(qdz_encode(g, coder_find(i == 2 ? "huffman" : "cabac"), &out, NULL, NULL, &sizes, &e), &e);
        assert_true(!sizes.named && sizes.skeleton > 20);
        buf_free(&out);
        graph_free(g);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_named),
        cmocka_unit_test(test_not_named),
        cmocka_unit_test(test_every_row_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
