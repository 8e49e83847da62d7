/* mobilenet_v3.c - MobileNetV3-Small: inverted residuals with squeeze-and-excitation and hard-swish. Howard
 * et al., "Searching for MobileNetV3", ICCV 2019, table 2. Small images: the stem and the first block keep
 * the size. Names, and the epsilon of batch normalization, are those of torchvision.
 *
 *      depthwise ─┬─ average ─ fc1 ─ relu ─ fc2 ─ hard-sigmoid ─(x)─
 *                 └─────────────────────────────────────────────┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static const double epsilon = 0.001;

static const struct block {
    int kernel, wide, out;
    bool squeeze;
    const char *act;
    bool halve;
} blocks[] = {
    { 3, 16, 16, true, "Relu", true },        { 3, 72, 24, false, "Relu", true },
    { 3, 88, 24, false, "Relu", false },      { 5, 96, 40, true, "HardSwish", true },
    { 5, 240, 40, true, "HardSwish", false }, { 5, 240, 40, true, "HardSwish", false },
    { 5, 120, 48, true, "HardSwish", false }, { 5, 144, 48, true, "HardSwish", false },
    { 5, 288, 96, true, "HardSwish", true },  { 5, 576, 96, true, "HardSwish", false },
    { 5, 576, 96, true, "HardSwish", false },
};

/* Convolution AT.0, normalization AT.1 and the activation, if any, AT.2 */
static void conv(struct zoo_build *b, int at, const struct zoo_conv *c, const char *act)
{
    zoo_add_conv(b, zoo_name(b, "%d.0", at), c);
    zoo_bn(b, zoo_name(b, "%d.1", at), epsilon);
    if (act)
        zoo_act(b, act, zoo_name(b, "%d.2", at));
}

static void squeeze_excite(struct zoo_build *b, int at)
{
    const struct zoo_tip in = b->tip;
    const int channels = (int)in.shape.dim[0];
    zoo_average_all(b, zoo_name(b, "%d.avgpool", at));
    zoo_conv(b, zoo_name(b, "%d.fc1", at), .out = zoo_width(channels, 25), .kernel = 1, .bias = true);
    zoo_act(b, "Relu", zoo_name(b, "%d.activation", at));
    zoo_conv(b, zoo_name(b, "%d.fc2", at), .out = channels, .kernel = 1, .bias = true);
    zoo_act(b, "HardSigmoid", zoo_name(b, "%d.scale_activation", at));
    const struct zoo_tip scale = b->tip;
    b->tip = in;
    zoo_mul(b, zoo_name(b, "%d.scale", at), &scale);
}

static void block(struct zoo_build *b, const struct block *k)
{
    const struct zoo_tip in = b->tip;
    const int percent = b->zoo->size, wide = zoo_width(k->wide, percent), out = zoo_width(k->out, percent);
    const int stride = k->halve ? zoo_halve(b) : 1;
    int at = 0;
    if (wide != in.shape.dim[0])
        conv(b, at++, &(struct zoo_conv){ .out = wide, .kernel = 1 }, k->act);
    conv(b, at++, &(struct zoo_conv){ .out = wide, .kernel = k->kernel, .stride = stride, .groups = wide },
         k->act);
    if (k->squeeze)
        squeeze_excite(b, at++);
    conv(b, at, &(struct zoo_conv){ .out = out, .kernel = 1 }, NULL);
    if (!k->halve && in.shape.dim[0] == out)
        zoo_add(b, "add", &in);
}

static void layers(struct zoo_build *b)
{
    const int percent = b->zoo->size, count = (int)(sizeof blocks / sizeof *blocks);
    zoo_scope(b, "features.");
    conv(b, 0, &(struct zoo_conv){ .out = zoo_width(16, percent), .kernel = 3, .stride = zoo_halve(b) },
         "HardSwish");
    for (int i = 0; i < count; ++i) {
        zoo_scope(b, "features.%d.block.", i + 1);
        block(b, &blocks[i]);
    }
    zoo_scope(b, "features.");
    conv(b, 12, &(struct zoo_conv){ .out = 6 * zoo_width(96, percent), .kernel = 1 }, "HardSwish");
    zoo_scope(b, "classifier.");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_linear(b, "0", zoo_width(1024, percent));
    zoo_act(b, "HardSwish", "1");
    zoo_dropout(b, "2", 0.2);
    zoo_head(b, "3");
}

#define FAMILY                                                                                               \
    .source = "Howard et al., Searching for MobileNetV3, 2019", .channels = 3, .height = 224, .width = 224,  \
    .classes = 1000, .smallest = 16, .init = ZOO_HE_OUT, .layers = layers

/* size: width in percent */
const struct zoo zoo_mobilenet_v3_small = { .name = "mobilenet-v3-small",
                                            .title = "MobileNetV3-Small",
                                            .parameters = 2542856,
                                            .macs = 56000000,
                                            .size = 100,
                                            FAMILY };
const struct zoo zoo_mobilenet_v3_small_half = { .name = "mobilenet-v3-small-x0.5",
                                                 .title = "MobileNetV3-Small, half width",
                                                 .parameters = 917264,
                                                 .size = 50,
                                                 FAMILY };
