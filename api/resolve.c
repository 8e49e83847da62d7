/* resolve.c - references to models and data sets. */
#include "api/resolve.h"

#include "api/show.h"
#include "base/variant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIMS_MAX 8

void resolved_free(struct resolved *r)
{
    json_decref(r->input);
    json_decref(r->info);
    memset(r, 0, sizeof *r);
}

static bool within(const json_t *limits, const char *what, int value)
{
    const json_t *range = json_object_get(limits, what);

    return value == 0 || (range && value >= json_integer_value(json_array_get(range, 0)) &&
                          value <= json_integer_value(json_array_get(range, 1)));
}

/* What the architecture can take, said in one sentence. */
static void limits_problem(const json_t *limits, const char *name, struct spec_problems *p)
{
    int64_t classes = spec_int(limits, "/classes/1", 0);
    char more[64] = "";

    if (classes)
        snprintf(more, sizeof more, ", %" PRId64 " to %" PRId64 " classes", spec_int(limits, "/classes/0", 1),
                 classes);
    spec_problem(p, "/model", "limit",
                 "zoo:%s takes %" PRId64 " to %" PRId64 " channels, sides of %" PRId64 " to %" PRId64
                 " pixels%s",
                 name, spec_int(limits, "/channels/0", 1), spec_int(limits, "/channels/1", 1),
                 spec_int(limits, "/side/0", 1), spec_int(limits, "/side/1", 1), more);
}

static void missing(struct spec_problems *p, const char *pointer, const char *reference)
{
    spec_problem(p, pointer, "not_found", "there is no built-in \"%.80s\"; /v1/capabilities lists them",
                 reference);
}

static const json_t *entry_of(const json_t *list, const char *name)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(list, i, entry)
    {
        if (strcmp(spec_text(entry, "/name", ""), name) == 0)
            return entry;
    }
    return NULL;
}

/* "builtin:glyphs" */
static void resolve_builtin(const struct api *api, const char *reference, struct resolved *r,
                            struct spec_problems *p)
{
    const char *name = reference + strlen("builtin:");
    const json_t *entry = entry_of(json_object_get(api->capabilities, "datasets"), name);

    if (!entry) {
        missing(p, "/dataset", reference);
        return;
    }
    snprintf(r->reference, sizeof r->reference, "%s", reference);
    r->input = json_pack("{s:s}", "builtin", name);
    r->info = json_incref((json_t *)entry);
}

/* The entry as the variant changes it. */
static json_t *variant_info(const json_t *entry, const struct variant *v)
{
    json_t *info = json_copy((json_t *)entry);

    if (v->channels)
        json_object_set_new(info, "shape", json_pack("[i,i,i]", v->channels, v->height, v->width));
    if (v->classes)
        json_object_set_new(info, "classes", json_integer(v->classes));
    return info;
}

/* "zoo:NAME[@CxHxW][/CLASSES]", within the limits that the capabilities give for NAME. */
static void resolve_zoo(const struct api *api, const char *reference, struct resolved *r,
                        struct spec_problems *p)
{
    const char *text = reference + strlen("zoo:");
    struct variant v;

    if (!variant_parse(text, &v)) {
        spec_problem(p, "/model", "not_found", "\"%.80s\" is not of the form zoo:NAME[@CxHxW][/CLASSES]",
                     reference);
        return;
    }
    const json_t *entry = entry_of(json_object_get(api->capabilities, "zoo"), v.name);
    const json_t *limits = json_object_get(entry, "limits");
    if (!entry) {
        missing(p, "/model", reference);
        return;
    }
    if (text[strlen(v.name)] && !spec_bool(entry, "/suffix", false))
        spec_problem(p, "/model", "limit", "zoo:%s has one size only", v.name);
    else if (v.classes && !json_object_get(limits, "classes"))
        spec_problem(p, "/model", "limit", "zoo:%s makes images: it has no classes", v.name);
    else if (!within(limits, "channels", v.channels) || !within(limits, "side", v.height) ||
             !within(limits, "side", v.width) || !within(limits, "classes", v.classes))
        limits_problem(limits, v.name, p);
    else {
        snprintf(r->reference, sizeof r->reference, "%s", reference);
        r->input = json_pack("{s:s}", "zoo", text);
        r->info = variant_info(entry, &v);
    }
}

