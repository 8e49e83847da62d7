/* conv.c - Conv: y[o] = bias[o] + sum over channels and taps of w[o] * x. Grouped and depthwise included. */
#include "worker/op/setup.h"
#include "worker/op/weight_pairs.h"
#include "worker/op/window.h"

static int check_weight(const struct shape *w, const struct window *win, int64_t groups, struct err *e)
{
    char text[128];
    shape_text(w, text, sizeof text);
    if (groups < 1 || groups > win->C || win->C % groups || w->dim[0] % groups)
        return err_set(e, ERR_INVALID, "'group' is %lld with %d channels and weights %s", (long long)groups,
                       win->C, text);
    if (w->dim[1] != win->C / groups)
        return err_set(e, ERR_INVALID, "The weights %s do not fit %d channels in %lld groups", text, win->C,
                       (long long)groups);
    return 0;
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "auto_pad", "dilations", "group", "kernel_shape",
                                         "pads",     "strides",   NULL };
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 2, 3, e);
    if (r < 0)
        return r;
    const struct shape *x = setup_activation(g, n, 0, e), *w = x ? setup_param(g, n, 1, e) : NULL;
    if (!w)
        return ERR_UNSUPPORTED;
    int64_t count = shape_count(w);
    char text[128];
    shape_text(w, text, sizeof text);
    if (w->rank != 4 || count < 1 || count > 1 << 30)
        return err_set(
            e, ERR_UNSUPPORTED,
            "Weights of %s: only convolutions over two dimensions with less than 2^30 are supported", text);
    struct window win = { .KH = (int)w->dim[2], .KW = (int)w->dim[3] };
    r = window_setup(n, x, &win, e);
    int64_t groups = node_int(n, "group", 1);
    if (r == 0)
        r = check_weight(w, &win, groups, e);
    if (r == 0 && setup_has(n, 2))
        r = setup_vector(g, n, 2, w->dim[0], e);
    struct conv *c = r == 0 ? setup_state(n, sizeof *c, e) : NULL;
    if (!c)
        return r < 0 ? r : ERR_NOMEM;
    *c = (struct conv){
        .C = win.C,
        .H = win.H,
        .W = win.W,
        .O = (int)w->dim[0],
        .OH = win.OH,
        .OW = win.OW,
        .KH = win.KH,
        .KW = win.KW,
        .stride_h = win.stride_h,
        .stride_w = win.stride_w,
        .dilation_h = win.dilation_h,
        .dilation_w = win.dilation_w,
        .top = win.top,
        .left = win.left,
        .bottom = win.bottom,
        .right = win.right,
        .groups = (int)groups,
    };
    setup_output(g, n, &(struct shape){ 3, { c->O, c->OH, c->OW } });
    return 0;
}

static size_t scratch(const struct graph *g, const struct node *n, const struct kernels *k)
{
    (void)g;
    return k->conv_scratch(n->state);
}

static int items(const struct graph *g, const struct node *n)
{
    const struct conv *c = n->state;
    (void)g;
    return (c->O + KERNELS_OUTPUTS - 1) / KERNELS_OUTPUTS;
}

/* Of codes the sums are exact: an exported file then gives what its network gave in training. */
static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct graph *g = s->graph;
    int producer = g->value[n->input[0]].producer;
    struct conv c = *(const struct conv *)n->state;
    c.exact = producer >= 0 && g->node[producer].op->codes;
    s->kernels->conv_forward(&c, s->x[n->input[0]], s->x[n->input[1]],
                             setup_has(n, 2) ? s->x[n->input[2]] : NULL, s->x[n->output[0]], lo, hi,
                             s->scratch[thread]);
}

static size_t room(const struct graph *g, const struct node *n, int blocks, bool backward)
{
    (void)g;
    return backward ? weight_pairs_bytes(n->state, blocks) : 0;
}

static void backward_prepare(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = n->state;
    const ptrdiff_t in = (ptrdiff_t)c->C * c->H * c->W * LANES, out = (ptrdiff_t)c->O * c->OH * c->OW * LANES;
    if (!s->g[n->input[1]] || !tiles_part(c, s->blocks))
        return;
    for (int b = 2 * lo; b < 2 * hi && b < s->blocks; b += 2) {
        real *dw = weight_pairs_clear(c, s->room[1][n - s->graph->node], b / 2);
        s->kernels->conv_backward_weight(c, s->blocks - b < 2 ? 1 : 2, s->x[n->input[0]] + b * in,
                                         s->g[n->output[0]] + b * out, dw, NULL, 0, c->O, s->scratch[thread]);
    }
}

static void backward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    const struct conv *c = n->state;
    real *dw = s->g[n->input[1]], *dbias = setup_has(n, 2) ? s->g[n->input[2]] : NULL;
    int end = hi * KERNELS_OUTPUTS < c->O ? hi * KERNELS_OUTPUTS : c->O;
    if (dw && tiles_part(c, s->blocks)) {
        weight_pairs_add(c, s->room[1][n - s->graph->node], s->blocks, dw, lo * KERNELS_OUTPUTS, end);
        dw = NULL;
    }
    if (dw || dbias)
        s->kernels->conv_backward_weight(c, s->blocks, s->x[n->input[0]], s->g[n->output[0]], dw, dbias,
                                         lo * KERNELS_OUTPUTS, end, s->scratch[thread]);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    real *dx = s->g[n->input[0]];
    if (dx)
        s->kernels->conv_backward_data(n->state, s->g[n->output[0]], s->x[n->input[1]], dx,
                                       !step_fresh(s, n, 0), lo, hi, s->scratch[thread]);
}

static const struct conv *conv(const struct node *n)
{
    return n->state;
}

static uint64_t macs(const struct graph *g, const struct node *n)
{
    (void)g;
    return conv_macs(n->state);
}

const struct op op_conv = {
    .name = "Conv",
    .weight = 1,
    .bias = 2,
    .setup = setup,
    .teardown = setup_teardown,
    .scratch = scratch,
    .items = items,
    .room = room,
    .forward = forward,
    .backward_prepare = backward_prepare,
    .backward_reduce = backward_reduce,
    .backward = backward,
    .backward_needs_inputs = 1,
    .backward_writes = 1,
    .macs = macs,
    .conv = conv,
};
