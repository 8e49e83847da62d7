#include "worker/train/tiles.h"

#include "base/mem.h"
#include "worker/train/reach.h"

#include <stdlib.h>

enum { LINES = 64 }; /* tiles along one side, at most */

struct tiles {
    struct graph *graph; /* owned */
    struct net *net;     /* owned: of the graph's present size; NULL: none yet */
    struct tiles_options options;
    bool cuttable;
    struct reach reach; /* when not cuttable only the scale */
};

/* The graph for inputs of that size, with no net of it. ERR_INVALID unless the output is scale times larger.
 */
static int resize(struct tiles *t, int height, int width, struct err *e)
{
    struct graph *g = t->graph;
    const struct shape size = { 3, { g->value[g->input].shape.dim[0], height, width } };

    if (shape_equal(&size, &g->value[g->input].shape))
        return 0;
    net_free(t->net);
    t->net = NULL;
    const int status = graph_set_input(g, &size, e);
    const struct shape *out = &g->value[g->output[0]].shape;
    if (status)
        return status;
    if (out->rank != 3 || out->dim[1] != (int64_t)height * t->reach.scale ||
        out->dim[2] != (int64_t)width * t->reach.scale)
        return err_set(e, ERR_UNSUPPORTED,
                       "the model is not made for images of any size: %dx%d pixels should become %dx%d, but "
                       "become %lldx%lld",
                       width, height, width * t->reach.scale, height * t->reach.scale,
                       out->rank == 3 ? (long long)out->dim[2] : 0LL,
                       out->rank == 3 ? (long long)out->dim[1] : 0LL);
    return 0;
}

int tiles_new(const struct graph *g, const struct tiles_options *o, struct tiles **out, struct err *e)
{
    const struct shape *from = &g->value[g->input].shape, *to = &g->value[g->output[0]].shape;
    struct tiles *t = mem_alloc(sizeof *t);

    *out = NULL;
    if (!t)
        return err_set(e, ERR_NOMEM, "out of memory");
    t->options = *o;
    int status = from->rank == 3 && to->rank == 3 && g->outputs == 1 && to->dim[1] % from->dim[1] == 0
                     ? graph_clone(g, &t->graph, e)
                     : err_set(e, ERR_UNSUPPORTED, "the model does not turn an image into an image");
    if (!status) {
        t->cuttable = reach_of(t->graph, &t->reach) && !o->whole;
        t->reach.scale = (int)(to->dim[1] / from->dim[1]);
        *out = t;
    } else {
        free(t);
    }
    return status;
}

void tiles_free(struct tiles *t)
{
    if (!t)
        return;
    net_free(t->net);
    graph_free(t->graph);
    free(t);
}

int tiles_scale(const struct tiles *t)
{
    return t->reach.scale;
}

struct graph *tiles_graph(struct tiles *t)
{
    return t->graph;
}

/* The smallest tile of which n cover a side of `size` pixels, each giving up a halo towards its neighbours.
 * The last one begins at a multiple of step. 0: there is none. */
static int tile_side(const struct reach *r, int size, int n)
{
    if (n == 1)
        return size;
    int64_t side = (size + (int64_t)(n - 1) * (2 * r->halo + r->step - 1) + n - 1) / n;
    while (side < size && (size - side) % r->step)
        side++;
    return side < size && side > 2 * r->halo ? (int)side : 0;
}

static int tile_start(const struct reach *r, int size, int side, int n, int i)
{
    if (n == 1)
        return 0;
    const int64_t at = (int64_t)i * (size - side) / (n - 1);

    return (int)(i == n - 1 ? size - side : at / r->step * r->step);
}

static struct net_options options_of(const struct tiles *t, const struct tiles_cut *c)
{
    const int blocks = pool_threads(t->options.pool), tiles = c->rows * c->columns;

    return (struct net_options){ .batch = tiles < blocks * LANES ? tiles : blocks * LANES,
                                 .kernels = t->options.kernels,
                                 .pool = t->options.pool };
}

/* What a cut costs: pixels that each thread goes through. */
static double price(const struct tiles *t, const struct tiles_cut *c)
{
    const int blocks = (c->rows * c->columns + LANES - 1) / LANES, threads = pool_threads(t->options.pool);
    const int rounds = (blocks + threads - 1) / threads;

    return (double)rounds * c->height * c->width;
}

/* The cheapest cut that costs more than `above`: cuts by rising price, one at a time. */
static bool next_cut(const struct tiles *t, int height, int width, double above, struct tiles_cut *best)
{
    bool found = false;

    for (int rows = 1; rows <= LINES; rows++)
        for (int columns = 1; columns <= LINES; columns++) {
            const struct tiles_cut c = { rows, columns, tile_side(&t->reach, height, rows),
                                         tile_side(&t->reach, width, columns) };
            if (!c.height || !c.width || price(t, &c) <= above || (found && price(t, &c) >= price(t, best)))
                continue;
            *best = c;
            found = true;
        }
    return found;
}

static int cut_bytes(struct tiles *t, const struct tiles_cut *c, size_t *bytes, struct err *e)
{
    const struct net_options o = options_of(t, c);
    const int status = resize(t, c->height, c->width, e);

    return status ? status : net_bytes(t->graph, &o, bytes, e);
}

int tiles_cut(struct tiles *t, int height, int width, struct tiles_cut *cut, struct err *e)
{
    struct tiles_cut c = { 1, 1, height, width };
    size_t bytes, least = SIZE_MAX;
    double above = 0;

    if (!t->cuttable) {
        *cut = c;
        return resize(t, height, width, e);
    }
    while (next_cut(t, height, width, above, &c)) {
        const int status = cut_bytes(t, &c, &bytes, e);
        if (status)
            return status;
        if (!t->options.limit || bytes <= t->options.limit) {
            *cut = c;
            return 0;
        }
        least = bytes < least ? bytes : least;
        above = price(t, &c);
    }
    return err_set(e, ERR_MEMORY,
                   "an image of %dx%d pixels needs %zu bytes for the network, the limit is %zu", width,
                   height, least, t->options.limit);
}

