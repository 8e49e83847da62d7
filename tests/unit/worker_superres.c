/* Super-resolution: tiles against whole images, patches, figures of images whose answer is known. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/data/patch.h"
#include "worker/train/reach.h"
#include "worker/train/superres.h"
#include "worker/train/tasks.h"
#include "worker/train/tiles.h"
#include "worker/train/trainer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* --- small networks --- */

static int weight(struct graph *g, const char *name, struct shape s)
{
    const int64_t count = shape_count(&s);
    float *init = mem_array((size_t)count, sizeof *init);
    struct rng r = rng_at(11, (uint64_t)g->values, 0);

    for (int64_t i = 0; i < count; i++)
        init[i] = (float)(0.4 * rng_normal(&r));
    const int v = graph_add_param(g, name, &s, true, init, NULL);
    free(init);
    return v;
}

static struct node *add(struct graph *g, const char *op, const char *name, int a, int b, int *out)
{
    struct err e = { 0 };
    const int input[] = { a, b };

    *out = graph_add_value(g, name, &e);
    const int n = graph_add_node(g, op, name, input, b < 0 ? 1 : 2, out, 1, &e);
    if (n < 0)
        fail_msg("%s: %s", op, e.text);
    return &g->node[n];
}

static int conv(struct graph *g, const char *name, int in, struct shape s, int dilation)
{
    const int64_t pad = (s.dim[2] - 1) / 2 * dilation;
    char text[40];
    int out;

    snprintf(text, sizeof text, "%s.weight", name);
    struct node *n = add(g, "Conv", name, in, weight(g, text, s), &out);
    node_set_ints(n, "pads", (int64_t[]){ pad, pad, pad, pad }, 4);
    node_set_ints(n, "dilations", (int64_t[]){ dilation, dilation }, 2);
    return out;
}

static struct graph *finish(struct graph *g, int out)
{
    struct err e = { 0 };

    g->output[g->outputs++] = out;
    if (graph_finish(g, &e))
        fail_msg("%s at %s", e.text, e.place);
    return g;
}

/* 3x3 - relu - 3x3 of dilation 2 - 5x5 + input: reaches 1 + 2 + 2 pixels */
static struct graph *same_size(void)
{
    struct graph *g = graph_new("same");
    int x = graph_add_input(g, "x", &(struct shape){ 3, { 1, 12, 12 } }, NULL), a, b;

    a = conv(g, "c1", x, (struct shape){ 4, { 4, 1, 3, 3 } }, 1);
    add(g, "Relu", "r1", a, -1, &b);
    a = conv(g, "c2", b, (struct shape){ 4, { 4, 4, 3, 3 } }, 2);
    b = conv(g, "c3", a, (struct shape){ 4, { 1, 4, 5, 5 } }, 1);
    add(g, "Add", "sum", b, x, &a);
    return finish(g, a);
}

/* 3x3 - three times larger - 3x3: reaches 1 + a third of a pixel */
static struct graph *larger(void)
{
    struct graph *g = graph_new("larger");
    int x = graph_add_input(g, "x", &(struct shape){ 3, { 1, 8, 8 } }, NULL), a, b;

    a = conv(g, "c1", x, (struct shape){ 4, { 9, 1, 3, 3 } }, 1);
    struct node *n = add(g, "DepthToSpace", "d", a, -1, &b);
    node_set_int(n, "blocksize", 3);
    return finish(g, conv(g, "c2", b, (struct shape){ 4, { 1, 1, 3, 3 } }, 1));
}

/* down by two and up again: pieces must begin at even pixels */
static struct graph *down_and_up(void)
{
    struct graph *g = graph_new("hourglass");
    int x = graph_add_input(g, "x", &(struct shape){ 3, { 1, 8, 8 } }, NULL), a, b;
    struct node *n;

    a = conv(g, "c1", x, (struct shape){ 4, { 4, 1, 3, 3 } }, 1);
    n = add(g, "MaxPool", "p", a, -1, &b);
    node_set_ints(n, "kernel_shape", (int64_t[]){ 2, 2 }, 2);
    node_set_ints(n, "strides", (int64_t[]){ 2, 2 }, 2);
    a = conv(g, "c2", b, (struct shape){ 4, { 4, 4, 3, 3 } }, 1);
    n = add(g, "DepthToSpace", "d", a, -1, &b);
    node_set_int(n, "blocksize", 2);
    return finish(g, b);
}

