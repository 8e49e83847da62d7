#include "worker/inspect_file.h"

#include "base/file.h"
#include "worker/inspect.h"
#include "worker/inspect_dataset.h"
#include "worker/sandbox.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODEL_MAX    ((size_t)2 << 30)
#define MEMORY_BYTES ((size_t)8 << 30)

static int inspect_model_file(const char *path, json_t **out, struct err *e)
{
    struct sandbox s = { .memory_bytes = MEMORY_BYTES };
    char *data, summary[160];
    size_t length;
    int status = file_load(path, MODEL_MAX, &data, &length, e);

    if (status)
        return status;
    status = sandbox_enter(&s, summary, sizeof summary, e);
    if (!status)
        status = inspect_model(data, length, out, e);
    free(data);
    return status;
}

static int inspect_dataset_file(const char *path, const char *format, json_t **out, struct err *e)
{
    char summary[160];
    struct sandbox s = { .read_dir = path, .memory_bytes = MEMORY_BYTES }; /* this file and no other */
    int status = sandbox_enter(&s, summary, sizeof summary, e);

    return status ? status : inspect_dataset(path, format, out, e);
}

int inspect_file(const char *kind, const char *path, const char *format)
{
    struct err e = { 0 };
    json_t *out = NULL;
    int status = strcmp(kind, "model") == 0 ? inspect_model_file(path, &out, &e)
                                            : inspect_dataset_file(path, format, &out, &e);

    if (status)
        out = json_pack("{s:{s:s, s:s, s:s}}", "error", "code", err_name(e.code), "text", e.text, "place",
                        e.place);
    if (!out || json_dumpf(out, stdout, JSON_COMPACT) || putchar('\n') == EOF || fflush(stdout))
        status = ERR_IO;
    json_decref(out);
    return status ? EXIT_FAILURE : 0;
}
