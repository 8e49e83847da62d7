/* table.c - collects cells, then prints them in columns as wide as the widest. */
#include "api/client/table.h"

#include "api/client/text.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS 12

struct table {
    const char *const *heads;
    size_t columns, count, capacity;
    char **cells; /* owned, each too; row by row */
    size_t width[COLUMNS];
    bool failed;
};

static const char *title(const struct table *t, size_t column)
{
    return t->heads[column] + (t->heads[column][0] == '>');
}

struct table *table_new(const char *const *heads)
{
    struct table *t = mem_alloc(sizeof *t);

    if (!t)
        return NULL;
    t->heads = heads;
    while (t->columns < COLUMNS && heads[t->columns])
        t->columns++;
    for (size_t i = 0; i < t->columns; i++)
        t->width[i] = text_width(title(t, i));
    return t;
}

void table_free(struct table *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->count; i++)
        free(t->cells[i]);
    free(t->cells);
    free(t);
}

/* Takes the string. */
static void add(struct table *t, char *cell)
{
    size_t width;

    if (t && cell && t->count == t->capacity) {
        size_t capacity = t->capacity ? 2 * t->capacity : 64;
        char **cells = mem_grow(t->cells, capacity, sizeof *cells);
        t->cells = cells ? cells : t->cells;
        t->capacity = cells ? capacity : t->capacity;
    }
    if (!t || !cell || t->count == t->capacity) {
        if (t)
            t->failed = true;
        free(cell);
        return;
    }
    width = text_width(cell);
    if (width > t->width[t->count % t->columns])
        t->width[t->count % t->columns] = width;
    t->cells[t->count++] = cell;
}

void table_text(struct table *t, const char *text)
{
    struct buf b;

    if (!text || !*text)
        text = "-";
    buf_init(&b, 0);
    text_clean(&b, text, strlen(text), false);
    add(t, b.data ? buf_take(&b) : mem_strdup(""));
}

void table_cell(struct table *t, const char *format, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    table_text(t, text);
}

static void print_cell(const struct table *t, size_t column, const char *text, FILE *out)
{
    size_t blanks = t->width[column] - text_width(text);
    bool last = column + 1 == t->columns;

    if (t->heads[column][0] == '>')
        fprintf(out, "%*s%s%s", (int)blanks, "", text, last ? "\n" : "  ");
    else if (last)
        fprintf(out, "%s\n", text);
    else
        fprintf(out, "%s%*s", text, (int)blanks + 2, "");
}

void table_print(const struct table *t, FILE *out)
{
    if (!t || t->failed) {
        fputs("quantctl: out of memory\n", stderr);
        return;
    }
    for (size_t i = 0; i < t->columns; i++)
        print_cell(t, i, title(t, i), out);
    for (size_t i = 0; i < t->count; i++)
        print_cell(t, i % t->columns, t->cells[i], out);
}
