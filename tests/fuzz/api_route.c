/* "METHOD PATH" against the table of routes. What is found has decoded parameters that fit. */
#include "api/route.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct exchange x;
    const struct route *route;
    char allow[64];
    char *text = malloc(size + 1), *path;
    int rc;

    memcpy(text, data, size);
    text[size] = 0;
    path = strchr(text, ' ');
    if (path) {
        *path++ = 0;
        rc = route_find(text, path, &route, &x, allow, sizeof allow);
        assert((rc == 0) == (route != NULL));
        assert((rc == ERR_METHOD) == (allow[0] != 0) || rc == 0);
        for (int i = 0; rc == 0 && i < 3; i++) {
            assert(memchr(x.param[i], 0, sizeof x.param[i]));
            assert(!strchr(x.param[i], '/') || strstr(route->pattern, "*}"));
        }
    }
    free(text);
    return 0;
}
