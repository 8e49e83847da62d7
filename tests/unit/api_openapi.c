/* openapi.json against the table of routes, in both directions, and against itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/route.h"
#include "api/spec.h"
#include "storage/job.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *document;

static int load(void **state)
{
    json_error_t e;

    (void)state;
    document = json_load_file("api/openapi.json", JSON_REJECT_DUPLICATES, &e);
    if (!document)
        fprintf(stderr, "%s, line %d\n", e.text, e.line);
    return document ? 0 : -1;
}

static int unload(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

static const json_t *follow(const json_t *v)
{
    const char *ref = spec_text(v, "/$ref", NULL);
    return ref ? spec_at(document, ref + 1) : v;
}

static json_t *operation_of(const struct route *r)
{
    char method[16];
    size_t i;

    for (i = 0; r->method[i]; i++)
        method[i] = (char)tolower((unsigned char)r->method[i]);
    method[i] = 0;
    return json_object_get(json_object_get(json_object_get(document, "paths"), r->pattern), method);
}

static void every_route_is_described(void **state)
{
    (void)state;
    for (int i = 0; i < route_count; i++) {
        json_t *op = operation_of(&route_list[i]);
        if (!op)
            print_error("%s %s is not described\n", route_list[i].method, route_list[i].pattern);
        assert_non_null(op);
        assert_string_equal(spec_text(op, "/summary", ""), route_list[i].summary);
        /* Open routes, and only those, say that they need no token. */
        const json_t *security = json_object_get(op, "security");
        assert_int_equal(json_is_array(security) && json_array_size(security) == 0, route_list[i].open);
        assert_int_equal(json_object_get(op, "requestBody") != NULL, route_list[i].body != BODY_NONE);
    }
}

static const struct route *route_of(const char *path, const char *method)
{
    for (int i = 0; i < route_count; i++)
        if (strcasecmp(route_list[i].method, method) == 0 && strcmp(route_list[i].pattern, path) == 0)
            return &route_list[i];
    return NULL;
}

static void check_operation(const char *path, const char *method, const json_t *op)
{
    const json_t *responses = json_object_get(op, "responses");
    const char *status;
    json_t *response;

    if (!route_of(path, method))
        print_error("%s %s is described but not served\n", method, path);
    assert_non_null(route_of(path, method));
    assert_true(*spec_text(op, "/summary", ""));
    assert_true(*spec_text(op, "/operationId", ""));
    assert_non_null(
        spec_at(follow(json_object_get(responses, "default")), "/content/application~1problem+json/schema"));
    assert_true(json_object_size(responses) >= 2);
    json_object_foreach((json_t *)responses, status, response)
    {
        assert_true(strcmp(status, "default") == 0 || (strlen(status) == 3 && atoi(status) >= 200));
        assert_true(*spec_text(follow(response), "/description", ""));
    }
}

static void every_description_is_served(void **state)
{
    const char *path, *method;
    json_t *item, *op;

    (void)state;
    json_object_foreach(json_object_get(document, "paths"), path, item) json_object_foreach(item, method, op)
        check_operation(path, method, op);
}

/* The parameters of an operation that are in `where`, as "|a|b|". */
static void parameters_of(const json_t *op, const char *where, char *out, size_t size)
{
    const json_t *list = json_object_get(op, "parameters"), *p;
    size_t i, n = (size_t)snprintf(out, size, "|");

    json_array_foreach(list, i, p) if (strcmp(spec_text(follow(p), "/in", ""), where) == 0) n +=
        (size_t)snprintf(out + n, size - n, "%s|", spec_text(follow(p), "/name", "?"));
}

static size_t count(const char *text, char c)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == c;
    return n;
}

/* Query and path parameters are those of the table, no more and no less. */
static void parameters(void **state)
{
    char have[300], words[200], name[80];

    (void)state;
    for (int i = 0; i < route_count; i++) {
        const struct route *r = &route_list[i];
        size_t n = 0;
        parameters_of(operation_of(r), "query", have, sizeof have);
        snprintf(words, sizeof words, "%s", r->query ? r->query : "");
        for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save), n++) {
            snprintf(name, sizeof name, "|%s|", w);
            if (!strstr(have, name))
                print_error("%s %s: %s is not described\n", r->method, r->pattern, w);
            assert_non_null(strstr(have, name));
        }
        assert_int_equal(count(have, '|'), n + 1);
        parameters_of(operation_of(r), "path", have, sizeof have);
        assert_int_equal(count(have, '|'), count(r->pattern, '{') + 1);
        for (const char *p = strchr(r->pattern, '{'); p; p = strchr(p + 1, '{')) {
            snprintf(name, sizeof name, "|%.*s|", (int)strcspn(p + 1, "}"), p + 1);
            assert_non_null(strstr(have, name));
        }
    }
}

static int references;

static void check_references(const json_t *v)
{
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach((json_t *)v, key, member)
    {
        if (strcmp(key, "$ref") == 0) {
            const char *ref = json_string_value(member);
            assert_true(ref && strncmp(ref, "#/components/", 13) == 0);
            if (!spec_at(document, ref + 1))
                print_error("%s leads nowhere\n", ref);
            assert_non_null(spec_at(document, ref + 1));
            references++;
        }
        check_references(member);
    }
    json_array_foreach((json_t *)v, i, member) check_references(member);
}

static void references_resolve(void **state)
{
    (void)state;
    check_references(document);
    assert_true(references > 100);
}

static void identifiers_are_unique(void **state)
{
    json_t *seen = json_object(), *item, *op;
    const char *path, *method;

    (void)state;
    json_object_foreach(json_object_get(document, "paths"), path, item) json_object_foreach(item, method, op)
    {
        const char *id = spec_text(op, "/operationId", "");
        assert_null(json_object_get(seen, id));
        json_object_set_new(seen, id, json_true());
    }
    json_decref(seen);
}

static void states_agree(void **state)
{
    const json_t *values = spec_at(document, "/components/schemas/JobState/enum"), *v;
    size_t i;

    (void)state;
    assert_int_equal(json_array_size(values), JOB_STATE_COUNT);
    json_array_foreach(values, i, v) assert_true(job_state_parse(json_string_value(v)) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(every_description_is_served),
        cmocka_unit_test(parameters),
        cmocka_unit_test(references_resolve),
        cmocka_unit_test(identifiers_are_unique),
        cmocka_unit_test(states_agree),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
