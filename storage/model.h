/* model.h - uploaded models: a name, a blob and the inspector's JSON. */
#ifndef STORAGE_MODEL_H
#define STORAGE_MODEL_H

#include "base/hash.h"
#include "storage/db.h"

struct model {
    int64_t id;
    char *name; /* owned; never NULL: the hash's first 12 digits when none was given */
    char hash[HASH_TEXT];
    char *info; /* owned: JSON of the inspector */
    int64_t size, created_ms;
};

void model_free(struct model *m); /* frees what m owns, not m */
/* Same name and same content: *m is the row that is there and *existed is true. Same name, other content:
 * ERR_CONFLICT. */
int model_add(struct db *db, const char *name, const char *hash, const char *info, struct model *m,
              bool *existed, struct err *e);
/* ref: decimal id, "sha256:..." or name. ERR_NOT_FOUND. */
int model_get(struct db *db, const char *ref, struct model *m, struct err *e);
/* Newest first; ids below `before` (0: from the top); *count rows in *list (free each and the list). */
int model_list(struct db *db, int64_t before, int limit, struct model **list, int *count, struct err *e);
int model_delete(struct db *db, int64_t id,
                 struct err *e); /* ERR_CONFLICT while an unfinished job uses its blob */

#endif
