/* blob.c - files by their hash: big inputs come in here first, and a model or data set is then made of them.
 */
#include "storage/blob.h"

#include "api/handle.h"
#include "api/query.h"

#include <string.h>

/* The {hash} of the route, in the one form that is used. */
static int hash_of(const struct exchange *x, struct err *e)
{
    unsigned char digest[HASH_BYTES];

    if (hash_parse(x->param[0], digest) == 0)
        return 0;
    return err_set(e, ERR_SYNTAX, "\"%s\" is not sha256: and 64 lower-case hexadecimal digits", x->param[0]);
}

void handle_blob_get(struct api *api, struct exchange *x)
{
    struct err e = { 0 };

    if (!query_ok(x))
        return;
    if (hash_of(x, &e) == 0 && handle_send_blob(api, x, x->param[0], "application/octet-stream", &e) == 0)
        handle_attachment(x, x->param[0], "");
    else
        exchange_problem(x, &e);
}

static int blob_store(struct api *api, struct exchange *x, bool *existed, struct err *e)
{
    struct blob b;
    int rc = hash_of(x, e);

    *existed = false;
    if (rc < 0)
        return rc;
    if (!x->upload.path[0])
        return err_set(e, ERR_SYNTAX, "the body is empty");
    if (strcmp(x->upload.hash, x->param[0]) != 0)
        return err_set(e, ERR_INVALID, "the body's hash is %s, not the one in the path", x->upload.hash);
    *existed = blob_get(api->db, x->param[0], &b, NULL) == 0;
    rc = blob_adopt(api->db, x->upload.path, x->upload.hash, x->upload.size, e);
    if (rc == 0)
        x->upload.path[0] = 0;
    return rc;
}

void handle_blob_put(struct api *api, struct exchange *x)
{
    struct err e = { 0 };
    bool existed;

    if (!query_ok(x))
        return;
    if (blob_store(api, x, &existed, &e) < 0) {
        exchange_problem(x, &e);
        return;
    }
    exchange_header(x, "Location", "/v1/blobs/%s", x->param[0]);
    exchange_json(x, existed ? 200 : 201,
                  json_pack("{s:s,s:I}", "sha256", x->param[0], "bytes", (json_int_t)x->upload.size));
}
