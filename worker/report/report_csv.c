/* report_csv.c - the same figures for spreadsheets and scripts. */
#include "worker/report/report_parts.h"

void report_curves_csv(struct buf *out, const struct curves *c)
{
    buf_text(out, "series,step,value\n");
    for (int i = 0; i < c->count; i++)
        for (int k = 0; k < c->series[i].count; k++) {
            report_csv_field(out, c->series[i].name);
            buf_printf(out, ",%lld,%.9g\n", (long long)c->series[i].point[k].step,
                       c->series[i].point[k].value);
        }
}

static const char *const columns[] = {
    "name", "op", "parameters", "weight_bits", "activation_bits", "sparsity", "entropy_bits", "bytes", "msqe"
};
#define COLUMNS (sizeof columns / sizeof *columns)

static void put_cell(struct buf *out, json_t *cell)
{
    if (json_is_string(cell))
        report_csv_field(out, json_string_value(cell));
    else if (json_is_integer(cell))
        buf_printf(out, "%lld", (long long)json_integer_value(cell));
    else if (json_is_real(cell))
        buf_printf(out, "%.9g", json_real_value(cell));
}

void report_layers_csv(struct buf *out, json_t *result)
{
    size_t i;
    json_t *layer;
    for (size_t k = 0; k < COLUMNS; k++)
        buf_printf(out, "%s%s", k ? "," : "", columns[k]);
    buf_text(out, "\n");
    json_array_foreach(json_object_get(result, "layers"), i, layer)
    {
        for (size_t k = 0; k < COLUMNS; k++) {
            if (k)
                buf_text(out, ",");
            put_cell(out, json_object_get(layer, columns[k]));
        }
        buf_text(out, "\n");
    }
}
