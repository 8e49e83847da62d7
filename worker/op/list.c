/* list.c - all operators. A new one is a file (or a row of unary.c) and two words here. */
#include "worker/op/op.h"

extern const struct op op_conv, op_gemm, op_matmul;
extern const struct op op_maxpool, op_global_max_pool, op_average_pool, op_global_average_pool, op_resize;
extern const struct op op_relu, op_leaky_relu, op_sigmoid, op_tanh, op_hard_sigmoid, op_hard_swish, op_clip;
extern const struct op op_prelu, op_lrn;
extern const struct op op_add, op_sub, op_sum, op_mul;
extern const struct op op_batchnorm, op_softmax, op_dropout;
extern const struct op op_identity, op_flatten, op_reshape, op_squeeze, op_unsqueeze;
extern const struct op op_transpose, op_slice, op_pad, op_depth_to_space, op_space_to_depth;
extern const struct op op_concat, op_split, op_reduce_mean;
extern const struct op op_quantize, op_dequantize, op_fakequant, op_levels;

const struct op *const op_list[] = {
    &op_conv,
    &op_gemm,
    &op_matmul,
    &op_maxpool,
    &op_global_max_pool,
    &op_average_pool,
    &op_global_average_pool,
    &op_resize,
    &op_relu,
    &op_leaky_relu,
    &op_sigmoid,
    &op_tanh,
    &op_hard_sigmoid,
    &op_hard_swish,
    &op_clip,
    &op_prelu,
    &op_lrn,
    &op_add,
    &op_sub,
    &op_sum,
    &op_mul,
    &op_batchnorm,
    &op_softmax,
    &op_dropout,
    &op_identity,
    &op_flatten,
    &op_reshape,
    &op_squeeze,
    &op_unsqueeze,
    &op_transpose,
    &op_slice,
    &op_pad,
    &op_depth_to_space,
    &op_space_to_depth,
    &op_concat,
    &op_split,
    &op_reduce_mean,
    &op_quantize,
    &op_dequantize,
    &op_fakequant,
    &op_levels,
    NULL,
};

const struct op *op_find(const char *name)
{
    for (int i = 0; op_list[i]; i++)
        if (!strcmp(op_list[i]->name, name))
            return op_list[i];
    return NULL;
}
