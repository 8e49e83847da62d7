/* The pool runs every item exactly once, in contiguous parts, for any number of threads and items. */
#include "worker/graph/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { MOST = 1000 };

struct count {
    atomic_int seen[MOST];
    atomic_int calls, threads_out_of_range, threads;
};

static void count_items(void *arg, int lo, int hi, int thread)
{
    struct count *c = arg;
    atomic_fetch_add(&c->calls, 1);
    if (thread < 0 || thread >= c->threads)
        atomic_fetch_add(&c->threads_out_of_range, 1);
    for (int i = lo; i < hi; i++)
        atomic_fetch_add(&c->seen[i], 1);
}

static void every_item_once(void **state)
{
    static const int items[] = { 0, 1, 2, 3, 7, 16, 999, MOST };
    (void)state;
    for (int threads = 1; threads <= 5; threads++) {
        struct pool *p = pool_new(threads);
        assert_non_null(p);
        assert_int_equal(pool_threads(p), threads);
        for (size_t k = 0; k < sizeof items / sizeof *items; k++) {
            struct count c = { .threads = threads };
            pool_run(p, count_items, &c, items[k]);
            for (int i = 0; i < MOST; i++)
                assert_int_equal(c.seen[i], i < items[k]);
            assert_true(c.calls <= 4 * threads && c.threads_out_of_range == 0);
        }
        pool_free(p);
    }
}

static void add_one(void *arg, int lo, int hi, int thread)
{
    int *list = arg;
    (void)thread;
    for (int i = lo; i < hi; i++)
        list[i]++;
}

/* What one run wrote, the next sees: also when the members have gone to sleep between. */
static void runs_follow_each_other(void **state)
{
    int list[64] = { 0 };
    struct pool *p = pool_new(3);
    (void)state;
    for (int run = 0; run < 2000; run++) {
        if (run % 500 == 0)
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
        pool_run(p, add_one, list, 64);
    }
    for (int i = 0; i < 64; i++)
        assert_int_equal(list[i], 2000);
    pool_free(p);
}

/* A member that keeps the others waiting: the runs after it are cut finer, and every item still runs once. */
static void dawdle(void *arg, int lo, int hi, int thread)
{
    count_items(arg, lo, hi, thread);
    nanosleep(&(struct timespec){ .tv_nsec = thread ? 4000000 : 1000000 }, NULL);
}

static void after_a_late_member_parts_are_finer(void **state)
{
    static const int items[] = { 2, 3, 5, 64 };
    struct pool *p = pool_new(2);
    struct count c = { .threads = 2 };
    int most = 0;
    (void)state;
    assert_non_null(p);
    /* the caller may take all of a run before the member is awake: until that came late once */
    for (int run = 0; run < 1000 && most <= 2; run++) {
        memset(&c, 0, sizeof c);
        c.threads = 2;
        pool_run(p, dawdle, &c, 64);
        most = c.calls > most ? c.calls : most;
    }
    assert_int_equal(most, 8);
    for (int run = 0; run < 400; run++) {
        const int n = items[run % 4];
        memset(&c, 0, sizeof c);
        c.threads = 2;
        pool_run(p, count_items, &c, n);
        for (int i = 0; i < 70; i++)
            assert_int_equal(c.seen[i], i < n);
    }
    pool_free(p);
}

static void nonsense(void **state)
{
    (void)state;
    assert_null(pool_new(0));
    pool_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_once),
        cmocka_unit_test(runs_follow_each_other),
        cmocka_unit_test(after_a_late_member_parts_are_finer),
        cmocka_unit_test(nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
