/* precision.h - which nodes of a net run on codes, when codes of weights will be there (options.codes).
 *
 * A layer does when it is a plain convolution or matrix of one group, its weight is quantized to at most
 * eight bits (value.coded), and its input comes from a QuantdFakeQuant whose codes are bytes: op_coded_float
 * takes its place, or in mixed precision op_coded_pairs where bf16 is faster than float on this machine and
 * in this layer; and op_fakequant_coded the quantizer's. All others compute in floating point. */
#ifndef WORKER_GRAPH_PRECISION_H
#define WORKER_GRAPH_PRECISION_H

#include "worker/graph/net.h"

extern const char *const precision_list[]; /* names, in the order of enum precision; NULL-terminated */
int precision_find(const char *name);      /* -1 when unknown */

/* op[node]: what runs there; code[value]: it is made as codes; plain[value]: it is read as numbers, too.
 * Arrays are the caller's. */
void precision_choose(const struct graph *g, const struct net_options *o, const struct op **op, bool *code,
                      bool *plain);

/* Bytes of one block of codes of this value: channels in fours (worker/kernels/int8.h). */
size_t precision_code_bytes(const struct shape *s);

#endif
