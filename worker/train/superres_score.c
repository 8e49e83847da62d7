/* superres_score.c - PSNR and SSIM on Y over whole test images, beside those of bicubic enlargement. */
#include "base/mem.h"
#include "worker/image/bicubic.h"
#include "worker/image/color.h"
#include "worker/image/quality.h"
#include "worker/train/superres.h"
#include "worker/train/tiles.h"

#include <stdio.h>
#include <stdlib.h>

#define DECIBEL_MAX 100.0 /* what equal images get: JSON has no infinity */

/* One image on its way through the network. */
struct trial {
    struct image image;                            /* cropped to a multiple of the scale */
    struct plane truth, small, enlarged, estimate; /* Y, 0..255 */
    real *x, *y;                                   /* of the network, 0..1 */
    int height, width;                             /* of x */
};

struct figures {
    double psnr, ssim, bicubic;
};

static void trial_free(struct trial *t)
{
    image_free(&t->image);
    plane_free(&t->truth);
    plane_free(&t->small);
    plane_free(&t->enlarged);
    plane_free(&t->estimate);
    free(t->x);
    free(t->y);
}

static void to_unit(const double *from, size_t count, real *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (real)(from[i] / 255);
}

static void from_unit(const real *from, size_t count, double *to)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (double)from[i] * 255;
}

/* Truth, what it looks like shrunk and enlarged, and room for what the network sees and says. */
static int trial_open(const struct superres *s, const struct image *image, struct trial *t, struct err *e)
{
    const int width = image->width - image->width % s->scale,
              height = image->height - image->height % s->scale;
    const size_t channels = s->rgb ? 3 : 1;
    int status;

    if (width == 0 || height == 0)
        return err_set(e, ERR_INVALID, "%dx%d pixels can't be reduced by %d", image->width, image->height,
                       s->scale);
    if ((status = image_crop(image, width, height, &t->image, e)) ||
        (status = color_luma(&t->image, &t->truth, e)) ||
        (status = bicubic_baseline(&t->truth, s->scale, &t->small, &t->enlarged, e)) ||
        (status = plane_make(&t->estimate, width, height, e)))
        return status;
    t->width = s->enlarged ? width : width / s->scale;
    t->height = s->enlarged ? height : height / s->scale;
    t->x = mem_array((size_t)t->width * t->height * channels, sizeof *t->x);
    t->y = mem_array((size_t)width * height * channels, sizeof *t->y);
    return t->x && t->y ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* The bytes of a low-resolution file. */
static int input_bytes(const struct superres *s, struct trial *t, struct err *e)
{
    struct image small;
    const int status = bicubic_shrink(&t->image, s->scale, &small, e);
    const size_t pixels = (size_t)t->width * t->height;

    if (status)
        return status;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++)
            t->x[c * pixels + i] =
                (real)small.pixel[i * small.channels + (small.channels == 3 ? c : 0)] / 255;
    image_free(&small);
    return 0;
}

/* Each colour shrunk and enlarged by itself. */
static int input_colours(const struct superres *s, struct trial *t, struct err *e)
{
    const size_t pixels = (size_t)t->width * t->height;
    int status = 0;

    for (int c = 0; c < 3 && !status; c++) {
        struct plane colour = { 0 }, enlarged = { 0 };
        status = color_channel(&t->image, t->image.channels == 3 ? c : 0, &colour, e);
        if (!status)
            status = bicubic_baseline(&colour, s->scale, NULL, &enlarged, e);
        if (!status)
            to_unit(enlarged.value, pixels, t->x + c * pixels);
        plane_free(&colour);
        plane_free(&enlarged);
    }
    return status;
}

static int trial_input(const struct superres *s, struct trial *t, struct err *e)
{
    if (s->rgb)
        return s->enlarged ? input_colours(s, t, e) : input_bytes(s, t, e);
    to_unit(s->enlarged ? t->enlarged.value : t->small.value, (size_t)t->width * t->height, t->x);
    return 0;
}

/* Three planes become bytes, as a file of them would have, and then Y. */
static int estimate_colours(struct trial *t, struct err *e)
{
    const size_t pixels = (size_t)t->truth.width * t->truth.height;
    struct plane colour[3] = { 0 };
    struct image bytes = { 0 };
    int status = 0;

    for (int c = 0; c < 3 && !status; c++) {
        status = plane_make(&colour[c], t->truth.width, t->truth.height, e);
        if (!status)
            from_unit(t->y + c * pixels, pixels, colour[c].value);
    }
    if (!status)
        status = color_bytes(colour, 3, &bytes, e);
    plane_free(&t->estimate);
    if (!status)
        status = color_luma(&bytes, &t->estimate, e);
    image_free(&bytes);
    for (int c = 0; c < 3; c++)
        plane_free(&colour[c]);
    return status;
}

static bool all_finite(const real *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(y[i]))
            return false;
    return true;
}

static int trial_estimate(const struct superres *s, struct trial *t, struct err *e)
{
    const size_t pixels = (size_t)t->truth.width * t->truth.height;

    if (!all_finite(t->y, pixels * (s->rgb ? 3 : 1)))
        return err_set(e, ERR_DIVERGED, "the network's output is not finite");
    if (s->rgb)
        return estimate_colours(t, e);
    from_unit(t->y, pixels, t->estimate.value);
    return 0;
}

/* Bytes are bytes already; the Y of a network is clipped and not rounded, as the published figures are. */
static struct quality protocol_of(const struct superres *s)
{
    return (struct quality){ .channel = QUALITY_LUMA, .shave = s->scale, .clip = !s->rgb };
}

