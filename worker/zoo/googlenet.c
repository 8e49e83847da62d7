/* googlenet.c - GoogLeNet (Inception v1) as Caffe has it, with response normalization and without the two
 * auxiliary classifiers. Szegedy et al., "Going deeper with convolutions", CVPR 2015. Small images: a 3x3
 * stem with stride 1 and no first pooling.
 *
 *      ─┬─ 1x1 ──────────────┬─ concat ─
 *       ├─ 1x1 ─ 3x3 ────────┤
 *       ├─ 1x1 ─ 5x5 ────────┤
 *       └─ max 3x3 ─ 1x1 ────┘ */
#include "worker/zoo/build.h"
#include "worker/zoo/list.h"

static const struct inception {
    char name[4];
    int one, reduce3, three, reduce5, five, pool;
    bool halve; /* a pooling behind it */
} inceptions[] = {
    { "3a", 64, 96, 128, 16, 32, 32, false },     { "3b", 128, 128, 192, 32, 96, 64, true },
    { "4a", 192, 96, 208, 16, 48, 64, false },    { "4b", 160, 112, 224, 24, 64, 64, false },
    { "4c", 128, 128, 256, 24, 64, 64, false },   { "4d", 112, 144, 288, 32, 64, 64, false },
    { "4e", 256, 160, 320, 32, 128, 128, true },  { "5a", 256, 160, 320, 32, 128, 128, false },
    { "5b", 384, 192, 384, 48, 128, 128, false },
};

static void conv(struct zoo_build *b, const char *name, int out, int kernel, int stride)
{
    zoo_conv(b, name, .out = out, .kernel = kernel, .stride = stride, .bias = true);
    zoo_act(b, "Relu", zoo_name(b, "relu_%s", name));
}

static void inception(struct zoo_build *b, const struct inception *i)
{
    const struct zoo_tip in = b->tip;
    struct zoo_tip part[4];
    zoo_scope(b, "inception_%s/", i->name);
    conv(b, "1x1", i->one, 1, 1);
    part[0] = b->tip;
    b->tip = in;
    conv(b, "3x3_reduce", i->reduce3, 1, 1);
    conv(b, "3x3", i->three, 3, 1);
    part[1] = b->tip;
    b->tip = in;
    conv(b, "5x5_reduce", i->reduce5, 1, 1);
    conv(b, "5x5", i->five, 5, 1);
    part[2] = b->tip;
    b->tip = in;
    zoo_max(b, "pool", .kernel = 3, .stride = 1, .pad = 1);
    conv(b, "pool_proj", i->pool, 1, 1);
    part[3] = b->tip;
    zoo_concat(b, "output", part, 4);
    if (i->halve)
        zoo_max(b, "pool_3x3_s2", .kernel = 3, .stride = 2, .more = 1);
}

static void layers(struct zoo_build *b)
{
    const int stride = zoo_halve(b);
    conv(b, "conv1/7x7_s2", 64, stride == 2 ? 7 : 3, stride);
    if (zoo_halve(b) == 2)
        zoo_max(b, "pool1/3x3_s2", .kernel = 3, .stride = 2, .more = 1);
    zoo_lrn(b, "pool1/norm1");
    conv(b, "conv2/3x3_reduce", 64, 1, 1);
    conv(b, "conv2/3x3", 192, 3, 1);
    zoo_lrn(b, "conv2/norm2");
    zoo_max(b, "pool2/3x3_s2", .kernel = 3, .stride = 2, .more = 1);
    for (size_t i = 0; i < sizeof inceptions / sizeof *inceptions; ++i)
        inception(b, &inceptions[i]);
    zoo_scope(b, "%s", "");
    zoo_average_all(b, "pool5");
    zoo_flatten(b, "flatten");
    zoo_dropout(b, "pool5/drop", 0.4);
    zoo_head(b, "loss3/classifier");
}

const struct zoo zoo_googlenet = {
    .name = "googlenet",
    .title = "GoogLeNet (Caffe, no auxiliary classifiers)",
    .source = "Szegedy et al., Going deeper with convolutions, 2014",
    .channels = 3,
    .height = 224,
    .width = 224,
    .classes = 1000,
    .smallest = 16,
    .parameters = 6998552,
    .init = ZOO_HE,
    .layers = layers,
};
