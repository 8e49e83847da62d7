/* main.c - quantctl: the table of commands, the help drawn from it, and the way in. */
#include "api/client/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_URL "http://127.0.0.1:8420"

/* Every command takes these two. */
#define COMMON                                                                                               \
    { "json", NULL, "print the server's JSON" }, { "help", NULL, "this help" },                              \
    {                                                                                                        \
        NULL, NULL, NULL                                                                                     \
    }

static const struct option_def plain[] = { COMMON };
static const struct option_def model_options[] = { { "name", "NAME", "default: the file's name" }, COMMON };
static const struct option_def dataset_options[] = {
    { "name", "NAME", "default: the file's name" },
    { "format", "FORMAT", "default: by its content; `capabilities` lists them" },
    { "mean", "A,B,C", "mean per channel, after division by 255" },
    { "std", "A,B,C", "standard deviation per channel" },
    COMMON
};
static const struct option_def submit_options[] = {
    { "kind", "KIND", "quantize, prune, compress, train, evaluate" },
    { "model", "MODEL", "zoo:NAME[@CxHxW][/CLASSES], sha256:..., or the name of an uploaded one" },
    { "dataset", "DATASET", "builtin:NAME, sha256:..., or the name of an uploaded one" },
    { "name", "NAME", "shown in the queue" },
    { "set", "POINTER=VALUE", "any other parameter, e.g. /train/epochs=5; may be repeated" },
    { "watch", NULL, "stay and watch the job" },
    { "dry-run", NULL, "only check; prints the complete specification" },
    { "idempotency-key", "KEY", "the same key gives the same job, however often it is sent" },
    COMMON
};
static const struct option_def job_list_options[] = {
    { "state", "STATE",
      "scheduled, queued, starting, running, cancelling, succeeded, failed, cancelled, parked" },
    { "kind", "KIND", "only jobs of this kind" },
    { "tag", "TAG", "only jobs with this tag" },
    { "owner", "OWNER", "only jobs of this owner" },
    { "sweep", "ID", "only jobs of this sweep" },
    { "limit", "N", "at most so many, newest first (default 50)" },
    COMMON
};
static const struct option_def artifact_options[] = {
    { "o", "PATH", "file to write (with NAME), or directory (default job-ID)" }, COMMON
};

static const struct option_def decode_options[] = {
    { "o", "PATH", "file to write; default: FILE with .onnx for .qdz" },
    { "fold-normalization", NULL, "normalizations become a part of the layers before them" },
    { "exact", NULL, "the same, and scales of few bits: any runtime gets the same integers" },
    COMMON
};

struct command {
    const char *noun, *verb; /* verb "" when the noun stands alone */
    int (*run)(struct client *c, const struct args *a);
    const char *words; /* what the positional words are */
    int least, most;   /* how many of them */
    const struct option_def *options;
    const char *help;
};

static const struct command commands[] = {
    { "models", "add", asset_add, "FILE", 1, 1, model_options, "upload an ONNX model" },
    { "models", "ls", asset_ls, "", 0, 0, plain, "list the uploaded models" },
    { "models", "get", asset_get, "ID...", 1, ARGS_MAX, plain, "show models" },
    { "models", "rm", asset_rm, "ID...", 1, ARGS_MAX, plain, "delete models" },
    { "datasets", "add", asset_add, "FILE", 1, 1, dataset_options, "upload a data set (tar, zip, npz)" },
    { "datasets", "ls", asset_ls, "", 0, 0, plain, "list the uploaded data sets" },
    { "datasets", "get", asset_get, "ID...", 1, ARGS_MAX, plain, "show data sets" },
    { "datasets", "rm", asset_rm, "ID...", 1, ARGS_MAX, plain, "delete data sets" },
    { "jobs", "submit", job_submit, "[FILE.json|-]", 0, 1, submit_options,
      "make a job, from a file, from options, or both" },
    { "jobs", "ls", job_ls, "", 0, 0, job_list_options, "list jobs, newest first" },
    { "jobs", "get", job_get, "ID...", 1, ARGS_MAX, plain, "show jobs" },
    { "jobs", "watch", job_watch, "ID", 1, 1, plain, "follow a job to its end" },
    { "jobs", "cancel", job_cancel, "ID...", 1, ARGS_MAX, plain, "cancel jobs" },
    { "jobs", "retry", job_retry, "ID...", 1, ARGS_MAX, plain,
      "queue failed, cancelled or parked jobs again" },
    { "jobs", "rm", job_rm, "ID...", 1, ARGS_MAX, plain, "delete finished jobs" },
    { "jobs", "log", job_log, "ID", 1, 1, plain, "print a job's log" },
    { "sweeps", "ls", sweep_ls, "", 0, 0, plain, "list sweeps, newest first" },
    { "sweeps", "get", sweep_get, "ID", 1, 1, plain, "a sweep's table: mean and deviation over the seeds" },
    { "sweeps", "cancel", sweep_cancel, "ID...", 1, ARGS_MAX, plain, "cancel all jobs of sweeps" },
    { "sweeps", "rm", sweep_rm, "ID...", 1, ARGS_MAX, plain, "delete sweeps and their finished jobs" },
    { "artifacts", "ls", artifact_ls, "JOB", 1, 1, plain, "list what a job has made" },
    { "artifacts", "get", artifact_get, "JOB [NAME]", 1, 2, artifact_options,
      "download one artifact, or all of them" },
    { "decode", "", decode_run, "FILE.qdz", 1, 1, decode_options,
      "a coded model back to ONNX, on this machine" },
    { "capabilities", "", service_capabilities, "", 0, 0, plain,
      "what jobs can be made of: kinds, parameters, ranges" },
    { "version", "", service_version, "", 0, 0, plain, "versions of client and server" },
};
#define COMMANDS (sizeof commands / sizeof *commands)

