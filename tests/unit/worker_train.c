/* Optimizers, schedules, the first step of an activation; trainings that are cut and go on. */
#include "tests/unit/toy.h"

#include "worker/calibrate/activations.h"
#include "worker/kernels/kernels.h"
#include "worker/train/checkpoint.h"
#include "worker/train/stream.h"

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
    struct hints *hints;
    char path[64];
    bool distil;
    enum precision precision;
    int epochs_judged;
    const struct method *method;
    bool per_channel, basis_learns;
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
    const struct quant_options options = { .method = method,
                                           .grid = grid_find("sym"),
                                           .per_channel = s->per_channel,
                                           .basis_learns = s->basis_learns };

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
    struct net_options o = { .batch = 32,
                             .train = true,
                             .hints = s->distil,
                             .seed = 9,
                             .precision = s->precision,
                             .codes = true,
                             .pool = s->pool };
    if (net_new(s->graph, &o, &s->net, &e))
        fail_msg("%s", e.text);
    assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &train, &e), 0);
    train->augmentation = augmentation_find("shift");
    if (s->distil) {
        s->wise = toy_graph();
        assert_int_equal(
            net_new(s->wise, &(struct net_options){ .batch = 32, .pool = s->pool }, &s->teacher, &e), 0);
        const struct hints_new how = { s->graph, s->wise, s->net, s->teacher, s->pool };
        assert_int_equal(hints_new(&how, &s->hints, &e), 0);
    }
    s->trainer = (struct trainer){
        .settings = { .epochs = 3,
                      .batch_size = 32,
                      .learning_rate = s->learning_rate ? s->learning_rate : 0.05,
                      .momentum = 0.9,
                      .weight_decay = 1e-4,
                      .optimizer = optimizer_find(optimizer),
                      .schedule = schedule_find("cosine"),
                      .loss = &loss_cross_entropy,
                      .distill = { s->distil ? 0.5 : 0, 4, s->distil ? 0.5 : 0 },
                      .lambda = 1.0,
                      .coefficient = -1,
                      .bins = { 5, 0.2, 0.1, false } },
        .graph = s->graph,
        .net = s->net,
        .pool = s->pool,
        .feed = &train->feed,
        .teacher = s->teacher,
        .hints = s->hints,
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
    hints_free(s->hints);
    s->hints = NULL;
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
        run_both_ways(d,
                      (struct session){ .distil = distil, .method = &method_lq_nets, .basis_learns = true },
                      (*o)->name);
    }
    dataset_free(d);
}

/* By what the first update multiplies learned steps: all of them, of weights and of activations, up or down.
 */
static void assert_steps_move(const char *optimizer, double rate, double by, double tolerance)
{
    struct dataset *d = toy_dataset(true);
    struct session s = { .path = "/tmp/quantd-train-XXXXXX", .method = &method_lsq, .learning_rate = rate };
    real before[8];

    close(mkstemp(s.path));
    unlink(s.path);
    assert_int_equal(session_run(&s, d, 1, 1, optimizer), ERR_AGAIN);
    const struct quant_activation *a = &s.quant->activation[1];
    const double activation = (double)s.graph->param[s.graph->value[a->step].offset] / 0.1;
    assert_true(fabs(fabs(activation - 1) - by) < tolerance);
    struct graph *fresh = toy_graph();
    for (int i = 0; i < s.quant->weights; i++) {
        const struct value *v = &fresh->value[s.quant->weight[i].value];
        method_fit(&s.quant->weight[i], fresh->param + v->offset, (size_t)shape_count(&v->shape), 1, before);
        const double ratio = (double)(s.quant->weight[i].scale[0] / before[0]);
        assert_true(fabs(fabs(ratio - 1) - by) < tolerance);
    }
    graph_free(fresh);
    session_end(&s);
    unlink(s.path);
    dataset_free(d);
}

/* At a rate that throws everything else away a learned step is three or five quarters of what it was. */
static void test_a_learned_step_moves_by_at_most_a_quarter(void **state)
{
    (void)state;
    assert_steps_move("sgd", 1e9, 0.25, 1e-5);
    assert_steps_move("adam", 1, 0.25, 1e-5);
}

/* Adam's first move is the rate, whatever the gradient: of a step it is four rates of its own size. */
static void test_adam_moves_steps_by_a_share_of_themselves(void **state)
{
    (void)state;
    assert_steps_move("adam", 1e-3, 4e-3, 1e-4);
    assert_steps_move("adam", 1e-2, 4e-2, 1e-3);
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
        cmocka_unit_test(test_schedules_and_optimizers_go_downhill),
        cmocka_unit_test(test_calibrated_step_of_a_half_normal),
        cmocka_unit_test(test_interrupted_training_ends_with_the_same_bits),
        cmocka_unit_test(test_a_learned_step_moves_by_at_most_a_quarter),
        cmocka_unit_test(test_adam_moves_steps_by_a_share_of_themselves),
        cmocka_unit_test(test_a_damaged_or_foreign_checkpoint_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
