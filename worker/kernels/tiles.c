#include "worker/kernels/tiles.h"

struct tiling tiles_of(const struct conv *c)
{
    int m = 7 - c->KH, rows = (c->OH + m - 1) / m, columns = (c->OW + m - 1) / m;
    return (struct tiling){ m, columns, rows * columns };
}

/* What the passes cost, in multiply-adds of a vector of samples, measured on Zen 4 with avx512
 * (tests/bench/kernels.c): a product of the tiles waits for memory now and then, and the transform of a
 * channel's tile, there or back, is as long as so many. All sets decide alike, and by the layer alone, so
 * that a result does not depend on the machine. */
enum {
    TILE_PRODUCTS = 41,    /* for each pair of input and output channel, instead of 36 */
    TILE_TRANSFORM = 450,  /* for each of the input and output channels */
    TILE_WEIGHTS = 1 << 17 /* pairs of channels: the transformed weights of more would fill all caches */
};

bool tiles_pay(const struct conv *c)
{
    if (c->groups != 1 || c->KH != c->KW || (c->KH != 3 && c->KH != 5) || (c->stride_h | c->stride_w) != 1 ||
        (c->dilation_h | c->dilation_w) != 1 || (int64_t)c->C * c->O > TILE_WEIGHTS)
        return false;
    int64_t pairs = (int64_t)c->C * c->O, transforms = c->C + c->O;
    return (uint64_t)tiles_of(c).tiles * (TILE_PRODUCTS * pairs + TILE_TRANSFORM * transforms) < conv_macs(c);
}
