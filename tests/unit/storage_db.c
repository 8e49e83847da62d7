/* Opening: what is created, refused and kept; transactions. Other connections play the part of other
 * programs. */
#include "tests/unit/store.h"

#include "storage/event.h"
#include "storage/token.h"

#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int run(struct store *s, const char *text)
{
    sqlite3 *other = NULL;
    sqlite3_open(temp_path(s->dir, "quantd.db"), &other);
    int rc = sqlite3_exec(other, text, NULL, NULL, NULL);
    sqlite3_close(other);
    return rc;
}

static void creates(void **state)
{
    struct store *s = *state;
    struct stat st;
    static const char *const names[] = { "blobs", "jobs", "tmp" };
    for (int i = 0; i < 3; i++) {
        assert_int_equal(stat(temp_path(s->dir, names[i]), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0700);
    }
    assert_string_equal(db_dir(s->db), s->dir);
}

static void one_daemon(void **state)
{
    struct store *s = *state;
    struct db *second = NULL;
    assert_int_equal(db_open(s->dir, &second, &s->e), ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(s->e.text, "in use"));
}

/* Killed between fork and exec: its child has the lock for a while, and no one else is at work there. */
static void outlived_by_a_child(void **state)
{
    struct store *s = *state;
    struct db *first = NULL;
    int status;
    db_close(s->db);
    s->db = NULL;
    const pid_t killed = fork();
    if (killed == 0) {
        if (db_open(s->dir, &first, &s->e) == 0 && fork() == 0) {
            usleep(300 * 1000);
            _exit(0);
        }
        kill(getpid(), SIGKILL);
    }
    assert_int_equal(waitpid(killed, &status, 0), killed);
    assert_true(WIFSIGNALED(status));
    assert_ok(s, db_open(s->dir, &s->db, &s->e));
}

static void persists(void **state)
{
    struct store *s = *state;
    int64_t id = store_add(s, 5, 1), count;
    char token[TOKEN_TEXT], name[64];
    const char *hash = store_blob(s, "content");
    struct blob b;
    assert_ok(s, token_add(s->db, "lab", token, &s->e));
    assert_ok(s, job_claim(s->db, 4, &id, &s->e));
    store_reopen(s);
    assert_int_equal(store_state(s, id), JOB_STARTING);
    assert_ok(s, token_check(s->db, token, name, &s->e));
    assert_ok(s, blob_get(s->db, hash, &b, &s->e));
    assert_ok(s, event_last(s->db, &count, &s->e));
    assert_int_equal(count, 2);
}

static void empties_tmp(void **state)
{
    struct store *s = *state;
    assert_ok(s, file_publish(temp_path(s->dir, "tmp/half-an-upload"), "x", 1, 0600, &s->e));
    assert_ok(s, file_make_dirs(temp_path(s->dir, "tmp/dir/dir"), &s->e));
    store_reopen(s);
    assert_false(file_exists(temp_path(s->dir, "tmp/half-an-upload")));
    assert_false(file_exists(temp_path(s->dir, "tmp/dir")));
    assert_true(file_exists(temp_path(s->dir, "tmp")));
}

static void refuses_newer(void **state)
{
    struct store *s = *state;
    db_close(s->db);
    assert_int_equal(run(s, "PRAGMA user_version = 999"), SQLITE_OK);
    assert_int_equal(db_open(s->dir, &s->db, &s->e), ERR_CONFLICT);
    assert_non_null(strstr(s->e.text, "schema 999"));
    assert_null(s->db);
}

static void refuses_foreign(void **state)
{
    struct store *s = *state;
    db_close(s->db);
    assert_int_equal(run(s, "PRAGMA application_id = 7"), SQLITE_OK);
    assert_int_equal(db_open(s->dir, &s->db, &s->e), ERR_CONFLICT);
    assert_ok(
        s, file_publish(temp_path(s->dir, "quantd.db"), "this is no database, not at all", 31, 0600, &s->e));
    assert_int_equal(db_open(s->dir, &s->db, &s->e), ERR_IO);
    assert_null(s->db);
}

static void refuses_bad_place(void **state)
{
    struct store *s = *state;
    struct db *db;
    assert_ok(s, file_publish(temp_path(s->dir, "file"), "", 0, 0600, &s->e));
    assert_true(db_open(temp_path(s->dir, "file"), &db, &s->e) < 0);
    assert_null(db);
}

static void transactions(void **state)
{
    struct store *s = *state;
    int64_t queued = -1;
    assert_ok(s, db_begin(s->db, &s->e));
    assert_int_equal(db_begin(s->db, &s->e), ERR_INTERNAL);
    store_add(s, 0, 1);
    db_rollback(s->db);
    assert_ok(s, job_count(s->db, JOB_QUEUED, &queued, &s->e));
    assert_int_equal(queued, 0);

    /* A step that fails inside a transaction is taken back, what came before it stays. */
    assert_ok(s, db_begin(s->db, &s->e));
    int64_t id = store_add(s, 0, 1);
    assert_int_equal(job_move(s->db, id, JOB_EVENT_START, NULL, &s->e), ERR_STATE);
    assert_ok(s, job_move(s->db, id, JOB_EVENT_CLAIM, NULL, &s->e));
    assert_ok(s, db_commit(s->db, &s->e));
    assert_int_equal(store_state(s, id), JOB_STARTING);
    assert_true(db_commit(s->db, &s->e) < 0); /* nothing is open */
    db_rollback(s->db);
}

/* The tables themselves refuse what would break the rules, whoever writes. */
static void checks_hold(void **state)
{
    struct store *s = *state;
    store_add(s, 0, 1);
    static const char *const bad[] = {
        "UPDATE job SET state = 'lost'",
        "UPDATE job SET state = 'succeeded'", /* without a finish time */
        "UPDATE job SET finished_ms = 1",     /* without a final state */
        "UPDATE job SET priority = 1001",
        "UPDATE job SET priority = 'high'", /* STRICT */
        "UPDATE job SET cpus = 0",
        "UPDATE job SET charged = 1", /* more than attempts */
        "UPDATE job SET tags = '{}'",
        "INSERT INTO blob VALUES ('md5:x', 1, 1)",
        "PRAGMA foreign_keys = ON; UPDATE job SET model_hash = 'sha256:none'",
        "PRAGMA foreign_keys = ON; INSERT INTO event (job, type, data) VALUES (99, 'x', 'y')",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(run(s, bad[i]) & 0xff, SQLITE_CONSTRAINT);
}

/* A page overwritten with rubbish is found before anything is done with the database. */
static void quick_check(void **state)
{
    struct store *s = *state;
    char rubbish[4096];
    bool skipped = true;
    for (int i = 0; i < 200; i++)
        store_add(s, 0, 1);
    assert_ok(s, db_quick_check(s->db, &skipped, &s->e));
    assert_false(skipped);
    db_close(s->db); /* the last connection empties the WAL */
    memset(rubbish, 0x5a, sizeof rubbish);
    int fd = open(temp_path(s->dir, "quantd.db"), O_RDWR);
    off_t end = lseek(fd, 0, SEEK_END);
    assert_true(end > 20 * 4096);
    assert_int_equal(pwrite(fd, rubbish, sizeof rubbish, end - 2 * 4096), sizeof rubbish);
    close(fd);
    assert_ok(s, db_open(s->dir, &s->db, &s->e));
    assert_int_equal(db_quick_check(s->db, &skipped, &s->e), ERR_CORRUPT);
    assert_non_null(strstr(s->e.text, "the database is damaged: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(creates),         IN_STORE(one_daemon),        IN_STORE(outlived_by_a_child),
        IN_STORE(persists),        IN_STORE(empties_tmp),       IN_STORE(refuses_newer),
        IN_STORE(refuses_foreign), IN_STORE(refuses_bad_place), IN_STORE(transactions),
        IN_STORE(checks_hold),     IN_STORE(quick_check),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
