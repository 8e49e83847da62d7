/* dropout.c - Dropout: in training each number is zero with probability `ratio`, else divided by 1 - ratio.
 * Which ones is a pure function of (job seed, tick, node, place), so backward draws the same mask again. */
#include "base/rng.h"
#include "worker/op/setup.h"

struct dropout {
    real scale;         /* 1 / (1 - ratio) */
    uint32_t threshold; /* a number below it drops */
};

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "ratio", "seed", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 3, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    double ratio = node_float(n, "ratio", 0.5);
    if (setup_has(n, 1))
        r = setup_scalar(g, n, 1, &ratio, e);
    if (r == 0 && !(ratio >= 0 && ratio < 1))
        r = err_set(e, ERR_INVALID, "'ratio' is %g; it must be in [0, 1)", ratio);
    struct dropout *d = r == 0 ? setup_state(n, sizeof *d, e) : NULL;
    if (!d)
        return r < 0 ? r : ERR_NOMEM;
    *d = (struct dropout){ (real)(1 / (1 - ratio)), (uint32_t)(ratio * 4294967296.0) };
    setup_output(g, n, x);
    return 0;
}

/* The factors of elements [at, at + 4). */
static void mask(const struct step *s, const struct node *n, uint64_t at, real factor[4])
{
    const struct dropout *d = n->state;
    uint32_t number[4], node = (uint32_t)(n - s->graph->node);
    uint32_t key[2] = { (uint32_t)s->seed, (uint32_t)(s->seed >> 32) ^ node };
    uint32_t counter[4] = { (uint32_t)(at / 4), (uint32_t)(at >> 34), (uint32_t)s->tick,
                            (uint32_t)(s->tick >> 32) };
    rng_philox(counter, key, number);
    for (int i = 0; i < 4; i++)
        factor[i] = number[i] < d->threshold ? 0 : d->scale;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    const real *x = s->x[n->input[0]];
    real *y = s->x[n->output[0]], factor[4];
    (void)thread;
    if (!s->training) {
        memcpy(y + lo * block, x + lo * block, (hi - lo) * block * sizeof *y);
        return;
    }
    for (size_t at = lo * block; at < hi * block; at += 4) {
        mask(s, n, at, factor);
        for (int i = 0; i < 4; i++)
            y[at + i] = x[at + i] * factor[i];
    }
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t block = setup_block(s->graph, n->input[0]);
    const real *dy = s->g[n->output[0]];
    real *dx = s->g[n->input[0]], factor[4] = { 1, 1, 1, 1 };
    (void)thread;
    if (!dx)
        return;
    for (size_t at = lo * block; at < hi * block; at += 4) {
        if (s->training)
            mask(s, n, at, factor);
        for (int i = 0; i < 4; i++)
            dx[at + i] += dy[at + i] * factor[i];
    }
}

const struct op op_dropout = {
    .name = "Dropout",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .forward = forward,
    .backward = backward,
};
