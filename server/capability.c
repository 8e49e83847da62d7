#include "server/capability.h"

#include "base/mem.h"
#include "server/capture.h"
#include "server/launcher.h"

#include <stdlib.h>
#include <string.h>

#define OUTPUT_MAX ((size_t)4 << 20)
#define TIMEOUT_MS 20000

struct answer {
    bool there;
    int exit_code, signal;
    bool timed_out;
    char *text; /* owned */
};

static void on_captured(void *arg, const struct captured *c)
{
    struct answer *a = arg;
    a->there = true;
    a->exit_code = c->exit_code;
    a->signal = c->signal;
    a->timed_out = c->timed_out;
    a->text = mem_strdup(c->text);
}

static int ask(uv_loop_t *loop, const char *worker, struct answer *a, struct err *e)
{
    const char *args[] = { worker, "describe", NULL };
    struct capturing with = { .loop = loop,
                              .args = args,
                              .limit = OUTPUT_MAX,
                              .timeout_ms = TIMEOUT_MS,
                              .done = on_captured,
                              .arg = a };
    struct capture *c;
    int rc = capture_start(&with, &c, e);
    if (rc)
        return rc;
    while (!a->there)
        uv_run(loop, UV_RUN_ONCE);
    if (a->timed_out)
        return err_set(e, ERR_TIMEOUT, "%s describe does not end", worker);
    if (a->exit_code || !a->text)
        return err_set(e, ERR_IO, "%s describe failed (exit code %d, signal %d)", worker, a->exit_code,
                       a->signal);
    return 0;
}

int capability_parse(const char *text, json_t **capabilities, struct err *e)
{
    static const char *const needed[] = { "kinds", "parameters" };
    json_error_t je;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return err_set(e, ERR_CORRUPT, "line %d: %s", je.line, je.text);
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (json_is_array(json_object_get(root, needed[i])))
            continue;
        json_decref(root);
        return err_set(e, ERR_CORRUPT, "there is no list of %s", needed[i]);
    }
    *capabilities = root;
    return 0;
}

static json_t *launcher_names(void)
{
    json_t *names = json_array();
    for (int i = 0; launcher_list[i]; i++)
        json_array_append_new(names, json_string(launcher_list[i]->name));
    return names;
}

int capability_load(uv_loop_t *loop, const char *worker, const struct capability_server *server,
                    json_t **capabilities, struct err *e)
{
    struct answer a = { 0 };
    int rc = ask(loop, worker, &a, e);
    if (!rc && (rc = capability_parse(a.text, capabilities, e)))
        err_wrap(e, "the answer of %s describe", worker);
    free(a.text);
    if (rc)
        return rc;
    json_t *about = json_pack("{s:s,s:I,s:I,s:o,s:b}", "version", QUANTD_VERSION, "slots",
                              (json_int_t)server->slots, "upload_max", (json_int_t)server->upload_max,
                              "launchers", launcher_names(), "accounts", server->accounts);
    return json_object_set_new(*capabilities, "server", about) ? err_set(e, ERR_NOMEM, "no memory") : 0;
}
