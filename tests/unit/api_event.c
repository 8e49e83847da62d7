/* Lines of events.jsonl: what is applied and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "\"seq\":7,\"time\":1000,\"attempt\":2"

static void good_lines(void **state)
{
    static const char *const lines[] = {
        "{" HEAD ",\"t\":\"hello\"}",
        "{" HEAD ",\"t\":\"hello\",\"version\":\"0.1\",\"threads\":2,\"pid\":9,\"sandbox\":{\"landlock\":5},"
        "\"new\":[1]}",
        "{" HEAD ",\"t\":\"phase\",\"phase\":\"train\"}",
        "{" HEAD ",\"t\":\"progress\",\"step\":0,\"steps\":10,\"eta_s\":null}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"conv1/msqe_a.B-9\",\"step\":3,\"value\":-1e-3}",
        "{" HEAD ",\"t\":\"artifact\",\"name\":\"model.onnx\",\"bytes\":5}",
        "{" HEAD ",\"t\":\"log\",\"text\":\"hi\"}",
        "{" HEAD ",\"t\":\"warning\",\"text\":\"hm\",\"code\":\"x\"}",
        "{" HEAD ",\"t\":\"error\",\"text\":\"no\",\"code\":\"DIVERGED\",\"place\":\"\"}",
        "{" HEAD ",\"t\":\"done\",\"value\":0.99,\"metric\":\"top1\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct worker_event ev;
        struct err e = { 0 };
        if (worker_event_parse(lines[i], strlen(lines[i]), &ev, &e) != 0)
            print_error("%s: %s\n", lines[i], e.text);
        assert_int_equal(e.code, 0);
        assert_int_equal(ev.seq, 7);
        assert_int_equal(ev.time_ms, 1000);
        assert_int_equal(ev.attempt, 2);
        worker_event_release(&ev);
    }
}

static void fields(void **state)
{
    static const char metric[] = "{" HEAD ",\"t\":\"metric\",\"series\":\"loss\",\"step\":3,\"value\":2}";
    static const char progress[] = "{" HEAD ",\"t\":\"progress\",\"step\":3,\"steps\":9,\"eta_s\":1.5}";
    static const char unknown[] = "{" HEAD ",\"t\":\"progress\",\"step\":3,\"steps\":9}";
    struct worker_event ev;

    (void)state;
    assert_int_equal(worker_event_parse(metric, strlen(metric), &ev, NULL), 0);
    assert_int_equal(ev.type, WORKER_EVENT_METRIC);
    assert_string_equal(ev.series, "loss");
    assert_int_equal(ev.step, 3);
    assert_true(ev.value == 2);
    worker_event_release(&ev);
    assert_int_equal(worker_event_parse(progress, strlen(progress), &ev, NULL), 0);
    assert_int_equal(ev.steps, 9);
    assert_true(ev.eta_s == 1.5);
    worker_event_release(&ev);
    assert_int_equal(worker_event_parse(unknown, strlen(unknown), &ev, NULL), 0);
    assert_true(ev.eta_s < 0);
    worker_event_release(&ev);
    assert_null(ev.object);
}

static void bad_lines(void **state)
{
    static const char *const lines[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{" HEAD "}",
        "{" HEAD ",\"t\":5}",
        "{" HEAD ",\"t\":\"party\"}",
        "{" HEAD ",\"t\":\"log\",\"text\":\"a\"} {",
        "{" HEAD ",\"seq\":8,\"t\":\"log\",\"text\":\"a\"}",
        "{\"time\":1,\"attempt\":1,\"t\":\"hello\"}",
        "{\"seq\":0,\"time\":1,\"attempt\":1,\"t\":\"hello\"}",
        "{\"seq\":-4,\"time\":1,\"attempt\":1,\"t\":\"hello\"}",
        "{\"seq\":1.0,\"time\":1,\"attempt\":1,\"t\":\"hello\"}",
        "{\"seq\":1,\"time\":-1,\"attempt\":1,\"t\":\"hello\"}",
        "{\"seq\":1,\"time\":1,\"attempt\":3000000000,\"t\":\"hello\"}",
        "{\"seq\":99999999999999999999,\"time\":1,\"attempt\":1,\"t\":\"hello\"}",
        "{" HEAD ",\"t\":\"phase\"}",
        "{" HEAD ",\"t\":\"phase\",\"phase\":null}",
        "{" HEAD ",\"t\":\"progress\",\"step\":-1,\"steps\":9}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"loss\",\"step\":3}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"loss\",\"step\":3,\"value\":null}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"loss\",\"step\":3,\"value\":NaN}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"loss\",\"step\":3,\"value\":1e999}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"loss\",\"step\":3.5,\"value\":1}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"\",\"step\":3,\"value\":1}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"a b\",\"step\":3,\"value\":1}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"a,b\",\"step\":3,\"value\":1}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"\xc3\xa9\",\"step\":3,\"value\":1}",
        "{" HEAD ",\"t\":\"metric\",\"series\":\"123456789012345678901234567890123456789012345678\",\"step\":"
        "3,\"value\":1}",
        "{" HEAD ",\"t\":\"error\",\"text\":\"no\"}",
        "{" HEAD ",\"t\":\"log\",\"text\":7}",
        "{" HEAD ",\"t\":\"hello\",\"x\":[[[[[[[[[1]]]]]]]]]}",
        "{" HEAD ",\"t\":\"log\",\"text\":\"\\u0000\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct worker_event ev;
        struct err e = { 0 };
        if (worker_event_parse(lines[i], strlen(lines[i]), &ev, &e) != ERR_CORRUPT)
            print_error("%s was taken\n", lines[i]);
        assert_int_equal(e.code, ERR_CORRUPT);
        assert_true(e.text[0]);
        assert_null(ev.object);
    }
}

static void length_limit(void **state)
{
    struct worker_event ev;
    struct err e = { 0 };
    char *line = malloc(EVENT_LINE_MAX + 100);
    int head = sprintf(line, "{" HEAD ",\"t\":\"log\",\"text\":\"");

    (void)state;
    memset(line + head, 'x', (size_t)(EVENT_LINE_MAX - head - 2));
    strcpy(line + EVENT_LINE_MAX - 2, "\"}");
    assert_int_equal(worker_event_parse(line, EVENT_LINE_MAX, &ev, &e), 0);
    worker_event_release(&ev);
    memset(line + head, 'x', EVENT_LINE_MAX);
    assert_int_equal(worker_event_parse(line, EVENT_LINE_MAX + 1, &ev, &e), ERR_CORRUPT);
    free(line);
}

static void names(void **state)
{
    (void)state;
    assert_string_equal(worker_event_text(WORKER_EVENT_HELLO), "hello");
    assert_string_equal(worker_event_text(WORKER_EVENT_DONE), "done");
    assert_string_equal(worker_event_text(WORKER_EVENT_COUNT), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),   cmocka_unit_test(fields), cmocka_unit_test(bad_lines),
        cmocka_unit_test(length_limit), cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
