/* member.h - what the name and the first bytes of a file inside an archive tell. */
#ifndef WORKER_DATA_MEMBER_H
#define WORKER_DATA_MEMBER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEMBER_SHOWN 120 /* bytes of a name as it is shown in errors, with the zero */

/* ERR_INVALID for an absolute name, one with a ".." component, control characters or nothing in it. Nothing
 * is ever written under these names; an archive that has them is broken or hostile. */
int member_check(const char *name, struct err *e);

/* The name in a form that is fit for an error message: valid text, no control characters, the end when too
 * long. */
void member_show(const char *name, char out[MEMBER_SHOWN]);

const char *member_base(const char *name);           /* the last component */
bool member_hidden(const char *name);                /* ".DS_Store", "._x", "__MACOSX/...": never data */
bool member_has(const char *base, const char *word); /* case does not matter */

/* SPLIT_TRAIN or SPLIT_TEST: folders train/ and test/ decide, then the words train, t10k, test in the last
 * component; -1 when the name says nothing. */
int member_split(const char *name);

/* As member_split, but the folders alone decide. *below: the part of the name behind that folder, the whole
 * name when there is none. */
int member_split_folder(const char *name, const char **below);

/* "an IDX file of images", "a PNG image", ... "a file of unknown kind": for errors about a wrong format. */
const char *member_kind(const uint8_t *head, size_t length);

/* True when the bytes begin like gzip, bzip2, xz or zstd. */
bool member_compressed(const uint8_t *head, size_t length);

#endif
