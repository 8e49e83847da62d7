/* dataset.h - uploaded data sets: a name, a blob, a format and the inspector's JSON. */
#ifndef STORAGE_DATASET_H
#define STORAGE_DATASET_H

#include "base/hash.h"
#include "storage/db.h"

struct dataset {
    int64_t id;
    char *name; /* owned; never NULL: the hash's first 12 digits when none was given */
    char hash[HASH_TEXT];
    char *format; /* owned: as given, or what was found */
    char *info;   /* owned: JSON of the inspector, normalisation included */
    int64_t size, created_ms;
};

void dataset_free(struct dataset *m); /* frees what m owns, not m */
/* Same name and same content: *m is the row that is there and *existed is true. Same name, other content:
 * ERR_CONFLICT. */
int dataset_add(struct db *db, const char *name, const char *hash, const char *format, const char *info,
                struct dataset *m, bool *existed, struct err *e);
/* ref: decimal id, "sha256:..." or name. ERR_NOT_FOUND. */
int dataset_get(struct db *db, const char *ref, struct dataset *m, struct err *e);
/* Newest first; ids below `before` (0: from the top); *count rows in *list (free each and the list). */
int dataset_list(struct db *db, int64_t before, int limit, struct dataset **list, int *count, struct err *e);
int dataset_delete(struct db *db, int64_t id,
                   struct err *e); /* ERR_CONFLICT while an unfinished job uses its blob */

#endif
