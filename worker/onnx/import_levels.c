/* import_levels.c - learned levels, as export_levels.c writes them: a chain of Greater and Where becomes one
 * QuantdLevels node at its end, or where somebody reads a part of it; planes that are added become codes. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { LEVELS = 16 };

struct stairs {
    int source; /* the value that is compared */
    bool open;  /* a Greater alone: its threshold is known, its levels are not */
    int count;  /* thresholds */
    float threshold[LEVELS - 1], level[LEVELS];
    const char *node; /* the name of the last one, borrowed from the file */
};

/* A number that is known; false: it is none. */
static bool number_of(struct import *im, const char *name, float *number, int *bad)
{
    struct symbol *s = *name ? symbol_find(&im->symbols, name) : NULL;
    const struct tensor *t = NULL;
    if (s)
        *bad = symbol_tensor(s, &t, im->e);
    if (*bad || !t || t->dtype != DTYPE_FLOAT || constant_count(t) != 1 || t->shape.rank > 1)
        return false;
    *number = *(const float *)t->data;
    return isfinite(*number);
}

/* Takes *made over as what is known of the node's output. */
static int keep(struct import *im, const Onnx__NodeProto *p, const struct stairs *made, bool *done)
{
    struct symbol *out = symbol_find(&im->symbols, p->output[0]);
    out->stairs = mem_alloc(sizeof *out->stairs);
    if (!out->stairs)
        return err_set(im->e, ERR_NOMEM, "Out of memory");
    *out->stairs = *made;
    *done = true;
    return 0;
}

static int greater(struct import *im, const Onnx__NodeProto *p, bool *done)
{
    struct stairs made = { .open = true, .count = 1 };
    int bad = 0;
    if (p->n_input != 2 || p->n_output != 1 || !number_of(im, p->input[1], &made.threshold[0], &bad))
        return bad;
    struct symbol *x = *p->input[0] ? symbol_find(&im->symbols, p->input[0]) : NULL;
    const struct tensor *known = NULL;
    bad = x ? symbol_tensor(x, &known, im->e) : 0;
    if (bad || !x || known)
        return bad;
    made.source = import_value(im, x);
    return made.source < 0 ? made.source : keep(im, p, &made, done);
}

/* What a Where falls back to: the first level, or stairs so far. */
static bool begin(struct import *im, const char *name, int source, struct stairs *made, int *bad)
{
    if (number_of(im, name, &made->level[0], bad)) {
        made->source = source;
        return true;
    }
    const struct symbol *s = *bad || !*name ? NULL : symbol_find(&im->symbols, name);
    if (!s || !s->stairs || s->stairs->open || s->stairs->source != source)
        return false;
    *made = *s->stairs;
    return true;
}

static int where(struct import *im, const Onnx__NodeProto *p, bool *done)
{
    struct stairs made = { 0 };
    float level;
    int bad = 0;
    if (p->n_input != 3 || p->n_output != 1 || !*p->input[0])
        return 0;
    const struct symbol *condition = symbol_find(&im->symbols, p->input[0]);
    const struct stairs *c = condition ? condition->stairs : NULL;
    if (!c || !c->open || !number_of(im, p->input[1], &level, &bad) ||
        !begin(im, p->input[2], c->source, &made, &bad))
        return bad;
    if (made.count == LEVELS - 1 || (made.count && !(c->threshold[0] >= made.threshold[made.count - 1])))
        return err_set(im->e, ERR_UNSUPPORTED, "Thresholds must rise, %d of them at most", LEVELS - 1);
    made.threshold[made.count++] = c->threshold[0];
    made.level[made.count] = level;
    made.node = p->name;
    bad = keep(im, p, &made, done);
    struct symbol *out = symbol_find(&im->symbols, p->output[0]);
    if (bad || out->goes_on)
        return bad;
    const int v = import_value(im, out);
    return v < 0 ? v : 0;
}

void import_levels_begin(struct import *im)
{
    for (int i = 0; i < im->nodes; ++i) {
        const Onnx__NodeProto *p = im->file->node[im->order[i]];
        struct symbol *last = strcmp(p->op_type, "Where") == 0 && p->n_input == 3 && *p->input[2]
                                  ? symbol_find(&im->symbols, p->input[2])
                                  : NULL;
        if (last)
            last->goes_on = true;
    }
}

