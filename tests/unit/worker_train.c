/* Loader, augmentation, optimizers, and training that is interrupted: the same bits for any interruption and
 * any threads. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/calibrate/activations.h"
#include "worker/kernels/kernels.h"
#include "worker/train/checkpoint.h"
#include "worker/train/loader.h"
#include "worker/train/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { SIDE = 8, CLASSES = 3, TRAIN = 300, TEST = 60 };

/* Three classes of 8x8 images: a bright row, column or diagonal on noise. */
static struct dataset *toy_dataset(bool with_test)
{
    struct dataset *d = mem_alloc(sizeof *d);

    assert_non_null(d);
    d->channels = 1;
    d->height = d->width = SIDE;
    d->classes = CLASSES;
    for (int c = 0; c < 4; c++)
        d->stddev[c] = 1;
    for (int s = 0; s < (with_test ? SPLITS : 1); s++) {
        struct split *split = &d->split[s];
        split->count = s == SPLIT_TRAIN ? TRAIN : TEST;
        split->pixel = mem_array((size_t)split->count, SIDE * SIDE);
        split->label = mem_array((size_t)split->count, sizeof *split->label);
        assert_true(split->pixel && split->label);
        for (int64_t i = 0; i < split->count; i++) {
            struct rng r = rng_at(3, (uint64_t)s, (uint64_t)i << 16);
            uint8_t *p = split->pixel + i * SIDE * SIDE;
            split->label[i] = (int32_t)rng_below(&r, CLASSES);
            int at = (int)rng_below(&r, SIDE);
            for (int k = 0; k < SIDE * SIDE; k++) {
                int y = k / SIDE, x = k % SIDE;
                bool lit = split->label[i] == 0 ? y == at : split->label[i] == 1 ? x == at : y == x;
                p[k] = (uint8_t)(rng_below(&r, 90) + (lit ? 150 : 0));
            }
        }
    }
    return d;
}

static int add_weight(struct graph *g, const char *name, struct shape s, uint64_t stream)
{
    int64_t count = shape_count(&s);
    float *init = mem_array((size_t)count, sizeof *init);
    struct rng r = rng_at(11, stream, 0);

    for (int64_t i = 0; i < count; i++)
        init[i] = (float)(0.3 * rng_normal(&r));
    int index = graph_add_param(g, name, &s, true, init, NULL);
    free(init);
    return index;
}

/* conv 4@3x3 - relu - flatten - fc 3 */
static struct graph *toy_graph(void)
{
    struct graph *g = graph_new("toy");
    struct err e = { 0 };
    int in = graph_add_input(g, "x", &(struct shape){ 3, { 1, SIDE, SIDE } }, &e);
    int w1 = add_weight(g, "conv.weight", (struct shape){ 4, { 4, 1, 3, 3 } }, 1);
    int w2 = add_weight(g, "fc.weight", (struct shape){ 2, { CLASSES, 4 * 36 } }, 2);
    int b2 = add_weight(g, "fc.bias", (struct shape){ 1, { CLASSES } }, 3);
    int a = graph_add_value(g, "a", &e), b = graph_add_value(g, "b", &e), c = graph_add_value(g, "c", &e),
        y = graph_add_value(g, "y", &e);

    graph_add_node(g, "Conv", "conv", (int[]){ in, w1 }, 2, &a, 1, &e);
    graph_add_node(g, "Relu", "relu", &a, 1, &b, 1, &e);
    graph_add_node(g, "Flatten", "flat", &b, 1, &c, 1, &e);
    int fc = graph_add_node(g, "Gemm", "fc", (int[]){ c, w2, b2 }, 3, &y, 1, &e);
    node_set_int(&g->node[fc], "transB", 1);
    g->output[g->outputs++] = y;
    if (graph_finish(g, &e))
        fail_msg("%s at %s", e.text, e.place);
    return g;
}

