/* lanes_bits.c - convolution by bit planes (bits.h) for one instruction set.
 *
 * A block's codes are laid out as planes first: [word of 32 channels][plane][H][W][16 samples], a pixel of a
 * plane as large as one of codes. Then columns of output pixels and tables of steps are those of
 * lanes_int8.c; a tile goes through all steps once for each pair of planes.
 *
 * Bits of a word are counted by vpopcntd where the CPU has it. Elsewhere they are counted byte by byte, by
 * looking up nibbles or in halves of halves, and bytes are added up until they might overflow. */
#include "worker/kernels/bits.h"
#include "worker/kernels/lanes_finish.h"

#if defined(__AVX512F__)
enum { WIDEST = 6 };
#else
enum { WIDEST = 2 };
#endif

struct product {
    const struct bits_conv *k;
    const struct bits_weights *w;
    const ptrdiff_t *step; /* bytes */
    int steps;
    ptrdiff_t plane; /* bytes from one plane to the next */
    const int32_t *start;
    struct finish finish;
    ivec window[BITS_CODES][CHUNK]; /* sums of the windows of the columns, by rest */
};

/* --- counting --- */

typedef const uint8_t *const place;

#if defined(__AVX512VPOPCNTDQ__)

INLINE ivec count_words(ivec x)
{
    return (ivec)_mm512_popcnt_epi32((__m512i)x);
}

/* n += or -= the bits that column j and output i have in common, over all steps of a pair of planes. */
INLINE void count_pair(ivec n[WIDEST][QUAD], place in[WIDEST], const ptrdiff_t *step, int steps,
                       const uint32_t *w, const int P, const bool minus)
{
    for (int s = 0; s < steps; s++, w += QUAD) {
        ivec x[WIDEST];
        EACH (j, P)
            x[j] = *(const ivec *)(in[j] + step[s]);
        EACH (i, QUAD) {
            const ivec weight = all_ints((int32_t)w[i]);
            EACH (j, P)
                n[j][i] += minus ? -count_words(x[j] & weight) : count_words(x[j] & weight);
        }
    }
}

#else

/* A vector as it is counted: nibbles apart, or as it is. */
struct split {
    ivec low, high;
};

#if defined(__AVX2__)

INLINE struct split split_codes(ivec x)
{
    return (struct split){ x & 0x0f0f0f0f, (ivec)((uvec)x >> 4) & 0x0f0f0f0f };
}

INLINE struct split split_weights(ivec w)
{
    return (struct split){ w, (ivec)((uvec)w >> 4) };
}

INLINE ivec nibble_bits(ivec x)
{
    static const uint8_t table[16]
        __attribute__((aligned(16))) = { 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4 };
    const __m128i four = *(const __m128i *)table;
#if defined(__AVX512BW__)
    return (ivec)_mm512_shuffle_epi8(_mm512_broadcast_i32x4(four), (__m512i)x);
#else
    return (ivec)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(four), (__m256i)x);
#endif
}

/* Of each byte the bits that x and w have in common. */
INLINE ivec count_bytes(struct split x, struct split w)
{
    return nibble_bits(x.low & w.low) + nibble_bits(x.high & w.high);
}

#else

INLINE struct split split_codes(ivec x)
{
    return (struct split){ x, x };
}

INLINE struct split split_weights(ivec w)
{
    return split_codes(w);
}

INLINE ivec count_bytes(struct split x, struct split w)
{
    uvec v = (uvec)(x.low & w.low);
    v -= (v >> 1) & 0x55555555;
    v = (v & 0x33333333) + ((v >> 2) & 0x33333333);
    return (ivec)((v + (v >> 4)) & 0x0f0f0f0f);
}

#endif

INLINE ivec add_bytes(ivec bytes)
{
    return dot_narrow((ivec){ 0 }, bytes, all_ints(0x01010101));
}

INLINE ivec count_words(ivec x)
{
    return add_bytes(count_bytes(split_codes(x), split_weights(all_ints(-1))));
}

