/* api.h - what the handlers know: the database, the capabilities, and what the server does for them. */
#ifndef API_API_H
#define API_API_H

#include "api/exchange.h"
#include "storage/db.h"

/* Filled in by the server: the only way from a handler to the machinery. Loop thread only. */
struct service {
    void *arg;
    void (*kick)(void *arg);                  /* the queue has changed: look at it soon */
    void (*stop_job)(void *arg, int64_t job); /* cancelling: TERM, grace, KILL */
    /* Run `quantd-worker inspect KIND PATH` in its sandbox; done() comes later from the loop with the JSON
     * text, or with an error. kind: "model" | "dataset"; extra: NULL or format. Returns a handle for
     * inspect_forget. */
    void *(*inspect)(void *arg, const char *kind, const char *path, const char *format,
                     void (*done)(void *cookie, const char *json, const struct err *e), void *cookie);
    void (*inspect_forget)(void *arg, void *handle); /* the client went away: kill it, done() is not called */
    void (*events_changed)(void *arg);               /* new rows in the event table: wake the streams */
    int (*ready)(void *arg, struct err *e);          /* 0, or why not */
    int64_t (*slots)(void *arg);                     /* cpus given to jobs */
    int (*streams)(void *arg);                       /* open event streams */
};

struct api {
    struct db *db;
    json_t *capabilities; /* of the worker, with "server" added: slots, limits, launchers */
    const struct service *service;
    int64_t upload_max, disk_floor; /* bytes */
    const char *webui_dir;          /* the dashboard's files; NULL: none */
    const char *openapi_path;
    int64_t started_ms;
    /* What the server counts and /metrics shows. */
    int64_t requests[600]; /* answers sent so far, by HTTP status */
    int64_t upload_bytes;  /* of the uploads that came in whole */
};

#endif