/* every pixel depends on all */
static struct graph *global(void)
{
    struct graph *g = graph_new("global");
    int x = graph_add_input(g, "x", &(struct shape){ 3, { 1, 8, 8 } }, NULL), a, b;

    add(g, "GlobalAveragePool", "p", x, -1, &a);
    add(g, "Mul", "m", x, a, &b);
    return finish(g, b);
}

static void test_reach(void **state)
{
    static const struct {
        struct graph *(*make)(void);
        bool known;
        int halo, scale, step;
    } cases[] = {
        { same_size, true, 5, 1, 1 },
        { larger, true, 2, 3, 1 },
        { down_and_up, true, 4, 1, 2 },
        { global, false, 0, 0, 0 },
    };
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct graph *g = cases[i].make();
        struct reach r = { 0 };
        assert_int_equal(reach_of(g, &r), cases[i].known);
        if (cases[i].known &&
            (r.halo != cases[i].halo || r.scale != cases[i].scale || r.step != cases[i].step))
            fail_msg("%s: halo %d scale %d step %d", g->name, r.halo, r.scale, r.step);
        graph_free(g);
    }
}

static real *noise(size_t count)
{
    real *x = mem_array(count, sizeof *x);
    struct rng r = rng_at(1, 2, 0);

    for (size_t i = 0; i < count; i++)
        x[i] = (real)rng_uniform(&r);
    return x;
}

/* One size of picture by one graph, cut and whole. */
static void compare(const struct graph *g, struct pool *p, int height, int width, size_t limit)
{
    const struct tiles_options cut = { .pool = p, .limit = limit }, all = { .pool = p, .whole = true };
    struct tiles *pieces, *whole;
    struct err e = { 0 };

    assert_int_equal(tiles_new(g, &cut, &pieces, &e), 0);
    assert_int_equal(tiles_new(g, &all, &whole, &e), 0);
    const size_t scale = (size_t)tiles_scale(pieces), count = (size_t)height * width;
    real *x = noise(count), *a = noise(count * scale * scale),
         *b = mem_array(count * scale * scale, sizeof *b);
    if (tiles_run(pieces, height, width, x, a, &e) || tiles_run(whole, height, width, x, b, &e))
        fail_msg("%s", e.text);
    for (size_t i = 0; i < count * scale * scale; i++)
        if (!(real_fabs(a[i] - b[i]) <= (real)1e-5))
            fail_msg("%s %dx%d: pixel %zu is %g instead of %g", g->name, width, height, i, (double)a[i],
                     (double)b[i]);
    free(x);
    free(a);
    free(b);
    tiles_free(pieces);
    tiles_free(whole);
}

static void test_tiles_give_what_the_whole_gives(void **state)
{
    static const int sizes[][2] = { { 90, 70 }, { 64, 64 }, { 12, 100 }, { 6, 4 } };
    struct graph *(*const make[])(void) = { same_size, larger, down_and_up, global };
    (void)state;

    for (int threads = 1; threads <= 3; threads += 2) {
        struct pool *p = pool_new(threads);
        for (int i = 0; i < 4; i++) {
            struct graph *g = make[i]();
            for (int k = 0; k < 4; k++)
                compare(g, p, sizes[k][0], sizes[k][1], 0);
            graph_free(g);
        }
        pool_free(p);
    }
}

static void test_a_limit_makes_more_and_smaller_tiles(void **state)
{
    struct graph *g = same_size();
    struct pool *p = pool_new(1);
    struct tiles_options o = { .pool = p };
    struct tiles_cut free_cut, tight_cut;
    struct tiles *t;
    size_t bytes, tight;
    struct err e = { 0 };
    (void)state;

    assert_int_equal(tiles_new(g, &o, &t, &e), 0);
    assert_int_equal(tiles_cut(t, 200, 200, &free_cut, &e), 0);
    assert_true(free_cut.rows * free_cut.columns > 4);
    assert_int_equal(tiles_bytes(t, 200, 200, &bytes, &e), 0);
    tiles_free(t);
    o.limit = bytes / 2;
    assert_int_equal(tiles_new(g, &o, &t, &e), 0);
    assert_int_equal(tiles_cut(t, 200, 200, &tight_cut, &e), 0);
    assert_int_equal(tiles_bytes(t, 200, 200, &tight, &e), 0);
    assert_true(tight <= bytes / 2 && tight_cut.rows * tight_cut.columns > free_cut.rows * free_cut.columns);
    tiles_free(t);
    compare(g, p, 200, 200, bytes / 2);
    o.limit = 1000;
    assert_int_equal(tiles_new(g, &o, &t, &e), 0);
    assert_int_equal(tiles_cut(t, 200, 200, &tight_cut, &e), ERR_MEMORY);
    tiles_free(t);
    pool_free(p);
    graph_free(g);
}

