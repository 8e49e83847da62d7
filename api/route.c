/* route.c - the table of routes and the match of a path against it. */
#include "api/route.h"

#include "api/handle.h"

#include <stdio.h>
#include <string.h>

#define PARAMS 3

/* clang-format off */
const struct route route_list[] = {
    { "GET", "/healthz", BODY_NONE, true, handle_health, "Is the process alive?", NULL },
    { "GET", "/readyz", BODY_NONE, true, handle_ready, "Can it take jobs?", NULL },
    { "GET", "/metrics", BODY_NONE, false, handle_prometheus, "Figures for Prometheus", NULL },
    { "GET", "/openapi.json", BODY_NONE, true, handle_openapi, "This interface as an OpenAPI document", NULL },
    { "GET", "/v1/version", BODY_NONE, true, handle_version, "Version of the server", "" },
    { "GET", "/v1/capabilities", BODY_NONE, false, handle_capabilities, "What jobs can be made of", "" },

    { "POST", "/v1/models", BODY_UPLOAD, false, handle_model_create, "Upload a model", "name" },
    { "GET", "/v1/models", BODY_NONE, false, handle_asset_list, "List models", "limit cursor" },
    { "GET", "/v1/models/{id}", BODY_NONE, false, handle_asset_get, "One model", "" },
    { "DELETE", "/v1/models/{id}", BODY_NONE, false, handle_asset_delete, "Delete a model", "" },
    { "GET", "/v1/models/{id}/content", BODY_NONE, false, handle_asset_content, "The model's file", "" },

    { "POST", "/v1/datasets", BODY_UPLOAD, false, handle_dataset_create, "Upload a data set", "name format mean std" },
    { "GET", "/v1/datasets", BODY_NONE, false, handle_asset_list, "List data sets", "limit cursor" },
    { "GET", "/v1/datasets/{id}", BODY_NONE, false, handle_asset_get, "One data set", "" },
    { "DELETE", "/v1/datasets/{id}", BODY_NONE, false, handle_asset_delete, "Delete a data set", "" },
    { "GET", "/v1/datasets/{id}/content", BODY_NONE, false, handle_asset_content, "The data set's file", "" },

    { "GET", "/v1/blobs/{hash}", BODY_NONE, false, handle_blob_get, "A file by its hash", "" },
    { "PUT", "/v1/blobs/{hash}", BODY_UPLOAD, false, handle_blob_put, "Upload a file under its hash", "" },

    { "POST", "/v1/jobs", BODY_JSON, false, handle_job_create, "Create a job", "dry_run" },
    { "GET", "/v1/jobs", BODY_NONE, false, handle_job_list, "List jobs", "limit cursor state owner kind tag sweep" },
    { "GET", "/v1/jobs/{id}", BODY_NONE, false, handle_job_get, "One job", "" },
    { "PATCH", "/v1/jobs/{id}", BODY_JSON, false, handle_job_patch, "Change priority, name or tags", "" },
    { "DELETE", "/v1/jobs/{id}", BODY_NONE, false, handle_job_delete, "Delete a finished job", "" },
    { "POST", "/v1/jobs/{id}/cancel", BODY_NONE, false, handle_job_cancel, "Cancel a job", "" },
    { "POST", "/v1/jobs/{id}/retry", BODY_NONE, false, handle_job_retry, "Queue a job again", "" },
    { "GET", "/v1/jobs/{id}/events", BODY_NONE, false, handle_job_events, "Live events of a job", "after" },
    { "GET", "/v1/jobs/{id}/metrics", BODY_NONE, false, handle_job_metrics, "Curves of a job", "series points format" },
    { "GET", "/v1/jobs/{id}/log", BODY_NONE, false, handle_job_log, "Log of a job", "" },
    { "GET", "/v1/jobs/{id}/artifacts", BODY_NONE, false, handle_artifact_list, "Files that a job has made", "" },
    { "GET", "/v1/jobs/{id}/artifacts/{name}", BODY_NONE, false, handle_artifact_get, "One of these files", "" },
    { "GET", "/v1/sweeps", BODY_NONE, false, handle_sweep_list, "List sweeps", "limit cursor" },
    { "GET", "/v1/sweeps/{id}", BODY_NONE, false, handle_sweep_get, "One sweep with its table", "format" },
    { "DELETE", "/v1/sweeps/{id}", BODY_NONE, false, handle_sweep_delete, "Delete a sweep and its finished jobs", "" },
    { "POST", "/v1/sweeps/{id}/cancel", BODY_NONE, false, handle_sweep_cancel, "Cancel all jobs of a sweep", "" },

    { "GET", "/v1/events", BODY_NONE, false, handle_all_events, "Live events of all jobs", "after" },

    { "GET", "/", BODY_NONE, true, handle_webui_index, "The dashboard", NULL },
    { "GET", "/ui/{name*}", BODY_NONE, true, handle_webui_file, "Files of the dashboard", NULL },
};
/* clang-format on */

const int route_count = sizeof route_list / sizeof *route_list;

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decode length bytes of text into out; false when malformed, too long, or with a zero byte in it. */
static bool decode(const char *text, size_t length, char *out, size_t size)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        int c = (unsigned char)text[i];
        if (c == '%') {
            int high = i + 2 < length ? hex_value(text[i + 1]) : -1;
            int low = high >= 0 ? hex_value(text[i + 2]) : -1;
            if (low < 0)
                return false;
            c = high * 16 + low;
            i += 2;
        }
        if (c == 0 || n + 1 >= size)
            return false;
        out[n++] = (char)c;
    }
    out[n] = 0;
    return n > 0;
}

/* One path against one pattern, segment by segment. */
static bool match(const char *pattern, const char *path, char param[PARAMS][80])
{
    int n = 0;

    for (;;) {
        size_t want = strcspn(pattern, "/"), have = strcspn(path, "/");
        if (pattern[0] != '{') {
            if (want != have || memcmp(pattern, path, want) != 0)
                return false;
        } else {
            bool rest = pattern[want - 2] == '*';
            if (rest)
                have = strlen(path);
            if (n == PARAMS || !decode(path, have, param[n], sizeof param[n]) ||
                (!rest && strchr(param[n], '/')))
                return false;
            n++;
        }
        pattern += want;
        path += have;
        if (!*pattern || !*path)
            return !*pattern && !*path;
        pattern++;
        path++;
    }
}

/* Append a method to "GET, HEAD, POST". */
static void allow_add(char *allow, size_t size, const char *method)
{
    size_t n = strlen(allow);

    snprintf(allow + n, size - n, "%s%s%s", n ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

int route_find(const char *method, const char *path, const struct route **route, struct exchange *x,
               char *allow, size_t allow_size)
{
    const char *served = strcmp(method, "HEAD") == 0 ? "GET" : method;
    char param[PARAMS][80];

    *route = NULL;
    allow[0] = 0;
    for (int i = 0; i < route_count; i++) {
        memset(param, 0, sizeof param);
        if (!match(route_list[i].pattern, path, param))
            continue;
        if (strcmp(route_list[i].method, served) == 0) {
            *route = &route_list[i];
            memcpy(x->param, param, sizeof param);
            return 0;
        }
        allow_add(allow, allow_size, route_list[i].method);
    }
    return allow[0] ? ERR_METHOD : ERR_NOT_FOUND;
}
