/* mobilenet_v1.c - depthwise 3x3, then pointwise 1x1, batch normalization and ReLU behind each. Howard et
 * al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017, table 1.
 * Small images: the stem and the first halving block keep the size. */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static const struct {
    int out;
    bool halve;
} blocks[] = {
    { 64, false },  { 128, true },  { 128, false },  { 256, true },  { 256, false },
    { 512, true },  { 512, false }, { 512, false },  { 512, false }, { 512, false },
    { 512, false }, { 1024, true }, { 1024, false },
};

static void layers(struct zoo_build *b)
{
    const int percent = b->zoo->size;
    zoo_scope(b, "stem.");
    zoo_conv(b, "conv", .out = zoo_width(32, percent), .kernel = 3, .stride = zoo_halve(b));
    zoo_bn(b, "bn", 0);
    zoo_act(b, "Relu", "relu");
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; ++i) {
        const int in = (int)b->tip.shape.dim[0];
        zoo_scope(b, "block%zu.", i + 1);
        zoo_conv(b, "depthwise", .out = in, .kernel = 3, .groups = in,
                 .stride = blocks[i].halve ? zoo_halve(b) : 1);
        zoo_bn(b, "bn1", 0);
        zoo_act(b, "Relu", "relu1");
        zoo_conv(b, "pointwise", .out = zoo_width(blocks[i].out, percent), .kernel = 1);
        zoo_bn(b, "bn2", 0);
        zoo_act(b, "Relu", "relu2");
    }
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_head(b, "fc");
}

#define FAMILY                                                                                               \
    .source = "Howard et al., MobileNets: efficient convolutional neural networks for mobile vision, 2017",  \
    .channels = 3, .height = 224, .width = 224, .classes = 1000, .smallest = 16, .init = ZOO_HE_OUT,         \
    .layers = layers

/* size: width in percent */
const struct zoo zoo_mobilenet_v1 = { .name = "mobilenet-v1",
                                      .title = "MobileNet",
                                      .parameters = 4231976,
                                      .macs = 569000000,
                                      .size = 100,
                                      FAMILY };
const struct zoo zoo_mobilenet_v1_half = { .name = "mobilenet-v1-x0.5",
                                           .title = "MobileNet, half width",
                                           .parameters = 1331592,
                                           .macs = 149000000,
                                           .size = 50,
                                           FAMILY };
