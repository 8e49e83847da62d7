/* build_layer.c - layers with parameters, and what these begin with. */
#include "base/mem.h"
#include "base/rng.h"
#include "worker/zoo/build.h"

#include <math.h>
#include <stdlib.h>

/* Streams of the generator that belong to the zoo: one per parameter. */
#define RNG_ZOO ((uint64_t)0x7a6f6f << 32)

/* How the numbers of a parameter are drawn: around 0, or, with variance 0, all the same. */
struct law {
    float same;
    double variance;
    bool uniform;
};

/* All of them equal. */
static struct law constant(float value)
{
    return (struct law){ .same = value };
}

static struct law law_of(enum zoo_init init, int64_t fan_in, int64_t fan_out)
{
    switch (init) {
    case ZOO_XAVIER:
        return (struct law){ .variance = 1.0 / (double)fan_in, .uniform = true };
    case ZOO_HE:
        return (struct law){ .variance = 2.0 / (double)fan_in };
    case ZOO_HE_OUT:
        return (struct law){ .variance = 2.0 / (double)fan_out };
    case ZOO_UNIFORM:
        break;
    }
    return (struct law){ .variance = 1.0 / (3.0 * (double)fan_in), .uniform = true };
}

static void draw(const struct zoo_build *b, uint64_t number, const struct law *law, real *to, int64_t count)
{
    struct rng r = rng_at(b->request->seed, RNG_ZOO + number, 0);
    const double width = sqrt((law->uniform ? 3.0 : 1.0) * law->variance);
    double pair[2] = { 0 };
    for (int64_t i = 0; i < count; ++i) {
        if (law->variance <= 0)
            to[i] = (real)law->same;
        else if (law->uniform)
            to[i] = (real)(float)((2 * rng_uniform(&r) - 1) * width);
        else {
            if (i % 2 == 0)
                rng_normal_pair(&r, pair);
            to[i] = (real)(float)(pair[i % 2] * width);
        }
    }
}

/* The parameter LAYER.WHAT; its index, or -1 after an error. */
static int param(struct zoo_build *b, const char *layer, const char *what, const struct shape *shape,
                 struct law law, bool trainable)
{
    if (b->bad)
        return -1;
    struct graph *g = b->graph;
    char *name = mem_printf("%s%s.%s", b->scope, layer, what);
    if (!name) {
        zoo_nomem(b);
        return -1;
    }
    const int v = graph_add_param(g, name, shape, trainable, NULL, b->e);
    free(name);
    if (v < 0) {
        zoo_fail(b, v);
        return -1;
    }
    const uint64_t number = b->parameters++;
    if (!g->hollow)
        draw(b, number, &law, g->param + g->value[v].offset, shape_count(shape));
    return v;
}

void zoo_add_conv(struct zoo_build *b, const char *name, const struct zoo_conv *c)
{
    struct shape *s = &b->tip.shape;
    const int groups = c->groups ? c->groups : 1, stride = c->stride ? c->stride : 1;
    const int pad = c->valid ? 0 : c->kernel / 2, taps = c->kernel * c->kernel;
    const int64_t in = s->dim[0] / groups;
    const struct shape weight = { .rank = 4, .dim = { c->out, in, c->kernel, c->kernel } };
    const struct shape each = { .rank = 1, .dim = { c->out } };
    const int more[] = {
        param(b, name, "weight", &weight, law_of(b->zoo->init, in * taps, c->out / groups * taps), true),
        c->bias ? param(b, name, "bias", &each, constant(0), true) : -1,
    };
    struct node *n = zoo_node(b, "Conv", name, more, 2);
    if (!n)
        return;
    if (node_set_ints(n, "kernel_shape", (const int64_t[]){ c->kernel, c->kernel }, 2) ||
        node_set_ints(n, "pads", (const int64_t[]){ pad, pad, pad, pad }, 4) ||
        node_set_ints(n, "strides", (const int64_t[]){ stride, stride }, 2) ||
        (groups > 1 && node_set_int(n, "group", groups)))
        zoo_nomem(b);
    s->dim[0] = c->out;
    for (int a = 1; a <= 2; ++a)
        s->dim[a] = (s->dim[a] + 2 * pad - c->kernel) / stride + 1;
}

void zoo_bn(struct zoo_build *b, const char *name, double epsilon)
{
    const struct shape each = { .rank = 1, .dim = { b->tip.shape.dim[0] } };
    const int all[] = {
        param(b, name, "weight", &each, constant(1), true),
        param(b, name, "bias", &each, constant(0), true),
        param(b, name, "running_mean", &each, constant(0), false),
        param(b, name, "running_var", &each, constant(1), false),
    };
    struct node *n = zoo_node(b, "BatchNormalization", name, all, 4);
    if (n && epsilon > 0 && node_set_float(n, "epsilon", epsilon))
        zoo_nomem(b);
}

static void gemm(struct zoo_build *b, const char *name, int out, struct law law)
{
    const struct shape weight = { .rank = 2, .dim = { out, b->tip.shape.dim[0] } };
    const struct shape each = { .rank = 1, .dim = { out } };
    const int more[] = {
        param(b, name, "weight", &weight, law, true),
        param(b, name, "bias", &each, constant(0), true),
    };
    struct node *n = zoo_node(b, "Gemm", name, more, 2);
    if (n && node_set_int(n, "transB", 1))
        zoo_nomem(b);
    b->tip.shape.dim[0] = out;
}

/* A fully connected layer has so few outputs at the end, and so many inputs, that the fan-out says nothing.
 */
void zoo_linear(struct zoo_build *b, const char *name, int out)
{
    const enum zoo_init init = b->zoo->init == ZOO_HE_OUT ? ZOO_HE : b->zoo->init;
    gemm(b, name, out, law_of(init, b->tip.shape.dim[0], out));
}

void zoo_head(struct zoo_build *b, const char *name)
{
    struct law law = { .variance = 1.0 / (double)b->tip.shape.dim[0] };
    if (b->zoo->init == ZOO_XAVIER)
        law.uniform = true;
    gemm(b, name, b->request->classes, law);
}

void zoo_prelu(struct zoo_build *b, const char *name)
{
    const struct shape one = { .rank = 3, .dim = { 1, 1, 1 } };
    const int slope = param(b, name, "weight", &one, constant(0.25F), true);
    zoo_node(b, "PRelu", name, &slope, 1);
}
