/* Options: defaults, file, command line, in that order; and every way to get them wrong. */
#include "tests/unit/temp.h"

#include "server/config.h"
#include "server/guard.h"

static int parse(struct invocation *inv, struct err *e, int argc, const char *const *argv)
{
    return config_parse(argc, (char *const *)(uintptr_t)argv, inv, e);
}

#define PARSE(inv, e, ...)                                                                                   \
    parse(inv, e, (int)(sizeof(const char *[]){ "quantd", __VA_ARGS__ } / sizeof(char *)),                   \
          (const char *const[]){ "quantd", __VA_ARGS__, NULL })

static void defaults(void **state)
{
    (void)state;
    struct invocation inv;
    const char *argv[] = { "quantd", NULL };
    assert_int_equal(parse(&inv, NULL, 1, argv), 0);
    assert_int_equal(inv.command, COMMAND_SERVE);
    assert_string_equal(inv.config.listen, "127.0.0.1:8420");
    assert_int_equal(inv.config.upload_max, (int64_t)8 << 30);
    assert_int_equal(inv.config.disk_floor, 256 << 20);
    assert_int_equal(inv.config.grace, 10);
    assert_int_equal(inv.config.slots, 0);
    assert_string_equal(inv.config.worker, "");
}

static void command_line(void **state)
{
    (void)state;
    struct invocation inv;
    assert_int_equal(PARSE(&inv, NULL, "--slots", "3", "--listen=[::1]:0", "--webui="), 0);
    assert_int_equal(inv.config.slots, 3);
    assert_string_equal(inv.config.listen, "[::1]:0");
    assert_int_equal(PARSE(&inv, NULL, "--add-token", "anna", "--data", "d"), 0);
    assert_int_equal(inv.command, COMMAND_ADD_TOKEN);
    assert_string_equal(inv.token_name, "anna");
    assert_string_equal(inv.config.data, "d");
    assert_int_equal(PARSE(&inv, NULL, "--check"), 0);
    assert_int_equal(inv.command, COMMAND_CHECK);
}

static void file_then_command_line(void **state)
{
    struct invocation inv;
    struct err e = { 0 };
    const char *path = temp_path(*state, "quantd.conf");
    static const char text[] = "# comment\n\n slots = 2 \r\ngrace=30\nlisten = 0.0.0.0:80\nwebui =";
    assert_int_equal(file_publish(path, text, sizeof text - 1, 0600, &e), 0);
    assert_int_equal(PARSE(&inv, &e, "--grace", "5", "--config", path), 0);
    assert_int_equal(inv.config.slots, 2);
    assert_int_equal(inv.config.grace, 5); /* the command line wins wherever it stands */
    assert_string_equal(inv.config.listen, "0.0.0.0:80");
    assert_int_equal(PARSE(&inv, &e, "--config", temp_path(*state, "missing")), ERR_NOT_FOUND);
}

static void bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } cases[] = {
        { "slots = 2\nslot = 3\n", "line 2: there is no option \"slot\"" },
        { "slots = many", "line 1: slots must be a whole number from 0 to 4096" },
        { "slots = 2.5", "not \"2.5\"" },
        { "slots", "not of the form" },
        { "= 2", "no option \"\"" },
        { "listen =", "must not be empty" },
        { "log-level = loud", "error, warn, info or debug" },
        { "upload-max = 0", "from 1 to" },
        { "config = other", "no option \"config\"" },
        { "check = 1", "no option" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct config c;
        struct err e = { 0 };
        config_defaults(&c);
        assert_true(config_text(&c, cases[i].text, strlen(cases[i].text), &e) < 0);
        if (!strstr(e.text, cases[i].says))
            fail_msg("\"%s\" gives \"%s\"", cases[i].text, e.text);
    }
}

static void bad_arguments(void **state)
{
    (void)state;
    struct invocation inv;
    struct err e = { 0 };
    assert_true(PARSE(&inv, &e, "serve") < 0);
    assert_true(PARSE(&inv, &e, "--nothing") < 0);
    assert_true(PARSE(&inv, &e, "--slots") < 0);
    assert_true(PARSE(&inv, &e, "--slots", "-1") < 0);
    assert_true(PARSE(&inv, &e, "--check=1") < 0);
    assert_true(PARSE(&inv, &e, "--add-token") < 0);
    assert_true(PARSE(&inv, &e, "--add-token", "") < 0);
    assert_true(PARSE(&inv, &e, "-v") < 0);
    assert_true(PARSE(&inv, &e, "--") < 0);
}

static void guard(void **state)
{
    (void)state;
    assert_true(guard_host_is_local("localhost"));
    assert_true(guard_host_is_local("LOCALHOST:8420"));
    assert_true(guard_host_is_local("127.0.0.1:1"));
    assert_true(guard_host_is_local("[::1]:8420"));
    assert_false(guard_host_is_local("localhost.evil.example"));
    assert_false(guard_host_is_local("127.0.0.1.evil.example"));
    assert_false(guard_host_is_local("10.0.0.1"));
    assert_false(guard_host_is_local(""));
    assert_false(guard_host_is_local("[::2]"));
    assert_false(guard_host_is_local("[::1"));
    assert_true(guard_origin_matches("http://localhost:8420", "localhost:8420"));
    assert_false(guard_origin_matches("http://localhost:3000", "localhost:8420"));
    assert_false(guard_origin_matches("null", "localhost:8420"));
    assert_false(guard_origin_matches("http://localhost:8420", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(command_line),
        cmocka_unit_test_setup_teardown(file_then_command_line, temp_setup, temp_teardown),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(bad_arguments),
        cmocka_unit_test(guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
