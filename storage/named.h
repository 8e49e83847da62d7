/* named.h - private to storage/: a named blob with an inspector's JSON. Models and data sets are two kinds of
 * it, each a const table of SQL texts; their select lists give id, name, hash, format (NULL for models),
 * info, size, created_ms. */
#ifndef STORAGE_NAMED_H
#define STORAGE_NAMED_H

#include "base/hash.h"
#include "storage/db.h"

#include <stddef.h>

struct named {
    int64_t id;
    char *name, *format, *info; /* owned */
    char hash[HASH_TEXT];
    int64_t size, created_ms;
};

struct named_kind {
    const char *noun;   /* "model" */
    const char *insert; /* ?1 name, ?2 hash, ?3 format, ?4 info, ?5 created_ms; returns the id */
    const char *by_id, *by_hash, *by_name;          /* ?1 */
    const char *page;                               /* ?1 ids below, ?2 how many */
    const char *users;                              /* ?1 id: number of unfinished jobs that use its blob */
    const char *remove;                             /* ?1 id */
    size_t row_size;                                /* of struct model, struct dataset */
    void (*fill)(void *row, const struct named *n); /* takes over what n owns */
    void (*release)(void *row);
};

/* name NULL or "": the first 12 digits of the hash. */
int named_add(struct db *db, const struct named_kind *kind, const char *name, const char *hash,
              const char *format, const char *info, void *row, bool *existed, struct err *e);
int named_get(struct db *db, const struct named_kind *kind, const char *ref, void *row, struct err *e);
/* list: the address of a pointer to rows */
int named_list(struct db *db, const struct named_kind *kind, int64_t before, int limit, void *list,
               int *count, struct err *e);
int named_delete(struct db *db, const struct named_kind *kind, int64_t id, struct err *e);

#endif
