#include "server/config.h"

#include "base/file.h"
#include "base/log.h"
#include "base/num.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define CONFIG_FILE_MAX ((size_t)64 << 10)

enum kind { KIND_TEXT, KIND_NUMBER };

struct option {
    const char *name, *argument, *help, *preset;
    enum kind kind;
    size_t offset;     /* of the field in struct config */
    int64_t low, high; /* KIND_NUMBER */
};

#define FIELD(name) offsetof(struct config, name)

static const struct option options[] = {
    { "listen", "HOST:PORT", "address to serve; port 0 takes a free one", "127.0.0.1:8420", KIND_TEXT,
      FIELD(listen), 0, 0 },
    { "data", "DIR", "database, blobs and job directories", "quantd-data", KIND_TEXT, FIELD(data), 0, 0 },
    { "slots", "N", "cpus given to jobs; 0: all of this machine", "0", KIND_NUMBER, FIELD(slots), 0, 4096 },
    { "worker", "PATH", "the worker program; default: quantd-worker beside quantd", "", KIND_TEXT,
      FIELD(worker), 0, 0 },
    { "webui", "DIR", "the dashboard's files; default: searched near quantd", "", KIND_TEXT, FIELD(webui), 0,
      0 },
    { "upload-max", "BYTES", "largest upload", "8589934592", KIND_NUMBER, FIELD(upload_max), 1,
      (int64_t)1 << 50 },
    { "disk-floor", "BYTES", "free space that uploads leave alone", "268435456", KIND_NUMBER,
      FIELD(disk_floor), 0, (int64_t)1 << 50 },
    { "grace", "SECONDS", "from SIGTERM to SIGKILL for a worker", "10", KIND_NUMBER, FIELD(grace), 0, 86400 },
    { "retry-delay", "SECONDS", "rest after workers lost in a row; doubles up to a minute", "1", KIND_NUMBER,
      FIELD(retry_delay), 0, 60 },
    { "log-level", "LEVEL", "error, warn, info or debug", "info", KIND_TEXT, FIELD(log_level), 0, 0 },
};

#define OPTION_COUNT (sizeof options / sizeof options[0])

static const struct option *option_find(const char *name)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static int set_text(struct config *c, const struct option *o, const char *value, struct err *e)
{
    if (strlen(value) >= CONFIG_TEXT)
        return err_set(e, ERR_INVALID, "%s is longer than %d bytes", o->name, CONFIG_TEXT - 1);
    if (o->offset == FIELD(log_level) && log_parse_level(value) < 0)
        return err_set(e, ERR_INVALID, "log-level must be error, warn, info or debug, not \"%.40s\"", value);
    if (!*value && *o->preset)
        return err_set(e, ERR_INVALID, "%s must not be empty", o->name);
    memcpy((char *)c + o->offset, value, strlen(value) + 1);
    return 0;
}

static int set_number(struct config *c, const struct option *o, const char *value, struct err *e)
{
    int64_t n;
    if (!num_int64(value, o->low, o->high, &n))
        return err_set(e, ERR_INVALID, "%s must be a whole number from %lld to %lld, not \"%.40s\"", o->name,
                       (long long)o->low, (long long)o->high, value);
    memcpy((char *)c + o->offset, &n, sizeof n);
    return 0;
}

int config_set(struct config *c, const char *name, const char *value, struct err *e)
{
    const struct option *o = option_find(name);
    if (!o)
        return err_set(e, ERR_NOT_FOUND, "there is no option \"%.40s\"", name);
    return o->kind == KIND_TEXT ? set_text(c, o, value, e) : set_number(c, o, value, e);
}

void config_defaults(struct config *c)
{
    memset(c, 0, sizeof *c);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (*options[i].preset)
            config_set(c, options[i].name, options[i].preset, NULL);
}

/* Cut blanks from both ends of [*from, *to). */
static void trim(const char **from, const char **to)
{
    while (*from < *to && isspace((unsigned char)**from))
        (*from)++;
    while (*from < *to && isspace((unsigned char)(*to)[-1]))
        (*to)--;
}

static int copy_part(char *out, size_t size, const char *from, const char *to, struct err *e)
{
    trim(&from, &to);
    size_t length = (size_t)(to - from);
    if (length >= size)
        return err_set(e, ERR_INVALID, "too long");
    if (memchr(from, 0, length))
        return err_set(e, ERR_INVALID, "a zero byte");
    memcpy(out, from, length);
    out[length] = 0;
    return 0;
}

static int config_line(struct config *c, const char *line, const char *end, struct err *e)
{
    char name[64], value[CONFIG_TEXT];
    trim(&line, &end);
    if (line == end || *line == '#')
        return 0;
    const char *equals = memchr(line, '=', (size_t)(end - line));
    if (!equals)
        return err_set(e, ERR_SYNTAX, "not of the form `key = value`");
    int rc = copy_part(name, sizeof name, line, equals, e);
    if (!rc)
        rc = copy_part(value, sizeof value, equals + 1, end, e);
    return rc ? rc : config_set(c, name, value, e);
}

