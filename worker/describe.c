#include "worker/describe.h"

#include "worker/coder/coder.h"
#include "worker/data/dataset.h"
#include "worker/kernels/kernels.h"
#include "worker/op/op.h"
#include "worker/prune/pruner.h"
#include "worker/quant/method.h"
#include "worker/train/job.h"
#include "worker/train/optimizer.h"
#include "worker/zoo/zoo.h"

#include <stdlib.h>

static json_t *describe_kinds(void)
{
    json_t *list = json_array();

    for (const struct kind *const *k = kind_list; *k; k++) {
        json_t *sections = json_array();
        for (const char *const *s = (*k)->sections; *s; s++)
            json_array_append_new(sections, json_string(*s));
        json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "name", (*k)->name, "title", (*k)->title,
                                              "sections", sections));
    }
    return list;
}

static json_t *names(const char *const *name)
{
    json_t *list = json_array();

    for (; *name; name++)
        json_array_append_new(list, json_string(*name));
    return list;
}

static json_t *describe_methods(void)
{
    json_t *list = json_array();

    for (const struct method *const *p = method_list; *p; p++) {
        const struct method *m = *p;
        json_t *limits = json_pack("{s:[i,i], s:[i,i], s:o, s:o}", "/quantize/weights/bits",
                                   m->weight_bits[0], m->weight_bits[1], "/quantize/activations/bits",
                                   m->activation_bits[0], m->activation_bits[1], "/quantize/weights/grid",
                                   names(m->grids), "/quantize/weights/granularity", names(m->granularities));
        /* pruning before would have to train, and needs a level at zero */
        if (m->post_training || m->quantizer(m->weight_bits[0])->settle)
            json_object_set_new(limits, "/kind", json_pack("[s,s]", "quantize", "sensitivity"));
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "name", m->name, "title", m->title,
                                              "source", m->source, "limits", limits));
    }
    return list;
}

static json_t *describe_pruners(void)
{
    json_t *list = json_array();

    for (const struct pruner *const *p = pruner_list; *p; p++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "name", (*p)->name, "title", (*p)->title,
                                              "source", (*p)->source));
    return list;
}

/* The layers of the row as it is; they have the same names at any other size. */
static json_t *zoo_layers(const struct zoo *z)
{
    struct zoo_request r;
    struct graph *g = NULL;
    struct layer *layers = NULL;
    int count = 0;
    json_t *rows = json_array();

    if (zoo_parse(z->name, &r, NULL) == 0) {
        r.hollow = true; /* hundreds of megabytes that nobody would look at */
        if (zoo_make(&r, &g, NULL) == 0 && graph_layers(g, &layers, &count, NULL) == 0)
            for (int i = 0; i < count; i++)
                json_array_append_new(rows, json_pack("{s:s, s:s, s:I, s:I}", "name", layers[i].name, "op",
                                                      g->node[layers[i].node].op->name, "parameters",
                                                      (json_int_t)layers[i].parameters, "macs",
                                                      (json_int_t)layers[i].macs));
    }
    free(layers);
    graph_free(g);
    return rows;
}

/* What may stand behind the name: @CxHxW and /CLASSES. */
static json_t *zoo_limits(const struct zoo *z)
{
    json_t *limits =
        json_pack("{s:[i,i], s:[i,i]}", "channels", 1, ZOO_CHANNELS, "side", z->smallest, ZOO_SIDE);

    if (z->classes)
        json_object_set_new(limits, "classes", json_pack("[i,i]", 1, ZOO_CLASSES));
    return limits;
}

/* What a task can do is a limit like that of a method. */
static json_t *describe_tasks(void)
{
    json_t *list = json_array();

    for (const struct task *const *t = task_list; *t; t++) {
        json_t *losses = json_array();
        for (const struct loss *const *l = (*t)->losses; *l; l++)
            json_array_append_new(losses, json_string((*l)->name));
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:{s:o, s:o, s:[i,f]}}", "name", (*t)->name,
                                              "title", (*t)->title, "metric", (*t)->metric, "limits",
                                              "/train/loss", losses, "/train/augment", names((*t)->augments),
                                              "/goal/min_metric", 0, (*t)->metric_most));
    }
    return list;
}

static json_t *describe_zoo(void)
{
    json_t *list = json_array();

    for (const struct zoo *const *p = zoo_list; *p; p++) {
        const struct zoo *z = *p;
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:I, s:[i,i,i], s:b, s:o, s:o}", "name", z->name, "title", z->title,
                      "source", z->source, "parameters", (json_int_t)z->parameters, "shape", z->channels,
                      z->height, z->width, "suffix", true, "limits", zoo_limits(z), "layers", zoo_layers(z));
        json_object_set_new(row, z->classes ? "classes" : "scale",
                            json_integer(z->classes ? z->classes : z->scale));
        json_array_append_new(list, row);
    }
    return list;
}

static json_t *describe_datasets(void)
{
    json_t *list = json_array();

    for (const struct dataset_builtin *const *p = dataset_builtins; *p; p++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:[i,i,i], s:i, s:I, s:I}", "name", (*p)->name,
                                              "title", (*p)->title, "shape", (*p)->channels, (*p)->height,
                                              (*p)->width, "classes", (*p)->classes, "train",
                                              (json_int_t)(*p)->train, "test", (json_int_t)(*p)->test));
    return list;
}

static json_t *describe_formats(void)
{
    json_t *list = json_array();

    for (const struct dataset_format *const *f = dataset_formats; *f; f++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", (*f)->name, "title", (*f)->title));
    return list;
}

static json_t *describe_operators(void)
{
    json_t *list = json_array();

    for (const struct op *const *o = op_list; *o; o++)
        if (strncmp((*o)->name, "Quantd", 6) != 0)
            json_array_append_new(list, json_string((*o)->name));
    return list;
}

static json_t *describe_coders(void)
{
    json_t *list = json_array();

    for (const struct coder *const *c = coder_list; *c; c++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", (*c)->name, "title", (*c)->title));
    return list;
}

static json_t *describe_training(const char *what)
{
    json_t *list = json_array();

    if (what[0] == 'o')
        for (const struct optimizer *const *o = optimizer_list; *o; o++)
            json_array_append_new(list, json_string((*o)->name));
    else
        for (const struct schedule *const *s = schedule_list; *s; s++)
            json_array_append_new(list, json_string((*s)->name));
    return list;
}

static json_t *describe_kernels(void)
{
    json_t *available = json_array();

    for (const struct kernels *const *k = kernels_list; *k; k++)
        if ((*k)->usable())
            json_array_append_new(available, json_string((*k)->name));
    return json_pack("{s:o, s:s, s:s}", "available", available, "best", kernels_best()->name, "blas",
                     kernels_blas());
}

json_t *describe_capabilities(void)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "version",
                     QUANTD_VERSION, "kinds", describe_kinds(), "tasks", describe_tasks(), "parameters",
                     describe_parameters(), "methods", describe_methods(), "pruners", describe_pruners(),
                     "zoo", describe_zoo(), "datasets", describe_datasets(), "formats", describe_formats(),
                     "operators", describe_operators(), "coders", describe_coders(), "optimizers",
                     describe_training("optimizers"), "schedules", describe_training("schedules"), "kernels",
                     describe_kernels());
}
