/* http.c - requests through libcurl; the only file that includes it. */
#include "api/client/http.h"

#include "base/file.h"
#include "base/mem.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONNECT_SECONDS 10L
#define QUIET_SECONDS   300L /* the server may think this long, e.g. about a big upload */
#define STREAM_SECONDS  45L  /* three heartbeats of an event stream */

struct http {
    CURL *curl;
    char *url;    /* owned, without a slash at the end */
    char *bearer; /* owned: "Authorization: Bearer ...", or NULL */
    char reason[CURL_ERROR_SIZE];
};

/* One transfer, as the callbacks see it. */
struct transfer {
    struct http *http;
    const struct http_request *request;
    struct http_answer *answer;
    bool stopped; /* by the sink */
};

static bool printable(const char *text)
{
    for (; *text; text++)
        if (*text <= ' ' || *text > '~')
            return false;
    return true;
}

struct http *http_new(const char *url, const char *token, struct err *e)
{
    size_t length = strlen(url);
    struct http *h;

    while (length > 0 && url[length - 1] == '/')
        length--;
    if ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) || !printable(url)) {
        err_set(e, ERR_INVALID, "\"%s\" is no address of a server (http://HOST:PORT)", url);
        return NULL;
    }
    if (token && !printable(token)) {
        err_set(e, ERR_INVALID, "the token has characters that no token has");
        return NULL;
    }
    curl_global_init(CURL_GLOBAL_DEFAULT);
    h = mem_alloc(sizeof *h);
    if (h) {
        h->curl = curl_easy_init();
        h->url = mem_printf("%.*s", (int)length, url);
        h->bearer = token && *token ? mem_printf("Authorization: Bearer %s", token) : NULL;
    }
    if (!h || !h->curl || !h->url || (token && *token && !h->bearer)) {
        err_set(e, ERR_NOMEM, "out of memory");
        http_free(h);
        return NULL;
    }
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    curl_easy_cleanup(h->curl);
    free(h->url);
    free(h->bearer);
    free(h);
}

const char *http_url(const struct http *h)
{
    return h->url;
}

static size_t receive(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t length = size * count;
    long status = 0;

    curl_easy_getinfo(t->http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->request->sink && status >= 200 && status < 300) {
        t->stopped = t->request->sink(t->request->arg, data, length) != 0;
        return t->stopped ? 0 : length;
    }
    return buf_append(&t->answer->body, data, length) == 0 ? length : 0;
}

static int sending(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t up_total, curl_off_t up)
{
    const struct transfer *t = arg;

    (void)down_total;
    (void)down;
    if (up_total > 0)
        t->request->progress(t->request->arg, up, up_total);
    return 0;
}

static void set_method(CURL *curl, const struct http_request *r, FILE *file, int64_t bytes)
{
    if (r->json || file)
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
    if (r->json)
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->json);
    if (file) {
        curl_easy_setopt(curl, CURLOPT_READDATA, file);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)bytes);
    }
    if (r->method)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, r->method);
    if (r->method && strcmp(r->method, "POST") == 0 && !r->json && !file) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    }
}

static int set_up(struct transfer *t, FILE *file, int64_t bytes, const char *url, struct curl_slist *headers)
{
    const struct http_request *r = t->request;
    CURL *curl = t->http->curl;

    curl_easy_reset(curl); /* keeps the connection */
    t->http->reason[0] = '\0';
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, t->http->reason);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "quantctl/" QUANTD_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, r->stream ? STREAM_SECONDS : QUIET_SECONDS);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, t);
    if (r->progress) {
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, sending);
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, t);
    }
    set_method(curl, r, file, bytes);
    return curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK ? 0 : ERR_INTERNAL;
}

static struct curl_slist *make_headers(const struct http *h, const struct http_request *r)
{
    struct curl_slist *list = NULL;

    if (h->bearer)
        list = curl_slist_append(list, h->bearer);
    if (r->json)
        list = curl_slist_append(list, "Content-Type: application/json");
    if (r->file)
        list = curl_slist_append(list, "Content-Type: application/octet-stream");
    for (int i = 0; i < HTTP_HEADERS && r->header[i]; i++)
        list = curl_slist_append(list, r->header[i]);
    return list;
}

static FILE *open_body(const char *path, int64_t *bytes, struct err *e)
{
    FILE *file = fopen(path, "rbe");
    struct stat st;

    if (!file || fstat(fileno(file), &st) < 0) {
        err_sys(e, ERR_IO, "%s", path);
    } else if (!S_ISREG(st.st_mode)) {
        err_set(e, ERR_IO, "%s is not a file", path);
    } else {
        *bytes = st.st_size;
        return file;
    }
    if (file)
        fclose(file);
    return NULL;
}

int http_call(struct http *h, const struct http_request *r, struct http_answer *a, struct err *e)
{
    struct transfer t = { .http = h, .request = r, .answer = a };
    struct curl_slist *headers = NULL;
    FILE *file = NULL;
    int64_t bytes = 0;
    char *url = NULL;
    CURLcode code;
    int rc = ERR_IO;

    a->status = 0;
    buf_init(&a->body, 0);
    /* Paths also come from the server; one that does not begin with a slash would change the host. */
    if (r->path[0] != '/' || !printable(r->path))
        return err_set(e, ERR_INVALID, "the path \"%s\" can't be asked for", r->path);
    if (r->file && !(file = open_body(r->file, &bytes, e)))
        return ERR_IO;
    url = mem_printf("%s%s", h->url, r->path);
    headers = make_headers(h, r);
    if (!url || set_up(&t, file, bytes, url, headers) < 0) {
        rc = err_set(e, ERR_NOMEM, "out of memory");
        goto out;
    }
    code = curl_easy_perform(h->curl);
    curl_easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &a->status);
    /* A server that refuses an upload early may close while we still send: its answer counts. */
    rc = code == CURLE_OK || t.stopped || (code == CURLE_SEND_ERROR && a->status >= 400) ? 0 : ERR_BUSY;
    if (rc < 0)
        err_set(e, rc, "%s: %s", h->url, h->reason[0] ? h->reason : curl_easy_strerror(code));
    if (a->body.failed)
        rc = err_set(e, ERR_TOO_LARGE, "the answer is too large");
out:
    curl_slist_free_all(headers);
    free(url);
    if (file)
        fclose(file);
    return rc;
}

void http_answer_free(struct http_answer *a)
{
    buf_free(&a->body);
}

void http_query(struct buf *path, const char *key, const char *value)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~,:";

    if (!value)
        return;
    buf_printf(path, "%c%s=", path->data && strchr(path->data, '?') ? '&' : '?', key);
    for (; *value; value++) {
        if (strchr(plain, *value))
            buf_append(path, value, 1);
        else
            buf_printf(path, "%%%02X", (unsigned char)*value);
    }
}
