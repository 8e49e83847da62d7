/* The scheduler against a real queue: who starts, who waits, and what the one who waits is told. */
#include "tests/unit/store.h"

#include "base/clock.h"
#include "server/scheduler.h"

struct bench {
    struct store *store;
    uv_loop_t loop;
    struct scheduler *scheduler;
    int used;
    int64_t started[16];
    int count;
};

static int used(void *arg)
{
    return ((struct bench *)arg)->used;
}

static void start(void *arg, int64_t id)
{
    struct bench *b = arg;
    struct job j;
    assert_ok(b->store, job_get(b->store->db, id, &j, &b->store->e));
    assert_int_equal(j.state, JOB_STARTING);
    b->used += j.cpus;
    b->started[b->count++] = id;
    job_free(&j);
}

static void changed(void *arg)
{
    (void)arg;
}

static void bench_open(struct bench *b, struct store *s, int slots)
{
    memset(b, 0, sizeof *b);
    b->store = s;
    uv_loop_init(&b->loop);
    struct scheduling with = { &b->loop, s->db, slots, used, start, changed, b };
    b->scheduler = scheduler_new(&with);
    assert_non_null(b->scheduler);
}

static void bench_close(struct bench *b)
{
    scheduler_close(b->scheduler);
    uv_run(&b->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&b->loop), 0);
}

static void expect_reason(struct bench *b, int64_t id, const char *reason)
{
    struct job j;
    assert_ok(b->store, job_get(b->store->db, id, &j, &b->store->e));
    assert_string_equal(j.reason, reason);
    job_free(&j);
}

static void fills_the_slots_by_priority(void **state)
{
    struct bench b;
    bench_open(&b, *state, 3);
    int64_t low = store_add(b.store, 0, 1), high = store_add(b.store, 5, 1), big = store_add(b.store, 1, 2);
    scheduler_run(b.scheduler);
    assert_int_equal(b.count, 2);
    assert_int_equal(b.started[0], high);
    assert_int_equal(b.started[1], big);
    expect_reason(&b, low, "first in the queue, waits for 1 free cpu: 0 of 3 are free");
    b.used -= 1;
    scheduler_run(b.scheduler);
    assert_int_equal(b.started[2], low);
    expect_reason(&b, low, "");
    bench_close(&b);
}

static void smaller_ones_overtake(void **state)
{
    struct bench b;
    bench_open(&b, *state, 4);
    b.used = 3;
    int64_t big = store_add(b.store, 5, 4), small = store_add(b.store, 0, 1);
    scheduler_run(b.scheduler);
    assert_int_equal(b.count, 1);
    assert_int_equal(b.started[0], small);
    expect_reason(&b, big, "first in the queue, waits for 4 free cpus: 0 of 4 are free");
    b.used = 0;
    scheduler_run(b.scheduler);
    assert_int_equal(b.started[1], big);
    bench_close(&b);
}

static void too_big_for_ever(void **state)
{
    struct bench b;
    bench_open(&b, *state, 2);
    int64_t big = store_add(b.store, 0, 3), small = store_add(b.store, 0, 1);
    scheduler_run(b.scheduler);
    assert_int_equal(b.started[0], small);
    expect_reason(&b, big, "needs 3 cpus, this server gives 2 to jobs");
    bench_close(&b);
}

static void a_due_job_wakes_it(void **state)
{
    struct bench b;
    struct job_new n = store_job;
    struct job j;
    bool existed;
    bench_open(&b, *state, 1);
    n.not_before_ms = clock_wall_ms() + 100;
    assert_ok(b.store, job_add(b.store->db, &n, NULL, NULL, &j, &existed, &b.store->e));
    assert_int_equal(j.state, JOB_SCHEDULED);
    scheduler_kick(b.scheduler);
    uv_run(&b.loop, UV_RUN_DEFAULT); /* nothing but its own timer is on the loop */
    assert_int_equal(b.count, 1);
    assert_int_equal(b.started[0], j.id);
    assert_true(clock_wall_ms() >= n.not_before_ms);
    job_free(&j);
    bench_close(&b);
}

static void sleeps_when_there_is_nothing(void **state)
{
    struct bench b;
    bench_open(&b, *state, 1);
    scheduler_kick(b.scheduler);
    assert_int_equal(uv_run(&b.loop, UV_RUN_DEFAULT), 0); /* returns: no timer is left */
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(fills_the_slots_by_priority),
        IN_STORE(smaller_ones_overtake),
        IN_STORE(too_big_for_ever),
        IN_STORE(a_due_job_wakes_it),
        IN_STORE(sleeps_when_there_is_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
