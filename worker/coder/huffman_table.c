#include "worker/coder/huffman_table.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

/* --- lengths from counts ---------------------------------------------------------------------------------
 */

struct tree_node {
    uint64_t weight;
    int32_t parent, symbol;
};

static int compare_nodes(const void *a, const void *b)
{
    const struct tree_node *x = a, *y = b;
    if (x->weight != y->weight)
        return x->weight < y->weight ? -1 : 1;
    return x->symbol - y->symbol;
}

/* The lighter head of the two queues: leaves in order of weight, and inner nodes, which are made in that
 * order. */
static int32_t take_lightest(const struct tree_node *node, int32_t *leaf, int32_t leaves, int32_t *inner,
                             int32_t made)
{
    if (*leaf == leaves || (*inner < made && node[*inner].weight < node[*leaf].weight))
        return (*inner)++;
    return (*leaf)++;
}

/* node[0..leaves) are the used symbols; node[] has room for 2 * leaves. Returns the greatest depth, and each
 * leaf's depth in its weight. */
static int tree_depths(struct tree_node *node, int32_t leaves)
{
    qsort(node, (size_t)leaves, sizeof *node, compare_nodes);
    int32_t leaf = 0, inner = leaves, made = leaves;
    while (made < 2 * leaves - 1) {
        int32_t a = take_lightest(node, &leaf, leaves, &inner, made);
        int32_t b = take_lightest(node, &leaf, leaves, &inner, made);
        node[made] = (struct tree_node){ .weight = node[a].weight + node[b].weight };
        node[a].parent = node[b].parent = made++;
    }
    node[made - 1].weight = 0; /* the root; from here on weights are depths */
    for (int32_t i = made - 2; i >= 0; i--)
        node[i].weight = node[node[i].parent].weight + 1;
    return (int)node[0].weight;
}

/* Counts are flattened until the deepest leaf fits. */
static void code_lengths(struct huffman_code *code, const uint64_t *seen, int symbols, struct tree_node *node)
{
    for (int shift = 0;; shift++) {
        int32_t leaves = 0;
        for (int32_t s = 0; s < symbols; s++)
            if (seen[s])
                node[leaves++] =
                    (struct tree_node){ .weight = (seen[s] >> shift) + (shift > 0), .symbol = s };
        if (tree_depths(node, leaves) > HUFFMAN_LONGEST)
            continue;
        for (int32_t i = 0; i < leaves; i++) {
            code[node[i].symbol].length = (int)node[i].weight;
            code[node[i].symbol].used = true;
        }
        return;
    }
}

int huffman_build(struct huffman_code *code, const uint64_t *seen, int symbols, struct err *e)
{
    struct tree_node *node = mem_array(2 * (size_t)symbols, sizeof *node);
    if (!node)
        return err_set(e, ERR_NOMEM, "out of memory for the Huffman code");
    code_lengths(code, seen, symbols, node);
    free(node);
    uint32_t next = 0;
    for (int length = 1; length <= HUFFMAN_LONGEST; length++, next <<= 1)
        for (int s = 0; s < symbols; s++)
            if (code[s].length == length)
                code[s].bits = next++;
    return 0;
}

/* --- transmission ----------------------------------------------------------------------------------------
 */

/* Elias gamma: n >= 1 with as many zeros in front as there are bits behind the leading one. */
static void put_gamma(struct bit_writer *w, uint32_t n)
{
    int width = bit_width(n);
    bits_put(w, 0, width - 1);
    bits_put(w, n, width);
}

/* 0 when there is none. */
static uint32_t get_gamma(struct bit_reader *r)
{
    int zeros = 0;
    while (zeros < 20 && !r->lacking && !bits_get(r, 1))
        zeros++;
    return r->lacking || zeros == 20 ? 0 : 1u << zeros | bits_get(r, zeros);
}

/* Symbol by symbol: gamma(1) and gamma(run) for a run of symbols that do not occur, else gamma(2 + zigzag of
 * the difference to the length before). */
void huffman_put_lengths(struct bit_writer *w, const struct huffman_code *code, int symbols)
{
    int before = 0;
    for (int s = 0; s < symbols;) {
        int run = 0;
        while (s + run < symbols && !code[s + run].used)
            run++;
        if (run) {
            put_gamma(w, 1);
            put_gamma(w, (uint32_t)run);
            s += run;
            continue;
        }
        put_gamma(w, 2 + zigzag(code[s].length - before));
        before = code[s++].length;
    }
}

/* length[s] becomes -1 for symbols that do not occur. False when it makes no sense. */
static bool read_lengths(int8_t *length, struct bit_reader *r, int symbols)
{
    int before = 0;
    for (int s = 0; s < symbols;) {
        uint32_t token = get_gamma(r);
        if (!token)
            return false;
        if (token == 1) {
            uint32_t run = get_gamma(r);
            if (!run || run > (uint32_t)(symbols - s))
                return false;
            memset(length + s, -1, run);
            s += (int)run;
            continue;
        }
        before += unzigzag(token - 2);
        if (before < 0 || before > HUFFMAN_LONGEST)
            return false;
        length[s++] = (int8_t)before;
    }
    return true;
}

/* --- the decoder's tables --------------------------------------------------------------------------------
 */

/* Sort the symbols by length and check that the code leaves no bit string without a meaning. */
static bool sort_symbols(struct huffman_table *t, const int8_t *length, int symbols)
{
    uint32_t next = 0;
    for (int l = 0; l <= HUFFMAN_LONGEST; l++) {
        t->first[l] = next;
        t->start[l] = t->used;
        for (int s = 0; s < symbols; s++)
            if (length[s] == l) {
                t->symbol[t->used++] = s;
                t->longest = l;
                next += l ? 1u << (HUFFMAN_LONGEST - l) : 0;
            }
    }
    if (t->used && !t->longest)
        return t->used == 1;
    return next == 1u << HUFFMAN_LONGEST && length[t->symbol[0]] > 0;
}

static void fill_quick(struct huffman_table *t, const int8_t *length)
{
    uint32_t next = 0;
    for (int i = 0; i < t->used && length[t->symbol[i]] <= HUFFMAN_QUICK; i++) {
        int l = length[t->symbol[i]];
        for (uint32_t n = 0; n < 1u << (HUFFMAN_QUICK - l); n++, next++) {
            t->quick[next].symbol = (int16_t)t->symbol[i];
            t->quick[next].length = (uint8_t)l;
        }
    }
}

int huffman_get_lengths(struct huffman_table *t, struct bit_reader *r, int symbols, struct err *e)
{
    int8_t *length = mem_alloc((size_t)symbols);
    t->symbol = mem_array((size_t)symbols, sizeof *t->symbol);
    int rc = 0;
    if (!length || !t->symbol)
        rc = err_set(e, ERR_NOMEM, "out of memory for the Huffman code");
    else if (!read_lengths(length, r, symbols) || !sort_symbols(t, length, symbols))
        rc = err_set(e, ERR_CORRUPT, "the Huffman code is damaged");
    else if (t->longest)
        fill_quick(t, length);
    free(length);
    return rc;
}

void huffman_table_deinit(struct huffman_table *t)
{
    free(t->symbol);
    t->symbol = NULL;
}