static bool has_prefix(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 && text[n] == ':';
}

int resolve_model(struct api *api, const json_t *spec, struct resolved *r, struct spec_problems *p,
                  struct err *e)
{
    const char *reference = spec_text(spec, "/model", "");
    struct asset m = { 0 };
    int rc;

    memset(r, 0, sizeof *r);
    if (has_prefix(reference, "zoo")) {
        resolve_zoo(api, reference, r, p);
        return 0;
    }
    rc = asset_get(api->db, ASSET_MODEL, reference, &m, e);
    if (rc == ERR_NOT_FOUND) {
        spec_problem(p, "/model", "not_found", "there is no model \"%.80s\"", reference);
        return 0;
    }
    if (rc < 0)
        return rc;
    snprintf(r->reference, sizeof r->reference, "%s", m.hash);
    memcpy(r->hash, m.hash, sizeof r->hash);
    r->input = json_pack("{s:s,s:s,s:s}", "path", "in/model.onnx", "sha256", m.hash, "name", m.name);
    r->info = stored_json(m.info);
    asset_free(&m);
    return 0;
}

/* The worker normalises with what the upload said, when it said anything. */
static void copy_member(json_t *to, const json_t *from, const char *key)
{
    json_t *v = json_object_get(from, key);

    if (json_is_array(v))
        json_object_set(to, key, v);
}

int resolve_dataset(struct api *api, const json_t *spec, struct resolved *r, struct spec_problems *p,
                    struct err *e)
{
    const char *reference = spec_text(spec, "/dataset", "");
    struct asset d = { 0 };
    int rc;

    memset(r, 0, sizeof *r);
    if (has_prefix(reference, "builtin")) {
        resolve_builtin(api, reference, r, p);
        return 0;
    }
    rc = asset_get(api->db, ASSET_DATASET, reference, &d, e);
    if (rc == ERR_NOT_FOUND) {
        spec_problem(p, "/dataset", "not_found", "there is no data set \"%.80s\"", reference);
        return 0;
    }
    if (rc < 0)
        return rc;
    snprintf(r->reference, sizeof r->reference, "%s", d.hash);
    memcpy(r->hash, d.hash, sizeof r->hash);
    r->input = json_pack("{s:s,s:s,s:s,s:s}", "path", "in/dataset", "sha256", d.hash, "format", d.format,
                         "name", d.name);
    r->info = stored_json(d.info);
    copy_member(r->input, r->info, "mean");
    copy_member(r->input, r->info, "std");
    asset_free(&d);
    return 0;
}

/* Integers of an array from index `from`; -1 stands for what is not known. Returns how many, 0 when it has
 * none. */
static int dims_read(const json_t *array, size_t from, int64_t dims[DIMS_MAX])
{
    size_t n = json_array_size(array);

    if (n <= from || n - from > DIMS_MAX)
        return 0;
    for (size_t i = from; i < n; i++) {
        const json_t *v = json_array_get(array, i);
        dims[i - from] = json_is_integer(v) && json_integer_value(v) > 0 ? json_integer_value(v) : -1;
    }
    return (int)(n - from);
}

