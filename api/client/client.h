/* client.h - what every command of quantctl shares: the server it speaks to, how it prints, and how it ends.
 */
#ifndef API_CLIENT_CLIENT_H
#define API_CLIENT_CLIENT_H

#include "api/client/http.h"
#include "api/client/option.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum client_exit {
    CLIENT_DONE = 0,
    CLIENT_FAILED = 1,      /* the job failed, or something local did */
    CLIENT_USAGE = 2,       /* the command line makes no sense */
    CLIENT_UNREACHABLE = 3, /* no answer from the server */
    CLIENT_CANCELLED = 4,   /* the job was cancelled */
    CLIENT_PARKED = 5,      /* the job waits for a person's decision */
    CLIENT_REFUSED = 6      /* the server said no (4xx) */
};

struct client {
    struct http *http;
    bool json;     /* --json: print what the server says */
    bool terminal; /* stdout is one */
};

/* One request with a JSON answer. CLIENT_DONE with *out a new reference (NULL when the body is empty; out may
 * be NULL), or the exit code after the reason was printed on stderr. */
int client_call(struct client *c, const struct http_request *r, json_t **out);
int client_get(struct client *c, const char *path, json_t **out);

/* The items of a list, following its pages, at most `most`, as {"items": [...]}. `path` has a query already.
 */
int client_list(struct client *c, const char *path, int most, json_t **out);

/* Print an error of ours, or the server's problem, on stderr; the exit code it means. */
int client_error(const struct err *e);
int client_problem(const struct http_answer *a);
int client_usage(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Print the JSON on stdout; on a terminal everything outside ASCII is escaped. */
void client_print_json(const struct client *c, const json_t *value, size_t flags);

/* Strict id of the command line, 1 and up. False after a message. */
bool client_id(const char *text, int64_t *id);

/* The commands; each returns an exit code. */
int asset_add(struct client *c, const struct args *a);
int asset_ls(struct client *c, const struct args *a);
int asset_get(struct client *c, const struct args *a);
int asset_rm(struct client *c, const struct args *a);
int job_submit(struct client *c, const struct args *a);
int job_ls(struct client *c, const struct args *a);
int job_get(struct client *c, const struct args *a);
int job_watch(struct client *c, const struct args *a);
int job_cancel(struct client *c, const struct args *a);
int job_retry(struct client *c, const struct args *a);
int job_rm(struct client *c, const struct args *a);
int job_log(struct client *c, const struct args *a);
int sweep_ls(struct client *c, const struct args *a);
int sweep_get(struct client *c, const struct args *a);
int sweep_cancel(struct client *c, const struct args *a);
int sweep_rm(struct client *c, const struct args *a);
int artifact_ls(struct client *c, const struct args *a);
int artifact_get(struct client *c, const struct args *a);
int service_capabilities(struct client *c, const struct args *a);
int service_version(struct client *c, const struct args *a);
int decode_run(struct client *c, const struct args *a);

/* Follow job `id` to its end and print how it went (watch.c). */
int watch_job(struct client *c, int64_t id);

/* Follow the jobs of a sweep (the server's JSON) one after the other, then print its table. The exit code of
 * the first that did not end well (sweep.c). */
int watch_sweep(struct client *c, const json_t *sweep);

#endif
