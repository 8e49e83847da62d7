/* job.h - jobs, their attempts, and the state machine as a table.
 *
 *   scheduled ─► queued ─► starting ─► running ─► succeeded | failed
 *        │          ▲ │         │         │
 *        └──────────┼─┴─────────┴────┬────┴─► cancelling ─► cancelled
 *                   └── retry ◄── parked, failed, cancelled
 *
 * A transition is one UPDATE ... WHERE id=? AND state=? whose change count is checked: losing a race is
 * ERR_STATE, never a silent overwrite. Each transition also appends a row to the event table (see event.h).
 */
#ifndef STORAGE_JOB_H
#define STORAGE_JOB_H

#include "base/hash.h"
#include "storage/db.h"

/* number, text, is it final? */
#define JOB_STATES(X)                                                                                        \
    X(SCHEDULED, "scheduled", 0)                                                                             \
    X(QUEUED, "queued", 0)                                                                                   \
    X(STARTING, "starting", 0)                                                                               \
    X(RUNNING, "running", 0)                                                                                 \
    X(CANCELLING, "cancelling", 0)                                                                           \
    X(SUCCEEDED, "succeeded", 1)                                                                             \
    X(FAILED, "failed", 1)                                                                                   \
    X(CANCELLED, "cancelled", 1)                                                                             \
    X(PARKED, "parked", 0)

#define JOB_ENUM(name, text, final) JOB_##name,
enum job_state { JOB_STATES(JOB_ENUM) JOB_STATE_COUNT };
#undef JOB_ENUM

/* What can happen to a job. The table state x event -> state is in state.c and tested cell by cell. */
#define JOB_EVENTS(X)                                                                                        \
    X(DUE, "due")         /* its not_before has come */                                                      \
    X(CLAIM, "claim")     /* the scheduler gives it a slot: a new attempt */                                 \
    X(START, "start")     /* the worker said hello */                                                        \
    X(FINISH, "finish")   /* done, result adopted */                                                         \
    X(FAIL, "fail")       /* a fault of the job: not tried again */                                          \
    X(LOSE, "lose")       /* worker or machine lost, or asked to stop: back to the queue */                  \
    X(PARK, "park")       /* attempts used up */                                                             \
    X(CANCEL, "cancel")   /* a person does not want it any more */                                           \
    X(STOPPED, "stopped") /* the cancelled worker is gone */                                                 \
    X(RETRY, "retry")     /* a person wants it again */

#define JOB_EVENT_ENUM(name, text) JOB_EVENT_##name,
enum job_event { JOB_EVENTS(JOB_EVENT_ENUM) JOB_EVENT_COUNT };
#undef JOB_EVENT_ENUM

const char *job_state_text(enum job_state s);
int job_state_parse(const char *text); /* -1 when unknown */
bool job_state_final(enum job_state s);
/* The state after `event`, or -1 where it is not possible. */
int job_state_next(enum job_state s, enum job_event event);

struct job {
    int64_t id;
    char *kind, *name, *owner;       /* owned; owner "" without accounts */
    char *tags;                      /* owned: JSON array text */
    char *spec;                      /* owned: complete job specification, JSON */
    char *model_hash, *dataset_hash; /* owned; NULL for built-in ones */
    enum job_state state;
    char *reason;   /* owned: why it waits or failed, in words; "" when there is nothing to say */
    char *result;   /* owned: result.json, or NULL */
    char *progress; /* owned: last progress as JSON, or NULL */
    int priority;   /* higher runs first */
    int cpus;
    int64_t memory_mb, wall_s;
    int64_t not_before_ms;                                   /* 0: at once */
    int64_t created_ms, started_ms, finished_ms, updated_ms; /* 0: not yet */
    int64_t version;                                         /* counts changes: the ETag */
    int64_t events_offset, events_seq;                       /* how far events.jsonl has been applied */
    int attempts, charged; /* rows in attempt; those that count against max_attempts */
    int max_attempts;
    int64_t sweep;   /* the sweep it was made by (sweep.h); 0: none */
    int sweep_place; /* which of its combinations, 0.. */
};

void job_free(struct job *j); /* frees what j owns, not j */
void job_list_free(struct job *list, int count);

/* Path of the job's directory, DIR/jobs/ID, whether it exists or not; "" when it doesn't fit. */
void job_dir(const struct db *db, int64_t id, char *out, size_t size);

struct job_new {
    const char *kind, *name, *owner, *tags, *spec, *model_hash, *dataset_hash;
    int priority, cpus, max_attempts;
    int64_t memory_mb, wall_s, not_before_ms;
    int64_t sweep; /* 0: none */
    int sweep_place;
};

/* Create; with an idempotency key the stored job is returned when key and body_hash agree (*existed), and
 * ERR_IDEMPOTENCY when the body differs. key NULL: none. Atomic: key and job are one transaction. */
