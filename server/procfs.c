#include "server/procfs.h"

#include "base/err.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static int read_small(int64_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ERR_NOT_FOUND;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? 0 : ERR_NOT_FOUND;
}

/* The program's name (field 2) may hold blanks and brackets: count from the last ')'. */
static const char *stat_field(const char *stat, int number)
{
    const char *p = strrchr(stat, ')');
    if (!p || p[1] != ' ')
        return NULL;
    p += 2;
    for (int field = 3; field < number && p; field++) {
        p = strchr(p, ' ');
        p = p ? p + 1 : NULL;
    }
    return p;
}

int64_t procfs_start(int64_t pid)
{
    char stat[1024];
    if (pid <= 0 || read_small(pid, "stat", stat, sizeof stat))
        return -1;
    const char *state = stat_field(stat, 3), *start = stat_field(stat, 22);
    if (!state || !start || *state == 'Z' || *state == 'X')
        return -1;
    return strtoll(start, NULL, 10);
}

static int64_t status_kb(const char *status, const char *key)
{
    const char *line = strstr(status, key);
    return line ? strtoll(line + strlen(key), NULL, 10) : 0;
}

int procfs_usage(int64_t pid, struct usage *u)
{
    char stat[1024], status[4096];
    if (pid <= 0 || read_small(pid, "stat", stat, sizeof stat) ||
        read_small(pid, "status", status, sizeof status))
        return ERR_NOT_FOUND;
    const char *user = stat_field(stat, 14), *system = stat_field(stat, 15);
    if (!user || !system)
        return ERR_NOT_FOUND;
    u->cpu_s = (double)(strtoll(user, NULL, 10) + strtoll(system, NULL, 10)) / (double)sysconf(_SC_CLK_TCK);
    u->resident_kb = status_kb(status, "\nVmRSS:");
    int64_t peak = status_kb(status, "\nVmHWM:");
    if (peak > u->peak_kb)
        u->peak_kb = peak;
    return 0;
}

int procfs_pidfd(int64_t pid, int64_t start)
{
    if (start < 0 || pid <= 0)
        return ERR_NOT_FOUND;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0)
        return ERR_NOT_FOUND;
    if (procfs_start(pid) ==
        start) /* asked after the descriptor was made: it can't be somebody else's any more */
        return fd;
    close(fd);
    return ERR_NOT_FOUND;
}
