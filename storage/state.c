/* state.c - the life of a job as one table: state x event -> state. Where it is empty the event is refused.
 */
#include "storage/job.h"

#include <string.h>

static const struct {
    const char *text;
    bool final;
} states[JOB_STATE_COUNT] = {
#define STATE_ROW(name, text, final) { text, final },
    JOB_STATES(STATE_ROW)
#undef STATE_ROW
};

/* One more than the state, so that 0, what is not written, means no. */
#define TO(name) (JOB_##name + 1)

static const unsigned char next[JOB_STATE_COUNT][JOB_EVENT_COUNT] = {
    [JOB_SCHEDULED] = {
        [JOB_EVENT_DUE] = TO(QUEUED),
        [JOB_EVENT_CANCEL] = TO(CANCELLED),
    },
    [JOB_QUEUED] = {
        [JOB_EVENT_CLAIM] = TO(STARTING),
        [JOB_EVENT_CANCEL] = TO(CANCELLED),
    },
    [JOB_STARTING] = {
        [JOB_EVENT_START] = TO(RUNNING),
        [JOB_EVENT_FAIL] = TO(FAILED),
        [JOB_EVENT_LOSE] = TO(QUEUED),
        [JOB_EVENT_PARK] = TO(PARKED),
        [JOB_EVENT_CANCEL] = TO(CANCELLING),
    },
    [JOB_RUNNING] = {
        [JOB_EVENT_FINISH] = TO(SUCCEEDED),
        [JOB_EVENT_FAIL] = TO(FAILED),
        [JOB_EVENT_LOSE] = TO(QUEUED),
        [JOB_EVENT_PARK] = TO(PARKED),
        [JOB_EVENT_CANCEL] = TO(CANCELLING),
    },
    [JOB_CANCELLING] = {
        [JOB_EVENT_STOPPED] = TO(CANCELLED),
        [JOB_EVENT_FINISH] = TO(SUCCEEDED), /* it was done before the signal came */
        [JOB_EVENT_FAIL] = TO(CANCELLED),
        [JOB_EVENT_LOSE] = TO(CANCELLED),
    },
    [JOB_FAILED] = {
        [JOB_EVENT_RETRY] = TO(QUEUED),
    },
    [JOB_CANCELLED] = {
        [JOB_EVENT_RETRY] = TO(QUEUED),
    },
    [JOB_PARKED] = {
        [JOB_EVENT_CANCEL] = TO(CANCELLED),
        [JOB_EVENT_RETRY] = TO(QUEUED),
    },
};

const char *job_state_text(enum job_state s)
{
    return states[s].text;
}

int job_state_parse(const char *text)
{
    for (int s = 0; s < JOB_STATE_COUNT; s++)
        if (strcmp(states[s].text, text) == 0)
            return s;
    return -1;
}

bool job_state_final(enum job_state s)
{
    return states[s].final;
}

int job_state_next(enum job_state s, enum job_event event)
{
    return next[s][event] - 1;
}
