/* main.c - quantd-worker: a table of commands. */
#include "base/err.h"
#include "base/log.h"
#include "base/num.h"
#include "worker/bench.h"
#include "worker/decode.h"
#include "worker/describe.h"
#include "worker/graph/precision.h"
#include "worker/inspect_file.h"
#include "worker/run.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_USAGE = 2 };

static int usage(const char *problem)
{
    if (problem)
        fprintf(stderr, "quantd-worker: %s\n", problem);
    fputs("usage: quantd-worker run DIR [--attempt N] [--token T] [--threads N]\n"
          "       quantd-worker inspect model|dataset FILE [--format F]\n"
          "       quantd-worker describe\n"
          "       quantd-worker decode FILE.qdz -o model.onnx [--fold-normalization] [--exact]\n"
          "       quantd-worker bench MODEL [--mode fp32|qat|eval|integer|bits] [--precision fp32|mixed] "
          "[--batch N] [--threads T]\n"
          "                     [--shape CxHxW] [--kernels SET] [--seconds S] [--layers] [--weights BITS] "
          "[--activations BITS]\n"
          "                     MODEL: zoo:NAME or an ONNX file\n"
          "       quantd-worker --version\n",
          problem ? stderr : stdout);
    return problem ? EXIT_USAGE : 0;
}

/* Value of `--name VALUE` among the arguments; NULL when absent. */
static const char *option(int argc, char **argv, const char *name)
{
    for (int i = 0; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static bool flag(int argc, char **argv, const char *name)
{
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return false;
}

static bool integer_option(int argc, char **argv, const char *name, int64_t low, int64_t high, int64_t *out)
{
    const char *text = option(argc, argv, name);

    return !text || num_int64(text, low, high, out);
}

static int command_run(int argc, char **argv)
{
    int64_t attempt = 1, threads = 0;
    const char *token = option(argc, argv, "--token");

    if (argc < 1 || argv[0][0] == '-')
        return usage("run needs the job's directory");
    if (!integer_option(argc, argv, "--attempt", 1, 1000000, &attempt))
        return usage("--attempt takes a whole number from 1");
    if (!integer_option(argc, argv, "--threads", 1, 256, &threads))
        return usage("--threads takes a whole number from 1 to 256");
    return run_job(&(struct run_options){ argv[0], (int)attempt, token ? token : "", (int)threads });
}

static int command_inspect(int argc, char **argv)
{
    if (argc < 2)
        return usage("inspect needs model or dataset, and a file");
    if (strcmp(argv[0], "model") != 0 && strcmp(argv[0], "dataset") != 0)
        return usage("inspect knows model and dataset");
    return inspect_file(argv[0], argv[1], option(argc, argv, "--format"));
}

static int command_describe(int argc, char **argv)
{
    json_t *all = describe_capabilities();
    (void)argc;
    (void)argv;

    if (!all || json_dumpf(all, stdout, JSON_COMPACT)) {
        log_error("can't describe");
        return EXIT_FAILURE;
    }
    putchar('\n');
    json_decref(all);
    return 0;
}

static int command_decode(int argc, char **argv)
{
    const char *output = option(argc, argv, "-o");

    if (argc < 1 || !output)
        return usage("decode needs a .qdz file and -o FILE");
    return decode_file(argv[0], output, flag(argc, argv, "--fold-normalization"),
                       flag(argc, argv, "--exact"));
}

static bool is_bench_mode(const char *mode)
{
    static const char *const modes[] = { "fp32", "qat", "eval", "integer", "bits", NULL };
    for (const char *const *m = modes; *m; m++)
        if (strcmp(*m, mode) == 0)
            return true;
    return false;
}

static int command_bench(int argc, char **argv)
{
    const char *mode = option(argc, argv, "--mode"), *seconds = option(argc, argv, "--seconds");
    const char *precision = option(argc, argv, "--precision");
    int64_t batch = 64, threads = 1, weights = 4, activations = 8;
    double s = 3;

    if (argc < 1 || argv[0][0] == '-')
        return usage("bench needs a model");
    if (mode && !is_bench_mode(mode))
        return usage("--mode is fp32, qat, eval, integer or bits");
    if (precision && precision_find(precision) < 0)
        return usage("--precision is fp32 or mixed");
    if (!integer_option(argc, argv, "--batch", 1, 4096, &batch) ||
        !integer_option(argc, argv, "--threads", 1, 256, &threads))
        return usage("--batch and --threads take whole numbers");
    if (!integer_option(argc, argv, "--weights", 1, 8, &weights) ||
        !integer_option(argc, argv, "--activations", 1, 8, &activations))
        return usage("--weights and --activations take 1 to 8 bits");
    if (seconds && !num_double(seconds, 0.01, 3600, &s))
        return usage("--seconds takes 0.01 to 3600");
    return bench_run(&(struct bench_options){ .model = argv[0],
                                              .mode = mode ? mode : "fp32",
                                              .precision = precision ? precision : "fp32",
                                              .kernels = option(argc, argv, "--kernels"),
                                              .shape = option(argc, argv, "--shape"),
                                              .batch = (int)batch,
                                              .threads = (int)threads,
                                              .weight_bits = (int)weights,
                                              .activation_bits = (int)activations,
                                              .seconds = s,
                                              .layers = flag(argc, argv, "--layers") });
}

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
} commands[] = {
    { "run", command_run },       { "inspect", command_inspect }, { "describe", command_describe },
    { "decode", command_decode }, { "bench", command_bench },
};

/* OpenBLAS reads its environment while it is loaded: one thread (parallelism is ours), and the AVX-512
 * kernels where the CPU has them, which its own detection misses on some machines. So set them and start
 * over. */
static void restart_with_blas_settings(char **argv)
{
    if (getenv("QUANTD_BLAS_READY"))
        return;
    setenv("QUANTD_BLAS_READY", "1", 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    setenv("OMP_NUM_THREADS", "1", 1);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl"))
        setenv("OPENBLAS_CORETYPE", "SKYLAKEX", 1);
    execv("/proc/self/exe", argv);
    /* not fatal: it only is slower */
}

int main(int argc, char **argv)
{
    if (argc < 2)
        return usage("which command?");
    if (strcmp(argv[1], "--version") == 0)
        return puts("quantd-worker " QUANTD_VERSION) < 0;
    if (strcmp(argv[1], "--help") == 0)
        return usage(NULL);
    restart_with_blas_settings(argv);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 2, argv + 2);
    return usage("unknown command");
}
