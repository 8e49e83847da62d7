#include "server/place.h"

#include "base/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The directory of the running program. */
static bool own_dir(char out[PLACE_TEXT])
{
    ssize_t n = readlink("/proc/self/exe", out, PLACE_TEXT - 1);
    if (n <= 0)
        return false;
    out[n] = 0;
    char *slash = strrchr(out, '/');
    if (!slash)
        return false;
    *slash = 0;
    return true;
}

static bool search(const char *const *candidates, char out[PLACE_TEXT])
{
    char dir[PLACE_TEXT];
    if (!own_dir(dir))
        return false;
    for (; *candidates; candidates++)
        if (snprintf(out, PLACE_TEXT, "%s/%s", dir, *candidates) < PLACE_TEXT && file_exists(out))
            return true;
    return false;
}

static int make_absolute(char text[CONFIG_TEXT], const char *what, struct err *e)
{
    char real[PATH_MAX];
    if (!realpath(text, real))
        return err_sys(e, ERR_NOT_FOUND, "%s %s", what, text);
    if (strlen(real) >= CONFIG_TEXT)
        return err_set(e, ERR_INVALID, "the path of %s is too long", what);
    memcpy(text, real, strlen(real) + 1);
    return 0;
}

static int find_worker(struct config *c, struct err *e)
{
    static const char *const beside[] = { "quantd-worker", NULL };
    char found[PLACE_TEXT];
    if (!c->worker[0]) {
        if (!search(beside, found) || strlen(found) >= CONFIG_TEXT)
            return err_set(e, ERR_NOT_FOUND,
                           "there is no quantd-worker beside quantd; say where with --worker");
        memcpy(c->worker, found, strlen(found) + 1);
    }
    int rc = make_absolute(c->worker, "the worker", e);
    if (!rc && access(c->worker, X_OK))
        rc = err_sys(e, ERR_INVALID, "the worker %s can't be run", c->worker);
    return rc;
}

/* What only the built dashboard has: seen from build/, "../webui" may also be its sources. */
#define BUILT "/vendor"

static void find_webui(struct config *c)
{
    static const char *const near[] = { "webui" BUILT, "../webui" BUILT, "../share/quantd/webui" BUILT,
                                        NULL };
    char found[PLACE_TEXT];
    if (c->webui[0] || !search(near, found))
        return;
    found[strlen(found) - strlen(BUILT)] = 0;
    if (strlen(found) < CONFIG_TEXT)
        memcpy(c->webui, found, strlen(found) + 1);
}

bool place_openapi(char out[PLACE_TEXT])
{
    static const char *const near[] = { "../api/openapi.json", "../../api/openapi.json",
                                        "../share/quantd/openapi.json", NULL };
    return search(near, out);
}

int place_data(struct config *c, struct err *e)
{
    int rc = file_make_dirs(c->data, e);
    return rc ? rc : make_absolute(c->data, "the data directory", e);
}

int place_complete(struct config *c, struct err *e)
{
    int rc = find_worker(c, e);
    if (rc)
        return rc;
    find_webui(c);
    if (c->slots == 0)
        c->slots = sysconf(_SC_NPROCESSORS_ONLN) > 0 ? sysconf(_SC_NPROCESSORS_ONLN) : 1;
    return 0;
}
