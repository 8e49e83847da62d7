#include "worker/kernels/bf16.h"

#include "worker/kernels/kernels.h"

static size_t round_up(size_t count, size_t to)
{
    return (count + to - 1) / to * to;
}

bool bf16_dense(const struct conv *c)
{
    const bool few = c->OH * c->OW <= BF16_FEW_PIXELS,
               many = c->C >= BF16_MANY_INPUTS && c->O >= BF16_MANY_OUTPUTS;
    return c->KH * c->KW == 1 && c->stride_h == 1 && c->stride_w == 1 && (few || many) &&
           !(c->top | c->left | c->bottom | c->right);
}

struct bf16_room bf16_room(const struct conv *c, int blocks)
{
    const size_t pair = sizeof(bf16_pair), pixel = LANES * pair, two = (size_t)(blocks + 1) / 2;
    const size_t out = (size_t)c->OH * c->OW * pixel, planes = (size_t)(c->O + 1) / 2;
    const size_t in = (size_t)(c->H + c->top + c->bottom) * (size_t)(c->W + c->left + c->right) * pixel;
    struct bf16_room r;
    r.dy_channels = 0;
    r.dy_blocks = r.dy_channels + planes * out * (size_t)blocks;
    r.x = r.dy_blocks + round_up((size_t)c->O, 8) * out * two;
    r.weights = r.x + round_up((size_t)c->C, LANES) * in * two;
    r.sums = r.weights + round_up(round_up((size_t)c->C, 8) * planes * (size_t)(c->KH * c->KW) * pair, 64);
    r.bytes = r.sums + round_up((size_t)blocks * (size_t)c->O * sizeof(real), 64);
    return r;
}
