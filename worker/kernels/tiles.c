#include "worker/kernels/tiles.h"

struct tiling tiles_of(const struct conv *c)
{
    int m = 7 - c->KH, rows = (c->OH + m - 1) / m, columns = (c->OW + m - 1) / m;
    return (struct tiling){ m, columns, rows * columns };
}

/* What the passes cost, in multiply-adds of a vector of samples, measured on Zen 4 with avx512 and
 * avx512-vnni (tests/bench/kernels.c, bf16.c): a product of the tiles waits for memory now and then, and the
 * transform of a channel's tile, there or back, is as long as so many. All sets decide alike, and by the
 * layer alone, so that a result does not depend on the machine. */
enum {
    TILE_PRODUCTS = 41,     /* for each pair of input and output channel, instead of 36 */
    TILE_TRANSFORM = 450,   /* for each of the input and output channels */
    TILE_WEIGHTS = 1 << 17, /* pairs of channels: the transformed weights of more would fill all caches */
    TILE_TURN = 23,         /* of a pair's weights or their gradient, shared by the blocks of 64 samples */
    PAIR_PERCENT = 106,     /* of bf16's ideal, a multiply-add for two products */
    PAIR_PACKING = 12       /* for each number that comes in or whose gradient does */
};

static uint64_t tile_cost(const struct conv *c)
{
    int64_t pairs = (int64_t)c->C * c->O, transforms = c->C + c->O;
    return (uint64_t)tiles_of(c).tiles * (TILE_PRODUCTS * pairs + TILE_TRANSFORM * transforms);
}

bool tiles_pay(const struct conv *c)
{
    if (c->groups != 1 || c->KH != c->KW || (c->KH != 3 && c->KH != 5) || (c->stride_h | c->stride_w) != 1 ||
        (c->dilation_h | c->dilation_w) != 1 || (int64_t)c->C * c->O > TILE_WEIGHTS)
        return false;
    return tile_cost(c) < conv_macs(c);
}

/* Threads that share out the outputs all transform the whole input. That is too much where it is more than a
 * fifth of the work of one. */
bool tiles_part(const struct conv *c, int blocks)
{
    return blocks > 2 && tiles_pay(c) &&
           5 * (uint64_t)tiles_of(c).tiles * TILE_TRANSFORM * (uint64_t)c->C > tile_cost(c);
}

/* Pairs of output and tap along an axis of stride 1 that don't lie in the padding. */
static uint64_t met(int in, int out, int taps, int pad)
{
    uint64_t count = 0;
    for (int k = 0; k < taps; k++) {
        int first = pad > k ? pad - k : 0, end = in + pad - k < out ? in + pad - k : out;
        count += end > first ? end - first : 0;
    }
    return count;
}

/* Both gradients. On pairs padding is multiplied for that of the weights alone. */
bool tiles_beat_pairs(const struct conv *c)
{
    if (!tiles_pay(c))
        return false;
    const uint64_t pairs = (uint64_t)c->C * c->O, weight = conv_macs(c),
                   data = pairs * met(c->H, c->OH, c->KH, c->top) * met(c->W, c->OW, c->KW, c->left),
                   numbers = (uint64_t)c->C * c->H * c->W + (uint64_t)c->O * c->OH * c->OW;
    return 2 * (tile_cost(c) + TILE_TURN * pairs) <
           (weight + data) * PAIR_PERCENT / 200 + PAIR_PACKING * numbers;
}
