/* webui.c - the dashboard's files. Every directory on the way is opened below the one before it, never
 * through a link, so that no path can leave webui_dir. */
#include "api/handle.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "    \
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* fd of DIR/a/b/c, or negative ERR_*. */
static int open_path(const char *dir, const char *path, struct err *e)
{
    char name[80];
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), next;

    if (at < 0)
        return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO,
                       "the dashboard's directory can't be opened");
    for (;;) {
        size_t n = strcspn(path, "/");
        if (n >= sizeof name)
            break;
        memcpy(name, path, n);
        name[n] = 0;
        if (!file_name_ok(name))
            break;
        next = path[n] ? openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                       : file_open_below(at, name, NULL);
        if (next < 0)
            break;
        close(at);
        at = next;
        if (!path[n])
            return at;
        path += n + 1;
    }
    close(at);
    return err_set(e, ERR_NOT_FOUND, "there is no such file in the dashboard");
}

static int send_file(const struct api *api, struct exchange *x, const char *path, struct err *e)
{
    struct stat st;
    int fd = api->webui_dir ? open_path(api->webui_dir, path, e)
                            : err_set(e, ERR_NOT_FOUND, "this server was started without a dashboard");

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0) {
        close(fd);
        return err_sys(e, ERR_IO, "a file of the dashboard can't be read");
    }
    exchange_empty(x, 200);
    snprintf(x->content_type, sizeof x->content_type, "%s", handle_content_type(path));
    snprintf(x->etag, sizeof x->etag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"", (uint64_t)st.st_ino,
             (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec, (uint64_t)st.st_size);
    exchange_header(x, "Cache-Control", "no-cache");
    exchange_header(x, "Content-Security-Policy", "%s", POLICY);
    exchange_header(x, "Referrer-Policy", "no-referrer");
    x->file = fd;
    x->file_bytes = st.st_size;
    return 0;
}

/* For whoever opens the server in a browser and finds no dashboard. */
static const char no_dashboard[] =
    "quantd is running, but its dashboard is not here.\n"
    "\n"
    "In the source directory `make` builds it (npm is needed the first time) and puts it beside quantd, "
    "into\n"
    "build/webui; `make install` copies it to share/quantd/webui. --webui DIR names any other place.\n"
    "\n"
    "Everything else works without it: the command line client quantctl, and the HTTP interface below /v1,\n"
    "which /openapi.json describes.\n";

void handle_webui_index(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    int rc = send_file(api, x, "index.html", &e);

    if (rc == ERR_NOT_FOUND)
        exchange_text(x, 404, "text/plain; charset=utf-8", no_dashboard);
    else if (rc < 0)
        exchange_problem(x, &e);
}

void handle_webui_file(struct api *api, struct exchange *x)
{
    struct err e = { 0 };

    if (send_file(api, x, x->param[0], &e) < 0)
        exchange_problem(x, &e);
}