int import_levels(struct import *im, const Onnx__NodeProto *p, bool *done)
{
    *done = false;
    if (strcmp(p->op_type, "Greater") == 0)
        return greater(im, p, done);
    return strcmp(p->op_type, "Where") == 0 ? where(im, p, done) : 0;
}

static int add_numbers(struct import *im, const char *name, const char *what, const float *numbers, int count)
{
    char *full = mem_printf("%s_%s", name, what);
    if (!full)
        return err_set(im->e, ERR_NOMEM, "Out of memory");
    const int v = graph_add_param(im->graph, full, &(struct shape){ .rank = 1, .dim = { count } }, false,
                                  numbers, im->e);
    free(full);
    return v;
}

/* The name that the exporter had: without "_whereK". */
static char *node_name(const char *name, const char *value)
{
    const char *end = name ? strstr(name, "_where") : NULL;
    for (const char *next = end; next; next = strstr(next + 1, "_where"))
        end = next;
    if (end)
        return mem_printf("%.*s", (int)(end - name), name);
    return name && *name ? mem_strdup(name) : mem_printf("%s/levels", value);
}

int import_value(struct import *im, struct symbol *s)
{
    if (s->value >= 0 || !s->stairs)
        return s->value >= 0 ? s->value : err_set(im->e, ERR_INVALID, "Its input '%s' has no value", s->name);
    const struct stairs *t = s->stairs;
    if (t->open)
        return err_set(im->e, ERR_UNSUPPORTED, "Comparisons are read by Where alone");
    int input[3] = { t->source };
    input[1] = add_numbers(im, s->name, "thresholds", t->threshold, t->count);
    input[2] = input[1] < 0 ? input[1] : add_numbers(im, s->name, "levels", t->level, t->count + 1);
    if (input[2] < 0)
        return input[2];
    const int made = graph_add_value(im->graph, s->name, im->e);
    char *name = node_name(t->node, s->name);
    int bad = made < 0 ? made : name ? 0 : err_set(im->e, ERR_NOMEM, "Out of memory");
    if (!bad)
        bad = graph_add_node(im->graph, "QuantdLevels", name, input, 3, &made, 1, im->e);
    free(name);
    if (bad >= 0)
        s->value = made;
    return bad < 0 ? bad : made;
}

/* --- planes ---------------------------------------------------------------------------------------------
 */

static bool is_plane(const struct value_codes *c, int64_t count)
{
    for (int64_t i = 0; i < count; ++i)
        if (c->code[i] != 1 && c->code[i] != -1)
            return false;
    return !c->planes;
}

/* first + second, a plane: codes with one plane more. NULL when out of memory. */
static struct value_codes *join(const struct value_codes *first, const struct value_codes *second,
                                int64_t count)
{
    const int before = first->planes ? first->planes : 1, planes = before + 1;
    const struct value_codes like = {
        .bits = planes, .axis = first->axis, .channels = first->channels, .planes = planes
    };
    struct value_codes *c = value_codes_new(&like, (size_t)count);
    for (int64_t i = 0; c && i < count; ++i)
        c->code[i] = first->code[i] + second->code[i] * (1 << before);
    for (int64_t i = 0; c && i < c->channels; ++i) {
        memcpy(c->scale + i * planes, first->scale + i * before, (size_t)before * sizeof *c->scale);
        c->scale[i * planes + before] = second->scale[i];
    }
    return c;
}

int import_planes(struct import *im, const Onnx__NodeProto *p)
{
    if (strcmp(p->op_type, "Add") != 0 || p->n_input != 2 || p->n_output != 1)
        return 0;
    struct symbol *out = symbol_find(&im->symbols, p->output[0]);
    const struct symbol *a = symbol_find(&im->symbols, p->input[0]);
    const struct symbol *b = symbol_find(&im->symbols, p->input[1]);
    if (!a || !b || !a->codes || !b->codes || a == b)
        return 0;
    const struct value_codes *first = a->codes, *second = b->codes;
    const int64_t count = constant_count(out->tensor);
    if (!shape_equal(&a->tensor->shape, &b->tensor->shape) || first->axis != second->axis ||
        first->planes == VALUE_PLANES || !is_plane(second, count) ||
        (!first->planes && !is_plane(first, count)))
        return 0;
    out->codes = join(first, second, count);
    return out->codes ? 0 : err_set(im->e, ERR_NOMEM, "Out of memory for weights");
}
