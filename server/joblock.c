#include "server/joblock.h"

#include "api/spec.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define LOCK_TEXT 1024

static void parse(const char *text, struct joblock *lock)
{
    json_t *root = json_loads(text, 0, NULL);
    const char *start = spec_text(root, "/start", "");
    int64_t pid = spec_int(root, "/pid", 0), attempt = spec_int(root, "/attempt", 0), ticks;
    if (pid > 0 && attempt > 0 && attempt <= INT32_MAX && num_int64(start, 0, INT64_MAX, &ticks)) {
        lock->attempt = (int)attempt;
        snprintf(lock->token, sizeof lock->token, "%s", spec_text(root, "/token", ""));
        snprintf(lock->handle, sizeof lock->handle, "%" PRId64 ":%" PRId64, pid, ticks);
    }
    json_decref(root);
}

int joblock_probe(const char *dir, struct joblock *lock, struct err *e)
{
    char path[1024], text[LOCK_TEXT];
    memset(lock, 0, sizeof *lock);
    snprintf(path, sizeof path, "%s/lock", dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT ? 0 : err_sys(e, ERR_IO, "%s", path);
    if (flock(fd, LOCK_SH | LOCK_NB))
        lock->held = errno == EWOULDBLOCK;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    close(fd); /* gives our own lock back */
    text[n > 0 ? n : 0] = 0;
    parse(text, lock);
    return 0;
}
