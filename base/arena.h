/* arena.h - bump allocation for things that die together (a parsed request, an imported graph). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena;

struct arena *arena_new(size_t limit); /* at most `limit` bytes in total; NULL when out of memory */
void arena_free(struct arena *a);
void *arena_alloc(struct arena *a, size_t bytes); /* zeroed, 64-byte aligned; NULL past the limit */
void *arena_array(struct arena *a, size_t count, size_t size);
char *arena_strdup(struct arena *a, const char *text);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t arena_used(const struct arena *a);

#endif
