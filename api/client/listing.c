/* listing.c - collections, as tables or as the server's JSON. */
#include "api/client/listing.h"

#include <inttypes.h>
#include <stdio.h>

static void print_items(const struct listing *l, const json_t *items)
{
    struct table *t = table_new(l->heads);
    const json_t *item;
    size_t i;

    json_array_foreach(items, i, item) l->row(t, item);
    table_print(t, stdout);
    table_free(t);
}

void listing_print(const struct client *c, const struct listing *l, json_t *item)
{
    json_t *items = json_array();

    json_array_append(items, item);
    if (c->json)
        client_print_json(c, item, JSON_INDENT(2));
    else
        print_items(l, items);
    json_decref(items);
}

int listing_ls(struct client *c, const struct listing *l, const char *path, int most)
{
    json_t *list = NULL;
    int code = client_list(c, path, most, &list);

    if (code == CLIENT_DONE && c->json)
        client_print_json(c, list, JSON_INDENT(2));
    else if (code == CLIENT_DONE)
        print_items(l, json_object_get(list, "items"));
    json_decref(list);
    return code;
}

int listing_each(struct client *c, const struct listing *l, const struct args *a, const char *method,
                 const char *suffix)
{
    int code = CLIENT_DONE;
    int64_t id;

    for (int i = 0; i < a->words && code == CLIENT_DONE; i++) {
        json_t *item = NULL;
        char path[80];
        if (!client_id(a->word[i], &id))
            return CLIENT_USAGE;
        snprintf(path, sizeof path, "%s/%" PRId64 "%s", l->path, id, suffix);
        code = client_call(c, &(struct http_request){ .method = method, .path = path }, &item);
        if (item)
            listing_print(c, l, item);
        json_decref(item);
    }
    return code;
}