/* The shape of one sample that the model takes, and the number of its outputs (0: not known). */
static int model_dims(const json_t *info, int64_t dims[DIMS_MAX], int64_t *outputs)
{
    const json_t *inputs = json_object_get(info, "inputs"), *outs = json_object_get(info, "outputs");
    int64_t out[DIMS_MAX];
    int n;

    *outputs = spec_int(info, "/classes", 0);
    if (!inputs) /* of the zoo */
        return dims_read(json_object_get(info, "shape"), 0, dims);
    n = json_array_size(outs) == 1 ? dims_read(spec_at(outs, "/0/shape"), 1, out) : 0;
    if (n > 0 && *outputs == 0) {
        *outputs = 1;
        for (int i = 0; i < n; i++)
            *outputs = out[i] < 0 || *outputs > INT32_MAX / out[i] ? 0 : *outputs * out[i];
    }
    return json_array_size(inputs) == 1 ? dims_read(spec_at(inputs, "/0/shape"), 1, dims) : 0;
}

static bool dims_agree(const int64_t *a, const int64_t *b, int n)
{
    for (int i = 0; i < n; i++)
        if (a[i] >= 0 && b[i] >= 0 && a[i] != b[i])
            return false;
    return true;
}

/* (C,H,W) of the data against the model's sample, which may also be declared (H,W,C). */
static bool shape_agrees(const int64_t *model, int n, const int64_t *data, int m)
{
    int64_t turned[3];

    if (n != m)
        return false;
    if (dims_agree(model, data, n))
        return true;
    if (n != 3)
        return false;
    turned[0] = data[1], turned[1] = data[2], turned[2] = data[0];
    return dims_agree(model, turned, n);
}

static void dims_text(const int64_t *dims, int n, char *out, size_t size)
{
    size_t k = 0;

    out[0] = 0;
    for (int i = 0; i < n && k < size; i++) {
        const char *cross = i ? "x" : "";
        k += (size_t)(dims[i] < 0 ? snprintf(out + k, size - k, "%s?", cross)
                                  : snprintf(out + k, size - k, "%s%" PRId64, cross, dims[i]));
    }
}

static void check_fit(const json_t *model, const json_t *dataset, struct spec_problems *p)
{
    int64_t want[DIMS_MAX], have[DIMS_MAX], outputs, classes = spec_int(dataset, "/classes", 0);
    char want_text[80], have_text[80];
    int n = model_dims(model, want, &outputs), m = dims_read(json_object_get(dataset, "shape"), 0, have);

    if (json_object_get(model, "scale"))
        spec_problem(p, "/model", "mismatch", "it makes images: it can't classify");
    if (n && m && !shape_agrees(want, n, have, m)) {
        dims_text(want, n, want_text, sizeof want_text);
        dims_text(have, m, have_text, sizeof have_text);
        spec_problem(p, "/dataset", "mismatch", "its samples are %s, the model takes %s", have_text,
                     want_text);
    }
    if (outputs > 0 && classes > 0 && outputs != classes)
        spec_problem(p, "/dataset", "mismatch", "it has %" PRId64 " classes, the model %" PRId64 " outputs",
                     classes, outputs);
}

static void check_normalize(const json_t *spec, const json_t *dataset, struct spec_problems *p)
{
    static const char *const pointers[] = { "/normalize/mean", "/normalize/std" };
    size_t channels = (size_t)spec_int(dataset, "/shape/0", 0);

    for (size_t i = 0; i < sizeof pointers / sizeof *pointers; i++) {
        size_t given = json_array_size(spec_at(spec, pointers[i]));
        if (given > 1 && channels > 0 && given != channels)
            spec_problem(p, pointers[i], "mismatch", "has %zu numbers for %zu channels", given, channels);
    }
}

void resolve_check(const json_t *spec, const struct resolved *model, const struct resolved *dataset,
                   struct spec_problems *p)
{
    const json_t *layers = json_object_get(model->info, "layers");

    if (json_is_array(layers))
        spec_check_overrides(spec, layers, p);
    if (dataset->info)
        check_normalize(spec, dataset->info, p);
    if (model->info && dataset->info && strcmp(spec_text(spec, "/task", "classify"), "classify") == 0)
        check_fit(model->info, dataset->info, p);
}
