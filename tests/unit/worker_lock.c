#include "worker/lock.h"

#include "base/file.h"

#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/quantd-lock-XXXXXX";

static int group_setup(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int group_teardown(void **state)
{
    struct err e;

    (void)state;
    return file_remove_tree(dir, &e);
}

static json_t *holder(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/lock", dir);
    return json_load_file(path, 0, NULL);
}

static void test_content_names_the_holder(void **state)
{
    struct lock *lock;
    struct err e;

    (void)state;
    assert_int_equal(lock_take(dir, 3, "t-\"1", &lock, &e), 0);
    json_t *o = holder();
    assert_int_equal(json_integer_value(json_object_get(o, "attempt")), 3);
    assert_int_equal(json_integer_value(json_object_get(o, "pid")), getpid());
    assert_string_equal(json_string_value(json_object_get(o, "token")), "t-\"1");
    assert_true(atoll(json_string_value(json_object_get(o, "start"))) > 0);
    assert_non_null(json_string_value(json_object_get(o, "host")));
    json_decref(o);
    lock_free(lock);
}

static void test_second_taker_is_told_who(void **state)
{
    struct lock *first, *second;
    struct err e;

    (void)state;
    assert_int_equal(lock_take(dir, 1, "one", &first, &e), 0);
    assert_int_equal(lock_take(dir, 2, "two", &second, &e), ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(e.text, "\"token\":\"one\""));
    lock_free(first);
    assert_int_equal(lock_take(dir, 2, "two", &second, &e), 0);
    lock_free(second);
}

static void test_death_lets_go(void **state)
{
    struct lock *lock;
    struct err e;
    int ready[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (lock_take(dir, 1, NULL, &lock, &e) < 0 || write(ready[1], "x", 1) != 1)
            _exit(1);
        pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_int_equal(lock_take(dir, 2, NULL, &lock, &e), ERR_BUSY);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(lock_take(dir, 2, NULL, &lock, &e), 0);
    lock_free(lock);
    close(ready[0]);
    close(ready[1]);
}

static void test_no_directory(void **state)
{
    struct lock *lock;
    struct err e;

    (void)state;
    assert_int_equal(lock_take("/nonexistent/quantd", 1, "", &lock, &e), ERR_IO);
    lock_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_content_names_the_holder),
        cmocka_unit_test(test_second_taker_is_told_who),
        cmocka_unit_test(test_death_lets_go),
        cmocka_unit_test(test_no_directory),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
