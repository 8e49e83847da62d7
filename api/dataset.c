/* dataset.c - uploaded data sets: as models, and how their pixels are normalised. */
#include "storage/dataset.h"

#include "api/handle.h"
#include "api/ingest.h"
#include "api/page.h"
#include "api/query.h"
#include "api/show.h"
#include "api/spec.h"
#include "base/num.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNELS_MAX 16

json_t *dataset_json(const struct dataset *d)
{
    return json_pack("{s:I,s:s,s:s,s:I,s:s,s:o,s:o}", "id", (json_int_t)d->id, "name", d->name, "sha256",
                     d->hash, "bytes", (json_int_t)d->size, "format", d->format, "created",
                     handle_time(d->created_ms), "info", stored_json(d->info));
}

static int store(struct api *api, const struct ingest_row *row, json_t **shown, int64_t *id, bool *existed,
                 struct err *e)
{
    struct dataset d = { 0 };
    int rc = dataset_add(api->db, row->name, row->hash, row->format, row->info, &d, existed, e);

    if (rc < 0)
        return rc;
    *id = d.id;
    *shown = dataset_json(&d);
    dataset_free(&d);
    return 0;
}

static const struct ingest_kind kind = { "dataset", "/v1/datasets", store };

/* "0.5,0.5,0.5" as an array; ERR_SYNTAX names the parameter. */
static int numbers_read(const struct exchange *x, const char *key, double low, json_t **out, struct err *e)
{
    const char *p = x->query(x, key);
    json_t *list = json_array();
    char one[40];
    double value;

    *out = NULL;
    for (;;) {
        size_t n = strcspn(p, ",");
        if (n == 0 || n >= sizeof one || json_array_size(list) == CHANNELS_MAX)
            break;
        memcpy(one, p, n);
        one[n] = 0;
        if (!num_double(one, low, 1e6, &value))
            break;
        json_array_append_new(list, json_real(value));
        p += n;
        if (!*p++) {
            *out = list;
            return 0;
        }
    }
    json_decref(list);
    err_set(e, ERR_SYNTAX, "%s must be 1 to %d numbers from %g to 1e6 with commas between them", key,
            CHANNELS_MAX, low);
    return err_at(e, "?%s", key);
}

/* ?mean= and ?std= as {"mean": [...], "std": [...]}, NULL without them: both or none, equally long. */
static int normalize_read(const struct exchange *x, json_t **out, struct err *e)
{
    bool mean_given = x->query(x, "mean") != NULL, std_given = x->query(x, "std") != NULL;
    json_t *mean = NULL, *std = NULL;
    int rc;

    *out = NULL;
    if (!mean_given && !std_given)
        return 0;
    if (mean_given != std_given) {
        err_set(e, ERR_SYNTAX, "mean and std are given together");
        return err_at(e, "?%s", mean_given ? "std" : "mean");
    }
    rc = numbers_read(x, "mean", -1e6, &mean, e);
    if (rc == 0)
        rc = numbers_read(x, "std", 1e-6, &std, e);
    if (rc == 0 && json_array_size(mean) != json_array_size(std)) {
        err_set(e, ERR_SYNTAX, "mean and std must have as many numbers as each other");
        rc = err_at(e, "?std");
    }
    if (rc == 0)
        *out = json_pack("{s:O,s:O}", "mean", mean, "std", std);
    json_decref(mean);
    json_decref(std);
    return rc;
}

static int format_check(const struct api *api, const char *format, struct err *e)
{
    const json_t *formats = json_object_get(api->capabilities, "formats"), *f;
    size_t i;

    if (!format)
        return 0;
    json_array_foreach(formats, i, f) if (strcmp(spec_text(f, "/name", ""), format) == 0) return 0;
    err_set(e, ERR_INVALID, "there is no data set format \"%.31s\"; /v1/capabilities lists them", format);
    return err_at(e, "?format");
}

void handle_dataset_create(struct api *api, struct exchange *x)
{
    const char *format = x->query(x, "format");
    struct err e = { 0 };
    json_t *normalize;

    if (!query_ok(x))
        return;
    if (format_check(api, format, &e) < 0 || normalize_read(x, &normalize, &e) < 0)
        exchange_problem(x, &e);
    else
        ingest_start(api, x, &kind, format, normalize);
}

void handle_dataset_list(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct page page;
    struct dataset *list = NULL;
    int count = 0, shown;
    int64_t last = 0;
    json_t *items;

    if (!query_ok(x))
        return;
    if (page_read(x, &page, &e) < 0 ||
        dataset_list(api->db, page.before, page.limit + 1, &list, &count, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    items = json_array();
    shown = count > page.limit ? page.limit : count;
    for (int i = 0; i < count; i++) {
        if (i < shown) {
            json_array_append_new(items, dataset_json(&list[i]));
            last = list[i].id;
        }
        dataset_free(&list[i]);
    }
    free(list);
    page_answer(x, &page, items, count > shown, last);
}

void handle_dataset_get(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct dataset d = { 0 };

    if (!query_ok(x))
        return;
    if (dataset_get(api->db, x->param[0], &d, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    exchange_json(x, 200, dataset_json(&d));
    snprintf(x->etag, sizeof x->etag, "W/\"%" PRId64 "\"", d.id);
    dataset_free(&d);
}

void handle_dataset_delete(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct dataset d = { 0 };

    if (!query_ok(x))
        return;
    if (dataset_get(api->db, x->param[0], &d, &e) == 0 && dataset_delete(api->db, d.id, &e) == 0)
        exchange_empty(x, 204);
    else
        exchange_problem(x, &e);
    dataset_free(&d);
}

void handle_dataset_content(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    struct dataset d = { 0 };

    if (!query_ok(x))
        return;
    if (dataset_get(api->db, x->param[0], &d, &e) == 0 &&
        handle_send_blob(api, x, d.hash, "application/octet-stream", &e) == 0)
        handle_attachment(x, d.name, "");
    else
        exchange_problem(x, &e);
    dataset_free(&d);
}
