/* temp.h - what unit tests share: cmocka with its includes, and a directory of its own for each test. */
#ifndef TESTS_TEMP_H
#define TESTS_TEMP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cmocka fixtures: *state is the path of a new empty directory. */
static inline int temp_setup(void **state)
{
    const char *root = getenv("TMPDIR");
    char *path = malloc(4096);
    snprintf(path, 4096, "%s/quantd-test-XXXXXX", root ? root : "/tmp");
    *state = path;
    return mkdtemp(path) ? 0 : -1;
}

static inline int temp_teardown(void **state)
{
    struct err e = { 0 };
    int rc = file_remove_tree(*state, &e);
    if (rc)
        fprintf(stderr, "%s\n", e.text);
    free(*state);
    return rc;
}

/* "DIR/name" in one of a few static buffers. */
static inline const char *temp_path(void *dir, const char *name)
{
    static char paths[8][4096];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", (const char *)dir, name);
    return path;
}

#endif
