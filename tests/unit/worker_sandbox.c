/* The sandbox, from inside: each test forks a child, which enters it, tries something and says by its exit
 * code how that went. */
#include "worker/sandbox.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/quantd-sandbox-XXXXXX";
static char summary[200];

enum { KILLED = 1000, ENTER_FAILED = 99 };

/* Exit code of attempt() in a sandbox like s; KILLED + signal when it died by one. */
static int inside(const struct sandbox *s, int (*attempt)(void))
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct err e;
        _exit(sandbox_enter(s, summary, sizeof summary, &e) == 0 ? attempt() : ENTER_FAILED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What the fences are here: a child tells by its summary. */
static int say_landlock(void)
{
    return strstr(summary, "landlock:unavailable") == NULL;
}

static int say_seccomp(void)
{
    return strstr(summary, "seccomp") != NULL && strstr(summary, "seccomp:") == NULL;
}

static int result(int r)
{
    return r >= 0 ? 0 : errno;
}

static int open_passwd(void)
{
    return result(open("/etc/passwd", O_RDONLY));
}

static int make_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM, 0));
}

static int execute(void)
{
    char name[] = "/bin/true", *const argv[] = { name, NULL };
    return result(execv(name, argv));
}

static int trace(void)
{
    return result((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int make_process(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    return result(pid);
}

static void *thread_main(void *arg)
{
    *(int *)arg = 1;
    return NULL;
}

static int make_thread(void)
{
    pthread_t thread;
    int ran = 0;

    if (pthread_create(&thread, NULL, thread_main, &ran) != 0)
        return EAGAIN;
    pthread_join(thread, NULL);
    return ran ? 0 : 1;
}

static int publish(void)
{
    char path[100];
    struct err e;

    snprintf(path, sizeof path, "%s/out/result.json", dir);
    return file_publish(path, "{}", 2, 0644, &e) == 0 ? 0 : 1;
}

static int rename_into_out(void)
{
    char from[100], to[100];

    snprintf(from, sizeof from, "%s/one.tmp", dir);
    snprintf(to, sizeof to, "%s/out/one", dir);
    int fd = open(from, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "x", 1) != 1 || fdatasync(fd) != 0 || close(fd) != 0)
        return errno;
    return result(rename(from, to)) != 0 ? errno : result(unlink(to));
}

static int make_directory(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/new", dir);
    return result(mkdir(path, 0700));
}

static int read_input(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/out/input", dir);
    return result(open(path, O_RDONLY));
}

static int write_input(void)
{
    char path[100];

    snprintf(path, sizeof path, "%s/out/input", dir);
    return result(open(path, O_WRONLY));
}

static int say_undumpable(void)
{
    return strstr(summary, " undumpable") != NULL;
}

static int too_long_a_file(void)
{
    static char block[8192];
    char path[100];

    snprintf(path, sizeof path, "%s/long", dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd >= 0 && write(fd, block, sizeof block) == 4096 && write(fd, block, 1) < 0 ? errno : 0;
}

static int nothing(void)
{
    return 0;
}

static bool have_landlock, have_seccomp;

static int group_setup(void **state)
{
    char path[100];
    struct err e;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/out", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/out/input", dir);
    assert_int_equal(file_publish(path, "x", 1, 0600, &e), 0);
    const struct sandbox s = { .threads_allowed = 1 };
    have_landlock = inside(&s, say_landlock) == 1;
    have_seccomp = inside(&s, say_seccomp) == 1;
    print_message("landlock: %s, seccomp: %s\n", have_landlock ? "yes" : "NO, SKIPPED",
                  have_seccomp ? "yes" : "NO, SKIPPED");
    return 0;
}

static int group_teardown(void **state)
{
    struct err e;

    (void)state;
    return file_remove_tree(dir, &e);
}

static void test_no_file_of_others_opens(void **state)
{
    const struct sandbox all = { .write_dir = dir }, none = { 0 };

    (void)state;
    if (!have_landlock)
        skip();
    assert_int_equal(inside(&all, open_passwd), EACCES);
    assert_int_equal(inside(&none, open_passwd), have_seccomp ? EPERM : EACCES);
}

static void test_attacks_kill(void **state)
{
    const struct sandbox s = { .write_dir = dir, .threads_allowed = 1 };

    (void)state;
    if (!have_seccomp)
        skip();
    assert_int_equal(inside(&s, make_socket), KILLED + SIGSYS);
    assert_int_equal(inside(&s, execute), KILLED + SIGSYS);
    assert_int_equal(inside(&s, trace), KILLED + SIGSYS);
}

static void test_threads_only_when_allowed(void **state)
{
    const struct sandbox with = { .threads_allowed = 1 }, without = { 0 };

    (void)state;
    assert_int_equal(inside(&with, make_thread), 0);
    if (!have_seccomp)
        skip();
    assert_int_equal(inside(&with, make_process), EPERM);
    assert_int_equal(inside(&without, make_process), EPERM);
    assert_int_equal(inside(&without, make_thread), EAGAIN);
}

static void test_files_are_published_in_write_dir(void **state)
{
    const struct sandbox s = { .write_dir = dir };

    (void)state;
    assert_int_equal(inside(&s, publish), 0);
    assert_int_equal(inside(&s, rename_into_out), 0);
    if (have_landlock || have_seccomp)
        assert_int_not_equal(inside(&s, make_directory), 0);
}

static void test_read_dir_is_for_reading(void **state)
{
    char out[100], input[100];

    (void)state;
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(input, sizeof input, "%s/out/input", dir);
    const struct sandbox below = { .read_dir = out }, alone = { .read_dir = input };

    assert_int_equal(inside(&below, read_input), 0);
    assert_int_equal(inside(&alone, read_input), 0);
    if (!have_landlock)
        skip();
    assert_int_not_equal(inside(&below, write_input), 0);
    assert_int_not_equal(inside(&alone, write_input), 0);
    assert_int_not_equal(inside(&below, publish), 0);
}

static void test_limits(void **state)
{
    const struct sandbox s = { .write_dir = dir, .file_bytes = 4096 };

    (void)state;
    assert_int_equal(inside(&s, too_long_a_file), EFBIG);
    if (have_seccomp) /* no sanitizer */
        assert_int_equal(inside(&s, say_undumpable), 1);
}

static void test_missing_directory_is_an_error(void **state)
{
    const struct sandbox s = { .write_dir = "/nonexistent/quantd" };

    (void)state;
    if (!have_landlock)
        skip();
    assert_int_equal(inside(&s, nothing), ENTER_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_file_of_others_opens),
        cmocka_unit_test(test_attacks_kill),
        cmocka_unit_test(test_threads_only_when_allowed),
        cmocka_unit_test(test_files_are_published_in_write_dir),
        cmocka_unit_test(test_read_dir_is_for_reading),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_missing_directory_is_an_error),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
