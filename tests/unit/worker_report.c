/* Curves and the report: files are there, well-formed, escaped and the same every time. */
#include "base/file.h"
#include "base/mem.h"
#include "worker/report/report.h"
#include "worker/report/report_parts.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define EVIL "<script>alert('x')</script> & \"quoted\", \xff\x01 end"

static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/quantd-report.XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return file_remove_tree(dir, NULL);
}

static char *load(const char *name)
{
    char path[128], *data;
    size_t length;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_load(path, 1 << 24, &data, &length, NULL), 0);
    return data;
}

/* Tags are balanced, quotes closed, every & starts an entity, no control characters: well-formed enough for
 * XML. Void elements of HTML are known. */
static void assert_well_formed(const char *text)
{
    static const char *const voids[] = { "meta", "!doctype", "?xml" };
    char open[64][32];
    int depth = 0;
    for (const char *p = text; *p; p++) {
        assert_true((unsigned char)*p >= 0x20 || *p == '\n');
        if (*p == '&') {
            size_t length = strspn(p + 1, "abcdefghijklmnopqrstuvwxyz#0123456789");
            assert_true(length > 1 && p[1 + length] == ';');
        }
        assert_int_not_equal(*p, depth && !strcmp(open[depth - 1], "style") ? '<' + 256 : '>');
        if (*p != '<') {
            if (depth && !strcmp(open[depth - 1], "style"))
                p += strcspn(p, "<") - 1; /* CSS may hold > */
            continue;
        }
        bool closing = p[1] == '/';
        char name[32] = { 0 };
        memcpy(name, p + 1 + closing,
               strcspn(p + 1 + closing, " />\n") < 31 ? strcspn(p + 1 + closing, " />\n") : 31);
        const char *end = p;
        for (bool quoted = false; *end && (quoted || *end != '>'); end++)
            quoted ^= *end == '"';
        assert_int_equal(*end, '>');
        bool is_void = end[-1] == '/';
        for (size_t i = 0; i < 3; i++)
            is_void |= !strcmp(name, voids[i]);
        if (closing) {
            assert_true(depth > 0);
            assert_string_equal(open[--depth], name);
        } else if (!is_void) {
            assert_true(depth < 64);
            strcpy(open[depth++], name);
        }
        p = end;
    }
    assert_int_equal(depth, 0);
}

static struct curves make_curves(void)
{
    struct curves c = { 0 };
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(curves_add(&c, "loss", i, exp(-i / 300.0)), 0);
        assert_int_equal(curves_add(&c, "msqe", i, 1e-3 * exp(-i / 200.0)), 0);
    }
    assert_int_equal(curves_add(&c, "top1", 2000, 0.9912), 0);
    assert_int_equal(curves_add(&c, "coefficient", 0, 0), 0); /* no logarithm */
    assert_int_equal(curves_add(&c, "coefficient", 5, 4), 0);
    assert_int_equal(curves_add(&c, "broken", 1, NAN), 0);
    assert_int_equal(curves_add(&c, "gap", 1, 1), 0);
    assert_int_equal(curves_add(&c, "gap", 2, INFINITY), 0);
    assert_int_equal(curves_add(&c, "gap", 3, 1), 0);
    assert_int_equal(curves_add(&c, "<script>, & \"", 3, 1), 0);
    return c;
}

static json_t *make_spec(void)
{
    return json_pack("{s:i, s:s, s:s, s:[s], s:s, s:s, s:{s:s, s:{s:i, s:s, s:s}, s:{s:i}, s:i}}", "job", 7,
                     "kind", "quantize", "name", "<script>alert('x')</script> & \"quoted\"", "tags",
                     "<b>tag</b>", "model", "zoo:lenet5", "dataset", "</pre><i>", "quantize", "method",
                     "msqe", "weights", "bits", 2, "grid", "<grid>", "granularity", "layer", "activations",
                     "bits", 32, "first_last_bits", 8);
}

static json_t *make_result(void)
{
    return json_pack(
        "{s:s, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:f, s:[{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:i, s:n}],"
        " s:i, s:s}",
        "metric", "top1", "value", 0.9912, "float_value", 0.9921, "trained_value", 0.9912, "samples", 10000,
        "float_bytes", 1724320, "file_bytes", 54210, "payload_bytes", 53000, "ratio", 31.8, "layers", "name",
        "conv,1 <x> \"y\"", "op", "Conv", "parameters", 520, "weight_bits", 2, "activation_bits", 8,
        "sparsity", 0.5, "entropy_bits", 1.25, "bytes", 99, "msqe", "seed", 1, "version", "<0>");
}

