/* describe_parameters.c - every parameter of a job: pointer, type, range, default, and who uses it. */
#include "worker/describe.h"

#include "worker/describe_words.h"
#include "worker/quant/method.h"
#include "worker/train/job.h"
#include "worker/train/search.h"

#include <stdlib.h>
#include <string.h>

/* One row: fallback is JSON text, NULL for "no default"; also is a single value allowed beside the range. */
struct parameter {
    const char *pointer, *type, *title, *help, *unit;
    double minimum, maximum;
    const char *fallback;
    int also;
    bool required;
    json_t *(*values)(void); /* of an enum */
};

static const struct parameter parameters[] = {
    { "/kind", "enum", "Kind of job", "What is to be done with the model.", "", 0, 0, NULL, 0, true,
      list_kinds },
    { "/name", "string", "Name", "Free text, to find the job again.", "", 0, 200, "\"\"", 0, false, NULL },
    { "/tags", "strings", "Tags", "Up to 16 words to filter by.", "", 0, 16, "[]", 0, false, NULL },
    { "/model", "reference", "Model",
      "Id, name or sha256: of an uploaded model, or zoo:NAME[@CxHxW][/CLASSES].", "", 0, 0, NULL, 0, true,
      NULL },
    { "/dataset", "reference", "Data set", "Id, name or sha256: of an uploaded data set, or builtin:NAME.",
      "", 0, 0, NULL, 0, true, NULL },
    { "/task", "enum", "Task", "What the network is for.", "", 0, 0, "\"classify\"", 0, false, list_tasks },
    { "/engine", "enum", "Engine",
      "How the network is run, timed beside floating point. integer: a quantized model on 8-bit codes and "
      "32-bit sums, its layers of few bits by bit planes where that is faster; bits: all of up to 4 bits by "
      "bit planes, "
      "the same integers.",
      "", 0, 0, "\"float\"", 0, false, list_engines },
    { "/scale", "integer", "Scale", "How much larger images become.", "", 2, 4, "2", 0, false, NULL },
    { "/normalize/mean", "numbers", "Mean",
      "Taken from pixel/255, per channel or one for all. Empty: what the data set says.", "", 0, 4, "null", 0,
      false, NULL },
    { "/normalize/std", "numbers", "Standard deviation", "Divides after the mean is taken away.", "", 0, 4,
      "null", 0, false, NULL },
    { "/prune/method", "enum", "Method", "How weights are brought to zero.", "", 0, 0, "\"partial-l2\"", 0,
      false, list_pruners },
    { "/prune/sparsity", "number", "Sparsity", "Share of the weights (or rows, or columns) to be zero.", "",
      0, 0.9999, "0.9", 0, false, NULL },
    { "/prune/scope", "enum", "Scope",
      "Where the smallest are looked for: in the whole network by magnitude, in each layer, or (adaptive) in "
      "the "
      "network by their share of their layer.",
      "", 0, 0, "\"network\"", 0, false, list_scopes },
    { "/prune/structure", "enum", "Structure",
      "none: each weight for itself; rows: whole filters and hidden units; columns: whole inputs.", "", 0, 0,
      "\"none\"", 0, false, list_structures },
    { "/prune/ramp", "number", "Ramp",
      "Part of the epochs over which the share grows. Absent: 0 with partial-l2, 0.75 with magnitude.", "", 0,
      1, "null", 0, false, NULL },
    { "/prune/epochs", "integer", "Epochs", "Passes before the cut; /train/epochs is what follows it.",
      "epoch", 0, 10000, "10", 0, false, NULL },
    { "/prune/learning_rate", "number", "Learning rate", "Before the cut. Absent: that of the training.", "",
      1e-9, 100, "null", 0, false, NULL },
    { "/prune/lambda", "number", "Lambda",
      "Weight of -log(coefficient) of partial-l2: how strongly the weights are drawn to zero.", "", 1e-6, 1e6,
      "1", 0, false, NULL },
    { "/quantize/method", "enum", "Method", "How the quantized weights come about.", "", 0, 0, "\"msqe\"", 0,
      false, list_methods },
    { "/quantize/weights/bits", "integer", "Weight bits",
      "Width of the weights between first and last layer; 32 leaves them in floating point.", "bit", 1, 8,
      "4", 32, false, NULL },
    { "/quantize/weights/grid", "enum", "Weight grid",
      "sym and twos have a zero level, midrise has none; where it is chosen, layers of 8 bits take sym. One "
      "bit is "
      "-d, +d in each.",
      "", 0, 0, "\"sym\"", 0, false, list_grids },
    { "/quantize/weights/granularity", "enum", "Granularity",
      "Weights that share a step: a layer's, or those of one output channel. Absent: what the method is "
      "published with.",
      "", 0, 0, "null", 0, false, list_granularities },
    { "/quantize/activations/bits", "integer", "Activation bits",
      "Width of what goes into each layer; 32 leaves it in floating point.", "bit", 1, 8, "8", 32, false,
      NULL },
    { "/quantize/activations/basis", "enum", "Bases of activations",
      "lq-nets: qem fits them to the activations, gradient lets them follow the loss, as learned steps do.",
      "", 0, 0, "\"qem\"", 0, false, list_basis_rules },
    { "/quantize/first_last_bits", "integer", "First and last layer",
      "Least width of weights and input of the first and the last layer; 1 treats them as the others.", "bit",
      1, 8, "8", 32, false, NULL },
    { "/quantize/lambda", "number", "Lambda",
      "How strongly the weights are drawn to their levels: weight of -log(coefficient).", "", 1e-6, 1e6, "1",
      0, false, NULL },
    { "/quantize/coefficient", "number", "Coefficient",
      "msqe: holds the coefficient at so many times 1 / error of the start; with 1 the weights come e^8 "
      "times nearer to their levels in the whole run, with 0 there is no regularization. Absent: it is "
      "learned.",
      "", 0, 1e6, "null", 0, false, NULL },
    { "/quantize/bins/lambda", "number", "Bins: lambda",
      "Weight of the bins in the loss: at the first learning rate all along, a run would bring a weight of a "
      "bin of mean size e^(2 lambda) times nearer to its level.",
      "", 1e-6, 1e6, "5", 0, false, NULL },
    { "/quantize/bins/warmup", "number", "Bins: warm-up",
      "Share of the run in which only the step sizes learn, before bins are regularized.", "", 0, 1, "0.33",
      0, false, NULL },
    { "/quantize/bins/ramp", "number", "Bins: ramp",
      "Share of the run in which the regularization of bins rises to its full strength.", "", 0, 1, "0.05", 0,
      false, NULL },
    { "/quantize/bins/hold_steps", "boolean", "Bins: hold the steps",
      "After the warm-up, weight steps stay (strategy S1); else they go on learning (S2).", "", 0, 0, "false",
      0, false, NULL },
    { "/quantize/budget/bytes", "number", "Budget: bytes",
      "Widths of the layers, at most weights/bits, so that the weights take so many bytes before they are "
      "coded. "
      "Where fewer bits tell least, they are taken first.",
      "B", 1, 1e12, "null", 0, false, NULL },
    { "/quantize/budget/bit_operations", "number", "Budget: bit operations",
      "The same for the sum over all multiply-accumulates of weight bits times activation bits.", "", 1, 1e18,
      "null", 0, false, NULL },
    { "/calibrate/samples", "integer", "Samples",
      "Training samples that are looked at before. Absent: 8 batches, of 128 images or 16 patches.", "sample",
      1, 1000000, "null", 0, false, NULL },
    { "/calibrate/range", "enum", "Range of activations",
      "error: least squared error; percentile: all but the largest; extremes: the largest that was seen. "
      "Absent: what the method is published with.",
      "", 0, 0, "null", 0, false, list_ranges },
    { "/calibrate/percentile", "number", "Percentile", "Of the values that the range percentile holds.", "%",
      50, 100, "99.99", 0, false, NULL },
    { "/calibrate/equalize", "boolean", "Equalize channels",
      "Channels get one range first, from layer to layer; the network computes the same. Absent: with ptq "
      "only.",
      "", 0, 0, "null", 0, false, NULL },
    { "/calibrate/bias_correction", "boolean", "Correct biases",
      "What quantization has moved the mean of each channel by is taken off its bias, or that of a "
      "normalization; a layer with neither gets one. Absent: with ptq only.",
      "", 0, 0, "null", 0, false, NULL },
    { "/calibrate/statistics_samples", "integer", "Samples of normalizations",
      "Once the weights are final, normalizations measure their means and variances again on so many "
      "training "
      "samples; 0: they keep their moving averages. Absent: 6400, with ptq 0.",
      "sample", 0, 1000000, "null", 0, false, NULL },
    { "/export/fold_normalization", "boolean", "Fold normalizations",
      "In model.onnx normalizations are a part of the layers before them, which have a scale for each output "
      "channel then. Nothing changes but rounding.",
      "", 0, 0, "false", 0, false, NULL },
    { "/export/exact", "boolean", "Exact in floating point",
      "In model.onnx scales are rounded to so few bits that floating point computes the integers of engine "
      "integer, in any order of its sums: any runtime gives the same classes. Normalizations are folded. "
      "What can't be exact is named in warnings.",
      "", 0, 0, "false", 0, false, NULL },
    { "/overrides", "list", "Overrides",
      "Other widths or sparsities for layers by name; the last match wins.", "", 0, 64, "[]", 0, false,
      NULL },
    { "/overrides/*/match", "string", "Layers", "Shell pattern of layer names; it must match at least one.",
      "", 1, 200, NULL, 0, true, NULL },
    { "/overrides/*/weights/bits", "integer", "Weight bits", "As /quantize/weights/bits.", "bit", 1, 8, NULL,
      32, false, NULL },
    { "/overrides/*/activations/bits", "integer", "Activation bits", "As /quantize/activations/bits.", "bit",
      1, 8, NULL, 32, false, NULL },
    { "/overrides/*/prune/sparsity", "number", "Sparsity",
      "As /prune/sparsity; the layer then stands apart from the scope of the others.", "", 0, 0.9999, NULL, 0,
      false, NULL },
    { "/rate/lambda", "number", "Price of a bit",
      "Added to the loss for each bit that the weights will take in the file; zeros of the pruning may then "
      "grow "
      "again. 0: bits cost nothing.",
      "nat/bit", 0, 1, "0", 0, false, NULL },
    { "/rate/ramp", "number", "Ramp", "Part of /train/epochs over which the price grows.", "", 0, 1, "0.3", 0,
      false, NULL },
    { "/rate/freeze", "number", "Freeze",
      "Last part of /train/epochs, in which zeros stay zero and the price is halved.", "", 0, 1, "0.15", 0,
      false, NULL },
    { "/rate/coarseness", "number", "Coarseness",
      "Where bits cost, steps of the weights' grids begin so many times as large as the method has them: "
      "codes "
      "are small and mostly zero from the start, and the price keeps them so. Learned steps then move on.",
      "", 0.1, 10, "1.6", 0, false, NULL },
    { "/rate/polish", "number", "Polish",
      "At the end codes move nearer to zero where what the loss rises by is less than the bits are worth. "
      "The "
      "metric on training samples (classes: share of right answers, else dB) may fall by so much. Absent: "
      "codes "
      "stay.",
      "", 0, 1, "null", 0, false, NULL },
    { "/goal/target_bytes", "integer", "Goal: bytes",
      "The best network whose file takes at most so many: sparsity and bits of the weights, and the price of "
      "a "
      "bit "
      "where there is one, are searched from what the job says on, by samples held out of the training part.",
      "B", 1, 1e12, "null", 0, false, NULL },
    { "/goal/min_metric", "number", "Goal: metric",
      "The smallest file whose metric on the held-out samples is at least so much; with both goals, the "
      "first "
      "that has both.",
      "", 0, 1000, "null", 0, false, NULL },
    { "/goal/trials", "integer", "Goal: trials",
      "At most so many, each as long as a job without a goal. Where none meets the goal, the best is "
      "delivered, "
      "with a warning.",
      "", 1, SEARCH_TRIALS, "8", 0, false, NULL },
    { "/train/epochs", "integer", "Epochs", "Passes over the training samples.", "epoch", 0, 10000, "10", 0,
      false, NULL },
    { "/train/batch_size", "integer", "Batch size", "Samples of one step.", "sample", 1, 4096, "64", 0, false,
      NULL },
    { "/train/optimizer", "enum", "Optimizer", "sgd has momentum, adam decoupled weight decay.", "", 0, 0,
      "\"sgd\"", 0, false, list_optimizers },
    { "/train/learning_rate", "number", "Learning rate", "At the start; the schedule lowers it.", "", 1e-9,
      100, "0.01", 0, false, NULL },
    { "/train/schedule", "enum", "Schedule", "cosine to zero, step by tenths at 1/2 and 3/4, or constant.",
      "", 0, 0, "\"cosine\"", 0, false, list_schedules },
    { "/train/momentum", "number", "Momentum", "Of sgd.", "", 0, 0.999, "0.9", 0, false, NULL },
    { "/train/weight_decay", "number", "Weight decay", "On weights, never on biases, scales and steps.", "",
      0, 1, "0.0001", 0, false, NULL },
    { "/train/augment", "enum", "Augmentation",
      "shift: up to two pixels; crop-flip: up to four, and mirrored; cutout: a black square; deform: a "
      "little "
      "turned, scaled, slanted and bent, for what is written. turn: patches mirrored and rotated (superres).",
      "", 0, 0, "\"none\"", 0, false, list_augments },
    { "/train/loss", "enum", "Loss",
      "What is minimised. Absent: cross-entropy for classes, l2 for super-resolution.", "", 0, 0, "null", 0,
      false, list_losses },
    { "/train/label_smoothing", "number", "Label smoothing", "Share of the target spread over all classes.",
      "", 0, 0.9, "0", 0, false, NULL },
    { "/train/distill/weight", "number", "Distillation",
      "Share of the loss that learns from the outputs of the model as it came, in floating point.", "", 0, 1,
      "0", 0, false, NULL },
    { "/train/distill/temperature", "number", "Temperature", "Divides the outputs before they are compared.",
      "", 0.1, 100, "4", 0, false, NULL },
    { "/train/distill/features", "number", "Learning from layers",
      "Weight of the squared error of what layers give out, in parts of what they give out in the model as "
      "it "
      "came; it falls in a line to 0 in each stage.",
      "", 0, 100, "0", 0, false, NULL },
    { "/train/patch", "integer", "Patch",
      "Side of a training patch in the large image, a multiple of scale. Absent: 48, or 96 for models that "
      "enlarge.",
      "pixel", 12, 1024, "null", 0, false, NULL },
    { "/train/samples_per_epoch", "integer", "Patches of an epoch",
      "Absent: as many as cover the area of the training images once.", "sample", 1, 100000000, "null", 0,
      false, NULL },
    { "/train/precision", "enum", "Precision",
      "Layers on codes of at most 8 bits go forward on exact integers; mixed: and backward on bf16 where "
      "that is faster.",
      "", 0, 0, "\"mixed\"", 0, false, list_precisions },
    { "/train/seed", "integer", "Seed", "Same specification, same inputs, same seed: the same bits.", "", 0,
      9007199254740991.0, "1", 0, false, NULL },
    { "/resources/cpus", "integer", "CPUs", "Threads of the job; the result does not depend on it.", "thread",
      1, 256, "1", 0, false, NULL },
    { "/resources/memory_mb", "integer", "Memory", "A job that needs more is refused or ended.", "MiB", 64,
      1048576, "2048", 0, false, NULL },
    { "/resources/wall_s", "integer", "Wall time", "A job that runs longer is ended.", "s", 1, 31536000,
      "86400", 0, false, NULL },
    { "/priority", "integer", "Priority", "Higher ones start first.", "", -1000, 1000, "0", 0, false, NULL },
    { "/not_before", "string", "Not before", "Time of day in UTC, like 2026-01-31T18:00:00Z.", "", 0, 40,
      "null", 0, false, NULL },
};

