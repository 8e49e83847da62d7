/* dense.c - Gemm and MatMul with a parameter: every row of the input times one matrix. Rows beyond the batch
 * (MatMul of [N,T,K], or a Gemm without a batch) lie behind each other like blocks, so the kernels see them
 * as more blocks. What kernels don't know (a matrix stored the other way round, a factor, another bias than
 * one number per output) goes through copies. */
#include "worker/kernels/kernels.h"
#include "worker/op/setup.h"

struct dense {
    struct conv conv;       /* 1x1, C = K features to O = N features */
    int rows;               /* per sample */
    bool turned;            /* the weight is stored [K,N]; the kernels want [N,K] */
    bool x_turned;          /* transA: the sample is [K,rows] */
    real alpha, beta;       /* y = alpha x w + beta bias */
    bool spread;            /* the bias is not the kernels' */
    ptrdiff_t bias_step[2]; /* then: from row to row of y, from column to column; 0 where it is stretched */
};

static struct conv one_by_one(int K, int N)
{
    return (struct conv){ .C = K,
                          .O = N,
                          .H = 1,
                          .W = 1,
                          .OH = 1,
                          .OW = 1,
                          .KH = 1,
                          .KW = 1,
                          .groups = 1,
                          .stride_h = 1,
                          .stride_w = 1,
                          .dilation_h = 1,
                          .dilation_w = 1 };
}

/* x: the sample, its last dimension (the first when it is turned) multiplied; w: the matrix. */
static int setup_matrix(struct graph *g, struct node *n, const struct shape *x, const struct shape *w,
                        bool turned, bool x_turned, struct err *e)
{
    char left[128], right[128];
    shape_text(x, left, sizeof left);
    shape_text(w, right, sizeof right);
    if (w->rank != 2 || x->rank < 1)
        return err_set(e, ERR_UNSUPPORTED, "%s times %s: only matrices of two dimensions are supported", left,
                       right);
    int64_t K = w->dim[turned ? 0 : 1], N = w->dim[turned ? 1 : 0];
    if (K < 1 || N < 1 || shape_count(w) > 1 << 30 || x->dim[x_turned ? 0 : x->rank - 1] != K)
        return err_set(e, ERR_INVALID, "An input of %s does not fit a matrix of %s", left, right);
    struct dense *d = setup_state(n, sizeof *d, e);
    if (!d)
        return ERR_NOMEM;
    *d = (struct dense){ .conv = one_by_one((int)K, (int)N),
                         .rows = (int)(shape_count(x) / K),
                         .turned = turned,
                         .x_turned = x_turned,
                         .alpha = 1,
                         .beta = 1 };
    struct shape y = *x;
    y.dim[0] = x_turned ? d->rows : y.dim[0];
    y.dim[y.rank - 1] = N;
    setup_output(g, n, &y);
    return 0;
}

/* The bias of a Gemm: anything that can be stretched to rows x columns. */
static int setup_bias(struct graph *g, struct node *n, struct err *e)
{
    struct dense *d = n->state;
    const struct shape *s = setup_param(g, n, 2, e);
    if (!s)
        return ERR_UNSUPPORTED;
    int64_t size[2] = { 1, 1 }, want[2] = { d->rows, d->conv.O };
    bool fits = s->rank <= 2;
    for (int i = 0; fits && i < s->rank; i++)
        size[2 - s->rank + i] = s->dim[i];
    for (int i = 0; i < 2; i++) {
        fits = fits && (size[i] == 1 || size[i] == want[i]);
        d->bias_step[i] = size[i] == 1 ? 0 : i ? 1 : size[1];
    }
    d->spread = d->beta != 1 || size[0] != 1 || size[1] != want[1];
    if (fits)
        return 0;
    char text[128];
    shape_text(s, text, sizeof text);
    return err_set(e, ERR_INVALID, "The bias has the shape %s; %lldx%lld or what stretches to it is expected",
                   text, (long long)want[0], (long long)want[1]);
}