int config_text(struct config *c, const char *text, size_t length, struct err *e)
{
    const char *end = text + length;
    for (int number = 1; text < end; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *stop = newline ? newline : end;
        int rc = config_line(c, text, stop, e);
        if (rc)
            return err_wrap(e, "line %d", number), rc;
        text = newline ? newline + 1 : end;
    }
    return 0;
}

static int config_file(struct config *c, const char *path, struct err *e)
{
    char *text;
    size_t length;
    int rc = file_load(path, CONFIG_FILE_MAX, &text, &length, e);
    if (rc)
        return rc;
    rc = config_text(c, text, length, e);
    if (rc)
        err_wrap(e, "%s", path);
    free(text);
    return rc;
}

static const struct {
    const char *name;
    enum command command;
    const char *argument, *help;
} commands[] = {
    { "check", COMMAND_CHECK, NULL, "examine the data directory (the daemon must be stopped) and exit" },
    { "add-token", COMMAND_ADD_TOKEN, "NAME", "make a bearer token, print it once and exit" },
    { "revoke-token", COMMAND_REVOKE_TOKEN, "NAME", "make a token useless and exit" },
    { "version", COMMAND_VERSION, NULL, "print the version and exit" },
    { "help", COMMAND_HELP, NULL, "print this text and exit" },
};

#define COMMAND_ROWS (sizeof commands / sizeof commands[0])

/* One argument taken apart: --name=value, or --name and the next one. */
struct argument {
    char name[64];
    const char *inline_value, *next; /* NULL: none */
};

static int argument_split(const char *text, const char *next, struct argument *a, struct err *e)
{
    if (strncmp(text, "--", 2) != 0 || !text[2])
        return err_set(e, ERR_INVALID, "unexpected argument \"%.60s\"; see --help", text);
    size_t length = strcspn(text + 2, "=");
    if (length >= sizeof a->name)
        return err_set(e, ERR_INVALID, "there is no option \"%.60s\"; see --help", text);
    memcpy(a->name, text + 2, length);
    a->name[length] = 0;
    a->inline_value = text[2 + length] == '=' ? text + 2 + length + 1 : NULL;
    a->next = next;
    return 0;
}

static const char *argument_value(const struct argument *a, int *used)
{
    *used = a->inline_value ? 1 : 2;
    return a->inline_value ? a->inline_value : a->next;
}

static int apply_command(struct invocation *inv, size_t row, const struct argument *a, int *used,
                         struct err *e)
{
    *used = 1;
    inv->command = commands[row].command;
    if (!commands[row].argument)
        return a->inline_value ? err_set(e, ERR_INVALID, "--%s takes no value", a->name) : 0;
    const char *value = argument_value(a, used);
    if (!value || !*value || strlen(value) >= sizeof inv->token_name)
        return err_set(e, ERR_INVALID, "--%s needs a name of 1 to %zu bytes", a->name,
                       sizeof inv->token_name - 1);
    memcpy(inv->token_name, value, strlen(value) + 1);
    return 0;
}

/* Apply one argument; files_only: nothing but --config, which must come before everything else. */
static int apply(struct invocation *inv, const struct argument *a, bool files_only, int *used, struct err *e)
{
    for (size_t i = 0; i < COMMAND_ROWS; i++)
        if (strcmp(commands[i].name, a->name) == 0)
            return apply_command(inv, i, a, used, e);
    const char *value = argument_value(a, used);
    bool is_file = strcmp(a->name, "config") == 0;
    if (!is_file && !option_find(a->name))
        return err_set(e, ERR_INVALID, "there is no option \"--%s\"; see --help", a->name);
    if (!value)
        return err_set(e, ERR_INVALID, "--%s needs a value", a->name);
    if (is_file != files_only)
        return 0;
    return is_file ? config_file(&inv->config, value, e) : config_set(&inv->config, a->name, value, e);
}

int config_parse(int argc, char *const *argv, struct invocation *inv, struct err *e)
{
    memset(inv, 0, sizeof *inv);
    config_defaults(&inv->config);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 1, used; i < argc; i += used) {
            struct argument a;
            int rc = argument_split(argv[i], i + 1 < argc ? argv[i + 1] : NULL, &a, e);
            if (!rc)
                rc = apply(inv, &a, pass == 0, &used, e);
            if (rc)
                return rc;
        }
    }
    return 0;
}

void config_usage(FILE *to)
{
    fputs("usage: quantd [--option VALUE]...\n\n", to);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *o = &options[i];
        fprintf(to, "  --%-12s %-10s %s", o->name, o->argument, o->help);
        if (*o->preset)
            fprintf(to, " (%s)", o->preset);
        fputc('\n', to);
    }
    fprintf(to, "  --%-12s %-10s the same options as `key = value` lines; the command line wins\n", "config",
            "FILE");
    for (size_t i = 0; i < COMMAND_ROWS; i++)
        fprintf(to, "  --%-12s %-10s %s\n", commands[i].name,
                commands[i].argument ? commands[i].argument : "", commands[i].help);
}
