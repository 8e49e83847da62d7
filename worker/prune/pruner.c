#include "worker/prune/pruner.h"

#include <string.h>

const struct pruner *const pruner_list[] = { &pruner_partial_l2, &pruner_magnitude, NULL };

const char *const prune_structures[] = { "none", "rows", "columns", NULL };
const char *const prune_scopes[] = { "network", "layer", "adaptive", NULL };

const struct pruner *pruner_find(const char *name)
{
    for (const struct pruner *const *p = pruner_list; *p; p++)
        if (strcmp((*p)->name, name) == 0)
            return *p;
    return NULL;
}
