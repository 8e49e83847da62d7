/* lrn.c - LRN: y = x / s^beta with s = bias + alpha / size * (sum of x^2 over `size` neighbouring channels).
 * (Krizhevsky et al. 2012, section 3.3) */
#include "worker/op/setup.h"

struct lrn {
    int channels, below, above; /* below, above: neighbours that count */
    ptrdiff_t plane;            /* numbers of one channel of one block */
    real scale, beta, bias;
};

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "alpha", "beta", "bias", "size", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 1, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    int64_t size = node_int(n, "size", 0);
    if (x->rank < 1 || !g->batched)
        return err_set(e, ERR_UNSUPPORTED, "Only channels behind a batch can be normalized");
    if (size < 1 || size > 1 << 14)
        return err_set(e, ERR_INVALID, "'size' is %lld; 1 to 2^14 are supported", (long long)size);
    struct lrn *t = setup_state(n, sizeof *t, e);
    if (!t)
        return ERR_NOMEM;
    *t = (struct lrn){
        .channels = (int)x->dim[0],
        .plane = shape_count(x) / x->dim[0] * LANES,
        .below = (int)(size - 1) / 2,
        .above = (int)size / 2,
        .scale = (real)(node_float(n, "alpha", 1e-4) / (double)size),
        .beta = (real)node_float(n, "beta", 0.75),
        .bias = (real)node_float(n, "bias", 1),
    };
    setup_output(g, n, x);
    return 0;
}

/* s of every number. */
static size_t keep(const struct graph *g, const struct node *n)
{
    return setup_block(g, n->output[0]) * sizeof(real);
}

static real inverse_power(real s, real beta)
{
    if (beta == (real)0.75) { /* everybody's; roots are exact and fast */
        real root = 1 / real_sqrt(s);
        return root * real_sqrt(root);
    }
    return real_pow(s, -beta);
}

struct channels {
    int lo, hi;
};

/* The channels that count for channel c, or, turned round, those that c counts for. */
static struct channels around(const struct lrn *t, int c, int below, int above)
{
    int lo = c - below, hi = c + above + 1;
    return (struct channels){ lo > 0 ? lo : 0, hi < t->channels ? hi : t->channels };
}

/* s of one channel, LANES numbers from i on */
static void squares(const struct lrn *t, const real *x, struct channels r, ptrdiff_t i, real s[LANES])
{
    for (int l = 0; l < LANES; l++)
        s[l] = 0;
    for (int c = r.lo; c < r.hi; c++)
        for (int l = 0; l < LANES; l++)
            s[l] += x[c * t->plane + i + l] * x[c * t->plane + i + l];
    for (int l = 0; l < LANES; l++)
        s[l] = t->bias + t->scale * s[l];
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct lrn *t = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    real *kept = s->kept[n - s->graph->node], sum[LANES];
    (void)thread;
    for (int b = lo; b < hi; b++) {
        const real *x = s->x[n->input[0]] + b * block;
        real *y = s->x[n->output[0]] + b * block;
        for (int c = 0; c < t->channels; c++) {
            struct channels r = around(t, c, t->below, t->above);
            for (ptrdiff_t i = 0; i < t->plane; i += LANES) {
                size_t at = (size_t)(c * t->plane + i);
                squares(t, x, r, i, sum);
                for (int l = 0; l < LANES; l++)
                    y[at + l] = x[at + l] * inverse_power(sum[l], t->beta);
                if (kept)
                    memcpy(kept + b * block + at, sum, sizeof sum);
            }
        }
    }
}

/* dy y / s of a block. */
static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    (void)k;
    return setup_block(g, n->output[0]) * sizeof(real);
}

/* dx[c] += dy[c] s[c]^-beta - 2 beta scale x[c] * (sum of dy[k] y[k] / s[k] over the k that c counts for) */
static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct lrn *t = n->state;
    size_t block = setup_block(s->graph, n->input[0]);
    const real *kept = s->kept[n - s->graph->node], factor = 2 * t->beta * t->scale;
    real *ratio = s->scratch[thread];
    for (int b = lo; b < hi && s->g[n->input[0]]; b++) {
        const real *x = s->x[n->input[0]] + b * block, *y = s->x[n->output[0]] + b * block;
        const real *dy = s->g[n->output[0]] + b * block, *sum = kept + b * block;
        real *dx = s->g[n->input[0]] + b * block;
        for (size_t i = 0; i < block; i++)
            ratio[i] = dy[i] * y[i] / sum[i];
        for (int c = 0; c < t->channels; c++) {
            struct channels r = around(t, c, t->above, t->below);
            for (ptrdiff_t i = 0; i < t->plane; i++) {
                size_t at = (size_t)(c * t->plane + i);
                real shared = 0;
                for (int k = r.lo; k < r.hi; k++)
                    shared += ratio[k * t->plane + i];
                dx[at] += dy[at] * inverse_power(sum[at], t->beta) - factor * x[at] * shared;
            }
        }
    }
}

const struct op op_lrn = {
    .name = "LRN",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .scratch = scratch,
    .keep = keep,
    .forward = forward,
    .backward = backward,
    .backward_needs_inputs = 1,
    .backward_needs_outputs = 1,
};
