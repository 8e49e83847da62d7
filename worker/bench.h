/* bench.h - `quantd-worker bench`: how fast one network trains or runs here, as one JSON line. */
#ifndef WORKER_BENCH_H
#define WORKER_BENCH_H

#include <stdbool.h>

struct bench_options {
    const char *model;     /* "zoo:NAME" or an ONNX file */
    const char *mode;      /* "fp32" | "qat" | "eval", or an engine: "integer" | "bits" */
    const char *precision; /* "fp32" | "mixed" */
    const char *kernels;   /* name of a set; NULL: the best */
    const char *shape;     /* "CxHxW" of the input where the model leaves it open; NULL: its own */
    int batch, threads;
    int weight_bits, activation_bits; /* of all layers, where the mode quantizes */
    double seconds;
    bool layers; /* a table of all nodes before the line */
};

int bench_run(const struct bench_options *o); /* the process's exit code; errors go to stderr */

#endif
