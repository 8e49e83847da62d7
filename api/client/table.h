/* table.h - columns on a terminal. Cells are cleaned of control characters. */
#ifndef API_CLIENT_TABLE_H
#define API_CLIENT_TABLE_H

#include <stdio.h>

struct table;

/* heads: column titles, NULL at the end; one that begins with '>' is set flush right. */
struct table *table_new(const char *const *heads);
void table_free(struct table *t);

/* The next cell, row by row. NULL text is "-". */
void table_text(struct table *t, const char *text);
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *t, FILE *out);

#endif