/* What only one task uses; the rest is everybody's. */
static const struct {
    const char *pointer, *task;
} task_only[] = {
    { "/engine", "classify" },
    { "/scale", "superres" },
    { "/normalize/mean", "classify" },
    { "/normalize/std", "classify" },
    { "/train/label_smoothing", "classify" },
    { "/train/distill/temperature", "classify" },
    { "/train/patch", "superres" },
    { "/train/samples_per_epoch", "superres" },
};

/* What only kinds that quantize, or that prune, use: of what they share a section for. */
static const struct {
    const char *pointer;
    bool quantizing, pruning;
} stage_only[] = {
    { "/train/precision", .quantizing = true },
    { "/quantize/weights/bits", .quantizing = true },
    { "/quantize/activations/bits", .quantizing = true },
    { "/quantize/activations/basis", .quantizing = true },
    { "/quantize/first_last_bits", .quantizing = true },
    { "/quantize/lambda", .quantizing = true },
    { "/quantize/coefficient", .quantizing = true },
    { "/quantize/bins/lambda", .quantizing = true },
    { "/quantize/bins/warmup", .quantizing = true },
    { "/quantize/bins/ramp", .quantizing = true },
    { "/quantize/bins/hold_steps", .quantizing = true },
    { "/quantize/budget/bytes", .quantizing = true },
    { "/quantize/budget/bit_operations", .quantizing = true },
    { "/calibrate/equalize", .quantizing = true },
    { "/calibrate/bias_correction", .quantizing = true },
    { "/calibrate/statistics_samples", .quantizing = true },
    { "/overrides/*/weights/bits", .quantizing = true },
    { "/overrides/*/activations/bits", .quantizing = true },
    { "/overrides/*/prune/sparsity", .pruning = true },
};