INLINE void count_pair(ivec n[WIDEST][QUAD], place in[WIDEST], const ptrdiff_t *step, int steps,
                       const uint32_t *w, const int P, const bool minus)
{
    enum { FULL = 31 }; /* steps until a byte might overflow */
    for (int from = 0; from < steps; from += FULL) {
        const int to = steps - from < FULL ? steps : from + FULL;
        uvec bytes[WIDEST][QUAD];
        EACH (j, P)
            EACH (i, QUAD)
                bytes[j][i] = (uvec){ 0 };
        for (int s = from; s < to; s++, w += QUAD) {
            struct split x[WIDEST];
            EACH (j, P)
                x[j] = split_codes(*(const ivec *)(in[j] + step[s]));
            EACH (i, QUAD) {
                const struct split weight = split_weights(all_ints((int32_t)w[i]));
                EACH (j, P)
                    bytes[j][i] += (uvec)count_bytes(x[j], weight);
            }
        }
        EACH (j, P)
            EACH (i, QUAD)
                n[j][i] += minus ? -add_bytes((ivec)bytes[j][i]) : add_bytes((ivec)bytes[j][i]);
    }
}

#endif

/* --- tiles --- */

/* What a sum is before its bits are counted. */
INLINE ivec sum_start(const struct product *p, int column, int out)
{
    ivec sum = all_ints(p->start ? p->start[out] : 0);
    const int32_t *rest = p->w->rest + out;
    for (int i = 0; i < p->k->rests; i++, rest += quads(p->k->conv.O) * QUAD)
        sum += p->window[i][column] * *rest;
    return sum;
}

INLINE void tile(const struct product *p, const struct columns *c, int at, int out, const int P)
{
    const struct bits_conv *k = p->k;
    const int steps = p->steps;
    const uint32_t *word = p->w->word + (size_t)out * k->w_planes * steps;
    ivec sum[WIDEST][QUAD], n[WIDEST][QUAD];
    EACH (j, P)
        EACH (i, QUAD) {
            sum[j][i] = sum_start(p, at + j, out + i);
            n[j][i] = (ivec){ 0 };
        }
    for (const struct bits_term *t = k->term, *end = t + k->terms; t < end; t++) {
        const uint32_t *w = word + (size_t)t->w * steps * QUAD;
        const uint8_t *in[WIDEST];
        EACH (j, P)
            in[j] = c->x[at + j] + t->x * p->plane;
        if (t->minus)
            count_pair(n, in, p->step, steps, w, P, true);
        else
            count_pair(n, in, p->step, steps, w, P, false);
        if (t->twice)
            EACH (j, P)
                EACH (i, QUAD)
                    n[j][i] += n[j][i];
        if (t->flush)
            EACH (j, P)
                EACH (i, QUAD) {
                    sum[j][i] += n[j][i] * p->w->worth[t->worth * quads(k->conv.O) * QUAD + out + i];
                    n[j][i] = (ivec){ 0 };
                }
    }
    EACH (j, P)
        finish_column(&p->finish, sum[j], out, c->y[at + j], c->z[at + j]);
}

typedef void tile_fn(const struct product *p, const struct columns *c, int at, int out);

#define TILE(P)                                                                                              \
    static void tile_##P(const struct product *p, const struct columns *c, int at, int out)                  \
    {                                                                                                        \
        tile(p, c, at, out, P);                                                                              \
    }

TILE(1)
TILE(2)
#if defined(__AVX512F__)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
static tile_fn *const tile_table[WIDEST] = { tile_1, tile_2, tile_3, tile_4, tile_5, tile_6 };
#else
static tile_fn *const tile_table[WIDEST] = { tile_1, tile_2 };
#endif