static void test_loader_sees_every_sample_once_an_epoch(void **state)
{
    struct dataset *d = toy_dataset(true);
    struct loader *l;
    int seen[TRAIN] = { 0 }, moved = 0;
    (void)state;

    assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &l, NULL), 0);
    assert_int_equal(l->feed.count, TRAIN);
    l->feed.type->shuffle(&l->feed, 4);
    for (int i = 0; i < TRAIN; i++) {
        seen[l->order[i]]++;
        moved += l->order[i] != (uint32_t)i;
    }
    for (int i = 0; i < TRAIN; i++)
        assert_int_equal(seen[i], 1);
    assert_true(moved > TRAIN / 2);
    uint32_t first = l->order[0], second = l->order[1];
    l->feed.type->shuffle(&l->feed, 5);
    assert_true(l->order[0] != first || l->order[1] != second);
    l->feed.type->shuffle(&l->feed, 4);
    assert_true(l->order[0] == first && l->order[1] == second);
    loader_free(l);
    dataset_free(d);
}

static void test_a_tenth_is_held_out_where_there_is_no_test_split(void **state)
{
    struct dataset *d = toy_dataset(false);
    struct loader *train, *test, *all;
    int seen[TRAIN] = { 0 };
    (void)state;

    assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &train, NULL), 0);
    assert_int_equal(loader_new(d, LOADER_TEST, true, false, 9, &test, NULL), 0);
    assert_int_equal(loader_new(d, LOADER_TEST, false, false, 9, &all, NULL), 0);
    assert_int_equal(test->feed.count, TRAIN / 10);
    assert_int_equal(all->feed.count, TRAIN);
    for (int i = 0; i < train->feed.count; i++)
        seen[train->order[i]]++;
    for (int i = 0; i < test->feed.count; i++)
        seen[test->order[i]]++;
    for (int i = 0; i < TRAIN; i++)
        assert_int_equal(seen[i], 1);
    loader_free(train);
    loader_free(test);
    loader_free(all);
    dataset_free(d);
}

static void fill_first(struct loader *l, struct pool *p, real *x)
{
    int32_t label[LANES];

    l->feed.type->fill(&l->feed, p, 0, LANES, 1, x, &(struct target){ .label = label });
}

static void test_shift_moves_the_image_and_fills_with_black(void **state)
{
    struct dataset *d = toy_dataset(true);
    struct loader *l;
    struct pool *p = pool_new(1);
    real *plain = mem_aligned(64, SIDE * SIDE * LANES * sizeof *plain),
         *moved = mem_aligned(64, SIDE * SIDE * LANES * sizeof *moved);
    int found = 0;
    (void)state;

    assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &l, NULL), 0);
    l->feed.type->shuffle(&l->feed, 0);
    fill_first(l, p, plain);
    l->feed.augment = true;
    l->augmentation = augmentation_find("shift");
    fill_first(l, p, moved);
    for (int lane = 0; lane < LANES; lane++) {
        /* the very numbers that jobs have been augmented with from the beginning */
        struct rng r = rng_at(9, (uint64_t)STREAM_AUGMENT << 32, 2 * (uint64_t)l->order[lane]);
        const int dy = (int)rng_below(&r, 5) - 2, dx = (int)rng_below(&r, 5) - 2;
        bool same = true;
        for (int k = 0; k < SIDE * SIDE && same; k++) {
            int y = k / SIDE - dy, x = k % SIDE - dx;
            bool inside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
            same = moved[k * LANES + lane] == (inside ? plain[(y * SIDE + x) * LANES + lane] : 0);
        }
        found += same;
    }
    assert_int_equal(found, LANES);
    free(plain);
    free(moved);
    loader_free(l);
    pool_free(p);
    dataset_free(d);
}

/* The same epoch gives the same samples, another one others, whoever fills them. */
static void test_every_augmentation_is_a_function_of_seed_epoch_and_sample(void **state)
{
    struct dataset *d = toy_dataset(true);
    const size_t bytes = 4 * SIDE * SIDE * LANES * sizeof(real);
    real *x[3] = { mem_aligned(64, bytes), mem_aligned(64, bytes), mem_aligned(64, bytes) };
    struct loader *l;
    int32_t label[4 * LANES];
    const struct target t = { .label = label };
    (void)state;

    assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &l, NULL), 0);
    for (const struct augmentation *const *a = augmentation_list; *a; a++) {
        l->augmentation = *a;
        l->feed.augment = true;
        for (int i = 0; i < 3; i++) {
            struct pool *p = pool_new(1 + i % 2);
            l->feed.type->shuffle(&l->feed, 3);
            l->feed.epoch += i == 2; /* the same order, other changes */
            l->feed.type->fill(&l->feed, p, 5, 3 * LANES + 2, 4, x[i], &t);
            pool_free(p);
        }
        assert_memory_equal(x[0], x[1], bytes);
        assert_int_equal((*a)->draw == NULL, memcmp(x[0], x[2], bytes) == 0);
        for (int lane = 2; lane < LANES; lane++)
            assert_true(x[0][3 * SIDE * SIDE * LANES + lane] == 0);
    }
    for (int i = 0; i < 3; i++)
        free(x[i]);
    loader_free(l);
    dataset_free(d);
}

