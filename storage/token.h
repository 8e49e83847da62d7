/* token.h - bearer tokens: "qd_" + 64 hex digits (256 random bits), stored as SHA-256, shown once. */
#ifndef STORAGE_TOKEN_H
#define STORAGE_TOKEN_H

#include "storage/db.h"

#define TOKEN_TEXT (3 + 64 + 1)

int token_add(struct db *db, const char *name, char text[TOKEN_TEXT],
              struct err *e);                                                   /* ERR_CONFLICT: name taken */
int token_check(struct db *db, const char *text, char name[64], struct err *e); /* ERR_AUTH */
int token_count(struct db *db, int64_t *count, struct err *e);
int token_revoke(struct db *db, const char *name, struct err *e);

#endif
