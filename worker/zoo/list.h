/* list.h - every architecture: one line here and one in list.c. */
#ifndef WORKER_ZOO_LIST_H
#define WORKER_ZOO_LIST_H

#include "worker/zoo/zoo.h"

extern const struct zoo zoo_lenet5;
extern const struct zoo zoo_resnet20, zoo_resnet32, zoo_resnet56, zoo_resnet18;
extern const struct zoo zoo_vgg_small, zoo_vgg16, zoo_alexnet, zoo_googlenet;
extern const struct zoo zoo_densenet121, zoo_densenet_bc_100;
extern const struct zoo zoo_mobilenet_v1, zoo_mobilenet_v1_half, zoo_mobilenet_v2, zoo_mobilenet_v2_half;
extern const struct zoo zoo_mobilenet_v3_small, zoo_mobilenet_v3_small_half;
extern const struct zoo zoo_shufflenet_v1, zoo_shufflenet_v2, zoo_shufflenet_v2_half;
extern const struct zoo zoo_srcnn, zoo_ct_srcnn, zoo_vdsr;
extern const struct zoo zoo_srresnet_x2, zoo_srresnet_x3, zoo_srresnet;
extern const struct zoo zoo_edsr, zoo_edsr_x3, zoo_edsr_x4;

#endif
