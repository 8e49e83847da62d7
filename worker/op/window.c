#include "worker/op/window.h"

#include "worker/op/setup.h"

/* Beyond this no network is meant, and products of sizes stay small. */
#define WINDOW_LIMIT (1 << 14)
#define PADDED_LIMIT ((int64_t)1 << 27)

/* `count` integers in [low, WINDOW_LIMIT] from an attribute; false in *given when it is absent. */
static int read_ints(const struct node *n, const char *name, int count, int low, int *out, bool *given,
                     struct err *e)
{
    int64_t value[4];
    int found, r = setup_ints(NULL, n, name, -1, value, 4, &found, e);
    *given = r == 0 && found >= 0;
    if (r < 0 || found < 0)
        return r;
    if (found != count)
        return err_set(e, ERR_UNSUPPORTED, "'%s' has %d elements; %d are supported", name, found, count);
    for (int i = 0; i < count; i++) {
        if (value[i] < low || value[i] > WINDOW_LIMIT)
            return err_set(e, ERR_UNSUPPORTED, "'%s' contains %lld; %d to %d are supported", name,
                           (long long)value[i], low, WINDOW_LIMIT);
        out[i] = (int)value[i];
    }
    return 0;
}

/* One direction. */
struct line {
    int size, kernel, stride, dilation, before, after, out;
};

enum auto_pad { NOTSET, SAME_UPPER, SAME_LOWER, VALID };

static int line_setup(struct line *l, int pad, bool ceiling, struct err *e)
{
    int extent = (l->kernel - 1) * l->dilation + 1;
    if (pad == SAME_UPPER || pad == SAME_LOWER) {
        l->out = (l->size + l->stride - 1) / l->stride;
        int total = (l->out - 1) * l->stride + extent - l->size;
        total = total > 0 ? total : 0;
        l->before = pad == SAME_UPPER ? total / 2 : total - total / 2;
        l->after = total - l->before;
        return 0;
    }
    if (pad == VALID)
        l->before = l->after = 0;
    int room = l->size + l->before + l->after - extent;
    if (room < 0)
        return err_set(e, ERR_INVALID, "The kernel covers %d pixels, the padded input has %d", extent,
                       l->size + l->before + l->after);
    l->out = room / l->stride + 1;
    /* a window more when the last one hangs over, if it begins inside the image or the padding before it */
    if (ceiling && room % l->stride && l->out * l->stride < l->size + l->before)
        l->out++;
    return 0;
}

static int read_kernel(const struct node *n, struct window *w, struct err *e)
{
    int kernel[2];
    bool given;
    int r = read_ints(n, "kernel_shape", 2, 1, kernel, &given, e);
    if (r < 0)
        return r;
    if (!given && !w->KH)
        return err_set(e, ERR_INVALID, "The attribute 'kernel_shape' is missing");
    if (given && w->KH && (kernel[0] != w->KH || kernel[1] != w->KW))
        return err_set(e, ERR_INVALID, "'kernel_shape' is %dx%d, the weights are %dx%d", kernel[0], kernel[1],
                       w->KH, w->KW);
    if (given) {
        w->KH = kernel[0];
        w->KW = kernel[1];
    }
    return 0;
}

int window_setup(const struct node *n, const struct shape *sample, struct window *w, struct err *e)
{
    int stride[2] = { 1, 1 }, dilation[2] = { 1, 1 }, pads[4] = { 0 };
    static const char *const auto_pads[] = { "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", NULL };
    int pad = NOTSET;
    bool given;
    if (sample->rank != 3)
        return err_set(e, ERR_UNSUPPORTED, "The input has %d dimensions without the batch; 3 are supported",
                       sample->rank);
    w->C = (int)sample->dim[0];
    w->H = (int)sample->dim[1];
    w->W = (int)sample->dim[2];
    int r = read_kernel(n, w, e);
    if (r == 0)
        r = read_ints(n, "strides", 2, 1, stride, &given, e);
    if (r == 0)
        r = read_ints(n, "dilations", 2, 1, dilation, &given, e);
    if (r == 0)
        r = read_ints(n, "pads", 4, 0, pads, &given, e);
    if (r == 0)
        r = setup_word(n, "auto_pad", auto_pads, &pad, e);
    if (r < 0)
        return r;
    bool ceiling = node_int(n, "ceil_mode", 0);
    struct line h = { w->H, w->KH, stride[0], dilation[0], pads[0], pads[2], 0 };
    struct line v = { w->W, w->KW, stride[1], dilation[1], pads[1], pads[3], 0 };
    r = line_setup(&h, pad, ceiling, e);
    if (r == 0)
        r = line_setup(&v, pad, ceiling, e);
    if (r == 0 && (int64_t)w->C * (w->H + h.before + h.after) > PADDED_LIMIT / (w->W + v.before + v.after))
        r = err_set(e, ERR_TOO_LARGE, "The padded input is too large");
    *w = (struct window){ w->C,      w->H,        w->W,        h.out,    v.out,    w->KH,   w->KW,  stride[0],
                          stride[1], dilation[0], dilation[1], h.before, v.before, h.after, v.after };
    return r;
}

