/* Swept parameters: what is refused and where, and the specification of every combination. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api_capabilities.h"

#include "api/axes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void refused(void **state)
{
    static const struct {
        const char *sweep, *pointer, *code;
        bool readable; /* once stored it stays so: only what is made anew must be known and allowed */
    } cases[] = {
        { "[]", "/sweep", "type", false },
        { "{}", "/sweep", "type", false },
        { "{\"train.sead\":[1]}", "/sweep/train.sead", "unknown_key", true },
        { "{\"\":[1]}", "/sweep/", "unknown_key", false },
        { "{\"train\":[1]}", "/sweep/train", "unknown_key", true },
        { "{\"/train/seed\":[1]}", "/sweep//train/seed", "unknown_key", false },
        { "{\"overrides\":[[]]}", "/sweep/overrides", "unknown_key", true },
        { "{\"overrides.*.match\":[\"a\"]}", "/sweep/overrides.*.match", "unknown_key", false },
        { "{\"train.seed\":3}", "/sweep/train.seed", "type", false },
        { "{\"train.seed\":[]}", "/sweep/train.seed", "type", false },
        { "{\"train.seed\":[1,-1]}", "/sweep/train.seed/1", "range", true },
        { "{\"train.seed\":[1,\"2\"]}", "/sweep/train.seed/1", "type", true },
        { "{\"train.seed\":[7,1,7]}", "/sweep/train.seed/2", "range", true },
        { "{\"quantize.method\":[\"nosuch\"]}", "/sweep/quantize.method/0", "enum", true },
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *sweep = json_loads(cases[i].sweep, 0, NULL);
        struct spec_problems p = { .count = 0 };
        struct axes a;
        assert_int_equal(axes_read(sweep, &a, &p), cases[i].readable);
        assert_false(cases[i].readable && axes_check(&a, capabilities, &p));
        assert_int_equal(p.count, 1);
        assert_string_equal(p.problem[0].pointer, cases[i].pointer);
        assert_string_equal(p.problem[0].code, cases[i].code);
        json_decref(sweep);
    }
}

/* 17 times 17 values are more than 256 jobs; 300 are more than one parameter may have. */
static void too_many(void **state)
{
    static const int counts[] = { 17, 300 };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        json_t *seeds = json_array(), *priorities = json_array();
        for (int v = 0; v < counts[i]; v++) {
            json_array_append_new(seeds, json_integer(v));
            json_array_append_new(priorities, json_integer(v));
        }
        json_t *sweep = json_pack("{s:o,s:o}", "train.seed", seeds, "priority", priorities);
        struct spec_problems p = { .count = 0 };
        struct axes a;
        assert_false(axes_read(sweep, &a, &p));
        assert_string_equal(p.problem[0].code, "limit");
        json_decref(sweep);
    }
}

static void combinations(void **state)
{
    json_t *given = json_loads("{\"kind\":\"quantize\",\"train\":{\"seed\":9,\"epochs\":2},\"sweep\":"
                               "{\"quantize.weights.bits\":[2,4],\"train.seed\":[1,2,3]}}",
                               0, NULL);
    struct spec_problems p = { .count = 0 };
    struct axes a;
    char text[80];

    (void)state;
    assert_true(axes_read(json_object_get(given, "sweep"), &a, &p));
    assert_true(axes_check(&a, capabilities, &p));
    assert_int_equal(a.jobs, 6);
    for (int job = 0; job < 6; job++) {
        json_t *spec = axes_apply(&a, given, job);
        assert_null(json_object_get(spec, "sweep"));
        assert_int_equal(spec_int(spec, "/quantize/weights/bits", 0), job < 3 ? 2 : 4);
        assert_int_equal(spec_int(spec, "/train/seed", 0), 1 + job % 3);
        assert_int_equal(spec_int(spec, "/train/epochs", 0), 2);
        json_decref(spec);
    }
    assert_int_equal(spec_int(given, "/train/seed", 0), 9);
    axes_text(&a, 4, text, sizeof text);
    assert_string_equal(text, "quantize.weights.bits=4 train.seed=2");
    axes_text(&a, 4, text, 10);
    assert_string_equal(text, "quantize.");
    json_decref(given);
}

/* Something else where an object should be stays: the check of the specification refuses it. */
static void in_the_way(void **state)
{
    json_t *given = json_loads("{\"train\":7,\"sweep\":{\"train.seed\":[1]}}", 0, NULL), *spec;
    struct spec_problems p = { .count = 0 };
    struct axes a;

    (void)state;
    assert_true(axes_read(json_object_get(given, "sweep"), &a, &p));
    assert_true(axes_check(&a, capabilities, &p));
    spec = axes_apply(&a, given, 0);
    assert_int_equal(spec_int(spec, "/train", 0), 7);
    json_decref(spec);
    json_decref(given);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),
        cmocka_unit_test(too_many),
        cmocka_unit_test(combinations),
        cmocka_unit_test(in_the_way),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
