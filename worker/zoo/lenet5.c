/* lenet5.c - LeNet-5 in the form that Caffe trains on MNIST: no activation behind the convolutions, max
 * pooling, 500 hidden units. LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document
 * recognition", Proceedings of the IEEE 86 (1998).
 *
 *      1x28x28 ─ conv1 5x5 ─ 20x24x24 ─ pool ─ 20x12x12 ─ conv2 5x5 ─ 50x8x8 ─ pool ─ 50x4x4 ─ fc1 ─ 500 ─
 * fc2 ─ 10 */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static int build(uint64_t seed, struct graph **g, struct err *e)
{
    struct zoo_build b;
    zoo_start(&b, &zoo_lenet5, ZOO_XAVIER, seed, e);
    zoo_conv(&b, "conv1", 20, 5, 1, 0, 1, true);
    zoo_pool(&b, "MaxPool", "pool1", 2, 2);
    zoo_conv(&b, "conv2", 50, 5, 1, 0, 1, true);
    zoo_pool(&b, "MaxPool", "pool2", 2, 2);
    zoo_flatten(&b, "flatten");
    zoo_gemm(&b, "fc1", 500);
    zoo_relu(&b, "relu1");
    zoo_gemm(&b, "fc2", 10);
    return zoo_done(&b, g);
}

const struct zoo zoo_lenet5 = {
    .name = "lenet5",
    .title = "LeNet-5 (Caffe)",
    .source = "LeCun et al., Gradient-based learning applied to document recognition, 1998",
    .channels = 1,
    .height = 28,
    .width = 28,
    .classes = 10,
    .parameters = 431080,
    .build = build,
};
