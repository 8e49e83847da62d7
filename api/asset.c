/* asset.c - models and data sets: listed, shown, fetched, deleted. How a data set comes in is in dataset.c.
 */
#include "api/asset.h"

#include "api/handle.h"
#include "api/ingest.h"
#include "api/page.h"
#include "api/query.h"
#include "api/route.h"
#include "api/show.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const struct asset_words asset_words[ASSET_KIND_COUNT] = {
    [ASSET_MODEL] = { "model", "/v1/models", ".onnx" },
    [ASSET_DATASET] = { "dataset", "/v1/datasets", "" },
};

/* The routes are the same for both but for their beginning. */
static enum asset_kind kind_of(const struct exchange *x)
{
    const char *collection = asset_words[ASSET_DATASET].collection;

    return strncmp(x->route->pattern, collection, strlen(collection)) == 0 ? ASSET_DATASET : ASSET_MODEL;
}

json_t *asset_json(const struct asset *a)
{
    return json_pack("{s:I,s:s,s:s,s:I,s:s*,s:o,s:o}", "id", (json_int_t)a->id, "name", a->name, "sha256",
                     a->hash, "bytes", (json_int_t)a->size, "format", a->format, "created",
                     handle_time(a->created_ms), "info", stored_json(a->info));
}

void handle_model_create(struct api *api, struct exchange *x)
{
    if (query_ok(x))
        ingest_start(api, x, ASSET_MODEL, NULL, NULL);
}

void handle_asset_list(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct page page;
    struct asset *list = NULL;
    int count = 0, shown;
    json_t *items;

    if (!query_ok(x))
        return;
    if (page_read(x, &page, &e) < 0 ||
        asset_list(api->db, kind_of(x), page.before, page.limit + 1, &list, &count, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    items = json_array();
    shown = page_shown(&page, count);
    for (int i = 0; i < shown; i++)
        json_array_append_new(items, asset_json(&list[i]));
    page_answer(x, &page, items, count > shown, shown ? list[shown - 1].id : 0);
    asset_list_free(list, count);
}

void handle_asset_get(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct asset a = { 0 };

    if (!query_ok(x))
        return;
    if (asset_get(api->db, kind_of(x), x->param[0], &a, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    exchange_json(x, 200, asset_json(&a));
    snprintf(x->etag, sizeof x->etag, "W/\"%" PRId64 "\"", a.id);
    asset_free(&a);
}

void handle_asset_delete(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct asset a = { 0 };
    enum asset_kind kind = kind_of(x);

    if (!query_ok(x))
        return;
    if (asset_get(api->db, kind, x->param[0], &a, &e) == 0 && asset_delete(api->db, kind, a.id, &e) == 0)
        exchange_empty(x, 204);
    else
        exchange_problem(x, &e);
    asset_free(&a);
}

void handle_asset_content(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct asset a = { 0 };
    enum asset_kind kind = kind_of(x);

    if (!query_ok(x))
        return;
    if (asset_get(api->db, kind, x->param[0], &a, &e) == 0 &&
        handle_send_blob(api, x, a.hash, "application/octet-stream", &e) == 0)
        handle_attachment(x, a.name, asset_words[kind].suffix);
    else
        exchange_problem(x, &e);
    asset_free(&a);
}
