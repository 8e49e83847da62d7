/* asset.c - models and data sets: two tables, one set of words for both. */
#include "storage/asset.h"

#include "base/clock.h"
#include "base/num.h"
#include "base/utf8.h"
#include "storage/blob.h"
#include "storage/sql.h"

#include <stdlib.h>
#include <string.h>

#define NAME_DIGITS 12 /* of the hash, for what is given no name */

/* Texts are composed here, once, so that the two kinds can't drift apart. The select lists give id, name,
 * hash, format, info, size, created_ms. */
#define SELECT(table, format)                                                                                \
    "SELECT " table ".id, " table ".name, " table ".hash, " format ", " table ".info, blob.size, " table     \
    ".created_ms FROM " table " JOIN blob ON blob.hash = " table ".hash"

#define TEXTS(table, format)                                                                                 \
    .by_id = SELECT(table, format) " WHERE " table ".id = ?1",                                               \
    .by_hash = SELECT(table, format) " WHERE " table ".hash = ?1 ORDER BY " table ".id LIMIT 1",             \
    .by_name = SELECT(table, format) " WHERE " table ".name = ?1",                                           \
    .page = SELECT(table, format) " WHERE " table ".id < ?1 ORDER BY " table ".id DESC LIMIT ?2",            \
    .users = "SELECT count(*) FROM job WHERE " table "_hash = (SELECT hash FROM " table " WHERE id = ?1)"    \
             " AND state NOT IN ('succeeded', 'failed', 'cancelled')",                                       \
    .remove = "DELETE FROM " table " WHERE id = ?1"

static const struct words {
    const char *noun;
    const char *insert;                    /* ?1 name, ?2 hash, ?3 format, ?4 info, ?5 created_ms */
    const char *by_id, *by_hash, *by_name; /* ?1 */
    const char *page;                      /* ?1 ids below, ?2 how many */
    const char *users;                     /* ?1 id: number of unfinished jobs that use its blob */
    const char *remove;                    /* ?1 id */
} kinds[ASSET_KIND_COUNT] = {
    [ASSET_MODEL] = {
        .noun = "model",
        .insert = "INSERT INTO model (name, hash, info, created_ms) VALUES (?1, ?2, ?4, ?5) RETURNING id",
        TEXTS("model", "NULL"),
    },
    [ASSET_DATASET] = {
        .noun = "data set",
        .insert = "INSERT INTO dataset (name, hash, format, info, created_ms)"
                  " VALUES (?1, ?2, coalesce(?3, ''), ?4, ?5) RETURNING id",
        TEXTS("dataset", "dataset.format"),
    },
};

void asset_free(struct asset *a)
{
    if (!a)
        return;
    free(a->name);
    free(a->format);
    free(a->info);
    *a = (struct asset){ 0 };
}

void asset_list_free(struct asset *list, int count)
{
    for (int i = 0; i < count; i++)
        asset_free(&list[i]);
    free(list);
}

static void read_row(struct sql *q, void *row)
{
    struct asset *a = row;
    a->id = sql_int64(q, 0);
    a->name = sql_dup(q, 1);
    sql_copy(q, 2, a->hash, sizeof a->hash);
    a->format = sql_dup(q, 3);
    a->info = sql_dup(q, 4);
    a->size = sql_int64(q, 5);
    a->created_ms = sql_int64(q, 6);
}

static void free_row(void *row)
{
    asset_free(row);
}

static const struct sql_shape shape = { sizeof(struct asset), read_row, free_row };

static int find(struct db *db, const char *text, struct sql_arg key, struct asset *a, struct err *e)
{
    struct sql q;
    sql_open(&q, db, text, key);
    return sql_one(&q, &shape, a, e);
}

/* --- add --------------------------------------------------------------------------------------------------
 */

int asset_name_check(const char *name, struct err *e)
{
    static const char *const prefixes[] = { "sha256:", "zoo:", "builtin:" };
    size_t length = strlen(name);
    if (length == 0 || length > ASSET_NAME_MAX)
        return err_set(e, ERR_INVALID, "a name has 1 to %d bytes", ASSET_NAME_MAX);
    if (!utf8_plain(name) || strchr(name, '/'))
        return err_set(e, ERR_INVALID, "a name is UTF-8 text without control characters and slashes");
    if (strspn(name, "0123456789") == length)
        return err_set(e, ERR_INVALID, "a name is not a number: that would be an id");
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return err_set(e, ERR_INVALID,
                           "a name does not begin with \"%s\", which has a meaning of its own", prefixes[i]);
    return 0;
}

