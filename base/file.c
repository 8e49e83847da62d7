/* file.c - files that are either whole or not there. */
#include "base/file.h"

#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define PATH_BYTES 4096
#define TREE_DEPTH 64 /* directories within directories that file_remove_tree goes down into */

/* --- reading and writing ----------------------------------------------------------------------------------
 */

static int io_code(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
        return ERR_FULL;
    case ENOMEM:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

int file_write_all(int fd, const void *data, size_t length, struct err *e)
{
    const char *p = data;
    while (length) {
        ssize_t n = write(fd, p, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, io_code(), "can't write");
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

int file_read_all(int fd, void *data, size_t length, struct err *e)
{
    char *p = data;
    while (length) {
        ssize_t n = read(fd, p, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(e, ERR_IO, "can't read");
        if (n == 0)
            return err_set(e, ERR_CORRUPT, "the file ends %zu bytes early", length);
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

static int too_large(const char *path, size_t limit, struct err *e)
{
    return err_set(e, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, limit);
}

/* Read to the end. The size that stat tells is only a first guess: the file may grow, or be one of /proc. */
static int load(int fd, const char *path, size_t limit, char **data, size_t *length, struct err *e)
{
    struct stat st;
    size_t used = 0, capacity = 4096;
    if (fstat(fd, &st))
        return err_sys(e, ERR_IO, "can't stat %s", path);
    if (st.st_size > 0 && (uint64_t)st.st_size > limit)
        return too_large(path, limit, e);
    if (st.st_size > 0)
        capacity = (size_t)st.st_size + 2; /* the zero, and one byte to see the end */
    char *text = mem_alloc(capacity);
    while (text) {
        ssize_t n = read(fd, text + used, capacity - 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            free(text);
            return err_sys(e, ERR_IO, "can't read %s", path);
        }
        used += (size_t)n;
        if (used > limit) {
            free(text);
            return too_large(path, limit, e);
        }
        if (n == 0) {
            text[used] = '\0';
            *data = text;
            if (length)
                *length = used;
            return 0;
        }
        if (used + 1 < capacity)
            continue;
        char *more = mem_grow(text, capacity, 2);
        if (!more)
            free(text);
        text = more;
        capacity *= 2;
    }
    return err_set(e, ERR_NOMEM, "no memory for %s", path);
}

int file_load(const char *path, size_t limit, char **data, size_t *length, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, io_code(), "can't open %s", path);
    int rc = load(fd, path, limit, data, length, e);
    close(fd);
    return rc;
}

int file_load_below(int dirfd, const char *name, size_t limit, char **data, size_t *length, struct err *e)
{
    int fd = file_open_below(dirfd, name, e);
    if (fd < 0)
        return fd;
    int rc = load(fd, name, limit, data, length, e);
    close(fd);
    return rc;
}

/* --- publishing -------------------------------------------------------------------------------------------
 */

/* The directory part of path, "." when there is none. */
static int parent_of(const char *path, char out[PATH_BYTES], struct err *e)
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;
    if (length >= PATH_BYTES)
        return err_set(e, ERR_INVALID, "the path is too long");
    memcpy(out, path, length);
    if (length == 0)
        out[length++] = slash ? '/' : '.';
    out[length] = '\0';
    return 0;
}

int file_sync_dir(const char *dir, struct err *e)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, io_code(), "can't open directory %s", dir);
    int rc = fsync(fd) ? err_sys(e, io_code(), "can't sync directory %s", dir) : 0;
    close(fd);
    return rc;
}

int file_temp(const char *path, char *temp, size_t temp_size, int *fd, struct err *e)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    int n = snprintf(temp, temp_size, "%.*s.%s.XXXXXX.tmp", (int)(name - path), path, name);
    if (n < 0 || (size_t)n >= temp_size)
        return err_set(e, ERR_INVALID, "the path is too long: %s", path);
    *fd = mkostemps(temp, (int)strlen(".tmp"), O_CLOEXEC);
    if (*fd < 0)
        return err_sys(e, io_code(), "can't create a temporary file beside %s", path);
    return 0;
}

static int sync_parent(const char *path, struct err *e)
{
    char dir[PATH_BYTES];
    int rc = parent_of(path, dir, e);
    return rc ? rc : file_sync_dir(dir, e);
}

int file_commit(int fd, const char *temp, const char *path, struct err *e)
{
    int rc = fdatasync(fd) ? err_sys(e, io_code(), "can't sync %s", temp) : 0;
    if (close(fd) && !rc)
        rc = err_sys(e, io_code(), "can't close %s", temp);
    if (!rc && rename(temp, path))
        rc = err_sys(e, io_code(), "can't rename %s to %s", temp, path);
    if (rc) {
        unlink(temp);
        return rc;
    }
    return sync_parent(path, e);
}

int file_publish(const char *path, const void *data, size_t length, unsigned mode, struct err *e)
{
    char temp[PATH_BYTES];
    int fd;
    int rc = file_temp(path, temp, sizeof temp, &fd, e);
    if (rc)
        return rc;
    rc = file_write_all(fd, data, length, e);
    if (!rc && fchmod(fd, mode))
        rc = err_sys(e, ERR_IO, "can't set the mode of %s", temp);
    if (!rc)
        return file_commit(fd, temp, path, e);
    close(fd);
    unlink(temp);
    return rc;
}

/* --- directories ------------------------------------------------------------------------------------------
 */

static int make_dir(const char *path, struct err *e)
{
    struct stat st;
    if (mkdir(path, 0700) == 0)
        return sync_parent(path, e);
    if (errno != EEXIST)
        return err_sys(e, io_code(), "can't create directory %s", path);
    if (stat(path, &st) || !S_ISDIR(st.st_mode))
        return err_set(e, ERR_IO, "%s is not a directory", path);
    return 0;
}

int file_make_dirs(const char *path, struct err *e)
{
    char part[PATH_BYTES];
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof part)
        return err_set(e, ERR_INVALID, "the path is empty or too long");
    memcpy(part, path, length + 1);
    while (length > 1 && part[length - 1] == '/')
        part[--length] = '\0';
    for (char *p = part + 1; *p; p++) {
        if (*p != '/' || p[-1] == '/')
            continue;
        *p = '\0';
        int rc = make_dir(part, e);
        *p = '/';
        if (rc)
            return rc;
    }
    return make_dir(part, e);
}