static void test_schedules_and_optimizers_go_downhill(void **state)
{
    (void)state;

    for (const struct schedule *const *s = schedule_list; *s; s++) {
        assert_true((*s)->factor(0) == 1);
        assert_true((*s)->factor(1) <= 1);
    }
    assert_true(fabs(schedule_find("cosine")->factor(0.5) - 0.5) < 1e-12);
    for (const struct optimizer *const *o = optimizer_list; *o; o++) {
        real w = 3, v = 0, m = 0;
        real *const moment[2] = { &m, &v };
        for (int i = 1; i <= 2000; i++) {
            real g = 2 * (w - 1); /* (w - 1)^2 */
            (*o)->update(kernels_best()->update, &(struct optimizer_step){ (real)0.01, (real)0.9, 0, i }, &w,
                         &g, moment, 1);
        }
        assert_true(real_fabs(w - 1) < (real)1e-2);
    }
}

/* --- interrupted training
 * ----------------------------------------------------------------------------------- */
struct session {
    struct graph *graph;
    struct net *net;
    struct pool *pool;
    struct quant *quant;
    double learning_rate; /* 0: the usual one */
    struct prune *prune;
    struct rate *rate;
    const struct prune_rule *rule; /* NULL: nothing is pruned, and bits cost nothing */
    struct control control;
    struct trainer trainer;
    struct graph *wise; /* of the teacher, when there is one */
    struct net *teacher;
    char path[64];
    bool distil;
    enum precision precision;
    int epochs_judged;
    const struct method *method;
    bool per_channel;
    int stop_after; /* loss points until a stop is wished; 0: never */
    double last_error;
};

static const unsigned char spec_hash[HASH_BYTES] = "toy";

static void on_metric(void *arg, const char *series, int64_t step, double value)
{
    struct session *s = arg;
    (void)step;

    if (strcmp(series, "error_in_steps") == 0)
        s->last_error = value;
    if (strcmp(series, "loss") == 0 && s->stop_after > 0 && --s->stop_after == 0)
        atomic_store(&s->control.stop, true);
}

static int on_save(void *arg, struct err *e)
{
    struct session *s = arg;

    return checkpoint_save(s->path, spec_hash, &s->trainer, e);
}

static int on_judge(void *arg, int64_t step, double train_share, struct err *e)
{
    struct session *s = arg;
    (void)step;
    (void)e;

    s->epochs_judged++;
    assert_true(train_share > 0 && train_share <= 1);
    return 0;
}

