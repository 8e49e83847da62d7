#include "worker/train/reach.h"

#include "base/mem.h"
#include "worker/op/op.h"
#include "worker/op/window.h"

#include <stdlib.h>

/* What one pixel of a value depends on, along one axis: input pixels grid * p + low .. grid * p + high. */
struct line {
    double grid, low, high;
};

struct view {
    bool known, image; /* image: it has pixels; else a parameter or a constant that is the same everywhere */
    struct line axis[2];
};

struct walk {
    const struct graph *g;
    const struct node *n;
    struct view *view; /* per value */
};

static struct view *input_view(const struct walk *w, int i)
{
    return i < w->n->inputs && w->n->input[i] >= 0 ? &w->view[w->n->input[i]] : NULL;
}

/* Pixel p from pixel p of every input that is an image. */
static bool see_pixelwise(const struct walk *w, struct view *out)
{
    *out = (struct view){ .known = true };
    for (int i = 0; i < w->n->inputs; i++) {
        const struct view *in = input_view(w, i);
        if (!in || (in->known && !in->image))
            continue;
        if (!in->known)
            return false;
        for (int a = 0; a < 2; a++) {
            struct line *to = &out->axis[a];
            const struct line *from = &in->axis[a];
            if (out->image && to->grid != from->grid)
                return false;
            to->low = !out->image || from->low < to->low ? from->low : to->low;
            to->high = !out->image || from->high > to->high ? from->high : to->high;
            to->grid = from->grid;
        }
        out->image = true;
    }
    return out->image;
}

/* Along the channels only; ONNX counts the batch. */
static bool see_channels(const struct walk *w, struct view *out)
{
    const int64_t axis = node_int(w->n, "axis", 1);

    return (axis == 1 || axis == -3) && see_pixelwise(w, out);
}

static bool see_window(const struct walk *w, struct view *out)
{
    const struct node *n = w->n;
    const struct view *in = input_view(w, 0);
    struct window window = { 0 };

    if (!in || !in->known || !in->image)
        return false;
    if (n->op->weight >= 0) {
        const struct shape *s = &w->g->value[n->input[n->op->weight]].shape;
        window.KH = (int)s->dim[2];
        window.KW = (int)s->dim[3];
    }
    const struct attr *pad = node_attr(n, "auto_pad");
    const bool stays = !pad || !pad->s || strcmp(pad->s, "NOTSET") == 0 || strcmp(pad->s, "VALID") == 0;
    if (window_setup(n, &w->g->value[n->input[0]].shape, &window, NULL) < 0)
        return false;
    /* padding that depends on the size, or windows that hang over: not the same for a piece */
    if ((!stays && (window.stride_h != 1 || window.stride_w != 1)) || node_int(n, "ceil_mode", 0))
        return false;
    const int stride[2] = { window.stride_h, window.stride_w }, before[2] = { window.top, window.left };
    const int extent[2] = { (window.KH - 1) * window.dilation_h, (window.KW - 1) * window.dilation_w };
    *out = (struct view){ .known = true, .image = true };
    for (int a = 0; a < 2; a++) {
        const struct line *from = &in->axis[a];
        out->axis[a] = (struct line){ from->grid * stride[a], from->low - from->grid * before[a],
                                      from->high + from->grid * (extent[a] - before[a]) };
    }
    return true;
}

/* `times` pixels out of one, each from it and `around` neighbours. */
static bool enlarge(const struct walk *w, int times, int around, struct view *out)
{
    const struct view *in = input_view(w, 0);

    if (!in || !in->known || !in->image || times < 1)
        return false;
    *out = *in;
    for (int a = 0; a < 2; a++) {
        struct line *l = &out->axis[a];
        l->low -= l->grid * (1 - 1.0 / times + around);
        l->high += l->grid * around;
        l->grid /= times;
    }
    return true;
}

static bool see_depth_to_space(const struct walk *w, struct view *out)
{
    return enlarge(w, (int)node_int(w->n, "blocksize", 0), 0, out);
}

/* Whole factors; cubic interpolation reaches for two neighbours. */
static bool see_resize(const struct walk *w, struct view *out)
{
    const struct attr *mode = node_attr(w->n, "coordinate_transformation_mode");
    const struct shape *from = &w->g->value[w->n->input[0]].shape, *to = &w->g->value[w->n->output[0]].shape;

    if (mode && mode->s && strcmp(mode->s, "half_pixel") != 0 && strcmp(mode->s, "asymmetric") != 0)
        return false;
    if (from->rank != 3 || to->rank != 3 || to->dim[1] % from->dim[1] ||
        to->dim[1] / from->dim[1] * from->dim[2] != to->dim[2])
        return false;
    return enlarge(w, (int)(to->dim[1] / from->dim[1]), 2, out);
}

