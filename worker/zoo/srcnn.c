/* srcnn.c - super-resolution from an image that was enlarged before: as many pixels come out as go in. The
 * size of a row is that of the patches its paper trains on; any image will do.
 *
 * SRCNN 9-5-5: Dong, Loy, He, Tang, "Image super-resolution using deep convolutional networks", TPAMI 2016;
 * the paper's weights of deviation 0.001 learn very slowly, these are uniform. CT-SRCNN, five layers: Ren,
 * El-Khamy, Lee, "CT-SRCNN: cascade trained and trimmed deep convolutional neural networks for image super
 * resolution", WACV 2018: learns the difference to its input. The cascade began with tiny weights; at once,
 * it trains from those of He et al. 2015. VDSR, 20 layers: Kim, Lee, Lee, "Accurate image super-resolution
 * using very deep convolutional networks", CVPR 2016; the difference too, no biases. */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static void srcnn_layers(struct zoo_build *b)
{
    zoo_conv(b, "conv1", .out = 64, .kernel = 9, .bias = true);
    zoo_act(b, "Relu", "relu1");
    zoo_conv(b, "conv2", .out = 32, .kernel = 5, .bias = true);
    zoo_act(b, "Relu", "relu2");
    zoo_conv(b, "conv3", .out = b->request->channels, .kernel = 5, .bias = true);
}

static void ct_srcnn_layers(struct zoo_build *b)
{
    static const struct {
        int out, kernel;
    } hidden[] = { { 64, 9 }, { 64, 5 }, { 64, 3 }, { 32, 3 } };
    const struct zoo_tip in = b->tip;
    for (int i = 0; i < 4; ++i) {
        const char *name = zoo_name(b, "conv%d", i + 1);
        zoo_conv(b, name, .out = hidden[i].out, .kernel = hidden[i].kernel, .bias = true);
        zoo_act(b, "Relu", zoo_name(b, "relu%d", i + 1));
    }
    zoo_conv(b, "conv5", .out = b->request->channels, .kernel = 5, .bias = true);
    zoo_add(b, "add", &in);
}

static void vdsr_layers(struct zoo_build *b)
{
    const struct zoo_tip in = b->tip;
    for (int i = 0; i < 19; ++i) {
        zoo_conv(b, zoo_name(b, "convs.%d", i), .out = 64, .kernel = 3);
        zoo_act(b, "Relu", zoo_name(b, "relu.%d", i));
    }
    zoo_conv(b, "convs.19", .out = b->request->channels, .kernel = 3);
    zoo_add(b, "add", &in);
}

#define FAMILY .channels = 1, .scale = 1, .smallest = 1

const struct zoo zoo_srcnn = {
    .name = "srcnn-9-5-5",
    .title = "SRCNN 9-5-5",
    .source = "Dong et al., Image super-resolution using deep convolutional networks, 2014",
    .height = 33,
    .width = 33,
    .parameters = 57281,
    .init = ZOO_UNIFORM,
    .layers = srcnn_layers,
    FAMILY,
};
const struct zoo zoo_ct_srcnn = {
    .name = "ct-srcnn-5",
    .title = "CT-SRCNN, 5 layers",
    .source = "Ren et al., CT-SRCNN: cascade trained and trimmed deep convolutional neural networks, 2017",
    .height = 33,
    .width = 33,
    .parameters = 163905,
    .init = ZOO_HE,
    .layers = ct_srcnn_layers,
    FAMILY,
};
const struct zoo zoo_vdsr = {
    .name = "vdsr",
    .title = "VDSR, 20 layers",
    .source = "Kim et al., Accurate image super-resolution using very deep convolutional networks, 2015",
    .height = 41,
    .width = 41,
    .parameters = 664704,
    .init = ZOO_HE,
    .layers = vdsr_layers,
    FAMILY,
};
