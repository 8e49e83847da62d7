/* decode.c - a coded file back to ONNX: done here, by the worker program beside this one; no server is asked.
 */
#include "api/client/client.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The worker in this program's own directory, else the one of the PATH. */
static void worker_path(char out[PATH_MAX + 16])
{
    char self[PATH_MAX];
    const ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);

    snprintf(out, PATH_MAX + 16, "quantd-worker");
    if (length < 0)
        return;
    self[length] = '\0';
    snprintf(out, PATH_MAX + 16, "%s/quantd-worker", dirname(self));
    if (access(out, X_OK) != 0)
        snprintf(out, PATH_MAX + 16, "quantd-worker");
}

int decode_run(struct client *c, const struct args *a)
{
    const char *output = option_get(a, "o");
    char worker[PATH_MAX + 16], name[PATH_MAX];
    int status;
    (void)c;

    if (!output) {
        const size_t stem =
            strlen(a->word[0]) -
            (strlen(a->word[0]) > 4 && strcmp(a->word[0] + strlen(a->word[0]) - 4, ".qdz") == 0 ? 4 : 0);
        snprintf(name, sizeof name, "%.*s.onnx", (int)stem, a->word[0]);
        output = name;
    }
    worker_path(worker);
    const pid_t child = fork();
    if (child == 0) {
        const bool fold = option_has(a, "fold-normalization"), exact = option_has(a, "exact");
        execlp(worker, worker, "decode", a->word[0], "-o", output,
               fold    ? "--fold-normalization"
               : exact ? "--exact"
                       : (char *)NULL,
               fold && exact ? "--exact" : (char *)NULL, (char *)NULL);
        fprintf(stderr, "quantctl: %s can't be run: %s\n", worker, strerror(errno));
        _exit(CLIENT_FAILED);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return CLIENT_FAILED;
    printf("%s\n", output);
    return CLIENT_DONE;
}
