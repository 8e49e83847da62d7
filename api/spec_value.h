/* spec_value.h - one value against one parameter of the capabilities. */
#ifndef API_SPEC_VALUE_H
#define API_SPEC_VALUE_H

#include "api/spec.h"

/* The entry of capabilities "parameters" with this pointer ("/overrides/" "*" "/match" for members of lists);
 * NULL when there is none. */
const json_t *spec_parameter(const json_t *capabilities, const char *pointer);

/* Type, range, length and membership of a value; members of a "list" are not looked at, except for their
 * number. True when nothing was wrong; else one problem at `pointer` has been added. */
bool spec_value_ok(const json_t *parameter, const json_t *value, const char *pointer,
                   struct spec_problems *p);

/* One of the parameter's "also" values: outside the range, allowed nevertheless. */
bool spec_value_also(const json_t *parameter, const json_t *value);

/* "a, b or c" of an array of strings, cut to fit. */
void spec_value_words(const json_t *strings, char *out, size_t size);

#endif
