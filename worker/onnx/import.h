/* import.h - what the parts of the importer share. Private to onnx/.
 *
 *      bytes ─► pb_check ─► unpack ─► symbols ─► order ─► each node: fold | dequantize | node ─► graph_finish
 *
 * Every name of the file is a symbol. It is known (a tensor: initializers, constants, folded arithmetic), or
 * a value of the graph, or not made yet. A known tensor enters the graph only when a node that stays reads
 * it: dead initializers fall away by themselves. */
#ifndef WORKER_ONNX_IMPORT_H
#define WORKER_ONNX_IMPORT_H

#include "onnx/onnx.pb-c.h"
#include "worker/onnx/constant.h"
#include "worker/onnx/onnx.h"

/* In a known shape: the size of the batch, which nobody knows. Only Reshape may read it (as 0: "as the
 * input"). */
#define BATCH_SIZE INT64_MIN

struct symbol {
    const char *name;               /* borrowed from the unpacked file */
    int producer;                   /* index of the node in the file, -1: none */
    int readers;                    /* living nodes that have yet to be imported, and outputs of the graph */
    const Onnx__TensorProto *proto; /* initializer, decoded when first wanted */
    struct tensor *tensor;          /* owned; NULL: not known */
    struct value_codes *codes;      /* owned; the tensor is these integers times their scales */
    bool goes_on;                   /* a Where falls back to it: perhaps stairs that are not complete */
    struct stairs *stairs;          /* owned; an activation on levels, or a comparison on the way to one */
    int value;                      /* input or activation in the graph, -1: none, or not yet (stairs) */
    int param, constant;            /* the known tensor in the graph, as either, -1 */
};

struct symbols {
    struct symbol *symbol; /* never moves once made */
    int count, capacity;
    int *bucket; /* open addressing: index + 1, 0 = empty */
    unsigned mask;
};

struct import {
    const Onnx__GraphProto *file;
    const struct onnx_options *options;
    int opset; /* of the default domain */
    struct symbols symbols;
    struct graph *graph;
    int *order, nodes; /* living nodes of the file, topologically */
    int inferred;      /* nodes of the graph whose output shapes are known already */
    int64_t folded;    /* elements made by folding so far: bounded */
    struct err *e;
};

int import_at(struct import *im, int index); /* err_at() with a node of the file; returns the error's code */

/* symbol.c. Room for `capacity` names; find: NULL when there is none; add: NULL when there is one already. */
int symbols_init(struct symbols *s, int capacity, struct err *e);
void symbols_deinit(struct symbols *s);
struct symbol *symbol_find(const struct symbols *s, const char *name);
struct symbol *symbol_add(struct symbols *s, const char *name);
/* The tensor when it is known (decoding an initializer), else *t = NULL. Place: "initializer NAME". */
int symbol_tensor(struct symbol *s, const struct tensor **t, struct err *e);
/* One reader is done; after the last one a known tensor is let go. */
void symbol_release(struct symbol *s);
/* Names end up in JSON, reports and the exported file: UTF-8 of bounded length without control characters.
 * NULL is no name, "" is one. */
bool symbol_name_ok(const char *name);

/* import_tensor.c */
int import_tensor(const Onnx__TensorProto *p, struct tensor **t, struct err *e);
size_t import_weights(const Onnx__TensorProto *p); /* its elements, if they can be weights; else 0 */
int import_dtype(int32_t code, enum dtype *dtype); /* of TensorProto.DataType; ERR_UNSUPPORTED */

/* import_order.c: fill im->order with the nodes that the outputs need, makers before readers, else as in the
 * file. Counts the readers of every symbol. Errors: a name nobody makes, a cycle. */
int import_order(struct import *im);

/* import_fold.c: *done when every output of the node is now known. */
int import_fold(struct import *im, const Onnx__NodeProto *p, bool *done);

/* import_quant.c: DequantizeLinear over known integers: the output becomes known, with its codes. */
int import_dequantize(struct import *im, const Onnx__NodeProto *p, bool *done);

/* import_levels.c: Greater and Where that become a QuantdLevels node. *done: it is one of them. Before the
 * first of all nodes, once: import_levels_begin(). */
void import_levels_begin(struct import *im);
int import_levels(struct import *im, const Onnx__NodeProto *p, bool *done);
int import_value(struct import *im, struct symbol *s); /* the value of an activation, made if need be */
/* A folded Add of planes: its output gets their codes. Any other node: nothing happens. */
int import_planes(struct import *im, const Onnx__NodeProto *p);

/* import_node.c: a node that stays. */
int import_node(struct import *im, const Onnx__NodeProto *p, int index);
int import_infer(struct import *im, int nodes); /* shapes of what the graph's first nodes make */

/* import_upgrade.c: bring the node just added to the form it has at opset 13. */
int import_upgrade(struct import *im, int node);

/* import_input.c: find the one data input and what its axes say; adds it to the graph. */
int import_input(struct import *im);
int import_input_info(struct import *im, struct onnx_info *info); /* only says what the file declares */
bool import_input_nhwc(const struct graph *g); /* is it turned to NCHW before anything else reads it? */

/* import_attr.c: attributes as the file has them. */
const Onnx__AttributeProto *import_attr(const Onnx__NodeProto *p, const char *name);
int64_t import_attr_int(const Onnx__NodeProto *p, const char *name, int64_t fallback);
/* Copy onto the graph's node; ERR_UNSUPPORTED for kinds no operator here has (graphs, lists of strings). */
int import_attr_copy(const Onnx__AttributeProto *a, struct node *n, struct err *e);

#endif
