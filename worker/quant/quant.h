/* quant.h - the quantization of one network: which tensors, how, and the values they take.
 *
 * Methods never touch operators. A weight is quantized beside the graph: the latent ("shadow") weight stays
 * in graph->param, its quantized value goes to quant->q, and the net is told to read that (net_set_weight).
 * An activation is quantized by a node put on the edge into the layer, with parameters of the graph.
 *
 * One step of training, after the net's forward pass:
 *
 *      quant_observe    what the batch had on learned levels (before the backward pass of the net)
 *      quant_backward   gradients in q become gradients in w (straight-through) and in the scales, those in
 *                       levels become gradients in their bases
 *      optimizer        moves w; the trainer's affair
 *      quant_rescale    new scales: closed form from the sums of the last pass, or learned by the optimizer
 *      quant_relevel    new levels of activations
 *      quant_apply      q = Q(w), and the sums
 *      quant_pull       w moves towards q (regularizers with a proximal step)
 */
#ifndef WORKER_QUANT_QUANT_H
#define WORKER_QUANT_QUANT_H

#include "base/err.h"
#include "worker/graph/graph.h"
#include "worker/graph/net.h"
#include "worker/quant/grid.h"

#include <stdbool.h>
#include <stdint.h>

enum { QUANT_LEVELS = 16 };  /* that are counted one by one: up to 4 bits */
enum { QUANT_TALLIES = 16 }; /* parts of an activation that are counted apart, whatever the threads */

/* What a pass over weights found; sums in double, fixed order. */
struct quant_bins {
    double count[QUANT_LEVELS], sum[QUANT_LEVELS];  /* of the weights w on each level */
    double miss[QUANT_LEVELS], error[QUANT_LEVELS]; /* sums of w - q and of its square */
};

struct quantizer;
struct method;

struct quant_weight {
    char layer[64];
    int value;            /* PARAM in the graph */
    size_t offset, count; /* its slice of graph->param */
    int bits;             /* 1..8 */
    const struct quantizer *quantizer;
    const struct grid *grid;
    int axis;              /* of the output channels where each has its own scale; -1: one for the tensor */
    int channels, stride;  /* scales; elements from one weight of a channel to the next */
    int width;             /* numbers of one scale: 1, or the bits of a basis */
    real *scale;           /* [channels][width], a slice of quant->scale */
    int channel;           /* the first of its channels in quant->sums, quant->bins */
    struct grid_sums sums; /* of the last quant_apply: all channels */
};

struct quant_activation {
    char name[64];    /* of the value that is quantized */
    int step;         /* PARAM value index of the step */
    int bits, high;   /* greatest code: LSQ's Q_P */
    int64_t features; /* per sample: LSQ's N of the step's gradient scale */
    bool fixed;       /* the step is known exactly (pixels): it does not learn */
    /* On the levels of a basis instead: there is no step (-1). */
    bool basis, signs;            /* signs: encodings in {-1,+1}, else {0,1} */
    int source, threshold, level; /* the value that is quantized; PARAM values of its QuantdLevels */
};

/* The basis of one activation; its moving average, or the gradient in it and the optimizer's moments. */
struct quant_basis {
    real v[4];
    double average[4], weight[4];
    real slope[4], moment[2][4];
};

/* Of one activation: how many numbers of the batch lie above each threshold, and their sum; index 0: all. */
struct quant_tally {
    double number[QUANT_LEVELS], sum[QUANT_LEVELS];
};

/* A piece of one channel of one weight: the cut is fixed, so that sums do not depend on the number of
 * threads. */
struct quant_chunk {
    int weight, channel;          /* channel of that weight */
    size_t offset, count, stride; /* in graph->param: count weights, stride apart */
    struct grid_sums sums;
    double slope; /* of the loss in the scale */
};

struct quant {
    const struct method *method; /* borrowed */
    struct quant_weight *weight;
    int weights;
    struct quant_activation *activation;
    int activations;
    int replaced;                   /* layers whose input came quantized and has the method's quantizer now */
    int64_t total;                  /* N: quantized weights of the network */
    real *q;                        /* quantized values, layout of graph->param */
    int8_t *code;                   /* q = code * scale: the same layout */
    const struct update_pass *pass; /* the best of this CPU */
    double error;                   /* R = sum (w - Q(w))^2 / N of the last quant_apply */

