/* What piles up while a job runs: curves and events; and the small tables, artifacts and tokens. */
#include "tests/unit/store.h"

#include "storage/event.h"
#include "storage/metric.h"
#include "storage/token.h"

#include <math.h>

static void add_curve(struct store *s, int64_t job, const char *series, int points)
{
    struct metric *m = calloc((size_t)points, sizeof *m);
    for (int i = 0; i < points; i++) {
        snprintf(m[i].series, sizeof m[i].series, "%s", series);
        m[i].step = 10 * i;
        m[i].value = 0.5 * i;
    }
    assert_ok(s, metric_add(s->db, job, m, points, &s->e));
    free(m);
}

static void metrics(void **state)
{
    struct store *s = *state;
    struct metric *list, m = { "loss", 10, 99.5 };
    char(*names)[48];
    int count;
    int64_t id = store_add(s, 0, 1), other = store_add(s, 0, 1);
    add_curve(s, id, "top1", 3);
    add_curve(s, id, "loss", 3);
    add_curve(s, other, "loss", 9);
    assert_ok(s, metric_add(s->db, id, &m, 1, &s->e)); /* replaces */
    assert_ok(s, metric_series(s->db, id, &names, &count, &s->e));
    assert_int_equal(count, 2);
    assert_string_equal(names[0], "top1");
    assert_string_equal(names[1], "loss");
    free(names);
    assert_ok(s, metric_list(s->db, id, NULL, 0, &list, &count, &s->e));
    assert_int_equal(count, 6);
    assert_string_equal(list[0].series, "top1");
    assert_string_equal(list[4].series, "loss");
    assert_int_equal(list[4].step, 10);
    assert_true(list[4].value == 99.5 && list[5].value == 1.0);
    free(list);
    assert_ok(s, metric_list(s->db, id, "none", 0, &list, &count, &s->e));
    assert_int_equal(count, 0);
    free(list);
}

/* All or nothing, and no NaN: it would come back as something else. */
static void metrics_refused(void **state)
{
    struct store *s = *state;
    struct metric *list, m[2] = { { "loss", 0, 1 }, { "loss", 1, NAN } };
    int count;
    int64_t id = store_add(s, 0, 1);
    assert_int_equal(metric_add(s->db, id, m, 2, &s->e), ERR_INVALID);
    m[1].value = INFINITY;
    assert_int_equal(metric_add(s->db, id, m, 2, &s->e), ERR_INVALID);
    assert_true(metric_add(s->db, 99, m, 1, &s->e) < 0);
    assert_ok(s, metric_list(s->db, id, NULL, 0, &list, &count, &s->e));
    assert_int_equal(count, 0);
    free(list);
}

static void thinning(void **state)
{
    struct store *s = *state;
    static const int sizes[] = { 1, 2, 3, 7, 100, 101, 999 }, wanted[] = { 1, 2, 3, 5, 10, 100, 2000 };
    struct metric *list;
    int count;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t id = store_add(s, 0, 1);
        add_curve(s, id, "a", sizes[i]);
        add_curve(s, id, "b", 4);
        for (size_t w = 0; w < sizeof wanted / sizeof wanted[0]; w++) {
            int most = wanted[w] < 2 ? 2 : wanted[w], expected = sizes[i] < most ? sizes[i] : most,
                widest = 0;
            assert_ok(s, metric_list(s->db, id, "a", wanted[w], &list, &count, &s->e));
            assert_int_equal(count, expected);
            assert_int_equal(list[0].step, 0);
            assert_int_equal(list[count - 1].step, 10 * (sizes[i] - 1));
            for (int k = 1; k < count; k++) {
                int gap = (int)(list[k].step - list[k - 1].step) / 10;
                assert_true(gap >= 1);
                widest = gap > widest ? gap : widest;
            }
            if (count > 1)
                assert_true(widest <= (sizes[i] - 1) / (count - 1) + 1);
            free(list);
            assert_ok(s, metric_list(s->db, id, NULL, wanted[w], &list, &count, &s->e));
            assert_int_equal(count, expected + (4 < most ? 4 : most));
            free(list);
        }
    }
}

static int events(struct store *s, int64_t job, int64_t after, int limit, int64_t *last)
{
    struct event *list;
    int count;
    assert_ok(s, event_list(s->db, job, after, limit, &list, &count, &s->e));
    for (int i = 0; i < count; i++) {
        assert_true(list[i].seq > after);
        after = list[i].seq;
        event_free(&list[i]);
    }
    *last = after;
    free(list);
    return count;
}