static void test_report(void **state)
{
    (void)state;
    static const char *const names[] = { "curves.csv", "layers.csv", "curves.svg", "report.html" };
    struct curves c = make_curves();
    json_t *spec = make_spec(), *result = make_result();
    struct err e = { 0 };
    assert_int_equal(report_write(dir, &c, spec, result, &e), 0);
    char *first[4];
    for (int i = 0; i < 4; i++)
        first[i] = load(names[i]);
    assert_int_equal(report_write(dir, &c, spec, result, &e), 0);
    for (int i = 0; i < 4; i++) {
        char *again = load(names[i]);
        assert_string_equal(first[i], again);
        free(again);
    }
    assert_memory_equal(first[0], "series,step,value\nloss,0,1\nloss,1,0.996672216\n", 46);
    assert_non_null(strstr(first[0], "\n\"<script>, & \"\"\",3,1\n"));
    assert_string_equal(first[1],
                        "name,op,parameters,weight_bits,activation_bits,sparsity,entropy_bits,bytes,msqe\n"
                        "\"conv,1 <x> \"\"y\"\"\",Conv,520,2,8,0.5,1.25,99,\n");
    for (int i = 2; i < 4; i++) {
        assert_well_formed(first[i]);
        assert_null(strstr(first[i], "<script"));
        assert_null(strstr(first[i], "<b>tag"));
        assert_null(strstr(first[i], "nan"));
        assert_null(strstr(first[i], "http:") ? strstr(strstr(first[i], "http:") + 1, "http:")
                                              : NULL); /* xmlns */
    }
    assert_non_null(strstr(first[3], "99.12 %"));
    assert_non_null(strstr(first[3], "0.09<small> points"));
    assert_non_null(strstr(first[3], "1,724,320"));
    assert_non_null(
        strstr(first[3], "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quoted&quot;"));
    assert_non_null(strstr(first[3], "float activations"));
    assert_non_null(strstr(first[3], "one step per layer"));
    for (int i = 0; i < 4; i++)
        free(first[i]);
    curves_free(&c);
    json_decref(spec);
    json_decref(result);
}

/* Where the weights lie between their levels is one panel, whatever order its series came in. */
static void test_histogram(void **state)
{
    (void)state;
    static const char *const names[] = { "bins/0.250", "bins/-0.250", "loss", "bins/0.000" };
    struct curves c = { 0 };
    json_t *nothing = json_object();
    struct err e = { 0 };
    for (int i = 0; i < 4; i++)
        for (int step = 0; step < 3; step++)
            assert_int_equal(curves_add(&c, names[i], step, i == 3 ? 0.5 + 0.1 * step : 0.25 - 0.05 * step),
                             0);
    assert_int_equal(report_write(dir, &c, nothing, nothing, &e), 0);
    char *svg = load("curves.svg"), *csv = load("curves.csv");
    assert_well_formed(svg);
    const char *title = strstr(svg, ">Weights between their levels<");
    assert_non_null(title);
    assert_null(strstr(title + 1, ">Weights between their levels<"));
    assert_null(strstr(svg, "bins/"));
    assert_non_null(strstr(svg, ">Training loss<"));
    const char *dashed = strstr(svg, "stroke-dasharray");
    double x[3], y[3], before = 0;
    assert_non_null(dashed);
    for (int way = 0; way < 2; way++) { /* dashed: at the beginning; then: now */
        const char *path = strstr(way ? strstr(dashed, "<path") : dashed, " d=\"M");
        assert_int_equal(
            sscanf(path, " d=\"M%lf %lfL%lf %lfL%lf %lf", &x[0], &y[0], &x[1], &y[1], &x[2], &y[2]), 6);
        assert_true(x[0] < x[1] && x[1] < x[2] && y[1] < y[0] && fabs(y[0] - y[2]) < 0.11);
        assert_true(!way || y[1] < before); /* more of them on their levels: higher */
        before = y[1];
    }
    assert_non_null(strstr(csv, "\nbins/-0.250,2,0.15\n"));
    free(svg);
    free(csv);
    curves_free(&c);
    json_decref(nothing);
}