static const struct {
    const char *op;
    bool (*see)(const struct walk *w, struct view *out);
} sights[] = {
    { "Conv", see_window },
    { "MaxPool", see_window },
    { "AveragePool", see_window },
    { "DepthToSpace", see_depth_to_space },
    { "Resize", see_resize },
    { "Concat", see_channels },
    { "Split", see_channels },
    { "Relu", see_pixelwise },
    { "LeakyRelu", see_pixelwise },
    { "PRelu", see_pixelwise },
    { "Sigmoid", see_pixelwise },
    { "Tanh", see_pixelwise },
    { "HardSigmoid", see_pixelwise },
    { "HardSwish", see_pixelwise },
    { "Clip", see_pixelwise },
    { "Add", see_pixelwise },
    { "Sub", see_pixelwise },
    { "Sum", see_pixelwise },
    { "Mul", see_pixelwise },
    { "Div", see_pixelwise },
    { "LRN", see_pixelwise },
    { "BatchNormalization", see_pixelwise },
    { "Dropout", see_pixelwise },
    { "Identity", see_pixelwise },
    { "QuantizeLinear", see_pixelwise },
    { "DequantizeLinear", see_pixelwise },
    { "QuantdFakeQuant", see_pixelwise },
    { "QuantdLevels", see_pixelwise },
};

static bool see_node(const struct walk *w, struct view *out)
{
    for (size_t i = 0; i < sizeof sights / sizeof *sights; i++)
        if (strcmp(sights[i].op, w->n->op->name) == 0)
            return sights[i].see(w, out);
    return false;
}

/* A constant is the same everywhere unless it has a value per pixel. */
static bool everywhere(const struct shape *s)
{
    return s->rank < 2 || (s->dim[s->rank - 1] == 1 && s->dim[s->rank - 2] == 1);
}

/* A node's own parameters (kernels, slopes) are no images, whatever their shape. */
static void see_constants(const struct graph *g, struct view *view)
{
    for (int v = 0; v < g->values; v++)
        if (g->value[v].kind == VALUE_CONST)
            view[v].known = everywhere(&g->value[v].shape);
        else if (g->value[v].kind == VALUE_PARAM)
            view[v].known = true;
    for (int i = 0; i < g->nodes; i++)
        for (int k = 0; k < g->node[i].inputs; k++) {
            const int v = g->node[i].input[k];
            if (v >= 0 && k != g->node[i].op->weight && g->value[v].kind == VALUE_PARAM)
                view[v].known = view[v].known && everywhere(&g->value[v].shape);
        }
}

/* The input pixels that a piece needs beyond the output pixels it keeps. */
static bool settle(const struct view *out, double coarsest, struct reach *r)
{
    const double scale = 1 / out->axis[0].grid;
    double halo = 0;

    r->scale = (int)lround(scale);
    r->step = (int)lround(coarsest);
    if (!out->known || !out->image || r->scale < 1 || fabs(scale - r->scale) > 1e-9 || r->step < 1 ||
        fabs(coarsest - r->step) > 1e-9 || out->axis[1].grid != out->axis[0].grid)
        return false;
    for (int a = 0; a < 2; a++) {
        const double low = -out->axis[a].low, high = out->axis[a].high + 1 - out->axis[a].grid;
        if (low < -1e-9 || out->axis[a].high < -1e-9)
            return false;
        halo = low > halo ? low : halo;
        halo = high > halo ? high : halo;
    }
    r->halo = (int)ceil(halo - 1e-9);
    return true;
}

bool reach_of(const struct graph *g, struct reach *r)
{
    struct view *view = mem_array((size_t)g->values, sizeof *view);
    bool known =
        view && g->outputs == 1 && g->value[g->input].shape.rank == 3 && g->batched && !g->input_nhwc;
    double coarsest = 1;

    if (known) {
        see_constants(g, view);
        view[g->input] = (struct view){ true, true, { { 1, 0, 0 }, { 1, 0, 0 } } };
    }
    for (int i = 0; known && i < g->nodes; i++) {
        const struct node *n = &g->node[i];
        const struct walk w = { g, n, view };
        struct view *out = &view[n->output[0]];
        /* a view that has moved off its own pixel would be cut by the edge of a piece */
        known = see_node(&w, out);
        for (int a = 0; known && a < 2; a++) {
            known = out->axis[a].low <= 1e-9 && out->axis[a].high >= -1e-9;
            coarsest = out->axis[a].grid > coarsest ? out->axis[a].grid : coarsest;
        }
        for (int k = 1; k < n->outputs; k++)
            view[n->output[k]] = *out;
    }
    known = known && settle(&view[g->output[0]], coarsest, r);
    free(view);
    return known;
}
