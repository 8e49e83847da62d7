/* api_capabilities.h - a fixed set of capabilities, loaded before the tests of a program and freed after
 * them. */
#ifndef TESTS_UNIT_API_CAPABILITIES_H
#define TESTS_UNIT_API_CAPABILITIES_H

#include <jansson.h>

static json_t *capabilities;

static inline int load(void **state)
{
    (void)state;
    capabilities = json_load_file("tests/unit/api_capabilities.json", 0, NULL);
    return capabilities ? 0 : -1;
}

static inline int unload(void **state)
{
    (void)state;
    json_decref(capabilities);
    return 0;
}

#endif
