/* quant.h - the quantization of one network: which tensors, how, and the values they take.
 *
 * Methods never touch operators. A weight is quantized beside the graph: the latent ("shadow") weight stays
 * in graph->param, its quantized value goes to quant->q, and the net is told to read that (net_set_weight);
 * the loss gradient with respect to q is taken as the gradient of w (straight-through). An activation is
 * quantized by a QuantdFakeQuant node put on the edge into the layer; its step is a parameter of the graph.
 */
#ifndef WORKER_QUANT_QUANT_H
#define WORKER_QUANT_QUANT_H

#include "base/err.h"
#include "worker/graph/graph.h"
#include "worker/graph/net.h"
#include "worker/quant/grid.h"

#include <stdbool.h>
#include <stdint.h>

struct quant_weight {
    char layer[64];
    int value;            /* PARAM in the graph */
    size_t offset, count; /* its slice of graph->param */
    int bits;             /* 1..8 */
    const struct grid *grid;
    real scale;
    struct grid_sums sums; /* of the last quant_apply */
};

struct quant_activation {
    char name[64];    /* of the value that is quantized */
    int step;         /* PARAM value index of the step */
    int bits, high;   /* greatest code: LSQ's Q_P */
    int64_t features; /* per sample: LSQ's N of the step's gradient scale */
    bool fixed;       /* the step is known exactly (pixels): it does not learn */
};

/* A piece of one weight: the cut is fixed, so that sums do not depend on the number of threads. */
struct quant_chunk {
    int weight;
    size_t offset, count; /* in graph->param */
    struct grid_sums sums;
};

struct quant {
    struct quant_weight *weight;
    int weights;
    struct quant_activation *activation;
    int activations;
    int64_t total;                  /* N: quantized weights of the network */
    real *q;                        /* quantized values, layout of graph->param */
    int8_t *code;                   /* q = code * scale: the same layout */
    const struct update_pass *pass; /* the best of this CPU */
    double error;                   /* R = sum (w - Q(w))^2 / N of the last quant_apply */
    struct quant_chunk *chunk;      /* the fixed cut of all weights for parallel passes */
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
    } activation;
};

/* Put FakeQuant nodes on the inputs of the planned layers of g and finish it again. Layers are those of
 * graph_layers(g) in order, count of them; an input that feeds two layers is quantized once (the wider width
 * wins). Indices of values and nodes of g change. */
int quant_new(struct graph *g, const struct quant_layer_plan *plan, int count, const struct grid *grid,
              struct quant **q, struct err *e);
void quant_free(struct quant *q);

/* Find everything again by name: indices change with graph_finish, sizes when units are removed. A net of the
 * graph, and the cut for parallel passes, must not be used any more after the latter. */
int quant_locate(struct quant *q, struct graph *g, struct err *e);

void quant_fit(struct quant *q, const struct graph *g); /* MSE-optimal scales from the weights */
void quant_bind(struct quant *q, struct net *n);        /* the net reads the quantized weights */
void quant_apply(struct quant *q, const struct graph *g,
                 struct pool *p); /* q = Q(w) with the present scales */
void quant_refit(
    struct quant *q); /* closed-form scales from the sums of the last apply: d = sum wk / sum kk */
void quant_snap(struct quant *q, struct graph *g, struct pool *p); /* w := Q(w) for ever */
double quant_median_scale(const struct quant *q); /* of step, in grid units (d), over layers */

/* After the snap: attach integer codes to g's quantized parameters and biases, for the exporter. Bias codes
 * use scale = activation step * weight scale where the layer's input is quantized; other biases stay float.
 */
int quant_codes(const struct quant *q, struct graph *g, struct err *e);

#endif
