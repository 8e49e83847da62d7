/* procfs.h - what /proc says about a process. A pid alone names nobody for long: with its start time it does.
 */
#ifndef SERVER_PROCFS_H
#define SERVER_PROCFS_H

#include <stdint.h>

struct usage {
    int64_t resident_kb, peak_kb;
    double cpu_s;
};

int64_t procfs_start(int64_t pid); /* field 22 of /proc/PID/stat; -1: no such process, or a zombie */
int procfs_usage(int64_t pid,
                 struct usage *u);            /* 0, or ERR_NOT_FOUND with u left alone; peak_kb only rises */
int procfs_pidfd(int64_t pid, int64_t start); /* a descriptor for exactly that process, or ERR_NOT_FOUND */

#endif
