/* main.c - quantd: the command line, and the few things it does without serving. */
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/server.h"
#include "storage/token.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

static int complain(const struct err *e)
{
    fprintf(stderr, "quantd: %s\n", e->text);
    return 1;
}

static int serve(const struct invocation *inv)
{
    struct err e = { 0 };
    struct server *s = mem_alloc(sizeof *s);
    if (!s)
        return 1;
    int rc = server_run(s, &inv->config, &e);
    free(s);
    return rc ? complain(&e) : 0;
}

static void print_finding(void *arg, const char *line)
{
    (void)arg;
    puts(line);
}

static int check(const struct invocation *inv)
{
    struct err e = { 0 };
    int found = db_check(inv->config.data, print_finding, NULL, &e);
    if (found < 0)
        return complain(&e);
    printf("findings: %d\n", found);
    return found ? 1 : 0;
}

static int add_token(const struct invocation *inv)
{
    struct err e = { 0 };
    struct db *db;
    char text[TOKEN_TEXT];
    if (db_open(inv->config.data, &db, &e))
        return complain(&e);
    int rc = token_add(db, inv->token_name, text, &e);
    db_close(db);
    if (rc)
        return complain(&e);
    puts(text);
    return 0;
}

static int revoke_token(const struct invocation *inv)
{
    struct err e = { 0 };
    struct db *db;
    if (db_open(inv->config.data, &db, &e))
        return complain(&e);
    int rc = token_revoke(db, inv->token_name, &e);
    db_close(db);
    return rc ? complain(&e) : 0;
}

static int version(const struct invocation *inv)
{
    (void)inv;
    puts("quantd " QUANTD_VERSION);
    return 0;
}

static int help(const struct invocation *inv)
{
    (void)inv;
    config_usage(stdout);
    return 0;
}

static int (*const commands[])(const struct invocation *inv) = {
    [COMMAND_SERVE] = serve, [COMMAND_CHECK] = check,         [COMMAND_VERSION] = version,
    [COMMAND_HELP] = help,   [COMMAND_ADD_TOKEN] = add_token, [COMMAND_REVOKE_TOKEN] = revoke_token,
};

int main(int argc, char **argv)
{
    struct invocation inv;
    struct err e = { 0 };
    if (config_parse(argc, argv, &inv, &e)) {
        complain(&e);
        return 2;
    }
    log_set_level((enum log_level)log_parse_level(inv.config.log_level));
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    return commands[inv.command](&inv);
}
