/* ptq.c - quantization after training: the steps of least squared error, and no training. What makes it good
 * is around it: ranges (train/range.c), equalized channels (equalize.c), corrected biases (train/correct.c).
 */
#include "worker/quant/method.h"

static const char *const channel_first[] = { "channel", "layer", NULL };

const struct method method_ptq = {
    .name = "ptq",
    .title = "Post-training quantization",
    .source = "Nagel et al., arXiv 1906.04721; Krishnamoorthi, arXiv 1806.08342",
    .weight_bits = { 1, 8 },
    .activation_bits = { 2, 8 },
    .grids = method_grids,
    .granularities = channel_first,
    .post_training = true,
    .quantizer = method_uniform,
    .start = method_fit,
    .activation = method_activation,
};
