/* graph.h - a network as a list of nodes over values, made from ONNX or by the zoo.
 *
 * A graph owns its values, nodes, constants and ONE contiguous block of parameters. It says what is computed;
 * net.h runs it. The batch axis never appears: the shape of an activation is that of one sample.
 *
 *      input ──► [Conv conv1] ──► [MaxPool] ──► [Flatten] ──► [Gemm fc1] ──► output
 *                  ▲     ▲
 *             conv1.weight  conv1.bias            (parameters: slices of graph->param)
 */
#ifndef WORKER_GRAPH_GRAPH_H
#define WORKER_GRAPH_GRAPH_H

#include "base/err.h"
#include "worker/graph/names.h"
#include "worker/real.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GRAPH_RANK = 8, NODE_INPUTS = 16, NODE_OUTPUTS = 8 };
#define GRAPH_MAX_VALUES 65536
#define GRAPH_MAX_NODES  32768

struct shape {
    int rank; /* 0 = scalar */
    int64_t dim[GRAPH_RANK];
};

int64_t shape_count(const struct shape *s); /* product, 1 for a scalar; -1 when it passes 2^40 */
bool shape_equal(const struct shape *a, const struct shape *b);
void shape_text(const struct shape *s, char *out, size_t size); /* "20x24x24" */

enum dtype { DTYPE_FLOAT, DTYPE_INT64, DTYPE_INT32, DTYPE_INT8, DTYPE_UINT8, DTYPE_BOOL };

/* A constant in natural row-major order, as the file has it. */
struct tensor {
    enum dtype dtype;
    struct shape shape;
    void *data; /* owned */
};

size_t dtype_size(enum dtype t);                                        /* bytes of one element */
struct tensor *tensor_new(enum dtype dtype, const struct shape *shape); /* zeros; NULL when out of memory */
struct tensor *tensor_copy(const struct tensor *t);                     /* NULL when out of memory */
void tensor_free(struct tensor *t);
double tensor_number(const struct tensor *t, int64_t i);   /* element i, whatever the type */
int64_t tensor_integer(const struct tensor *t, int64_t i); /* the same without rounding of big integers */

enum value_kind {
    VALUE_INPUT, /* the sample fed in, lanes layout */
    VALUE_ACT,   /* made by a node, lanes layout */
    VALUE_PARAM, /* slice of graph->param, natural layout */
    VALUE_CONST  /* tensor; read by setup functions (Reshape's shape, Clip's bounds...) */
};

enum { VALUE_PLANES = 8 }; /* most of a basis */

/* What the exporter must write for a quantized parameter: the integers themselves. */
struct value_codes {
    int bits;         /* nominal width, 1..8; 32 for a bias */
    int axis;         /* channel axis of scale, -1 = one scale for the tensor */
    int64_t channels; /* 1 when axis is -1 */
    int planes;       /* 0: value = code * scale, a scale for each channel. K: the scales of a channel are a
                         basis v of K numbers, code = sum of +-2^k, value = sum of +-v_k in the order of k */
    float *scale;     /* owned: value_codes_scales() */
    int32_t *code;    /* owned, shape_count() of them */
};

/* codes.c: like the one given, but zeros; NULL when out of memory */
struct value_codes *value_codes_new(const struct value_codes *like, size_t count);
size_t value_codes_scales(const struct value_codes *c); /* all of them */
/* The arrays alone, for the channels that are set already; false when out of memory: the rest is still the
 * caller's to free. */
bool value_codes_room(struct value_codes *c, size_t count);
struct value_codes *value_codes_copy(const struct value_codes *c, size_t count); /* NULL when out of memory */
void value_codes_free(struct value_codes *c);
/* Do axis, channels and planes fit a parameter of that shape, and the codes the planes? */
bool value_codes_ok(const struct value_codes *c, const struct shape *s);
/* What they mean, for a parameter of that shape. */
void value_codes_numbers(const struct value_codes *c, const struct shape *s, real *x);

struct value {
    char *name; /* owned, unique in the graph */
    enum value_kind kind;
    struct shape shape; /* PARAM, CONST: the whole tensor; INPUT, ACT: one sample without the batch axis */
    int producer;       /* node that makes it, -1 for none */
    size_t offset;      /* PARAM: first element in graph->param */
    bool trainable;     /* PARAM: false for running statistics */
    bool coded;         /* PARAM: a quantizer gives its codes, at most 8 bits (net_set_codes) */
    struct tensor *constant;   /* CONST: owned */
    struct value_codes *codes; /* PARAM: owned, NULL while it is float */
};

enum attr_type { ATTR_INT, ATTR_FLOAT, ATTR_STRING, ATTR_INTS, ATTR_FLOATS, ATTR_TENSOR };

struct attr {
    char *name; /* owned */
    enum attr_type type;
    int64_t i;
    double f;
    char *s;               /* owned */
    size_t count;          /* of ints or floats */
    int64_t *ints;         /* owned */
    double *floats;        /* owned */
    struct tensor *tensor; /* owned */
};

struct op;

struct node {
    char *name; /* owned, unique; the place in error messages */
    const struct op *op;
    int input[NODE_INPUTS], inputs; /* value index, -1 = optional input left out */
    int output[NODE_OUTPUTS], outputs;
    struct attr *attr; /* owned, as given */
    size_t attrs;
    void *state; /* made by op->setup, freed by op->teardown: parsed attributes and dimensions */
    char *layer; /* owned; the layer's name, made by graph_layers */
};

