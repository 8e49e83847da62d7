/* document.c - JSON from outside. The parser of jansson recurses; the scan before it does not. */
#include "api/document.h"

#include <string.h>

/* Deepest nesting of brackets outside of strings. */
static int nesting(const char *text, size_t length)
{
    int depth = 0, deepest = 0;
    bool quoted = false;

    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > deepest)
                deepest = depth;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return deepest;
}

int document_parse(const char *text, size_t length, json_t **out, struct err *e)
{
    json_error_t je;

    *out = NULL;
    if (nesting(text, length) > DOCUMENT_DEPTH)
        return err_set(e, ERR_SYNTAX, "JSON nested deeper than %d levels", DOCUMENT_DEPTH);
    *out = json_loadb(text, length, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &je);
    if (*out)
        return 0;
    return err_set(e, ERR_SYNTAX, "not JSON: %s (line %d, column %d)", je.text, je.line, je.column);
}

bool document_is_json(const char *content_type)
{
    size_t n = content_type ? strcspn(content_type, "; \t") : 0;

    return (n == 16 && strncasecmp(content_type, "application/json", n) == 0) ||
           (n > 5 && strncasecmp(content_type + n - 5, "+json", 5) == 0);
}

int document_body(const struct exchange *x, json_t **out, struct err *e)
{
    *out = NULL;
    if (!document_is_json(x->header(x, "Content-Type")))
        return err_set(e, ERR_MEDIA, "this needs a body of the type application/json");
    if (!x->body || x->body_length == 0)
        return err_set(e, ERR_SYNTAX, "the body is empty");
    return document_parse(x->body, x->body_length, out, e);
}
