/* num.h - strict parsing of numbers: the whole string or an error, no locale, no leading blanks. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include <stdbool.h>
#include <stdint.h>

bool num_int64(const char *text, int64_t low, int64_t high, int64_t *out);
bool num_double(const char *text, double low, double high, double *out); /* finite decimal or exponent form */
bool num_hex(const char *text, unsigned char *out, int bytes);    /* exactly 2*bytes lower-case digits */
void num_to_hex(const unsigned char *data, int bytes, char *out); /* out holds 2*bytes+1 */

#endif
