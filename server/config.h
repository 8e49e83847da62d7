/* config.h - what the daemon is told: defaults < file < command line. Strict: an unknown key or a value out
 * of range is an error that names the file's line or the option. Plain data, no I/O except reading the file.
 */
#ifndef SERVER_CONFIG_H
#define SERVER_CONFIG_H

#include "base/err.h"

#include <stdint.h>
#include <stdio.h>

#define CONFIG_TEXT 512

struct config {
    char listen[CONFIG_TEXT]; /* HOST:PORT, [IPV6]:PORT; port 0: a free one */
    char data[CONFIG_TEXT];   /* directory of the database, blobs and jobs */
    char worker[CONFIG_TEXT]; /* "": quantd-worker beside quantd */
    char webui[CONFIG_TEXT];  /* "": searched near quantd */
    char log_level[CONFIG_TEXT];
    int64_t slots;       /* cpus for jobs; 0: as many as there are */
    int64_t upload_max;  /* bytes of one upload */
    int64_t disk_floor;  /* bytes that uploads leave free */
    int64_t grace;       /* seconds from TERM to KILL */
    int64_t retry_delay; /* seconds after the second lost worker in a row; doubles up to a minute; 0: none */
};

enum command {
    COMMAND_SERVE,
    COMMAND_CHECK,
    COMMAND_VERSION,
    COMMAND_HELP,
    COMMAND_ADD_TOKEN,
    COMMAND_REVOKE_TOKEN
};

struct invocation {
    struct config config;
    enum command command;
    char token_name[64]; /* of --add-token, --revoke-token */
};

void config_defaults(struct config *c);
/* Set one value by its option name without dashes ("slots"). ERR_INVALID or ERR_NOT_FOUND. */
int config_set(struct config *c, const char *name, const char *value, struct err *e);
/* `key = value` lines, `#` begins a comment line; not necessarily zero-terminated. */
int config_text(struct config *c, const char *text, size_t length, struct err *e);
/* The whole command line, the --config file included. */
int config_parse(int argc, char *const *argv, struct invocation *inv, struct err *e);
void config_usage(FILE *to);

#endif
