/* lanes_int8.c - convolution of codes (int8.h) for one instruction set.
 *
 * As in lanes_product.h, columns are vectors of output pixels and steps are (quad of channels, tap), with a
 * table of where a step's codes lie from the pixel's; the weights of four outputs lie in the order of the
 * steps. A register tile is four outputs times COLUMNS vectors: those four are also a quad of the next layer,
 * so codes are made and stored together without another pass. */
#include "worker/kernels/lanes_finish.h"

/* Tiles that fit the registers, with narrow weights and with any. */
#if defined(__AVX512VNNI__)
enum { WIDEST = 6, WIDEST_WIDE = 6 };
#elif defined(__AVX512F__)
enum { WIDEST = 6, WIDEST_WIDE = 4 };
#else
enum { WIDEST = 2, WIDEST_WIDE = 2 };
#endif

struct product {
    const ptrdiff_t *step; /* bytes */
    int steps;
    const int8_t *w;
    ptrdiff_t w_quad; /* bytes from four outputs to the next */
    const int32_t *start;
    struct finish finish;
    bool narrow;
};

INLINE void tile(const struct product *p, const struct columns *c, int at, int out, const int P,
                 const bool narrow)
{
    const uint8_t *in[WIDEST];
    ivec sum[WIDEST][QUAD];
    EACH (j, P) {
        in[j] = c->x[at + j];
        EACH (i, QUAD)
            sum[j][i] = all_ints(p->start ? p->start[out + i] : 0);
    }
    const int8_t *w = p->w + out / QUAD * p->w_quad;
    for (const ptrdiff_t *s = p->step, *end = s + p->steps; s < end; s++, w += QUAD * QUAD) {
        if (narrow) {
            ivec v[WIDEST];
            EACH (j, P)
                v[j] = *(const ivec *)(in[j] + *s);
            EACH (i, QUAD) {
                ivec weight = load_quad(w + i * QUAD);
                EACH (j, P)
                    sum[j][i] = dot_narrow(sum[j][i], v[j], weight);
            }
        } else {
            struct halves v[WIDEST_WIDE];
            EACH (j, P)
                v[j] = widen_codes(*(const ivec *)(in[j] + *s));
            EACH (i, QUAD) {
                struct halves weight = widen_weights(load_quad(w + i * QUAD));
                EACH (j, P)
                    sum[j][i] = dot_halves(sum[j][i], v[j], weight);
            }
        }
    }
    EACH (j, P)
        finish_column(&p->finish, sum[j], out, c->y[at + j], c->z[at + j]);
}

typedef void tile_fn(const struct product *p, const struct columns *c, int at, int out);

#define TILE(P)                                                                                              \
    static void tile_##P(const struct product *p, const struct columns *c, int at, int out)                  \
    {                                                                                                        \
        tile(p, c, at, out, P, false);                                                                       \
    }
#define NARROW(P)                                                                                            \
    static void narrow_##P(const struct product *p, const struct columns *c, int at, int out)                \
    {                                                                                                        \
        tile(p, c, at, out, P, true);                                                                        \
    }

/* By columns - 1: for any weights, and for narrow ones. */
#if defined(__AVX512VNNI__)
NARROW(1)
NARROW(2)
NARROW(3)
NARROW(4)
NARROW(5)
NARROW(6)
#define ALL_TILES                                                                                            \
    {                                                                                                        \
        narrow_1, narrow_2, narrow_3, narrow_4, narrow_5, narrow_6                                           \
    }
static tile_fn *const tile_table[2][WIDEST] = { ALL_TILES, ALL_TILES };
#elif defined(__AVX512F__)
TILE(1)
TILE(2)
TILE(3)
TILE(4)
NARROW(1)
NARROW(2)
NARROW(3)
NARROW(4)
NARROW(5)
NARROW(6)
static tile_fn *const tile_table[2][WIDEST] = {
    { tile_1, tile_2, tile_3, tile_4 },
    { narrow_1, narrow_2, narrow_3, narrow_4, narrow_5, narrow_6 },
};
#elif defined(__AVX2__)
TILE(1)
TILE(2)
NARROW(1)
NARROW(2)
static tile_fn *const tile_table[2][WIDEST] = { { tile_1, tile_2 }, { narrow_1, narrow_2 } };
#else
TILE(1)
TILE(2)
static tile_fn *const tile_table[2][WIDEST] = { { tile_1, tile_2 }, { tile_1, tile_2 } };
#endif

/* Empties the columns, in tiles of nearly equal width. */
static void product_run(const struct product *p, struct columns *c)
{
    int widest = p->narrow ? WIDEST : WIDEST_WIDE, tiles = (c->count + widest - 1) / widest;
    for (int out = 0; c->count && out < p->finish.outs; out += QUAD)
        for (int t = 0; t < tiles; t++) {
            int lo = c->count * t / tiles, hi = c->count * (t + 1) / tiles;
            tile_table[p->narrow][hi - lo - 1](p, c, lo, out);
        }
    c->count = 0;
}

