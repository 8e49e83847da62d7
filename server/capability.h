/* capability.h - what the worker can do: the JSON of `quantd-worker describe` with "server" added. */
#ifndef SERVER_CAPABILITY_H
#define SERVER_CAPABILITY_H

#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct capability_server {
    int64_t slots, upload_max;
    bool accounts;
};

/* Runs the loop until the worker has answered; nothing else may be on it yet. *capabilities is a new
 * reference. */
int capability_load(uv_loop_t *loop, const char *worker, const struct capability_server *server,
                    json_t **capabilities, struct err *e);
/* The check of the worker's text, for tests. */
int capability_parse(const char *text, json_t **capabilities, struct err *e);

#endif
