/* qdz.h - the .qdz container: byte layout in worker/coder/README.md. */
#ifndef WORKER_CODER_QDZ_H
#define WORKER_CODER_QDZ_H

#include "base/buf.h"
#include "worker/coder/coder.h"
#include "worker/graph/graph.h"

/* What a file is made of, in bytes. */
struct qdz_sizes {
    int64_t skeleton; /* the embedded description of the network; 0 where its name is enough */
    bool named;       /* an architecture of the zoo, by its name */
};

struct qdz_layer {
    char name[64];                /* of the weight's value, cut off at 63 bytes */
    int64_t codes, payload_bytes; /* number of codes, coded bytes */
    double entropy_bits;          /* order-0, bits per code */
};

/* A graph whose parameters carry ->codes (floats are kept as they are) to a file, and back to a graph with
 * the same codes, floats and structure, so that onnx_export gives the same bytes. The file is appended to
 * out. layers (may be NULL; free it) gets an entry for each weight that has codes, in the order of values;
 * sizes may be NULL. Only where the network was recognised as one of the zoo, its inner names are then the
 * zoo's. */
int qdz_encode(const struct graph *g, const struct coder *c, struct buf *out, struct qdz_layer **layers,
               int *count, struct qdz_sizes *sizes, struct err *e);
int qdz_decode(const void *data, size_t length, struct graph **g, struct err *e);

#endif
