/* pool.h - a few threads that run one function over a range and meet again. Short spin, then futex: a busy
 * neighbour costs little. Whoever is done takes the parts that nobody has begun, and when one thread has kept
 * the others waiting the range is cut finer for a while. So the partition is contiguous and nothing else is
 * known of it: what must not depend on it is decided by the callee's fixed order of sums. */
#ifndef WORKER_GRAPH_POOL_H
#define WORKER_GRAPH_POOL_H

struct pool;

/* Called with [lo, hi) of the items; thread 0..threads-1 says who runs it (for scratch memory), not which
 * part. */
typedef void pool_fn(void *arg, int lo, int hi, int thread);

struct pool *pool_new(int threads); /* threads >= 1; the caller's thread is one of them; NULL on failure */
void pool_free(struct pool *p);
int pool_threads(const struct pool *p);
void pool_run(struct pool *p, pool_fn *fn, void *arg, int items); /* returns when all is done */

#endif
