/* Specifications, good and bad, against a fixed set of capabilities. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/api_capabilities.h"

#include "api/spec.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BASE "\"model\":\"m\",\"dataset\":\"d\""
#define Q    "\"kind\":\"quantize\"," BASE

/* Documents that are complete already or become so. */
static void good_documents(void **state)
{
    static const char *const documents[] = {
        "{" Q "}",
        "{\"kind\":\"train\"," BASE "}",
        "{\"kind\":\"evaluate\"," BASE "}",
        "{" Q ",\"quantize\":{\"weights\":{\"bits\":1}}}",
        "{" Q ",\"quantize\":{\"weights\":{\"bits\":8}}}",
        "{" Q ",\"quantize\":{\"weights\":{\"bits\":32},\"activations\":{\"bits\":32}}}",
        "{" Q ",\"quantize\":{\"lambda\":2}}",
        "{" Q ",\"quantize\":{\"lambda\":0.25}}",
        "{" Q ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":3,\"grid\":\"midrise\"}}}",
        "{" Q ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":32,\"grid\":\"midrise\"}}}",
        "{" Q ",\"overrides\":[{\"match\":\"conv*\",\"weights\":{\"bits\":8}},{\"match\":\"fc?\"}]}",
        "{" Q ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":3,\"grid\":\"midrise\"},\"bins\":{"
        "\"warmup\":1}}}",
        "{" Q ",\"overrides\":[]}",
        "{" Q ",\"train\":{\"seed\":9007199254740991,\"nesterov\":true}}",
        "{" Q ",\"train\":{}}",
        "{" Q ",\"normalize\":{\"mean\":[0.5],\"std\":null}}",
        "{" Q ",\"tags\":[\"a\",\"b\"],\"name\":\"\",\"not_before\":null}",
        "{" Q ",\"name\":\"\xc3\xa9t\xc3\xa9\"}",
        "{" Q ",\"priority\":-1000,\"resources\":{\"cpus\":256}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof documents / sizeof *documents; i++) {
        json_t *given = json_loads(documents[i], 0, NULL), *spec = NULL, *again = NULL;
        struct spec_problems p;
        assert_non_null(given);
        if (spec_complete(capabilities, given, &spec, &p) != 0)
            print_error("%s: %s %s\n", documents[i], p.problem[0].pointer, p.problem[0].detail);
        assert_int_equal(p.count, 0);
        /* What is complete stays as it is. */
        assert_int_equal(spec_complete(capabilities, spec, &again, &p), 0);
        assert_true(json_equal(spec, again));
        json_decref(given);
        json_decref(spec);
        json_decref(again);
    }
}

struct bad {
    const char *document, *pointer, *code;
};

