/* alexnet.c - AlexNet as Caffe has it (bvlc_alexnet): two groups in conv2, conv4 and conv5, as the paper's
 * two GPUs, response normalization in front of the pooling. Krizhevsky, Sutskever, Hinton, "ImageNet
 * classification with deep convolutional neural networks", NIPS 2012. With 224x224 images, too, 6x6 remain
 * (the last pooling hangs over). Small images: a 5x5 stem with stride 1. Initialization: the paper's
 * deviation of 0.01 is for pixels up to 255; He et al. 2015 suits normalized ones. */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static void layers(struct zoo_build *b)
{
    if (zoo_halve(b) == 2)
        zoo_conv(b, "conv1", .out = 96, .kernel = 11, .stride = 4, .valid = true, .bias = true);
    else
        zoo_conv(b, "conv1", .out = 96, .kernel = 5, .bias = true);
    zoo_act(b, "Relu", "relu1");
    zoo_lrn(b, "norm1");
    zoo_max(b, "pool1", .kernel = 3, .stride = 2);
    zoo_conv(b, "conv2", .out = 256, .kernel = 5, .groups = 2, .bias = true);
    zoo_act(b, "Relu", "relu2");
    zoo_lrn(b, "norm2");
    zoo_max(b, "pool2", .kernel = 3, .stride = 2);
    zoo_conv(b, "conv3", .out = 384, .kernel = 3, .bias = true);
    zoo_act(b, "Relu", "relu3");
    zoo_conv(b, "conv4", .out = 384, .kernel = 3, .groups = 2, .bias = true);
    zoo_act(b, "Relu", "relu4");
    zoo_conv(b, "conv5", .out = 256, .kernel = 3, .groups = 2, .bias = true);
    zoo_act(b, "Relu", "relu5");
    zoo_max(b, "pool5", .kernel = 3, .stride = 2, .more = 1);
    zoo_flatten(b, "flatten");
    zoo_linear(b, "fc6", 4096);
    zoo_act(b, "Relu", "relu6");
    zoo_dropout(b, "drop6", 0.5);
    zoo_linear(b, "fc7", 4096);
    zoo_act(b, "Relu", "relu7");
    zoo_dropout(b, "drop7", 0.5);
    zoo_head(b, "fc8");
}

const struct zoo zoo_alexnet = {
    .name = "alexnet",
    .title = "AlexNet (Caffe)",
    .source = "Krizhevsky et al., ImageNet classification with deep convolutional neural networks, 2012",
    .channels = 3,
    .height = 227,
    .width = 227,
    .classes = 1000,
    .smallest = 16,
    .parameters = 60965224,
    .macs = 724406816,
    .init = ZOO_HE,
    .layers = layers,
};
