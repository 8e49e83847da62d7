/* report_search.c - what a search has tried, of a job with a goal. */
#include "worker/report/report_parts.h"

#include <math.h>
#include <stdio.h>

static double number_of(json_t *object, const char *key)
{
    json_t *n = json_object_get(object, key);

    return json_is_number(n) ? json_number_value(n) : NAN;
}

static void put_trial(struct buf *out, const char *metric, json_t *t, bool best)
{
    const double price = number_of(t, "price");
    char text[32];

    buf_printf(out, "<tr><td>%.0f</td><td>%.4f %%</td><td>%.0f</td><td>", number_of(t, "trial"),
               100 * number_of(t, "sparsity"), number_of(t, "bits"));
    buf_text(out, isnan(price) ? "\xe2\x80\x93" : report_number(price, text));
    buf_printf(out, "</td><td>%s</td>", report_count(number_of(t, "bytes"), text));
    buf_printf(out, "<td>%s</td><td class=\"text note\">%s</td></tr>\n",
               report_metric(metric, number_of(t, "metric"), text),
               best                                         ? "delivered"
               : json_is_true(json_object_get(t, "pareto")) ? ""
                                                            : "another one is smaller and as good");
}

void report_search(struct buf *out, json_t *result)
{
    json_t *search = json_object_get(result, "search"), *trials = json_object_get(search, "trials"), *t;
    const char *metric = json_string_value(json_object_get(search, "metric"));
    const double best = number_of(search, "best");
    size_t i;

    if (!json_array_size(trials) || !metric)
        return;
    buf_text(out, "<h2>Search</h2>\n<div class=\"wide\"><table><thead><tr><th>Trial</th><th>Sparsity</th>"
                  "<th>Weights, bit</th><th>Price of a bit</th><th>Bytes</th><th>Held out</th>"
                  "<th class=\"text\"></th></tr></thead><tbody>\n");
    json_array_foreach(trials, i, t) put_trial(out, metric, t, (double)i + 1 == best);
    buf_printf(
        out,
        "</tbody></table></div>\n<p class=\"note\">Judged on %.0f samples held out of the training part; "
        "the goal was %s.</p>\n",
        number_of(json_object_get(search, "held_out"), "samples"),
        json_is_true(json_object_get(search, "met")) ? "met" : "not met");
}
