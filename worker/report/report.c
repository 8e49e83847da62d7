/* report.c - each file is made in memory and published whole. */
#include "base/file.h"
#include "base/mem.h"
#include "worker/report/report_parts.h"

#include <stdlib.h>

#define REPORT_LIMIT ((size_t)256 << 20)

static int publish(const char *out_dir, const char *name, struct buf *b, struct err *e)
{
    int rc;
    char *path = mem_printf("%s/%s", out_dir, name);
    if (!path || b->failed)
        rc = err_set(e, ERR_NOMEM, "out of memory for %s", name);
    else
        rc = file_publish(path, b->data ? b->data : "", b->length, 0644, e);
    free(path);
    buf_clear(b);
    return rc;
}

int report_write(const char *out_dir, const struct curves *c, json_t *spec, json_t *result, struct err *e)
{
    struct buf b;
    buf_init(&b, REPORT_LIMIT);
    report_curves_csv(&b, c);
    int rc = publish(out_dir, "curves.csv", &b, e);
    if (!rc) {
        report_layers_csv(&b, result);
        rc = publish(out_dir, "layers.csv", &b, e);
    }
    if (!rc) {
        report_svg(&b, c, true);
        rc = publish(out_dir, "curves.svg", &b, e);
    }
    if (!rc) {
        report_html(&b, c, spec, result);
        rc = publish(out_dir, "report.html", &b, e);
    }
    buf_free(&b);
    return rc;
}
