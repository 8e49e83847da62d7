/* archive.h - walk over the regular files in an archive, each handed over whole and decompressed.
 *
 *     file on disk ─► gz/bz2/xz/zst? ─► tar, zip or the bare file ─► member ─► gz/bz2/xz/zst? ─► bytes
 *
 * Everything here comes from strangers. Nothing is written to disk, nothing is allocated by what a header
 * claims, and what is decompressed counts against the limit whether somebody wants it or not. */
#ifndef WORKER_DATA_ARCHIVE_H
#define WORKER_DATA_ARCHIVE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARCHIVE_MEMBERS_MAX 200000
#define ARCHIVE_HEAD        512 /* bytes that `want` may look at */

struct archive_member {
    const char *name; /* as in the archive, checked by member_check */
    bool bare;        /* there was no archive: the name is the path's last component, or gzip's */
};

struct archive_visitor {
    void *cookie;
    /* From name and first bytes: 1 to get it whole, 0 to skip it, negative ERR_* to stop. */
    int (*want)(void *cookie, const struct archive_member *m, const uint8_t *head, size_t length,
                struct err *e);
    /* The whole member; data is valid during the call. */
    int (*take)(void *cookie, const struct archive_member *m, const uint8_t *data, size_t length,
                struct err *e);
};

/* limit: decompressed bytes of all members together. Besides what the visitor keeps, at most about one and a
 * half times the largest member is in memory. ERR_TOO_LARGE above the limit, above ARCHIVE_MEMBERS_MAX, and
 * for a file that expands beyond all reason; ERR_CORRUPT for damage; ERR_INVALID for links, devices, names
 * that lead out, encryption. */
int archive_walk(const char *path, size_t limit, const struct archive_visitor *v, struct err *e);

#endif
