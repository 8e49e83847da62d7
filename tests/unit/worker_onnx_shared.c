/* The models of other tools, as they come: what is read, what they compute, and that our file of them is the
 * same network. */
#include "onnx_run.h"
#include "worker/inspect.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <zlib.h>

#include <cmocka.h>

static struct graph *load(const char *name, const struct shape *sample)
{
    char path[512], *data;
    size_t length;
    struct err e = { 0 };
    struct graph *g = NULL;
    if (!data_path(path, sizeof path, name))
        return NULL;
    if (file_load(path, (size_t)1 << 30, &data, &length, &e))
        fail_msg("%s", e.text);
    const struct onnx_options options = { .batch = ONNX_BATCH_FREE, .sample = sample };
    if (onnx_import_with(data, length, &options, &g, &e))
        fail_msg("%s: %s (%s)", name, e.text, e.place);
    free(data);
    return g;
}

/* Running statistics are none of the published count. */
static int64_t published(const struct graph *g)
{
    return graph_trainable(g);
}

static void counts(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct shape sample;
        int64_t parameters;
    } models[] = {
        { "models/lenet5_mnist.onnx", { 0 }, 431080 },
        { "models/lenet5_caffe_mnist.onnx", { 0 }, 431080 },
        { "models/resnet20_cifar10.onnx", { 0 }, 269722 },
        { "models/mnist-8.onnx", { 0 }, 5994 },
        { "models/vdsr.onnx", { 3, { 1, 41, 41 } }, 664704 },
        { "onnx/structures/densenet_bc_100_12.onnx", { 0 }, 769162 },
    };
    for (size_t i = 0; i < sizeof models / sizeof *models; ++i) {
        struct graph *g = load(models[i].name, models[i].sample.rank ? &models[i].sample : NULL);
        if (!g)
            continue;
        if (published(g) != models[i].parameters)
            fail_msg("%s: %lld parameters, not %lld", models[i].name, (long long)published(g),
                     (long long)models[i].parameters);
        graph_free(g);
    }
}

/* Our file of a foreign network, read and written again, is itself. */
static void rewritten(void **state)
{
    (void)state;
    static const char *const names[] = { "models/lenet5_mnist.onnx", "models/resnet20_cifar10.onnx",
                                         "models/mnist-8.onnx", "onnx/structures/mobilenet_v2_x0.5.onnx",
                                         "onnx/structures/mobilenet_v3_small_x0.5.onnx" };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        struct graph *g = load(names[i], NULL), *back;
        char *first, *second;
        size_t a, b;
        struct err e = { 0 };
        if (!g)
            continue;
        assert_int_equal(onnx_export(g, NULL, 0, &first, &a, &e), 0);
        if (onnx_import(first, a, &back, &e))
            fail_msg("%s: %s (%s)", names[i], e.text, e.place);
        assert_int_equal(onnx_export(back, NULL, 0, &second, &b, &e), 0);
        assert_int_equal(a, b);
        assert_memory_equal(first, second, a);
        assert_int_equal(graph_parameters(g), graph_parameters(back));
        free(first);
        free(second);
        graph_free(g);
        graph_free(back);
    }
}

/* What the network makes of x must be what `file` says, to 1e-4 of each value and 1e-5 of the largest. */
static void compare_output(struct graph *g, const struct tensor *x, int samples, const char *name,
                           const char *file)
{
    char path[512];
    struct err e = { 0 };
    int64_t where;
    double largest = 0;
    float *y;
    if (!data_path(path, sizeof path, file))
        return;
    struct tensor *expected = load_tensor(path);
    assert_non_null(expected);
    const int64_t count = run_graph(g, x, samples, &y, &e);
    if (count != shape_count(&expected->shape))
        fail_msg("%s: %lld numbers, not %lld (%s)", name, (long long)count,
                 (long long)shape_count(&expected->shape), e.text);
    for (int64_t i = 0; i < count; ++i)
        largest = fmax(largest, fabs(tensor_number(expected, i)));
    const double off = worst(y, expected, 0, &where);
    if (worst(y, expected, 1e-4, &where) > 1e-5 * largest)
        fail_msg("%s: element %d is %g, not %g", name, (int)where, (double)y[where],
                 tensor_number(expected, where));
    print_message("%s: largest difference %.2g of %.2g\n", name, off, largest);
    free(y);
    tensor_free(expected);
}

/* Random networks with an output computed elsewhere. */
static void structures(void **state)
{
    (void)state;
    static const char *const names[] = {
        "mobilenet_v1_x0.5",  "mobilenet_v2_x0.5",  "mobilenet_v3_small_x0.5",
        "shufflenet_v2_x0.5", "densenet_bc_100_12", "squeezenet1_1",
        "srcnn_955",          "ct_srcnn_5"
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
        char name[128], path[512];
        snprintf(name, sizeof name, "onnx/structures/%s.input_0.pb", names[i]);
        if (!data_path(path, sizeof path, name))
            continue;
        struct tensor *x = load_tensor(path);
        assert_non_null(x);
        struct shape sample = { .rank = x->shape.rank - 1 };
        memcpy(sample.dim, x->shape.dim + 1, sizeof(int64_t) * (size_t)sample.rank);
        snprintf(name, sizeof name, "onnx/structures/%s.onnx", names[i]);
        struct graph *g = load(name, &sample);
        snprintf(name, sizeof name, "onnx/structures/%s.output_0.pb", names[i]);
        compare_output(g, x, (int)x->shape.dim[0], names[i], name);
        graph_free(g);
        tensor_free(x);
    }
}

