#include "server/jobdir.h"

#include "api/spec.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/num.h"
#include "storage/blob.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNFINISHED ".new-" /* jobs/.new-ID is not a job directory yet */

/* An input given as a file becomes a hard link: no copy, and the blob may be swept without hurting the job.
 */
static int link_input(const struct db *db, const char *dir, const json_t *input, const char *name,
                      struct err *e)
{
    char from[1024], to[JOBDIR_PATH + 64];
    unsigned char digest[HASH_BYTES];
    const char *hash = spec_text(input, "/sha256", "");
    if (!spec_at(input, "/path"))
        return 0;
    if (hash_parse(hash, digest))
        return err_set(e, ERR_INTERNAL, "the specification names no blob for in/%s", name);
    blob_path(db, hash, from, sizeof from);
    snprintf(to, sizeof to, "%s/in/%s", dir, name);
    if (link(from, to))
        return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "in/%s", name);
    return 0;
}

static int write_spec(const char *dir, json_t *spec, struct err *e)
{
    char path[JOBDIR_PATH + 64];
    char *text = json_dumps(spec, JSON_INDENT(2));
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for spec.json");
    snprintf(path, sizeof path, "%s/spec.json", dir);
    int rc = file_publish(path, text, strlen(text), 0600, e);
    free(text);
    return rc;
}

static int make_dir(const char *dir, const char *name, struct err *e)
{
    char path[JOBDIR_PATH + 64];
    snprintf(path, sizeof path, "%s%s", dir, name);
    return mkdir(path, 0700) ? err_sys(e, ERR_IO, "%s", path) : 0;
}

static int fill(const struct db *db, const char *dir, json_t *spec, struct err *e)
{
    int rc = make_dir(dir, "", e);
    if (!rc)
        rc = make_dir(dir, "/in", e);
    if (!rc)
        rc = make_dir(dir, "/out", e);
    if (!rc)
        rc = link_input(db, dir, spec_at(spec, "/inputs/model"), "model.onnx", e);
    if (!rc)
        rc = link_input(db, dir, spec_at(spec, "/inputs/dataset"), "dataset", e);
    if (!rc)
        rc = write_spec(dir, spec, e);
    return rc;
}

static int publish(const struct db *db, const char *temp, const char *dir, struct err *e)
{
    char jobs[JOBDIR_PATH];
    if (rename(temp, dir))
        return err_sys(e, ERR_IO, "%s", dir);
    snprintf(jobs, sizeof jobs, "%s/jobs", db_dir(db));
    return file_sync_dir(jobs, e);
}

int jobdir_make(const struct db *db, const struct job *j, struct err *e)
{
    char dir[JOBDIR_PATH], temp[JOBDIR_PATH];
    job_dir(db, j->id, dir, sizeof dir);
    if (file_exists(dir))
        return 0;
    json_t *spec = json_loads(j->spec, 0, NULL);
    if (!spec || json_object_set_new(spec, "job", json_integer(j->id))) {
        json_decref(spec);
        return err_set(e, ERR_INTERNAL, "the stored specification can't be read");
    }
    snprintf(temp, sizeof temp, "%s/jobs/" UNFINISHED "%" PRId64, db_dir(db), j->id);
    int rc = file_remove_tree(temp, e);
    if (!rc)
        rc = fill(db, temp, spec, e);
    if (!rc)
        rc = publish(db, temp, dir, e);
    if (rc)
        file_remove_tree(temp, NULL);
    json_decref(spec);
    return rc;
}

/* What a search leaves when it is cancelled or fails. */
static void trim_trials(const char *dir)
{
    char path[JOBDIR_PATH + 300];
    DIR *d = opendir(dir);

    for (struct dirent *entry; d && (entry = readdir(d));) {
        if (strncmp(entry->d_name, "trial-", 6) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        file_remove_tree(path, NULL);
    }
    if (d)
        closedir(d);
}

void jobdir_trim(const char *dir)
{
    static const char *const names[] = { "checkpoint", "checkpoint-prune", "in" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[JOBDIR_PATH + 64];
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        file_remove_tree(path, NULL); /* only disk space is at stake */
    }
    trim_trials(dir);
}

/* Names that are neither are not ours; --check tells of them. */
static int is_left_over(struct db *db, const char *name, bool *left_over, struct err *e)
{
    bool exists = true;
    int64_t id;
    *left_over = strncmp(name, UNFINISHED, sizeof UNFINISHED - 1) == 0;
    if (*left_over || !num_int64(name, 1, INT64_MAX, &id))
        return 0;
    int rc = job_exists(db, id, &exists, e);
    *left_over = !rc && !exists;
    return rc;
}

int jobdir_sweep(struct db *db, struct err *e)
{
    char path[JOBDIR_PATH + 300];
    int rc = 0, removed = 0;
    bool left_over;
    snprintf(path, sizeof path, "%s/jobs", db_dir(db));
    DIR *d = opendir(path);
    if (!d)
        return err_sys(e, ERR_IO, "%s", path);
    for (struct dirent *entry; !rc && (entry = readdir(d));) {
        rc = is_left_over(db, entry->d_name, &left_over, e);
        if (rc || !left_over)
            continue;
        snprintf(path, sizeof path, "%s/jobs/%s", db_dir(db), entry->d_name);
        rc = file_remove_tree(path, e);
        removed += !rc;
    }
    closedir(d);
    return rc ? rc : removed;
}