static int setup_gemm(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "alpha", "beta", "broadcast", "transA", "transB", NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 3, e);
    if (r < 0)
        return r;
    const struct shape *x = setup_activation(g, n, 0, e), *w = x ? setup_param(g, n, 1, e) : NULL;
    if (!w)
        return ERR_UNSUPPORTED;
    if (x->rank != (g->batched ? 1 : 2))
        return err_set(e, ERR_INVALID, "The input has %d dimensions without the batch; put Flatten before",
                       x->rank);
    bool x_turned = node_int(n, "transA", 0) != 0;
    if (x_turned && g->batched)
        return err_set(e, ERR_UNSUPPORTED, "'transA' would move the batch");
    r = setup_matrix(g, n, x, w, !node_int(n, "transB", 0), x_turned, e);
    if (r < 0)
        return r;
    struct dense *d = n->state;
    d->alpha = (real)node_float(n, "alpha", 1);
    d->beta = (real)node_float(n, "beta", 1);
    return setup_has(n, 2) ? setup_bias(g, n, e) : 0;
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
    return w ? setup_matrix(g, n, x, w, true, false, e) : ERR_UNSUPPORTED;
}

static bool weights_copied(const struct dense *d)
{
    return d->turned || d->alpha != 1;
}

/* A thread's scratch: [N,K] weights, a turned sample, what the kernels need. */
static size_t weights_bytes(const struct dense *d)
{
    return weights_copied(d) ? ((size_t)d->conv.C * d->conv.O * sizeof(real) + 63) / 64 * 64 : 0;
}

static size_t sample_bytes(const struct dense *d)
{
    return d->x_turned ? (size_t)d->rows * d->conv.C * LANES * sizeof(real) : 0;
}

static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    const struct dense *d = n->state;
    (void)g;
    return weights_bytes(d) + sample_bytes(d) + k->conv_scratch(&d->conv);
}

static real *sample_room(const struct step *s, const struct dense *d, int thread)
{
    return (real *)((char *)s->scratch[thread] + weights_bytes(d));
}

static void *rest(const struct step *s, const struct dense *d, int thread)
{
    return (char *)s->scratch[thread] + weights_bytes(d) + sample_bytes(d);
}

/* alpha * weights as [N,K], through the front of the scratch if need be. */
static const real *weights(const struct step *s, const struct node *n, int thread)
{
    const struct dense *d = n->state;
    const real *w = s->x[n->input[1]];
    real *copy = s->scratch[thread];
    size_t K = d->conv.C, N = d->conv.O, k_step = d->turned ? N : 1, n_step = d->turned ? 1 : K;
    if (!weights_copied(d))
        return w;
    for (size_t k = 0; k < K; k++)
        for (size_t i = 0; i < N; i++)
            copy[i * K + k] = d->alpha * w[k * k_step + i * n_step];
    return copy;
}

/* to[row][k] = from[k][row] for one block, or to[k][row] += from[row][k]. */
static void turn(const struct dense *d, const real *from, real *to)
{
    for (size_t r = 0; r < (size_t)d->rows; r++)
        for (size_t k = 0; k < (size_t)d->conv.C; k++)
            memcpy(to + (r * d->conv.C + k) * LANES, from + (k * d->rows + r) * LANES, LANES * sizeof *to);
}

static void add_turned(const struct dense *d, const real *from, real *to)
{
    for (size_t r = 0; r < (size_t)d->rows; r++)
        for (size_t k = 0; k < (size_t)d->conv.C; k++)
            for (int l = 0; l < LANES; l++)
                to[(k * d->rows + r) * LANES + l] += from[(r * d->conv.C + k) * LANES + l];
}

static int items(const struct graph *g, const struct node *n)
{
    const struct dense *d = n->state;
    (void)g;
    return (d->conv.O + KERNELS_OUTPUTS - 1) / KERNELS_OUTPUTS;
}

static void add_bias(const struct step *s, const struct node *n, int block)
{
    const struct dense *d = n->state;
    const real *bias = s->x[n->input[2]];
    real *y = s->x[n->output[0]] + block * setup_block(s->graph, n->output[0]);
    for (int r = 0; r < d->rows; r++)
        for (int i = 0; i < d->conv.O; i++, y += LANES) {
            real more = d->beta * bias[r * d->bias_step[0] + i * d->bias_step[1]];
            for (int l = 0; l < LANES; l++)
                y[l] += more;
        }
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct dense *d = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    const real *x = s->x[n->input[0]], *w = weights(s, n, thread);
    const real *bias = setup_has(n, 2) && !d->spread ? s->x[n->input[2]] : NULL;
    real *y = s->x[n->output[0]], *turned = sample_room(s, d, thread);
    void *room = rest(s, d, thread);
    if (!d->x_turned)
        s->kernels->conv_forward(&d->conv, x, w, bias, y, lo * d->rows, hi * d->rows, room);
    for (int b = lo; b < hi && d->x_turned; b++) {
        turn(d, x + b * in, turned);
        s->kernels->conv_forward(&d->conv, turned, w, bias, y + b * out, 0, d->rows, room);
    }
    for (int b = lo; b < hi && d->spread; b++)
        add_bias(s, n, b);
}

