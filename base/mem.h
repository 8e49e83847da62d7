/* mem.h - allocation that checks products and can be told to fail (tests: "fail the Nth call"). */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void *mem_alloc(size_t bytes);                      /* zeroed; NULL when out of memory; bytes 0 is 1 */
void *mem_array(size_t count, size_t size);         /* zeroed; NULL also when count * size overflows */
void *mem_grow(void *p, size_t count, size_t size); /* realloc with the same checks; new part not zeroed */
void *mem_aligned(size_t alignment, size_t bytes);  /* zeroed, alignment a power of two >= 64; free() it */
char *mem_strdup(const char *text);                 /* NULL in, NULL out */
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

bool size_mul(size_t a, size_t b, size_t *product); /* false when it overflows */
bool size_add(size_t a, size_t b, size_t *sum);

/* Test hook: the (n+1)th allocation from now on returns NULL, later ones succeed; negative switches it off.
 */
void mem_fail_after(int64_t n);

#endif