/* Add the vectors of one pixel; y and z in pixels. */
INLINE void product_pixel(const struct product *p, struct columns *c, const uint8_t *x, ptrdiff_t y,
                          ptrdiff_t z)
{
    if (c->count + BYTE_PARTS > CHUNK)
        product_run(p, c);
    columns_add(c, x, y, z);
}

/* The input of one group as it is walked: the caller's, or a padded copy of a few blocks. */
struct image {
    struct int8_in in; /* code: pixel (0, 0) of the padded image of block `base` */
    int base, together;
    uint8_t *copy;
};

/* Blocks that are copied together, so that small images fill the tiles too. */
static int copied_blocks(const struct conv *c)
{
    int pixels = c->OH * c->OW;
    return pixels >= 24 ? 1 : pixels >= 12 ? 2 : 4;
}

static bool copies(const struct int8_conv *k, const struct int8_in *x)
{
    const struct conv *c = &k->conv;
    return !x->margins && (c->top || c->left || c->bottom || c->right);
}

static size_t copy_bytes(const struct conv *c)
{
    size_t pixels = (size_t)(c->H + c->top + c->bottom) * (c->W + c->left + c->right);
    return copied_blocks(c) * quads(int8_groups(c).channels) * pixels * PIXEL;
}

static size_t table_bytes(const struct conv *c)
{
    size_t steps = (size_t)quads(int8_groups(c).channels) * c->KH * c->KW;
    return (steps * sizeof(ptrdiff_t) + 63) / 64 * 64;
}

static size_t scratch(const struct int8_conv *k)
{
    return table_bytes(&k->conv) + copy_bytes(&k->conv);
}

static void copy_block(const struct conv *c, const struct image *m, const uint8_t *from,
                       const struct int8_in *x, int slot, int planes)
{
    for (int q = 0; q < planes; q++)
        for (int h = 0; h < c->H; h++) {
            ptrdiff_t at = slot * m->in.block + q * m->in.plane + (h + c->top) * m->in.row + c->left;
            memcpy(m->copy + at * PIXEL, from + (q * x->plane + h * x->row) * PIXEL, (size_t)c->W * PIXEL);
        }
}

/* One joined group of outputs and its channels. */
struct group {
    const struct int8_conv *k;
    const struct int8_in *x;
    struct image image;
    int planes, first_plane;
};

static struct image image_of(const struct group *g, void *copy)
{
    const struct conv *c = &g->k->conv;
    const uint8_t *code = g->x->code + g->first_plane * g->x->plane * PIXEL;
    if (!copies(g->k, g->x)) {
        struct image m = { .in = *g->x };
        m.in.code = code - (c->top * g->x->row + c->left) * PIXEL;
        return m;
    }
    struct image m = { .together = copied_blocks(c), .copy = copy };
    m.in.code = copy;
    m.in.row = c->W + c->left + c->right;
    m.in.plane = (c->H + c->top + c->bottom) * m.in.row;
    m.in.block = g->planes * m.in.plane;
    memset(copy, g->k->zero, (size_t)(m.together * m.in.block) * PIXEL);
    return m;
}

/* Blocks [lo, hi): those of an image are in memory now. */
static void image_load(struct group *g, int lo, int hi)
{
    g->image.base = g->image.together ? lo : 0;
    for (int b = lo; g->image.together && b < hi; b++)
        copy_block(&g->k->conv, &g->image,
                   g->x->code + (b * g->x->block + g->first_plane * g->x->plane) * PIXEL, g->x, b - lo,
                   g->planes);
}

static void fill_steps(const struct conv *c, const struct image *m, int planes, ptrdiff_t *step)
{
    for (int q = 0; q < planes; q++)
        for (int kh = 0; kh < c->KH; kh++)
            for (int kw = 0; kw < c->KW; kw++)
                *step++ = (q * m->in.plane + kh * c->dilation_h * m->in.row + kw * c->dilation_w) * PIXEL;
}

