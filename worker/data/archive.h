/* archive.h - walk over the regular files in an archive, each handed over as a stream of decompressed bytes.
 *
 *     file on disk ─► gz/bz2/xz/zst? ─► tar, zip or the bare file ─► member ─► gz/bz2/xz/zst? ─► bytes
 *
 * Everything here comes from strangers. Nothing is written to disk, nothing is allocated by what a header
 * claims, and what is decompressed counts against the limit whether somebody wants it or not. Checksums are
 * verified where the format has them: gzip (by us: libarchive does not), bzip2, xz, zstd, zip. */
#ifndef WORKER_DATA_ARCHIVE_H
#define WORKER_DATA_ARCHIVE_H

#include "base/err.h"
#include "worker/data/source.h"

#define ARCHIVE_MEMBERS_MAX 200000

struct archive_visitor {
    void *cookie;
    /* From name and head: 1 to read it, 0 to skip it, negative ERR_* to stop. */
    int (*want)(void *cookie, const struct source *s, struct err *e);
    /* Read it; the source is valid during the call, what is left unread is skipped. */
    int (*take)(void *cookie, struct source *s, struct err *e);
};

/* limit: decompressed bytes of all members together. The walk itself needs a few hundred KiB, beside the
 * window of the decompressor, which the file chooses (64 MiB after xz -9). ERR_TOO_LARGE above the limit,
 * above ARCHIVE_MEMBERS_MAX, and for a file that expands beyond all reason; ERR_CORRUPT for damage;
 * ERR_INVALID for links, devices, names that lead out, encryption. */
int archive_walk(const char *path, size_t limit, const struct archive_visitor *v, struct err *e);

#endif
