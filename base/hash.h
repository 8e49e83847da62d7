/* hash.h - SHA-256 (the only file that includes libcrypto is hash.c) and the kernel's random bytes. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32
#define HASH_TEXT  (7 + 64 + 1) /* "sha256:" + 64 lower-case digits + zero */

struct hash; /* a SHA-256 in progress */

struct hash *hash_new(void); /* NULL when out of memory */
void hash_add(struct hash *h, const void *data, size_t length);
void hash_done(struct hash *h, unsigned char out[HASH_BYTES]); /* also frees h */
void hash_free(struct hash *h);                                /* give up */

void hash_bytes(const void *data, size_t length, unsigned char out[HASH_BYTES]);
int hash_file(const char *path, char text[HASH_TEXT], int64_t *size, struct err *e); /* "sha256:..." */
void hash_text(const unsigned char digest[HASH_BYTES], char text[HASH_TEXT]);
int hash_parse(const char *text, unsigned char digest[HASH_BYTES]); /* "sha256:<64 hex>"; 0 or ERR_SYNTAX */
uint32_t hash_crc32(uint32_t crc, const void *data, size_t length); /* IEEE 802.3, start with 0 */

int hash_random(void *out, size_t length);                   /* getrandom(2); 0 or ERR_IO */
int hash_equal(const void *a, const void *b, size_t length); /* constant time; 1 when equal */

#endif
