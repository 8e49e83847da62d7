#include "worker/graph/pool.h"

#include "base/clock.h"
#include "base/mem.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Longer than the gap between two stages of a step, shorter than a neighbour would notice. */
#define SPIN_NS 20000

/* Waiting that long is no uneven partition: somebody else has the core of one of the threads. For a while
 * work is then cut finer, so that the others find more that has not been begun; always, it would cost some
 * percent.
 */
#define LATE_NS   500000
#define LATE_RUNS 256
#define LATE_CUT  4 /* parts per thread then */

/* A word that one side changes and the other waits for. */
struct signal {
    _Alignas(64) _Atomic uint32_t word;
    _Atomic uint32_t sleepers;
};

/* One part of the partition. */
struct part {
    _Alignas(64) _Atomic uint32_t taken; /* the last run in which somebody took this part */
};

struct member {
    struct pool *pool;
    pthread_t thread;
    int index;
};

struct pool {
    struct signal start; /* counts the runs */
    struct signal rest;  /* parts of this run that are not finished */
    pool_fn *fn;
    void *arg;
    int items, threads, late; /* late: runs that are still to be cut finer */
    _Atomic int parts;        /* of this run */
    _Atomic bool stop;
    struct part *part;     /* owned: LATE_CUT for each thread */
    struct member *member; /* owned; [0] is the caller and has no thread */
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Wait until the word is no longer `old`: spin, then sleep. Nanoseconds, 0 when they were few. Sequentially
 * consistent on both sides: either the sleeper is counted before the signaller looks, or futex sees the new
 * word and returns at once. */
static int64_t signal_wait(struct signal *s, uint32_t old)
{
    int64_t until = 0;
    for (int i = 1;; i++) {
        if (atomic_load(&s->word) != old)
            return 0;
        relax();
        if (i % 32)
            continue;
        int64_t now = clock_mono_ns();
        if (!until)
            until = now + SPIN_NS;
        if (now > until)
            break;
    }
    atomic_fetch_add(&s->sleepers, 1);
    while (atomic_load(&s->word) == old)
        syscall(SYS_futex, &s->word, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
    atomic_fetch_sub(&s->sleepers, 1);
    return clock_mono_ns() - until + SPIN_NS;
}

static void signal_wake(struct signal *s)
{
    if (atomic_load(&s->sleepers))
        syscall(SYS_futex, &s->word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void run_part(struct pool *p, int part, int parts, int thread)
{
    int lo = (int)((int64_t)p->items * part / parts);
    int hi = (int)((int64_t)p->items * (part + 1) / parts);
    p->fn(p->arg, lo, hi, thread);
    if (atomic_fetch_sub(&p->rest.word, 1) == 1)
        signal_wake(&p->rest);
}

/* Do one's own parts, then those that nobody has begun: a thread that a busy machine keeps waiting must not
 * keep the others waiting. All parts are marked in every run, so one whose mark is not that of the run before
 * has been taken, also for a thread that wakes up a few runs late. */
static void work(struct pool *p, uint32_t run, int thread)
{
    int parts = atomic_load(&p->parts), first = (int)((int64_t)parts * thread / p->threads);
    for (int i = 0; i < parts; i++) {
        int part = (first + i) % parts;
        uint32_t before = run - 1;
        if (atomic_compare_exchange_strong(&p->part[part].taken, &before, run))
            run_part(p, part, parts, thread);
    }
}

static void *member_main(void *arg)
{
    const struct member *m = arg;
    struct pool *p = m->pool;
    for (uint32_t run = 0;;) {
        signal_wait(&p->start, run);
        run = atomic_load(&p->start.word);
        if (atomic_load(&p->stop))
            return NULL;
        work(p, run, m->index);
    }
}

void pool_run(struct pool *p, pool_fn *fn, void *arg, int items)
{
    if (items <= 0)
        return;
    if (p->threads == 1 || items == 1) {
        fn(arg, 0, items, 0);
        return;
    }
    int parts = p->late > 0 ? LATE_CUT * p->threads : p->threads;
    parts = parts < items ? parts : items;
    p->late -= p->late > 0;
    p->fn = fn;
    p->arg = arg;
    p->items = items;
    uint32_t run = atomic_load(&p->start.word) + 1;
    for (int i = parts; i < LATE_CUT * p->threads; i++)
        atomic_store_explicit(&p->part[i].taken, run, memory_order_relaxed);
    atomic_store(&p->parts, parts);
    atomic_store(&p->rest.word, (uint32_t)parts);
    atomic_store(&p->start.word, run);
    signal_wake(&p->start);
    work(p, run, 0);
    int64_t waited = 0;
    for (uint32_t rest; (rest = atomic_load(&p->rest.word)) != 0;)
        waited += signal_wait(&p->rest, rest);
    if (waited > LATE_NS)
        p->late = LATE_RUNS;
}

struct pool *pool_new(int threads)
{
    struct pool *p = threads >= 1 ? mem_aligned(64, sizeof *p) : NULL;
    if (!p)
        return NULL;
    size_t bytes;
    p->part = size_mul((size_t)threads * LATE_CUT, sizeof *p->part, &bytes) ? mem_aligned(64, bytes) : NULL;
    p->member = mem_array((size_t)threads, sizeof *p->member);
    p->threads = 1;
    while (p->part && p->member && p->threads < threads) {
        struct member *m = &p->member[p->threads];
        m->pool = p;
        m->index = p->threads;
        if (pthread_create(&m->thread, NULL, member_main, m) != 0)
            break;
        p->threads++;
    }
    if (p->threads == threads && p->part && p->member)
        return p;
    pool_free(p);
    return NULL;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    atomic_fetch_add(&p->start.word, 1);
    signal_wake(&p->start);
    for (int i = 1; i < p->threads; i++)
        pthread_join(p->member[i].thread, NULL);
    free(p->part);
    free(p->member);
    free(p);
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}