/* Nothing measured, nothing known: still four files. */
static void test_empty(void **state)
{
    (void)state;
    struct curves c = { 0 };
    json_t *nothing = json_object();
    struct err e = { 0 };
    assert_int_equal(report_write(dir, &c, nothing, nothing, &e), 0);
    char *html = load("report.html"), *svg = load("curves.svg"), *csv = load("curves.csv");
    assert_well_formed(html);
    assert_well_formed(svg);
    assert_string_equal(csv, "series,step,value\n");
    free(html);
    free(svg);
    free(csv);
    json_decref(nothing);
    assert_int_equal(report_write("/nonexistent/dir", &c, NULL, NULL, &e), ERR_NOT_FOUND);
}

/* A search is a table of its own; what trials scored elsewhere is no row beside the test part's figures. */
static void test_search(void **state)
{
    (void)state;
    struct curves c = { 0 };
    json_t *spec = make_spec(), *result = make_result();
    struct err e = { 0 };
    json_object_set_new(result, "trained_value", json_real(0.4321));
    json_object_set_new(result, "search",
                        json_pack("{s:s, s:b, s:i, s:{s:i}, s:[{s:i, s:f, s:i, s:n, s:i, s:f, s:b},"
                                  "{s:i, s:f, s:i, s:f, s:i, s:f, s:b}]}",
                                  "metric", "top1", "met", 0, "best", 2, "held_out", "samples", 6000,
                                  "trials", "trial", 1, "sparsity", 0.9, "bits", 4, "price", "bytes", 54321,
                                  "metric", 0.5, "pareto", 0, "trial", 2, "sparsity", 0.9875, "bits", 3,
                                  "price", 1.5e-5, "bytes", 1234, "metric", 0.987, "pareto", 1));
    json_object_set_new(json_object_get(json_object_get(spec, "quantize"), "weights"), "granularity",
                        json_null());
    assert_int_equal(report_write(dir, &c, spec, result, &e), 0);
    char *html = load("report.html");
    assert_well_formed(html);
    assert_non_null(strstr(html, "1,234</td><td>98.70 %</td><td class=\"text note\">delivered"));
    assert_non_null(strstr(html, "54,321</td><td>50.00 %</td><td class=\"text note\">another"));
    assert_non_null(strstr(html, "6000 samples held out of the training part; the goal was not met"));
    assert_null(strstr(html, "43.21 %"));
    assert_null(strstr(html, "one step per")); /* of what is the method's affair */
    free(html);
    json_decref(spec);
    json_decref(result);
}

static void test_curves(void **state)
{
    (void)state;
    struct curves c = { 0 };
    static const int64_t steps[] = { 5, 1, 9, 3, 7, 3, 9, 5 };
    for (int i = 0; i < 8; i++)
        assert_int_equal(curves_add(&c, "a", steps[i], i), 0);
    assert_int_equal(curves_add(&c, "b", 0, 1), 0);
    assert_int_equal(c.count, 2);
    assert_int_equal(c.series[0].count, 5);
    static const struct point expected[] = { { 1, 1 }, { 3, 5 }, { 5, 7 }, { 7, 4 }, { 9, 6 } };
    for (int i = 0; i < 5; i++) {
        assert_int_equal(c.series[0].point[i].step, expected[i].step);
        assert_true(c.series[0].point[i].value == expected[i].value);
    }
    assert_int_equal(curves_add(&c, "", 0, 1), ERR_INVALID);
    assert_int_equal(curves_add(&c, "a name of forty-eight characters does not fit here", 0, 1), ERR_INVALID);
    mem_fail_after(0);
    assert_int_equal(curves_add(&c, "c", 0, 1), ERR_NOMEM);
    mem_fail_after(-1);
    curves_free(&c);
    assert_int_equal(c.count, 0);
}

static void test_load(void **state)
{
    (void)state;
    static const char lines[] =
        "{\"seq\":1,\"t\":\"hello\",\"time\":1}\n"
        "{\"seq\":2,\"t\":\"metric\",\"series\":\"loss\",\"step\":1,\"value\":0.5}\n"
        "not JSON \"metric\"\n"
        "{\"seq\":3,\"t\":\"metric\",\"series\":\"loss\",\"step\":2,\"value\":null}\n"
        "{\"seq\":4,\"t\":\"log\",\"text\":\"metric\",\"series\":\"x\",\"step\":2,\"value\":1}\n"
        "{\"seq\":5,\"t\":\"metric\",\"series\":\"loss\",\"step\":2,\"value\":1}\n"
        "{\"seq\":6,\"t\":\"metric\",\"series\":\"loss\",\"step\":1,\"value\":0.25}\n"
        "{\"seq\":7,\"t\":\"metric\",\"series\":\"loss\",\"st";
    char path[128];
    struct curves c = { 0 };
    snprintf(path, sizeof path, "%s/none.jsonl", dir);
    assert_int_equal(curves_load(&c, path, NULL), 0);
    assert_int_equal(c.count, 0);
    snprintf(path, sizeof path, "%s/events.jsonl", dir);
    assert_int_equal(file_publish(path, lines, sizeof lines - 1, 0600, NULL), 0);
    assert_int_equal(curves_load(&c, path, NULL), 0);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.series[0].count, 2);
    assert_true(c.series[0].point[0].value == 0.25 && c.series[0].point[1].value == 1);
    curves_free(&c);
}

