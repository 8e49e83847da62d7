/* resize.c - Resize: height and width of an image by nearest, linear or cubic interpolation, as ONNX defines
 * it (operator set 13). A pixel is a sum over a few rows and columns whose places and weights are made once.
 */
#include "worker/op/setup.h"

enum mode { NEAREST, LINEAR, CUBIC };
enum place { HALF_PIXEL, ASYMMETRIC, ALIGN_CORNERS, PYTORCH_HALF_PIXEL };
enum nearest { ROUND_PREFER_FLOOR, ROUND_PREFER_CEIL, FLOOR, CEIL };
enum { TAPS = 4, SIDE = 1 << 16 };

struct tap {
    int at;
    real weight;
};

/* One output row or column. */
struct sample {
    int taps;
    struct tap tap[TAPS];
};

struct resize {
    int C, H, W, OH, OW;
    struct sample sample[]; /* OH rows, then OW columns */
};

/* What the attributes say. */
struct rule {
    int mode, place, nearest;
    bool exclude_outside;
    double cubic;
};

static int read_rule(const struct node *n, struct rule *r, struct err *e)
{
    static const char *const modes[] = { "nearest", "linear", "cubic", NULL };
    static const char *const places[] = { "half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
                                          NULL };
    static const char *const nearests[] = { "round_prefer_floor", "round_prefer_ceil", "floor", "ceil",
                                            NULL };
    int status = setup_word(n, "mode", modes, &r->mode, e);
    if (status == 0)
        status = setup_word(n, "coordinate_transformation_mode", places, &r->place, e);
    if (status == 0)
        status = setup_word(n, "nearest_mode", nearests, &r->nearest, e);
    r->exclude_outside = node_int(n, "exclude_outside", 0) != 0;
    r->cubic = node_float(n, "cubic_coeff_a", -0.75);
    return status;
}

/* Where an output pixel lies on the input's line. */
static double place_of(const struct rule *r, int i, int in, int out, double scale)
{
    if (r->place == ALIGN_CORNERS)
        return out > 1 ? (double)i * (in - 1) / (out - 1) : 0;
    if (r->place == ASYMMETRIC)
        return i / scale;
    if (r->place == PYTORCH_HALF_PIXEL && out == 1)
        return 0;
    return (i + 0.5) / scale - 0.5;
}

static double nearest_to(const struct rule *r, double x)
{
    switch ((enum nearest)r->nearest) {
    case ROUND_PREFER_FLOOR:
        return ceil(x - 0.5);
    case ROUND_PREFER_CEIL:
        return floor(x + 0.5);
    case FLOOR:
        return floor(x);
    default:
        return ceil(x);
    }
}