struct graph {
    char *name;
    int opset;            /* of the file it came from; 13 for the zoo */
    bool batched;         /* false: the graph has no batch axis (operator tests): one sample in lane 0 */
    bool batch_fixed_one; /* the file fixes the batch to 1; kept for export */
    bool input_nhwc;      /* the file's input is NHWC: the loader feeds it so */
    bool size_open;       /* height and width of the input are free: kept for export */
    struct value *value;
    int values, values_capacity;
    struct node *node; /* topological order after graph_finish */
    int nodes, nodes_capacity;
    int input; /* value index of the (one) data input */
    int output[NODE_OUTPUTS], outputs;
    real *param;        /* owned; 64-byte aligned; every PARAM starts at a multiple of 16 elements */
    size_t param_count; /* length of the block, padding included */
    size_t param_capacity;
    struct names value_names, node_names;
    bool hollow;   /* set before the first parameter: shapes without numbers, param stays NULL. Such a graph
                      can be finished, listed and planned; not run, copied or written */
    bool finished; /* by graph_finish, and not edited since */
};

struct graph *graph_new(const char *name); /* NULL when out of memory */
void graph_free(struct graph *g);
/* deep, finished like the original */
int graph_clone(const struct graph *g, struct graph **copy, struct err *e);

/* Build. Names are copied; all return an index >= 0 or a negative ERR_*. A name of a value that is taken is
 * an error; a node whose name is empty or taken gets a number behind it. */
int graph_add_input(struct graph *g, const char *name, const struct shape *sample, struct err *e);
int graph_add_param(struct graph *g, const char *name, const struct shape *shape, bool trainable,
                    const float *init, struct err *e); /* init NULL: zeros */
/* Room for that many elements, padding included, in one piece: optional, for graphs of known size. */
int graph_reserve_params(struct graph *g, size_t elements, struct err *e);
/* takes t, on failure too */
int graph_add_const(struct graph *g, const char *name, struct tensor *t, struct err *e);
int graph_add_value(struct graph *g, const char *name, struct err *e); /* an ACT to be produced */
int graph_add_node(struct graph *g, const char *op, const char *name, const int *input, int inputs,
                   const int *output, int outputs, struct err *e);
int graph_find_value(const struct graph *g, const char *name); /* -1 when there is none */
int graph_find_node(const struct graph *g, const char *name);

/* Attributes of the node added last or any other; values are copied. */
int node_set_int(struct node *n, const char *name, int64_t i);
int node_set_float(struct node *n, const char *name, double f);
int node_set_string(struct node *n, const char *name, const char *s);
int node_set_ints(struct node *n, const char *name, const int64_t *ints, size_t count);
int node_set_floats(struct node *n, const char *name, const double *floats, size_t count);
int node_set_tensor(struct node *n, const char *name, const struct tensor *t);
const struct attr *node_attr(const struct node *n, const char *name); /* NULL when absent */
int64_t node_int(const struct node *n, const char *name, int64_t fallback);
double node_float(const struct node *n, const char *name, double fallback);

/* Order topologically, check that everything is produced once, run every op->setup (shapes, attributes), drop
 * values and nodes that no output needs. May be called again after an edit: setups run anew. Nodes that are
 * in order already keep it. Positions of values change only where something before them was dropped.
 *
 * Errors: ERR_UNSUPPORTED or ERR_INVALID with place "node NAME (Op)". */
int graph_finish(struct graph *g, struct err *e);

/* Give a finished graph samples of another size: every setup runs anew, values and nodes keep their places.
 * No net of it may be in use. When a node can't take the size, the graph is as before and the error names the
 * node. */
int graph_set_input(struct graph *g, const struct shape *sample, struct err *e);

/* Edit: put a new node of `op` behind value v: all consumers among nodes[] (-1: every consumer and the graph
 * outputs) read the new node's output instead. extra: further inputs of the new node (parameters).
 * Returns the new node's index (before the next graph_finish). */
int graph_insert(struct graph *g, int v, const char *op, const char *name, const int *extra, int extras,
                 const int *consumers, int consumer_count, struct err *e);

/* The value of a layer's bias, made where it has none: a trainable PARAM of zeros, NODE.bias (with a number
 * where that is taken). The graph is to be finished again then. Only for ops with a place for a bias. */
int graph_make_bias(struct graph *g, int node, int64_t channels, struct err *e);

/* The one node that reads the value, by one of its inputs; -1 when there are none or several, or when the
 * value is an output of the graph. */
int graph_only_reader(const struct graph *g, int value);

/* The quantizable layers, in order: a node whose op has a weight input. */
struct layer {
    const char *name;       /* weight's name without ".weight", else the node's name; borrowed from the
                               graph: valid while it lives and is not edited */
    int node, weight, bias; /* bias -1 when there is none */
    int64_t parameters;     /* weight + bias elements */
    uint64_t macs;          /* multiply-accumulates per sample */
};
int graph_layers(struct graph *g, struct layer **layers, int *count, struct err *e); /* free(*layers) */

/* all PARAM elements without padding; running statistics are not trainable */
int64_t graph_parameters(const struct graph *g);
int64_t graph_trainable(const struct graph *g);

#endif