static bool has_stage(const struct kind *k, const char *pointer)
{
    for (size_t i = 0; i < sizeof stage_only / sizeof *stage_only; i++)
        if (strcmp(stage_only[i].pointer, pointer) == 0)
            return k->quantizes >= stage_only[i].quantizing && k->prunes >= stage_only[i].pruning;
    return true;
}

/* What only methods that train use. */
static const char *const training_only[] = {
    "/rate/lambda",
    "/rate/ramp",
    "/rate/freeze",
    "/rate/coarseness",
    "/train/epochs",
    "/train/batch_size",
    "/train/optimizer",
    "/train/learning_rate",
    "/train/schedule",
    "/train/momentum",
    "/train/weight_decay",
    "/train/augment",
    "/train/loss",
    "/train/precision",
    "/train/label_smoothing",
    "/train/distill/weight",
    "/train/distill/temperature",
    "/train/distill/features",
    "/train/samples_per_epoch",
};

/* What only some methods use. */
static const struct {
    const char *pointer, *methods[3];
} method_only[] = {
    { "/quantize/lambda", { "msqe", NULL } },
    { "/quantize/coefficient", { "msqe", NULL } },
    { "/quantize/bins/lambda", { "lsq-br", NULL } },
    { "/quantize/bins/warmup", { "lsq-br", NULL } },
    { "/quantize/bins/ramp", { "lsq-br", NULL } },
    { "/quantize/bins/hold_steps", { "lsq-br", NULL } },
    { "/quantize/activations/basis", { "lq-nets", NULL } },
};

