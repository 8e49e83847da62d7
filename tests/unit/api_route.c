/* Paths against the table of routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/route.h"

#include <stdio.h>
#include <string.h>

static struct exchange x;
static const struct route *route;
static char allow[64];

static int find(const char *method, const char *path)
{
    memset(&x, 0, sizeof x);
    return route_find(method, path, &route, &x, allow, sizeof allow);
}

static void found(void **state)
{
    (void)state;
    assert_int_equal(find("GET", "/"), 0);
    assert_string_equal(route->pattern, "/");
    assert_int_equal(find("GET", "/v1/jobs/12/artifacts/model.onnx"), 0);
    assert_string_equal(x.param[0], "12");
    assert_string_equal(x.param[1], "model.onnx");
    assert_int_equal(find("HEAD", "/v1/jobs/12"), 0);
    assert_string_equal(route->method, "GET");
    assert_int_equal(find("GET", "/ui/lib/uplot/uPlot.esm.js"), 0);
    assert_string_equal(x.param[0], "lib/uplot/uPlot.esm.js");
    assert_int_equal(find("PUT", "/v1/blobs/sha256%3aab"), 0);
    assert_string_equal(x.param[0], "sha256:ab");
    assert_int_equal(find("GET", "/v1/models/a%20b%25"), 0);
    assert_string_equal(x.param[0], "a b%");
}

static void not_found(void **state)
{
    static const char *const paths[] = {
        "",
        "v1/jobs",
        "//",
        "/v1",
        "/v1/",
        "/v1/jobs/",
        "/v1/jobs//events",
        "/v1/jobs/1/",
        "/v1/jobs/1/eventss",
        "/v1/jobs/1/artifacts/",
        "/v1/jobs/1/artifacts/a/b",
        "/v1/jobs/1/artifacts/a%2fb",
        "/v1/jobs/1%00/events",
        "/v1/jobs/%zz",
        "/v1/jobs/%4",
        "/v1/jobs/%",
        "/ui",
        "/ui/",
        "/healthz/",
        "/V1/jobs",
        "/v1/models/"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "aaaa",
    };

    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (find("GET", paths[i]) != ERR_NOT_FOUND)
            print_error("%s was found\n", paths[i]);
        assert_null(route);
    }
}

static void wrong_method(void **state)
{
    (void)state;
    assert_int_equal(find("PUT", "/v1/jobs"), ERR_METHOD);
    assert_string_equal(allow, "POST, GET, HEAD");
    assert_int_equal(find("POST", "/v1/jobs/3"), ERR_METHOD);
    assert_string_equal(allow, "GET, HEAD, PATCH, DELETE");
    assert_int_equal(find("GET", "/v1/jobs/3/cancel"), ERR_METHOD);
    assert_string_equal(allow, "POST");
    assert_int_equal(find("get", "/healthz"), ERR_METHOD);
    assert_null(route);
}

/* Every route is reached by a path made from its own pattern, and no two are the same. */
static void every_route(void **state)
{
    char path[200];

    (void)state;
    for (int i = 0; i < route_count; i++) {
        size_t n = 0;
        for (const char *p = route_list[i].pattern; *p; p++) {
            if (*p != '{') {
                path[n++] = *p;
                continue;
            }
            path[n++] = 'x';
            p = strchr(p, '}');
        }
        path[n] = 0;
        assert_int_equal(find(route_list[i].method, path), 0);
        assert_ptr_equal(route, &route_list[i]);
        assert_non_null(route->handler);
        assert_true(route->summary && *route->summary);
        /* Every route below /v1 checks its query. */
        assert_true((strncmp(route->pattern, "/v1/", 4) == 0) == (route->query != NULL));
    }
}

static void open_routes(void **state)
{
    (void)state;
    for (int i = 0; i < route_count; i++)
        if (route_list[i].open)
            assert_string_equal(route_list[i].method, "GET");
    find("GET", "/v1/version");
    assert_true(route->open);
    find("GET", "/v1/capabilities");
    assert_false(route->open);
    find("GET", "/metrics");
    assert_false(route->open);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(found),       cmocka_unit_test(not_found),   cmocka_unit_test(wrong_method),
        cmocka_unit_test(every_route), cmocka_unit_test(open_routes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
