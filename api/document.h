/* document.h - JSON from outside: nesting is limited before anything is parsed, duplicate keys are refused.
 */
#ifndef API_DOCUMENT_H
#define API_DOCUMENT_H

#include "api/exchange.h"

#define DOCUMENT_DEPTH 64

/* *out is a new reference. ERR_SYNTAX names line and column. */
int document_parse(const char *text, size_t length, json_t **out, struct err *e);

/* The same for the body of a BODY_JSON request; ERR_MEDIA unless it is declared as application/json. */
int document_body(const struct exchange *x, json_t **out, struct err *e);

bool document_is_json(const char *content_type); /* NULL is false */

#endif
