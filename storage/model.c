/* model.c - models as one kind of named blob. */
#include "storage/model.h"

#include "storage/named.h"

#include <stdlib.h>
#include <string.h>

#define SELECT                                                                                               \
    "SELECT model.id, model.name, model.hash, NULL, model.info, blob.size, model.created_ms"                 \
    " FROM model JOIN blob ON blob.hash = model.hash "

static void fill(void *row, const struct named *n)
{
    struct model *m = row;
    *m = (struct model){
        .id = n->id, .name = n->name, .info = n->info, .size = n->size, .created_ms = n->created_ms
    };
    memcpy(m->hash, n->hash, sizeof m->hash);
}

static void release(void *row)
{
    model_free(row);
}

static const struct named_kind kind = {
    .noun = "model",
    .insert = "INSERT INTO model (name, hash, info, created_ms) VALUES (?1, ?2, ?4, ?5) RETURNING id",
    .by_id = SELECT "WHERE model.id = ?1",
    .by_hash = SELECT "WHERE model.hash = ?1 ORDER BY model.id LIMIT 1",
    .by_name = SELECT "WHERE model.name = ?1",
    .page = SELECT "WHERE model.id < ?1 ORDER BY model.id DESC LIMIT ?2",
    .users = "SELECT count(*) FROM job WHERE model_hash = (SELECT hash FROM model WHERE id = ?1)"
             " AND state NOT IN ('succeeded', 'failed', 'cancelled')",
    .remove = "DELETE FROM model WHERE id = ?1",
    .row_size = sizeof(struct model),
    .fill = fill,
    .release = release,
};

void model_free(struct model *m)
{
    if (!m)
        return;
    free(m->name);
    free(m->info);
    *m = (struct model){ 0 };
}

int model_add(struct db *db, const char *name, const char *hash, const char *info, struct model *m,
              bool *existed, struct err *e)
{
    return named_add(db, &kind, name, hash, NULL, info, m, existed, e);
}

int model_get(struct db *db, const char *ref, struct model *m, struct err *e)
{
    return named_get(db, &kind, ref, m, e);
}

int model_list(struct db *db, int64_t before, int limit, struct model **list, int *count, struct err *e)
{
    return named_list(db, &kind, before, limit, list, count, e);
}

int model_delete(struct db *db, int64_t id, struct err *e)
{
    return named_delete(db, &kind, id, e);
}