static const char environment[] =
    "\nEnvironment:\n"
    "  QUANTD_URL    address of the server (default " DEFAULT_URL ")\n"
    "  QUANTD_TOKEN  token, where the server has accounts\n"
    "\nExit codes:\n"
    "  0 done or succeeded   1 failed            2 wrong usage   3 server out of reach\n"
    "  4 job cancelled       5 job parked        6 refused by the server\n";

/* Help about every command whose noun fits (NULL: all). */
static void print_commands(const char *noun, FILE *out)
{
    fputs("Usage: quantctl COMMAND [OPTIONS]\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        char line[64];
        if (noun && strcmp(noun, commands[i].noun) != 0)
            continue;
        snprintf(line, sizeof line, "%s%s%s %s", commands[i].noun, *commands[i].verb ? " " : "",
                 commands[i].verb, commands[i].words);
        fprintf(out, "  %-28s %s\n", line, commands[i].help);
    }
    fputs("\nquantctl COMMAND --help lists the options of a command.\n", out);
    fputs(environment, out);
}

static void print_command(const struct command *c, FILE *out)
{
    fprintf(out, "Usage: quantctl %s%s%s %s [OPTIONS]\n%s\n\n", c->noun, *c->verb ? " " : "", c->verb,
            c->words, c->help);
    for (const struct option_def *o = c->options; o->name; o++) {
        char line[64];
        snprintf(line, sizeof line, "%s%s%s%s", strlen(o->name) > 1 ? "--" : "-", o->name,
                 o->value ? " " : "", o->value ? o->value : "");
        fprintf(out, "  %-24s %s\n", line, o->help);
    }
}

/* The command that argv begins with; *taken words belong to its name. */
static const struct command *find(int argc, char **argv, int *taken)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(argv[0], commands[i].noun) != 0)
            continue;
        *taken = 1 + (*commands[i].verb != '\0');
        if (*taken == 1 || (argc > 1 && strcmp(argv[1], commands[i].verb) == 0))
            return &commands[i];
    }
    return NULL;
}

static bool is_noun(const char *word)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(word, commands[i].noun) == 0)
            return true;
    return false;
}

static int no_command(int argc, char **argv)
{
    if (argc == 0)
        return client_usage("which command?");
    if (strcmp(argv[0], "--version") == 0) {
        puts("quantctl " QUANTD_VERSION);
        return CLIENT_DONE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0) {
        print_commands(argc > 1 && is_noun(argv[1]) ? argv[1] : NULL, stdout);
        return CLIENT_DONE;
    }
    if (is_noun(argv[0]) && argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_commands(argv[0], stdout);
        return CLIENT_DONE;
    }
    if (is_noun(argv[0]))
        return client_usage(argc > 1 ? "%s has no command \"%s\"" : "%s needs a command", argv[0],
                            argc > 1 ? argv[1] : "");
    return client_usage("there is no command \"%s\"", argv[0]);
}

static int run(const struct command *command, const struct args *a)
{
    struct client c = { .json = option_has(a, "json"), .terminal = isatty(STDOUT_FILENO) };
    const char *url = getenv("QUANTD_URL");
    struct err e = { 0 };
    int code;

    c.http = http_new(url && *url ? url : DEFAULT_URL, getenv("QUANTD_TOKEN"), &e);
    if (!c.http) {
        client_error(&e);
        return CLIENT_USAGE;
    }
    code = command->run(&c, a);
    http_free(c.http);
    /* A full disk or a closed pipe must not look like success. */
    if (fflush(stdout) != 0 && code == CLIENT_DONE)
        code = CLIENT_FAILED;
    return code;
}

int main(int argc, char **argv)
{
    const struct command *command;
    struct err e = { 0 };
    struct args a;
    int taken = 0;

    command = argc > 1 ? find(argc - 1, argv + 1, &taken) : NULL;
    if (!command)
        return no_command(argc - 1, argv + 1);
    if (option_parse(command->options, argc - 1 - taken, argv + 1 + taken, &a, &e) < 0)
        return client_usage("%s", e.text);
    a.noun = command->noun;
    if (option_has(&a, "help")) {
        print_command(command, stdout);
        return CLIENT_DONE;
    }
    if (a.words < command->least || a.words > command->most)
        return client_usage("%s%s%s takes %s", command->noun, *command->verb ? " " : "", command->verb,
                            *command->words ? command->words : "no further words");
    return run(command, &a);
}
