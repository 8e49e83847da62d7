/* srresnet.c - super-resolution from the small image: 16 residual blocks with batch normalization, then the
 * pixels are unfolded from the channels. Ledig et al., "Photo-realistic single image super-resolution using a
 * generative adversarial network", CVPR 2017, figure 4. Every PReLU has one slope.
 *
 *      conv 9x9 ─ prelu ─┬─ 16 blocks ─ conv ─ bn ─(+)─ [conv ─ unfold ─ prelu] per factor ─ conv 9x9
 *                        └─────────────────────────┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static void block(struct zoo_build *b)
{
    const struct zoo_tip in = b->tip;
    zoo_conv(b, "conv1", .out = 64, .kernel = 3, .bias = true);
    zoo_bn(b, "bn1", 0);
    zoo_prelu(b, "prelu");
    zoo_conv(b, "conv2", .out = 64, .kernel = 3, .bias = true);
    zoo_bn(b, "bn2", 0);
    zoo_add(b, "add", &in);
}

static void layers(struct zoo_build *b)
{
    const int scale = b->zoo->scale, factor = scale == 4 ? 2 : scale;
    zoo_scope(b, "head.");
    zoo_conv(b, "conv", .out = 64, .kernel = 9, .bias = true);
    zoo_prelu(b, "prelu");
    const struct zoo_tip head = b->tip;
    for (int i = 0; i < 16; ++i) {
        zoo_scope(b, "body.%d.", i);
        block(b);
    }
    zoo_scope(b, "body.16.");
    zoo_conv(b, "conv", .out = 64, .kernel = 3, .bias = true);
    zoo_bn(b, "bn", 0);
    zoo_add(b, "add", &head);
    for (int done = 1, i = 0; done < scale; done *= factor, ++i) {
        zoo_scope(b, "upscale.%d.", i);
        zoo_conv(b, "conv", .out = 64 * factor * factor, .kernel = 3, .bias = true);
        zoo_pixel_shuffle(b, "unfold", factor);
        zoo_prelu(b, "prelu");
    }
    zoo_scope(b, "tail.");
    zoo_conv(b, "conv", .out = b->request->channels, .kernel = 9, .bias = true);
}

#define FAMILY                                                                                               \
    .source = "Ledig et al., Photo-realistic single image super-resolution using a GAN, 2016",               \
    .channels = 3, .height = 24, .width = 24, .smallest = 1, .init = ZOO_UNIFORM, .layers = layers

const struct zoo zoo_srresnet = {
    .name = "srresnet", .title = "SRResNet, x4", .scale = 4, .parameters = 1549462, FAMILY
};
const struct zoo zoo_srresnet_x2 = {
    .name = "srresnet-x2", .title = "SRResNet, x2", .scale = 2, .parameters = 1401749, FAMILY
};
const struct zoo zoo_srresnet_x3 = {
    .name = "srresnet-x3", .title = "SRResNet, x3", .scale = 3, .parameters = 1586389, FAMILY
};
