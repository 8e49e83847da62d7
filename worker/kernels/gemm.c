/* gemm.c - the portable backend: im2col per block of 16 samples, products by OpenBLAS. It is also the oracle
 * that the other sets are compared with.
 *
 * A row of the column matrix is one kernel tap: the input pixels it meets, 16 samples each. So copying a tap
 * is copying pixels, and the product lands in the lanes layout. The library uses no threads of its own;
 * weight gradients go in fixed groups of output channels, since its order of sums depends on the shape. */
#include "worker/kernels/bf16.h"
#include "worker/kernels/fixed.h"
#include "worker/kernels/int8.h"
#include "worker/kernels/tiles.h"

#include <cblas.h>
#include <pthread.h>

static void one_thread(void)
{
    openblas_set_num_threads(1);
}

static bool usable(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, one_thread);
    return true;
}

/* Is the input its own column matrix? */
static bool is_direct(const struct conv *c)
{
    return c->KH == 1 && c->KW == 1 && c->stride_h == 1 && c->stride_w == 1 && c->OH == c->H &&
           c->OW == c->W && !(c->top | c->left | c->bottom | c->right);
}

static size_t conv_scratch(const struct conv *c)
{
    size_t taps = (size_t)(c->C / c->groups) * c->KH * c->KW;
    return is_direct(c) ? 0 : taps * c->OH * c->OW * LANES * sizeof(real);
}

/* For every tap and output pixel: `pixel` is the input's offset if it is `inside`, `column` the matrix's. */
#define FOR_TAPS(c, C, image, column, body)                                                                  \
    for (int i = 0; i < (C); i++)                                                                            \
        for (int kh = 0; kh < (c)->KH; kh++)                                                                 \
            for (int kw = 0; kw < (c)->KW; kw++)                                                             \
                for (int oh = 0; oh < (c)->OH; oh++)                                                         \
                    for (int ow = 0; ow < (c)->OW; ow++, (column) += LANES) {                                \
                        int h = oh * (c)->stride_h + kh * (c)->dilation_h - (c)->top;                        \
                        int w = ow * (c)->stride_w + kw * (c)->dilation_w - (c)->left;                       \
                        bool inside = h >= 0 && h < (c)->H && w >= 0 && w < (c)->W;                          \
                        size_t pixel = inside ? (((size_t)i * (c)->H + h) * (c)->W + w) * LANES : 0;         \
                        body                                                                                 \
                    }

static void image_to_columns(const struct conv *c, int C, const real *image, real *column)
{
    FOR_TAPS(c, C, image, column, {
        if (inside)
            memcpy(column, image + pixel, LANES * sizeof *column);
        else
            memset(column, 0, LANES * sizeof *column);
    })
}

static void add_columns_to_image(const struct conv *c, int C, const real *column, real *image)
{
    FOR_TAPS(c, C, image, column, {
        for (int lane = 0; inside && lane < LANES; lane++)
            image[pixel + lane] += column[lane];
    })
}

/* Channels and sizes of one group. */
struct part {
    int C, O, K, N;
    size_t in, out; /* elements of one block of the whole layer */
};

static struct part part_of(const struct conv *c)
{
    int C = c->C / c->groups, pixels = c->OH * c->OW;
    return (struct part){
        .C = C,
        .O = c->O / c->groups,
        .K = C * c->KH * c->KW,
        .N = pixels * LANES,
        .in = (size_t)c->C * c->H * c->W * LANES,
        .out = (size_t)c->O * pixels * LANES,
    };
}

static const real *columns_of(const struct conv *c, const struct part *p, const real *x, void *scratch)
{
    if (is_direct(c))
        return x;
    image_to_columns(c, p->C, x, scratch);
    return scratch;
}

static void conv_forward(const struct conv *c, const real *x, const real *w, const real *bias, real *y,
                         int lo, int hi, void *scratch)
{
    struct part p = part_of(c);
    for (int b = lo; b < hi; b++)
        for (int group = 0; group < c->groups; group++) {
            const real *columns =
                columns_of(c, &p, x + b * p.in + (size_t)group * p.C * c->H * c->W * LANES, scratch);
            real *out = y + b * p.out + (size_t)group * p.O * p.N;
            for (int o = 0; o < p.O; o++)
                for (int i = 0; i < p.N; i++)
                    out[(size_t)o * p.N + i] = bias ? bias[group * p.O + o] : 0;
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, p.O, p.N, p.K, 1,
                        w + (size_t)group * p.O * p.K, p.K, columns, p.N, 1, out, p.N);
        }
}

static void conv_backward_data(const struct conv *c, const real *dy, const real *w, real *dx, bool add,
                               int lo, int hi, void *scratch)
{
    struct part p = part_of(c);
    bool direct = is_direct(c);
    if (!add)
        memset(dx + lo * p.in, 0, (size_t)(hi - lo) * p.in * sizeof *dx);
    for (int b = lo; b < hi; b++)
        for (int group = 0; group < c->groups; group++) {
            real *image = dx + b * p.in + (size_t)group * p.C * c->H * c->W * LANES;
            real *columns = direct ? image : scratch;
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, p.K, p.N, p.O, 1,
                        w + (size_t)group * p.O * p.K, p.K, dy + b * p.out + (size_t)group * p.O * p.N, p.N,
                        direct ? 1 : 0, columns, p.N);
            if (!direct)
                add_columns_to_image(c, p.C, columns, image);
        }
}

static void bias_gradient(const struct part *p, int blocks, const real *dy, real *dbias, int lo, int hi)
{
    for (int o = lo; o < hi; o++)
        for (int b = 0; b < blocks; b++) {
            const real *from = dy + b * p->out + (size_t)o * p->N;
            real sum = 0;
            for (int i = 0; i < p->N; i++)
                sum += from[i];
            dbias[o] += sum;
        }
}

static void conv_backward_weight(const struct conv *c, int blocks, const real *x, const real *dy, real *dw,
                                 real *dbias, int lo, int hi, void *scratch)
{
    struct part p = part_of(c);
    if (dbias)
        bias_gradient(&p, blocks, dy, dbias, lo, hi);
    for (int group = lo / p.O; dw && group * p.O < hi; group++) {
        int first = lo > group * p.O ? lo : group * p.O;
        int end = hi < (group + 1) * p.O ? hi : (group + 1) * p.O;
        for (int b = 0; b < blocks; b++) {
            const real *columns =
                columns_of(c, &p, x + b * p.in + (size_t)group * p.C * c->H * c->W * LANES, scratch);
            for (int o = first, next; o < end; o = next) {
                next = (o / KERNELS_OUTPUTS + 1) * KERNELS_OUTPUTS;
                next = next < end ? next : end;
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, next - o, p.K, p.N, 1,
                            dy + b * p.out + (size_t)o * p.N, p.N, columns, p.N, 1, dw + (size_t)o * p.K,
                            p.K);
            }
        }
    }
}

const char *kernels_blas(void)
{
    return openblas_get_config();
}

extern const struct kernels kernels_gemm;

const struct kernels kernels_gemm = {
    .name = "blas",
    .usable = usable,
    .conv_scratch = conv_scratch,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weight = conv_backward_weight,
    .unary = unary_generic,
    .element = &element_generic,
    .pool = &pool_generic,
    .update = &update_generic,
    .int8 = &int8_generic,
    .bf16 = &bf16_generic,
    .fixed = &fixed_generic,
    .tiles = &tiles_generic,
};