static void bad_documents(void **state)
{
    static const struct bad list[] = {
        { "[]", "", "type" },
        { "3", "", "type" },
        { "{" BASE "}", "/kind", "required" },
        { "{\"kind\":\"melt\"," BASE "}", "/kind", "enum" },
        { "{\"kind\":5," BASE "}", "/kind", "type" },
        { "{\"kind\":null," BASE "}", "/kind", "type" },
        { "{\"kind\":\"quantize\",\"dataset\":\"d\"}", "/model", "required" },
        { "{\"kind\":\"quantize\",\"model\":\"\",\"dataset\":\"d\"}", "/model", "range" },
        { "{\"kind\":\"quantize\",\"model\":7,\"dataset\":\"d\"}", "/model", "type" },
        { "{\"kind\":\"quantize\",\"model\":\"m\",\"dataset\":null}", "/dataset", "type" },
        { "{" Q ",\"colour\":1}", "/colour", "unknown_key" },
        { "{" Q ",\"a/b~c\":1}", "/a~1b~0c", "unknown_key" },
        { "{" Q ",\"\":1}", "/", "unknown_key" },
        { "{" Q ",\"*\":1}", "/*", "unknown_key" },
        { "{" Q ",\"quantize\":{\"bits\":4}}", "/quantize/bits", "unknown_key" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bit\":4}}}", "/quantize/weights/bit", "unknown_key" },
        { "{" Q ",\"quantize\":4}", "/quantize", "type" },
        { "{" Q ",\"quantize\":[]}", "/quantize", "type" },
        { "{" Q ",\"quantize\":null}", "/quantize", "type" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":0}}}", "/quantize/weights/bits", "range" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":33}}}", "/quantize/weights/bits", "range" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":9}}}", "/quantize/weights/bits", "range" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":4.5}}}", "/quantize/weights/bits", "type" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":\"4\"}}}", "/quantize/weights/bits", "type" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":null}}}", "/quantize/weights/bits", "type" },
        { "{" Q ",\"quantize\":{\"weights\":{\"bits\":true}}}", "/quantize/weights/bits", "type" },
        { "{" Q ",\"quantize\":{\"activations\":{\"bits\":0}}}", "/quantize/activations/bits", "range" },
        { "{" Q ",\"quantize\":{\"lambda\":\"1\"}}", "/quantize/lambda", "type" },
        { "{" Q ",\"quantize\":{\"lambda\":0}}", "/quantize/lambda", "range" },
        { "{" Q ",\"quantize\":{\"lambda\":1e300}}", "/quantize/lambda", "range" },
        { "{" Q ",\"quantize\":{\"method\":\"magic\"}}", "/quantize/method", "enum" },
        { "{" Q ",\"quantize\":{\"weights\":{\"grid\":\"hex\"}}}", "/quantize/weights/grid", "enum" },
        /* what the method can't do: given, and by default */
        { "{" Q ",\"quantize\":{\"activations\":{\"bits\":1}}}", "/quantize/activations/bits", "limit" },
        { "{" Q ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":4,\"grid\":\"midrise\"}}}",
          "/quantize/weights/bits", "limit" },
        { "{" Q ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":3}}}", "/quantize/weights/grid",
          "limit" },
        { "{" Q ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":2,\"grid\":\"midrise\"}},"
          "\"overrides\":[{\"match\":\"a\"},{\"match\":\"b\",\"weights\":{\"bits\":4}}]}",
          "/overrides/1/weights/bits", "limit" },
        /* sections and keys of other kinds */
        { "{\"kind\":\"evaluate\"," BASE ",\"train\":{}}", "/train", "unknown_key" },
        { "{\"kind\":\"train\"," BASE ",\"quantize\":{\"weights\":{\"bits\":4}}}", "/quantize",
          "unknown_key" },
        { "{\"kind\":\"train\"," BASE ",\"overrides\":[]}", "/overrides", "unknown_key" },
        /* what only another method uses, as a key and as a section */
        { "{" Q
          ",\"quantize\":{\"method\":\"coarse\",\"weights\":{\"bits\":3,\"grid\":\"midrise\"},\"lambda\":1}}",
          "/quantize/lambda", "unknown_key" },
        { "{" Q ",\"quantize\":{\"bins\":{\"warmup\":0.5}}}", "/quantize/bins", "unknown_key" },
        { "{" Q ",\"quantize\":{\"bins\":{\"cooldown\":0.5}}}", "/quantize/bins", "unknown_key" },
        /* lists */
        { "{" Q ",\"overrides\":{}}", "/overrides", "type" },
        { "{" Q ",\"overrides\":[3]}", "/overrides/0", "type" },
        { "{" Q ",\"overrides\":[{\"match\":\"a\"},{}]}", "/overrides/1/match", "required" },
        { "{" Q ",\"overrides\":[{\"match\":\"\"}]}", "/overrides/0/match", "range" },
        { "{" Q ",\"overrides\":[{\"match\":\"a\",\"weights\":{\"bits\":0}}]}", "/overrides/0/weights/bits",
          "range" },
        { "{" Q ",\"overrides\":[{\"match\":\"a\",\"weights\":{\"grid\":\"sym\"}}]}",
          "/overrides/0/weights/grid", "unknown_key" },
        { "{" Q ",\"overrides\":[{\"match\":\"a\",\"weights\":8}]}", "/overrides/0/weights", "type" },
        { "{" Q ",\"tags\":\"a\"}", "/tags", "type" },
        { "{" Q ",\"tags\":[\"a\",5]}", "/tags/1", "type" },
        { "{" Q ",\"tags\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}", "/tags", "range" },
        { "{" Q ",\"normalize\":{\"mean\":[0.5,\"x\"]}}", "/normalize/mean/1", "type" },
        { "{" Q ",\"normalize\":{\"mean\":0.5}}", "/normalize/mean", "type" },
        { "{" Q ",\"normalize\":{\"mean\":[1,2,3,4,5]}}", "/normalize/mean", "range" },
        { "{" Q ",\"train\":{\"nesterov\":1}}", "/train/nesterov", "type" },
        { "{" Q ",\"train\":{\"seed\":9007199254740992}}", "/train/seed", "range" },
        { "{" Q ",\"train\":{\"seed\":-1}}", "/train/seed", "range" },
        { "{" Q ",\"train\":{\"learning_rate\":0}}", "/train/learning_rate", "range" },
        { "{" Q ",\"resources\":{\"cpus\":0}}", "/resources/cpus", "range" },
        { "{" Q ",\"priority\":1001}", "/priority", "range" },
        { "{" Q ",\"not_before\":5}", "/not_before", "type" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        json_t *given = json_loads(list[i].document, JSON_DECODE_ANY, NULL), *spec = NULL;
        struct spec_problems p;
        bool found = false;
        assert_non_null(given);
        assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
        assert_null(spec);
        for (int k = 0; k < p.count; k++)
            found |= strcmp(p.problem[k].pointer, list[i].pointer) == 0 &&
                     strcmp(p.problem[k].code, list[i].code) == 0;
        if (!found)
            print_error("%s: not %s at %s but %s at %s (%s)\n", list[i].document, list[i].code,
                        list[i].pointer, p.problem[0].code, p.problem[0].pointer, p.problem[0].detail);
        assert_true(found);
        json_decref(given);
    }
}

static void readable_ranges(void **state)
{
    static const char *const list[][2] = {
        { "{" Q ",\"train\":{\"learning_rate\":-0.1}}", "must be 1e-09 to 100, not -0.1" },
        { "{" Q ",\"train\":{\"seed\":9007199254740992}}",
          "must be 0 to 9007199254740991, not 9007199254740992" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        json_t *given = json_loads(list[i][0], 0, NULL), *spec = NULL;
        struct spec_problems p;
        assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
        assert_string_equal(p.problem[0].detail, list[i][1]);
        json_decref(given);
    }
}

static void long_texts(void **state)
{
    char name[260], key[3000];
    json_t *given = json_loads("{" Q "}", 0, NULL), *spec = NULL;
    struct spec_problems p;

    (void)state;
    memset(name, 'x', sizeof name);
    name[200] = 0;
    json_object_set_new(given, "name", json_string(name));
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), 0);
    json_decref(spec);
    name[200] = 'x', name[201] = 0;
    json_object_set_new(given, "name", json_string(name));
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
    assert_string_equal(p.problem[0].pointer, "/name");
    assert_string_equal(p.problem[0].code, "range");
    /* A key longer than any pointer, in a multi-byte script, is still reported as valid UTF-8. */
    for (size_t i = 0; i + 2 < sizeof key; i += 2)
        memcpy(key + i, "\xc3\xa9", 2);
    key[sizeof key - 2] = 0;
    json_object_del(given, "name");
    json_object_set_new(given, key, json_true());
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
    assert_string_equal(p.problem[0].code, "unknown_key");
    json_t *text = json_string(p.problem[0].pointer);
    assert_non_null(text);
    json_decref(text);
    json_decref(given);
}

