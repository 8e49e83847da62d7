/* report_html.c - report.html: what was done, what came out, and everything that is needed to do it again.
 * One file, no script, nothing loaded from anywhere. All texts go through report_text. */
#include "worker/report/report_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- reading the job -------------------------------------------------------------------------------------
 */

/* The member at a path like "quantize/weights/bits"; NULL when a part of it is missing. */
static json_t *member(json_t *object, const char *path)
{
    while (object && *path) {
        size_t length = strcspn(path, "/");
        object = json_object_getn(object, path, length);
        path += length + (path[length] == '/');
    }
    return object;
}

static const char *text_of(json_t *object, const char *path)
{
    const char *text = json_string_value(member(object, path));
    return text ? text : "";
}

/* NAN when there is no such number. */
static double number_of(json_t *object, const char *path)
{
    json_t *n = member(object, path);
    return json_is_number(n) ? json_number_value(n) : NAN;
}

/* --- cells -----------------------------------------------------------------------------------------------
 */

/* A scalar as text; "-" for null or nothing. */
static void put_scalar(struct buf *out, json_t *value)
{
    char number[32];
    if (json_is_string(value))
        report_text(out, json_string_value(value));
    else if (json_is_integer(value))
        buf_printf(out, "%lld", (long long)json_integer_value(value));
    else if (json_is_number(value))
        buf_text(out, report_number(json_number_value(value), number));
    else if (json_is_boolean(value))
        buf_text(out, json_is_true(value) ? "yes" : "no");
    else
        buf_text(out, "\xe2\x80\x93");
}

static void put_or_dash(struct buf *out, double x, const char *text)
{
    buf_text(out, isnan(x) ? "\xe2\x80\x93" : text);
}

/* --- head ------------------------------------------------------------------------------------------------
 */

static void put_card(struct buf *out, const char *value, const char *caption)
{
    buf_printf(out, "<div class=\"card\"><b>%s</b><span>%s</span></div>\n", value, caption);
}

static void put_title(struct buf *out, json_t *spec)
{
    const char *name = text_of(spec, "name");
    json_t *job = member(spec, "job");
    if (*name) {
        report_text(out, name);
    } else if (json_is_integer(job)) {
        buf_printf(out, "Job %lld", (long long)json_integer_value(job));
    } else {
        buf_text(out, "A job without a name");
    }
}

static void put_head(struct buf *out, json_t *spec)
{
    size_t i;
    json_t *tag;
    buf_text(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                  "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
                  "'unsafe-inline'\">\n"
                  "<title>");
    put_title(out, spec);
    buf_text(out, " \xc2\xb7 quantd</title>\n<style>\n");
    buf_text(out, report_css);
    buf_text(out, "</style>\n</head>\n<body>\n<header>\n<div class=\"kicker\">quantd report \xc2\xb7 ");
    report_text(out, text_of(spec, "kind"));
    buf_text(out, "</div>\n<h1>");
    put_title(out, spec);
    buf_text(out, "</h1>\n");
    json_array_foreach(member(spec, "tags"), i, tag)
    {
        if (!json_is_string(tag))
            continue;
        buf_text(out, "<span class=\"tag\">");
        report_text(out, json_string_value(tag));
        buf_text(out, "</span>");
    }
    buf_text(out, "\n</header>\n");
}

/* "+0.12 points" of a fraction, "-0.3" of anything else, in the colour of better or worse. */
static void put_change(struct buf *out, const char *metric, double from, double to)
{
    char text[32];
    bool percent = !strcmp(report_series_kind(metric)->unit, "%");
    double change = percent ? 100 * (to - from) : to - from;
    if (!isfinite(change))
        return;
    snprintf(text, sizeof text, "%.2f", fabs(change));
    bool none = !strcmp(text, "0.00");
    const char *sign = none ? "\xc2\xb1" : change < 0 ? "\xe2\x88\x92" : "+";
    buf_printf(out, "<span class=\"%s\">%s%s%s</span>", change < 0 && !none ? "down" : "up", sign, text,
               percent ? "<small> points</small>" : "");
}

/* "Top-1 accuracy" without the ", test" that sets curves apart. */
static void put_metric_name(struct buf *out, const char *metric)
{
    const char *title = report_series_kind(metric)->title;
    if (title)
        buf_append(out, title, strcspn(title, ","));
    else
        report_text(out, metric);
}

