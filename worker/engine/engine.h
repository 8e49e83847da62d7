/* engine.h - a quantized network on integers alone.
 *
 * What a file with QuantizeLinear and DequantizeLinear says in real numbers is computed with 8-bit codes,
 * 8-bit weights and 32-bit sums:
 *
 *   codes    u8, value = (code - zero) * scale: whatever the file quantizes (its signed codes are kept +
 * 128); sums     int32 of codes times weights, with the bias in it where the file stores its integers;
 *   numbers  v * m / 2^s + n / 2^s for a sum v, where m and n are integers (per channel where there is a
 *            normalization): what the file leaves unquantized between two layers (a residual sum, a mean).
 *            v * m + n has at most 52 bits, so that it is exact in whatever register it is computed; m has as
 *            many bits as that leaves, 40 at most. Doubles hold them.
 *
 * Codes are clip(round(number / scale) + zero), halves to the even neighbour as in ONNX; where nothing else
 * reads the number, the scale is in m and n. So a code is that of the file's real numbers unless they come
 * within some 10^-10 of a half.
 *
 * In floating point are only the quantization of the input and the last layer's sums times their scale.
 * What can't be done so is an error that names the node. */
#ifndef WORKER_ENGINE_ENGINE_H
#define WORKER_ENGINE_ENGINE_H

#include "worker/graph/graph.h"
#include "worker/graph/pool.h"

struct engine;
struct kernels;

/* Which layers of up to BITS_PLANES bits go by bit planes (worker/kernels/bits.h). */
enum engine_bits { BITS_NEVER, BITS_WHERE_THEY_PAY, BITS_ALWAYS };

/* What a specification can name: how a network is run when it is judged. */
struct engine_kind {
    const char *name, *title;
    bool integers; /* by engine_new; else by net_new */
    enum engine_bits bits;
};

extern const struct engine_kind *const engine_kind_list[];    /* NULL-terminated; the first is the default */
const struct engine_kind *engine_kind_find(const char *name); /* NULL when unknown */

struct engine_options {
    const struct kernels *kernels; /* NULL: the best of this CPU */
    struct pool *pool;             /* borrowed; NULL: the caller's thread alone */
    size_t limit;                  /* bytes, 0: no limit; more is ERR_MEMORY */
    enum engine_bits bits;
};

/* The graph must be finished, as the importer gives it, and must outlive the engine. Errors: ERR_UNSUPPORTED
 * (place: the node), ERR_NOMEM, ERR_MEMORY. */
int engine_new(const struct graph *g, const struct engine_options *o, struct engine **n, struct err *e);
void engine_free(struct engine *n);

/* x: [blocks][features][LANES] as net_input(), y: [blocks][outputs][LANES]. Blocks are shared out among the
 * threads of the pool; the result does not depend on them. A last block of few samples is run sample by
 * sample, each in tiles (tiles.h), where the network allows that: the same bits, sooner; lanes without a
 * sample are not written then. */
void engine_run(struct engine *n, const real *x, int samples, real *y);

/* What is done one after the other, and how long it took: with `seconds` (one number per step, added to;
 * NULL: no more) every step is timed. For one thread. */
struct engine_step_info {
    const char *type, *node; /* node "": of no single one */
    uint64_t macs;           /* per sample */
    bool bits, tiled;
};
int engine_steps(const struct engine *n, int samples); /* of a batch of so many */
struct engine_step_info engine_step(const struct engine *n, int samples, int index);
void engine_profile(struct engine *n, int samples, double *seconds);

size_t engine_bytes(const struct engine *n);        /* activations and scratch of all threads */
size_t engine_weight_bytes(const struct engine *n); /* packed weights, biases, multipliers: one copy */
int engine_bit_layers(const struct engine *n);      /* layers that run by bit planes */

#endif