/* Neither the parser nor the library can make one, so no parameter needs to ask. */
static void not_a_number(void **state)
{
    (void)state;
    assert_null(json_real((double)NAN));
    assert_null(json_loads("{\"lambda\": NaN}", 0, NULL));
    assert_null(json_loads("{\"lambda\": 1e999}", 0, NULL));
}

static void all_problems_at_once(void **state)
{
    static const char many[] =
        "{\"kind\":\"quantize\",\"x1\":1,\"x2\":1,\"x3\":1,\"quantize\":{\"weights\":{\"bits\":0}},"
        "\"train\":{\"epochs\":-1,\"optimizer\":\"magic\"}}";
    json_t *given = json_loads(many, 0, NULL), *spec;
    struct spec_problems p;
    char key[16];

    (void)state;
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
    assert_int_equal(p.count, 8); /* and model and dataset */
    for (int i = 0; i < 40; i++) {
        snprintf(key, sizeof key, "y%d", i);
        json_object_set_new(given, key, json_true());
    }
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
    assert_int_equal(p.count, SPEC_PROBLEMS);
    json_decref(given);
}

static void names_the_kind(void **state)
{
    json_t *given = json_loads("{\"kind\":\"evaluate\"," BASE ",\"train\":{\"epochs\":3}}", 0, NULL), *spec;
    struct spec_problems p;

    (void)state;
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), ERR_INVALID);
    assert_non_null(strstr(p.problem[0].detail, "\"evaluate\" does not use this"));
    json_decref(given);
}

