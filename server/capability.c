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
    struct captured how;
    char *text; /* owned */
};

static void on_captured(void *arg, const struct captured *c)
{
    struct answer *a = arg;
    a->there = true;
    a->how = *c;
    a->text = mem_strdup(c->text);
}

static int judge(const char *worker, const struct answer *a, struct err *e)
{
    if (a->how.timed_out)
        err_set(e, ERR_TIMEOUT, "it takes more than %d s", TIMEOUT_MS / 1000);
    else if (a->how.overflowed)
        err_set(e, ERR_TOO_LARGE, "it prints more than %zu MiB", OUTPUT_MAX >> 20);
    else if (a->how.signal)
        err_set(e, ERR_IO, "it was killed by signal %d (%s)", a->how.signal, strsignal(a->how.signal));
    else if (a->how.exit_code)
        err_set(e, ERR_IO, "it ended with exit code %d", a->how.exit_code);
    else if (!a->text)
        err_set(e, ERR_NOMEM, "no memory for its answer");
    else
        return 0;
    return err_wrap(e, "the worker can't be used: %s describe", worker);
}

static int ask(uv_loop_t *loop, const char *worker, struct answer *a, struct err *e)
{
    const char *args[] = { worker, "describe", NULL };
    struct capturing with = { .loop = loop,
                              .args = args,
                              .limit = OUTPUT_MAX,
                              .timeout_ms = TIMEOUT_MS,
                              .show_stderr = true,
                              .done = on_captured,
                              .arg = a };
    struct capture *c;
    int rc = capture_start(&with, &c, e);
    if (rc)
        return rc;
    while (!a->there)
        uv_run(loop, UV_RUN_ONCE);
    return judge(worker, a, e);
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
        err_wrap(e, "the worker can't be used: the answer of %s describe", worker);
    free(a.text);
    if (rc)
        return rc;
    json_t *about = json_pack("{s:s,s:I,s:I,s:o,s:b}", "version", QUANTD_VERSION, "slots",
                              (json_int_t)server->slots, "upload_max", (json_int_t)server->upload_max,
                              "launchers", launcher_names(), "accounts", server->accounts);
    return json_object_set_new(*capabilities, "server", about) ? err_set(e, ERR_NOMEM, "no memory") : 0;
}
