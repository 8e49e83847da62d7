/* The operator tests of the ONNX project: every directory of onnx/ops is a model of one node with inputs and
 * the outputs it must give. Each is run as one sample without a batch, and with its first axis as the batch;
 * one of them must be possible, the other may be refused with a reason, what runs must be right. */
#include "onnx_run.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { TESTS = 129 };
enum outcome { RIGHT, REFUSED, OUTCOMES };

#define ABSOLUTE 1e-5
#define RELATIVE 1e-4

static Onnx__ModelProto *load_model(const char *directory)
{
    char path[1100], *data;
    size_t length;
    struct err e = { 0 };
    snprintf(path, sizeof path, "%s/model.onnx", directory);
    if (file_load(path, 1 << 24, &data, &length, &e))
        fail_msg("%s", e.text);
    assert_int_equal(pb_check(data, length, &e), 0);
    Onnx__ModelProto *m = onnx__model_proto__unpack(NULL, length, (const uint8_t *)data);
    free(data);
    assert_non_null(m);
    return m;
}

static char *text(const char *name, const char *ending)
{
    char *made = malloc(strlen(name) + strlen(ending) + 1);
    assert_non_null(made);
    return strcat(strcpy(made, name), ending);
}

/* Concat and Sum want activations: input i becomes x + (input_i - x), which only the shapes must allow. */
static void derive(Onnx__GraphProto *g, Onnx__TensorProto *t, const char *name, const struct tensor *x)
{
    struct tensor *value;
    struct err e = { 0 };
    assert_int_equal(import_tensor(t, &value, &e), 0);
    assert_true(shape_equal(&value->shape, &x->shape));
    for (int64_t i = 0; i < shape_count(&x->shape); ++i)
        ((float *)value->data)[i] -= ((const float *)x->data)[i];
    memcpy(t->raw_data.data, value->data, t->raw_data.len);
    tensor_free(value);

    Onnx__NodeProto *n = malloc(sizeof *n);
    assert_non_null(n);
    onnx__node_proto__init(n);
    n->op_type = text("Add", "");
    n->n_input = 2;
    n->n_output = 1;
    n->input = malloc(2 * sizeof *n->input);
    n->output = malloc(sizeof *n->output);
    n->input[0] = text(g->input[0]->name, "");
    n->input[1] = text(t->name, "");
    n->output[0] = text(name, "");
    g->node = realloc(g->node, (g->n_node + 1) * sizeof *g->node);
    g->node[g->n_node++] = n;
}

/* Inputs but the first become initializers or, where that would not do, sums of the first and an initializer.
 */
static void bind_inputs(Onnx__ModelProto *m, const char *directory)
{
    Onnx__GraphProto *g = m->graph;
    const bool activations =
        strcmp(g->node[0]->op_type, "Concat") == 0 || strcmp(g->node[0]->op_type, "Sum") == 0;
    char path[1100];
    snprintf(path, sizeof path, "%s/input_0.pb", directory);
    struct tensor *x = load_tensor(path);
    assert_non_null(x);
    g->initializer = realloc(g->initializer, (g->n_initializer + g->n_input) * sizeof *g->initializer);
    for (size_t i = 1; i < g->n_input; ++i) {
        snprintf(path, sizeof path, "%s/input_%zu.pb", directory, i);
        Onnx__TensorProto *t = load_proto(path);
        assert_non_null(t);
        free(t->name);
        t->name = text(g->input[i]->name, activations ? "_less_first" : "");
        g->initializer[g->n_initializer++] = t;
        if (activations)
            derive(g, t, g->input[i]->name, x);
        onnx__value_info_proto__free_unpacked(g->input[i], NULL);
    }
    g->n_input = 1;
    g->input[0]->type->tensor_type->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    for (size_t i = 0; i < m->n_opset_import; ++i) /* the oldest, unchanged till 7 */
        if (m->opset_import[i]->version < 7)
            m->opset_import[i]->version = 7;
    tensor_free(x);
}

static void compare(const char *name, const char *directory, const float *y, int64_t count)
{
    char path[1100];
    int64_t where;
    snprintf(path, sizeof path, "%s/output_0.pb", directory);
    struct tensor *expected = load_tensor(path);
    assert_non_null(expected);
    if (count != shape_count(&expected->shape))
        fail_msg("%s: %d elements, not %d", name, (int)count, (int)shape_count(&expected->shape));
    if (worst(y, expected, RELATIVE, &where) > ABSOLUTE)
        fail_msg("%s: element %d is %.9g, not %.9g", name, (int)where, (double)y[where],
                 tensor_number(expected, where));
    tensor_free(expected);
}

static enum outcome run_as(const char *name, const char *directory, const uint8_t *file, size_t length,
                           bool batched)
{
    const struct onnx_options options = { .batch = batched ? ONNX_BATCH_ANY : ONNX_BATCH_NONE };
    struct graph *g;
    struct err e = { 0 };
    char path[1100];
    const int bad = onnx_import_with(file, length, &options, &g, &e);
    if (bad) {
        if (!batched)
            print_message("without batch: %s: %s %s\n", name, err_name(bad), e.text);
        assert_true(bad == ERR_UNSUPPORTED || bad == ERR_INVALID);
        return REFUSED;
    }
    snprintf(path, sizeof path, "%s/input_0.pb", directory);
    struct tensor *x = load_tensor(path);
    assert_non_null(x);
    float *y = NULL;
    const int64_t count = run_graph(g, x, batched ? (int)x->shape.dim[0] : 1, &y, &e);
    if (count < 0)
        fail_msg("%s: %s", name, e.text);
    compare(name, directory, y, count);
    free(y);
    tensor_free(x);
    graph_free(g);
    return RIGHT;
}

static enum outcome run(const char *name, const char *directory)
{
    Onnx__ModelProto *m = load_model(directory);
    bind_inputs(m, directory);
    const size_t length = onnx__model_proto__get_packed_size(m);
    uint8_t *file = malloc(length);
    assert_non_null(file);
    onnx__model_proto__pack(m, file);
    const enum outcome whole = run_as(name, directory, file, length, false);
    const enum outcome batched = run_as(name, directory, file, length, true);
    free(file);
    onnx__model_proto__free_unpacked(m, NULL);
    return whole < batched ? whole : batched;
}

static void operator_tests(void **state)
{
    (void)state;
    char root[512], directory[1024];
    if (!data_path(root, sizeof root, "onnx/ops"))
        skip();
    DIR *all = opendir(root);
    assert_non_null(all);
    int counts[OUTCOMES] = { 0 };
    for (struct dirent *entry; (entry = readdir(all));) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(directory, sizeof directory, "%s/%s", root, entry->d_name);
        const enum outcome o = run(entry->d_name, directory);
        ++counts[o];
        if (o != RIGHT)
            print_message("refused: %s\n", entry->d_name);
    }
    closedir(all);
    print_message("operator tests: %d right, %d refused\n", counts[RIGHT], counts[REFUSED]);
    assert_int_equal(counts[RIGHT], TESTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(operator_tests) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
