/* lenet5.c - LeNet-5 in the form that Caffe trains on MNIST: no activation behind the convolutions, max
 * pooling, 500 hidden units. LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
 * recognition", Proceedings of the IEEE 86 (1998).
 *
 *      1x28x28 ─ conv1 5x5 ─ 20x24x24 ─ pool ─ 20x12x12 ─ conv2 5x5 ─ 50x8x8 ─ pool ─ 50x4x4 ─ fc1 ─ 500 ─
 * fc2 */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static void layers(struct zoo_build *b)
{
    zoo_conv(b, "conv1", .out = 20, .kernel = 5, .valid = true, .bias = true);
    zoo_max(b, "pool1", .kernel = 2, .stride = 2);
    zoo_conv(b, "conv2", .out = 50, .kernel = 5, .valid = true, .bias = true);
    zoo_max(b, "pool2", .kernel = 2, .stride = 2);
    zoo_flatten(b, "flatten");
    zoo_linear(b, "fc1", 500);
    zoo_act(b, "Relu", "relu1");
    zoo_head(b, "fc2");
}

const struct zoo zoo_lenet5 = {
    .name = "lenet5",
    .title = "LeNet-5 (Caffe)",
    .source = "LeCun et al., Gradient-based learning applied to document recognition, 1998",
    .channels = 1,
    .height = 28,
    .width = 28,
    .classes = 10,
    .smallest = 16,
    .parameters = 431080,
    .macs = 2293000,
    .init = ZOO_XAVIER,
    .layers = layers,
};
