/* err.h - one error idiom for the whole house.
 *
 * Functions return 0 or a negative ERR_* code. Those that can explain themselves take a `struct err *` as
 * their last argument: it lives on the caller's stack, holds no allocation, and may be NULL. Whoever detects
 * the error calls err_set(); callers on the way up may add context with err_wrap() or a place with err_at().
 * Libraries never log: the outermost handler does, once. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

/* code, number, HTTP status, problem type (last part of the type URI), title */
#define ERR_MAP(X)                                                                                           \
    X(INTERNAL, -1, 500, "internal", "Internal error")                                                       \
    X(NOMEM, -2, 503, "out-of-memory", "Out of memory")                                                      \
    X(IO, -3, 500, "input-output", "Input or output failed")                                                 \
    X(INVALID, -4, 422, "invalid", "The input is not valid")                                                 \
    X(SYNTAX, -5, 400, "malformed", "The request is malformed")                                              \
    X(NOT_FOUND, -6, 404, "not-found", "Not found")                                                          \
    X(CONFLICT, -7, 409, "conflict", "In conflict with what exists")                                         \
    X(STATE, -8, 409, "illegal-transition", "Not possible in the present state")                             \
    X(PRECONDITION, -9, 412, "precondition-failed", "Changed since it was read")                             \
    X(TOO_LARGE, -10, 413, "too-large", "Larger than the limit")                                             \
    X(MEDIA, -11, 415, "unsupported-media-type", "Unsupported media type")                                   \
    X(RANGE, -12, 416, "range-not-satisfiable", "Range not satisfiable")                                     \
    X(CORRUPT, -13, 422, "unreadable", "The file can't be read")                                             \
    X(UNSUPPORTED, -14, 422, "unsupported", "Not supported")                                                 \
    X(METHOD, -15, 405, "method-not-allowed", "Method not allowed")                                          \
    X(AUTH, -16, 401, "unauthorized", "A valid token is needed")                                             \
    X(FORBIDDEN, -17, 403, "forbidden", "Not allowed")                                                       \
    X(BUSY, -18, 503, "busy", "Busy, try again")                                                             \
    X(FULL, -19, 507, "insufficient-storage", "Not enough room on disk")                                     \
    X(TIMEOUT, -20, 504, "timeout", "It took too long")                                                      \
    X(IDEMPOTENCY, -21, 422, "idempotency-key-reused", "The key was used with another body")                 \
    X(DIVERGED, -22, 422, "diverged", "The training diverged")                                               \
    X(CANCELLED, -23, 409, "cancelled", "Cancelled")                                                         \
    X(AGAIN, -24, 503, "again", "Not finished, run again")                                                   \
    X(MEMORY, -25, 422, "memory-limit", "It would not fit into the memory given")

#define ERR_ENUM(name, number, status, type, title) ERR_##name = number,
enum err_code { ERR_OK = 0, ERR_MAP(ERR_ENUM) };
#undef ERR_ENUM

struct err {
    int code;        /* 0 or ERR_* */
    char text[400];  /* one sentence, no newline */
    char place[200]; /* where: JSON pointer, ONNX node, file and offset; "" when unknown */
};

/* Fill *e (NULL is fine) and return code, so that `return err_set(e, ERR_IO, ...)` reads well. */
int err_set(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As err_set with ": strerror(errno)" appended. */
int err_sys(struct err *e, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Put "context: " before the text that is there; returns e->code (ERR_INTERNAL when e is NULL). */
int err_wrap(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Say where, unless a deeper caller has said so already. Returns e->code. */
int err_at(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *err_name(int code);    /* "INVALID"; "UNKNOWN" for a number outside the map */
int err_status(int code);          /* HTTP status; 500 for an unknown code */
const char *err_type(int code);    /* "invalid" */
const char *err_title(int code);   /* "The input is not valid" */
int err_by_name(const char *name); /* the code for "INVALID"; ERR_INTERNAL when unknown */

#endif
