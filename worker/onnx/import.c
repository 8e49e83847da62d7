/* import.c - ONNX file to graph: the whole way, see the picture in import.h. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { OPSET_LOW = 7, OPSET_HIGH = 21 };

/* --- what must be true of any file ------------------------------------------------------------------- */

static int bad_name(struct import *im, const char *what)
{
    return err_set(im->e, ERR_CORRUPT, "%s has no name, or one that is not readable text", what);
}

int import_at(struct import *im, int index)
{
    const Onnx__NodeProto *p = im->file->node[index];
    if (p->name && *p->name)
        return err_at(im->e, "node %s (%s)", p->name, p->op_type);
    return err_at(im->e, "node %s_%d (%s)", p->op_type, index, p->op_type);
}

static int check_node(struct import *im, const Onnx__NodeProto *p)
{
    if (!symbol_name_ok(p->op_type) || !*p->op_type)
        return bad_name(im, "The operator of a node");
    if (p->name && !symbol_name_ok(p->name))
        return bad_name(im, "A node");
    for (size_t i = 0; i < p->n_output; ++i)
        if (!symbol_name_ok(p->output[i]))
            return bad_name(im, "An output of a node");
    for (size_t i = 0; i < p->n_input; ++i)
        if (!symbol_name_ok(p->input[i]))
            return bad_name(im, "An input of a node");
    for (size_t i = 0; i < p->n_attribute; ++i)
        if (!symbol_name_ok(p->attribute[i]->name) || !*p->attribute[i]->name)
            return bad_name(im, "An attribute of a node");
    return 0;
}

static int check_opset(struct import *im, const Onnx__ModelProto *m)
{
    int64_t version = 0;
    for (size_t i = 0; i < m->n_opset_import; ++i) {
        const Onnx__OperatorSetIdProto *o = m->opset_import[i];
        if (!o->domain || !*o->domain || strcmp(o->domain, "ai.onnx") == 0)
            version = o->version;
    }
    if (version < OPSET_LOW || version > OPSET_HIGH)
        return err_set(im->e, ERR_UNSUPPORTED, "Operator set %lld is not supported; %d to %d are",
                       (long long)version, OPSET_LOW, OPSET_HIGH);
    im->opset = (int)version;
    return 0;
}

static int check_model(struct import *im, const Onnx__ModelProto *m)
{
    if (!m->graph || m->graph->n_node == 0)
        return err_set(im->e, ERR_CORRUPT, "This is no ONNX model: it holds no network");
    if (m->graph->n_node > GRAPH_MAX_NODES)
        return err_set(im->e, ERR_TOO_LARGE, "The network has %zu nodes; %d are supported", m->graph->n_node,
                       GRAPH_MAX_NODES);
    if (m->graph->n_sparse_initializer)
        return err_set(im->e, ERR_UNSUPPORTED, "Sparse initializers are not supported");
    if (m->graph->n_output < 1 || m->graph->n_output > NODE_OUTPUTS)
        return err_set(im->e, ERR_UNSUPPORTED, "The network has %zu outputs; 1 to %d are supported",
                       m->graph->n_output, NODE_OUTPUTS);
    return check_opset(im, m);
}

/* --- names --------------------------------------------------------------------------------------------- */

static int declare_initializers(struct import *im)
{
    for (size_t i = 0; i < im->file->n_initializer; ++i) {
        const Onnx__TensorProto *p = im->file->initializer[i];
        if (!symbol_name_ok(p->name) || !*p->name)
            return bad_name(im, "An initializer");
        struct symbol *s = symbol_add(&im->symbols, p->name);
        if (!s) {
            err_set(im->e, ERR_INVALID, "The name is used twice");
            return err_at(im->e, "initializer %s", p->name);
        }
        s->proto = p;
    }
    return 0;
}

/* Until IR 4 every initializer was listed as an input too. */
static int declare_inputs(struct import *im)
{
    for (size_t i = 0; i < im->file->n_input; ++i) {
        const Onnx__ValueInfoProto *p = im->file->input[i];
        if (!symbol_name_ok(p->name) || !*p->name)
            return bad_name(im, "An input");
        const struct symbol *there = symbol_find(&im->symbols, p->name);
        if (there && !there->proto)
            return err_set(im->e, ERR_INVALID, "The input '%s' is listed twice", p->name);
        if (!there)
            symbol_add(&im->symbols, p->name);
    }
    return 0;
}

static int declare_nodes(struct import *im)
{
    for (size_t i = 0; i < im->file->n_node; ++i) {
        const Onnx__NodeProto *p = im->file->node[i];
        const int bad = check_node(im, p);
        if (bad)
            return bad;
        for (size_t k = 0; k < p->n_output; ++k) {
            if (!*p->output[k])
                continue;
            struct symbol *s = symbol_add(&im->symbols, p->output[k]);
            if (!s) {
                err_set(im->e, ERR_INVALID, "Its output '%s' is made twice", p->output[k]);
                return import_at(im, (int)i);
            }
            s->producer = (int)i;
        }
    }
    return 0;
}

static int declare(struct import *im)
{
    size_t names = 1 + im->file->n_initializer + im->file->n_input;
    for (size_t i = 0; i < im->file->n_node; ++i)
        names += im->file->node[i]->n_output;
    for (size_t i = 0; i < im->file->n_output; ++i)
        if (!symbol_name_ok(im->file->output[i]->name))
            return bad_name(im, "An output");
    int bad = symbols_init(&im->symbols, (int)names, im->e); /* pb_check has bounded the fields */
    if (!bad)
        bad = declare_initializers(im);
    if (!bad)
        bad = declare_inputs(im);
    return bad ? bad : declare_nodes(im);
}

