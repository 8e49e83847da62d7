/* run.h - `quantd-worker run DIR`: one job, its process and its signals. */
#ifndef WORKER_RUN_H
#define WORKER_RUN_H

struct run_options {
    const char *dir;   /* the job's directory */
    int attempt;       /* 1.. */
    const char *token; /* fencing token of the attempt; "" by hand */
    int threads;       /* 0: as the specification says */
};

enum { RUN_DONE = 0, RUN_FAILED = 1, RUN_AGAIN = 75 };

int run_job(const struct run_options *o); /* the process's exit code */

#endif
