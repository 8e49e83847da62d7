#include "server/env.h"

#include "base/mem.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static bool allowed(const char *entry)
{
    static const char *const prefixes[] = { "PATH=", "HOME=", "LANG=", "QUANTD_", "OPENBLAS_" };
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(entry, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

char **env_clean(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **clean = mem_array(count + 1, sizeof *clean);
    for (size_t i = 0; clean && i < count; i++)
        if (allowed(environ[i]))
            clean[kept++] = environ[i];
    return clean;
}
