/* levels.c - activations on the levels of a basis (LQ-Nets, Zhang et al., arXiv 1807.10029): what a batch had
 * on each level, and the least squares over it; or the gradient in the basis. The nodes themselves are
 * op/levels.c.
 *
 * [RULE] The paper finds that QEM beats bases that learn by back-propagation (section 4.2). With the scale of
 * LSQ's gradient (arXiv 1902.08153, section 2.2) they are ahead of it at 2 bits: tests/reproduce/RESULTS.md.
 */
#include "worker/kernels/element.h"
#include "worker/kernels/kernels.h"
#include "worker/quant/basis.h"
#include "worker/quant/method.h"

const char *const quant_basis_rules[] = { "qem", "gradient", NULL };

struct look {
    const struct quant *q;
    const struct graph *g;
    struct net *net;
    const struct element *element;
    int samples;
};

static const real *numbers_of(const struct look *l, const struct quant_activation *a)
{
    return a->source == l->g->input ? net_input(l->net) : net_value(l->net, a->source);
}

/* One block's piece of a part; lanes that no sample has don't count. */
static void add_block(const struct look *l, const real *x, size_t count, const real *threshold, int levels,
                      int lanes_used, struct quant_tally *t)
{
    real number[QUANT_LEVELS][LANES] __attribute__((aligned(64))) = { 0 };
    real sum[QUANT_LEVELS][LANES] __attribute__((aligned(64))) = { 0 };

    l->element->above(x, count, threshold, levels, number, sum);
    for (int j = 0; j < levels; j++)
        for (int lane = 0; lane < lanes_used; lane++) {
            t->number[j] += (double)number[j][lane];
            t->sum[j] += (double)sum[j][lane];
        }
}

/* The same features of all blocks: a cut that knows nothing of threads. */
static void look_parts(void *arg, int lo, int hi, int thread)
{
    const struct look *l = arg;
    (void)thread;

    for (int i = lo; i < hi; i++) {
        const struct quant_activation *a = &l->q->activation[i / QUANT_TALLIES];
        struct quant_tally *t = &l->q->tally[i];
        *t = (struct quant_tally){ 0 };
        if (!a->basis)
            continue;
        const size_t features = (size_t)shape_count(&l->g->value[a->source].shape);
        const size_t part = (size_t)(i % QUANT_TALLIES), first = features * part / QUANT_TALLIES;
        const size_t count = features * (part + 1) / QUANT_TALLIES - first;
        real threshold[QUANT_LEVELS] = { (real)-INFINITY };
        memcpy(threshold + 1, l->g->param + l->g->value[a->threshold].offset,
               (size_t)((1 << a->bits) - 1) * sizeof *threshold);
        for (int b = 0; b * LANES < l->samples; b++) {
            const int left = l->samples - b * LANES;
            add_block(l, numbers_of(l, a) + ((size_t)b * features + first) * LANES, count * LANES, threshold,
                      1 << a->bits, left < LANES ? left : LANES, t);
        }
    }
}

void quant_observe(struct quant *q, struct net *n, const struct graph *g, int samples, struct pool *p)
{
    struct look l = { q, g, n, kernels_best()->element, samples };
    bool any = false;

    for (int i = 0; i < q->activations; i++)
        any |= q->activation[i].basis;
    if (any && !q->basis_learns)
        pool_run(p, look_parts, &l, q->activations * QUANT_TALLIES);
}

/* Shares of the batch by encoding, and their sums: what lies above one threshold and not above the next is on
 * the level between. */
static void collect(const struct quant_tally *part, const struct basis_levels *l, double *share, double *sum)
{
    struct quant_tally all = { 0 };

    for (int p = 0; p < QUANT_TALLIES; p++)
        for (int j = 0; j < l->count; j++) {
            all.number[j] += part[p].number[j];
            all.sum[j] += part[p].sum[j];
        }
    const double total = all.number[0] > 0 ? all.number[0] : 1;
    for (int j = 0; j < l->count; j++) {
        const bool last = j + 1 == l->count;
        share[l->code[j]] = (all.number[j] - (last ? 0 : all.number[j + 1])) / total;
        sum[l->code[j]] = (all.sum[j] - (last ? 0 : all.sum[j + 1])) / total;
    }
}

static void write_levels(struct graph *g, const struct quant_activation *a, const struct basis_levels *l)
{
    memcpy(g->param + g->value[a->threshold].offset, l->threshold,
           (size_t)(l->count - 1) * sizeof *l->threshold);
    memcpy(g->param + g->value[a->level].offset, l->level, (size_t)l->count * sizeof *l->level);
}

/* A level is a sum of the basis, so the gradient in an element is that of the levels it is in. With a scale
 * in which an even basis (s, 2s, 4s...) moves s as far as LSQ would. */
void quant_backward_levels(struct quant *q, const struct graph *g, const real *gradients)
{
    for (int i = 0; i < q->activations && q->basis_learns; i++) {
        const struct quant_activation *a = &q->activation[i];
        const double squares = (ldexp(1, 2 * a->bits) - 1) / 3, most = a->high > 1 ? a->high : 1,
                     factor = (a->signs ? squares / 4 : squares) / sqrt((double)a->features * most);
        struct quant_basis *b = &q->basis[i];
        struct basis_levels l;
        if (!a->basis)
            continue;
        const real *gradient = gradients + g->value[a->level].offset;
        basis_levels(b->v, a->bits, a->signs, &l);
        for (int k = 0; k < a->bits; k++) {
            double sum = 0;
            for (int j = 0; j < l.count; j++)
                sum += (double)gradient[j] * (l.code[j] >> k & 1 ? 1 : a->signs ? -1 : 0);
            b->slope[k] = (real)(factor * sum);
        }
    }
}

/* The next basis by QEM; where the equations are singular, or nothing was seen, it stays. */
static void solve(const struct quant *q, int i)
{
    const struct quant_activation *a = &q->activation[i];
    struct quant_basis *b = &q->basis[i];
    double share[QUANT_LEVELS], sum[QUANT_LEVELS], now[BASIS_BITS];
    struct basis_levels l;

    basis_levels(b->v, a->bits, a->signs, &l);
    collect(&q->tally[i * QUANT_TALLIES], &l, share, sum);
    if (basis_solve(share, sum, b->v, a->bits, a->signs, 0, now))
        for (int k = 0; k < a->bits; k++)
            now[k] = (double)b->v[k];
    if (!a->signs)
        basis_positive(now, a->bits);
    basis_average(b->average, b->weight, now, a->bits, b->v);
}

void quant_relevel(struct quant *q, struct graph *g)
{
    for (int i = 0; i < q->activations; i++) {
        const struct quant_activation *a = &q->activation[i];
        struct basis_levels l;
        if (!a->basis)
            continue;
        if (!q->basis_learns)
            solve(q, i);
        basis_levels(q->basis[i].v, a->bits, a->signs, &l);
        write_levels(g, a, &l);
    }
}
