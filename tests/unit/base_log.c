/* Log lines: form, level, cap, and that nobody can forge a second line. */
#include "tests/unit/temp.h"

#include "base/log.h"

#include <fcntl.h>
#include <unistd.h>

static int saved = -1;
static char content[20000];

static void capture(void *dir)
{
    fflush(stderr);
    saved = dup(STDERR_FILENO);
    int fd = open(temp_path(dir, "log"), O_RDWR | O_CREAT | O_TRUNC, 0600);
    dup2(fd, STDERR_FILENO);
    close(fd);
}

static void release(void)
{
    lseek(STDERR_FILENO, 0, SEEK_SET);
    ssize_t n = read(STDERR_FILENO, content, sizeof content - 1);
    content[n > 0 ? n : 0] = '\0';
    dup2(saved, STDERR_FILENO);
    close(saved);
}

static int count(const char *needle)
{
    int n = 0;
    for (const char *p = content; (p = strstr(p, needle)); p++)
        n++;
    return n;
}

static void form(void **state)
{
    capture(*state);
    log_info("started port=%d", 8420);
    log_debug("not seen");
    log_set_level(LOG_DEBUG);
    log_debug("seen");
    log_set_level(LOG_ERROR);
    log_warn("not seen");
    log_error("bad text=%s", "a\nb\x1b");
    log_set_level(LOG_INFO);
    release();
    assert_int_equal(count("\n"), 3);
    assert_int_equal(count("not seen"), 0);
    assert_int_equal(count("Z info started port=8420\n"), 1);
    assert_int_equal(count("Z debug seen\n"), 1);
    assert_int_equal(count("Z error bad text=a b \n"), 1);
}

static void long_lines(void **state)
{
    char text[9000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture(*state);
    log_info("%s", text);
    log_info("next");
    release();
    assert_int_equal(count("\n"), 2);
    assert_int_equal(strcspn(content, "\n"), 4095);
    assert_int_equal(count("info next\n"), 1);
}

static void cap(void **state)
{
    capture(*state);
    log_set_cap(500);
    for (int i = 0; i < 100; i++)
        log_info("line %d", i);
    log_set_cap(0);
    log_info("again");
    release();
    assert_true(count("line ") >= 5 && count("line ") <= 20);
    assert_int_equal(count("log is full"), 1);
    assert_int_equal(count("info again\n"), 1);
}

static void levels(void **state)
{
    (void)state;
    assert_int_equal(log_parse_level("error"), LOG_ERROR);
    assert_int_equal(log_parse_level("debug"), LOG_DEBUG);
    assert_int_equal(log_parse_level("loud"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(form, temp_setup, temp_teardown),
        cmocka_unit_test_setup_teardown(long_lines, temp_setup, temp_teardown),
        cmocka_unit_test_setup_teardown(cap, temp_setup, temp_teardown),
        cmocka_unit_test(levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
