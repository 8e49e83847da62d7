/* build.c - begin, end, names and nodes; see build.h. */
#include "worker/zoo/build.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void zoo_fail(struct zoo_build *b, int code)
{
    if (!b->bad)
        b->bad = code;
}

void zoo_nomem(struct zoo_build *b)
{
    zoo_fail(b, err_set(b->e, ERR_NOMEM, "Out of memory for zoo:%s", b->zoo->name));
}

void zoo_start(struct zoo_build *b, const struct zoo_request *r, size_t parameters, struct err *e)
{
    const struct shape image = { .rank = 3, .dim = { r->channels, r->height, r->width } };
    *b = (struct zoo_build){ .request = r, .zoo = r->zoo, .e = e };
    b->halvings_spared = r->height < ZOO_SMALL || r->width < ZOO_SMALL ? 2 : 0;
    b->graph = graph_new(r->zoo->name);
    if (!b->graph) {
        zoo_nomem(b);
        return;
    }
    b->graph->hollow = r->hollow;
    const int input = graph_add_input(b->graph, "input", &image, e);
    if (input < 0)
        zoo_fail(b, input);
    b->tip = (struct zoo_tip){ input, image };
    const int bad = parameters ? graph_reserve_params(b->graph, parameters, e) : 0;
    if (bad)
        zoo_fail(b, bad);
}

int zoo_done(struct zoo_build *b, struct graph **g)
{
    if (!b->bad) {
        b->graph->output[b->graph->outputs++] = b->tip.value;
        b->bad = graph_finish(b->graph, b->e);
    }
    if (b->bad) {
        graph_free(b->graph);
        b->graph = NULL;
    }
    *g = b->graph;
    return b->bad;
}

void zoo_scope(struct zoo_build *b, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    vsnprintf(b->scope, sizeof b->scope, format, more);
    va_end(more);
}

const char *zoo_name(struct zoo_build *b, const char *format, ...)
{
    va_list more;
    va_start(more, format);
    vsnprintf(b->name, sizeof b->name, format, more);
    va_end(more);
    return b->name;
}

int zoo_halve(struct zoo_build *b)
{
    if (b->halvings_spared == 0)
        return 2;
    b->halvings_spared--;
    return 1;
}

int zoo_width(int channels, int percent)
{
    const int wanted = channels * percent; /* in hundredths */
    int width = (wanted + 400) / 800 * 8;
    if (width < 8)
        width = 8;
    return 1000 * width < 9 * wanted ? width + 8 : width;
}

struct node *zoo_node(struct zoo_build *b, const char *op, const char *name, const int *more, int count)
{
    int input[NODE_INPUTS] = { b->tip.value }, inputs = 1;
    for (int i = 0; i < count; ++i)
        input[inputs++] = more[i];
    while (input[inputs - 1] < 0 && inputs > 1)
        inputs--;
    if (b->bad)
        return NULL;
    char *full = mem_printf("%s%s", b->scope, name), *value = mem_printf("%s%s.output", b->scope, name);
    int output = ERR_NOMEM, made = ERR_NOMEM;
    if (full && value) {
        output = graph_add_value(b->graph, value, b->e);
        made = output < 0 ? output : graph_add_node(b->graph, op, full, input, inputs, &output, 1, b->e);
    } else {
        zoo_nomem(b);
    }
    free(full);
    free(value);
    if (made < 0) {
        zoo_fail(b, made);
        return NULL;
    }
    b->tip.value = output;
    return &b->graph->node[made];
}
