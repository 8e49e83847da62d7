/* field.h - reading the server's JSON without trusting its shape. Paths are RFC 6901 pointers
 * ("/result/value"). */
#ifndef API_CLIENT_FIELD_H
#define API_CLIENT_FIELD_H

#include "base/err.h"

#include <jansson.h>
#include <stdint.h>

const json_t *field_at(const json_t *root, const char *pointer); /* NULL when absent */
const char *field_text(const json_t *root, const char *pointer); /* NULL when absent or no string */
int64_t field_int(const json_t *root, const char *pointer);      /* 0 when absent */
double field_number(const json_t *root, const char *pointer);    /* NAN when absent */

/* Put value (stolen) at the pointer, making objects on the way, and arrays where the next key is a number; an
 * index may be one past the end. ERR_INVALID when something else is in the way. */
int field_set(json_t *root, const char *pointer, json_t *value, struct err *e);

#endif
