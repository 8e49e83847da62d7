/* The order of samples, what is held out, augmentation. */
#include "tests/unit/toy.h"

#include "worker/kernels/kernels.h"
#include "worker/train/stream.h"

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

/* Where choices are made, another tenth of what is left to train with goes; with or without a test split. */
static void test_a_tenth_of_the_training_part_is_held_out_for_choices(void **state)
{
    (void)state;

    for (int both = 0; both < 2; both++) {
        struct dataset *d = toy_dataset(both);
        struct loader *rest, *held_out, *test, *train;
        int seen[TRAIN] = { 0 };
        assert_int_equal(loader_new(d, LOADER_REST, true, false, 9, &rest, NULL), 0);
        assert_int_equal(loader_new(d, LOADER_HELD_OUT, true, false, 9, &held_out, NULL), 0);
        assert_int_equal(loader_new(d, LOADER_TEST, true, false, 9, &test, NULL), 0);
        assert_int_equal(loader_new(d, LOADER_TRAIN, true, false, 9, &train, NULL), 0);
        assert_int_equal(held_out->feed.count, train->feed.count / 10);
        assert_int_equal(held_out->feed.count + rest->feed.count, train->feed.count);
        for (int i = 0; i < rest->feed.count; i++)
            seen[rest->order[i]]++;
        for (int i = 0; i < held_out->feed.count; i++)
            seen[held_out->order[i]]++;
        for (int i = 0; i < test->feed.count && !both; i++)
            seen[test->order[i]]++;
        for (int i = 0; i < TRAIN; i++)
            assert_int_equal(seen[i], 1);
        loader_free(rest);
        loader_free(held_out);
        loader_free(test);
        loader_free(train);
        dataset_free(d);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loader_sees_every_sample_once_an_epoch),
        cmocka_unit_test(test_a_tenth_is_held_out_where_there_is_no_test_split),
        cmocka_unit_test(test_a_tenth_of_the_training_part_is_held_out_for_choices),
        cmocka_unit_test(test_shift_moves_the_image_and_fills_with_black),
        cmocka_unit_test(test_every_augmentation_is_a_function_of_seed_epoch_and_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
