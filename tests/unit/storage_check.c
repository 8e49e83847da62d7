/* The offline check: silent on what is sound, one line for each thing that is not. */
#include "tests/unit/store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

static char lines[10000];

static void collect(void *arg, const char *line)
{
    (void)arg;
    size_t used = strlen(lines);
    snprintf(lines + used, sizeof lines - used, "%s\n", line);
}

/* Close, check, open again: the number of findings. */
static int check(struct store *s)
{
    lines[0] = '\0';
    db_close(s->db);
    int found = db_check(s->dir, collect, NULL, &s->e);
    assert_ok(s, db_open(s->dir, &s->db, &s->e));
    return found;
}

static void run(struct store *s, const char *text)
{
    sqlite3 *other = NULL;
    sqlite3_open(temp_path(s->dir, "quantd.db"), &other);
    assert_int_equal(sqlite3_exec(other, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
}

static void sound(void **state)
{
    struct store *s = *state;
    int64_t id = store_add(s, 0, 1);
    const char *hash = store_blob(s, "content");
    assert_ok(s, artifact_add(s->db, id, "log.txt", hash, &s->e));
    store_add(s, 0, 1);
    assert_ok(s, job_claim(s->db, 1, &id, &s->e));
    assert_ok(s, job_move(s->db, id, JOB_EVENT_START, NULL, &s->e));
    assert_ok(s, file_make_dirs(temp_path(s->dir, "jobs/1/out"), &s->e));
    int found = check(s);
    assert_string_equal(lines, "");
    assert_int_equal(found, 0);
}

static void damaged_blobs(void **state)
{
    struct store *s = *state;
    char path[4096];
    const char *flipped = store_blob(s, "flipped"), *shorter = store_blob(s, "shorter"),
               *lost = store_blob(s, "lost");
    blob_path(s->db, flipped, path, sizeof path);
    chmod(path, 0600);
    int fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "F", 1, 0), 1);
    close(fd);
    blob_path(s->db, shorter, path, sizeof path);
    assert_int_equal(truncate(path, 3), 0);
    blob_path(s->db, lost, path, sizeof path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check(s), 3);
    assert_non_null(strstr(lines, "content has changed"));
    assert_non_null(strstr(lines, "has 3 bytes, not 7"));
    assert_non_null(strstr(lines, "No such file"));
}

static void stray_files(void **state)
{
    struct store *s = *state;
    static const char *const names[] = {
        "blobs/00/112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", /* the form of a blob, no
                                                                                      row */
        "blobs/00/notes.txt",
        "blobs/file",
        "tmp/upload",
        "jobs/core",
    };
    assert_ok(s, file_make_dirs(temp_path(s->dir, "blobs/00"), &s->e));
    assert_ok(s, file_make_dirs(temp_path(s->dir, "jobs/77"), &s->e));
    for (int i = 0; i < 5; i++)
        assert_ok(s, file_publish(temp_path(s->dir, names[i]), "x", 1, 0600, &s->e));
    assert_int_equal(check(s), 6);
    for (int i = 0; i < 5; i++)
        assert_non_null(strstr(lines, names[i]));
    assert_non_null(strstr(lines, "jobs/77"));
}

static void broken_rules(void **state)
{
    struct store *s = *state;
    int64_t id = store_add(s, 0, 1), claimed;
    assert_ok(s, job_claim(s->db, 1, &claimed, &s->e));
    store_add(s, 0, 1);
    run(s, "UPDATE job SET state = 'queued' WHERE id = 1");
    run(s, "UPDATE job SET state = 'running' WHERE id = 2");
    assert_int_equal(id, 1);
    assert_int_equal(check(s), 2);
    assert_non_null(strstr(lines, "job 1 has an open attempt and is not at work"));
    assert_non_null(strstr(lines, "job 2 is at work without an open attempt"));
    run(s,
        "UPDATE attempt SET ended_ms = 1; UPDATE job SET state = 'succeeded', finished_ms = 1 WHERE id = 2;"
        "UPDATE job SET attempts = 5, charged = 1 WHERE id = 1; INSERT INTO artifact VALUES (1, 'x', "
        "'sha256:none')");
    assert_int_equal(check(s), 4);
    assert_non_null(strstr(lines, "job 1 counts more or fewer attempts"));
    assert_non_null(strstr(lines, "job 1 is charged for more"));
    assert_non_null(strstr(lines, "job 2 succeeded without a result"));
    assert_non_null(strstr(lines, "a row of artifact refers to a blob"));
}

/* Killed while the job of a lost worker rested: the next start queues it. */
static void resting(void **state)
{
    struct store *s = *state;
    int64_t id;
    store_add(s, 0, 1);
    assert_ok(s, job_claim(s->db, 1, &id, &s->e));
    assert_ok(s, job_move(s->db, id, JOB_EVENT_START, NULL, &s->e));
    assert_ok(s, attempt_end(s->db, id, 1, "lost", -1, 9, false, &s->e));
    assert_int_equal(check(s), 0);
    run(s, "UPDATE attempt SET ending = 'failed'");
    assert_int_equal(check(s), 1);
}

static void refuses(void **state)
{
    struct store *s = *state;
    assert_int_equal(db_check(s->dir, collect, NULL, &s->e), ERR_BUSY); /* the daemon runs */
    assert_true(db_check(temp_path(s->dir, "none"), collect, NULL, &s->e) < 0);
    assert_false(file_exists(temp_path(s->dir, "none")));
    db_close(s->db);
    run(s, "PRAGMA user_version = 0");
    assert_int_equal(db_check(s->dir, collect, NULL, &s->e), ERR_CONFLICT);
    run(s, "PRAGMA user_version = 99");
    assert_int_equal(db_check(s->dir, collect, NULL, &s->e), ERR_CONFLICT);
    s->db = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(sound),        IN_STORE(damaged_blobs), IN_STORE(stray_files),
        IN_STORE(broken_rules), IN_STORE(resting),       IN_STORE(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