/* Of a bias that is not one number per output: all of it, by whoever has the first item. */
static void spread_bias_gradient(const struct step *s, const struct node *n)
{
    const struct dense *d = n->state;
    const real *dy = s->g[n->output[0]];
    real *dbias = s->g[n->input[2]];
    for (int b = 0; b < s->blocks; b++)
        for (int r = 0; r < d->rows; r++)
            for (int i = 0; i < d->conv.O; i++, dy += LANES) {
                real sum = 0;
                for (int l = 0; l < LANES; l++)
                    sum += dy[l];
                dbias[r * d->bias_step[0] + i * d->bias_step[1]] += d->beta * sum;
            }
}

/* dw[o][k] of outputs [first, end), summed over the batch, added to what is there. */
static void weight_gradient(const struct step *s, const struct node *n, real *dw, real *dbias, int first,
                            int end, int thread)
{
    const struct dense *d = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    const real *x = s->x[n->input[0]], *dy = s->g[n->output[0]];
    real *turned = sample_room(s, d, thread);
    void *room = rest(s, d, thread);
    if (!d->x_turned)
        s->kernels->conv_backward_weight(&d->conv, s->blocks * d->rows, x, dy, dw, dbias, first, end, room);
    for (int b = 0; b < s->blocks && d->x_turned; b++) {
        turn(d, x + b * in, turned);
        s->kernels->conv_backward_weight(&d->conv, d->rows, turned, dy + b * out, dw, dbias, first, end,
                                         room);
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct dense *d = n->state;
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    real *copy = s->scratch[thread];
    size_t K = d->conv.C, N = d->conv.O, k_step = d->turned ? N : 1, n_step = d->turned ? 1 : K;
    int first = lo * KERNELS_OUTPUTS,
        end = hi * KERNELS_OUTPUTS < d->conv.O ? hi * KERNELS_OUTPUTS : d->conv.O;
    bool detour = dw && weights_copied(d);
    if (dbias && d->spread) {
        if (lo == 0)
            spread_bias_gradient(s, n);
        dbias = NULL;
    }
    if (!dw && !dbias)
        return;
    if (detour)
        memset(copy + first * K, 0, (size_t)(end - first) * K * sizeof *copy);
    weight_gradient(s, n, detour ? copy : dw, dbias, first, end, thread);
    for (size_t k = 0; detour && k < K; k++)
        for (size_t i = first; i < (size_t)end; i++)
            dw[k * k_step + i * n_step] += d->alpha * copy[i * K + k];
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct dense *d = n->state;
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    const real *dy = s->g[n->output[0]], *w = s->g[n->input[0]] ? weights(s, n, thread) : NULL;
    real *dx = s->g[n->input[0]], *turned = sample_room(s, d, thread);
    void *room = rest(s, d, thread);
    bool add = !step_fresh(s, n, 0);
    if (dx && !d->x_turned)
        s->kernels->conv_backward_data(&d->conv, dy, w, dx, add, lo * d->rows, hi * d->rows, room);
    for (int b = lo; b < hi && dx && d->x_turned; b++) {
        s->kernels->conv_backward_data(&d->conv, dy + b * out, w, turned, false, 0, d->rows, room);
        if (!add)
            memset(dx + b * in, 0, in * sizeof *dx);
        add_turned(d, turned, dx + b * in);
    }
}

static const struct conv *conv(const struct node *n)
{
    const struct dense *d = n->state;
    return d->rows == 1 && !d->x_turned && !weights_copied(d) && !d->spread ? &d->conv : NULL;
}

static uint64_t macs(const struct graph *g, const struct node *n)
{
    const struct dense *d = n->state;
    (void)g;
    return conv_macs(&d->conv) * (uint64_t)d->rows;
}

#define DENSE                                                                                                \
    .weight = 1, .teardown = setup_teardown, .scratch = scratch, .items = items, .forward = forward,         \
    .backward_reduce = backward_reduce, .backward = backward, .backward_needs_inputs = 1,                    \
    .backward_writes = 1, .macs = macs, .conv = conv

const struct op op_gemm = { .name = "Gemm", .bias = 2, .setup = setup_gemm, DENSE };
const struct op op_matmul = { .name = "MatMul", .bias = -1, .setup = setup_matmul, DENSE };
