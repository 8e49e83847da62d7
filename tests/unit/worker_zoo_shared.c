/* The zoo against files of others: the same weights by shape, and where the names agree too, the same network
 * to the bit. */
#include "onnx_run.h"
#include "worker/onnx/onnx.h"
#include "worker/zoo/zoo.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct graph *make(const char *reference)
{
    struct zoo_request r;
    struct graph *g = NULL;
    struct err e = { 0 };
    int bad = zoo_parse(reference, &r, &e);
    r.hollow = true;
    if (bad || zoo_make(&r, &g, &e))
        fail_msg("%s: %s (%s)", reference, e.text, e.place);
    return g;
}

/* NULL, loudly, when it is not there. */
static struct graph *load(const char *file, const struct shape *sample)
{
    char path[512], *data;
    size_t length;
    struct graph *g = NULL;
    struct err e = { 0 };
    const struct onnx_options options = { .batch = ONNX_BATCH_FREE, .sample = sample };
    if (!data_path(path, sizeof path, file))
        return NULL;
    if (file_load(path, (size_t)1 << 30, &data, &length, &e) ||
        onnx_import_with(data, length, &options, &g, &e))
        fail_msg("%s: %s (%s)", file, e.text, e.place);
    free(data);
    return g;
}

struct weight {
    char shape[64];
};

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct weight *)a)->shape, ((const struct weight *)b)->shape);
}

/* The weights as sorted texts. A 1x1 convolution of a vector is a fully connected layer: ones at the end go.
 */
static struct weight *weights(struct graph *g, int *count)
{
    struct layer *layers;
    struct err e = { 0 };
    assert_int_equal(graph_layers(g, &layers, count, &e), 0);
    struct weight *list = calloc((size_t)*count + 1, sizeof *list);
    for (int i = 0; i < *count; ++i) {
        struct shape s = g->value[layers[i].weight].shape;
        while (s.rank > 2 && s.dim[s.rank - 1] == 1)
            s.rank--;
        shape_text(&s, list[i].shape, sizeof list[i].shape);
    }
    free(layers);
    qsort(list, (size_t)*count, sizeof *list, compare);
    return list;
}

static void same_weights(void **state)
{
    static const struct {
        const char *reference, *file;
        int layers;
    } rows[] = {
        { "mobilenet-v1-x0.5@3x32x32/10", "onnx/structures/mobilenet_v1_x0.5.onnx", 28 },
        { "mobilenet-v2-x0.5@3x32x32/10", "onnx/structures/mobilenet_v2_x0.5.onnx", 53 },
        { "mobilenet-v3-small-x0.5@3x32x32/10", "onnx/structures/mobilenet_v3_small_x0.5.onnx", 54 },
        { "shufflenet-v2-x0.5@3x32x32/10", "onnx/structures/shufflenet_v2_x0.5.onnx", 57 },
        { "densenet-bc-100", "onnx/structures/densenet_bc_100_12.onnx", 100 },
        { "srcnn-9-5-5@1x16x16", "onnx/structures/srcnn_955.onnx", 3 },
        { "ct-srcnn-5@1x16x16", "onnx/structures/ct_srcnn_5.onnx", 5 },
        { "vdsr@1x16x16", "models/vdsr.onnx", 20 },
        { "lenet5", "models/lenet5_mnist.onnx", 4 },
        { "resnet20", "models/resnet20_cifar10.onnx", 20 },
        { "alexnet@3x224x224", "onnx/light/light_bvlc_alexnet.onnx", 8 },
        { "googlenet", "onnx/light/light_inception_v1.onnx", 58 },
        { "densenet121", "onnx/light/light_densenet121.onnx", 121 },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct graph *a = make(rows[i].reference), *b = load(rows[i].file, &a->value[a->input].shape);
        if (b) {
            int na, nb;
            struct weight *wa = weights(a, &na), *wb = weights(b, &nb);
            assert_int_equal(na, rows[i].layers);
            assert_int_equal(nb, na);
            for (int k = 0; k < na; ++k)
                if (strcmp(wa[k].shape, wb[k].shape))
                    fail_msg("%s: weights %s, the file has %s", rows[i].reference, wa[k].shape, wb[k].shape);
            free(wa);
            free(wb);
        }
        graph_free(a);
        graph_free(b);
    }
}

/* Take the numbers of the file; every parameter is there under its name. */
static void copy_parameters(struct graph *to, const struct graph *from)
{
    assert_int_equal(graph_parameters(to), graph_parameters(from));
    for (int i = 0; i < to->values; ++i) {
        const struct value *a = &to->value[i];
        if (a->kind != VALUE_PARAM)
            continue;
        const int found = graph_find_value(from, a->name);
        if (found < 0)
            fail_msg("the file has no %s", a->name);
        const struct value *b = &from->value[found];
        assert_true(shape_equal(&a->shape, &b->shape));
        memcpy(to->param + a->offset, from->param + b->offset,
               (size_t)shape_count(&a->shape) * sizeof *to->param);
    }
}

static void same_network(void **state)
{
    static const struct {
        const char *reference, *file;
    } rows[] = {
        { "resnet20", "models/resnet20_cifar10.onnx" },
        { "vdsr@1x16x20", "models/vdsr.onnx" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        struct graph *a;
        struct err e = { 0 };
        float *ya, *yb;
        assert_int_equal(zoo_graph(rows[i].reference, 1, &a, &e), 0);
        struct graph *b = load(rows[i].file, &a->value[a->input].shape);
        if (b) {
            struct tensor *x = tensor_new(DTYPE_FLOAT, &a->value[a->input].shape);
            for (int64_t k = 0; k < shape_count(&x->shape); ++k)
                ((float *)x->data)[k] = (float)(k % 17) / 16;
            copy_parameters(a, b);
            const int64_t n = run_graph(a, x, 1, &ya, &e);
            assert_true(n > 0);
            assert_int_equal(run_graph(b, x, 1, &yb, &e), n);
            assert_memory_equal(ya, yb, (size_t)n * sizeof *ya);
            free(ya);
            free(yb);
            tensor_free(x);
        }
        graph_free(a);
        graph_free(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_weights),
        cmocka_unit_test(same_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
