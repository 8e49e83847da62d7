/* token.c - bearer tokens. What is stored is SHA-256 of the token: 256 random bits need no slow hash, and
 * looking up a digest by index tells a guesser nothing about the token. */
#include "storage/token.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/utf8.h"
#include "storage/sql.h"

#include <string.h>

static void digest(const char *text, char out[HASH_TEXT])
{
    unsigned char bytes[HASH_BYTES];
    hash_bytes(text, strlen(text), bytes);
    hash_text(bytes, out);
}

static bool name_ok(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n < TOKEN_NAME && utf8_plain(name) && name[0] != ' ' && name[n - 1] != ' ';
}

int token_add(struct db *db, const char *name, char text[TOKEN_TEXT], struct err *e)
{
    unsigned char random[32];
    char stored[HASH_TEXT];
    if (!name_ok(name))
        return err_set(e, ERR_INVALID,
                       "the name of a token is 1 to %d bytes of UTF-8 without control characters, and does"
                       " not begin or end with a blank",
                       TOKEN_NAME - 1);
    if (hash_random(random, sizeof random))
        return err_set(e, ERR_IO, "no random bytes");
    memcpy(text, "qd_", 3);
    num_to_hex(random, sizeof random, text + 3);
    digest(text, stored);
    int rc = sql_run(db, e, "INSERT INTO token (name, hash, created_ms) VALUES (?1, ?2, ?3)", SQL_TEXT(name),
                     SQL_TEXT(stored), SQL_INT(clock_wall_ms()));
    explicit_bzero(random, sizeof random);
    if (rc)
        explicit_bzero(text, TOKEN_TEXT);
    if (rc == ERR_CONFLICT)
        return err_set(e, rc, "there is a token with the name %.63s already", name);
    return rc;
}

int token_check(struct db *db, const char *text, char name[TOKEN_NAME], struct err *e)
{
    char asked[HASH_TEXT];
    struct sql q;
    digest(text, asked);
    sql_open(&q, db, "SELECT name, hash FROM token WHERE hash = ?1", SQL_TEXT(asked));
    bool found = sql_next(&q) && hash_equal(sql_text(&q, 1), asked, HASH_TEXT - 1);
    if (found)
        sql_copy(&q, 0, name, TOKEN_NAME);
    int rc = sql_close(&q, e);
    return rc || found ? rc : err_set(e, ERR_AUTH, "the token is not known");
}

int token_count(struct db *db, int64_t *count, struct err *e)
{
    return sql_value(db, count, e, "SELECT count(*) FROM token");
}

int token_revoke(struct db *db, const char *name, struct err *e)
{
    int rc = sql_change(db, e, "DELETE FROM token WHERE name = ?1", SQL_TEXT(name));
    return rc == ERR_NOT_FOUND ? err_set(e, rc, "there is no token with the name %.63s", name) : rc;
}
