#include "worker/events.h"

#include "api/event.h"
#include "base/file.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/quantd-events-XXXXXX", path[100];

static int group_setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/events.jsonl", dir);
    return 0;
}

static int group_teardown(void **state)
{
    struct err e;

    (void)state;
    return file_remove_tree(dir, &e);
}

static int setup(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

static struct events *begin(int attempt)
{
    struct events *ev;
    struct err e;

    assert_int_equal(events_open(dir, attempt, "tok", &ev, &e), 0);
    return ev;
}

/* Parse every line as the server does; *last gets the last one (release it), the return value is their
 * number. The numbers must rise by one. */
static int read_back(struct worker_event *last)
{
    char *text;
    size_t length;
    struct err e;
    int count = 0;

    assert_int_equal(file_load(path, 16 << 20, &text, &length, &e), 0);
    for (char *p = text, *end; p < text + length; p = end + 1) {
        end = memchr(p, '\n', (size_t)(text + length - p));
        assert_non_null(end);
        if (count++ > 0)
            worker_event_release(last);
        if (worker_event_parse(p, (size_t)(end - p), last, &e) != 0)
            fail_msg("%s", e.text);
        assert_int_equal(last->seq, count);
    }
    free(text);
    return count;
}

static void append(const char *text, size_t length)
{
    FILE *f = fopen(path, "ae");

    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, length, f), length);
    fclose(f);
}

static void test_lines_are_what_the_server_reads(void **state)
{
    struct worker_event last;
    struct events *ev = begin(2);

    (void)state;
    events_emit(ev, "hello", json_pack("{s:s}", "version", "0"));
    events_phase(ev, "train");
    events_progress(ev, 1, 10, -1);
    events_log(ev, "info", "line %d of \xff\xfe \n \"quoted\"", 1);
    events_emit(ev, "done", NULL);
    events_metric(ev, "loss", 7, 0.25);
    events_close(ev);
    assert_int_equal(read_back(&last), 6);
    assert_int_equal(last.attempt, 2);
    assert_int_equal(last.type, WORKER_EVENT_METRIC);
    assert_string_equal(last.series, "loss");
    assert_int_equal(last.step, 7);
    assert_true(last.value == 0.25);
    worker_event_release(&last);
}

static void test_seq_goes_on_after_a_torn_line(void **state)
{
    static const char torn[] = "{\"seq\":3,\"t\":\"metr";
    struct worker_event last;
    struct events *ev = begin(1);

    (void)state;
    events_phase(ev, "load");
    events_phase(ev, "train");
    events_close(ev);
    append(torn, sizeof torn - 1);
    ev = begin(2);
    events_phase(ev, "train");
    events_close(ev);
    assert_int_equal(read_back(&last), 3);
    assert_int_equal(last.attempt, 2);
    worker_event_release(&last);
}

static void test_resume_among_many_lines(void **state)
{
    struct worker_event last;
    struct events *ev = begin(1);

    (void)state;
    for (int i = 0; i < 4000; i++)
        events_metric(ev, "loss", i, i);
    events_close(ev);
    ev = begin(2);
    events_metric(ev, "loss", 4000, 0);
    events_close(ev);
    assert_int_equal(read_back(&last), 4001);
    worker_event_release(&last);
}

static void test_zeros_at_the_end_are_passed_over(void **state)
{
    char *text;
    size_t length;
    struct err e;
    struct events *ev = begin(1);

    (void)state;
    events_phase(ev, "load");
    events_close(ev);
    append("\0\0\0\0\n\0\0", 7);
    ev = begin(2);
    events_phase(ev, "load");
    events_close(ev);
    assert_int_equal(file_load(path, 1 << 20, &text, &length, &e), 0);
    assert_non_null(memmem(text, length, "{\"seq\":2,", 9));
    free(text);
}

