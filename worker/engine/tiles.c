#include "worker/engine/tiles.h"

#include "base/mem.h"
#include "worker/engine/program.h"

#include <stdlib.h>

/* The quad at row r and column c of the picture. */
static int32_t quad_at(const struct activation *t, int r, int c)
{
    if (r < 0 || r >= t->height || c < 0 || c >= t->width)
        return NOWHERE;
    const int lane = r / t->H * GRID + c / t->W;
    return (int32_t)((r % t->H * activation_row(t) + c % t->W) * LANES + lane);
}

static void find_source(struct patch *p)
{
    bool any = false;
    p->source = 0;
    for (int l = 0; l < LANES; l++) {
        if (p->from[l] == NOWHERE)
            continue;
        const ptrdiff_t pixel = p->from[l] / LANES; /* inside of a tile: not negative */
        p->source = any && pixel != p->source ? MANY : pixel;
        any = true;
        if (p->source == MANY)
            return;
    }
}

/* Lane (ty, tx) of the pixel at (i, j) is the picture's at (ty * down + i, tx * right + j). */
static struct patch patch_at(const struct activation *t, int down, int right, int i, int j)
{
    struct patch p = { 0 };
    for (int l = 0; l < LANES; l++)
        p.from[l] = quad_at(t, l / GRID * down + i, l % GRID * right + j);
    find_source(&p);
    return p;
}

static bool stays(const struct patch *p)
{
    for (int l = 0; l < LANES; l++)
        if (p->from[l] != p->to * LANES + l)
            return false;
    return true;
}

int tiles_margins(const struct activation *t, struct patch **list, int *count, struct err *e)
{
    *count = 0;
    *list = mem_array((size_t)activation_plane(t), sizeof **list);
    if (!*list)
        return err_set(e, ERR_NOMEM, "out of memory for the margins of tiles");
    for (int i = -t->top; i < t->H + t->bottom; i++)
        for (int j = -t->left; j < t->W + t->right; j++) {
            struct patch p = patch_at(t, t->H, t->W, i, j);
            p.to = i * activation_row(t) + j;
            if (!stays(&p))
                (*list)[(*count)++] = p;
        }
    return 0;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

bool tiles_conv(const struct activation *in, const struct conv *whole, struct conv *tile)
{
    struct conv *c = tile;
    *c = *whole;
    c->OH = tile_side(whole->OH);
    c->OW = tile_side(whole->OW);
    const int rows = (c->OH - 1) * c->stride_h + (c->KH - 1) * c->dilation_h + 1,
              columns = (c->OW - 1) * c->stride_w + (c->KW - 1) * c->dilation_w + 1;
    const bool fits = c->OH * c->stride_h == in->H && c->OW * c->stride_w == in->W;
    c->H = fits ? in->H : rows;
    c->W = fits ? in->W : columns;
    c->top = fits ? c->top : 0;
    c->left = fits ? c->left : 0;
    c->bottom = most(0, rows - c->top - c->H);
    c->right = most(0, columns - c->left - c->W);
    return fits;
}

int tiles_window(const struct activation *in, const struct conv *whole, struct patch **list, int *count,
                 struct err *e)
{
    struct conv c;
    tiles_conv(in, whole, &c);
    *count = 0;
    *list = mem_array((size_t)c.H * (size_t)c.W, sizeof **list);
    if (!*list)
        return err_set(e, ERR_NOMEM, "out of memory for the windows of tiles");
    for (int i = 0; i < c.H; i++)
        for (int j = 0; j < c.W; j++, (*count)++) {
            (*list)[*count] =
                patch_at(in, c.OH * c.stride_h, c.OW * c.stride_w, i - whole->top, j - whole->left);
            (*list)[*count].to = *count;
        }
    return 0;
}

size_t tiles_place(const struct activation *t, int c, int h, int w)
{
    const size_t pixel = ((size_t)c * t->H + h % t->H) * t->W + w % t->W;
    return pixel * LANES + (size_t)(h / t->H * GRID + w / t->W);
}

bool patch_is_straight(const struct patch *p)
{
    const bool nothing = p->from[0] == NOWHERE;
    for (int l = 0; l < LANES; l++)
        if (p->from[l] != (nothing ? NOWHERE : p->from[0] + l))
            return false;
    return nothing || p->from[0] % LANES == 0;
}

int tiles_move(const struct activation *in, const struct activation *out, const real *moved,
               struct patch **list, int *count, struct err *e)
{
    const int plane = in->height * in->width;
    *count = out->C * out->H * out->W;
    *list = mem_array((size_t)*count, sizeof **list);
    if (!*list)
        return err_set(e, ERR_NOMEM, "out of memory for the moves of tiles");
    for (int i = 0; i < *count; i++) {
        (*list)[i].to = i;
        for (int l = 0; l < LANES; l++)
            (*list)[i].from[l] = NOWHERE;
    }
    for (int c = 0; c < out->C; c++)
        for (int h = 0; h < out->height; h++)
            for (int w = 0; w < out->width; w++, moved += LANES) {
                const size_t to = tiles_place(out, c, h, w);
                const int i = (int)*moved - 1;
                if (i >= 0)
                    (*list)[to / LANES].from[to % LANES] =
                        (int32_t)tiles_place(in, i / plane, i % plane / in->width, i % in->width);
            }
    for (int i = 0; i < *count; i++)
        find_source(&(*list)[i]);
    return 0;
}