/* --- nodes and outputs ---------------------------------------------------------------------------------- */

static int import_one(struct import *im, const Onnx__NodeProto *p, int index)
{
    bool done = false;
    int bad = 0;
    if (!p->domain || !*p->domain)
        bad = strcmp(p->op_type, "DequantizeLinear") == 0 ? import_dequantize(im, p, &done)
                                                          : import_fold(im, p, &done);
    if (!bad && !done && (!p->domain || !*p->domain))
        bad = import_levels(im, p, &done);
    return bad || done ? bad : import_node(im, p, index);
}

/* Weights lie in the graph by now: the copies read from the file go as soon as nobody else needs them. */
static void release_inputs(struct import *im, const Onnx__NodeProto *p)
{
    for (size_t i = 0; i < p->n_input; ++i)
        if (*p->input[i])
            symbol_release(symbol_find(&im->symbols, p->input[i]));
}

static int import_nodes(struct import *im)
{
    import_levels_begin(im);
    for (int i = 0; i < im->nodes; ++i) {
        const int index = im->order[i];
        const int bad = import_one(im, im->file->node[index], index);
        if (bad) {
            import_at(im, index);
            return bad;
        }
        release_inputs(im, im->file->node[index]);
    }
    return 0;
}

static int import_outputs(struct import *im)
{
    for (size_t i = 0; i < im->file->n_output; ++i) {
        const char *name = im->file->output[i]->name;
        struct symbol *s = symbol_find(&im->symbols, name);
        const int v = s->stairs ? import_value(im, s) : s->value;
        if (v < 0)
            return s->stairs ? v
                             : err_set(im->e, ERR_UNSUPPORTED, "The output '%s' does not depend on the input",
                                       name);
        im->graph->output[im->graph->outputs++] = v;
    }
    return 0;
}

/* --- the whole ------------------------------------------------------------------------------------------ */

/* Room for all weights at once: a block that grows is there twice while it moves. Weights that nobody reads
 * may make it too large, a folded one may make it too small; both are rare. */
static int reserve_weights(struct import *im)
{
    size_t elements = 0;
    for (size_t i = 0; i < im->file->n_initializer; ++i)
        elements += (import_weights(im->file->initializer[i]) + LANES - 1) / LANES * LANES;
    return graph_reserve_params(im->graph, elements, im->e);
}

static int import_graph(struct import *im)
{
    const char *name = im->file->name;
    im->graph = graph_new(name && *name && symbol_name_ok(name) ? name : "network");
    int bad = im->graph ? reserve_weights(im) : err_set(im->e, ERR_NOMEM, "Out of memory");
    if (!bad)
        bad = import_input(im);
    if (!bad)
        bad = import_nodes(im);
    if (!bad)
        bad = import_outputs(im);
    if (!bad)
        bad = graph_finish(im->graph, im->e);
    if (!bad)
        im->graph->input_nhwc = import_input_nhwc(im->graph);
    return bad;
}

/* Checked bytes to the unpacked file with its names and order known; *m is freed by the caller. */
static int open_file(struct import *im, const void *data, size_t length, Onnx__ModelProto **m)
{
    *m = NULL;
    int bad = pb_check(data, length, im->e);
    if (bad)
        return bad;
    *m = onnx__model_proto__unpack(NULL, length, data);
    if (!*m)
        return err_set(im->e, ERR_CORRUPT, "This is no ONNX model: its fields have the wrong types");
    bad = check_model(im, *m);
    if (bad)
        return bad;
    im->file = (*m)->graph;
    bad = declare(im);
    return bad ? bad : import_order(im);
}

static void close_file(struct import *im, Onnx__ModelProto *m)
{
    symbols_deinit(&im->symbols);
    free(im->order);
    if (m)
        onnx__model_proto__free_unpacked(m, NULL);
}

/* The code returned is the code explained, whatever an operator's setup gave back. */
static int explained(int bad, struct err *e)
{
    if (!bad || !e)
        return bad;
    return e->code ? e->code : err_set(e, bad, "%s", err_title(bad));
}

int onnx_import_with(const void *data, size_t length, const struct onnx_options *options, struct graph **g,
                     struct err *e)
{
    struct import im = { .options = options, .e = e };
    Onnx__ModelProto *m;
    int bad = open_file(&im, data, length, &m);
    if (!bad)
        bad = import_graph(&im);
    close_file(&im, m);
    if (bad) {
        graph_free(im.graph);
        im.graph = NULL;
    }
    *g = im.graph;
    return explained(bad, e);
}

int onnx_import(const void *data, size_t length, struct graph **g, struct err *e)
{
    return onnx_import_with(data, length, &(struct onnx_options){ 0 }, g, e);
}

int onnx_info(const void *data, size_t length, struct onnx_info *info, struct err *e)
{
    struct import im = { .e = e };
    Onnx__ModelProto *m;
    *info = (struct onnx_info){ 0 };
    int bad = open_file(&im, data, length, &m);
    if (!bad) {
        info->opset = im.opset;
        info->ir_version = m->ir_version;
        bad = import_input_info(&im, info);
    }
    close_file(&im, m);
    return bad;
}