static void put_cards(struct buf *out, json_t *result)
{
    char text[96], bytes[48];
    const char *metric = text_of(result, "metric");
    double value = number_of(result, "value"), ratio = number_of(result, "ratio"),
           size = number_of(result, "file_bytes"), wall = number_of(result, "wall_s");
    buf_text(out, "<div class=\"cards\">\n");
    if (!isnan(value)) {
        buf_printf(out, "<div class=\"card\"><b>%s</b><span>", report_metric(metric, value, text));
        put_metric_name(out, metric);
        buf_text(out, " of the exported file</span></div>\n");
    }
    if (!isnan(value) && !isnan(number_of(result, "float_value"))) {
        buf_text(out, "<div class=\"card\"><b>");
        put_change(out, metric, number_of(result, "float_value"), value);
        buf_text(out, "</b><span>against the float model</span></div>\n");
    }
    if (!isnan(ratio)) {
        snprintf(text, sizeof text, "%.*f\xc3\x97", ratio < 9.995 ? 2 : ratio < 99.95 ? 1 : 0, ratio);
        put_card(out, text, "smaller than float");
    }
    if (!isnan(size))
        put_card(out, report_bytes(size, bytes), "size of the file");
    if (!isnan(wall))
        put_card(out, report_time(wall, text), "time taken");
    buf_text(out, "</div>\n");
}

/* --- what was done ---------------------------------------------------------------------------------------
 */

static void put_bits(struct buf *out, json_t *bits, const char *of)
{
    if (json_is_integer(bits) && json_integer_value(bits) == 32)
        buf_printf(out, "float %s", of);
    else {
        put_scalar(out, bits);
        buf_printf(out, "-bit %s", of);
    }
}

static void put_quantization(struct buf *out, json_t *q)
{
    buf_text(out, "<p>Quantized to <strong>");
    put_bits(out, member(q, "weights/bits"), "weights");
    buf_text(out, "</strong> and <strong>");
    put_bits(out, member(q, "activations/bits"), "activations");
    buf_text(out, "</strong> by the method <strong>");
    report_text(out, text_of(q, "method"));
    buf_text(out, "</strong>");
    if (*text_of(q, "weights/grid")) {
        buf_text(out, " on the grid <code>");
        report_text(out, text_of(q, "weights/grid"));
        buf_text(out, "</code>");
    }
    if (*text_of(q, "weights/granularity")) {
        buf_text(out, ", one step per ");
        report_text(out, text_of(q, "weights/granularity"));
    }
    if (member(q, "first_last_bits")) {
        buf_text(out, "; the first and the last layer have ");
        put_bits(out, member(q, "first_last_bits"), "weights");
    }
    buf_text(out, ".</p>\n");
}

static void put_training(struct buf *out, json_t *t)
{
    buf_text(out, "<p>Trained for ");
    put_scalar(out, member(t, "epochs"));
    buf_text(out, " epochs in batches of ");
    put_scalar(out, member(t, "batch_size"));
    buf_text(out, " with ");
    report_text(out, text_of(t, "optimizer"));
    buf_text(out, ", learning rate ");
    put_scalar(out, member(t, "learning_rate"));
    buf_text(out, " (schedule: ");
    report_text(out, text_of(t, "schedule"));
    buf_text(out, ").</p>\n");
}

static void put_actions(struct buf *out, json_t *spec)
{
    buf_text(out, "<h2>What was done</h2>\n<p>Model <strong>");
    report_text(out, text_of(spec, "model"));
    buf_text(out, "</strong>, data set <strong>");
    report_text(out, text_of(spec, "dataset"));
    buf_text(out, "</strong>.</p>\n");
    if (json_is_object(member(spec, "quantize")))
        put_quantization(out, member(spec, "quantize"));
    if (json_is_object(member(spec, "train")))
        put_training(out, member(spec, "train"));
}

/* --- tables ----------------------------------------------------------------------------------------------
 */

/* Only where nothing but the network's own time was measured. */
static void put_speed(struct buf *out, json_t *result)
{
    double speed = number_of(result, "images_per_s"), reals = number_of(result, "float_images_per_s");
    char text[32];
    if (isnan(speed) || isnan(reals))
        return;
    buf_printf(out, "<p class=\"note\">Engine <b>%s</b>: %s images per second", text_of(result, "engine"),
               report_count(rint(speed), text));
    buf_printf(out, "; in floating point %s", report_count(rint(reals), text));
    if (!isnan(number_of(result, "bit_layers")))
        buf_printf(out, "; %.0f layers by bit planes", number_of(result, "bit_layers"));
    buf_text(out, ".</p>\n");
}

