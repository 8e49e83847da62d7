/* resnet18.c - ResNet-18: four stages of two blocks with 64, 128, 256 and 512 channels; a 1x1 convolution
 * where the shortcut changes shape (option B). He, Zhang, Ren, Sun, "Deep residual learning for image
 * recognition", CVPR 2016. Small images: a 3x3 stem with stride 1 and no pooling (11,173,962 parameters for
 * 10 classes). Names of torchvision. */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static struct zoo_tip shortcut(struct zoo_build *b, struct zoo_tip from, int out, int stride)
{
    const struct zoo_tip tip = b->tip;
    b->tip = from;
    zoo_conv(b, "downsample.0", .out = out, .kernel = 1, .stride = stride);
    zoo_bn(b, "downsample.1", 0);
    from = b->tip;
    b->tip = tip;
    return from;
}

static void block(struct zoo_build *b, int out)
{
    struct zoo_tip in = b->tip;
    const int stride = in.shape.dim[0] != out ? 2 : 1;
    zoo_conv(b, "conv1", .out = out, .kernel = 3, .stride = stride);
    zoo_bn(b, "bn1", 0);
    zoo_act(b, "Relu", "relu1");
    zoo_conv(b, "conv2", .out = out, .kernel = 3);
    zoo_bn(b, "bn2", 0);
    if (stride == 2)
        in = shortcut(b, in, out, stride);
    zoo_add(b, "add", &in);
    zoo_act(b, "Relu", "relu2");
}

static void layers(struct zoo_build *b)
{
    const int stride = zoo_halve(b);
    zoo_conv(b, "conv1", .out = 64, .kernel = stride == 2 ? 7 : 3, .stride = stride);
    zoo_bn(b, "bn1", 0);
    zoo_act(b, "Relu", "relu");
    if (zoo_halve(b) == 2)
        zoo_max(b, "maxpool", .kernel = 3, .stride = 2, .pad = 1);
    for (int stage = 0; stage < 4; ++stage)
        for (int i = 0; i < 2; ++i) {
            zoo_scope(b, "layer%d.%d.", stage + 1, i);
            block(b, 64 << stage);
        }
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "avgpool");
    zoo_flatten(b, "flatten");
    zoo_head(b, "fc");
}

const struct zoo zoo_resnet18 = {
    .name = "resnet18",
    .title = "ResNet-18",
    .source = "He et al., Deep residual learning for image recognition, 2015",
    .channels = 3,
    .height = 224,
    .width = 224,
    .classes = 1000,
    .smallest = 16,
    .parameters = 11689512,
    .macs = 1814000000,
    .init = ZOO_HE_OUT,
    .layers = layers,
};