/* The name is taken: by the same thing, or by another? For data sets the settings (format, normalisation in
 * info) are part of what it is: giving back one with others would be a silent change. */
static int compare(const struct words *w, const struct asset *a, const struct asset_new *n, struct err *e)
{
    const char *format = n->format ? n->format : "";
    if (strcmp(a->hash, n->hash) != 0)
        return err_set(e, ERR_CONFLICT, "there is a %s named %s with other content", w->noun, a->name);
    if (a->format && (strcmp(a->format, format) != 0 || strcmp(a->info, n->info) != 0))
        return err_set(e, ERR_CONFLICT, "there is a %s named %s with the same content and other settings",
                       w->noun, a->name);
    return 0;
}

static int insert(struct db *db, const struct words *w, const char *name, const struct asset_new *n,
                  struct asset *a, struct err *e)
{
    int64_t id = 0;
    struct blob b;
    int rc = blob_get(db, n->hash, &b, e);
    if (!rc)
        rc = sql_value(db, &id, e, w->insert, SQL_TEXT(name), SQL_TEXT(n->hash), SQL_TEXT(n->format),
                       SQL_TEXT(n->info), SQL_INT(clock_wall_ms()));
    return rc ? rc : find(db, w->by_id, SQL_INT(id), a, e);
}

int asset_add(struct db *db, enum asset_kind kind, const struct asset_new *n, struct asset *a, bool *existed,
              struct err *e)
{
    const struct words *w = &kinds[kind];
    unsigned char digest[HASH_BYTES];
    char digits[NAME_DIGITS + 1];
    const char *name = n->name;
    *a = (struct asset){ 0 };
    *existed = false;
    if (hash_parse(n->hash, digest))
        return err_set(e, ERR_INVALID, "not a hash: %.80s", n->hash);
    int rc = name && *name ? asset_name_check(name, e) : 0;
    if (rc)
        return rc;
    if (!name || !*name) {
        num_to_hex(digest, NAME_DIGITS / 2, digits);
        name = digits;
    }
    rc = sql_begin(db, e);
    if (rc)
        return rc;
    rc = find(db, w->by_name, SQL_TEXT(name), a, e);
    *existed = !rc;
    if (!rc)
        rc = compare(w, a, n, e);
    else if (rc == ERR_NOT_FOUND)
        rc = insert(db, w, name, n, a, e);
    rc = sql_end(db, rc, e);
    if (rc)
        asset_free(a);
    return rc;
}

/* --- get, list, delete ------------------------------------------------------------------------------------
 */

int asset_get(struct db *db, enum asset_kind kind, const char *ref, struct asset *a, struct err *e)
{
    const struct words *w = &kinds[kind];
    int64_t id;
    unsigned char digest[HASH_BYTES];
    int rc = ERR_NOT_FOUND;
    *a = (struct asset){ 0 };
    if (num_int64(ref, 1, INT64_MAX, &id))
        rc = find(db, w->by_id, SQL_INT(id), a, e);
    else if (hash_parse(ref, digest) == 0)
        rc = find(db, w->by_hash, SQL_TEXT(ref), a, e);
    /* Also when it looks like an id: the digits of a hash may all be decimal. */
    if (rc == ERR_NOT_FOUND)
        rc = find(db, w->by_name, SQL_TEXT(ref), a, e);
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no %s %.100s", w->noun, ref) : rc;
}

int asset_list(struct db *db, enum asset_kind kind, int64_t before, int limit, struct asset **list,
               int *count, struct err *e)
{
    struct sql q;
    sql_open(&q, db, kinds[kind].page, SQL_INT(before > 0 ? before : INT64_MAX), SQL_INT(limit));
    return sql_all(&q, &shape, list, count, e);
}

static int remove_row(struct db *db, const struct words *w, int64_t id, struct err *e)
{
    int64_t users = 0;
    int rc = sql_value(db, &users, e, w->users, SQL_INT(id));
    if (!rc && users)
        return err_set(e, ERR_CONFLICT, "%lld unfinished %s the %s", (long long)users,
                       users == 1 ? "job uses" : "jobs use", w->noun);
    if (!rc)
        rc = sql_change(db, e, w->remove, SQL_INT(id));
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no %s %lld", w->noun, (long long)id) : rc;
}

int asset_delete(struct db *db, enum asset_kind kind, int64_t id, struct err *e)
{
    int rc = sql_begin(db, e);
    return rc ? rc : sql_end(db, remove_row(db, &kinds[kind], id, e), e);
}
