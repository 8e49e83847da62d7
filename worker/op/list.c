/* list.c - all operators. A new one is a file (or a row of unary.c) and a line here. */
#include "worker/op/op.h"

#define OPS(X)                                                                                               \
    X(conv) X(gemm) X(matmul)                                                                                \
    X(maxpool) X(average_pool) X(global_average_pool)                                                        \
    X(relu) X(leaky_relu) X(sigmoid) X(tanh) X(hard_sigmoid) X(hard_swish) X(clip)                           \
    X(add) X(sub) X(sum) X(mul)                                                                              \
    X(batchnorm) X(softmax) X(dropout)                                                                       \
    X(identity) X(flatten) X(reshape) X(squeeze) X(unsqueeze)                                                \
    X(transpose) X(slice) X(pad) X(concat) X(reduce_mean)                                                    \
    X(quantize) X(dequantize) X(fakequant)

#define DECLARE(name) extern const struct op op_##name;
OPS(DECLARE)

#define ENTRY(name) &op_##name,
const struct op *const op_list[] = { OPS(ENTRY) NULL };

const struct op *op_find(const char *name)
{
    for (int i = 0; op_list[i]; i++)
        if (!strcmp(op_list[i]->name, name))
            return op_list[i];
    return NULL;
}