/* The sum of (x - base) over the window of each column; or what each plane has there. */
static void sum_windows(struct product *p, const struct columns *c)
{
    const uint32_t *ones = p->w->word + (size_t)quads(p->k->conv.O) * QUAD * p->k->w_planes * p->steps;
    for (int j = 0; j < c->count; j++) {
        for (int i = 0; i < p->k->rests; i++)
            p->window[i][j] = (ivec){ 0 };
        for (int i = 0; i < p->k->x_planes; i++) {
            ivec sum = { 0 };
            for (int s = 0; s < p->steps; s++)
                sum += count_words(*(const ivec *)(c->x[j] + i * p->plane + p->step[s]) &
                                   all_ints((int32_t)ones[s]));
            p->window[p->k->rests > 1 ? i : 0][j] += sum * p->k->x_worth[i];
        }
    }
}

/* Empties the columns, in tiles of nearly equal width. */
static void product_run(struct product *p, struct columns *c)
{
    const int tiles = (c->count + WIDEST - 1) / WIDEST;
    if (p->k->rests)
        sum_windows(p, c);
    for (int out = 0; c->count && out < p->finish.outs; out += QUAD)
        for (int t = 0; t < tiles; t++) {
            const int lo = c->count * t / tiles, hi = c->count * (t + 1) / tiles;
            tile_table[hi - lo - 1](p, c, lo, out);
        }
    c->count = 0;
}

/* --- planes of one block --- */

static size_t padded_pixels(const struct conv *c)
{
    return (size_t)(c->H + c->top + c->bottom) * (size_t)(c->W + c->left + c->right);
}

static size_t table_bytes(const struct conv *c)
{
    return ((size_t)bits_steps(c) * sizeof(ptrdiff_t) + 63) / 64 * 64;
}

static size_t scratch(const struct bits_conv *k)
{
    return table_bytes(&k->conv) +
           (size_t)bits_words(&k->conv) * k->x_planes * padded_pixels(&k->conv) * PIXEL;
}

/* Bit first + i of the four channels of up to eight quads, `distance` bytes apart, to word i of `planes`,
 * `plane` bytes apart: channel q * 4 + b at bit b * 8 + q. */
INLINE void pack_vector(const uint8_t *code, ptrdiff_t distance, int quad_count, ivec base, int first,
                        uint8_t *to, ptrdiff_t plane, const int planes)
{
    ivec word[BITS_PLANES];
    EACH (i, planes)
        word[i] = (ivec){ 0 };
    for (int q = 0; q < quad_count; q++) {
        const uvec x = (*(const uvec *)(code + q * distance) - (uvec)base) >> first; /* may wrap */
        EACH (i, planes)
            word[i] |= (ivec)(((x >> i) & 0x01010101) << q);
    }
    EACH (i, planes)
        *(ivec *)(to + i * plane) = word[i];
}

