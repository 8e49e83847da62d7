#include "worker/engine/engine.h"

#include <string.h>

static const struct engine_kind engine_float = { "float", "Floating point", false };
static const struct engine_kind engine_integer = { "integer", "8-bit codes and 32-bit sums", true };

const struct engine_kind *const engine_kind_list[] = { &engine_float, &engine_integer, NULL };

const struct engine_kind *engine_kind_find(const char *name)
{
    for (const struct engine_kind *const *k = engine_kind_list; *k; k++)
        if (strcmp((*k)->name, name) == 0)
            return *k;
    return NULL;
}
