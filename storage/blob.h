/* blob.h - content-addressed files: DIR/blobs/ab/cdef..., read-only, counted by the rows that use them,
 * collected by a sweeper after a grace time. A blob is published as a file first, then as a row. */
#ifndef STORAGE_BLOB_H
#define STORAGE_BLOB_H

#include "base/hash.h"
#include "storage/db.h"

struct blob {
    char hash[HASH_TEXT]; /* "sha256:..." */
    int64_t size, created_ms;
};

/* Path of the file, whether it exists or not. */
void blob_path(const struct db *db, const char *hash, char *out, size_t size);

/* Adopt DIR/tmp/... (already hashed, size known, written by the caller) by rename and row. An equal blob that
 * is there already wins and the temporary file is removed. */
int blob_adopt(struct db *db, const char *temp_path, const char *hash, int64_t size, struct err *e);
int blob_get(struct db *db, const char *hash, struct blob *b, struct err *e); /* ERR_NOT_FOUND */
/* Remove this blob at once, unless something refers to it or it was sent again after made_ms (its created_ms
 * then): an upload that was refused leaves nothing. */
int blob_discard(struct db *db, const char *hash, int64_t made_ms, struct err *e);
/* Remove blobs that nothing has referred to for grace_ms since they came, and files without a row, which a
 * crash left; returns how many. */
int blob_sweep(struct db *db, int64_t grace_ms, struct err *e);

#endif