int job_add(struct db *db, const struct job_new *n, const char *key, const char *body_hash, struct job *j,
            bool *existed, struct err *e);
/* What job_add would return for this key without making anything: the stored job, ERR_IDEMPOTENCY, or
 * ERR_NOT_FOUND when the key is new. */
int job_find_key(struct db *db, const char *owner, const char *key, const char *body_hash, struct job *j,
                 struct err *e);
int job_get(struct db *db, int64_t id, struct job *j, struct err *e);

int job_exists(struct db *db, int64_t id, bool *exists, struct err *e);

struct job_filter {
    int state;                      /* -1: any */
    const char *kind, *owner, *tag; /* NULL: any */
    int64_t sweep;                  /* 0: any */
    int64_t before;                 /* ids below this; 0: from the newest */
    int limit;                      /* 1..200 */
};
int job_list(struct db *db, const struct job_filter *f, struct job **list, int *count, struct err *e);
int job_count(struct db *db, enum job_state s, int64_t *count, struct err *e);
/* Place in the queue: how many queued jobs would be claimed before this one. */
int job_position(struct db *db, int64_t id, int64_t *ahead, struct err *e);

/* One step of the state machine; reason NULL keeps it, "" clears it. ERR_STATE where the table says no or
 * another change came first. */
int job_move(struct db *db, int64_t id, enum job_event event, const char *reason, struct err *e);

/* Change what a person may change; NULL / INT_MIN leave a field. if_version 0: unconditional; else
 * ERR_PRECONDITION. */
int job_patch(struct db *db, int64_t id, int64_t if_version, const char *name, const char *tags, int priority,
              struct err *e);
int job_delete(struct db *db, int64_t id,
               struct err *e); /* ERR_STATE unless final; the caller removes the directory */
int job_set_reason(struct db *db, int64_t id, const char *reason, struct err *e);
int job_set_result(struct db *db, int64_t id, const char *result, struct err *e);
int job_set_progress(struct db *db, int64_t id, const char *progress, struct err *e);
/* Part of the transaction that applies a batch of events. */
int job_set_offset(struct db *db, int64_t id, int64_t offset, int64_t seq, struct err *e);

/* The queue. Claim the next queued job that fits into free_cpus (priority, then age) and open an attempt for
 * it. *id is 0 when there is none. */
int job_claim(struct db *db, int free_cpus, int64_t *id, struct err *e);
/* Who is first in the queue by priority and age, whatever it needs; *id is 0 when the queue is empty. */
int job_head(struct db *db, int64_t *id, struct err *e);
int job_release_due(struct db *db, int64_t now_ms, int64_t *next_due_ms,
                    struct err *e); /* scheduled -> queued */
int job_active(struct db *db, struct job **list, int *count,
               struct err *e); /* starting, running, cancelling */

/* --- attempts ------------------------------------------------------------------------------------------- */
struct attempt {
    int64_t job;
    int number;        /* 1.. */
    char token[33];    /* fencing token: 32 hex digits */
    char launcher[16]; /* "local" */
    char handle[64];   /* "pid:start-time" of the local launcher */
    char host[64];
    int64_t started_ms, ended_ms; /* 0: not yet */
    int exit_code;                /* -1 while unknown */
    int signal;                   /* 0: none */
    char end[16];                 /* "done" "failed" "lost" "cancelled" "stopped" "timeout" "memory" ""*/
    int charged;
    int64_t peak_kb; /* resident set */
    double cpu_s;
    int64_t steps; /* highest progress step seen: has it got anywhere? */
};
int attempt_get(struct db *db, int64_t job, int number, struct attempt *a,
                struct err *e); /* number 0: the last */
int attempt_list(struct db *db, int64_t job, struct attempt **list, int *count, struct err *e);
int attempt_count_open(struct db *db, int64_t *count, struct err *e); /* under way, of all jobs */
int attempt_set_handle(struct db *db, int64_t job, int number, const char *launcher, const char *handle,
                       const char *host, struct err *e);
int attempt_set_usage(struct db *db, int64_t job, int number, int64_t peak_kb, double cpu_s, int64_t steps,
                      struct err *e);
int attempt_end(struct db *db, int64_t job, int number, const char *end, int exit_code, int signal,
                bool charged, struct err *e);

/* --- artifacts: what `out/` held when the job was done, adopted as blobs -----------------------------------
 */
struct artifact {
    char name[64];
    char hash[HASH_TEXT];
    int64_t size;
};
int artifact_add(struct db *db, int64_t job, const char *name, const char *hash, struct err *e);
int artifact_get(struct db *db, int64_t job, const char *name, struct artifact *a, struct err *e);
int artifact_list(struct db *db, int64_t job, struct artifact **list, int *count, struct err *e);

#endif
