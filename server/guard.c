#include "server/guard.h"

#include "storage/token.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

bool guard_host_is_local(const char *host)
{
    char name[64];
    struct in_addr v4;
    size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    if (length >= sizeof name)
        return false;
    memcpy(name, host, length);
    name[length] = 0;
    if (strcasecmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0)
        return true;
    return inet_pton(AF_INET, name, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

bool guard_origin_matches(const char *origin, const char *host)
{
    const char *authority = strstr(origin, "://");
    return authority && host && strcasecmp(authority + 3, host) == 0;
}

static int check_browser(const struct exchange *x, bool loopback, struct err *e)
{
    const char *host = x->header(x, "Host"), *origin = x->header(x, "Origin");
    if (loopback && host && !guard_host_is_local(host))
        return err_set(e, ERR_FORBIDDEN, "without accounts only localhost is served, not \"%.100s\"", host);
    bool reads = strcmp(x->method, "GET") == 0 || strcmp(x->method, "HEAD") == 0;
    if (!reads && origin && !guard_origin_matches(origin, host))
        return err_set(e, ERR_FORBIDDEN, "a page of another site may not do this");
    return 0;
}

static int check_token(struct db *db, struct exchange *x, struct err *e)
{
    static const char scheme[] = "Bearer ";
    const char *given = x->header(x, "Authorization");
    if (!given)
        return err_set(e, ERR_AUTH, "send \"Authorization: Bearer qd_...\"");
    if (strncasecmp(given, scheme, sizeof scheme - 1) != 0)
        return err_set(e, ERR_AUTH, "the Authorization header is not a bearer token");
    given += sizeof scheme - 1;
    given += strspn(given, " ");
    return token_check(db, given, x->user, e);
}

int guard_check(struct db *db, struct exchange *x, bool open, bool loopback, struct err *e)
{
    int64_t accounts;
    int rc = token_count(db, &accounts, e);
    if (rc)
        return rc;
    if (accounts == 0)
        return check_browser(x, loopback, e);
    return open ? 0 : check_token(db, x, e);
}