static void defaults_and_order(void **state)
{
    static const char *const order[] = { "kind",      "name",      "tags",      "model",     "dataset",
                                         "task",      "normalize", "quantize",  "overrides", "train",
                                         "resources", "priority",  "not_before" };
    json_t *given =
        json_loads("{\"priority\":3,\"dataset\":\"d\",\"model\":\"m\",\"kind\":\"quantize\"}", 0, NULL);
    json_t *spec;
    struct spec_problems p;
    size_t i = 0;

    (void)state;
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), 0);
    for (void *it = json_object_iter(spec); it; it = json_object_iter_next(spec, it))
        assert_string_equal(json_object_iter_key(it), order[i++]);
    assert_int_equal(i, sizeof order / sizeof *order);
    assert_int_equal(spec_int(spec, "/quantize/weights/bits", -1), 4);
    assert_int_equal(spec_int(spec, "/priority", -1), 3);
    assert_true(json_is_null(spec_at(spec, "/not_before")));
    assert_true(json_is_null(spec_at(spec, "/normalize/mean")));
    assert_int_equal(json_array_size(spec_at(spec, "/overrides")), 0);
    json_decref(spec);
    json_decref(given);
    given = json_loads("{\"kind\":\"evaluate\"," BASE "}", 0, NULL);
    assert_int_equal(spec_complete(capabilities, given, &spec, &p), 0);
    assert_null(spec_at(spec, "/quantize"));
    assert_null(spec_at(spec, "/train"));
    json_decref(spec);
    json_decref(given);
}

static void accessors(void **state)
{
    json_t *v = json_loads(
        "{\"a\":{\"b\":[10,{\"c\":\"x\"}]},\"m/n\":1,\"t~u\":2,\"\":3,\"f\":1.5,\"y\":true,\"z\":null}", 0,
        NULL);

    (void)state;
    assert_ptr_equal(spec_at(v, ""), v);
    assert_int_equal(spec_int(v, "/a/b/0", -1), 10);
    assert_string_equal(spec_text(v, "/a/b/1/c", ""), "x");
    assert_int_equal(spec_int(v, "/m~1n", -1), 1);
    assert_int_equal(spec_int(v, "/t~0u", -1), 2);
    assert_int_equal(spec_int(v, "/", -1), 3);
    assert_true(spec_double(v, "/f", 0) == 1.5);
    assert_true(spec_double(v, "/m~1n", 0) == 1);
    assert_true(spec_bool(v, "/y", false));
    assert_true(spec_bool(v, "/z", true));
    assert_int_equal(spec_int(v, "/f", -7), -7);
    static const char *const absent[] = {
        "a",     "/a/b/2", "/a/b/-",   "/a/b/01", "/a/b/x",
        "/m~2n", "/t~",    "/a/b/0/c", "/q",      "/a/b/99999999999999999999"
    };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(spec_at(v, absent[i]));
    assert_null(spec_at(NULL, "/a"));
    assert_string_equal(spec_text(NULL, "/a", "fallback"), "fallback");
    json_decref(v);
}

static void overrides(void **state)
{
    json_t *spec = json_loads(
        "{\"overrides\":[{\"match\":\"conv*\"},{\"match\":\"pool*\"},{\"match\":\"fc[12]\"}]}", 0, NULL);
    struct spec_problems p = { .count = 0 };
    const json_t *layers = spec_at(capabilities, "/zoo/0/layers");

    (void)state;
    assert_int_equal(spec_check_overrides(spec, layers, &p), ERR_INVALID);
    assert_int_equal(p.count, 1);
    assert_string_equal(p.problem[0].pointer, "/overrides/1/match");
    assert_string_equal(p.problem[0].code, "no_match");
    json_array_remove(json_object_get(spec, "overrides"), 1);
    p.count = 0;
    assert_int_equal(spec_check_overrides(spec, layers, &p), 0);
    json_decref(spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_documents),
        cmocka_unit_test(bad_documents),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(readable_ranges),
        cmocka_unit_test(not_a_number),
        cmocka_unit_test(names_the_kind),
        cmocka_unit_test(all_problems_at_once),
        cmocka_unit_test(defaults_and_order),
        cmocka_unit_test(accessors),
        cmocka_unit_test(overrides),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
