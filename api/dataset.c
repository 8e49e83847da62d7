/* dataset.c - how a data set comes in: as a model, and with its format and how its pixels are normalised. */
#include "api/handle.h"
#include "api/ingest.h"
#include "api/query.h"
#include "api/spec.h"
#include "base/num.h"

#include <string.h>

#define CHANNELS_MAX 16

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
        ingest_start(api, x, ASSET_DATASET, format, normalize);
}
