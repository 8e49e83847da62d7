/* store.h - a data directory with an open database for each test, and short ways to fill it. */
#ifndef TESTS_STORE_H
#define TESTS_STORE_H

#include "tests/unit/temp.h"

#include "base/hash.h"
#include "storage/blob.h"
#include "storage/db.h"
#include "storage/job.h"

struct store {
    void *dir;
    struct db *db;
    struct err e;
};

static inline int store_setup(void **state)
{
    struct store *s = calloc(1, sizeof *s);
    *state = s;
    int rc = temp_setup(&s->dir) ? -1 : db_open(s->dir, &s->db, &s->e);
    if (rc)
        fprintf(stderr, "setup: %s\n", s->e.text);
    return rc;
}

static inline int store_teardown(void **state)
{
    struct store *s = *state;
    db_close(s->db);
    int rc = temp_teardown(&s->dir);
    free(s);
    return rc;
}

/* A call that must succeed; says why it did not. */
#define assert_ok(s, call)                                                                                   \
    do {                                                                                                     \
        int ok_rc = (call);                                                                                  \
        if (ok_rc < 0)                                                                                       \
            fail_msg("%s: %s %s", #call, err_name(ok_rc), (s)->e.text);                                      \
    } while (0)

static inline void store_reopen(struct store *s)
{
    db_close(s->db);
    assert_ok(s, db_open(s->dir, &s->db, &s->e));
}

/* A blob with this content; its hash in one of a few static buffers. */
static inline const char *store_blob(struct store *s, const char *content)
{
    static char hashes[8][HASH_TEXT];
    static unsigned turn;
    char *hash = hashes[turn++ % 8];
    int64_t size;
    const char *temp = temp_path(s->dir, "tmp/upload");
    assert_ok(s, file_publish(temp, content, strlen(content), 0600, &s->e));
    assert_ok(s, hash_file(temp, hash, &size, &s->e));
    assert_ok(s, blob_adopt(s->db, temp, hash, size, &s->e));
    return hash;
}

static const struct job_new store_job = {
    .kind = "quantize",
    .name = "test",
    .owner = "",
    .tags = "[\"a\",\"b\"]",
    .spec = "{\"kind\":\"quantize\"}",
    .cpus = 1,
    .max_attempts = 3,
    .memory_mb = 100,
    .wall_s = 60,
};

static inline int64_t store_add(struct store *s, int priority, int cpus)
{
    struct job_new n = store_job;
    struct job j;
    bool existed;
    n.priority = priority;
    n.cpus = cpus;
    assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
    int64_t id = j.id;
    job_free(&j);
    return id;
}

static inline enum job_state store_state(struct store *s, int64_t id)
{
    struct job j;
    assert_ok(s, job_get(s->db, id, &j, &s->e));
    enum job_state state = j.state;
    job_free(&j);
    return state;
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, store_setup, store_teardown)

#endif
