/* mobilenet_v2.c - inverted residuals: expand, filter depthwise, project without an activation. Sandler,
 * Howard, Zhu, Zhmoginov, Chen, "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018, table 2.
 * Small images: the stem and the first halving block keep the size. Names of torchvision.
 *
 *      x ─┬─ 1x1, t c ─ bn ─ relu6 ─ depthwise 3x3 ─ bn ─ relu6 ─ 1x1 ─ bn ─(+)─
 *         └──────────────── where the shape stays the same ────────────────┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static const struct stage {
    int expand, out, repeat;
    bool halve;
} stages[] = {
    { 1, 16, 1, false }, { 6, 24, 2, true },  { 6, 32, 3, true },   { 6, 64, 4, true },
    { 6, 96, 3, false }, { 6, 160, 3, true }, { 6, 320, 1, false },
};

static void block(struct zoo_build *b, int expand, int out, int stride, bool resides)
{
    static const char *const late[] = { "conv.1.0", "conv.1.1", "conv.1.2", "conv.2", "conv.3" };
    static const char *const early[] = { "conv.0.0", "conv.0.1", "conv.0.2", "conv.1", "conv.2" };
    const char *const *name = expand > 1 ? late : early;
    const struct zoo_tip in = b->tip;
    const int wide = expand * (int)in.shape.dim[0];
    if (expand > 1) {
        zoo_conv(b, "conv.0.0", .out = wide, .kernel = 1);
        zoo_bn(b, "conv.0.1", 0);
        zoo_relu6(b, "conv.0.2");
    }
    zoo_conv(b, name[0], .out = wide, .kernel = 3, .stride = stride, .groups = wide);
    zoo_bn(b, name[1], 0);
    zoo_relu6(b, name[2]);
    zoo_conv(b, name[3], .out = out, .kernel = 1);
    zoo_bn(b, name[4], 0);
    if (resides)
        zoo_add(b, "add", &in);
}

static void layers(struct zoo_build *b)
{
    const int percent = b->zoo->size;
    int index = 1;
    zoo_scope(b, "features.0.");
    zoo_conv(b, "0", .out = zoo_width(32, percent), .kernel = 3, .stride = zoo_halve(b));
    zoo_bn(b, "1", 0);
    zoo_relu6(b, "2");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; ++i)
        for (int k = 0; k < stages[i].repeat; ++k) {
            const int stride = stages[i].halve && k == 0 ? zoo_halve(b) : 1;
            zoo_scope(b, "features.%d.", index++);
            block(b, stages[i].expand, zoo_width(stages[i].out, percent), stride, k > 0);
        }
    zoo_scope(b, "features.%d.", index);
    zoo_conv(b, "0", .out = 1280, .kernel = 1); /* not narrower in narrow networks */
    zoo_bn(b, "1", 0);
    zoo_relu6(b, "2");
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_dropout(b, "classifier.0", 0.2);
    zoo_head(b, "classifier.1");
}

#define FAMILY                                                                                               \
    .source = "Sandler et al., MobileNetV2: inverted residuals and linear bottlenecks, 2018", .channels = 3, \
    .height = 224, .width = 224, .classes = 1000, .smallest = 16, .init = ZOO_HE_OUT, .layers = layers

/* size: width in percent */
const struct zoo zoo_mobilenet_v2 = { .name = "mobilenet-v2",
                                      .title = "MobileNetV2",
                                      .parameters = 3504872,
                                      .macs = 300000000,
                                      .size = 100,
                                      FAMILY };
const struct zoo zoo_mobilenet_v2_half = { .name = "mobilenet-v2-x0.5",
                                           .title = "MobileNetV2, half width",
                                           .parameters = 1968680,
                                           .macs = 97000000,
                                           .size = 50,
                                           FAMILY };
