/* listing.h - what the server keeps in collections (models, data sets, jobs), as tables or as its JSON. */
#ifndef API_CLIENT_LISTING_H
#define API_CLIENT_LISTING_H

#include "api/client/client.h"
#include "api/client/table.h"

struct listing {
    const char *path;         /* "/v1/models" */
    const char *const *heads; /* see table_new */
    void (*row)(struct table *t, const json_t *item);
};

/* One item; a table of one row, or with --json the item itself. */
void listing_print(const struct client *c, const struct listing *l, json_t *item);

/* The items of `path` (the collection with a query), at most `most`. An exit code. */
int listing_ls(struct client *c, const struct listing *l, const char *path, int most);

/* `method` on COLLECTION/ID + suffix for each id on the command line, in order, until one fails; prints the
 * items that come back. An exit code. */
int listing_each(struct client *c, const struct listing *l, const struct args *a, const char *method,
                 const char *suffix);

#endif