static uint64_t macs_of(struct graph *g)
{
    struct layer *layers;
    struct err e = { 0 };
    uint64_t macs = 0;
    int count;
    assert_int_equal(graph_layers(g, &layers, &count, &e), 0);
    for (int i = 0; i < count; ++i)
        macs += layers[i].macs;
    free(layers);
    return macs;
}

/* The input that the reference outputs belong to: x[i] = i / n. */
static struct tensor *ramp(const struct shape *s)
{
    struct tensor *x = tensor_new(DTYPE_FLOAT, s);
    assert_non_null(x);
    const int64_t n = shape_count(s);
    for (int64_t i = 0; i < n; ++i)
        ((float *)x->data)[i] = (float)((double)i / (double)n);
    return x;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
#define MACS_LIMIT 400000000
#else
#define MACS_LIMIT UINT64_MAX
#endif

/* The reference is uniform, but sums of 1e9 and more, a little different in another order, decide what a
 * Softmax makes of them: they must be alike in front of it. */
static void compare_sums(struct graph *g, const struct tensor *x, const char *name)
{
    struct err e = { 0 };
    const struct node *n = &g->node[g->value[g->output[0]].producer];
    float *y;
    while (strcmp(n->op->name, "Softmax") != 0)
        n = &g->node[g->value[n->input[0]].producer];
    g->output[0] = n->input[0];
    assert_int_equal(graph_finish(g, &e), 0);
    const int64_t count = run_graph(g, x, 1, &y, &e);
    assert_int_equal(count, 1000);
    for (int64_t i = 0; i < count; ++i)
        if (!(fabs((double)y[i] / (double)y[0] - 1) < 1e-5))
            fail_msg("%s: sum %d is %g, the first one %g", name, (int)i, (double)y[i], (double)y[0]);
    print_message("%s: sums of %.2g, all alike\n", name, (double)y[0]);
    free(y);
}

/* Structures of ImageNet networks of opset 9, their weights made by ConstantOfShape. Big ones are not run in
 * a slow build. */
static void light(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t parameters;
        enum { PLAIN, VAGUE_BLAS, VAGUE } rounding; /* decides the output: never, with BLAS, always */
    } models[] = {
        { "squeezenet", 1235496, VAGUE },         { "shufflenet", 1393320, PLAIN },
        { "resnet50", 25557032, VAGUE_BLAS },     { "inception_v1", 6998552, VAGUE_BLAS },
        { "inception_v2", 11214888, PLAIN },      { "densenet121", 8062504, PLAIN },
        { "bvlc_alexnet", 60965224, VAGUE_BLAS }, { "vgg19", 143667240, VAGUE_BLAS },
        { "zfnet512", 87250536, VAGUE_BLAS },
    };
    const bool blas = strcmp(kernels_best()->name, "blas") == 0; /* adds up in orders of its own */
    for (size_t i = 0; i < sizeof models / sizeof *models; ++i) {
        char name[64];
        snprintf(name, sizeof name, "onnx/light/light_%s.onnx", models[i].name);
        struct graph *g = load(name, NULL);
        if (!g)
            continue;
        assert_true(g->batch_fixed_one);
        assert_int_equal(shape_count(&g->value[g->output[0]].shape), 1000);
        if (published(g) != models[i].parameters)
            fail_msg("%s: %lld parameters", name, (long long)published(g));
        snprintf(name, sizeof name, "onnx/light/light_%s_output_0.pb", models[i].name);
        if (macs_of(g) < MACS_LIMIT) {
            struct tensor *x = ramp(&g->value[g->input].shape);
            if (models[i].rounding >= (blas ? VAGUE_BLAS : VAGUE))
                compare_sums(g, x, models[i].name);
            else
                compare_output(g, x, 1, models[i].name, name);
            tensor_free(x);
        } else {
            print_message("%s: read, not run\n", models[i].name);
        }
        graph_free(g);
    }
}

/* --- MNIST -------------------------------------------------------------------------------------------------
 */

enum { IMAGES = 10000, PIXELS = 28 * 28, BATCH = 250 };

static bool read_gz(const char *name, size_t skip, void *out, unsigned bytes)
{
    char path[512], header[16];
    if (!data_path(path, sizeof path, name))
        return false;
    gzFile f = gzopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(gzread(f, header, (unsigned)skip), skip);
    assert_int_equal(gzread(f, out, bytes), bytes);
    gzclose(f);
    return true;
}

