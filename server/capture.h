/* capture.h - run a program, keep what it prints: bounded output, bounded time, its own process group. For
 * the worker's short commands (`describe`, `inspect`). Loop thread only. */
#ifndef SERVER_CAPTURE_H
#define SERVER_CAPTURE_H

#include "base/err.h"

#include <stdbool.h>
#include <uv.h>

struct capture;

struct captured {
    const char *text; /* stdout, zero-terminated; valid during the call */
    size_t length;
    int exit_code; /* -1: killed */
    int signal;
    bool timed_out, overflowed; /* why we killed it */
};

struct capturing {
    uv_loop_t *loop;
    const char *const *args; /* args[0] is the program; NULL-terminated */
    size_t limit;            /* bytes of output */
    uint64_t timeout_ms;
    bool show_stderr;                                  /* its stderr is ours; else it goes nowhere */
    void (*done)(void *arg, const struct captured *c); /* once, from the loop */
    void *arg;
};

int capture_start(const struct capturing *with, struct capture **c, struct err *e);
void capture_forget(struct capture *c); /* kill it; done() is not called */

#endif
