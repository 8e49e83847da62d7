/* fakequant.h - what a learned quantizer does, for the operators that do it in their own pass (op.h: struct
 * tail).
 */
#ifndef WORKER_OP_FAKEQUANT_H
#define WORKER_OP_FAKEQUANT_H

#include "worker/kernels/element.h"
#include "worker/op/op.h"

/* The quantizer at the end of this node's tail, else the node itself. */
const struct node *fakequant_of(const struct step *s, const struct node *n);

/* Of this node's quantizer, zero 0: the range of numbers that come out. A ReLU in front of it is a part of
 * that: nothing comes out below 0 or above what its ceiling is rounded to. */
struct quant_range fakequant_range(const struct step *s, const struct node *n);
/* And within which numbers (by the scale) a gradient passes both: not at 0 behind a ReLU, nor above its
 * ceiling. */
struct quant_range fakequant_open(const struct step *s, const struct node *n);
/* As codes, bytes without a sign: zero is 128 where the quantizer has negative codes. */
struct quant_range fakequant_bytes(const struct step *s, const struct node *n);

#endif