    real *scale;       /* [scales] of all weights */
    real *slope;       /* [scales] gradients of the loss, by LSQ's factor, of the last quant_backward */
    real *moment[2];   /* [scales] the optimizer's */
    double *memory[2]; /* [scales] the method's own: moving averages */
    int scales, channels;
    struct grid_sums *sums;        /* [channels] of the last quant_apply */
    struct quant_bins *bins;       /* [channels] likewise; NULL unless the method wants them */
    struct quant_bins *layer_bins; /* [weights] their sums */

    struct quant_basis *basis; /* [activations] those on a basis have one */
    bool basis_learns;         /* those are moved by the optimizer, not by QEM */
    struct quant_tally *tally; /* [activations][QUANT_TALLIES] of the last quant_observe */

    struct quant_chunk *chunk;     /* the fixed cut of all weights for parallel passes */
    struct quant_bins *chunk_bins; /* [chunks]; NULL without bins */
    int chunks;
};

/* How one layer is to be quantized; the caller fills it from the specification and from calibration. */
struct quant_layer_plan {
    int weight_bits; /* 32: float */
    struct {
        int bits;      /* 32: the layer's input stays float */
        int low, high; /* codes: 0..2^m-1 where the data are never negative, else -2^(m-1)..2^(m-1)-1 */
        real step;
        bool fixed;
        bool basis; /* on the levels of v instead; signs where low is negative */
        real v[4];
    } activation;
};

/* How bases of activations learn: qem, closed form for the activations of each batch; gradient, by the
 * optimizer. NULL-terminated. */
extern const char *const quant_basis_rules[];

struct quant_options {
    const struct method *method;
    const struct grid *grid;
    bool per_channel;  /* a scale for each output channel, else one for each layer */
    bool basis_learns; /* bases of activations follow the loss, else QEM */
};

/* Put quantizers on the inputs of the planned layers of g and finish it again. Layers are those of
 * graph_layers(g) in order, count of them; an input that feeds two layers is quantized once (the wider width
 * wins). Indices of values and nodes of g change. */
int quant_new(struct graph *g, const struct quant_layer_plan *plan, int count, const struct quant_options *o,
              struct quant **q, struct err *e);
void quant_free(struct quant *q);

/* Find everything again by name: indices change with graph_finish, sizes when units are removed (only where
 * each layer has one scale). A net of the graph, and the cut for parallel passes, must not be used any more
 * after the latter. */
int quant_locate(struct quant *q, struct graph *g, struct err *e);

void quant_start(struct quant *q, const struct graph *g); /* the method's scales for these weights */
void quant_bind(struct quant *q, struct net *n);          /* the net reads the quantized weights */
/* q = Q(w) with the present scales */
void quant_apply(struct quant *q, const struct graph *g, struct pool *p);
/* gradients: layout of graph->param; in place, from those in q to those in w, with those of the method's
 * regularizer, whose state is given. Fills slope. */
void quant_backward(struct quant *q, const struct graph *g, real *gradients, const double *regularizer,
                    struct pool *p);
/* After the net's forward pass in training: looks at the activations that lie on a basis, for QEM. */
void quant_observe(struct quant *q, struct net *n, const struct graph *g, int samples, struct pool *p);
/* The levels in g of each activation's basis: of the next one by QEM, from the last quant_observe, or of that
 * which the optimizer has moved. */
void quant_relevel(struct quant *q, struct graph *g);
void quant_rescale(struct quant *q); /* scales from the sums of the last apply, where the method does so */
void quant_pull(struct quant *q, struct graph *g, double strength, struct pool *p); /* w += s (Q(w) - w) */
void quant_snap(struct quant *q, struct graph *g, struct pool *p);                  /* w := Q(w) for ever */
double quant_median_scale(const struct quant *q); /* of step, in grid units (d), over layers */

/* Everything that a checkpoint must keep of q beside the graph's parameters; count <= QUANT_PARTS. */
enum { QUANT_PARTS = 9 };
struct quant_part {
    void *data;
    size_t bytes;
};
int quant_parts(struct quant *q, struct quant_part part[QUANT_PARTS]);
void quant_restored(struct quant *q); /* the parts have been read back: what follows from them */

/* After the snap: attach integer codes to g's quantized parameters and biases, for the exporter. Bias codes
 * use scale = activation step * weight scale where the layer's input is quantized; other biases stay float.
 */
int quant_codes(const struct quant *q, struct graph *g, struct err *e);
/* The last part of it for one layer whose weight has its codes: those of its bias. */
int quant_bias_codes(struct graph *g, const struct node *layer, struct err *e);

#endif
