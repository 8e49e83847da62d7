/* quantizer.h - which values the weights of one channel may take: a const struct each. */
#ifndef WORKER_QUANT_QUANTIZER_H
#define WORKER_QUANT_QUANTIZER_H

#include "worker/quant/quant.h"

/* count weights, stride apart in all arrays */
struct quant_run {
    const real *x;
    real *q;
    int8_t *code;
    size_t count, stride;
    const struct update_pass *pass;
};

struct quantizer {
    const char *name;
    int (*width)(int bits); /* numbers that say where the levels of a channel are */
    /* q = Q(w) and its codes for a run of weights; adds to *sums, and to *bins unless that is NULL (only
     * where there are at most QUANT_LEVELS levels) */
    void (*apply)(const struct quant_weight *w, const real *scale, const struct quant_run *run,
                  struct grid_sums *sums, struct quant_bins *bins);
    /* Levels nearest to these weights in the mean square. */
    void (*fit)(const struct quant_weight *w, const real *x, size_t count, size_t stride, real *scale);
    /* The same for the codes of the last pass, which found *sums and *bins. */
    void (*refit)(const struct quant_weight *w, const struct grid_sums *sums, const struct quant_bins *bins,
                  real *scale);
    /* The distance of neighbouring levels, or what stands for it: the unit of errors. */
    double (*step)(const struct quant_weight *w, const real *scale);
    int (*code)(const struct quant_weight *w, const real *scale, real x); /* for the exporter */
    /* Values are sums of a basis (graph.h: planes), none of them zero for certain; before the snap it is
     * brought to one of its equivalent forms. NULL: values are code * scale. */
    void (*settle)(const struct quant_weight *w, real *scale);
};

/* Codes of a grid, one scale. Bins: number of the level from below. */
extern const struct quantizer quantizer_uniform;
/* Sums of a basis, as many scales as bits. Bins: by encoding (basis.h). */
extern const struct quantizer quantizer_basis;

#endif