/* Weights of the pixels floor(x) - 1 .. floor(x) + 2 by the cubic of Keys 1981. */
static void cubic_weights(double a, double t, double weight[TAPS])
{
    for (int i = 0; i < TAPS; i++) {
        double d = fabs(t + 1 - i);
        weight[i] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

static struct sample sample_at(const struct rule *r, double x, int in)
{
    double weight[TAPS] = { 1 }, first = r->mode == NEAREST ? nearest_to(r, x) : floor(x), sum = 0;
    struct sample s = { .taps = r->mode == NEAREST ? 1 : r->mode == LINEAR ? 2 : TAPS };
    if (r->mode == LINEAR) {
        weight[0] = 1 - (x - first);
        weight[1] = x - first;
    } else if (r->mode == CUBIC) {
        cubic_weights(r->cubic, x - first, weight);
        first--;
    }
    for (int i = 0; i < s.taps; i++) {
        double at = first + i;
        if (r->exclude_outside && (at < 0 || at > in - 1))
            weight[i] = 0;
        sum += weight[i];
        s.tap[i].at = at < 0 ? 0 : at > in - 1 ? in - 1 : (int)at;
    }
    for (int i = 0; i < s.taps; i++)
        s.tap[i].weight = (real)(r->exclude_outside && sum != 0 ? weight[i] / sum : weight[i]);
    return s;
}

/* The factor and the new length of every dimension of the sample, from `scales` or `sizes`. */
static int read_sizes(const struct graph *g, struct node *n, const struct shape *x, struct shape *y,
                      double scale[GRAPH_RANK], struct err *e)
{
    int64_t sizes[GRAPH_RANK + 1];
    int first = g->batched ? 1 : 0, rank = x->rank + first, count;
    int r = setup_ints(g, n, "sizes", 3, sizes, GRAPH_RANK + 1, &count, e);
    const struct value *scales = r == 0 && count <= 0 && setup_has(n, 2) ? &g->value[n->input[2]] : NULL;
    if (r < 0)
        return r;
    if (scales && scales->kind != VALUE_CONST)
        return err_set(e, ERR_UNSUPPORTED, "'scales' must be constant");
    if ((scales ? shape_count(&scales->shape) : count) != rank)
        return err_set(e, ERR_INVALID, "'scales' or 'sizes' must have %d elements", rank);
    *y = *x;
    for (int i = 0; i < rank; i++) {
        int d = i - first;
        int64_t from = d < 0 ? 1 : x->dim[d];
        double factor = scales ? tensor_number(scales->constant, i) : (double)sizes[i] / (double)from;
        double to = scales ? floor(factor * (double)from) : (double)sizes[i];
        bool fixed = d < 0 || x->rank - d > 2; /* the batch and the channels */
        if (fixed && d < 0 && !scales)         /* a size of the batch means nothing here */
            continue;
        if (!(to >= 1 && to <= SIDE) || (fixed && factor != 1))
            return err_set(e, ERR_UNSUPPORTED, "Axis %d would be %g times as long", i, factor);
        if (d >= 0) {
            y->dim[d] = (int64_t)to;
            scale[d] = factor;
        }
    }
    return 0;
}

static int setup(struct graph *g, struct node *n, struct err *e)
{
    static const char *const known[] = { "coordinate_transformation_mode",
                                         "cubic_coeff_a",
                                         "exclude_outside",
                                         "extrapolation_value",
                                         "mode",
                                         "nearest_mode",
                                         NULL };
    struct rule rule;
    struct shape y;
    double scale[GRAPH_RANK];
    int r = setup_attrs(n, known, e);
    if (r == 0)
        r = setup_arity(n, 1, 4, e);
    const struct shape *x = r == 0 ? setup_activation(g, n, 0, e) : NULL;
    if (!x)
        return ERR_UNSUPPORTED;
    if (x->rank != 3)
        return err_set(e, ERR_UNSUPPORTED, "The input has %d dimensions without the batch; 3 are supported",
                       x->rank);
    r = read_rule(n, &rule, e);
    if (r == 0)
        r = read_sizes(g, n, x, &y, scale, e);
    if (r < 0)
        return r;
    size_t lines = (size_t)(y.dim[1] + y.dim[2]);
    struct resize *t = setup_state(n, sizeof *t + lines * sizeof t->sample[0], e);
    if (!t)
        return ERR_NOMEM;
    t->C = (int)x->dim[0], t->H = (int)x->dim[1], t->W = (int)x->dim[2];
    t->OH = (int)y.dim[1], t->OW = (int)y.dim[2];
    for (int i = 0; i < t->OH; i++)
        t->sample[i] = sample_at(&rule, place_of(&rule, i, t->H, t->OH, scale[1]), t->H);
    for (int i = 0; i < t->OW; i++)
        t->sample[t->OH + i] = sample_at(&rule, place_of(&rule, i, t->W, t->OW, scale[2]), t->W);
    setup_output(g, n, &y);
    return 0;
}

/* Called for every pixel of the output and every pixel of the input that counts for it. */
typedef void pair_fn(real *in, real *out, real weight);

static void each_pair(const struct resize *t, real *image, real *out, pair_fn *pair)
{
    for (int c = 0; c < t->C; c++, image += (ptrdiff_t)t->H * t->W * LANES)
        for (int oh = 0; oh < t->OH; oh++)
            for (int ow = 0; ow < t->OW; ow++, out += LANES) {
                const struct sample *v = &t->sample[oh], *h = &t->sample[t->OH + ow];
                for (int a = 0; a < v->taps; a++)
                    for (int b = 0; b < h->taps; b++)
                        pair(image + ((ptrdiff_t)v->tap[a].at * t->W + h->tap[b].at) * LANES, out,
                             v->tap[a].weight * h->tap[b].weight);
            }
}

static void push(real *in, real *out, real weight)
{
    for (int l = 0; l < LANES; l++)
        out[l] += weight * in[l];
}

static void pull(real *in, real *out, real weight)
{
    for (int l = 0; l < LANES; l++)
        in[l] += weight * out[l];
}

static void forward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    memset(s->x[n->output[0]] + lo * out, 0, (size_t)(hi - lo) * out * sizeof(real));
    for (int b = lo; b < hi; b++)
        each_pair(n->state, s->x[n->input[0]] + b * in, s->x[n->output[0]] + b * out, push);
}

static void backward(const struct step *s, const struct node *n, int lo, int hi, int thread)
{
    size_t in = setup_block(s->graph, n->input[0]), out = setup_block(s->graph, n->output[0]);
    (void)thread;
    for (int b = lo; b < hi && s->g[n->input[0]]; b++)
        each_pair(n->state, s->g[n->input[0]] + b * in, s->g[n->output[0]] + b * out, pull);
}

const struct op op_resize = {
    .name = "Resize",
    .weight = -1,
    .bias = -1,
    .setup = setup,
    .teardown = setup_teardown,
    .forward = forward,
    .backward = backward,
};
