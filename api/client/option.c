/* option.c - parsing by table. */
#include "api/client/option.h"

#include <string.h>

static const struct option_def *find(const struct option_def *defs, const char *name, size_t length)
{
    for (; defs->name; defs++)
        if (strlen(defs->name) == length && memcmp(defs->name, name, length) == 0)
            return defs;
    return NULL;
}

static int add_option(const struct option_def *def, const char *value, struct args *a, struct err *e)
{
    if (a->options == ARGS_MAX)
        return err_set(e, ERR_INVALID, "too many options");
    a->option[a->options].name = def->name;
    a->option[a->options++].value = value;
    return 0;
}

/* The option at argv[*i]; moves *i on when the value is a word of its own. */
static int take_option(const struct option_def *defs, int argc, char **argv, int *i, struct args *a,
                       struct err *e)
{
    const char *word = argv[*i];
    const char *name = word[1] == '-' ? word + 2 : word + 1;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    const struct option_def *def = find(defs, name, length);

    if (!def || (word[1] != '-') != (strlen(def->name) == 1))
        return err_set(e, ERR_INVALID, "there is no option %s here", word);
    if (!def->value)
        return value ? err_set(e, ERR_INVALID, "%s takes no value", word) : add_option(def, "", a, e);
    if (!value && *i + 1 < argc)
        value = argv[++*i];
    if (!value)
        return err_set(e, ERR_INVALID, "%s needs a value (%s)", word, def->value);
    return add_option(def, value, a, e);
}

int option_parse(const struct option_def *defs, int argc, char **argv, struct args *a, struct err *e)
{
    bool ended = false;
    int rc;

    *a = (struct args){ 0 };
    for (int i = 0; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0) {
            ended = true;
        } else if (!ended && argv[i][0] == '-' && argv[i][1]) {
            if ((rc = take_option(defs, argc, argv, &i, a, e)) < 0)
                return rc;
        } else if (a->words == ARGS_MAX) {
            return err_set(e, ERR_INVALID, "too many words");
        } else {
            a->word[a->words++] = argv[i];
        }
    }
    return 0;
}

const char *option_get(const struct args *a, const char *name)
{
    for (int i = a->options - 1; i >= 0; i--)
        if (strcmp(a->option[i].name, name) == 0)
            return a->option[i].value;
    return NULL;
}

bool option_has(const struct args *a, const char *name)
{
    return option_get(a, name) != NULL;
}
