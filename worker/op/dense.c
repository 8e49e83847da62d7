/* dense.c - Gemm and MatMul with a parameter: every row of the input times one matrix. Rows beyond the batch
 * (MatMul of [N,T,K], or an unbatched Gemm) lie behind each other like blocks, so the kernels see them as
 * more blocks. */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"

struct dense {
    struct conv conv; /* 1x1, C = K features to O = N features */
    int rows;         /* per sample */
    bool turned;      /* the weight is stored [K,N]; the kernels want [N,K] */
};

/* x: the sample, its last dimension multiplied; w: the matrix. */
static int setup_matrix(struct graph *g, struct node *n, const struct shape *x, const struct shape *w,
                        bool turned, struct err *e)
{
    char left[128], right[128];
    shape_text(x, left, sizeof left);
    shape_text(w, right, sizeof right);
    if (w->rank != 2 || x->rank < 1)
        return err_set(e, ERR_UNSUPPORTED, "%s times %s: only matrices of two dimensions are supported", left,
                       right);
    int64_t K = w->dim[turned ? 0 : 1], N = w->dim[turned ? 1 : 0];
    if (K < 1 || N < 1 || shape_count(w) > 1 << 30 || x->dim[x->rank - 1] != K)
        return err_set(e, ERR_INVALID, "An input of %s does not fit a matrix of %s", left, right);
    struct dense *d = setup_state(n, sizeof *d, e);
    if (!d)
        return ERR_NOMEM;
    d->rows = (int)(shape_count(x) / K);
    d->turned = turned;
    d->conv = (struct conv){ .C = (int)K, .O = (int)N };
    d->conv.H = d->conv.W = d->conv.OH = d->conv.OW = d->conv.KH = d->conv.KW = d->conv.groups = 1;
    d->conv.stride_h = d->conv.stride_w = d->conv.dilation_h = d->conv.dilation_w = 1;
    struct shape y = *x;
    y.dim[y.rank - 1] = N;
    setup_output(g, n, &y);
    return 0;
}

static int setup_gemm(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "alpha", "beta", "broadcast", "transA", "transB", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 3, e);
    if (r < 0)
        return r;
    if (node_int(n, "transA", 0))
        return err_set(e, ERR_UNSUPPORTED, "'transA' is not supported");
    if (node_float(n, "alpha", 1) != 1 || (setup_has(n, 2) && node_float(n, "beta", 1) != 1))
        return err_set(e, ERR_UNSUPPORTED, "'alpha' and 'beta' other than 1 are not supported");
    const struct shape *x = setup_activation(g, n, 0, e), *w = x ? setup_param(g, n, 1, e) : NULL;
    if (!w)
        return ERR_UNSUPPORTED;
    if (x->rank != (g->batched ? 1 : 2))
        return err_set(e, ERR_INVALID, "The input has %d dimensions without the batch; put Flatten before",
                       x->rank);
    bool turned = !node_int(n, "transB", 0);
    r = setup_matrix(g, n, x, w, turned, e);
    if (r == 0 && setup_has(n, 2))
        r = setup_vector(g, n, 2, w->dim[turned ? 1 : 0], e);
    return r;
}

static int setup_matmul(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 2, e);
    if (r < 0)
        return r;
    const struct shape *x = setup_activation(g, n, 0, e), *w = x ? setup_param(g, n, 1, e) : NULL;
    return w ? setup_matrix(g, n, x, w, true, e) : ERR_UNSUPPORTED;
}

static size_t matrix_bytes(const struct dense *d)
{
    return d->turned ? ((size_t)d->conv.C * d->conv.O * sizeof(real) + 63) / 64 * 64 : 0;
}

static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    const struct dense *d = n->state;
    (void)g;
    return matrix_bytes(d) + k->conv_scratch(&d->conv);
}

/* The weights as [N,K], through the front of the scratch if need be. */
static const real *weights(const struct step *s, const struct node *n, int thread)
{
    const struct dense *d = n->state;
    const real *w = s->x[n->input[1]];
    real *turned = s->scratch[thread];
    int K = d->conv.C, N = d->conv.O;
    if (!d->turned)
        return w;
    for (int k = 0; k < K; k++)
        for (int i = 0; i < N; i++)
            turned[(size_t)i * K + k] = w[(size_t)k * N + i];
    return turned;
}

static void *rest(const struct step *s, const struct dense *d, int thread)
{
    return (char *)s->scratch[thread] + matrix_bytes(d);
}

static int items(const struct graph *g, const struct node *n)
{
    const struct dense *d = n->state;
    (void)g;
    return (d->conv.O + KERNELS_OUTPUTS - 1) / KERNELS_OUTPUTS;
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct dense *d = n->state;
    s->kernels->conv_forward(&d->conv, s->x[n->input[0]], weights(s, n, thread),
                             setup_has(n, 2) ? s->x[n->input[2]] : NULL, s->x[n->output[0]], lo * d->rows,
                             hi * d->rows, rest(s, d, thread));
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct dense *d = n->state;
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    real *turned = s->scratch[thread];
    int K = d->conv.C, N = d->conv.O, first = lo * KERNELS_OUTPUTS;
    int end = hi * KERNELS_OUTPUTS < N ? hi * KERNELS_OUTPUTS : N;
    bool detour = dw && d->turned;
    if (!dw && !dbias)
        return;
    if (detour)
        memset(turned + (size_t)first * K, 0, (size_t)(end - first) * K * sizeof *turned);
    s->kernels->conv_backward_weight(&d->conv, s->blocks * d->rows, s->x[n->input[0]], s->g[n->output[0]],
                                     detour ? turned : dw, dbias, first, end, rest(s, d, thread));
    for (int k = 0; detour && k < K; k++)
        for (int i = first; i < end; i++)
            dw[(size_t)k * N + i] += turned[(size_t)i * K + k];
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct dense *d = n->state;
    real *dx = s->g[n->input[0]];
    if (dx)
        s->kernels->conv_backward_data(&d->conv, s->g[n->output[0]], weights(s, n, thread), dx, lo * d->rows,
                                       hi * d->rows, rest(s, d, thread));
}

static uint64_t macs(const struct graph *g, const struct node *n)
{
    const struct dense *d = n->state;
    (void)g;
    return conv_macs(&d->conv) * (uint64_t)d->rows;
}

#define DENSE                                                                                                \
    .weight = 1, .teardown = setup_teardown, .scratch = scratch, .items = items, .forward = forward,         \
    .backward_reduce = backward_reduce, .backward = backward, .backward_needs_inputs = 1, .macs = macs

const struct op op_gemm = { .name = "Gemm", .bias = 2, .setup = setup_gemm, DENSE };
const struct op op_matmul = { .name = "MatMul", .bias = -1, .setup = setup_matmul, DENSE };
