/* token.h - bearer tokens: "qd_" + 64 hex digits (256 random bits), stored as SHA-256, shown once. */
#ifndef STORAGE_TOKEN_H
#define STORAGE_TOKEN_H

#include "storage/db.h"

#define TOKEN_TEXT (3 + 64 + 1)
#define TOKEN_NAME 64 /* bytes with the zero */

/* The name, which jobs show as their owner: 1 to 63 bytes of UTF-8 without control characters, neither
 * beginning nor ending with a blank (ERR_INVALID); ERR_CONFLICT when it is taken. */
int token_add(struct db *db, const char *name, char text[TOKEN_TEXT], struct err *e);
int token_check(struct db *db, const char *text, char name[TOKEN_NAME], struct err *e); /* ERR_AUTH */
int token_count(struct db *db, int64_t *count, struct err *e);
int token_revoke(struct db *db, const char *name, struct err *e);

#endif