/* Kinds whose sections begin this pointer; NULL when all of them do (a key outside every section). */
static json_t *kinds_of(const char *pointer)
{
    json_t *kinds = json_array();
    bool in_section = false;

    for (const struct kind *const *k = kind_list; *k; k++)
        for (const char *const *s = (*k)->sections; *s; s++) {
            size_t length = strlen(*s);
            if (has_stage(*k, pointer) && strncmp(pointer + 1, *s, length) == 0 &&
                (pointer[1 + length] == '/' || pointer[1 + length] == 0)) {
                json_array_append_new(kinds, json_string((*k)->name));
                in_section = true;
            }
        }
    if (in_section)
        return kinds;
    json_decref(kinds);
    return NULL;
}

static void set_number(json_t *o, const char *key, const struct parameter *p, double value)
{
    bool whole = strcmp(p->type, "integer") == 0;

    json_object_set_new(o, key, whole ? json_integer((json_int_t)value) : json_real(value));
}

static void add_member(json_t *o, const char *list, const char *word)
{
    if (!json_object_get(o, list))
        json_object_set_new(o, list, json_array());
    json_array_append_new(json_object_get(o, list), json_string(word));
}

static void add_training_methods(json_t *o)
{
    for (const struct method *const *m = method_list; *m; m++)
        if (!(*m)->post_training)
            add_member(o, "methods", (*m)->name);
}

