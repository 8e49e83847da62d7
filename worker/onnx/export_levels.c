/* export_levels.c - learned bases and levels in the language of ONNX: exact, for whoever rounds each product
 * and sum to float.
 *
 *   weight:      NAME_planeK_q of -1 and +1, a scale per channel ─► DequantizeLinear ─► Add ─► Add... ─► NAME
 *   activation:  x ─► Greater (a threshold) ─► Where (the next level, else what was before), once a threshold
 *
 * So weights come as the bit planes of which popcount kernels are made, their bases as scales. */
#include "worker/onnx/export.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>

/* NAME + ending + k */
static char *name_of(const struct export *x, const char *name, const char *ending, int k)
{
    char text[32];
    snprintf(text, sizeof text, "%s%d", ending, k);
    return export_name(x, name, text);
}

/* Plane k as a parameter of one bit. Its name is what export_codes makes of it. */
static int put_plane(struct export *x, const struct value *v, int k, const char *name)
{
    const struct value_codes *c = v->codes;
    const int64_t count = shape_count(&v->shape);
    const struct value_codes like = { .bits = 1, .axis = c->axis, .channels = c->channels };
    struct value_codes *plane = value_codes_new(&like, (size_t)count);
    if (!plane)
        return err_set(x->e, ERR_NOMEM, "Out of memory");
    for (int64_t i = 0; i < count; ++i)
        plane->code[i] = (c->code[i] + (1 << c->planes) - 1) >> (k + 1) & 1 ? 1 : -1;
    for (int64_t i = 0; i < c->channels; ++i)
        plane->scale[i] = c->scale[i * c->planes + k];
    const struct value as = { .name = (char *)name, .shape = v->shape, .codes = plane };
    const int bad = export_codes(x, &as);
    value_codes_free(plane);
    return bad;
}

static void put_two(struct export *x, const char *op, const char *node, const char *a, const char *b,
                    const char *out)
{
    export_put_node(
        x, &(struct export_node){
               .op = op, .name = node, .input = { a, b }, .inputs = 2, .output = { out }, .outputs = 1 });
}

int export_planes(struct export *x, const struct value *v)
{
    const int planes = v->codes->planes;
    char *sum = NULL; /* of the planes so far */
    int bad = 0;
    for (int k = 0; k < planes && !bad; ++k) {
        char *plane = name_of(x, v->name, "_plane", k), *node = mem_printf("%s_add%d", v->name, k);
        char *out = k + 1 < planes ? name_of(x, v->name, "_sum", k) : mem_strdup(v->name);
        bad = plane && node && out ? put_plane(x, v, k, plane) : err_set(x->e, ERR_NOMEM, "Out of memory");
        if (!bad && sum)
            put_two(x, "Add", node, sum, plane, out);
        free(sum);
        sum = !bad && k ? out : plane;
        free(!bad && k ? plane : out);
        free(node);
    }
    free(sum);
    return bad;
}

static void put_number(struct export *x, const char *name, real value)
{
    const float f = (float)value;
    export_put_tensor(x, name, DTYPE_FLOAT, &(struct shape){ 0 }, &f);
}

/* What one threshold takes. */
struct stair {
    char *threshold, *level, *above, *out, *greater, *where;
};

static bool stair_names(struct stair *s, const struct export *x, const struct node *n, int k, bool last)
{
    const char *y = x->graph->value[n->output[0]].name;
    s->threshold = name_of(x, y, "_threshold", k);
    s->level = name_of(x, y, "_level", k);
    s->above = name_of(x, y, "_above", k);
    s->out = last ? mem_strdup(y) : name_of(x, y, "_stair", k);
    s->greater = mem_printf("%s_greater%d", n->name, k);
    s->where = mem_printf("%s_where%d", n->name, k);
    return s->threshold && s->level && s->above && s->out && s->greater && s->where;
}

static void stair_deinit(struct stair *s)
{
    char *const all[] = { s->threshold, s->level, s->above, s->out, s->greater, s->where };
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
        free(all[i]);
}

int export_levels(struct export *x, const struct node *n)
{
    const struct graph *g = x->graph;
    const struct value *threshold = &g->value[n->input[1]], *level = &g->value[n->input[2]];
    const int count = (int)shape_count(&threshold->shape);
    if (threshold->kind != VALUE_PARAM || level->kind != VALUE_PARAM)
        return err_set(x->e, ERR_INTERNAL, "Its levels are no parameters");
    char *before = name_of(x, g->value[n->output[0]].name, "_level", 0);
    if (before)
        put_number(x, before, g->param[level->offset]);
    for (int k = 0; k < count && before; ++k) {
        struct stair s;
        if (stair_names(&s, x, n, k + 1, k + 1 == count)) {
            put_number(x, s.threshold, g->param[threshold->offset + (size_t)k]);
            put_number(x, s.level, g->param[level->offset + (size_t)k + 1]);
            put_two(x, "Greater", s.greater, g->value[n->input[0]].name, s.threshold, s.above);
            export_put_node(x, &(struct export_node){ .op = "Where",
                                                      .name = s.where,
                                                      .input = { s.above, s.level, before },
                                                      .inputs = 3,
                                                      .output = { s.out },
                                                      .outputs = 1 });
            free(before);
            before = s.out;
            s.out = NULL;
        } else {
            free(before);
            before = NULL;
        }
        stair_deinit(&s);
    }
    if (!before)
        return err_set(x->e, ERR_NOMEM, "Out of memory");
    free(before);
    return 0;
}
