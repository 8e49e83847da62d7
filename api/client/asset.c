/* asset.c - models and data sets: four commands for both. */
#include "api/client/field.h"
#include "api/client/listing.h"
#include "api/client/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 10000 /* rows of a list */

struct kind {
    struct listing listing;
    const char *const *endings; /* cut off when a file's name becomes the name */
};

/* "1x28x28" of a shape array; names of free dimensions stay. */
static const char *shape_text(const json_t *shape, char *out, size_t size)
{
    size_t i, length = 0;
    const json_t *d;

    out[0] = '\0';
    json_array_foreach(shape, i, d)
    {
        const char *by = i ? "x" : "";
        if (length >= size)
            break;
        length += (size_t)(json_is_string(d)
                               ? snprintf(out + length, size - length, "%s%s", by, json_string_value(d))
                               : snprintf(out + length, size - length, "%s%lld", by, json_integer_value(d)));
    }
    return out;
}

static void common_cells(struct table *t, const json_t *item)
{
    table_cell(t, "%" PRId64, field_int(item, "/id"));
    table_text(t, field_text(item, "/name"));
}

static void size_cells(struct table *t, const json_t *item)
{
    const char *hash = field_text(item, "/sha256");
    char text[TEXT_SHORT];

    table_text(t, text_bytes(field_int(item, "/bytes"), text));
    table_text(t, text_age(field_text(item, "/created"), text));
    table_cell(t, "%.19s", hash ? hash : "-");
}

static void model_row(struct table *t, const json_t *item)
{
    char shape[128];

    common_cells(t, item);
    table_text(t, shape_text(field_at(item, "/info/inputs/0/shape"), shape, sizeof shape));
    table_cell(t, "%" PRId64, field_int(item, "/info/parameters"));
    table_cell(t, "%" PRId64, field_int(item, "/info/macs"));
    size_cells(t, item);
}

static void dataset_row(struct table *t, const json_t *item)
{
    char shape[128];

    common_cells(t, item);
    table_text(t,
               field_text(item, "/format") ? field_text(item, "/format") : field_text(item, "/info/format"));
    table_text(t, shape_text(field_at(item, "/info/shape"), shape, sizeof shape));
    table_cell(t, "%" PRId64, field_int(item, "/info/classes"));
    table_cell(t, "%" PRId64, field_int(item, "/info/train"));
    table_cell(t, "%" PRId64, field_int(item, "/info/test"));
    size_cells(t, item);
}

static const char *const model_heads[] = { ">ID",   "NAME", "INPUT", ">PARAMETERS", ">MACS",
                                           ">SIZE", ">AGE", "HASH",  NULL };
static const char *const dataset_heads[] = { ">ID",   "NAME",  "FORMAT", "SAMPLE", ">CLASSES", ">TRAIN",
                                             ">TEST", ">SIZE", ">AGE",   "HASH",   NULL };
static const char *const model_endings[] = { ".onnx", NULL };
static const char *const dataset_endings[] = { ".tar.gz", ".tar.xz", ".tar.zst", ".tar", ".tgz",
                                               ".zip",    ".npz",    ".npy",     NULL };
static const struct kind models = { { "/v1/models", model_heads, model_row }, model_endings };
static const struct kind datasets = { { "/v1/datasets", dataset_heads, dataset_row }, dataset_endings };

static const struct kind *kind_of(const struct args *a)
{
    return strcmp(a->noun, "models") == 0 ? &models : &datasets;
}

/* The file's name without directories and a known ending. */
static void default_name(const char *path, const char *const *endings, char *name, size_t size)
{
    const char *slash = strrchr(path, '/');

    snprintf(name, size, "%s", slash ? slash + 1 : path);
    for (; *endings; endings++) {
        size_t length = strlen(name), n = strlen(*endings);
        if (length > n && strcmp(name + length - n, *endings) == 0) {
            name[length - n] = '\0';
            return;
        }
    }
}

static void show_upload(void *arg, int64_t sent, int64_t total)
{
    int *shown = arg, percent = (int)(100 * sent / total);

    if (percent == *shown)
        return;
    *shown = percent;
    fprintf(stderr, percent < 100 ? "\rsending: %d %%" : "\r\033[K", percent);
}

int asset_add(struct client *c, const struct args *a)
{
    static const char *const options[] = { "format", "mean", "std" };
    const struct kind *k = kind_of(a);
    struct http_request r = { .method = "POST", .file = a->word[0] };
    char name[256];
    struct buf path;
    json_t *item = NULL;
    int code, shown = -1;

    default_name(a->word[0], k->endings, name, sizeof name);
    buf_init(&path, 0);
    buf_text(&path, k->listing.path);
    http_query(&path, "name", option_has(a, "name") ? option_get(a, "name") : name);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        http_query(&path, options[i], option_get(a, options[i]));
    r.path = path.data ? path.data : k->listing.path;
    if (isatty(STDERR_FILENO)) {
        r.progress = show_upload;
        r.arg = &shown;
    }
    code = client_call(c, &r, &item);
    buf_free(&path);
    if (item)
        listing_print(c, &k->listing, item);
    json_decref(item);
    return code;
}

int asset_ls(struct client *c, const struct args *a)
{
    const struct listing *l = &kind_of(a)->listing;
    char path[64];

    snprintf(path, sizeof path, "%s?limit=200", l->path);
    return listing_ls(c, l, path, MOST);
}

int asset_get(struct client *c, const struct args *a)
{
    return listing_each(c, &kind_of(a)->listing, a, NULL, "");
}

int asset_rm(struct client *c, const struct args *a)
{
    return listing_each(c, &kind_of(a)->listing, a, "DELETE", "");
}
