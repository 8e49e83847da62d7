#include "api/client/result.h"

#include "api/client/field.h"
#include "api/client/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

/* The same weights in other forms; nothing where the server says nothing of them. */
static void print_other_sizes(const json_t *job)
{
    static const struct {
        const char *pointer, *name;
    } forms[] = {
        { "/result/model_file_bytes", "model file" },
        { "/result/onnx_bytes", "model.onnx" },
        { "/result/memory_bytes/int8", "in memory as int8" },
        { "/result/memory_bytes/bits", "as bit planes" },
    };
    const char *between = "  also ";

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        const int64_t bytes = field_int(job, forms[i].pointer);
        if (bytes)
            printf("%s%s %" PRId64, between, forms[i].name, bytes);
        if (bytes)
            between = ", ";
    }
    if (*between == ',')
        putchar('\n');
}

static void print_figures(const json_t *job)
{
    const char *metric = field_text(job, "/result/metric");
    double value = field_number(job, "/result/value"), given = field_number(job, "/result/float_value");
    int64_t before = field_int(job, "/result/float_bytes"), file = field_int(job, "/result/file_bytes");
    int64_t payload = field_int(job, "/result/payload_bytes");
    double ratio = field_number(job, "/result/ratio");
    char from[TEXT_SHORT], to[TEXT_SHORT];

    if (!metric || isnan(value))
        return;
    fputs("  ", stdout);
    text_put(stdout, metric, false);
    if (isnan(given))
        printf(" %s\n", text_metric(metric, value, to));
    else
        printf(" float %s -> %s\n", text_metric(metric, given, from), text_metric(metric, value, to));
    if (before && file)
        printf("  bytes %" PRId64 " -> %" PRId64 " file, %" PRId64 " payload", before, file, payload);
    if (before && file && !isnan(ratio))
        printf(", ratio %.2f", ratio);
    if (before && file)
        putchar('\n');
    print_other_sizes(job);
}

/* Trials that no other one beats, the delivered one marked; a wish that was not met is said first. */
static void print_search(const json_t *job)
{
    const json_t *search = field_at(job, "/result/search"), *trials = field_at(search, "/trials"), *t;
    const char *metric = field_text(search, "/metric");
    const int64_t best = field_int(search, "/best");
    char text[TEXT_SHORT], price[TEXT_SHORT];
    size_t i;

    if (!json_is_array(trials) || !metric)
        return;
    printf("  goal %s by trial %" PRId64 " of %zu; on %" PRId64 " held-out samples\n",
           json_is_true(field_at(search, "/met")) ? "met" : "NOT MET: the best one is delivered, found", best,
           json_array_size(trials), field_int(search, "/held_out/samples"));
    printf("    %5s %9s %5s %10s %10s  metric\n", "trial", "sparsity", "bits", "price", "bytes");
    json_array_foreach(trials, i, t)
    {
        const double asked = field_number(t, "/price");
        if (!json_is_true(field_at(t, "/pareto")) && field_int(t, "/trial") != best)
            continue;
        snprintf(price, sizeof price, isnan(asked) ? "-" : "%.4g", asked);
        printf("  %c %5" PRId64 " %9.6g %5" PRId64 " %10s %10" PRId64 "  %s\n",
               field_int(t, "/trial") == best ? '*' : ' ', field_int(t, "/trial"),
               field_number(t, "/sparsity"), field_int(t, "/bits"), price, field_int(t, "/bytes"),
               text_metric(metric, field_number(t, "/metric"), text));
    }
}

void result_print(const json_t *job)
{
    print_figures(job);
    print_search(job);
}
