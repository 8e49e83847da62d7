/* op.h - an operator is a const struct of functions, one per file, listed once in op/list.c.
 *
 * Work is cut in two ways, and every cut gives the same bits for any number of threads:
 *
 *   blocks of 16 samples: forward() and backward() are called with [lo, hi) of the batch's blocks;
 *   items (output channels...): forward_reduce() and backward_reduce() are called with [lo, hi) of items()
 *   and may read every block. A sum over the batch belongs there, in block order.
 *
 * Order within a node: forward_gather (if any), barrier, forward_reduce, barrier, forward; and
 * backward_gather or backward_prepare (if any), barrier, backward_reduce, barrier, backward. backward_prepare
 * is cut by pairs of blocks: [lo, hi) of (blocks + 1) / 2. The gathers are cut by blocks and see no others:
 * they run while a block that the node before (or behind) has just made is still near.
 *
 * backward accumulates into input gradients (+=): the executor zeroes them, but for those that an operator
 * says it can write (backward_writes); backward_reduce accumulates (+=) into parameter gradients; the
 * gradient that came in is the node's own and may be changed (of a tail's sum, batchnorm.c). Nothing
 * here allocates: what it needs is asked for by scratch() and keep(). */
#ifndef WORKER_OP_OP_H
#define WORKER_OP_OP_H

#include "worker/graph/graph.h"

struct kernels;
struct conv;

/* Weights as integers, for operators that run on codes: w = code * scale, one scale or one per output. */
struct coded_weight {
    const int8_t *code; /* natural layout; NULL: there are none */
    const real *scale;
    int scales;
};

/* Nodes behind a node that it does in the same pass: y = quantize(relu(its own output + other)), or a part of
 * that. Without them out is its own output. */
struct tail {
    int out;          /* value that is written and whose gradient comes in */
    int number;       /* value in front of the quantizer that is written too, and whose gradient comes in;
                         where both an addition and a quantizer are, it always is; -1: not */
    int quant;        /* node of the quantizer at the end, -1: none */
    int other;        /* value that is added, -1: none; its gradient is the operator's business, too */
    bool other_fresh; /* nothing is in that gradient yet */
    bool relu;
    real ceiling; /* of the ReLU: what is above comes out as that; INFINITY: it has none, or there is none */
};

enum tail_role {
    TAIL_NONE,
    TAIL_HEAD, /* asks step_tail() */
    TAIL_ADD,  /* can be in a tail: two inputs of one shape, plainly added */
    TAIL_RELU, /* without a head it is one itself, when a quantizer follows: that one runs in its place */
    TAIL_QUANT
};

/* What an operator sees of a step. Pointers are indexed by value (see graph.h). */
struct step {
    const struct graph *graph;
    const struct kernels *kernels;
    int blocks;          /* in this batch */
    int samples;         /* valid ones: the other lanes of the last block must not count in statistics */
    bool training;       /* batch statistics, dropout */
    uint64_t seed, tick; /* for counter-based randomness: job seed and step number */
    real **x;            /* ACT/INPUT: [blocks][features][LANES]; PARAM: the weights to use (maybe quantized);
                            CONST: its numbers as real */
    real **g;            /* gradients: same layouts; NULL where no gradient is wanted */
    uint8_t **code; /* ACT: codes of what QuantdFakeQuant made, as worker/kernels/int8.h has them; NULL where
                       nobody reads them. Then x may be NULL. */
    struct coded_weight *coded; /* PARAM */
    void **kept;                /* per node: keep() bytes per block, from forward to backward */
    struct tail *tail;          /* per node */
    uint32_t *fresh; /* per node: bit i: backward is to write the gradient of input i, not to add to it */
    void **room[2];  /* per node: room() bytes, of its forward and of its backward stages */
    void **scratch;  /* per thread: the largest scratch() of all nodes, contents undefined */
};

struct op {
    const char *name;     /* ONNX operator name; internal ones start with "Quantd" */
    int weight;           /* input index of the quantizable weight, -1 for none */
    int bias;             /* input index of its bias, -1 for none */
    bool pass_shape_only; /* the output is the input under another shape (Flatten, Reshape, Identity): the
                             executor shares the memory where it can, else runs forward (a copy) */
    bool codes;           /* its output is integers times a scale, whose sums of products can be exact */
    bool reads_codes;     /* of input 0, instead of numbers, forward and backward */
    bool all_outputs; /* the last outputs are made too when nobody reads them: their number means something */

    /* Check inputs and attributes, set output shapes, build node->state. Unknown attributes are errors.
     * Errors: ERR_UNSUPPORTED / ERR_INVALID; text names the attribute, the caller adds the node. */
    int (*setup)(struct graph *g, struct node *n, struct err *e);
    void (*teardown)(struct node *n); /* frees n->state; may be NULL */

    /* bytes per thread with these kernels; NULL: 0 */
    size_t (*scratch)(const struct graph *g, const struct node *n, const struct kernels *k);
    size_t (*keep)(const struct graph *g, const struct node *n); /* bytes per block; NULL: 0 */
    int (*items)(const struct graph *g, const struct node *n);   /* for the reduce stages */

    /* bytes that all threads share while the forward (or the backward) stages run; NULL: 0 */
    size_t (*room)(const struct graph *g, const struct node *n, int blocks, bool backward);

    void (*forward_gather)(const struct step *s, const struct node *n, int lo, int hi, int thread);
    void (*forward_reduce)(const struct step *s, const struct node *n, int lo, int hi, int thread);
    void (*forward)(const struct step *s, const struct node *n, int lo, int hi, int thread);
    void (*backward_gather)(const struct step *s, const struct node *n, int lo, int hi, int thread);
    void (*backward_prepare)(const struct step *s, const struct node *n, int lo, int hi, int thread);
    void (*backward_reduce)(const struct step *s, const struct node *n, int lo, int hi, int thread);
    void (*backward)(const struct step *s, const struct node *n, int lo, int hi, int thread);

    /* What the backward stages read, so that the planner can let memory go: bit i = input or output i. */
    uint32_t backward_needs_inputs, backward_needs_outputs;
    /* Bit i: backward asks step_fresh() and then writes every number of input i's gradient. */
    uint32_t backward_writes;
    enum tail_role role;
    /* Of a TAIL_RELU with constants: the largest number that comes out, 0 when this one isn't a ReLU; NULL:
     * none. */
    real (*ceiling)(const struct node *n);

    uint64_t (*macs)(const struct graph *g, const struct node *n); /* per sample; NULL: 0 */
    /* The convolution of input 0 by input 1, plus input 2, that this node is; NULL when it is more than that.
     */
    const struct conv *(*conv)(const struct node *n);
};

/* Is there nothing yet in the gradient of this node's input? */
static inline bool step_fresh(const struct step *s, const struct node *n, int input)
{
    return s->fresh[n - s->graph->node] >> input & 1;
}

static inline const struct tail *step_tail(const struct step *s, const struct node *n)
{
    return &s->tail[n - s->graph->node];
}

/* Instead of what the graph says, where the net chooses so (worker/graph/precision.h): layers on codes, and
 * the quantizer that makes them. They have no setup of their own. */
extern const struct op op_coded_pairs, op_coded_float, op_fakequant_coded;

extern const struct op *const op_list[];    /* NULL-terminated */
const struct op *op_find(const char *name); /* NULL when unknown */

#endif