static void test_a_graph_takes_another_size_or_stays_as_it_was(void **state)
{
    struct graph *g = down_and_up();
    const int input = g->input, output = g->output[0];
    struct err e = { 0 };
    (void)state;

    assert_int_equal(graph_set_input(g, &(struct shape){ 3, { 1, 20, 30 } }, &e), 0);
    assert_int_equal(g->value[g->output[0]].shape.dim[1], 20);
    assert_int_equal(g->value[g->output[0]].shape.dim[2], 30);
    assert_int_equal(graph_set_input(g, &(struct shape){ 3, { 2, 20, 30 } }, &e), ERR_INVALID);
    assert_non_null(strstr(e.place, "c1"));
    assert_int_equal(g->value[g->output[0]].shape.dim[2], 30);
    assert_true(g->finished && g->input == input && g->output[0] == output);
    graph_free(g);
}

/* --- images --- */

enum { IMAGES = 12 };

static struct imageset *smooth_set(void)
{
    struct imageset *set = mem_alloc(sizeof *set);
    struct imageset_split *s = &set->split[SPLIT_TEST];

    s->count = IMAGES;
    s->item = mem_array(IMAGES, sizeof *s->item);
    s->pixel = mem_array(IMAGES, 64 * 64);
    for (int i = 0; i < IMAGES; i++) {
        s->item[i].name = mem_printf("%d.png", i);
        s->item[i].at = (size_t)i * 64 * 64;
        s->item[i].image = (struct image){ 40 + 2 * i, 37 + i, 1, s->pixel + s->item[i].at };
        for (int k = 0; k < (40 + 2 * i) * (37 + i); k++) {
            const int x = k % (40 + 2 * i), y = k / (40 + 2 * i);
            s->item[i].image.pixel[k] = (uint8_t)(128 + 60 * sin(0.3 * x + i) + 50 * cos(0.23 * y));
        }
    }
    return set;
}

static struct superres toy_task(struct imageset *set, struct pool *p, int scale)
{
    return (struct superres){ .job = { .memory = (size_t)64 << 20, .pool = p },
                              .scale = scale,
                              .enlarged = true,
                              .set = set,
                              .test = set->split[SPLIT_TEST] };
}

static void test_patches_are_a_function_of_seed_epoch_and_index(void **state)
{
    enum { SIZE = 12, BLOCKS = 2 };
    struct imageset *set = smooth_set();
    const size_t count = BLOCKS * SIZE * SIZE * LANES;
    real *x[4], *t[4];
    struct feed *f;
    (void)state;

    for (int i = 0; i < 4; i++) {
        const struct superres_patches k = { .set = &set->split[SPLIT_TEST],
                                            .size = SIZE,
                                            .scale = 2,
                                            .channels = 1,
                                            .enlarged = true,
                                            .turn = true,
                                            .seed = i == 3 ? 5 : 4,
                                            .threads = 1 + i };
        struct pool *p = pool_new(1 + i);
        x[i] = mem_aligned(64, count * sizeof(real));
        t[i] = mem_aligned(64, count * sizeof(real));
        assert_int_equal(superres_feed(&k, &f, NULL), 0);
        assert_true(f->count > 100 && f->count < 300);
        f->type->shuffle(f, i == 2 ? 8 : 7);
        f->augment = true;
        f->type->fill(f, p, 30, LANES + 3, BLOCKS, x[i], &(struct target){ .value = t[i] });
        for (int lane = 3; lane < LANES; lane++)
            assert_true(x[i][SIZE * SIZE * LANES + lane] == 0);
        f->type->free(f);
        pool_free(p);
    }
    assert_memory_equal(x[0], x[1], count * sizeof(real));
    assert_memory_equal(t[0], t[1], count * sizeof(real));
    assert_memory_not_equal(x[0], x[2], count * sizeof(real));
    assert_memory_not_equal(x[0], x[3], count * sizeof(real));
    for (int i = 0; i < 4; i++) {
        free(x[i]);
        free(t[i]);
    }
    imageset_free(set);
}

