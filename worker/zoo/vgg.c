/* vgg.c - chains of 3x3 convolutions with pooling between.
 *
 * VGG-16: Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR
 * 2015 (configuration D; names of torchvision). Its authors began with the weights of a shallower network; it
 * trains from scratch with the initialization of He et al. 2015, which is used here. VGG-Small:
 * 128-128-P-256-256-P-512-512-P and one fully connected layer, batch normalization behind every convolution.
 * Zhang, Yang, Ye, Hua, "LQ-Nets", ECCV 2018. */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

enum { POOL = 0, END = -1 };

static void small_layers(struct zoo_build *b)
{
    static const int plan[] = { 128, 128, POOL, 256, 256, POOL, 512, 512, POOL, END };
    int convs = 0;
    for (const int *p = plan; *p != END; ++p) {
        if (*p == POOL) {
            zoo_max(b, "pool", .kernel = 2, .stride = 2);
            continue;
        }
        zoo_scope(b, "block%d.", ++convs);
        zoo_conv(b, "conv", .out = *p, .kernel = 3);
        zoo_bn(b, "bn", 0);
        zoo_act(b, "Relu", "relu");
    }
    zoo_scope(b, "%s", "");
    zoo_flatten(b, "flatten");
    zoo_head(b, "fc");
}

const struct zoo zoo_vgg_small = {
    .name = "vgg-small",
    .title = "VGG-Small (CIFAR)",
    .source = "Zhang et al., LQ-Nets: learned quantization for highly accurate and compact networks, 2018",
    .channels = 3,
    .height = 32,
    .width = 32,
    .classes = 10,
    .smallest = 8,
    .parameters = 4660106,
    .init = ZOO_HE_OUT,
    .layers = small_layers,
};

static void hidden(struct zoo_build *b, int first)
{
    zoo_linear(b, zoo_name(b, "%d", first), 4096);
    zoo_act(b, "Relu", zoo_name(b, "%d", first + 1));
    zoo_dropout(b, zoo_name(b, "%d", first + 2), 0.5);
}

static void layers(struct zoo_build *b)
{
    static const int plan[] = { 64,  64,  POOL, 128,  128, POOL, 256, 256,  256, POOL,
                                512, 512, 512,  POOL, 512, 512,  512, POOL, END };
    int index = 0;
    zoo_scope(b, "features.");
    for (const int *p = plan; *p != END; ++p) {
        const char *name = zoo_name(b, "%d", index++);
        if (*p == POOL) {
            zoo_max(b, name, .kernel = 2, .stride = 2);
            continue;
        }
        zoo_conv(b, name, .out = *p, .kernel = 3, .bias = true);
        zoo_act(b, "Relu", zoo_name(b, "%d", index++));
    }
    zoo_scope(b, "classifier.");
    zoo_flatten(b, "flatten");
    hidden(b, 0);
    hidden(b, 3);
    zoo_head(b, "6");
}

const struct zoo zoo_vgg16 = {
    .name = "vgg16",
    .title = "VGG-16",
    .source =
        "Simonyan and Zisserman, Very deep convolutional networks for large-scale image recognition, 2014",
    .channels = 3,
    .height = 224,
    .width = 224,
    .classes = 1000,
    .smallest = 32,
    .parameters = 138357544,
    .macs = 15470000000,
    .init = ZOO_HE,
    .layers = layers,
};