static int classify(struct graph *g, const unsigned char *pixels, const unsigned char *labels, float scale)
{
    const struct shape shape = { 2, { BATCH, PIXELS } };
    struct tensor *x = tensor_new(DTYPE_FLOAT, &shape);
    struct err e = { 0 };
    int correct = 0;
    for (int first = 0; first < IMAGES; first += BATCH) {
        float *y;
        for (int i = 0; i < BATCH * PIXELS; ++i)
            ((float *)x->data)[i] = (float)pixels[first * PIXELS + i] / scale;
        assert_int_equal(run_graph(g, x, BATCH, &y, &e), BATCH * 10);
        for (int i = 0; i < BATCH; ++i) {
            int best = 0;
            for (int k = 1; k < 10; ++k)
                best = y[i * 10 + k] > y[i * 10 + best] ? k : best;
            correct += best == labels[first + i];
        }
        free(y);
    }
    tensor_free(x);
    return correct;
}

static void mnist(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        float scale;
        int correct;
    } models[] = {
        { "models/lenet5_mnist.onnx", 255, 9930 },
        { "models/mnist-8.onnx", 1, 9891 },
    };
    unsigned char *pixels = malloc(IMAGES * PIXELS), *labels = malloc(IMAGES);
    assert_true(pixels && labels);
    if (read_gz("mnist/t10k-images-idx3-ubyte.gz", 16, pixels, IMAGES * PIXELS) &&
        read_gz("mnist/t10k-labels-idx1-ubyte.gz", 8, labels, IMAGES))
        for (size_t i = 0; i < sizeof models / sizeof *models; ++i) {
            struct graph *g = load(models[i].name, NULL);
            if (g)
                assert_int_equal(classify(g, pixels, labels, models[i].scale), models[i].correct);
            graph_free(g);
        }
    free(pixels);
    free(labels);
}

/* --- quantd-worker inspect ---------------------------------------------------------------------------------
 */

static json_t *inspect(const char *name)
{
    char path[512], *data;
    size_t length;
    struct err e = { 0 };
    json_t *out = NULL;
    if (!data_path(path, sizeof path, name))
        return NULL;
    assert_int_equal(file_load(path, (size_t)1 << 30, &data, &length, &e), 0);
    if (inspect_model(data, length, &out, &e))
        fail_msg("%s: %s (%s)", name, e.text, e.place);
    free(data);
    return out;
}

static void inspection(void **state)
{
    (void)state;
    json_t *j = inspect("models/lenet5_mnist.onnx");
    if (j) {
        json_t *in = json_array_get(json_object_get(j, "inputs"), 0), *shape = json_object_get(in, "shape");
        json_t *layers = json_object_get(j, "layers"), *conv2 = json_array_get(layers, 1);
        assert_string_equal(json_string_value(json_object_get(j, "format")), "onnx");
        assert_int_equal(json_integer_value(json_object_get(j, "opset")), 13);
        assert_int_equal(json_integer_value(json_object_get(j, "ir_version")), 7);
        assert_int_equal(json_integer_value(json_object_get(j, "parameters")), 431080);
        assert_int_equal(json_integer_value(json_object_get(j, "macs")), 2293000);
        assert_true(json_integer_value(json_object_get(j, "memory_bytes")) > 4 * 431080);
        assert_string_equal(json_string_value(json_array_get(shape, 0)), "N");
        assert_int_equal(json_integer_value(json_array_get(shape, 3)), 28);
        assert_int_equal(json_integer_value(json_object_get(json_object_get(j, "operators"), "Conv")), 2);
        assert_int_equal(json_array_size(layers), 4);
        assert_string_equal(json_string_value(json_object_get(conv2, "name")), "conv2");
        assert_int_equal(json_integer_value(json_object_get(conv2, "parameters")), 25050);
        assert_int_equal(json_integer_value(json_object_get(conv2, "macs")), 1600000);
        assert_null(json_object_get(j, "assumed_shape"));
    }
    json_decref(j);
    j = inspect("models/vdsr.onnx");
    if (j) {
        json_t *in = json_array_get(json_object_get(j, "inputs"), 0), *shape = json_object_get(in, "shape");
        assert_string_equal(json_string_value(json_array_get(shape, 2)), "H");
        assert_int_equal(json_array_size(json_object_get(j, "assumed_shape")), 3);
    }
    json_decref(j);
    j = inspect("models/resnet20_cifar10.onnx");
    if (j)
        assert_int_equal(json_integer_value(json_object_get(j, "parameters")), 269722);
    json_decref(j);
    j = inspect("models/mnist-8.onnx");
    if (j) {
        json_t *out = json_array_get(json_object_get(j, "outputs"), 0),
               *shape = json_object_get(out, "shape");
        assert_int_equal(json_integer_value(json_object_get(j, "opset")), 8);
        assert_int_equal(json_integer_value(json_array_get(shape, 0)), 1);
        assert_int_equal(json_integer_value(json_array_get(shape, 1)), 10);
    }
    json_decref(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts), cmocka_unit_test(rewritten), cmocka_unit_test(structures),
        cmocka_unit_test(light),  cmocka_unit_test(mnist),     cmocka_unit_test(inspection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
