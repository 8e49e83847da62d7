/* hash.c - SHA-256 by libcrypto's EVP, CRC-32 by table, random bytes from the kernel.
 *
 * SHA-256 over memory can't fail once its context exists; if libcrypto says it did, a wrong digest would be
 * worse than the end of the process (tokens and blobs are found by it), so that is the one place that aborts.
 */
#define ERR_STATE OPENSSL_ERR_STATE /* a type of libcrypto's and a code of ours: keep them apart */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#undef ERR_STATE

#include "base/hash.h"

#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define READ_BYTES ((size_t)1 << 18)

static const char prefix[] = "sha256:";
#define PREFIX_LENGTH (sizeof prefix - 1)

struct hash {
    EVP_MD_CTX *context; /* owned */
};

struct hash *hash_new(void)
{
    struct hash *h = mem_alloc(sizeof *h);
    if (!h)
        return NULL;
    h->context = EVP_MD_CTX_new();
    if (!h->context || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1) {
        hash_free(h);
        return NULL;
    }
    return h;
}

void hash_free(struct hash *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->context);
    free(h);
}

void hash_add(struct hash *h, const void *data, size_t length)
{
    if (length && EVP_DigestUpdate(h->context, data, length) != 1)
        abort();
}

void hash_done(struct hash *h, unsigned char out[HASH_BYTES])
{
    if (EVP_DigestFinal_ex(h->context, out, NULL) != 1)
        abort();
    hash_free(h);
}

void hash_bytes(const void *data, size_t length, unsigned char out[HASH_BYTES])
{
    if (EVP_Digest(length ? data : "", length, out, NULL, EVP_sha256(), NULL) != 1)
        abort();
}

static int add_file(struct hash *h, int fd, const char *path, int64_t *size, struct err *e)
{
    char *block = mem_alloc(READ_BYTES);
    if (!block)
        return err_set(e, ERR_NOMEM, "no memory to hash %s", path);
    int rc = 0;
    for (;;) {
        ssize_t n = read(fd, block, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = err_sys(e, ERR_IO, "can't read %s", path);
        if (n <= 0)
            break;
        hash_add(h, block, (size_t)n);
        *size += n;
    }
    free(block);
    return rc;
}

int hash_file(const char *path, char text[HASH_TEXT], int64_t *size, struct err *e)
{
    int64_t total = 0;
    unsigned char digest[HASH_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "can't open %s", path);
    struct hash *h = hash_new();
    int rc = h ? add_file(h, fd, path, &total, e) : err_set(e, ERR_NOMEM, "no memory to hash %s", path);
    close(fd);
    if (rc) {
        hash_free(h);
        return rc;
    }
    hash_done(h, digest);
    hash_text(digest, text);
    if (size)
        *size = total;
    return 0;
}

void hash_text(const unsigned char digest[HASH_BYTES], char text[HASH_TEXT])
{
    memcpy(text, prefix, PREFIX_LENGTH);
    num_to_hex(digest, HASH_BYTES, text + PREFIX_LENGTH);
}

int hash_parse(const char *text, unsigned char digest[HASH_BYTES])
{
    if (strncmp(text, prefix, PREFIX_LENGTH) != 0 || !num_hex(text + PREFIX_LENGTH, digest, HASH_BYTES))
        return ERR_SYNTAX;
    return 0;
}

/* Polynomial 0xEDB88320 (reflected), eight bytes at a time: table k tells what a byte does to the sum with k
 * zero bytes behind it (Kounavis and Berry, "Novel table lookup-based algorithms for high-performance CRC
 * generation", IEEE Transactions on Computers 2008). */
static uint32_t crc_table[8][256];

static void crc_fill(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320u : 0);
        crc_table[0][byte] = crc;
    }
    for (int k = 1; k < 8; k++)
        for (int byte = 0; byte < 256; byte++) {
            uint32_t before = crc_table[k - 1][byte];
            crc_table[k][byte] = before >> 8 ^ crc_table[0][before & 255];
        }
}

uint32_t hash_crc32(uint32_t crc, const void *data, size_t length)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const unsigned char *p = data;

    pthread_once(&once, crc_fill);
    crc = ~crc;
    for (; length >= 8; length -= 8, p += 8) {
        uint32_t sum = 0;
        for (int i = 0; i < 8; i++)
            sum ^= crc_table[7 - i][p[i] ^ (i < 4 ? crc >> 8 * i & 255 : 0)];
        crc = sum;
    }
    while (length--)
        crc = crc >> 8 ^ crc_table[0][(crc ^ *p++) & 255];
    return ~crc;
}

int hash_random(void *out, size_t length)
{
    char *p = out;
    while (length) {
        ssize_t n = getrandom(p, length, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        p += n;
        length -= (size_t)n;
    }
    return 0;
}

int hash_equal(const void *a, const void *b, size_t length)
{
    return CRYPTO_memcmp(a, b, length) == 0;
}