/* Train for three epochs with so many threads; returns trainer_run's status. */
static int session_run(struct session *s, struct dataset *d, int threads, int stop_after,
                       const char *optimizer)
{
    struct loader *train;
    struct err e = { 0 };
    struct quant_layer_plan plan[2] = {
        { .weight_bits = 2,
          .activation = { .bits = 8, .low = 0, .high = 255, .step = (real)1 / 255, .fixed = true } },
        { .weight_bits = 1,
          .activation = { .bits = 4, .low = 0, .high = 15, .step = (real)0.1, .fixed = false } }
    };

    const struct method *method = s->method ? s->method : method_find("msqe");
    const struct quant_options options = { method, grid_find("sym"), s->per_channel };

    if (method->activation_basis)
        plan[1].activation.basis = true;
    memcpy(plan[1].activation.v, (const real[]){ (real)0.1, (real)0.2, (real)0.4, (real)0.8 },
           sizeof plan[1].activation.v);
    s->stop_after = stop_after;
    s->control = (struct control){ 0 };
    s->graph = toy_graph();
    s->pool = pool_new(threads);
    assert_int_equal(quant_new(s->graph, plan, 2, &options, &s->quant, &e), 0);
    quant_start(s->quant, s->graph);
    if (s->rule)
        assert_int_equal(prune_new(s->graph, s->rule, &s->prune, &e), 0);
    if (s->rule && !s->per_channel)
        assert_int_equal(
            rate_new(s->graph, s->quant, s->prune, &(struct rate_rule){ 1e-4, 0.3, 0.3 }, &s->rate, &e), 0);
    struct net_options o = {
        .batch = 32, .train = true, .seed = 9, .precision = s->precision, .pool = s->pool
    };
    if (net_new(s->graph, &o, &s->net, &e))
        fail_msg("%s", e.text);
    assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &train, &e), 0);
    train->augmentation = augmentation_find("shift");
    if (s->distil) {
        s->wise = toy_graph();
        assert_int_equal(
            net_new(s->wise, &(struct net_options){ .batch = 32, .pool = s->pool }, &s->teacher, &e), 0);
    }
    s->trainer = (struct trainer){
        .settings = { 3,
                      32,
                      s->learning_rate ? s->learning_rate : 0.05,
                      0.9,
                      1e-4,
                      optimizer_find(optimizer),
                      schedule_find("cosine"),
                      &loss_cross_entropy,
                      0,
                      { s->distil ? 0.5 : 0, 4 },
                      1.0,
                      { 0.2, 0.1, false } },
        .graph = s->graph,
        .net = s->net,
        .pool = s->pool,
        .feed = &train->feed,
        .teacher = s->teacher,
        .quant = s->quant,
        .method = method,
        .prune = s->prune,
        .rate = s->rate,
        .control = &s->control,
        .sink = { s, on_metric, on_save, on_judge },
    };
    assert_int_equal(trainer_init(&s->trainer, &e), 0);
    int status = checkpoint_load(s->path, spec_hash, &s->trainer, &e);
    assert_true(status == 0 || status == ERR_NOT_FOUND);
    status = trainer_run(&s->trainer, &e);
    loader_free(train);
    return status;
}

static void session_end(struct session *s)
{
    trainer_deinit(&s->trainer);
    net_free(s->net);
    net_free(s->teacher);
    graph_free(s->wise);
    s->teacher = NULL;
    s->wise = NULL;
    quant_free(s->quant);
    rate_free(s->rate);
    prune_free(s->prune);
    s->prune = NULL;
    graph_free(s->graph);
    pool_free(s->pool);
}

/* `whole` runs at once, `cut` is stopped again and again and has other numbers of threads each time. */
static void run_both_ways(struct dataset *d, struct session whole, const char *optimizer)
{
    struct session cut = whole;

    strcpy(whole.path, "/tmp/quantd-train-XXXXXX");
    strcpy(cut.path, whole.path);
    close(mkstemp(whole.path));
    close(mkstemp(cut.path));
    unlink(whole.path);
    unlink(cut.path);
    assert_int_equal(session_run(&whole, d, 1, 0, optimizer), 0);
    int stops = 0, status;
    while ((status = session_run(&cut, d, 1 + stops % 3, 7, optimizer)) == ERR_AGAIN) {
        session_end(&cut);
        stops++;
    }
    assert_int_equal(status, 0);
    assert_true(stops >= 3);
    assert_int_equal(whole.graph->param_count, cut.graph->param_count);
    assert_memory_equal(whole.graph->param, cut.graph->param, whole.graph->param_count * sizeof(real));
    assert_memory_equal(whole.quant->scale, cut.quant->scale, (size_t)whole.quant->scales * sizeof(real));
    assert_true(whole.quant->error == cut.quant->error);
    for (int i = 0; whole.rule && i < whole.prune->weights; i++)
        assert_memory_equal(whole.prune->weight[i].doomed, cut.prune->weight[i].doomed,
                            whole.prune->weight[i].count);
    session_end(&whole);
    session_end(&cut);
    unlink(whole.path);
    unlink(cut.path);
}

static void test_interrupted_training_ends_with_the_same_bits(void **state)
{
    struct dataset *d = toy_dataset(true);
    (void)state;

    for (const struct optimizer *const *o = optimizer_list; *o; o++) {
        const bool distil = o != optimizer_list; /* and once with a teacher, pruned, mixed */
        const struct prune_rule rule = { &pruner_partial_l2, 0.5, 1, PRUNE_NETWORK, PRUNE_SINGLE, 0 };
        for (const struct method *const *m = method_list; *m; m++)
            for (const char *const *name = (*m)->granularities; *name; name++)
                run_both_ways(d,
                              (struct session){ .distil = distil,
                                                .rule = distil ? &rule : NULL,
                                                .precision = distil ? PRECISION_MIXED : 0,
                                                .method = *m,
                                                .per_channel = strcmp(*name, "channel") == 0 },
                              (*o)->name);
    }
    dataset_free(d);
}

