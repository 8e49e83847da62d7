/* sandbox.h - what a process that parses strangers' bytes may do: rlimits, no_new_privs, not dumpable,
 * Landlock, seccomp. Best effort where the kernel lacks a part; the summary says which parts hold. */
#ifndef WORKER_SANDBOX_H
#define WORKER_SANDBOX_H

#include "base/err.h"

#include <stddef.h>

struct sandbox {
    const char *write_dir; /* the only directory in which files may be created and renamed; NULL: none */
    const char *read_dir;  /* may be opened for reading below; also one file alone; NULL: none */
    size_t memory_bytes;   /* RLIMIT_DATA; 0: leave */
    size_t file_bytes;     /* RLIMIT_FSIZE; 0: leave */
    int threads_allowed;   /* 0: no new threads or processes after this; 1: threads, never processes */
};

/* Enter it; there is no way back. summary gets e.g. "rlimits no_new_privs landlock:3 seccomp". */
int sandbox_enter(const struct sandbox *s, char *summary, size_t size, struct err *e);

#endif
