/* gunzip.h - gzip, checked: every member's CRC and length are compared with its trailer (libarchive's own
 * reader passes over them). Members that follow each other are one stream; zeros behind the last are padding.
 */
#ifndef WORKER_DATA_GUNZIP_H
#define WORKER_DATA_GUNZIP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gunzip;

/* Where compressed bytes come from: a block that is valid until the next call; *length 0 at the end. */
typedef int gunzip_more(void *cookie, const uint8_t **block, size_t *length, struct err *e);

bool gunzip_probe(const uint8_t *head, size_t length); /* does it begin like gzip? */

struct gunzip *gunzip_new(gunzip_more *more, void *cookie); /* NULL when out of memory */
void gunzip_free(struct gunzip *g);                         /* NULL is fine */

/* Up to size plain bytes; *got 0 at the end, once everything has been checked. ERR_CORRUPT for damage. */
int gunzip_read(struct gunzip *g, uint8_t *to, size_t size, size_t *got, struct err *e);

/* The file name that the first member kept, "" when none; known after the first read. */
const char *gunzip_name(const struct gunzip *g);

#endif
