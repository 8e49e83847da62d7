/* source.h - the bytes of one file inside an archive, decompressed, as they arrive: pulled by whoever reads
 * the format, so that nobody need have the whole file in memory. */
#ifndef WORKER_DATA_SOURCE_H
#define WORKER_DATA_SOURCE_H

#include "base/err.h"
#include "worker/data/member.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_HEAD 512 /* bytes that may be looked at without reading them */

struct source {
    const char *member;       /* the name as in the archive, checked by member_check */
    char shown[MEMBER_SHOWN]; /* and fit for an error message */
    bool bare;                /* there was no archive: the name is the path's last component, or gzip's */
    uint8_t head[SOURCE_HEAD];
    size_t head_length;
    size_t offset; /* bytes read so far */
    /* Some bytes behind those of head, at most size; *got 0 at the end. */
    int (*pull)(struct source *s, uint8_t *to, size_t size, size_t *got, struct err *e);
    void *cookie;
    size_t left; /* cookie's own */
};

/* Bytes in memory that outlive the source: for tests, and for members that had to be unpacked whole. */
void source_memory(struct source *s, const char *member, const uint8_t *data, size_t length);

/* For whoever sets a source up: name it and fetch its head. */
void source_name(struct source *s, const char *member);
int source_fill_head(struct source *s, struct err *e);

/* size bytes, or fewer when the file ends before: *got tells. */
int source_read(struct source *s, void *to, size_t size, size_t *got, struct err *e);

/* Exactly size bytes; ERR_CORRUPT "the file ends inside WHAT" otherwise. */
int source_need(struct source *s, void *to, size_t size, const char *what, struct err *e);

/* Read on to the end and drop it; *count (may be NULL) bytes there were. */
int source_skip(struct source *s, size_t *count, struct err *e);

/* All that is left, free() it; memory grows by what arrives. */
int source_rest(struct source *s, uint8_t **data, size_t *length, struct err *e);

/* Adds the place "MEMBER offset N"; returns the error's code. */
int source_at(const struct source *s, size_t offset, struct err *e);

#endif