/* A network that does nothing scores what bicubic scores. */
static void test_doing_nothing_is_bicubic(void **state)
{
    struct imageset *set = smooth_set();
    struct pool *p = pool_new(2);
    struct err e = { 0 };
    (void)state;

    for (int scale = 2; scale <= 4; scale++) {
        struct superres task = toy_task(set, p, scale);
        struct graph *g = graph_new("nothing");
        struct task_score score;
        int x = graph_add_input(g, "x", &(struct shape){ 3, { 1, 8, 8 } }, NULL), y;
        add(g, "LeakyRelu", "y", x, -1, &y);
        finish(g, y);
        if (superres_score(&task, &(struct task_subject){ .graph = g }, true, &score, &e))
            fail_msg("%s at %s", e.text, e.place);
        assert_int_equal(score.samples, IMAGES);
        const double bicubic = json_number_value(json_object_get(score.detail, "bicubic_psnr_db"));
        assert_true(bicubic > 25 && fabs(score.value - bicubic) < 1e-4);
        assert_int_equal(json_array_size(json_object_get(score.detail, "images")), IMAGES);
        const double ssim = json_number_value(json_object_get(score.detail, "ssim"));
        assert_true(ssim > 0.9 && ssim < 1);
        assert_non_null(strstr(json_string_value(json_object_get(score.detail, "protocol")), "shaved"));
        json_decref(score.detail);
        graph_free(g);
    }
    pool_free(p);
    imageset_free(set);
}

/* --- a short training: the loss falls, and the image gets better than bicubic --- */

static double last_loss, first_loss;

static void on_metric(void *arg, const char *series, int64_t step, double value)
{
    (void)arg;
    (void)step;
    if (strcmp(series, "loss") != 0)
        return;
    first_loss = first_loss > 0 ? first_loss : value;
    last_loss = value;
}

static int on_save(void *arg, struct err *e)
{
    (void)arg;
    (void)e;
    return 0;
}

static int on_judge(void *arg, int64_t step, double train_share, struct err *e)
{
    (void)arg;
    (void)step;
    (void)train_share;
    (void)e;
    return 0;
}

static void train(const struct loss *loss, struct superres *task, struct graph *g, struct pool *p)
{
    struct control control = { 0 };
    struct err e = { 0 };
    struct trainer t = { .settings = { 4,
                                       16,
                                       0.003,
                                       0.9,
                                       0,
                                       optimizer_find("adam"),
                                       schedule_find("cosine"),
                                       loss,
                                       0,
                                       { 0, 1 },
                                       1 },
                         .graph = g,
                         .pool = p,
                         .feed = task->feed,
                         .control = &control,
                         .sink = { NULL, on_metric, on_save, on_judge } };

    assert_int_equal(net_new(g, &(struct net_options){ .batch = 16, .train = true, .pool = p }, &t.net, &e),
                     0);
    assert_int_equal(trainer_init(&t, &e), 0);
    if (trainer_run(&t, &e))
        fail_msg("%s", e.text);
    trainer_deinit(&t);
    net_free(t.net);
}

static void test_training_lowers_every_loss(void **state)
{
    struct imageset *set = smooth_set();
    struct pool *p = pool_new(2);
    (void)state;

    for (const struct loss *const *l = task_superres.losses; *l; l++) {
        struct superres task = toy_task(set, p, 3);
        const struct superres_patches k = { .set = &task.test,
                                            .size = 12,
                                            .scale = 3,
                                            .channels = 1,
                                            .enlarged = true,
                                            .count = 320,
                                            .seed = 1,
                                            .threads = 2 };
        struct graph *g = same_size();
        first_loss = 0;
        assert_int_equal(superres_feed(&k, &task.feed, NULL), 0);
        train(*l, &task, g, p);
        if (!(last_loss < 0.3 * first_loss))
            fail_msg("%s: %g after %g", (*l)->name, last_loss, first_loss);
        task.feed->type->free(task.feed);
        graph_free(g);
    }
    pool_free(p);
    imageset_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reach),
        cmocka_unit_test(test_tiles_give_what_the_whole_gives),
        cmocka_unit_test(test_a_limit_makes_more_and_smaller_tiles),
        cmocka_unit_test(test_a_graph_takes_another_size_or_stays_as_it_was),
        cmocka_unit_test(test_patches_are_a_function_of_seed_epoch_and_index),
        cmocka_unit_test(test_doing_nothing_is_bicubic),
        cmocka_unit_test(test_training_lowers_every_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
