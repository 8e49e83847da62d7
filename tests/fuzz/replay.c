/* replay.c - the main of a fuzz target where libFuzzer is not there: runs the target over every file of its
 * corpus, tests/fuzz/corpus/NAME for the program fuzz_NAME. Run from the repository's root. */
#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

/* In memory of exactly the file's size, so that the sanitizer sees a read behind it. */
static int replay_file(const char *path)
{
    struct err e = { 0 };
    unsigned char *exact;
    size_t length;
    char *data;

    if (file_load(path, FILE_MAX, &data, &length, &e) < 0) {
        fprintf(stderr, "%s: %s\n", path, e.text);
        return -1;
    }
    exact = malloc(length ? length : 1);
    if (!exact) {
        free(data);
        return -1;
    }
    memcpy(exact, data, length);
    free(data);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    char dir[256], path[600];
    struct dirent *entry;
    int count = 0, failed = 0;
    DIR *corpus;

    (void)argc;
    snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
    corpus = opendir(dir);
    if (!corpus) {
        fprintf(stderr, "%s: there is no such corpus\n", dir);
        return 1;
    }
    while ((entry = readdir(corpus))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        failed |= replay_file(path) < 0;
        count++;
    }
    closedir(corpus);
    printf("%s: %d files replayed\n", dir, count);
    return failed || count == 0;
}
