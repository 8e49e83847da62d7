/* shufflenet_v2.c - half of the channels pass by, the others go through a block; then all are shuffled. Ma,
 * Zhang, Zheng, Sun, "ShuffleNet V2: practical guidelines for efficient CNN architecture design", ECCV 2018,
 * table 5. Small images: stem and pooling keep the size. Names of torchvision.
 *
 *      x ─┬─ first half ──────────────────────────────────────────────────────┬─ concat ─ shuffle
 *         └─ second half ─ 1x1 ─ bn ─ relu ─ depthwise ─ bn ─ 1x1 ─ bn ─ relu ─┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static void conv_bn(struct zoo_build *b, const char *conv, const char *bn, const struct zoo_conv *c)
{
    zoo_add_conv(b, conv, c);
    zoo_bn(b, bn, 0);
}

static void main_branch(struct zoo_build *b, int out, int stride)
{
    const struct zoo_conv point = { .out = out, .kernel = 1 };
    conv_bn(b, "branch2.0", "branch2.1", &point);
    zoo_act(b, "Relu", "branch2.2");
    conv_bn(b, "branch2.3", "branch2.4",
            &(struct zoo_conv){ .out = out, .kernel = 3, .stride = stride, .groups = out });
    conv_bn(b, "branch2.5", "branch2.6", &point);
    zoo_act(b, "Relu", "branch2.7");
}

/* The side that passes by, made half as large. */
static void side_branch(struct zoo_build *b, int out)
{
    const int in = (int)b->tip.shape.dim[0];
    conv_bn(b, "branch1.0", "branch1.1",
            &(struct zoo_conv){ .out = in, .kernel = 3, .stride = 2, .groups = in });
    conv_bn(b, "branch1.2", "branch1.3", &(struct zoo_conv){ .out = out, .kernel = 1 });
    zoo_act(b, "Relu", "branch1.4");
}

static void unit(struct zoo_build *b, int out, bool halve)
{
    const struct zoo_tip in = b->tip;
    const int half = out / 2;
    struct zoo_tip both[2];
    if (halve)
        side_branch(b, half);
    else
        zoo_channels(b, "first", 0, half);
    both[0] = b->tip;
    b->tip = in;
    if (!halve)
        zoo_channels(b, "second", half, half);
    main_branch(b, half, halve ? 2 : 1);
    both[1] = b->tip;
    zoo_concat(b, "concat", both, 2);
    zoo_shuffle(b, 2);
}

static void layers(struct zoo_build *b)
{
    static const int repeat[] = { 4, 8, 4 };
    const int first = b->zoo->size == 50 ? 48 : 116;
    conv_bn(b, "conv1.0", "conv1.1", &(struct zoo_conv){ .out = 24, .kernel = 3, .stride = zoo_halve(b) });
    zoo_act(b, "Relu", "conv1.2");
    if (zoo_halve(b) == 2)
        zoo_max(b, "maxpool", .kernel = 3, .stride = 2, .pad = 1);
    for (int stage = 0; stage < 3; ++stage)
        for (int i = 0; i < repeat[stage]; ++i) {
            zoo_scope(b, "stage%d.%d.", stage + 2, i);
            unit(b, first << stage, i == 0);
        }
    zoo_scope(b, "%s", "");
    conv_bn(b, "conv5.0", "conv5.1", &(struct zoo_conv){ .out = 1024, .kernel = 1 });
    zoo_act(b, "Relu", "conv5.2");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_head(b, "fc");
}

#define FAMILY                                                                                               \
    .source = "Ma et al., ShuffleNet V2: practical guidelines for efficient CNN architecture design, 2018",  \
    .channels = 3, .height = 224, .width = 224, .classes = 1000, .smallest = 16, .init = ZOO_HE_OUT,         \
    .layers = layers

/* size: width in percent */
const struct zoo zoo_shufflenet_v2 = { .name = "shufflenet-v2",
                                       .title = "ShuffleNet V2",
                                       .parameters = 2278604,
                                       .macs = 146000000,
                                       .size = 100,
                                       FAMILY };
const struct zoo zoo_shufflenet_v2_half = { .name = "shufflenet-v2-x0.5",
                                            .title = "ShuffleNet V2, half width",
                                            .parameters = 1366792,
                                            .macs = 41000000,
                                            .size = 50,
                                            FAMILY };
