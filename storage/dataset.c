/* dataset.c - data sets as one kind of named blob. */
#include "storage/dataset.h"

#include "storage/named.h"

#include <stdlib.h>
#include <string.h>

#define SELECT                                                                                               \
    "SELECT dataset.id, dataset.name, dataset.hash, dataset.format, dataset.info, blob.size,"                \
    " dataset.created_ms FROM dataset JOIN blob ON blob.hash = dataset.hash "

static void fill(void *row, const struct named *n)
{
    struct dataset *m = row;
    *m = (struct dataset){
        .id = n->id,
        .name = n->name,
        .format = n->format,
        .info = n->info,
        .size = n->size,
        .created_ms = n->created_ms,
    };
    memcpy(m->hash, n->hash, sizeof m->hash);
}

static void release(void *row)
{
    dataset_free(row);
}

static const struct named_kind kind = {
    .noun = "data set",
    .insert =
        "INSERT INTO dataset (name, hash, format, info, created_ms) VALUES (?1, ?2, ?3, ?4, ?5) RETURNING id",
    .by_id = SELECT "WHERE dataset.id = ?1",
    .by_hash = SELECT "WHERE dataset.hash = ?1 ORDER BY dataset.id LIMIT 1",
    .by_name = SELECT "WHERE dataset.name = ?1",
    .page = SELECT "WHERE dataset.id < ?1 ORDER BY dataset.id DESC LIMIT ?2",
    .users = "SELECT count(*) FROM job WHERE dataset_hash = (SELECT hash FROM dataset WHERE id = ?1)"
             " AND state NOT IN ('succeeded', 'failed', 'cancelled')",
    .remove = "DELETE FROM dataset WHERE id = ?1",
    .row_size = sizeof(struct dataset),
    .fill = fill,
    .release = release,
};

void dataset_free(struct dataset *m)
{
    if (!m)
        return;
    free(m->name);
    free(m->format);
    free(m->info);
    *m = (struct dataset){ 0 };
}

int dataset_add(struct db *db, const char *name, const char *hash, const char *format, const char *info,
                struct dataset *m, bool *existed, struct err *e)
{
    return named_add(db, &kind, name, hash, format ? format : "", info, m, existed, e);
}

int dataset_get(struct db *db, const char *ref, struct dataset *m, struct err *e)
{
    return named_get(db, &kind, ref, m, e);
}

int dataset_list(struct db *db, int64_t before, int limit, struct dataset **list, int *count, struct err *e)
{
    return named_list(db, &kind, before, limit, list, count, e);
}

int dataset_delete(struct db *db, int64_t id, struct err *e)
{
    return named_delete(db, &kind, id, e);
}
