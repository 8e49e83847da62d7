/* engine_memory.h - engines that can't be made for want of memory. */
#ifndef TESTS_UNIT_ENGINE_MEMORY_H
#define TESTS_UNIT_ENGINE_MEMORY_H

#include "base/mem.h"
#include "worker/engine/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Whatever allocation fails, engine_new says so and leaves nothing behind. */
static inline void engine_without_memory(struct graph *g, const struct engine_options *options)
{
    struct engine *n = NULL;
    struct err e = { 0 };
    int failed = 0;

    for (int calls = 0; !n && calls < 1000; calls++) {
        mem_fail_after(calls);
        const int status = engine_new(g, options, &n, &e);
        mem_fail_after(-1);
        assert_true(status == 0 || status == ERR_NOMEM);
        failed += status != 0;
    }
    assert_non_null(n);
    assert_true(failed > 20);
    engine_free(n);
}

#endif