static void put_quality(struct buf *out, json_t *result)
{
    static const struct {
        const char *key, *title, *note;
    } rows[] = {
        { "float_value", "Float model", "as it was given" },
        { "trained_value", "After training", "weights on their grid, scored by the training core" },
        { "value", "Exported file", "re-scored from the integers of the file" },
    };
    const char *metric = text_of(result, "metric");
    double samples = number_of(result, "samples"), first = number_of(result, "float_value");
    char text[32];
    buf_text(
        out,
        "<h2>Accuracy</h2>\n<div class=\"wide\"><table><thead><tr><th></th><th class=\"text\"></th><th>");
    put_metric_name(out, metric);
    buf_text(out, "</th><th>Against float</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value = number_of(result, rows[i].key);
        /* trials are judged on other samples */
        if (isnan(value) || (member(result, "search") && strcmp(rows[i].key, "trained_value") == 0))
            continue;
        buf_printf(out, "<tr><td>%s</td><td class=\"text note\">%s</td><td>%s</td><td>", rows[i].title,
                   rows[i].note, report_metric(metric, value, text));
        if (i)
            put_change(out, metric, first, value);
        buf_text(out, "</td></tr>\n");
    }
    buf_text(out, "</tbody></table></div>\n");
    if (!isnan(samples))
        buf_printf(out, "<p class=\"note\">Measured on %s samples.</p>\n", report_count(samples, text));
    put_speed(out, result);
}

static void put_sizes(struct buf *out, json_t *result)
{
    static const struct {
        const char *key, *title, *note;
    } rows[] = {
        { "float_bytes", "Float", "four bytes a parameter" },
        { "model_file_bytes", "Model file", "as it came" },
        { "onnx_bytes", "model.onnx", "for ONNX Runtime" },
        { "file_bytes", "model.qdz", "everything: weights, steps, biases, the network's description" },
        { "payload_bytes", "Payload", "the coded weights alone" },
        { "memory_bytes/int8", "In memory, int8", "weights as the engine integer holds them" },
        { "memory_bytes/bits", "In memory, bit planes", "weights as the engine bits holds them" },
    };
    double first = number_of(result, "float_bytes");
    char text[48], count[32];
    buf_text(
        out,
        "<h2>Size</h2>\n<div class=\"wide\"><table><thead><tr><th></th><th class=\"text\"></th><th>Bytes</th>"
        "<th></th><th>Ratio</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double bytes = number_of(result, rows[i].key);
        if (isnan(bytes))
            continue;
        buf_printf(out, "<tr><td>%s</td><td class=\"text note\">%s</td><td>%s</td><td>%s</td><td>",
                   rows[i].title, rows[i].note, report_count(bytes, count), report_bytes(bytes, text));
        if (i && first > 0 && bytes > 0)
            buf_printf(out, "%.2f\xc3\x97", first / bytes);
        buf_text(out, "</td></tr>\n");
    }
    buf_text(out, "</tbody></table></div>\n");
}

static void put_layer(struct buf *out, json_t *layer, double largest)
{
    double sparsity = number_of(layer, "sparsity"), entropy = number_of(layer, "entropy_bits"),
           bytes = number_of(layer, "bytes"), msqe = number_of(layer, "msqe"),
           parameters = number_of(layer, "parameters");
    char text[64];
    buf_text(out, "<tr><td class=\"text\">");
    report_text(out, text_of(layer, "name"));
    buf_text(out, "</td><td class=\"text\">");
    report_text(out, text_of(layer, "op"));
    buf_text(out, "</td><td>");
    put_or_dash(out, parameters, report_count(parameters, text));
    buf_text(out, "</td><td>");
    put_scalar(out, member(layer, "weight_bits"));
    buf_text(out, "</td><td>");
    put_scalar(out, member(layer, "activation_bits"));
    snprintf(text, sizeof text, "</td><td>%.1f %%", 100 * sparsity);
    buf_text(out, isnan(sparsity) ? "</td><td>\xe2\x80\x93" : text);
    snprintf(text, sizeof text, "</td><td>%.3f", entropy);
    buf_text(out, isnan(entropy) ? "</td><td>\xe2\x80\x93" : text);
    buf_text(out, "</td><td>");
    put_or_dash(out, msqe, report_number(msqe, text));
    buf_text(out, "</td><td>");
    put_or_dash(out, bytes, report_count(bytes, text));
    if (bytes > 0)
        buf_printf(out, "<span class=\"bar\" style=\"width:%.1f%%\"></span>", 100 * bytes / largest);
    buf_text(out, "</td></tr>\n");
}