int tiles_bytes(struct tiles *t, int height, int width, size_t *bytes, struct err *e)
{
    struct tiles_cut c;
    const int status = tiles_cut(t, height, width, &c, e);

    return status ? status : cut_bytes(t, &c, bytes, e);
}

/* --- running --- */

struct pass {
    const struct tiles *tiles;
    struct tiles_cut cut;
    int height, width;   /* of the picture */
    int channels;        /* of x or y */
    int first, count;    /* tiles in the lanes */
    const real *picture; /* [channels][height][width] */
    real *estimate;      /* [channels][scale height][scale width] */
    real *lanes;         /* of the net */
};

static void place_of(const struct pass *p, int tile, int *top, int *left)
{
    const struct reach *r = &p->tiles->reach;

    *top = tile_start(r, p->height, p->cut.height, p->cut.rows, tile / p->cut.columns);
    *left = tile_start(r, p->width, p->cut.width, p->cut.columns, tile % p->cut.columns);
}

static void load_blocks(void *arg, int lo, int hi, int thread)
{
    const struct pass *p = arg;
    const int h = p->cut.height, w = p->cut.width;
    (void)thread;

    for (int b = lo; b < hi; b++) {
        real *block = p->lanes + (size_t)b * p->channels * h * w * LANES;
        memset(block, 0, (size_t)p->channels * h * w * LANES * sizeof *block);
        for (int lane = 0; lane < LANES && b * LANES + lane < p->count; lane++) {
            int top, left;
            place_of(p, p->first + b * LANES + lane, &top, &left);
            for (int c = 0; c < p->channels; c++)
                for (int y = 0; y < h; y++) {
                    const real *from = p->picture + ((size_t)c * p->height + top + y) * p->width + left;
                    real *to = block + ((size_t)c * h + y) * w * LANES + lane;
                    for (int x = 0; x < w; x++)
                        to[(size_t)x * LANES] = from[x];
                }
        }
    }
}

/* Where what tile i gives begins and ends: half way into the overlap with its neighbours, which is at least a
 * halo from either edge. */
static int seam(const struct reach *r, int size, int side, int n, int i)
{
    if (i == 0)
        return 0;
    if (i == n)
        return size;
    return (tile_start(r, size, side, n, i) + tile_start(r, size, side, n, i - 1) + side) / 2;
}

static void keep_tile(const struct pass *p, int tile, const real *lane)
{
    const struct reach *r = &p->tiles->reach;
    const struct tiles_cut *c = &p->cut;
    const int s = r->scale, row = tile / c->columns, column = tile % c->columns;
    const int h = c->height * s, w = c->width * s;
    int top, left;

    place_of(p, tile, &top, &left);
    const int from_y = seam(r, p->height, c->height, c->rows, row) * s;
    const int to_y = seam(r, p->height, c->height, c->rows, row + 1) * s;
    const int from_x = seam(r, p->width, c->width, c->columns, column) * s;
    const int to_x = seam(r, p->width, c->width, c->columns, column + 1) * s;
    for (int k = 0; k < p->channels; k++)
        for (int y = from_y; y < to_y; y++) {
            const real *from = lane + (((size_t)k * h + y - top * s) * w - left * s) * LANES;
            real *to = p->estimate + ((size_t)k * p->height * s + y) * ((size_t)p->width * s);
            for (int x = from_x; x < to_x; x++)
                to[x] = from[(ptrdiff_t)x * LANES];
        }
}

static void keep_blocks(void *arg, int lo, int hi, int thread)
{
    const struct pass *p = arg;
    const size_t features =
        (size_t)p->channels * p->cut.height * p->cut.width * p->tiles->reach.scale * p->tiles->reach.scale;
    (void)thread;

    for (int b = lo; b < hi; b++)
        for (int lane = 0; lane < LANES && b * LANES + lane < p->count; lane++)
            keep_tile(p, p->first + b * LANES + lane, p->lanes + (size_t)b * features * LANES + lane);
}

int tiles_run(struct tiles *t, int height, int width, const real *x, real *y, struct err *e)
{
    struct pass in = { .tiles = t, .height = height, .width = width, .picture = x }, out;
    const struct graph *g = t->graph;
    int status = tiles_cut(t, height, width, &in.cut, e);
    struct net_options o;

    if (status)
        return status;
    o = options_of(t, &in.cut);
    if (t->net && net_blocks(t->net) != (o.batch + LANES - 1) / LANES) {
        net_free(t->net);
        t->net = NULL;
    }
    if (!t->net && (status = net_new(t->graph, &o, &t->net, e)))
        return status;
    in.channels = (int)g->value[g->input].shape.dim[0];
    in.lanes = net_input(t->net);
    out = in;
    out.channels = (int)g->value[g->output[0]].shape.dim[0];
    out.estimate = y;
    const int total = in.cut.rows * in.cut.columns;
    for (int first = 0; first < total; first += o.batch) {
        const int count = total - first < o.batch ? total - first : o.batch;
        const int blocks = (count + LANES - 1) / LANES;
        in.first = out.first = first;
        in.count = out.count = count;
        pool_run(t->options.pool, load_blocks, &in, blocks);
        net_forward(t->net, count, false, 0);
        out.lanes = (real *)net_output(t->net, 0);
        pool_run(t->options.pool, keep_blocks, &out, blocks);
    }
    return 0;
}
