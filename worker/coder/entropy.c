/* entropy.c - order-0 entropy: what a memoryless coder that knew the frequencies in advance would need. */
#include "base/mem.h"
#include "worker/coder/coder_impl.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TABLE_SPAN 65536u /* up to here codes are counted in a table, beyond they are sorted */

int code_block_count(const struct code_block *b, size_t *count, struct err *e)
{
    if (b->rows < 0 || b->columns < 0 || b->low > b->high)
        return err_set(e, ERR_INVALID, "a block of %lld x %lld codes in [%d, %d] makes no sense",
                       (long long)b->rows, (long long)b->columns, b->low, b->high);
    if (b->columns && b->rows > ((int64_t)1 << 40) / b->columns)
        return err_set(e, ERR_INVALID, "a block of %lld x %lld codes is too large", (long long)b->rows,
                       (long long)b->columns);
    *count = (size_t)(b->rows * b->columns);
    return 0;
}

int code_block_check(const struct code_block *b, size_t *count, struct err *e)
{
    int rc = code_block_count(b, count, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < *count; i++)
        if (b->code[i] < b->low || b->code[i] > b->high)
            return err_set(e, ERR_INVALID, "code %zu is %d, outside [%d, %d]", i, b->code[i], b->low,
                           b->high);
    return 0;
}

static int compare_codes(const void *a, const void *b)
{
    const int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* -p log2 p of a symbol seen `seen` times in `count`. */
static double information(size_t seen, size_t count)
{
    double p = (double)seen / (double)count;
    return seen ? -p * log2(p) : 0;
}

static double entropy_sorted(const struct code_block *b, size_t count)
{
    int32_t *sorted = mem_array(count, sizeof *sorted);
    if (!sorted)
        return NAN;
    memcpy(sorted, b->code, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_codes);
    double bits = 0;
    for (size_t i = 0, start = 0; i < count; i++)
        if (i + 1 == count || sorted[i + 1] != sorted[i]) {
            bits += information(i + 1 - start, count);
            start = i + 1;
        }
    free(sorted);
    return bits;
}

static double entropy_counted(const struct code_block *b, size_t count)
{
    uint32_t span = code_block_span(b);
    size_t *seen = mem_array((size_t)span + 1, sizeof *seen);
    if (!seen)
        return NAN;
    for (size_t i = 0; i < count; i++)
        seen[(uint32_t)b->code[i] - (uint32_t)b->low]++;
    double bits = 0;
    for (size_t s = 0; s <= span; s++)
        bits += information(seen[s], count);
    free(seen);
    return bits;
}

double coder_entropy(const struct code_block *b)
{
    size_t count;
    if (code_block_check(b, &count, NULL) || !count)
        return 0;
    return code_block_span(b) < TABLE_SPAN ? entropy_counted(b, count) : entropy_sorted(b, count);
}
