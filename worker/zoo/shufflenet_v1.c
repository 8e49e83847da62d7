/* shufflenet_v1.c - grouped 1x1 convolutions with the channels shuffled between. Zhang, Zhou, Lin, Sun,
 * "ShuffleNet: an extremely efficient convolutional neural network for mobile devices", CVPR 2018, table 1,
 * with 3 groups. The first 1x1 convolution of the second stage is not grouped. Small images: stem and pooling
 * keep the size.
 *
 *      x ─┬─ 1x1 in groups ─ bn ─ relu ─ shuffle ─ depthwise 3x3 ─ bn ─ 1x1 in groups ─ bn ─(+)─ relu
 *         └─── or, where the image is halved, 3x3 average with stride 2, then concatenated ──┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

enum { GROUPS = 3 };

static void unit(struct zoo_build *b, int out, bool halve, int first_groups)
{
    const struct zoo_tip in = b->tip;
    const int made = halve ? out - (int)in.shape.dim[0] : out, narrow = out / 4;
    zoo_conv(b, "conv1", .out = narrow, .kernel = 1, .groups = first_groups);
    zoo_bn(b, "bn1", 0);
    zoo_act(b, "Relu", "relu1");
    zoo_shuffle(b, GROUPS);
    zoo_conv(b, "conv2", .out = narrow, .kernel = 3, .stride = halve ? 2 : 1, .groups = narrow);
    zoo_bn(b, "bn2", 0);
    zoo_conv(b, "conv3", .out = made, .kernel = 1, .groups = GROUPS);
    zoo_bn(b, "bn3", 0);
    if (halve) {
        struct zoo_tip both[2] = { in, b->tip };
        b->tip = in;
        zoo_average(b, "pool", .kernel = 3, .stride = 2, .pad = 1);
        both[0] = b->tip;
        zoo_concat(b, "concat", both, 2);
    } else {
        zoo_add(b, "add", &in);
    }
    zoo_act(b, "Relu", "relu");
}

static void layers(struct zoo_build *b)
{
    static const int repeat[] = { 4, 8, 4 };
    zoo_scope(b, "stage1.");
    zoo_conv(b, "conv", .out = 24, .kernel = 3, .stride = zoo_halve(b));
    zoo_bn(b, "bn", 0);
    zoo_act(b, "Relu", "relu");
    if (zoo_halve(b) == 2)
        zoo_max(b, "pool", .kernel = 3, .stride = 2, .pad = 1);
    for (int stage = 0; stage < 3; ++stage)
        for (int i = 0; i < repeat[stage]; ++i) {
            zoo_scope(b, "stage%d.%d.", stage + 2, i);
            unit(b, 240 << stage, i == 0, stage == 0 && i == 0 ? 1 : GROUPS);
        }
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_head(b, "fc");
}

const struct zoo zoo_shufflenet_v1 = {
    .name = "shufflenet-v1",
    .title = "ShuffleNet, 3 groups",
    .source =
        "Zhang et al., ShuffleNet: an extremely efficient convolutional network for mobile devices, 2017",
    .channels = 3,
    .height = 224,
    .width = 224,
    .classes = 1000,
    .smallest = 16,
    .parameters = 1865728,
    .macs = 137000000,
    .init = ZOO_HE_OUT,
    .layers = layers,
};
