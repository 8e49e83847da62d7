/* progress.c - drawing how far a job is, on stdout. */
#include "api/client/progress.h"

#include "api/client/text.h"
#include "base/clock.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BAR      24
#define SPARE_NS 100000000

void progress_init(struct progress *p, bool terminal)
{
    *p = (struct progress){
        .terminal = terminal, .eta_s = -1, .tenth = -1, .loss = NAN, .top1 = NAN, .psnr_db = NAN
    };
    p->error_in_steps = NAN;
}

static double fraction(const struct progress *p)
{
    return p->steps > 0 ? fmin(fmax((double)p->step / (double)p->steps, 0), 1) : 0;
}

static void figures(const struct progress *p, char *out, size_t size)
{
    char text[TEXT_SHORT];
    int n = snprintf(out, size, "%lld/%lld", (long long)p->step, (long long)p->steps);

    if (!isnan(p->loss))
        n += snprintf(out + n, size - (size_t)n, "  loss %.4g", p->loss);
    if (!isnan(p->top1))
        n += snprintf(out + n, size - (size_t)n, "  top1 %.2f %%", p->top1 * 100);
    if (!isnan(p->psnr_db))
        n += snprintf(out + n, size - (size_t)n, "  psnr %.2f dB", p->psnr_db);
    if (!isnan(p->error_in_steps))
        n += snprintf(out + n, size - (size_t)n, "  error %.3g steps", p->error_in_steps);
    if (p->eta_s >= 0)
        snprintf(out + n, size - (size_t)n, "  %s left", text_duration(p->eta_s, text));
}

static int columns(void)
{
    struct winsize w;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void draw(struct progress *p, bool now)
{
    char line[320], rest[200];
    int filled = (int)(BAR * fraction(p));

    if (!now && clock_mono_ns() - p->drawn_ns < SPARE_NS)
        return;
    p->drawn_ns = clock_mono_ns();
    figures(p, rest, sizeof rest);
    snprintf(line, sizeof line, "%-9s [%.*s%.*s] %3.0f %%  %s", p->phase[0] ? p->phase : "wait", filled,
             "========================", BAR - filled, "                        ", floor(100 * fraction(p)),
             p->steps ? rest : "");
    printf("\r\033[K%.*s", columns() - 1, line);
    fflush(stdout);
}

void progress_phase(struct progress *p, const char *phase)
{
    struct buf b;

    buf_init(&b, 0);
    text_clean(&b, phase, strlen(phase), false);
    snprintf(p->phase, sizeof p->phase, "%s", b.data ? b.data : "");
    buf_free(&b);
    p->step = p->steps = 0;
    p->eta_s = -1;
    p->tenth = -1;
    if (p->terminal) {
        draw(p, true);
    } else {
        printf("%s\n", p->phase);
        fflush(stdout);
    }
}

void progress_step(struct progress *p, int64_t step, int64_t steps, double eta_s)
{
    char rest[200];
    int tenth;

    p->step = step;
    p->steps = steps;
    p->eta_s = eta_s;
    tenth = (int)(10 * fraction(p));
    if (p->terminal) {
        draw(p, step >= steps);
    } else if (tenth > p->tenth && steps > 0) {
        figures(p, rest, sizeof rest);
        printf("%s %3d %%  %s\n", p->phase, 10 * tenth, rest);
        fflush(stdout);
    }
    p->tenth = tenth;
}

void progress_metric(struct progress *p, const char *series, double value)
{
    if (strcmp(series, "loss") == 0)
        p->loss = value;
    else if (strcmp(series, "top1") == 0)
        p->top1 = value;
    else if (strcmp(series, "psnr_db") == 0)
        p->psnr_db = value;
    else if (strcmp(series, "error_in_steps") == 0)
        p->error_in_steps = value;
    else
        return;
    if (p->terminal && p->steps)
        draw(p, false);
}

void progress_note(struct progress *p, const char *text)
{
    progress_end(p);
    text_put(stdout, text, false);
    putchar('\n');
    fflush(stdout);
}

void progress_end(struct progress *p)
{
    if (p->terminal)
        fputs("\r\033[K", stdout);
}
