/* file.h - files that are either whole or not there.
 *
 * Everything published goes: temporary name in the same directory (O_EXCL, 0600) -> write -> fdatasync ->
 * rename -> fsync of the directory. Paths below a directory are opened with O_NOFOLLOW and must not leave it.
 */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int file_write_all(int fd, const void *data, size_t length, struct err *e); /* loops over short writes */
int file_read_all(int fd, void *data, size_t length, struct err *e);        /* exactly length bytes */

/* Whole file into *data (free() it), zero-terminated behind *length. ERR_TOO_LARGE above limit. */
int file_load(const char *path, size_t limit, char **data, size_t *length, struct err *e);

/* Atomic publish of a small file; mode e.g. 0644. */
int file_publish(const char *path, const void *data, size_t length, unsigned mode, struct err *e);

/* The two halves, for big files: create "DIR/.NAME.XXXXXX.tmp" beside path; then sync, rename, sync dir. */
int file_temp(const char *path, char *temp, size_t temp_size, int *fd, struct err *e);
int file_commit(int fd, const char *temp, const char *path, struct err *e); /* closes fd on every path */

int file_sync_dir(const char *dir, struct err *e);
int file_make_dirs(const char *path, struct err *e);   /* mkdir -p, 0700 for what is new */
int file_remove_tree(const char *path, struct err *e); /* missing is fine; never follows links */
int64_t file_size(const char *path);                   /* negative ERR_* when missing */
bool file_exists(const char *path);
int64_t file_disk_free(const char *path); /* bytes available, or negative ERR_* */

/* Open NAME (one path component; no '/', not "." or "..") below dirfd for reading, never through a link. */
int file_open_below(int dirfd, const char *name, struct err *e); /* fd >= 0 or negative ERR_* */
/* As file_load, through file_open_below: for what a worker wrote. */
int file_load_below(int dirfd, const char *name, size_t limit, char **data, size_t *length, struct err *e);
bool file_name_ok(
    const char *name); /* one component, 1..255 bytes, [A-Za-z0-9._-], does not start with '.' */

#endif
