/* list.c - the architectures in the order in which they are shown. */
#include "worker/zoo/list.h"

#include <stddef.h>

const struct zoo *const zoo_list[] = {
    &zoo_lenet5,
    &zoo_resnet20,
    &zoo_resnet32,
    &zoo_resnet56,
    &zoo_resnet18,
    &zoo_vgg_small,
    &zoo_vgg16,
    &zoo_alexnet,
    &zoo_googlenet,
    &zoo_densenet121,
    &zoo_densenet_bc_100,
    &zoo_mobilenet_v1,
    &zoo_mobilenet_v1_half,
    &zoo_mobilenet_v2,
    &zoo_mobilenet_v2_half,
    &zoo_mobilenet_v3_small,
    &zoo_mobilenet_v3_small_half,
    &zoo_shufflenet_v1,
    &zoo_shufflenet_v2,
    &zoo_shufflenet_v2_half,
    &zoo_srcnn,
    &zoo_ct_srcnn,
    &zoo_vdsr,
    &zoo_srresnet,
    &zoo_srresnet_x2,
    &zoo_srresnet_x3,
    &zoo_edsr,
    &zoo_edsr_x3,
    &zoo_edsr_x4,
    NULL,
};
