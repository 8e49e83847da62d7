/* artifact.c - what a job has made. A report and pictures are shown in the browser, locked up by a policy
 * that runs no script and loads nothing; everything else is a download. */
#include "api/handle.h"
#include "api/query.h"
#include "base/file.h"
#include "storage/job.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POLICY "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"

static json_t *artifact_json(int64_t job, const struct artifact *a)
{
    char url[160];

    snprintf(url, sizeof url, "/v1/jobs/%" PRId64 "/artifacts/%s", job, a->name);
    return json_pack("{s:s,s:I,s:s,s:s,s:s}", "name", a->name, "bytes", (json_int_t)a->size, "sha256",
                     a->hash, "content_type", handle_content_type(a->name), "url", url);
}

void handle_artifact_list(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct job j = { 0 };
    struct artifact *list = NULL;
    int count = 0;
    json_t *items;

    if (!query_ok(x))
        return;
    if (handle_job(api, x, &j, &e) < 0 || artifact_list(api->db, j.id, &list, &count, &e) < 0) {
        exchange_problem(x, &e);
    } else {
        items = json_array();
        for (int i = 0; i < count; i++)
            json_array_append_new(items, artifact_json(j.id, &list[i]));
        exchange_json(x, 200, json_pack("{s:o}", "items", items));
    }
    free(list);
    job_free(&j);
}

static int find(struct api *api, const struct exchange *x, struct artifact *a, struct err *e)
{
    int64_t id;
    int rc = handle_job_id(x, &id, e);

    if (rc < 0)
        return rc;
    if (!file_name_ok(x->param[1]))
        return err_set(e, ERR_NOT_FOUND, "there is no artifact \"%s\"", x->param[1]);
    return artifact_get(api->db, id, x->param[1], a, e);
}

void handle_artifact_get(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct artifact a;

    if (!query_ok(x))
        return;
    if (find(api, x, &a, &e) < 0 || handle_send_blob(api, x, a.hash, handle_content_type(a.name), &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    if (strcmp(a.name, "report.html") == 0 || strcmp(handle_content_type(a.name), "image/svg+xml") == 0) {
        exchange_header(x, "Content-Security-Policy", POLICY);
        exchange_header(x, "Content-Disposition", "inline; filename=\"%s\"", a.name);
    } else {
        handle_attachment(x, a.name, "");
    }
}
