/* edsr.c - EDSR-baseline: super-resolution from the small image with 16 residual blocks of 64 channels and no
 * batch normalization. Lim, Son, Kim, Nah, Lee, "Enhanced deep residual networks for single image
 * super-resolution", CVPR workshops 2017. The authors' names; the mean colour that they subtract is the
 * data's normalization here.
 *
 *      head ─┬─ 16 blocks ─ conv ─(+)─ [conv ─ unfold] per factor ─ conv */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static void conv(struct zoo_build *b, const char *name, int out)
{
    zoo_conv(b, name, .out = out, .kernel = 3, .bias = true);
}

static void block(struct zoo_build *b)
{
    const struct zoo_tip in = b->tip;
    conv(b, "0", 64);
    zoo_act(b, "Relu", "1");
    conv(b, "2", 64);
    zoo_add(b, "add", &in);
}

static void upscale(struct zoo_build *b)
{
    const int scale = b->zoo->scale, factor = scale == 4 ? 2 : scale;
    zoo_scope(b, "tail.0.");
    for (int done = 1, i = 0; done < scale; done *= factor, i += 2) {
        conv(b, zoo_name(b, "%d", i), 64 * factor * factor);
        zoo_pixel_shuffle(b, zoo_name(b, "%d", i + 1), factor);
    }
    zoo_scope(b, "tail.");
    conv(b, "1", b->request->channels);
}

static void layers(struct zoo_build *b)
{
    zoo_scope(b, "head.");
    conv(b, "0", 64);
    const struct zoo_tip head = b->tip;
    for (int i = 0; i < 16; ++i) {
        zoo_scope(b, "body.%d.body.", i);
        block(b);
    }
    zoo_scope(b, "body.");
    conv(b, "16", 64);
    zoo_add(b, "add", &head);
    upscale(b);
}

#define FAMILY                                                                                               \
    .source = "Lim et al., Enhanced deep residual networks for single image super-resolution, 2017",         \
    .channels = 3, .height = 48, .width = 48, .smallest = 1, .init = ZOO_UNIFORM, .layers = layers

const struct zoo zoo_edsr = {
    .name = "edsr-baseline", .title = "EDSR-baseline, x2", .scale = 2, .parameters = 1369859, FAMILY
};
const struct zoo zoo_edsr_x3 = {
    .name = "edsr-baseline-x3", .title = "EDSR-baseline, x3", .scale = 3, .parameters = 1554499, FAMILY
};
const struct zoo zoo_edsr_x4 = {
    .name = "edsr-baseline-x4", .title = "EDSR-baseline, x4", .scale = 4, .parameters = 1517571, FAMILY
};