static void assert_text(const char *in, const char *expected)
{
    struct buf b;
    buf_init(&b, 0);
    report_text(&b, in);
    assert_string_equal(b.data ? b.data : "", expected);
    buf_free(&b);
}

static void test_texts(void **state)
{
    (void)state;
    char out[48];
    assert_text("a<b>&\"'", "a&lt;b&gt;&amp;&quot;&#39;");
    assert_text("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_text("\x01\x7f", "\xef\xbf\xbd\xef\xbf\xbd");
    assert_text("\xc0\xbc", "\xef\xbf\xbd\xef\xbf\xbd");                 /* an overlong '<' */
    assert_text("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* half a surrogate pair */
    assert_text("\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd");                 /* cut off */
    assert_text(EVIL, "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;quoted&quot;, "
                      "\xef\xbf\xbd\xef\xbf\xbd end");
    assert_string_equal(report_number(0, out), "0");
    assert_string_equal(report_number(1e-7, out), "1e-7");
    assert_string_equal(report_number(0.25, out), "0.25");
    assert_string_equal(report_number(2.5e11, out), "2.5e11");
    assert_string_equal(report_number(12345, out), "12,345");
    assert_string_equal(report_count(1724320, out), "1,724,320");
    assert_string_equal(report_count(-999, out), "-999");
    assert_string_equal(report_bytes(999, out), "999 B");
    assert_string_equal(report_bytes(1724320, out), "1.72 MB");
    assert_string_equal(report_bytes(54210, out), "54.2 kB");
    assert_string_equal(report_metric("top1", 0.9912, out), "99.12 %");
    assert_string_equal(report_metric("psnr_db", 31.254, out), "31.25 dB");
    assert_string_equal(report_time(3.25, out), "3.2 s");
    assert_string_equal(report_time(92, out), "1 min 32 s");
    assert_string_equal(report_time(7500, out), "2 h 5 min");
}

static void test_axes(void **state)
{
    (void)state;
    static const double limits[][2] = { { 0, 1 },     { 0.91, 0.9912 },  { 3, 3 },           { 0, 0 },
                                        { -5, 17 },   { 1e-9, 1e-3 },    { 1, 1.2 },         { 1e-300, 1 },
                                        { 1, 1e300 }, { -1e300, 1e300 }, { 5e-324, 1e-320 }, { 20, 9380 } };
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        for (int logarithmic = 0; logarithmic < 2; logarithmic++) {
            struct axis a = axis_make(limits[i][0], limits[i][1], logarithmic, 5);
            double margin = 1e-6 * (limits[i][1] - limits[i][0]);
            assert_true(a.low <= limits[i][0] + margin && a.high >= limits[i][1] - margin && a.low < a.high);
            assert_true(a.ticks >= 2 && a.ticks <= AXIS_TICKS);
            for (int k = 1; k < a.ticks; k++)
                assert_true(a.tick[k] > a.tick[k - 1]);
            assert_true(isfinite(axis_place(&a, limits[i][0])));
        }
    struct axis a = axis_make(0, 97, false, 5);
    assert_true(a.low == 0 && a.high == 100 && a.ticks == 6 && a.tick[1] == 20);
    a = axis_make(2e-6, 3e-3, true, 5);
    assert_true(a.logarithmic && fabs(a.low / 1e-6 - 1) < 1e-9 && fabs(a.high / 1e-2 - 1) < 1e-9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curves),    cmocka_unit_test(test_load),   cmocka_unit_test(test_texts),
        cmocka_unit_test(test_axes),      cmocka_unit_test(test_report), cmocka_unit_test(test_search),
        cmocka_unit_test(test_histogram), cmocka_unit_test(test_empty),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
