#include "server/verdict.h"

#include <signal.h>
#include <string.h>

#define EXIT_AGAIN 75

static const struct {
    const char *end;
    enum job_event event;
    bool charged;
} cause_rows[] = {
    [STOP_CANCEL] = { "cancelled", JOB_EVENT_STOPPED, false },
    [STOP_WALL] = { "timeout", JOB_EVENT_FAIL, true },
    [STOP_MEMORY] = { "memory", JOB_EVENT_FAIL, true },
    [STOP_EVENTS] = { "failed", JOB_EVENT_FAIL, true },
};

bool verdict_is_crash(int signal)
{
    static const int crashes[] = { SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS };
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++)
        if (crashes[i] == signal)
            return true;
    return false;
}

static struct verdict lost(const struct ending *e, const char *end)
{
    bool hopeless = e->losses > 0 && e->losses % VERDICT_LOSSES == 0; /* a retry by hand gives another ten */
    return (struct verdict){ hopeless ? JOB_EVENT_PARK : JOB_EVENT_LOSE, end, false };
}

static struct verdict fault(const struct ending *e)
{
    bool used_up = e->charged + 1 >= e->max_attempts;
    return (struct verdict){ used_up ? JOB_EVENT_PARK : JOB_EVENT_LOSE, "failed", true };
}

struct verdict verdict_of(const struct ending *e)
{
    if (e->done) /* whatever came after: the work is there */
        return (struct verdict){ JOB_EVENT_FINISH, "done", false };
    if (e->cause != STOP_NOTHING)
        return (struct verdict){ cause_rows[e->cause].event, cause_rows[e->cause].end,
                                 cause_rows[e->cause].charged };
    if (e->exit_code == EXIT_AGAIN)
        return lost(e, "stopped");
    if (e->error)
        return (struct verdict){ JOB_EVENT_FAIL, "failed", true };
    if (e->signal)
        return verdict_is_crash(e->signal) ? fault(e) : lost(e, "lost");
    return e->exit_code < 0 ? lost(e, "lost") : fault(e);
}

int verdict_losses(const struct attempt *list, int count)
{
    int64_t best = 0;
    int losses = 0;
    for (int i = 0; i < count; i++) {
        bool was_lost =
            i == count - 1 || strcmp(list[i].end, "lost") == 0 || strcmp(list[i].end, "stopped") == 0;
        bool risen = list[i].steps > best;
        if (risen)
            best = list[i].steps;
        losses = !was_lost ? 0 : risen ? 1 : losses + 1;
    }
    return losses;
}
