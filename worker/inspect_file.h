/* inspect_file.h - `quantd-worker inspect`: strangers' bytes are parsed here, in the sandbox, and nowhere
 * else. */
#ifndef WORKER_INSPECT_FILE_H
#define WORKER_INSPECT_FILE_H

/* kind: "model" | "dataset". Prints JSON on stdout: what the file is, or {"error": {code, text, place}}.
 * Returns the process's exit code. */
int inspect_file(const char *kind, const char *path, const char *format);

#endif