/* At a rate that throws everything else away a learned step is three or five quarters of what it was. */
static void test_a_learned_step_moves_by_at_most_a_quarter(void **state)
{
    struct dataset *d = toy_dataset(true);
    struct session s = { .path = "/tmp/quantd-train-XXXXXX", .method = &method_lsq, .learning_rate = 1e9 };
    real before[8];
    (void)state;

    close(mkstemp(s.path));
    unlink(s.path);
    assert_int_equal(session_run(&s, d, 1, 1, "sgd"), ERR_AGAIN);
    const struct quant_activation *a = &s.quant->activation[1];
    const real activation = s.graph->param[s.graph->value[a->step].offset];
    assert_true(fabs((double)activation - 0.075) < 1e-6 || fabs((double)activation - 0.125) < 1e-6);
    struct graph *fresh = toy_graph();
    for (int i = 0; i < s.quant->weights; i++) {
        const struct value *v = &fresh->value[s.quant->weight[i].value];
        lsq_start(&s.quant->weight[i], fresh->param + v->offset, (size_t)shape_count(&v->shape), 1, before);
        const double ratio = (double)(s.quant->weight[i].scale[0] / before[0]);
        assert_true(fabs(ratio - 0.75) < 1e-5 || fabs(ratio - 1.25) < 1e-5);
    }
    graph_free(fresh);
    session_end(&s);
    unlink(s.path);
    dataset_free(d);
}

static void test_a_damaged_or_foreign_checkpoint_is_refused(void **state)
{
    struct dataset *d = toy_dataset(true);
    struct session s = { .path = "/tmp/quantd-train-XXXXXX" };
    unsigned char other[HASH_BYTES] = "another";
    (void)state;

    close(mkstemp(s.path));
    unlink(s.path);
    assert_int_equal(session_run(&s, d, 1, 3, "sgd"), ERR_AGAIN);
    assert_int_equal(checkpoint_load(s.path, other, &s.trainer, NULL), ERR_CORRUPT);
    FILE *f = fopen(s.path, "r+");
    assert_non_null(f);
    fseek(f, 400, SEEK_SET);
    int byte = fgetc(f);
    fseek(f, 400, SEEK_SET);
    fputc(byte ^ 1, f);
    fclose(f);
    assert_int_equal(checkpoint_load(s.path, spec_hash, &s.trainer, NULL), ERR_CORRUPT);
    session_end(&s);
    unlink(s.path);
    dataset_free(d);
}

static void test_calibrated_step_of_a_half_normal(void **state)
{
    enum { COUNT = 100000 };
    real *x = mem_array(COUNT, sizeof *x);
    struct rng r = rng_at(2, 2, 0);
    (void)state;

    for (int i = 0; i < COUNT; i++) {
        double v = rng_normal(&r);
        x[i] = (real)(v > 0 ? v : 0);
    }
    /* MSE-optimal unsigned steps of relu(N(0,1)), computed independently */
    static const double known[][2] = { { 2, 0.6510 }, { 3, 0.3535 }, { 4, 0.1930 } };
    for (int i = 0; i < 3; i++) {
        double step = (double)method_activation(x, COUNT, 0, (1 << (int)known[i][0]) - 1);
        if (fabs(step / known[i][1] - 1) > 0.03)
            fail_msg("%g bit: %.4f instead of %.4f", known[i][0], step, known[i][1]);
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_sees_every_sample_once_an_epoch),
        cmocka_unit_test(test_a_tenth_is_held_out_where_there_is_no_test_split),
        cmocka_unit_test(test_shift_moves_the_image_and_fills_with_black),
        cmocka_unit_test(test_every_augmentation_is_a_function_of_seed_epoch_and_sample),
        cmocka_unit_test(test_schedules_and_optimizers_go_downhill),
        cmocka_unit_test(test_calibrated_step_of_a_half_normal),
        cmocka_unit_test(test_interrupted_training_ends_with_the_same_bits),
        cmocka_unit_test(test_a_learned_step_moves_by_at_most_a_quarter),
        cmocka_unit_test(test_a_damaged_or_foreign_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