/* The shape of the only input of a node with no attributes but those known; NULL on error. */
static const struct shape *one_input(const struct graph *g, const struct node *n, const char *const *known,
                                     struct err *e)
{
    if (setup_attrs(n, known, e) < 0 || setup_arity(n, 1, 1, e) < 0)
        return NULL;
    return setup_activation(g, n, 0, e);
}

int window_setup_pool(const struct graph *g, const struct node *n, const char *const *known, struct window *w,
                      struct err *e)
{
    const struct shape *x = one_input(g, n, known, e);
    if (!x)
        return ERR_UNSUPPORTED;
    *w = (struct window){ 0 };
    return window_setup(n, x, w, e);
}

int window_setup_global(const struct graph *g, const struct node *n, struct window *w, struct err *e)
{
    static const char *const known[] = { NULL };
    const struct shape *x = one_input(g, n, known, e);
    if (!x)
        return ERR_UNSUPPORTED;
    if (x->rank != 3)
        return err_set(e, ERR_UNSUPPORTED, "The input has %d dimensions without the batch; 3 are supported",
                       x->rank);
    int H = (int)x->dim[1], W = (int)x->dim[2];
    *w = (struct window){ (int)x->dim[0], H, W, 1, 1, H, W, 1, 1, 1, 1, 0, 0, 0, 0 };
    return 0;
}

static struct span span_of(int at, int size, int after, int kernel, int dilation)
{
    struct span s = { at, 0, kernel, kernel };
    if (at >= 0 && at + (kernel - 1) * dilation < size)
        return s;
    while (s.lo < s.hi && at + s.lo * dilation < 0)
        s.lo++;
    while (s.hi > s.lo && at + (s.hi - 1) * dilation >= size)
        s.hi--;
    while (s.padded && at + (s.padded - 1) * dilation >= size + after)
        s.padded--;
    return s;
}

struct span window_rows(const struct window *w, int oh)
{
    return span_of(oh * w->stride_h - w->top, w->H, w->bottom, w->KH, w->dilation_h);
}

struct span window_columns(const struct window *w, int ow)
{
    return span_of(ow * w->stride_w - w->left, w->W, w->right, w->KW, w->dilation_w);
}

struct window_run window_run(const struct window *w, int oh, int ow)
{
    struct window_run r = { .v = window_rows(w, oh), .h = window_columns(w, ow), .pixels = 1 };
    for (; ow + r.pixels < w->OW; r.pixels++) {
        struct span next = window_columns(w, ow + r.pixels);
        if (next.lo != r.h.lo || next.hi != r.h.hi || next.padded != r.h.padded)
            break;
    }
    int row = r.v.at + r.v.lo * w->dilation_h, column = r.h.at + r.h.lo * w->dilation_w;
    r.corner = ((ptrdiff_t)row * w->W + column) * LANES;
    r.step = (ptrdiff_t)w->stride_w * LANES;
    r.taps = (struct taps){
        .rows = r.v.hi - r.v.lo,
        .columns = r.h.hi - r.h.lo,
        .row = (ptrdiff_t)w->dilation_h * w->W * LANES,
        .column = (ptrdiff_t)w->dilation_w * LANES,
        .first = r.v.lo * w->KW + r.h.lo,
        .next_row = w->KW,
    };
    return r;
}
