/* densenet.c - every layer of a block reads all layers before it. Huang, Liu, van der Maaten, Weinberger,
 * "Densely connected convolutional networks", CVPR 2017. Bottleneck of 4 k channels, compression by half
 * between blocks.
 *
 *      x ─┬─ norm1 ─ relu ─ 1x1, 4k ─ norm2 ─ relu ─ 3x3, k ─┬─ concat ─
 *         └──────────────────────────────────────────────────┘
 *
 * DenseNet-121: k = 32, blocks of 6, 12, 24, 16 layers (names of torchvision); small images: a 3x3 stem with
 * stride 1 and no pooling. DenseNet-BC-100: k = 12, three blocks of 16, for 32x32. */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

enum { DENSENET_121, DENSENET_BC_100 };

static const struct densenet {
    int growth, blocks, layers[4];
} densenets[] = {
    [DENSENET_121] = { 32, 4, { 6, 12, 24, 16 } },
    [DENSENET_BC_100] = { 12, 3, { 16, 16, 16 } },
};

static void dense_layer(struct zoo_build *b, int growth)
{
    struct zoo_tip both[2] = { b->tip };
    zoo_bn(b, "norm1", 0);
    zoo_act(b, "Relu", "relu1");
    zoo_conv(b, "conv1", .out = 4 * growth, .kernel = 1);
    zoo_bn(b, "norm2", 0);
    zoo_act(b, "Relu", "relu2");
    zoo_conv(b, "conv2", .out = growth, .kernel = 3);
    both[1] = b->tip;
    zoo_concat(b, "concat", both, 2);
}

static void transition(struct zoo_build *b)
{
    zoo_bn(b, "norm", 0);
    zoo_act(b, "Relu", "relu");
    zoo_conv(b, "conv", .out = (int)b->tip.shape.dim[0] / 2, .kernel = 1);
    zoo_average(b, "pool", .kernel = 2, .stride = 2);
}

static void stem(struct zoo_build *b, const struct densenet *d)
{
    const bool small = b->zoo->size == DENSENET_BC_100;
    const int stride = small ? 1 : zoo_halve(b);
    zoo_conv(b, "conv0", .out = 2 * d->growth, .kernel = stride == 2 ? 7 : 3, .stride = stride);
    if (small)
        return;
    zoo_bn(b, "norm0", 0);
    zoo_act(b, "Relu", "relu0");
    if (zoo_halve(b) == 2)
        zoo_max(b, "pool0", .kernel = 3, .stride = 2, .pad = 1);
}

static void layers(struct zoo_build *b)
{
    const struct densenet *d = &densenets[b->zoo->size];
    zoo_scope(b, "features.");
    stem(b, d);
    for (int k = 0; k < d->blocks; ++k) {
        for (int i = 0; i < d->layers[k]; ++i) {
            zoo_scope(b, "features.denseblock%d.denselayer%d.", k + 1, i + 1);
            dense_layer(b, d->growth);
        }
        if (k + 1 == d->blocks)
            break;
        zoo_scope(b, "features.transition%d.", k + 1);
        transition(b);
    }
    zoo_scope(b, "features.");
    zoo_bn(b, d->blocks == 4 ? "norm5" : "norm4", 0);
    zoo_act(b, "Relu", "relu");
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "pool");
    zoo_flatten(b, "flatten");
    zoo_head(b, "classifier");
}

#define FAMILY                                                                                               \
    .source = "Huang et al., Densely connected convolutional networks, 2016", .channels = 3, .smallest = 16, \
    .init = ZOO_HE, .layers = layers

const struct zoo zoo_densenet121 = {
    .name = "densenet121",
    .title = "DenseNet-121",
    .height = 224,
    .width = 224,
    .classes = 1000,
    .parameters = 7978856,
    .macs = 2834000000,
    .size = DENSENET_121,
    FAMILY,
};
const struct zoo zoo_densenet_bc_100 = {
    .name = "densenet-bc-100",
    .title = "DenseNet-BC-100, k = 12 (CIFAR)",
    .height = 32,
    .width = 32,
    .classes = 10,
    .parameters = 769162,
    .size = DENSENET_BC_100,
    FAMILY,
};
