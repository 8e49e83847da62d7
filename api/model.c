/* model.c - uploaded models. */
#include "storage/model.h"

#include "api/handle.h"
#include "api/ingest.h"
#include "api/page.h"
#include "api/query.h"
#include "api/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

json_t *model_json(const struct model *m)
{
    return json_pack("{s:I,s:s,s:s,s:I,s:o,s:o}", "id", (json_int_t)m->id, "name", m->name, "sha256", m->hash,
                     "bytes", (json_int_t)m->size, "created", handle_time(m->created_ms), "info",
                     stored_json(m->info));
}

static int store(struct api *api, const struct ingest_row *row, json_t **shown, int64_t *id, bool *existed,
                 struct err *e)
{
    struct model m = { 0 };
    int rc = model_add(api->db, row->name, row->hash, row->info, &m, existed, e);

    if (rc < 0)
        return rc;
    *id = m.id;
    *shown = model_json(&m);
    model_free(&m);
    return 0;
}

static const struct ingest_kind kind = { "model", "/v1/models", store };

void handle_model_create(struct api *api, struct exchange *x)
{
    if (query_ok(x))
        ingest_start(api, x, &kind, NULL, NULL);
}

void handle_model_list(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct page page;
    struct model *list = NULL;
    int count = 0, shown;
    int64_t last = 0;
    json_t *items;

    if (!query_ok(x))
        return;
    if (page_read(x, &page, &e) < 0 ||
        model_list(api->db, page.before, page.limit + 1, &list, &count, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    items = json_array();
    shown = count > page.limit ? page.limit : count;
    for (int i = 0; i < count; i++) {
        if (i < shown) {
            json_array_append_new(items, model_json(&list[i]));
            last = list[i].id;
        }
        model_free(&list[i]);
    }
    free(list);
    page_answer(x, &page, items, count > shown, last);
}

void handle_model_get(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct model m = { 0 };

    if (!query_ok(x))
        return;
    if (model_get(api->db, x->param[0], &m, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    exchange_json(x, 200, model_json(&m));
    snprintf(x->etag, sizeof x->etag, "W/\"%" PRId64 "\"", m.id);
    model_free(&m);
}

void handle_model_delete(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct model m = { 0 };

    if (!query_ok(x))
        return;
    if (model_get(api->db, x->param[0], &m, &e) == 0 && model_delete(api->db, m.id, &e) == 0)
        exchange_empty(x, 204);
    else
        exchange_problem(x, &e);
    model_free(&m);
}

void handle_model_content(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct model m = { 0 };

    if (!query_ok(x))
        return;
    if (model_get(api->db, x->param[0], &m, &e) == 0 &&
        handle_send_blob(api, x, m.hash, "application/octet-stream", &e) == 0)
        handle_attachment(x, m.name, ".onnx");
    else
        exchange_problem(x, &e);
    model_free(&m);
}
