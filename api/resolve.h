/* resolve.h - what a job refers to: a model and a data set, uploaded or built in, and whether they fit each
 * other. */
#ifndef API_RESOLVE_H
#define API_RESOLVE_H

#include "api/api.h"
#include "api/spec.h"

struct resolved {
    char reference[128];  /* "sha256:...", "zoo:NAME" or "builtin:NAME": what the stored specification says */
    char hash[HASH_TEXT]; /* "" for built-in ones */
    json_t *input;        /* owned: the entry of "inputs" in the job's specification */
    json_t *info;         /* owned: the inspector's JSON, or the entry of the capabilities */
};

void resolved_free(struct resolved *r); /* frees what r owns, not r */

/* The references of spec. One that leads nowhere is a problem (not_found) at its pointer and leaves the
 * struct empty; the return value is only negative when the machinery fails. */
int resolve_model(struct api *api, const json_t *spec, struct resolved *r, struct spec_problems *p,
                  struct err *e);
int resolve_dataset(struct api *api, const json_t *spec, struct resolved *r, struct spec_problems *p,
                    struct err *e);

/* Overrides name layers; the data set has the model's input shape and as many classes as it has outputs; one
 * mean per channel. What is not known of either is not held against it. */
void resolve_check(const json_t *spec, const struct resolved *model, const struct resolved *dataset,
                   struct spec_problems *p);

#endif
