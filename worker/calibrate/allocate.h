/* allocate.h - widths of layers by a budget: where the next bit costs most and tells least, it goes first. */
#ifndef WORKER_CALIBRATE_ALLOCATE_H
#define WORKER_CALIBRATE_ALLOCATE_H

#include "worker/calibrate/sensitivity.h"

enum allocate_what { ALLOCATE_BYTES, ALLOCATE_BIT_OPERATIONS };

/* A layer and its widths. */
struct allocate_layer {
    int64_t weights;
    uint64_t macs;
    int weight_bits, activation_bits; /* at the beginning the greatest that it may have, then the result; 32:
                                         float, which stays */
    int weight_least, activation_least; /* never below; equal to the greatest: fixed */
};

/* Bytes of the weights' codes at a fixed length, or multiply-accumulates times both widths (a float operand
 * counts as 32 bits), of all layers. */
double allocate_cost(const struct allocate_layer *layer, int count, enum allocate_what what);

/* Lower widths bit by bit until the cost is at most `budget`: each time the step whose noise grows least by
 * what it saves. Noises of different layers add up. For bytes only the weights are lowered. Widths that `row`
 * has no figure for are passed over. False: even the least widths cost more. */
bool allocate(struct allocate_layer *layer, const struct sensitivity_row *row, int count,
              enum allocate_what what, double budget);

#endif
