/* sensitivity.h - what each layer's quantization alone does to a network's outputs, width by width. */
#ifndef WORKER_CALIBRATE_SENSITIVITY_H
#define WORKER_CALIBRATE_SENSITIVITY_H

#include "worker/calibrate/activations.h"

enum { SENSITIVITY_LEAST = 2, SENSITIVITY_MOST = 8, SENSITIVITY_WIDTHS = SENSITIVITY_MOST + 1 };

/* Noise in the outputs by their power, sum (y' - y)^2 / sum y^2, with this layer alone at that many bits;
 * below nought where the method or the grid has no such width. */
struct sensitivity_row {
    double weights[SENSITIVITY_WIDTHS], activations[SENSITIVITY_WIDTHS];
};

struct sensitivity {
    struct calibration look; /* graph, feed, batches and rules; its net is not used: NULL */
    struct net_options net;  /* inference, one batch */
    struct quant_options quant;
};

/* Fill row[count], one for each layer of the graph in order. Nothing is changed; the samples are those of
 * calibration. Errors: those of net_new. */
int sensitivity_measure(const struct sensitivity *s, struct sensitivity_row *row, int count, struct err *e);

/* What it holds beside the graph, one quantized copy and a net of it: the outputs of all batches. */
size_t sensitivity_bytes(const struct graph *g, int batch, int batches);

#endif
