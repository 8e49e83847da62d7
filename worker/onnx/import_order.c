/* import_order.c - which nodes matter and in which order. ONNX demands a sorted list; files are not always
 * so. */
#include "worker/onnx/import.h"

#include "base/mem.h"

#include <stdlib.h>

enum colour { WHITE, GREY, BLACK };

/* Depth-first search without recursion: a chain may be as long as the file. */
struct search {
    struct import *im;
    unsigned char *colour;
    struct frame {
        int node;
        size_t next; /* input to look at */
    } * stack;
    int *order, count; /* black nodes, makers before readers */
};

static int visit(struct search *s, int root)
{
    int depth = 0;
    if (s->colour[root] != WHITE)
        return 0;
    s->stack[0] = (struct frame){ root, 0 };
    s->colour[root] = GREY;
    while (depth >= 0) {
        struct frame *top = &s->stack[depth];
        const Onnx__NodeProto *p = s->im->file->node[top->node];
        if (top->next == p->n_input) {
            s->colour[top->node] = BLACK;
            s->order[s->count++] = top->node;
            --depth;
            continue;
        }
        const char *name = p->input[top->next++];
        if (!*name)
            continue;
        struct symbol *symbol = symbol_find(&s->im->symbols, name);
        if (!symbol) {
            err_set(s->im->e, ERR_INVALID, "Nothing makes its input '%s'", name);
            return import_at(s->im, top->node);
        }
        const int maker = symbol->producer;
        if (maker < 0 || s->colour[maker] == BLACK)
            continue;
        if (s->colour[maker] == GREY) {
            err_set(s->im->e, ERR_INVALID, "It needs its own result through '%s'", name);
            return import_at(s->im, top->node);
        }
        s->colour[maker] = GREY;
        s->stack[++depth] = (struct frame){ maker, 0 };
    }
    return 0;
}

/* From the outputs: what is reached is alive. */
static int visit_outputs(struct search *s)
{
    const Onnx__GraphProto *file = s->im->file;
    for (size_t i = 0; i < file->n_output; ++i) {
        struct symbol *symbol = symbol_find(&s->im->symbols, file->output[i]->name);
        if (!symbol)
            return err_set(s->im->e, ERR_INVALID, "Nothing makes the output '%s'", file->output[i]->name);
        const int bad = symbol->producer >= 0 ? visit(s, symbol->producer) : 0;
        if (bad)
            return bad;
    }
    return 0;
}

/* Once more over the living, from the first to the last: a sorted file keeps its order. */
static int visit_in_order(struct search *s, int nodes)
{
    for (int i = 0; i < nodes; ++i)
        s->colour[i] = s->colour[i] == BLACK ? WHITE : BLACK;
    s->count = 0;
    for (int i = 0; i < nodes; ++i) {
        const int bad = visit(s, i);
        if (bad)
            return bad;
    }
    return 0;
}

static void count_readers(const struct search *s)
{
    const Onnx__GraphProto *file = s->im->file;
    for (size_t i = 0; i < file->n_output; ++i)
        ++symbol_find(&s->im->symbols, file->output[i]->name)->readers;
    for (int i = 0; i < s->count; ++i) {
        const Onnx__NodeProto *p = file->node[s->order[i]];
        for (size_t k = 0; k < p->n_input; ++k)
            if (*p->input[k])
                ++symbol_find(&s->im->symbols, p->input[k])->readers;
    }
}

int import_order(struct import *im)
{
    const int nodes = (int)im->file->n_node;
    struct search s = { .im = im };
    s.colour = mem_array((size_t)nodes, sizeof *s.colour);
    s.stack = mem_array((size_t)nodes, sizeof *s.stack);
    s.order = mem_array((size_t)nodes, sizeof *s.order);
    int bad = s.colour && s.stack && s.order ? 0 : err_set(im->e, ERR_NOMEM, "Out of memory");
    if (!bad)
        bad = visit_outputs(&s);
    if (!bad)
        bad = visit_in_order(&s, nodes);
    if (!bad)
        count_readers(&s);
    free(s.colour);
    free(s.stack);
    im->order = s.order;
    im->nodes = bad ? 0 : s.count;
    return bad;
}