static void test_a_file_of_nothing_is_refused(void **state)
{
    static char zeros[1 << 18];
    struct events *ev;
    struct err e;

    (void)state;
    append(zeros, sizeof zeros);
    assert_int_equal(events_open(dir, 1, "", &ev, &e), ERR_CORRUPT);
    assert_null(ev);
    events_close(NULL);
}

/* Read back as the daemon does. */
static void test_any_name_of_a_layer_makes_a_series(void **state)
{
    static const struct {
        const char *series, *read;
    } rows[] = {
        { "loss", "loss" },
        { "sparsity.conv 1:0+\u00e9", "sparsity.conv_1_0___" },
        { "sparsity./a/0123456789/0123456789/0123456789/conv1/Conv",
          "sparsity.56789/0123456789/0123456789/conv1/Conv" },
        { "012345678901234567890123456789012345678901234567",
          "12345678901234567890123456789012345678901234567" },
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct worker_event last;
        struct events *ev = begin(1 + (int)i);
        events_metric(ev, rows[i].series, 1, 0.5);
        events_close(ev);
        assert_int_equal(read_back(&last), 1 + (int)i);
        assert_string_equal(last.series, rows[i].read);
        worker_event_release(&last);
    }
}

static void test_not_finite_warns_once(void **state)
{
    struct worker_event last;
    struct events *ev = begin(1);

    (void)state;
    events_metric(ev, "loss", 1, NAN);
    events_metric(ev, "loss", 2, INFINITY);
    events_metric(ev, "top1", 2, -INFINITY);
    events_metric(ev, "loss", 3, 1.0);
    events_close(ev);
    assert_int_equal(read_back(&last), 3);
    assert_int_equal(last.type, WORKER_EVENT_METRIC);
    worker_event_release(&last);
}

static void test_too_long_becomes_a_warning(void **state)
{
    struct worker_event last;
    struct events *ev = begin(1);
    char *text = calloc(1, EVENT_LINE_MAX + 1);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', EVENT_LINE_MAX);
    events_emit(ev, "log", json_pack("{s:s}", "text", text));
    events_log(ev, "info", "%s", text); /* this one is cut */
    events_close(ev);
    free(text);
    assert_int_equal(read_back(&last), 2);
    assert_int_equal(last.type, WORKER_EVENT_LOG);
    worker_event_release(&last);
}

/* A full disk: lines that do not fit leave no trace and no gap. */
static void test_short_write_is_taken_back(void **state)
{
    struct rlimit old, small = { 150, 0 };
    struct worker_event last;
    struct events *ev = begin(1);

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 4; i++)
        events_phase(ev, "train");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    events_phase(ev, "train");
    events_close(ev);
    assert_int_equal(read_back(&last), 3);
    worker_event_release(&last);
}

static void *chatter(void *arg)
{
    for (int i = 0; i < 500; i++)
        events_metric(arg, "loss", i, i);
    return NULL;
}

static void test_threads_do_not_mix_lines(void **state)
{
    pthread_t thread[4];
    struct worker_event last;
    struct events *ev = begin(1);

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, chatter, ev), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    events_close(ev);
    assert_int_equal(read_back(&last), 2000);
    worker_event_release(&last);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_lines_are_what_the_server_reads, setup),
        cmocka_unit_test_setup(test_seq_goes_on_after_a_torn_line, setup),
        cmocka_unit_test_setup(test_resume_among_many_lines, setup),
        cmocka_unit_test_setup(test_zeros_at_the_end_are_passed_over, setup),
        cmocka_unit_test_setup(test_a_file_of_nothing_is_refused, setup),
        cmocka_unit_test_setup(test_any_name_of_a_layer_makes_a_series, setup),
        cmocka_unit_test_setup(test_not_finite_warns_once, setup),
        cmocka_unit_test_setup(test_too_long_becomes_a_warning, setup),
        cmocka_unit_test_setup(test_short_write_is_taken_back, setup),
        cmocka_unit_test_setup(test_threads_do_not_mix_lines, setup),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
