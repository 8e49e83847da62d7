/* replay.c - the main of a fuzz target where libFuzzer is not there: runs the target over every file of its
 * corpus, tests/fuzz/corpus/NAME for the program fuzz_NAME. Run from the repository's root.
 *
 *     fuzz_NAME --mutate COUNT [DIR]
 *
 * then runs it over COUNT of them with a few bytes changed, dropped, doubled or taken from another file,
 * always the same ones: many more than libFuzzer does in that time, since nothing counts branches. */
#include "base/file.h"
#include "base/rng.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)64 << 20)

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct corpus {
    struct input {
        unsigned char *data;
        size_t length;
    } * input;
    size_t count;
};

static int add_file(struct corpus *c, const char *path)
{
    struct err e = { 0 };
    struct input in;
    char *data;

    if (file_load(path, FILE_MAX, &data, &in.length, &e) < 0) {
        fprintf(stderr, "%s: %s\n", path, e.text);
        return -1;
    }
    in.data = (unsigned char *)data;
    struct input *more = realloc(c->input, (c->count + 1) * sizeof *more);
    if (!more) {
        free(data);
        return -1;
    }
    c->input = more;
    c->input[c->count++] = in;
    return 0;
}

static int by_content(const void *a, const void *b)
{
    const struct input *x = a, *y = b;
    const size_t least = x->length < y->length ? x->length : y->length;
    const int order = memcmp(x->data, y->data, least);

    return order ? order : (x->length > y->length) - (x->length < y->length);
}

/* In an order that no file system has a say in. */
static int load_corpus(struct corpus *c, const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char file[600];
    int failed = 0;

    if (!dir) {
        fprintf(stderr, "%s: there is no such corpus\n", path);
        return -1;
    }
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        failed |= add_file(c, file) < 0;
    }
    closedir(dir);
    if (c->count)
        qsort(c->input, c->count, sizeof *c->input, by_content);
    return failed ? -1 : 0;
}

/* In memory of exactly the file's size, so that the sanitizer sees a read behind it. */
static void run(const unsigned char *data, size_t length)
{
    unsigned char *exact = malloc(length ? length : 1);

    if (!exact)
        abort();
    memcpy(exact, data, length);
    LLVMFuzzerTestOneInput(exact, length);
    free(exact);
}

enum { ROOM = 1 << 20, CHANGES = 8, STRETCH = 64 };

static size_t below(struct rng *r, size_t n)
{
    return rng_below(r, (uint32_t)(n ? n : 1));
}

/* One change to the length bytes at data, which has room for more; the new length. */
static size_t change(struct rng *r, unsigned char *data, size_t length, const struct input *other)
{
    const size_t at = below(r, length), left = length - at;
    size_t stretch = 1 + below(r, STRETCH);

    switch (below(r, 5)) {
    case 0: /* one bit */
        if (length)
            data[at] ^= (unsigned char)(1 << below(r, 8));
        return length;
    case 1: /* one byte, often an extreme one */
        if (length)
            data[at] = (unsigned char)(below(r, 2) ? below(r, 256) : below(r, 2) ? 255 : 0);
        return length;
    case 2: /* a stretch is missing */
        stretch = stretch < left ? stretch : left;
        memmove(data + at, data + at + stretch, left - stretch);
        return length - stretch;
    case 3: /* a stretch comes twice */
        stretch = stretch < left ? stretch : left;
        if (length + stretch > ROOM)
            return length;
        memmove(data + at + stretch, data + at, left);
        return length + stretch;
    default: { /* a stretch of another file */
        const size_t from = below(r, other->length), most = other->length - from;
        stretch = stretch < left ? stretch : left;
        memcpy(data + at, other->data + from, stretch < most ? stretch : most);
        return length;
    }
    }
}

static int mutate(const struct corpus *c, long count)
{
    unsigned char *data = malloc(ROOM);

    for (long i = 0; data && i < count; i++) {
        struct rng r = rng_at(1, 1, (uint64_t)i);
        const struct input *in = &c->input[below(&r, c->count)];
        size_t length = in->length < ROOM ? in->length : ROOM;
        memcpy(data, in->data, length);
        for (size_t changes = 1 + below(&r, CHANGES); changes; changes--)
            length = change(&r, data, length, &c->input[below(&r, c->count)]);
        run(data, length);
        if ((i + 1) % 100000 == 0)
            printf("%ld\n", i + 1), fflush(stdout);
    }
    free(data);
    return data ? 0 : -1;
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
    const bool mutates = argc >= 3 && strcmp(argv[1], "--mutate") == 0;
    struct corpus c = { 0 };
    char dir[256];

    if (argc > 1 && !mutates) {
        fprintf(stderr, "usage: %s [--mutate COUNT [DIR]]\n", name);
        return 2;
    }
    snprintf(dir, sizeof dir, "tests/fuzz/corpus/%s", strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name);
    int failed = load_corpus(&c, dir);
    if (mutates && argc > 3)
        failed |= load_corpus(&c, argv[3]);
    for (size_t i = 0; i < c.count; i++)
        run(c.input[i].data, c.input[i].length);
    printf("%s: %zu files replayed\n", dir, c.count);
    if (mutates && c.count && !failed) {
        failed = mutate(&c, atol(argv[2]));
        printf("%s: %s of them mutated\n", dir, argv[2]);
    }
    for (size_t i = 0; i < c.count; i++)
        free(c.input[i].data);
    free(c.input);
    return failed || c.count == 0;
}