INLINE void pack_row(const uint8_t *code, ptrdiff_t distance, int quad_count, int pixels, uint8_t base,
                     int first, uint8_t *to, ptrdiff_t plane, const int planes)
{
    const ivec four = all_ints(base * 0x01010101);
    for (int at = 0; at < pixels * PIXEL; at += VEC_BYTES)
        pack_vector(code + at, distance, quad_count, four, first, to + at, plane, planes);
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* The part of the picture that the caller has in memory; the rest is zeros. */
static void pack_word(const struct bits_conv *k, const struct int8_in *x, const uint8_t *code, int word,
                      uint8_t *to, ptrdiff_t plane)
{
    const struct conv *c = &k->conv;
    const int width = c->left + c->W + c->right, top = x->margins ? c->top : 0,
              left = x->margins ? c->left : 0;
    const int rows = top + c->H + (x->margins ? c->bottom : 0),
              row = left + c->W + (x->margins ? c->right : 0);
    const int count = smaller(8, quads(c->C) - word * 8);
    const int places = 0xff >> (8 - 8 / bits_taps(c)); /* those of one tap */
    code += (word * 8 * x->plane - top * x->row - left) * PIXEL;
    for (int i = 0; !x->margins && i < k->x_planes; i++)
        memset(to + i * plane, (k->zero - k->base) >> i & 1 ? places : 0, (size_t)plane);
    to += ((c->top - top) * width + c->left - left) * PIXEL;
    for (int h = 0; h < rows; h++, code += x->row * PIXEL, to += width * PIXEL)
        switch (k->x_planes) {
        case 1:
            pack_row(code, x->plane * PIXEL, count, row, k->base, 0, to, plane, 1);
            break;
        case 2:
            pack_row(code, x->plane * PIXEL, count, row, k->base, 0, to, plane, 2);
            break;
        case 3:
            pack_row(code, x->plane * PIXEL, count, row, k->base, 0, to, plane, 3);
            break;
        case 4:
            pack_row(code, x->plane * PIXEL, count, row, k->base, 0, to, plane, 4);
            break;
        default:
            for (int i = 0; i < k->x_planes; i++)
                pack_row(code, x->plane * PIXEL, count, row, k->base, i, to + i * plane, plane, 1);
        }
}

/* Taps of a row that share a word: every pixel takes its neighbours' bits in. What the last ones of a plane
 * miss is never looked at. */
static void join_taps(const struct conv *c, uint8_t *plane, ptrdiff_t bytes)
{
    const int taps = bits_taps(c), shift = 8 / taps;
    const ptrdiff_t distance = c->dilation_w * PIXEL;
    for (ptrdiff_t at = 0; taps > 1 && at < bytes; at += VEC_BYTES) {
        ivec word = *(const ivec *)(plane + at);
        for (int t = 1; t < taps && at + t * distance < bytes; t++)
            word |= *(const ivec *)(plane + at + t * distance) << t * shift;
        *(ivec *)(plane + at) = word;
    }
}

static void fill_steps(const struct bits_conv *k, ptrdiff_t plane, ptrdiff_t *step)
{
    const struct conv *c = &k->conv;
    const ptrdiff_t width = c->left + c->W + c->right;
    for (int word = 0; word < bits_words(c); word++)
        for (int kh = 0; kh < c->KH; kh++)
            for (int kw = 0; kw < c->KW; kw += bits_taps(c))
                *step++ =
                    word * k->x_planes * plane + (kh * c->dilation_h * width + kw * c->dilation_w) * PIXEL;
}

static void pack_block(const struct bits_conv *k, const struct int8_in *x, int block, uint8_t *to,
                       ptrdiff_t plane)
{
    for (int word = 0; word < bits_words(&k->conv); word++, to += k->x_planes * plane) {
        pack_word(k, x, x->code + block * x->block * PIXEL, word, to, plane);
        for (int i = 0; i < k->x_planes; i++)
            join_taps(&k->conv, to + i * plane, plane);
    }
}

static void walk_block(struct product *p, struct columns *columns, const uint8_t *planes, int block)
{
    const struct conv *c = &p->k->conv;
    const struct int8_out *out = p->finish.out;
    const ptrdiff_t width = c->left + c->W + c->right;
    for (int oh = 0; oh < c->OH; oh++)
        for (int ow = 0; ow < c->OW; ow++) {
            if (columns->count + BYTE_PARTS > CHUNK)
                product_run(p, columns);
            columns_add(columns, planes + (oh * c->stride_h * width + ow * c->stride_w) * PIXEL,
                        block * out->block + oh * out->row + ow,
                        block * out->codes.block + oh * out->codes.row + ow);
        }
    product_run(p, columns);
}

static void conv(const struct bits_conv *k, const struct int8_in *x, const struct bits_weights *w,
                 const struct int8_out *y, int lo, int hi, void *memory)
{
    const struct conv *c = &k->conv;
    uint8_t *planes = (uint8_t *)memory + table_bytes(c);
    struct product p = { .k = k,
                         .w = w,
                         .step = memory,
                         .steps = bits_steps(c),
                         .plane = (ptrdiff_t)padded_pixels(c) * PIXEL,
                         .start = y->start,
                         .finish = { y, y->factor, y->shift, 0, c->O } };
    struct columns columns = { .count = 0 };
    fill_steps(k, p.plane, memory);
    for (int b = lo; b < hi; b++) {
        pack_block(k, x, b, planes, p.plane);
        walk_block(&p, &columns, planes, b);
    }
}

const struct bits_kernels SYMBOL(bits_, KERNEL_SET) = { .scratch = scratch, .conv = conv };
