/* variant.h - the name of an architecture with what is asked of it: NAME[@CxHxW][/CLASSES], for example
 * "resnet18@3x32x32/10". The server checks it against the capabilities, the worker builds it. */
#ifndef BASE_VARIANT_H
#define BASE_VARIANT_H

#include <stdbool.h>

enum { VARIANT_NAME = 48, VARIANT_MAX = 1 << 20 };

struct variant {
    char name[VARIANT_NAME];
    int channels, height, width; /* 0: not given */
    int classes;                 /* 0: not given */
};

/* False when the text has another form: numbers are decimal, from 1 to VARIANT_MAX, without leading zeros. */
bool variant_parse(const char *text, struct variant *v);

#endif
