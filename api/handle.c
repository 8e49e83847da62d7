/* handle.c - what several handlers share. */
#include "api/handle.h"

#include "api/show.h"
#include "base/clock.h"
#include "base/num.h"
#include "storage/blob.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int handle_job_id(const struct exchange *x, int64_t *id, struct err *e)
{
    if (num_int64(x->param[0], 1, INT64_MAX, id))
        return 0;
    return err_set(e, ERR_NOT_FOUND, "there is no job \"%s\"", x->param[0]);
}

int handle_job(struct api *api, const struct exchange *x, struct job *j, struct err *e)
{
    int64_t id;
    int rc = handle_job_id(x, &id, e);

    if (rc < 0)
        *j = (struct job){ 0 };
    return rc < 0 ? rc : job_get(api->db, id, j, e);
}

void handle_changed(struct api *api)
{
    api->service->events_changed(api->service->arg);
    api->service->kick(api->service->arg);
}

const char *handle_content_type(const char *name)
{
    static const struct {
        const char *suffix, *content_type;
    } list[] = {
        { ".html", "text/html; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },
        { ".js", "text/javascript; charset=utf-8" },
        { ".mjs", "text/javascript; charset=utf-8" },
        { ".csv", "text/csv; charset=utf-8" },
        { ".txt", "text/plain; charset=utf-8" },
        { ".json", "application/json" },
        { ".map", "application/json" },
        { ".svg", "image/svg+xml" },
        { ".png", "image/png" },
        { ".ico", "image/x-icon" },
        { ".woff2", "font/woff2" },
    };
    const char *dot = strrchr(name, '.');

    for (size_t i = 0; dot && i < sizeof list / sizeof *list; i++)
        if (strcmp(list[i].suffix, dot) == 0)
            return list[i].content_type;
    return "application/octet-stream";
}

json_t *handle_time(int64_t ms)
{
    char text[CLOCK_TEXT];

    if (ms == 0)
        return json_null();
    clock_text(ms, text);
    return json_string(text);
}

json_t *stored_json(const char *text)
{
    json_t *v = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
    return v ? v : json_null();
}

int handle_send_blob(struct api *api, struct exchange *x, const char *hash, const char *content_type,
                     struct err *e)
{
    struct blob b;
    struct stat st;
    char path[4096];
    int rc = blob_get(api->db, hash, &b, e), fd;

    if (rc < 0)
        return rc;
    blob_path(api->db, hash, path, sizeof path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "the file of %s can't be opened", hash);
    if (fstat(fd, &st) < 0 || st.st_size != b.size) {
        close(fd);
        return err_set(e, ERR_IO, "the file of %s does not have the size that it was stored with", hash);
    }
    exchange_empty(x, 200);
    snprintf(x->content_type, sizeof x->content_type, "%s", content_type);
    snprintf(x->etag, sizeof x->etag, "\"%s\"", hash + strlen("sha256:"));
    /* A hash means the same for ever; the number of a job does not, in a new data directory. */
    if (strcmp(x->param[0], hash) == 0)
        exchange_header(x, "Cache-Control", "private, max-age=31536000, immutable");
    x->file = fd;
    x->file_bytes = b.size;
    return 0;
}

void handle_attachment(struct exchange *x, const char *stem, const char *suffix)
{
    char name[100];
    size_t n = 0;

    for (; *stem && n < 80; stem++) {
        unsigned char c = (unsigned char)*stem;
        name[n++] = c < 0x80 && (isalnum(c) || strchr("._-", c)) ? (char)c : '_';
    }
    name[n] = 0;
    exchange_header(x, "Content-Disposition", "attachment; filename=\"%s%s\"", name, suffix);
}