static json_t *describe_one(const struct parameter *p)
{
    json_t *o = json_pack("{s:s, s:s, s:s, s:s}", "pointer", p->pointer, "type", p->type, "title", p->title,
                          "help", p->help);
    json_t *kinds = kinds_of(p->pointer);

    if (strcmp(p->type, "integer") == 0 || strcmp(p->type, "number") == 0) {
        set_number(o, "minimum", p, p->minimum);
        set_number(o, "maximum", p, p->maximum);
    } else if (strcmp(p->type, "string") == 0) {
        json_object_set_new(o, "minLength", json_integer((json_int_t)p->minimum));
        json_object_set_new(o, "maxLength", json_integer((json_int_t)p->maximum));
    } else if (p->maximum > 0) {
        json_object_set_new(o, "maxItems", json_integer((json_int_t)p->maximum));
    }
    if (strcmp(p->type, "strings") == 0)
        json_object_set_new(o, "maxLength", json_integer(64));
    if (p->unit[0])
        json_object_set_new(o, "unit", json_string(p->unit));
    if (p->also)
        json_object_set_new(o, "also", json_pack("[i]", p->also));
    if (p->values)
        json_object_set_new(o, "values", p->values());
    if (p->required)
        json_object_set_new(o, "required", json_true());
    if (p->fallback)
        json_object_set_new(o, "default", json_loads(p->fallback, JSON_DECODE_ANY, NULL));
    if (kinds)
        json_object_set_new(o, "kinds", kinds);
    for (size_t i = 0; i < sizeof task_only / sizeof *task_only; i++)
        if (strcmp(task_only[i].pointer, p->pointer) == 0)
            json_object_set_new(o, "tasks", json_pack("[s]", task_only[i].task));
    for (size_t i = 0; i < sizeof method_only / sizeof *method_only; i++)
        for (const char *const *m = method_only[i].methods;
             strcmp(method_only[i].pointer, p->pointer) == 0 && *m; m++)
            add_member(o, "methods", *m);
    for (size_t i = 0; i < sizeof training_only / sizeof *training_only; i++)
        if (strcmp(training_only[i], p->pointer) == 0)
            add_training_methods(o);
    return o;
}

json_t *describe_parameters(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        json_array_append_new(list, describe_one(&parameters[i]));
    return list;
}
