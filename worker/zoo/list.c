/* list.c - the architectures by name. */
#include "worker/zoo/list.h"

#include <string.h>

const struct zoo *const zoo_list[] = {
    &zoo_lenet5,
    NULL,
};

const struct zoo *zoo_find(const char *name)
{
    for (const struct zoo *const *z = zoo_list; *z; ++z)
        if (strcmp((*z)->name, name) == 0)
            return *z;
    return NULL;
}
