#include "server/launcher.h"

#include <string.h>

const struct launcher *const launcher_list[] = { &launcher_local, NULL };

const struct launcher *launcher_find(const char *name)
{
    for (int i = 0; launcher_list[i]; i++)
        if (strcmp(launcher_list[i]->name, name) == 0)
            return launcher_list[i];
    return NULL;
}
