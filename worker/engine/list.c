#include "worker/engine/engine.h"

#include <string.h>

static const struct engine_kind engine_float = { "float", "Floating point", false, BITS_NEVER };
static const struct engine_kind engine_integer = { "integer",
                                                   "8-bit codes and 32-bit sums, bit planes where faster",
                                                   true, BITS_WHERE_THEY_PAY };
static const struct engine_kind engine_bits = { "bits", "Bit planes and counts of bits, else as integer",
                                                true, BITS_ALWAYS };

const struct engine_kind *const engine_kind_list[] = { &engine_float, &engine_integer, &engine_bits, NULL };

const struct engine_kind *engine_kind_find(const char *name)
{
    for (const struct engine_kind *const *k = engine_kind_list; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}
