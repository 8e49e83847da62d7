/* store.h - pixels as they arrive, in memory up to a budget, beyond it in a file without a name.
 *
 * The file is written with write(2), so that a full disk is an error and not a SIGBUS, unlinked as soon as it
 * is open, and at the end mapped shared and read-only: its pages are page cache, which the kernel takes back
 * when memory is short, and nothing is left behind by a process that dies. */
#ifndef WORKER_DATA_STORE_H
#define WORKER_DATA_STORE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a load may use. */
struct room {
    size_t limit;          /* decompressed bytes of all members together, and bytes of all pixels together */
    size_t memory;         /* bytes of pixels that stay in memory */
    const char *spill_dir; /* where a file for more is made; NULL: all stays in memory whatever it takes */
    bool sizes_only;       /* pixels are read and checked, then dropped: to find out what a data set is */
};

/* What the stores of one load have in common. */
struct budget {
    struct room room;
    size_t total, in_memory; /* bytes so far */
};

struct store {
    struct budget *budget;
    uint8_t *data; /* owned: all bytes; once there is a file, those not yet written */
    size_t held, capacity;
    size_t length; /* bytes appended in all */
    bool spilled;
    int fd; /* of the file, when spilled */
};

void store_init(struct store *s, struct budget *b);
void store_free(struct store *s); /* also after a store_take */

/* ERR_TOO_LARGE above the limit, ERR_FULL when the disk is. */
int store_append(struct store *s, const void *bytes, size_t n, struct err *e);

/* Hand the bytes over; the store is empty afterwards. *mapped: 0 when they are ordinary memory, else the
 * bytes of the mapping; store_release gives back either. *data is NULL when there is nothing or sizes_only is
 * set. */
int store_take(struct store *s, uint8_t **data, size_t *mapped, struct err *e);
void store_release(uint8_t *data, size_t mapped);

/* Part of what store_take gave as a mapping will be read soon: have it fetched from disk meanwhile. */
void store_ahead(const uint8_t *data, size_t bytes);

/* What was read of a mapping stays in the page cache, but no longer counts as this process's memory; read
 * again, it comes back. Between batches: the process then never has more of it than one batch touches, which
 * is for each run of bytes read at most these bytes and STORE_AROUND. */
void store_rest(const uint8_t *data, size_t mapped);
#define STORE_AROUND ((size_t)64 << 10) /* the kernel maps the neighbours of a page along with it */

#endif
