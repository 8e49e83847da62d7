/* export.h - what the parts of the exporter share. Private to onnx/.
 *
 * Nodes are written in the order of the graph. What a node reads is written when it is first read:
 * initializers, and for stored integers the DequantizeLinear before the node. So the order says nothing about
 * how the graph was made, and a file that is read and written again comes out the same. */
#ifndef WORKER_ONNX_EXPORT_H
#define WORKER_ONNX_EXPORT_H

#include "worker/onnx/onnx.h"
#include "worker/onnx/pb.h"

struct export
{
    const struct graph *graph;
    struct buf nodes, initializers; /* fields of the GraphProto under construction */
    bool *written;                  /* per value: it is in the file already */
    struct err *e;
};

/* A node as it will stand in the file. Names are borrowed. */
struct export_node {
    const char *op, *name;
    const char *input[NODE_INPUTS]; /* NULL: left out */
    int inputs;
    const char *output[NODE_OUTPUTS];
    int outputs;
    const struct attr *attr;
    size_t attrs;
};

/* export_node.c */
void export_put_node(struct export *x, const struct export_node *n);

/* export_tensor.c: one initializer. count elements at data, of that type. */
void export_put_tensor(struct export *x, const char *name, enum dtype dtype, const struct shape *shape,
                       const void *data);
/* The initializer of a value: PARAM without codes, or CONST. */
void export_put_value(struct export *x, const struct value *v);

/* export_quant.c */
int export_codes(struct export *x, const struct value *v);     /* integers and their DequantizeLinear */
int export_fake_quant(struct export *x, const struct node *n); /* Q -> [Clip] -> DQ */

/* export_levels.c */
int export_planes(struct export *x, const struct value *v); /* codes with planes, and their sum */
int export_levels(struct export *x, const struct node *n);  /* QuantdLevels: Greater -> Where... */

/* NAME + ending, made longer until no value of the graph has it; owned by the caller, NULL: out of memory. */
char *export_name(const struct export *x, const char *name, const char *ending);

#endif
