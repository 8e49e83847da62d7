/* route.h - the table of routes: what http.c dispatches by, openapi.json is tested against, and 405/404 come
 * from. */
#ifndef API_ROUTE_H
#define API_ROUTE_H

#include "api/exchange.h"

struct route {
    const char *method;  /* "GET" also serves HEAD */
    const char *pattern; /* "/v1/jobs/{id}/artifacts/{name}"; "{name*}" takes the rest with its slashes */
    enum body_kind body;
    bool open; /* needs no token: health, ready, version, openapi, dashboard files */
    void (*handler)(struct api *api, struct exchange *x);
    const char *summary;
    const char *query; /* the query parameters that it knows, separated by blanks; NULL: not checked */
};

extern const struct route route_list[];
extern const int route_count;

/* Finds the route and fills x->param. 0, ERR_NOT_FOUND, or ERR_METHOD with allow filled ("GET, DELETE"). */
int route_find(const char *method, const char *path, const struct route **route, struct exchange *x,
               char *allow, size_t allow_size);

#endif
