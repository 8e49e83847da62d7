/* coded.h - a convolution or a fully connected layer on codes: its input comes from a QuantdFakeQuant, its
 * weight from a quantizer (step.coded). Forward on exact integers,
 *
 *      y = (sum of codes * weight codes) * (step * scale) + bias,
 *
 * the same sum as the exported integer network has. Gradients are those of Conv: with respect to the
 * quantized input and the quantized weight. They are made on bf16 (coded_pairs.c) or in floating point
 * (coded_float.c). Here is what both share. */
#ifndef WORKER_OP_CODED_H
#define WORKER_OP_CODED_H

#include "worker/kernels/kernels.h"
#include "worker/op/op.h"

const struct conv *coded_conv(const struct node *n);
real coded_step(const struct step *s, const struct node *n); /* of the input's quantizer */
int coded_zero(const struct step *s, const struct node *n);  /* the code of 0 */

size_t coded_room(const struct node *n); /* bytes of the forward stages */
/* Of a thread, when its backward stages need so much. */
size_t coded_scratch(const struct node *n, const struct kernels *k, size_t backward);

int coded_items(const struct graph *g, const struct node *n);
void coded_forward_reduce(const struct step *s, const struct node *n, int lo, int hi, int thread);
void coded_forward(const struct step *s, const struct node *n, int lo, int hi, int thread);

#define CODED                                                                                                \
    .name = "coded layer", .weight = 1, .bias = 2, .reads_codes = true, .items = coded_items,                \
    .forward_reduce = coded_forward_reduce, .forward = coded_forward, .backward_writes = 1

#endif