static int remove_below(int parent, const char *name, int depth, struct err *e);

static int empty_dir(int fd, const char *name, int depth, struct err *e)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return err_sys(e, ERR_IO, "can't read directory %s", name);
    }
    int rc = 0;
    for (struct dirent *d; !rc && (d = readdir(dir));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            rc = remove_below(dirfd(dir), d->d_name, depth + 1, e);
    closedir(dir);
    return rc;
}

static int remove_below(int parent, const char *name, int depth, struct err *e)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return err_sys(e, io_code(), "can't remove %s", name);
    if (depth > TREE_DEPTH)
        return err_set(e, ERR_INVALID, "the tree is deeper than %d directories", TREE_DEPTH);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, io_code(), "can't open %s", name);
    int rc = empty_dir(fd, name, depth, e);
    if (!rc && unlinkat(parent, name, AT_REMOVEDIR))
        rc = err_sys(e, io_code(), "can't remove directory %s", name);
    return rc;
}

int file_remove_tree(const char *path, struct err *e)
{
    return remove_below(AT_FDCWD, path, 0, e);
}

/* --- questions --------------------------------------------------------------------------------------------
 */

int64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) ? io_code() : (int64_t)st.st_size;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

int64_t file_disk_free(const char *path)
{
    struct statvfs fs;
    int64_t bytes;
    if (statvfs(path, &fs))
        return io_code();
    return __builtin_mul_overflow(fs.f_bavail, fs.f_frsize, &bytes) ? INT64_MAX : bytes;
}

/* O_NONBLOCK: a FIFO that a hostile worker left must not hang the daemon, and is refused as every non-file
 * is. */
int file_open_below(int dirfd, const char *name, struct err *e)
{
    struct stat st;
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(e, ERR_INVALID, "not a file name: %s", name);
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno == ELOOP ? ERR_INVALID : io_code(), "can't open %s", name);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return fd;
    close(fd);
    return err_set(e, ERR_INVALID, "%s is not a regular file", name);
}

bool file_name_ok(const char *name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);
    return length >= 1 && length <= 255 && name[0] != '.' && strspn(name, allowed) == length;
}
