/* spec.h - the job specification: validated against the capabilities, completed with every default, read by
 * pointer.
 *
 * The capabilities (`quantd-worker describe`, see worker/describe.c) list every parameter by JSON pointer
 * with type, range, default and the kinds that use it. Nothing about methods is known here: one source of
 * truth. The worker includes this file for the accessors. */
#ifndef API_SPEC_H
#define API_SPEC_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define SPEC_PROBLEMS 16

/* What is wrong with a specification; up to SPEC_PROBLEMS places are collected, not just the first. */
struct spec_problems {
    int count;
    struct {
        char pointer[160]; /* RFC 6901 */
        char code[32];     /* unknown_key required type range enum limit no_match not_found */
        char detail[240];
    } problem[SPEC_PROBLEMS];
};

void spec_problem(struct spec_problems *p, const char *pointer, const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Check `given` (any JSON value) against `capabilities` and return the complete specification in *spec (new
 * reference): every default filled in, keys in the order of the capabilities. Unknown keys, wrong types,
 * values out of range, values that the chosen method can't do (capabilities "methods[].limits") are
 * problems. Returns 0 or ERR_INVALID with p filled. */
int spec_complete(const json_t *capabilities, const json_t *given, json_t **spec, struct spec_problems *p);

/* Every override's "match" (shell pattern, fnmatch) must match a name in `layers` (array of {"name":...}). */
int spec_check_overrides(const json_t *spec, const json_t *layers, struct spec_problems *p);

/* Read a complete specification. A missing pointer yields the fallback. */
const json_t *spec_at(const json_t *root, const char *pointer); /* RFC 6901; NULL when absent */
int64_t spec_int(const json_t *root, const char *pointer, int64_t fallback);
double spec_double(const json_t *root, const char *pointer, double fallback);
const char *spec_text(const json_t *root, const char *pointer, const char *fallback);
bool spec_bool(const json_t *root, const char *pointer, bool fallback);

#endif
