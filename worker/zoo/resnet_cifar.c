/* resnet_cifar.c - ResNet-20, 32 and 56 for 32x32 images: three stages of n blocks with 16, 32 and 64
 * channels and shortcuts without parameters (option A: every second pixel, zeros for the new channels). He,
 * Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2. Names as in the
 * usual PyTorch code.
 *
 *      x ─┬─ conv1 ─ bn1 ─ relu ─ conv2 ─ bn2 ─(+)─ relu ─
 *         └──────────── subsample, pad ──────────┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

/* What the block's input looks like behind it. */
static struct zoo_tip shortcut(struct zoo_build *b, struct zoo_tip from, int out)
{
    const struct zoo_tip tip = b->tip;
    const int more = out - (int)from.shape.dim[0];
    b->tip = from;
    zoo_subsample(b, "shortcut.slice");
    zoo_zero_channels(b, "shortcut.pad", more / 2, more - more / 2);
    from = b->tip;
    b->tip = tip;
    return from;
}

static void block(struct zoo_build *b, int out)
{
    struct zoo_tip in = b->tip;
    const bool halve = in.shape.dim[0] != out;
    zoo_conv(b, "conv1", .out = out, .kernel = 3, .stride = halve ? 2 : 1);
    zoo_bn(b, "bn1", 0);
    zoo_act(b, "Relu", "relu1");
    zoo_conv(b, "conv2", .out = out, .kernel = 3);
    zoo_bn(b, "bn2", 0);
    if (halve)
        in = shortcut(b, in, out);
    zoo_add(b, "add", &in);
    zoo_act(b, "Relu", "relu2");
}

static void layers(struct zoo_build *b)
{
    zoo_conv(b, "conv1", .out = 16, .kernel = 3);
    zoo_bn(b, "bn1", 0);
    zoo_act(b, "Relu", "relu");
    for (int stage = 0; stage < 3; ++stage)
        for (int i = 0; i < b->zoo->size; ++i) {
            zoo_scope(b, "layer%d.%d.", stage + 1, i);
            block(b, 16 << stage);
        }
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_head(b, "linear");
}

#define FAMILY                                                                                               \
    .source = "He et al., Deep residual learning for image recognition, 2015", .channels = 3, .height = 32,  \
    .width = 32, .classes = 10, .smallest = 8, .init = ZOO_HE_OUT, .layers = layers

/* size: blocks of a stage; 6 of them and 2 are the layers. */
const struct zoo zoo_resnet20 = { .name = "resnet20",
                                  .title = "ResNet-20 (CIFAR)",
                                  .parameters = 269722,
                                  .macs = 40800000,
                                  .size = 3,
                                  FAMILY };
const struct zoo zoo_resnet32 = { .name = "resnet32",
                                  .title = "ResNet-32 (CIFAR)",
                                  .parameters = 464154,
                                  .macs = 69100000,
                                  .size = 5,
                                  FAMILY };
const struct zoo zoo_resnet56 = { .name = "resnet56",
                                  .title = "ResNet-56 (CIFAR)",
                                  .parameters = 853018,
                                  .macs = 125700000,
                                  .size = 9,
                                  FAMILY };
