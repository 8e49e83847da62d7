/* service.c - what the server can do, and which versions are talking. */
#include "api/client/client.h"
#include "api/client/field.h"
#include "api/client/table.h"
#include "api/client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void range_cell(struct table *t, const json_t *p)
{
    double low = field_number(p, "/minimum"), high = field_number(p, "/maximum");
    char *values = json_dumps(json_object_get(p, "values"), JSON_COMPACT);
    const json_t *also = field_at(p, "/also/0");

    if (values)
        table_text(t, values);
    else if (isnan(low) || isnan(high))
        table_text(t, NULL);
    else if (json_is_integer(also))
        table_cell(t, "%.16g..%.16g, %" JSON_INTEGER_FORMAT, low, high, json_integer_value(also));
    else
        table_cell(t, "%.16g..%.16g", low, high);
    free(values);
}

static void print_parameters(const json_t *parameters)
{
    static const char *const heads[] = { "PARAMETER", "TYPE", "VALUES", "DEFAULT", "UNIT", "TITLE", NULL };
    struct table *t = table_new(heads);
    const json_t *p;
    size_t i;

    json_array_foreach(parameters, i, p)
    {
        char *standing = json_dumps(json_object_get(p, "default"),
                                    JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(12));
        table_text(t, field_text(p, "/pointer"));
        table_text(t, field_text(p, "/type"));
        range_cell(t, p);
        table_text(t, json_is_true(json_object_get(p, "required")) ? "(required)" : standing);
        table_text(t, field_text(p, "/unit"));
        table_text(t, field_text(p, "/title"));
        free(standing);
    }
    table_print(t, stdout);
    table_free(t);
}

/* Name and title of each entry of a list of the capabilities. */
static void print_names(const json_t *all, const char *key, const char *head, const char *prefix)
{
    const char *const heads[] = { head, "TITLE", NULL };
    struct table *t = table_new(heads);
    const json_t *each;
    size_t i;

    json_array_foreach(json_object_get(all, key), i, each)
    {
        const char *name = json_is_string(each) ? json_string_value(each) : field_text(each, "/name");
        table_cell(t, "%s%s", prefix, name ? name : "-");
        table_text(t, field_text(each, "/title"));
    }
    table_print(t, stdout);
    table_free(t);
    putchar('\n');
}

int service_capabilities(struct client *c, const struct args *a)
{
    json_t *all = NULL;
    int code = client_get(c, "/v1/capabilities", &all);

    (void)a;
    if (code == CLIENT_DONE && c->json) {
        client_print_json(c, all, JSON_INDENT(2));
    } else if (code == CLIENT_DONE) {
        print_names(all, "kinds", "KIND", "");
        print_names(all, "methods", "METHOD", "");
        print_names(all, "zoo", "MODEL", "zoo:");
        print_names(all, "datasets", "DATA SET", "builtin:");
        print_names(all, "formats", "FORMAT", "");
        print_parameters(json_object_get(all, "parameters"));
    }
    json_decref(all);
    return code;
}

int service_version(struct client *c, const struct args *a)
{
    json_t *server = NULL;
    int code;

    (void)a;
    if (!c->json) {
        printf("quantctl %s\n", QUANTD_VERSION);
        fflush(stdout);
    }
    code = client_get(c, "/v1/version", &server);
    if (code == CLIENT_DONE && c->json) {
        client_print_json(c, server, JSON_INDENT(2));
    } else if (code == CLIENT_DONE) {
        fputs("quantd   ", stdout);
        text_put(stdout, field_text(server, "/version"), false);
        printf(" at %s\n", http_url(c->http));
    }
    json_decref(server);
    return code;
}