static void put_layers(struct buf *out, json_t *result)
{
    json_t *layers = member(result, "layers"), *layer;
    size_t i;
    double largest = 0, parameters = 0, bytes = 0;
    char text[32];
    if (!json_array_size(layers))
        return;
    json_array_foreach(layers, i, layer)
    {
        double b = number_of(layer, "bytes"), n = number_of(layer, "parameters");
        largest = fmax(largest, b);
        bytes += isnan(b) ? 0 : b;
        parameters += isnan(n) ? 0 : n;
    }
    buf_text(out, "<h2>Layers</h2>\n<div class=\"wide\"><table><thead><tr><th>Layer</th><th "
                  "class=\"text\">Operator</th>"
                  "<th>Parameters</th><th>Weights, bit</th><th>Activations, bit</th><th>Zeros</th>"
                  "<th>Entropy, bit</th><th>MSQE</th><th>Bytes</th></tr></thead><tbody>\n");
    json_array_foreach(layers, i, layer) put_layer(out, layer, largest);
    buf_printf(
        out,
        "</tbody><tfoot><tr><td>All</td><td></td><td>%s</td><td></td><td></td><td></td><td></td><td></td>",
        report_count(parameters, text));
    buf_printf(out, "<td>%s</td></tr></tfoot></table></div>\n", report_count(bytes, text));
}

/* --- record ----------------------------------------------------------------------------------------------
 */

static void put_row(struct buf *out, const char *title, json_t *value, const char *unit)
{
    if (!value || json_is_null(value))
        return;
    buf_printf(out, "<tr><th class=\"text\">%s</th><td class=\"text\">", title);
    put_scalar(out, value);
    buf_printf(out, "%s</td></tr>\n", unit);
}

static void put_input(struct buf *out, const char *title, json_t *input)
{
    static const char *const keys[] = { "zoo", "builtin", "sha256" };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        put_row(out, title, member(input, keys[i]), "");
}

static void put_json(struct buf *out, const char *title, json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    if (!text)
        return;
    buf_printf(out, "<h2>%s</h2>\n<pre>", title);
    report_text(out, text);
    buf_text(out, "</pre>\n");
    free(text);
}

static void put_record(struct buf *out, json_t *spec, json_t *result)
{
    buf_text(
        out,
        "<h2>To do it again</h2>\n<p>The same specification, inputs, seed and version give the same bits, "
        "whatever the number of threads.</p>\n<table class=\"record\"><tbody>\n");
    put_row(out, "Job", member(spec, "job"), "");
    put_input(out, "Model", member(spec, "inputs/model"));
    put_input(out, "Data set", member(spec, "inputs/dataset"));
    put_row(out, "Seed", member(result, "seed"), "");
    put_row(out, "Threads", member(result, "threads"), "");
    put_row(out, "Version", member(result, "version"), "");
    put_row(out, "Kernels", member(result, "kernels"), "");
    put_row(out, "BLAS", member(result, "blas"), "");
    put_row(out, "Wall time", member(result, "wall_s"), " s");
    put_row(out, "Processor time", member(result, "cpu_s"), " s");
    put_row(out, "Weights", member(result, "weights_sha256"), "");
    buf_text(out, "</tbody></table>\n");
}

void report_html(struct buf *out, const struct curves *c, json_t *spec, json_t *result)
{
    put_head(out, spec);
    put_cards(out, result);
    put_actions(out, spec);
    put_quality(out, result);
    put_sizes(out, result);
    report_search(out, result);
    buf_text(out, "<h2>Curves</h2>\n");
    report_svg(out, c, false);
    put_layers(out, result);
    put_record(out, spec, result);
    put_json(out, "Complete specification", spec);
    buf_text(out, "<footer>Written by quantd.</footer>\n</body>\n</html>\n");
}
