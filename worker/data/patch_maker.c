/* patch_maker.c - one patch, shrunk and perhaps enlarged, from a window that is a little larger than the
 * patch.
 *
 * Outside the image the window goes on as a mirror image (or with the edge pixel, for bytes). Shrinking a
 * mirrored image gives the mirror image of the shrunk one, so the window sees what the whole image would have
 * shown. */
#include "base/mem.h"
#include "worker/data/patch.h"
#include "worker/image/bicubic.h"
#include "worker/image/color.h"

#include <stdlib.h>

/* Small pixels around the patch: enlarging reaches for 3 of them, each of which is made from 3 around it. */
enum { MARGIN = 6 };

struct patch_maker {
    int size, scale, channels;
    bool enlarged, bytes;
    int side, small_side;             /* of the window and of the window shrunk */
    struct bicubic *shrink, *enlarge; /* owned; enlarge may be NULL */
    uint8_t *row;                     /* owned: a row of the window [side][3] */
    double *window, *small, *large;   /* owned: [channels][side][side], [small_side]^2, [side]^2 */
};

static int maker_fill(struct patch_maker *m, struct err *e)
{
    const enum bicubic_edge edge = m->bytes ? BICUBIC_CLAMP : BICUBIC_MIRROR;
    const size_t side = (size_t)m->side, small = (size_t)m->small_side;
    int r = bicubic_new(m->side, m->side, m->small_side, m->small_side, edge, &m->shrink, e);

    if (r == 0 && m->enlarged)
        r = bicubic_new(m->small_side, m->small_side, m->side, m->side, edge, &m->enlarge, e);
    m->row = mem_array(side, 3);
    m->window = mem_array(side * side * (size_t)m->channels, sizeof *m->window);
    m->small = mem_array(small * small, sizeof *m->small);
    m->large = mem_array(side * side, sizeof *m->large);
    if (r == 0 && (m->row == NULL || m->window == NULL || m->small == NULL || m->large == NULL))
        r = err_set(e, ERR_NOMEM, "no memory to make patches of %d pixels", m->size);
    return r;
}

int patch_maker_new(int size, int scale, bool rgb, bool enlarged, struct patch_maker **out, struct err *e)
{
    *out = NULL;
    if (scale < 1 || size < scale || size % scale != 0 || size > IMAGE_SIDE_MAX)
        return err_set(e, ERR_INVALID, "patches of %d pixels can't be shrunk by %d", size, scale);
    struct patch_maker *m = mem_alloc(sizeof *m);
    if (m == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    m->size = size;
    m->scale = scale;
    m->channels = rgb ? 3 : 1;
    m->enlarged = enlarged;
    m->bytes = rgb && !enlarged;
    m->small_side = size / scale + 2 * MARGIN;
    m->side = m->small_side * scale;
    int r = maker_fill(m, e);
    if (r < 0)
        patch_maker_free(m);
    else
        *out = m;
    return r;
}

void patch_maker_free(struct patch_maker *m)
{
    if (m == NULL)
        return;
    bicubic_free(m->shrink);
    bicubic_free(m->enlarge);
    free(m->row);
    free(m->window);
    free(m->small);
    free(m->large);
    free(m);
}

/* --- the window --- */

static int inside(const struct patch_maker *m, int i, int n)
{
    if (m->bytes)
        return i < 0 ? 0 : i < n ? i : n - 1;
    i %= 2 * n;
    i += i < 0 ? 2 * n : 0;
    return i < n ? i : 2 * n - 1 - i;
}

static void window_row(struct patch_maker *m, const struct image *image, int width, int from_y, int left,
                       int y)
{
    const uint8_t *from = image->pixel + (size_t)from_y * image->width * image->channels;
    const size_t plane = (size_t)m->side * m->side;
    double *to = m->window + (size_t)y * m->side;

    for (int x = 0; x < m->side; x++) {
        const uint8_t *p = from + (size_t)inside(m, left + x, width) * image->channels;
        for (int c = 0; c < 3; c++)
            m->row[3 * x + c] = p[image->channels == 3 ? c : 0];
    }
    if (m->channels == 1) {
        color_luma_row(m->row, 3, m->side, to);
        return;
    }
    for (int c = 0; c < 3; c++)
        for (int x = 0; x < m->side; x++)
            to[c * plane + x] = m->row[3 * x + c];
}

static void window_read(struct patch_maker *m, const struct image *image, const struct patch *at)
{
    const int width = image->width - image->width % m->scale,
              height = image->height - image->height % m->scale;
    const int margin = MARGIN * m->scale;

    for (int y = 0; y < m->side; y++)
        window_row(m, image, width, inside(m, at->top - margin + y, height), at->left - margin, y);
}

/* --- into lanes --- */

/* The n x n values inside `margin` of a window, turned; values of 0..255 become 0..1. */
static void put(const double *window, int side, int margin, int n, int turn, real *x, int lane)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            int y = i, u = turn & 1 ? n - 1 - j : j;
            for (int quarter = turn >> 1; quarter > 0; quarter--) {
                const int keep = y;
                y = u;
                u = n - 1 - keep;
            }
            x[((size_t)i * n + j) * LANES + lane] =
                (real)(window[(size_t)(y + margin) * side + u + margin] / 255);
        }
}

void patch_make(struct patch_maker *m, const struct image *image, const struct patch *at, real *input,
                real *truth, int lane)
{
    const int margin = MARGIN * m->scale, n = m->enlarged ? m->size : m->size / m->scale;
    const size_t plane = (size_t)m->side * m->side;

    window_read(m, image, at);
    for (int c = 0; c < m->channels; c++) {
        const double *window = m->window + c * plane;
        put(window, m->side, margin, m->size, at->turn, truth + (size_t)c * m->size * m->size * LANES, lane);
        real *in = input + (size_t)c * n * n * LANES;
        if (m->bytes)
            bicubic_run_bytes(m->shrink, window, m->small);
        else
            bicubic_run(m->shrink, window, m->small);
        if (!m->enlarged) {
            put(m->small, m->small_side, MARGIN, n, at->turn, in, lane);
            continue;
        }
        bicubic_run(m->enlarge, m->small, m->large);
        put(m->large, m->side, margin, n, at->turn, in, lane);
    }
}
