#include "worker/data/dataset.h"

#include "base/mem.h"
#include "worker/data/archive.h"
#include "worker/data/draft.h"
#include "worker/data/list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One load: which format it is, once known, and what was seen that is not in it. */
struct load {
    const struct dataset_format *format; /* NULL until a member decides */
    struct draft draft;
    int seen, taken;
    char first[MEMBER_SHOWN]; /* the first member that was skipped, and what it looks like */
    const char *first_kind;
};

static const struct dataset_format *format_find(const char *name)
{
    for (int i = 0; dataset_formats[i] != NULL; i++)
        if (strcmp(dataset_formats[i]->name, name) == 0)
            return dataset_formats[i];
    return NULL;
}

static const struct dataset_format *format_guess(const char *member, const uint8_t *head, size_t length)
{
    const struct dataset_format *best = NULL;
    int best_score = DATASET_SURE - 1;

    for (int i = 0; dataset_formats[i] != NULL; i++) {
        int score = dataset_formats[i]->probe(member, head, length);
        if (score > best_score) {
            best = dataset_formats[i];
            best_score = score;
        }
    }
    return best;
}

static int load_want(void *cookie, const struct source *s, struct err *e)
{
    struct load *l = cookie;
    /* one file and a format: it must be in it, or the reader says why */
    const bool forced = l->format != NULL && s->bare;

    (void)e;
    l->seen++;
    if (l->format == NULL)
        l->format = format_guess(s->member, s->head, s->head_length);
    if (forced || (l->format != NULL && l->format->probe(s->member, s->head, s->head_length) > 0))
        return 1;
    if (l->first_kind == NULL) {
        memcpy(l->first, s->shown, sizeof l->first);
        l->first_kind = member_kind(s->head, s->head_length);
    }
    return 0;
}

static int load_take(void *cookie, struct source *s, struct err *e)
{
    struct load *l = cookie;

    l->taken++;
    return l->format->member(&l->draft, s, e);
}

static int load_nothing(const struct load *l, struct err *e)
{
    if (l->seen == 0)
        return err_set(e, ERR_INVALID, "the archive has no files");
    if (l->format == NULL)
        return err_set(e, ERR_INVALID, "no file in a known format: '%s' looks like %s", l->first,
                       l->first_kind);
    return err_set(e, ERR_INVALID, "no file in format %s: '%s' looks like %s", l->format->name, l->first,
                   l->first_kind);
}

struct dataset *dataset_new(void)
{
    struct dataset *d = mem_alloc(sizeof *d);

    for (int c = 0; d != NULL && c < 4; c++)
        d->stddev[c] = 1;
    return d;
}

static int load_walk(struct load *l, const char *path, struct err *e)
{
    const struct archive_visitor visitor = { .cookie = l, .want = load_want, .take = load_take };
    int r = archive_walk(path, l->draft.budget.room.limit, &visitor, e);

    if (r == 0 && l->taken == 0)
        r = load_nothing(l, e);
    return r < 0 ? r : l->format->finish(&l->draft, e);
}

static void load_drop(struct load *l)
{
    if (l->format != NULL && l->format->drop != NULL)
        l->format->drop(l->draft.state);
    else
        free(l->draft.state);
    draft_free(&l->draft);
}

int dataset_read(const char *path, const char *format, const struct room *room, struct dataset **out,
                 struct err *e)
{
    struct load l = { .format = NULL };

    *out = NULL;
    if (format != NULL && strcmp(format, "auto") != 0 && (l.format = format_find(format)) == NULL)
        return err_set(e, ERR_UNSUPPORTED, "there is no data format '%s'", format);
    int r = draft_init(&l.draft, room, e);
    if (r == 0)
        r = load_walk(&l, path, e);
    if (r == 0) {
        snprintf(l.draft.dataset->format, sizeof l.draft.dataset->format, "%s", l.format->name);
        r = draft_finish(&l.draft, out, e);
    }
    load_drop(&l);
    return r;
}

int dataset_load(const char *path, const char *format, size_t limit, struct dataset **out, struct err *e)
{
    const struct room room = { .limit = limit };

    return dataset_read(path, format, &room, out, e);
}

int dataset_builtin(const char *name, uint64_t seed, struct dataset **out, struct err *e)
{
    *out = NULL;
    for (int i = 0; dataset_builtins[i] != NULL; i++) {
        const struct dataset_builtin *b = dataset_builtins[i];
        if (strcmp(b->name, name) == 0)
            return b->draw(seed, out, e);
    }
    return err_set(e, ERR_NOT_FOUND, "there is no built-in data set '%s'", name);
}

void dataset_free(struct dataset *d)
{
    if (d == NULL)
        return;
    for (int k = 0; k < SPLITS; k++) {
        store_release(d->split[k].pixel, d->split[k].mapped);
        free(d->split[k].label);
    }
    for (int c = 0; d->class_name != NULL && c < d->classes; c++)
        free(d->class_name[c]);
    free(d->class_name);
    free(d);
}