static int trial_judge(const struct superres *s, const struct trial *t, bool detail, struct figures *f,
                       struct err *e)
{
    const struct quality q = protocol_of(s),
                         plain = { .channel = QUALITY_LUMA, .shave = s->scale, .clip = true };
    int status = quality_psnr(&t->truth, &t->estimate, 1, &q, &f->psnr, e);

    if (!status && detail)
        status = quality_ssim(&t->truth, &t->estimate, 1, &q, &f->ssim, e);
    if (!status && detail)
        status = quality_psnr(&t->truth, &t->enlarged, 1, &plain, &f->bicubic, e);
    f->psnr = f->psnr < DECIBEL_MAX ? f->psnr : DECIBEL_MAX;
    f->bicubic = f->bicubic < DECIBEL_MAX ? f->bicubic : DECIBEL_MAX;
    return status;
}

static int judge_image(const struct superres *s, struct tiles *tiles, const struct imageset_item *item,
                       bool detail, struct figures *f, struct err *e)
{
    struct trial t = { 0 };
    int status;

    *f = (struct figures){ 0 };
    if ((status = trial_open(s, &item->image, &t, e)) || (status = trial_input(s, &t, e)) ||
        (status = tiles_run(tiles, t.height, t.width, t.x, t.y, e)) || (status = trial_estimate(s, &t, e)) ||
        (status = trial_judge(s, &t, detail, f, e)))
        err_at(e, "image %.150s", item->name);
    trial_free(&t);
    return status;
}

static void protocol_text(const struct superres *s, char *out, size_t size)
{
    static const char *const input[2][2] = {
        { "Y reduced by bicubic in floating point without rounding",
          "Y reduced and enlarged by bicubic in floating point without rounding" },
        { "RGB reduced by the 8-bit bicubic",
          "R, G, B each reduced and enlarged by bicubic without rounding" },
    };
    const struct quality q = protocol_of(s);
    char text[QUALITY_TEXT];

    quality_text(&q, text);
    snprintf(out, size,
             "x%d: image cropped at the top left to a multiple of %d, %s (a = -0.5, antialiased, %s edges); "
             "%s%s; mean over the images",
             s->scale, s->scale, input[s->rgb][s->enlarged], s->rgb && !s->enlarged ? "repeated" : "mirrored",
             text, s->rgb ? " after R, G, B were clipped and rounded to bytes" : "");
}

/* The copy of the graph reads what the subject reads. */
static int open_tiles(const struct superres *s, const struct task_subject *subject, struct tiles **tiles,
                      struct err *e)
{
    const struct tiles_options o = { .kernels = s->job.kernels,
                                     .pool = s->job.pool,
                                     .limit = s->job.memory / 4 };
    const struct quant *q = subject->quant;
    const int status = tiles_new(subject->graph, &o, tiles, e);

    for (int i = 0; !status && q && i < q->weights; i++)
        memcpy(tiles_graph(*tiles)->param + q->weight[i].offset, q->q + q->weight[i].offset,
               q->weight[i].count * sizeof(real));
    return status;
}

int superres_score(void *data, const struct task_subject *subject, bool detail, struct task_score *score,
                   struct err *e)
{
    const struct superres *s = data;
    const struct imageset_split *from = subject->held_out ? &s->held_out : &s->test;
    const int64_t count = from->count;
    struct figures sum = { 0 }, f;
    struct tiles *tiles;
    json_t *rows = json_array();
    char text[600];
    int status = open_tiles(s, subject, &tiles, e);

    for (int64_t i = 0; i < count && !status; i++) {
        if ((status = judge_image(s, tiles, &from->item[i], detail, &f, e)))
            break;
        store_rest(from->pixel, from->mapped);
        sum.psnr += f.psnr;
        sum.ssim += f.ssim;
        sum.bicubic += f.bicubic;
        if (detail)
            json_array_append_new(rows,
                                  json_pack("{s:s, s:f, s:f, s:f}", "name", from->item[i].name, "psnr_db",
                                            f.psnr, "ssim", f.ssim, "bicubic_psnr_db", f.bicubic));
    }
    if (!status)
        *score = (struct task_score){ .value = sum.psnr / (double)count, .samples = count };
    if (!status && detail) {
        protocol_text(s, text, sizeof text);
        score->detail =
            json_pack("{s:f, s:f, s:i, s:s, s:O}", "ssim", sum.ssim / (double)count, "bicubic_psnr_db",
                      sum.bicubic / (double)count, "scale", s->scale, "protocol", text, "images", rows);
        status = score->detail ? 0 : err_set(e, ERR_NOMEM, "out of memory");
    }
    json_decref(rows);
    tiles_free(tiles);
    return status;
}

/* The largest image: its planes, and the net for its tiles. */
int superres_score_bytes(void *data, struct graph *g, bool has_net, size_t *bytes, struct err *e)
{
    const struct superres *s = data;
    const int reduce = s->enlarged ? 1 : s->scale;
    struct tiles *tiles;
    int status = open_tiles(s, &(struct task_subject){ .graph = g }, &tiles, e);
    (void)has_net;

    *bytes = 0;
    for (int64_t i = 0; i < s->test.count + s->held_out.count && !status; i++) {
        const struct imageset_item *item =
            i < s->test.count ? &s->test.item[i] : &s->held_out.item[i - s->test.count];
        const struct image *image = &item->image;
        const int height = (image->height - image->height % s->scale) / reduce;
        const int width = (image->width - image->width % s->scale) / reduce;
        size_t net = 0, planes = (size_t)image->width * image->height * (s->rgb ? 75 : 43);
        if (height > 0 && width > 0)
            status = tiles_bytes(tiles, height, width, &net, e);
        *bytes = net + planes > *bytes ? net + planes : *bytes;
    }
    *bytes += status ? 0 : g->param_capacity * sizeof(real);
    tiles_free(tiles);
    return status;
}
