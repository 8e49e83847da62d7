#include "server/harvest.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct harvesting {
    uv_work_t work;
    char dir[640], tmp_dir[512];
    void (*done)(void *arg, struct harvest *h, const struct err *e);
    void *arg;
    bool forgotten;
    struct harvest harvest;
    struct err error;
};

int harvest_result(const char *dir, char **text, struct err *e)
{
    json_error_t je;
    int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return err_sys(e, ERR_IO, "%s", dir);
    int rc = file_load_below(at, "result.json", HARVEST_RESULT_MAX, text, NULL, e); /* no pipe, no link */
    close(at);
    if (rc)
        return rc;
    json_t *root = json_loads(*text, JSON_REJECT_DUPLICATES, &je);
    bool good = json_is_object(root);
    json_decref(root);
    if (good)
        return 0;
    free(*text);
    *text = NULL;
    return err_set(e, ERR_CORRUPT, "result.json is not a JSON object");
}

/* What a worker left there is its own fault and stays so: no reason to try again. */
static int unfit(const char *name, struct err *e)
{
    return err_set(e, ERR_CORRUPT, "out/%s is not a file that can be read", name);
}

static bool is_fit(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_mode & S_IRUSR;
}

/* A link in tmp/ names the very file that is hashed, whatever happens to the name in out/. */
static int take_file(struct harvesting *g, const char *from, const char *name, struct err *e)
{
    struct harvest_file *f = &g->harvest.file[g->harvest.count];
    unsigned char random[8];
    char hex[2 * sizeof random + 1];
    if (!is_fit(from))
        return unfit(name, e);
    if (hash_random(random, sizeof random))
        return err_set(e, ERR_IO, "no random bytes");
    num_to_hex(random, sizeof random, hex);
    snprintf(f->name, sizeof f->name, "%s", name);
    snprintf(f->path, sizeof f->path, "%s/out-%s", g->tmp_dir, hex);
    if (linkat(AT_FDCWD, from, AT_FDCWD, f->path, 0)) {
        f->path[0] = 0;
        return err_sys(e, ERR_IO, "out/%s", name);
    }
    g->harvest.count++;
    if (!is_fit(f->path))
        return unfit(name, e);
    return hash_file(f->path, f->hash, &f->size, e);
}

static bool has(const struct harvest *h, const char *name)
{
    for (int i = 0; i < h->count; i++)
        if (strcmp(h->file[i].name, name) == 0)
            return true;
    return false;
}

static int take_out(struct harvesting *g, struct err *e)
{
    char path[1024];
    int rc = 0;
    snprintf(path, sizeof path, "%s/out", g->dir);
    DIR *d = opendir(path);
    if (!d)
        return errno == ENOENT
                   ? 0
                   : err_sys(e, errno == ENOTDIR || errno == EACCES ? ERR_CORRUPT : ERR_IO, "%s", path);
    for (struct dirent *entry; !rc && (entry = readdir(d));) {
        if (!file_name_ok(entry->d_name) || strlen(entry->d_name) >= sizeof g->harvest.file[0].name)
            continue; /* hidden and temporary ones, and names that no URL should have */
        if (g->harvest.count == HARVEST_FILES - 1)
            rc = err_set(e, ERR_TOO_LARGE, "more than %d files in out/", HARVEST_FILES - 1);
        snprintf(path, sizeof path, "%s/out/%s", g->dir, entry->d_name);
        if (!rc)
            rc = take_file(g, path, entry->d_name, e);
    }
    closedir(d);
    return rc;
}

static void work(uv_work_t *w)
{
    struct harvesting *g = w->data;
    char path[700];
    if (take_out(g, &g->error) || has(&g->harvest, "result.json"))
        return;
    snprintf(path, sizeof path, "%s/result.json", g->dir);
    take_file(g, path, "result.json", &g->error);
}

static void worked(uv_work_t *w, int status)
{
    struct harvesting *g = w->data;
    if (status < 0 && !g->error.code)
        err_set(&g->error, ERR_IO, "the files could not be hashed");
    if (!g->forgotten)
        g->done(g->arg, &g->harvest, g->error.code ? &g->error : NULL);
    for (int i = 0; i < g->harvest.count; i++)
        if (g->harvest.file[i].path[0])
            unlink(g->harvest.file[i].path);
    free(g);
}

struct harvesting *harvest_start(uv_loop_t *loop, const char *dir, const char *tmp_dir,
                                 void (*done)(void *arg, struct harvest *h, const struct err *e), void *arg)
{
    struct harvesting *g = mem_alloc(sizeof *g);
    if (!g)
        return NULL;
    snprintf(g->dir, sizeof g->dir, "%s", dir);
    snprintf(g->tmp_dir, sizeof g->tmp_dir, "%s", tmp_dir);
    g->done = done;
    g->arg = arg;
    g->work.data = g;
    uv_queue_work(loop, &g->work, work, worked);
    return g;
}

void harvest_forget(struct harvesting *g)
{
    if (g)
        g->forgotten = true;
}
