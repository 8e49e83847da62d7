#include "server/listen.h"

#include "base/num.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 128

static int split(const char *address, char *host, size_t host_size, char port[8], struct err *e)
{
    const char *colon = strrchr(address, ':');
    int64_t number;
    if (!colon || colon == address || !num_int64(colon + 1, 0, 65535, &number))
        return err_set(e, ERR_INVALID, "listen address \"%.100s\" is not HOST:PORT", address);
    const char *from = address, *to = colon;
    if (*from == '[' && to[-1] == ']') {
        from++;
        to--;
    }
    size_t length = (size_t)(to - from);
    if (length == 0 || length >= host_size)
        return err_set(e, ERR_INVALID, "listen address \"%.100s\" has no usable host", address);
    memcpy(host, from, length);
    host[length] = 0;
    snprintf(port, 8, "%d", (int)number);
    return 0;
}

static bool is_loopback(const struct sockaddr *a)
{
    if (a->sa_family == AF_INET)
        return (ntohl(((const struct sockaddr_in *)(const void *)a)->sin_addr.s_addr) >> 24) == 127;
    if (a->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr);
    return false;
}

static int socket_bind(const struct addrinfo *a, struct err *e)
{
    int on = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_sys(e, ERR_IO, "socket");
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) || bind(fd, a->ai_addr, a->ai_addrlen) ||
        listen(fd, BACKLOG)) {
        int rc = err_sys(e, errno == EADDRINUSE ? ERR_BUSY : ERR_IO, "bind");
        close(fd);
        return rc;
    }
    return fd;
}

static void describe(struct listener *l)
{
    struct sockaddr_storage real;
    socklen_t size = sizeof real;
    char host[80] = "?", port[8] = "0";
    if (!getsockname(l->fd, (struct sockaddr *)&real, &size))
        getnameinfo((struct sockaddr *)&real, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    l->loopback = is_loopback((struct sockaddr *)&real);
    snprintf(l->url, sizeof l->url, strchr(host, ':') ? "http://[%s]:%s" : "http://%s:%s", host, port);
}

int listen_open(const char *address, struct listener *l, struct err *e)
{
    char host[128], port[8];
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found = NULL;
    int rc = split(address, host, sizeof host, port, e);
    if (rc)
        return rc;
    int gai = getaddrinfo(host, port, &hints, &found);
    if (gai)
        return err_set(e, ERR_INVALID, "listen address \"%.100s\": %s", address, gai_strerror(gai));
    l->fd = socket_bind(found, e);
    freeaddrinfo(found);
    if (l->fd < 0)
        return err_wrap(e, "can't listen on %.100s", address);
    describe(l);
    return 0;
}
