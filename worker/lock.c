#include "worker/lock.h"

#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

struct lock {
    int fd;
};

/* Field 22 of /proc/self/stat. Field 2 is the program's name in parentheses and may hold anything, so count
 * from the last closing one. "" when /proc is not there. */
static void start_time(char *out, size_t size)
{
    char line[LINE_MAX_BYTES] = "";
    FILE *f = fopen("/proc/self/stat", "re");

    out[0] = '\0';
    if (f == NULL)
        return;
    size_t n = fread(line, 1, sizeof line - 1, f);
    fclose(f);
    line[n] = '\0';
    const char *p = strrchr(line, ')');
    for (int field = 2; p != NULL && field < 22; field++)
        p = strchr(p + 1, ' ');
    if (p != NULL)
        snprintf(out, size, "%.*s", (int)strcspn(p + 1, " \n"), p + 1);
}

static int fail_busy(int fd, struct err *e)
{
    char line[LINE_MAX_BYTES];
    ssize_t n = pread(fd, line, sizeof line - 1, 0);

    line[n > 0 ? n : 0] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return err_set(e, ERR_BUSY, "another worker holds the job's directory: %.300s", line);
}

static int write_holder(int fd, int attempt, const char *token, struct err *e)
{
    char start[32], host[256] = "", line[LINE_MAX_BYTES];

    start_time(start, sizeof start);
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '\0';
    json_t *o = json_pack("{s:i, s:s, s:i, s:s, s:s}", "attempt", attempt, "token", token, "pid",
                          (int)getpid(), "start", start, "host", host);
    size_t n = json_dumpb(o, line, sizeof line - 1, JSON_COMPACT);
    json_decref(o);
    if (n == 0 || n > sizeof line - 1)
        return err_set(e, ERR_INVALID, "the token can't be written as JSON");
    line[n++] = '\n';
    if (ftruncate(fd, 0) != 0)
        return err_sys(e, ERR_IO, "can't write the lock");
    return file_write_all(fd, line, n, e);
}

int lock_take(const char *dir, int attempt, const char *token, struct lock **out, struct err *e)
{
    char *path = mem_printf("%s/lock", dir);
    struct lock *lock = mem_alloc(sizeof *lock);
    int r = 0;

    *out = NULL;
    if (path == NULL || lock == NULL) {
        r = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock->fd < 0) {
        r = err_sys(e, ERR_IO, "can't open '%s'", path);
        goto out;
    }
    if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0)
        r = errno == EWOULDBLOCK ? fail_busy(lock->fd, e) : err_sys(e, ERR_IO, "can't lock '%s'", path);
    else
        r = write_holder(lock->fd, attempt, token != NULL ? token : "", e);
    if (r < 0)
        close(lock->fd);
out:
    free(path);
    if (r < 0)
        free(lock);
    else
        *out = lock;
    return r;
}

void lock_free(struct lock *lock)
{
    if (lock == NULL)
        return;
    close(lock->fd);
    free(lock);
}
