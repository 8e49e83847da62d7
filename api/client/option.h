/* option.h - the command line of one command: options by table, everything else positional. */
#ifndef API_CLIENT_OPTION_H
#define API_CLIENT_OPTION_H

#include "base/err.h"

#include <stdbool.h>

#define ARGS_MAX 64

/* A table ends with a NULL name. Flags have no value's name. */
struct option_def {
    const char *name;  /* "name" for --name; a single letter for -o */
    const char *value; /* what the value is called in the help; NULL: a flag */
    const char *help;
};

struct args {
    const char *noun;           /* of the command: "models"; the caller's to fill in */
    const char *word[ARGS_MAX]; /* positional */
    int words;
    struct {
        const char *name, *value; /* value "" for a flag */
    } option[ARGS_MAX];
    int options;
};

/* Sort argv into a. --name value, --name=value, -o value; "--" ends the options, a lone "-" is positional. */
int option_parse(const struct option_def *defs, int argc, char **argv, struct args *a, struct err *e);

/* The last value given, or NULL. */
const char *option_get(const struct args *a, const char *name);
bool option_has(const struct args *a, const char *name);

#endif