static void event_log(void **state)
{
    struct store *s = *state;
    int64_t seq, last, end;
    int64_t a = store_add(s, 0, 1), b = store_add(s, 0, 1);
    for (int i = 0; i < 20; i++)
        assert_ok(s, event_add(s->db, i % 2 ? a : b, i % 4 < 2 ? "progress" : "log", "{}", &seq, &s->e));
    assert_ok(s, event_last(s->db, &end, &s->e));
    assert_int_equal(end, seq);
    assert_int_equal(events(s, 0, 0, 100, &last), 22);
    assert_int_equal(last, end);
    assert_int_equal(events(s, a, 0, 100, &last), 11);
    assert_int_equal(events(s, 0, end - 5, 100, &last), 5);
    assert_int_equal(events(s, 0, 0, 7, &last), 7);
    assert_int_equal(events(s, 0, last, 100, &last), 15);
    assert_int_equal(events(s, 0, end, 100, &last), 0);

    assert_ok(s, event_trim(s->db, a, 2, &s->e)); /* 5 progress of a: 3 go; its state and log events stay */
    assert_int_equal(events(s, a, 0, 100, &last), 8);
    assert_int_equal(events(s, b, 0, 100, &last), 11);
    assert_ok(s, event_trim(s->db, a, 2, &s->e));
    assert_int_equal(events(s, a, 0, 100, &last), 8);
    assert_ok(s, event_trim(s->db, a, 0, &s->e));
    assert_int_equal(events(s, a, 0, 100, &last), 6);
    assert_true(event_add(s->db, 99, "log", "{}", &seq, &s->e) < 0);
    assert_true(event_add(s->db, a, "a type that is too long", "{}", &seq, &s->e) < 0);
}

/* A number that a client has seen never means another event, also after the newest are gone and after a
 * restart. */
static void event_numbers_rise(void **state)
{
    struct store *s = *state;
    int64_t seq, next, last;
    assert_ok(s, event_last(s->db, &last, &s->e));
    assert_int_equal(last, 0);
    int64_t id = store_add(s, 0, 1);
    assert_ok(s, event_add(s->db, id, "progress", "{}", &seq, &s->e));
    assert_ok(s, event_trim(s->db, id, 0, &s->e));
    store_reopen(s);
    assert_ok(s, event_last(s->db, &last, &s->e));
    assert_int_equal(last, seq);
    assert_ok(s, event_add(s->db, id, "progress", "{}", &next, &s->e));
    assert_int_equal(next, seq + 1);
}

static void artifacts(void **state)
{
    struct store *s = *state;
    struct artifact a, *list;
    int count;
    int64_t id = store_add(s, 0, 1);
    const char *one = store_blob(s, "one"), *two = store_blob(s, "twotwo");
    assert_ok(s, artifact_add(s->db, id, "model.onnx", one, &s->e));
    assert_ok(s, artifact_add(s->db, id, "curves.csv", one, &s->e));
    assert_ok(s, artifact_add(s->db, id, "model.onnx", two, &s->e)); /* replaces */
    assert_ok(s, artifact_get(s->db, id, "model.onnx", &a, &s->e));
    assert_string_equal(a.hash, two);
    assert_int_equal(a.size, 6);
    assert_int_equal(artifact_get(s->db, id, "none", &a, &s->e), ERR_NOT_FOUND);
    assert_ok(s, artifact_list(s->db, id, &list, &count, &s->e));
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name, "curves.csv");
    free(list);
    static const char *const bad[] = { "", "../x", ".x", "a b",
                                       "a-name-that-is-longer-than-the-sixty-three-characters-that-fit-in" };
    for (int i = 0; i < 5; i++)
        assert_int_equal(artifact_add(s->db, id, bad[i], one, &s->e), ERR_INVALID);
    assert_int_equal(artifact_add(s->db, id, "x", "sha256:none", &s->e), ERR_NOT_FOUND);
    assert_true(artifact_add(s->db, 99, "x", one, &s->e) < 0);
}

static void tokens(void **state)
{
    struct store *s = *state;
    char text[TOKEN_TEXT], second[TOKEN_TEXT], name[64] = "";
    char longest[65];
    int64_t count;
    assert_ok(s, token_add(s->db, "lab", text, &s->e));
    assert_int_equal(strlen(text), TOKEN_TEXT - 1);
    assert_memory_equal(text, "qd_", 3);
    assert_int_equal(token_add(s->db, "lab", second, &s->e), ERR_CONFLICT);
    assert_string_equal(second, "");
    assert_ok(s, token_add(s->db, "other", second, &s->e));
    assert_ok(s, token_check(s->db, text, name, &s->e));
    assert_string_equal(name, "lab");
    assert_ok(s, token_check(s->db, second, name, &s->e));
    assert_string_equal(name, "other");
    text[10] = text[10] == '0' ? '1' : '0';
    assert_int_equal(token_check(s->db, text, name, &s->e), ERR_AUTH);
    assert_int_equal(token_check(s->db, "", name, &s->e), ERR_AUTH);
    assert_ok(s, token_count(s->db, &count, &s->e));
    assert_int_equal(count, 2);
    assert_ok(s, token_revoke(s->db, "other", &s->e));
    assert_int_equal(token_revoke(s->db, "other", &s->e), ERR_NOT_FOUND);
    assert_int_equal(token_check(s->db, second, name, &s->e), ERR_AUTH);
    memset(longest, 'n', 64);
    longest[64] = '\0';
    const char *const bad[] = { longest, "", " ", "lab ", " lab", "a\nb", "\xff", "\xe2\x80\xaelab" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(token_add(s->db, bad[i], second, &s->e), ERR_INVALID);
    longest[63] = '\0';
    assert_ok(s, token_add(s->db, longest, second, &s->e));
    assert_ok(s, token_add(s->db, "Zo\xc3\xab Lab", second, &s->e));
    assert_ok(s, token_check(s->db, second, name, &s->e));
    assert_string_equal(name, "Zo\xc3\xab Lab");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(metrics),   IN_STORE(metrics_refused),    IN_STORE(thinning),
        IN_STORE(event_log), IN_STORE(event_numbers_rise), IN_STORE(artifacts),
        IN_STORE(tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