static void walk_block(const struct group *g, const struct product *p, struct columns *columns, int block)
{
    const struct conv *c = &g->k->conv;
    const struct int8_in *in = &g->image.in;
    const uint8_t *x = in->code + (block - g->image.base) * in->block * PIXEL;
    const struct int8_codes *codes = &p->finish.out->codes;
    ptrdiff_t y = block * p->finish.out->block, z = block * codes->block;
    for (int oh = 0; oh < c->OH; oh++)
        for (int ow = 0; ow < c->OW; ow++)
            product_pixel(p, columns, x + (oh * c->stride_h * in->row + ow * c->stride_w) * PIXEL,
                          y + oh * p->finish.out->row + ow, z + oh * codes->row + ow);
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static void conv_group(const struct int8_conv *k, const struct int8_in *x, const int8_t *w,
                       const struct int8_out *y, int lo, int hi, void *memory, int index)
{
    const struct conv *c = &k->conv;
    struct int8_groups joined = int8_groups(c);
    int first = index * joined.outputs, planes = quads(joined.channels);
    struct group g = { .k = k, .x = x, .first_plane = index * planes };
    g.planes = smaller(planes, quads(c->C) - g.first_plane);
    g.image = image_of(&g, (char *)memory + table_bytes(c));
    fill_steps(c, &g.image, g.planes, memory);
    struct product p = {
        .step = memory,
        .steps = g.planes * c->KH * c->KW,
        .w_quad = (ptrdiff_t)planes * c->KH * c->KW * QUAD * QUAD,
        .start = y->start ? y->start + first : NULL,
        .finish = { .out = y,
                    .factor = y->factor + (y->factor ? first : 0),
                    .shift = y->shift + (y->shift ? first : 0),
                    .first = first,
                    .outs = smaller(joined.outputs, c->O - first) },
        .narrow = k->narrow,
    };
    p.w = w + first / QUAD * p.w_quad;
    struct columns columns = { .count = 0 };
    int together = g.image.together ? g.image.together : hi - lo;
    for (int at = lo; at < hi; at += together) {
        int end = smaller(at + together, hi);
        image_load(&g, at, end);
        for (int b = at; b < end; b++)
            walk_block(&g, &p, &columns, b);
        product_run(&p, &columns);
    }
}

static void conv(const struct int8_conv *k, const struct int8_in *x, const int8_t *w,
                 const struct int8_out *y, int lo, int hi, void *memory)
{
    int groups = int8_groups(&k->conv).count;
    for (int index = 0; index < groups; index++)
        conv_group(k, x, w, y, lo, hi, memory, index);
}

/* As many int32 as a vector has reals. */
typedef int32_t code_vec __attribute__((vector_size(VEC * sizeof(int32_t)), may_alias));

/* A NaN gives some code. */
INLINE code_vec code_of(vec x, const struct quant_range *r)
{
    vec q = clip(rounded(x / all(r->scale)) + all(r->zero), all(r->low), all(r->high));
    return __builtin_convertvector(q, code_vec) & 255;
}

INLINE void codes_of(uint8_t *code, const real *x, ptrdiff_t plane, size_t pixels,
                     const struct quant_range *r, const int channels)
{
    for (size_t i = 0; i < pixels * LANES; i += VEC) {
        code_vec quad = { 0 };
        EACH (c, channels)
            quad |= code_of(load(x + c * plane + i), r) << 8 * c;
        *(code_vec *)(code + i * QUAD) = quad;
    }
}

static void codes(uint8_t *code, const real *x, ptrdiff_t plane, int channels, size_t pixels,
                  const struct quant_range *r)
{
    const struct quant_range range = *r; /* codes may be anywhere, for all the compiler knows */
    switch (channels) {
    case 1:
        codes_of(code, x, plane, pixels, &range, 1);
        break;
    case 2:
        codes_of(code, x, plane, pixels, &range, 2);
        break;
    case 3:
        codes_of(code, x, plane, pixels, &range, 3);
        break;
    default:
        codes_of(code, x, plane, pixels, &range, QUAD);
    }
}

INLINE void norm_codes_of(uint8_t *code, const real *x, ptrdiff_t plane, size_t pixels, const struct norm *n,
                          const struct quant_range *r, const int channels)
{
    for (size_t i = 0; i < pixels * LANES; i += VEC) {
        code_vec quad = { 0 };
        EACH (c, channels)
            quad |= code_of((load(x + c * plane + i) - n[c].mean) * n[c].factor + n[c].shift, r) << 8 * c;
        *(code_vec *)(code + i * QUAD) = quad;
    }
}

static void norm_codes(uint8_t *code, const real *x, ptrdiff_t plane, int channels, size_t pixels,
                       const struct norm n[QUAD], const struct quant_range *r)
{
    const struct quant_range range = *r;
    struct norm norm[QUAD];
    memcpy(norm, n, (size_t)channels * sizeof *n);
    switch (channels) {
    case 1:
        norm_codes_of(code, x, plane, pixels, norm, &range, 1);
        break;
    case 2:
        norm_codes_of(code, x, plane, pixels, norm, &range, 2);
        break;
    case 3:
        norm_codes_of(code, x, plane, pixels, norm, &range, 3);
        break;
    default:
        norm_codes_of(code, x, plane, pixels, norm, &range, QUAD);
    }
}

static void numbers(real *x, const uint8_t *code, ptrdiff_t plane, int channels, size_t pixels, int zero,
                    real scale)
{
    for (size_t i = 0; i < pixels * LANES; i += VEC) {
        code_vec quad = *(const code_vec *)(code + i * QUAD);
        for (int c = 0; c < channels; c++)
            store(x + c * plane + i, __builtin_convertvector((quad >> 8 * c & 255) - zero, vec) * scale);
    }
}

const struct int8_kernels SYMBOL(int8_, KERNEL_SET) = {
    .scratch = scratch, .conv = conv, .codes = codes, .norm_codes = norm_codes, .numbers = numbers
};
