/* named.c - what models and data sets have in common. */
#include "storage/named.h"

#include "base/clock.h"
#include "base/num.h"
#include "storage/blob.h"
#include "storage/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 200
#define NAME_DIGITS    12 /* of the hash, for what is given no name */

static void release(struct named *n)
{
    free(n->name);
    free(n->format);
    free(n->info);
    *n = (struct named){ 0 };
}

static void read_row(struct sql *q, struct named *n)
{
    n->id = sql_int64(q, 0);
    n->name = sql_dup(q, 1);
    sql_copy(q, 2, n->hash, sizeof n->hash);
    n->format = sql_dup(q, 3);
    n->info = sql_dup(q, 4);
    n->size = sql_int64(q, 5);
    n->created_ms = sql_int64(q, 6);
}

static int find(struct db *db, const char *text, struct sql_arg key, struct named *n, struct err *e)
{
    struct sql q;
    *n = (struct named){ 0 };
    sql_open(&q, db, text, key);
    bool found = sql_next(&q);
    if (found)
        read_row(&q, n);
    int rc = sql_close(&q, e);
    if (rc)
        release(n);
    return rc || found ? rc : ERR_NOT_FOUND;
}

/* --- add --------------------------------------------------------------------------------------------------
 */

/* What a job could not tell from another kind of reference is no name. */
static int check_name(const char *name, struct err *e)
{
    static const char *const taken[] = { "sha256:", "zoo:", "builtin:" };
    int64_t number;
    if (strlen(name) > NAME_MAX_BYTES)
        return err_set(e, ERR_INVALID, "a name has at most %d bytes", NAME_MAX_BYTES);
    if (num_int64(name, 0, INT64_MAX, &number))
        return err_set(e, ERR_INVALID, "a name made of digits only would look like an id");
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strncmp(name, taken[i], strlen(taken[i])) == 0)
            return err_set(e, ERR_INVALID, "a name can't start with %s", taken[i]);
    for (; *name; name++)
        if ((unsigned char)*name < 0x20 || *name == 0x7f)
            return err_set(e, ERR_INVALID, "a name can't hold control characters");
    return 0;
}

/* The name is taken: by the same thing, or by another? For data sets the settings (format, normalisation in
 * info) are part of what it is: giving back one with others would be a silent change. */
static int compare(const struct named_kind *kind, const struct named *n, const char *hash, const char *format,
                   const char *info, struct err *e)
{
    if (strcmp(n->hash, hash) != 0)
        return err_set(e, ERR_CONFLICT, "there is a %s named %s with other content", kind->noun, n->name);
    if (format && (strcmp(n->format, format) != 0 || strcmp(n->info, info) != 0))
        return err_set(e, ERR_CONFLICT, "there is a %s named %s with the same content and other settings",
                       kind->noun, n->name);
    return 0;
}

static int insert(struct db *db, const struct named_kind *kind, const char *name, const char *hash,
                  const char *format, const char *info, struct named *n, struct err *e)
{
    int64_t id = 0;
    struct blob b;
    int rc = blob_get(db, hash, &b, e);
    if (!rc)
        rc = sql_value(db, &id, e, kind->insert, SQL_TEXT(name), SQL_TEXT(hash), SQL_TEXT(format),
                       SQL_TEXT(info), SQL_INT(clock_wall_ms()));
    return rc ? rc : find(db, kind->by_id, SQL_INT(id), n, e);
}

int named_add(struct db *db, const struct named_kind *kind, const char *name, const char *hash,
              const char *format, const char *info, void *row, bool *existed, struct err *e)
{
    struct named n = { 0 };
    unsigned char digest[HASH_BYTES];
    char digits[NAME_DIGITS + 1];
    memset(row, 0, kind->row_size);
    *existed = false;
    if (hash_parse(hash, digest))
        return err_set(e, ERR_INVALID, "not a hash: %.80s", hash);
    int rc = name && *name ? check_name(name, e) : 0;
    if (rc)
        return rc;
    if (!name || !*name) {
        num_to_hex(digest, NAME_DIGITS / 2, digits);
        name = digits;
    }
    rc = sql_begin(db, e);
    if (rc)
        return rc;
    rc = find(db, kind->by_name, SQL_TEXT(name), &n, e);
    *existed = !rc;
    if (!rc)
        rc = compare(kind, &n, hash, format, info, e);
    else if (rc == ERR_NOT_FOUND)
        rc = insert(db, kind, name, hash, format, info, &n, e);
    rc = sql_end(db, rc, e);
    if (rc)
        release(&n);
    else
        kind->fill(row, &n);
    return rc;
}

/* --- get, list, delete ------------------------------------------------------------------------------------
 */

int named_get(struct db *db, const struct named_kind *kind, const char *ref, void *row, struct err *e)
{
    struct named n;
    int64_t id;
    unsigned char digest[HASH_BYTES];
    int rc = ERR_NOT_FOUND;
    memset(row, 0, kind->row_size);
    if (num_int64(ref, 1, INT64_MAX, &id))
        rc = find(db, kind->by_id, SQL_INT(id), &n, e);
    else if (hash_parse(ref, digest) == 0)
        rc = find(db, kind->by_hash, SQL_TEXT(ref), &n, e);
    /* Also when it looks like an id: the digits of a hash may all be decimal. */
    if (rc == ERR_NOT_FOUND)
        rc = find(db, kind->by_name, SQL_TEXT(ref), &n, e);
    if (rc == ERR_NOT_FOUND)
        return err_set(e, rc, "there is no %s %.100s", kind->noun, ref);
    if (!rc)
        kind->fill(row, &n);
    return rc;
}

int named_list(struct db *db, const struct named_kind *kind, int64_t before, int limit, void *list,
               int *count, struct err *e)
{
    struct sql q;
    char *rows = NULL;
    *count = 0;
    sql_open(&q, db, kind->page, SQL_INT(before > 0 ? before : INT64_MAX), SQL_INT(limit));
    while (sql_next(&q)) {
        struct named n;
        void *row = sql_push(&q, &rows, count, kind->row_size);
        if (!row)
            continue;
        read_row(&q, &n);
        kind->fill(row, &n);
    }
    int rc = sql_close(&q, e);
    while (rc && *count)
        kind->release(rows + (size_t)-- * count * kind->row_size);
    if (rc) {
        free(rows);
        rows = NULL;
    }
    memcpy(list, &rows, sizeof rows);
    return rc;
}

static int remove_row(struct db *db, const struct named_kind *kind, int64_t id, struct err *e)
{
    int64_t users = 0;
    int rc = sql_value(db, &users, e, kind->users, SQL_INT(id));
    if (!rc && users)
        return err_set(e, ERR_CONFLICT, "%lld unfinished %s the %s", (long long)users,
                       users == 1 ? "job uses" : "jobs use", kind->noun);
    if (!rc)
        rc = sql_change(db, e, kind->remove, SQL_INT(id));
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no %s %lld", kind->noun, (long long)id) : rc;
}

int named_delete(struct db *db, const struct named_kind *kind, int64_t id, struct err *e)
{
    int rc = sql_begin(db, e);
    return rc ? rc : sql_end(db, remove_row(db, kind, id, e), e);
}
