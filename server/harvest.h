/* harvest.h - what a finished worker left: result.json checked, out/ linked into DIR/tmp and hashed in the
 * thread pool. Nothing is taken away from the job's directory, so it can be repeated. */
#ifndef SERVER_HARVEST_H
#define SERVER_HARVEST_H

#include "base/hash.h"

#include <uv.h>

#define HARVEST_FILES      64
#define HARVEST_RESULT_MAX ((size_t)1 << 20)

struct harvest_file {
    char name[64];
    char path[600]; /* in DIR/tmp; "" once adopted */
    char hash[HASH_TEXT];
    int64_t size;
};

struct harvest {
    struct harvest_file file[HARVEST_FILES];
    int count;
};

/* Read and check result.json: a JSON object as text (free it), or an error. */
int harvest_result(const char *dir, char **text, struct err *e);

struct harvesting; /* one that is under way */

/* done() gets the files, or an error, from the loop; *h is only lent, files not adopted by then are removed.
 */
struct harvesting *harvest_start(uv_loop_t *loop, const char *dir, const char *tmp_dir,
                                 void (*done)(void *arg, struct harvest *h, const struct err *e), void *arg);
void harvest_forget(struct harvesting *g); /* done() will not be called; NULL is fine */

#endif
