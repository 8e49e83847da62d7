/* asset.h - what people upload for jobs to use: a name, a blob and the inspector's JSON. Models and data sets
 * are two kinds of it. */
#ifndef STORAGE_ASSET_H
#define STORAGE_ASSET_H

#include "base/hash.h"
#include "storage/db.h"

enum asset_kind { ASSET_MODEL, ASSET_DATASET, ASSET_KIND_COUNT };

#define ASSET_NAME_MAX 79 /* bytes */

struct asset {
    int64_t id;
    char *name; /* owned; never NULL: the hash's first 12 digits when none was given */
    char hash[HASH_TEXT];
    char *format; /* owned: of a data set, as given or as found; NULL for a model */
    char *info;   /* owned: JSON of the inspector; a data set's normalisation included */
    int64_t size, created_ms;
};

struct asset_new {
    const char *name; /* NULL or "": none given */
    const char *hash;
    const char *format; /* of a data set, NULL is ""; ignored for a model */
    const char *info;
};

void asset_free(struct asset *a); /* frees what a owns, not a */
void asset_list_free(struct asset *list, int count);

/* A name that a job may refer to: 1 to ASSET_NAME_MAX bytes of UTF-8, no control characters, no slash,
 * neither a number nor one of the prefixes with a meaning. ERR_INVALID says which rule is broken. */
int asset_name_check(const char *name, struct err *e);

/* Same name and same content (for a data set also the same format and info): *a is the row that is there and
 * *existed is true. Same name, something else: ERR_CONFLICT. ERR_NOT_FOUND when there is no such blob. */
int asset_add(struct db *db, enum asset_kind kind, const struct asset_new *n, struct asset *a, bool *existed,
              struct err *e);
/* ref: decimal id, "sha256:..." (the oldest of that content) or name. ERR_NOT_FOUND. */
int asset_get(struct db *db, enum asset_kind kind, const char *ref, struct asset *a, struct err *e);
/* Newest first; ids below `before` (0: from the top). asset_list_free what comes. */
int asset_list(struct db *db, enum asset_kind kind, int64_t before, int limit, struct asset **list,
               int *count, struct err *e);
/* ERR_CONFLICT while an unfinished job uses its blob. */
int asset_delete(struct db *db, enum asset_kind kind, int64_t id, struct err *e);

#endif
