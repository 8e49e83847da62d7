/* sandbox.c - four fences, each built whether or not the others could be:
 *
 *     rlimits        what the process may use up
 *     no_new_privs   nothing it starts gains rights; it is not dumpable, so nobody attaches to it
 *     Landlock       which directories exist for it
 *     seccomp        which system calls exist for it
 *
 * Sanitizers need /proc, ptrace and huge mappings: built with them, the fences that would break them are left
 * out, and the summary says so. */
#include "worker/sandbox.h"

#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* Newer than the oldest headers; the kernel is asked for its version before they are used. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/* --- rlimits --- */

static int limit(int which, size_t bytes, const char *name, struct err *e)
{
    const struct rlimit value = { bytes, bytes };

    return setrlimit(which, &value) == 0 ? 0 : err_sys(e, ERR_INTERNAL, "can't set %s to %zu", name, bytes);
}

/* Never RLIMIT_AS: BLAS maps far more than it uses and hangs under it. */
static int enter_rlimits(const struct sandbox *s, struct buf *summary, struct err *e)
{
    int r = limit(RLIMIT_CORE, 0, "RLIMIT_CORE", e);

    if (r == 0 && s->memory_bytes > 0 && !SANITIZED) /* the sanitizers' shadow counts as data */
        r = limit(RLIMIT_DATA, s->memory_bytes, "RLIMIT_DATA", e);
    if (r == 0 && s->file_bytes > 0) {
        signal(SIGXFSZ, SIG_IGN); /* write(2) fails with EFBIG instead */
        r = limit(RLIMIT_FSIZE, s->file_bytes, "RLIMIT_FSIZE", e);
    }
    buf_text(summary, "rlimits");
    return r;
}

/* --- privileges --- */

static int enter_privileges(struct buf *summary, struct err *e)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_sys(e, ERR_INTERNAL, "can't give up new privileges");
    buf_text(summary, " no_new_privs");
    if (SANITIZED) /* the leak checker attaches to its own process */
        return 0;
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_sys(e, ERR_INTERNAL, "can't become undumpable");
    buf_text(summary, " undumpable");
    return 0;
}

/* --- Landlock: no wrappers in libc, so by number --- */

#define LANDLOCK_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define LANDLOCK_WRITE                                                                                       \
    (LANDLOCK_READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |                        \
     LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Everything that a kernel of this version can forbid in the file system. */
static uint64_t landlock_known(long abi)
{
    uint64_t known = LANDLOCK_ACCESS_FS_REFER - 1; /* version 1: bits 0 to 12 */

    if (abi >= 2)
        known |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        known |= LANDLOCK_ACCESS_FS_TRUNCATE;
    if (abi >= 5)
        known |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
    return known;
}

/* A rule for a file may not speak of directories. */
#define LANDLOCK_OF_FILE                                                                                     \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE)

static int landlock_allow(int ruleset, const char *path, uint64_t access, struct err *e)
{
    struct stat st;
    int r = 0;

    if (path == NULL)
        return 0;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        r = err_sys(e, ERR_IO, "can't open '%s'", path);
    } else {
        struct landlock_path_beneath_attr rule = { .allowed_access = access, .parent_fd = fd };
        if (!S_ISDIR(st.st_mode))
            rule.allowed_access &= LANDLOCK_OF_FILE;
        if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
            r = err_sys(e, ERR_INTERNAL, "can't allow '%s'", path);
    }
    if (fd >= 0)
        close(fd);
    return r;
}

static int enter_landlock(const struct sandbox *s, struct buf *summary, struct err *e)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 1) {
        buf_text(summary, " landlock:unavailable");
        return 0;
    }
    const struct landlock_ruleset_attr attr = { .handled_access_fs = landlock_known(abi) };
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr.handled_access_fs, 0);
    if (ruleset < 0)
        return err_sys(e, ERR_INTERNAL, "can't make a Landlock ruleset");
    int r = landlock_allow(ruleset, s->read_dir, LANDLOCK_READ, e);
    if (r == 0)
        r = landlock_allow(ruleset, s->write_dir, LANDLOCK_WRITE & attr.handled_access_fs, e);
    if (r == 0 && SANITIZED)
        r = landlock_allow(ruleset, "/proc", LANDLOCK_READ, e);
    if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        r = err_sys(e, ERR_INTERNAL, "can't enter the Landlock ruleset");
    close(ruleset);
    if (r == 0)
        buf_printf(summary, " landlock:%ld", abi);
    return r;
}

/* --- seccomp: what is not named answers EPERM --- */

#define CALL(name) SCMP_SYS(name)

/* clang-format off: by purpose */
static const int calls_always[] = {
    /* bytes of open files */
    CALL(read),
    CALL(pread64),
    CALL(readv),
    CALL(write),
    CALL(pwrite64),
    CALL(writev),
    CALL(lseek),
    CALL(close),
    CALL(fcntl),
    CALL(fstat),
    CALL(fsync),
    CALL(fdatasync),
    CALL(ftruncate),
    CALL(flock),
    CALL(fadvise64),
    /* what a path is, never what is in it */
    CALL(stat),
    CALL(lstat),
    CALL(newfstatat),
    CALL(statx),
    CALL(access),
    CALL(faccessat),
    CALL(faccessat2),
    CALL(statfs),
    CALL(fstatfs),
    /* memory */
    CALL(brk),
    CALL(munmap),
    CALL(madvise),
    CALL(mremap),
    CALL(membarrier),
    /* threads that exist, signals, the end */
    CALL(futex),
    CALL(sched_yield),
    CALL(sched_getaffinity),
    CALL(set_robust_list),
    CALL(rseq),
    CALL(gettid),
    CALL(getpid),
    CALL(getppid),
    CALL(getuid),
    CALL(geteuid),
    CALL(rt_sigaction),
    CALL(rt_sigprocmask),
    CALL(rt_sigreturn),
    CALL(sigaltstack),
    CALL(restart_syscall),
    CALL(exit),
    CALL(exit_group),
    /* time and facts */
    CALL(clock_gettime),
    CALL(clock_getres),
    CALL(gettimeofday),
    CALL(clock_nanosleep),
    CALL(nanosleep),
    CALL(getrandom),
    CALL(getrusage),
    CALL(getrlimit),
    CALL(times),
    CALL(sysinfo),
    CALL(uname),
    CALL(getcpu),
    /* a uv loop */
    CALL(epoll_create1),
    CALL(epoll_ctl),
    CALL(epoll_wait),
    CALL(epoll_pwait),
    CALL(poll),
    CALL(ppoll),
    CALL(eventfd2),
    CALL(pipe2),
    CALL(timerfd_create),
    CALL(timerfd_settime),
};

/* Where a slip is not thinkable, only an attack. */
static const int calls_fatal[] = { CALL(execve), CALL(execveat), CALL(socket), CALL(socketpair),
                                   CALL(ptrace) };
static const int calls_publish[] = { CALL(rename), CALL(renameat), CALL(renameat2), CALL(unlink),
                                     CALL(unlinkat) };
static const int calls_browse[] = { CALL(getdents64), CALL(readlink), CALL(readlinkat) };
/* clang-format on */

#define COUNT(list) (int)(sizeof(list) / sizeof *(list))

static int add_list(scmp_filter_ctx filter, uint32_t action, const int *calls, int count)
{
    int r = 0;

    for (int i = 0; i < count && r == 0; i++)
        r = seccomp_rule_add(filter, action, calls[i], 0);
    return r;
}

/* open and openat, with these flags out of reach. Which directories is Landlock's business. */
static int add_open(scmp_filter_ctx filter, uint64_t forbidden)
{
    int r =
        seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, forbidden, 0));

    return r != 0 ? r
                  : seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(open), 1,
                                     SCMP_A1(SCMP_CMP_MASKED_EQ, forbidden, 0));
}

/* Calls that are fine with some arguments only. */
static int add_conditional(scmp_filter_ctx filter, const struct sandbox *s)
{
    int r = 0;

    /* no new code */
    r |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(mmap), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    r |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(mprotect), 1,
                          SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    /* asking for limits, not setting them; abort(3) kills itself */
    r |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0));
    r |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(tgkill), 1,
                          SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));
    /* glibc falls back to clone only when clone3 is unknown; a thread is one that shares the thread group */
    r |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), CALL(clone3), 0);
    if (s->threads_allowed)
        r |= seccomp_rule_add(filter, SCMP_ACT_ALLOW, CALL(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    return r;
}

static int add_files(scmp_filter_ctx filter, const struct sandbox *s)
{
    int r = 0;

    if (s->read_dir == NULL && s->write_dir == NULL)
        return 0;
    r |= add_list(filter, SCMP_ACT_ALLOW, calls_browse, COUNT(calls_browse));
    if (s->write_dir == NULL)
        return r | add_open(filter, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);
    r |= add_open(filter, 0);
    r |= add_list(filter, SCMP_ACT_ALLOW, calls_publish, COUNT(calls_publish));
    /* The inputs below write_dir are links to read-only blobs. Were fchmod real, they could be made writable;
     * publishing uses it only for the mode of new files, which may as well stay private: it answers that all
     * is well. */
    r |= seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), CALL(fchmod), 0);
    return r;
}

static int enter_seccomp(const struct sandbox *s, struct buf *summary, struct err *e)
{
    if (SANITIZED) {
        buf_text(summary, " seccomp:skipped(sanitizer)");
        return 0;
    }
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter == NULL)
        return err_set(e, ERR_NOMEM, "can't make a seccomp filter");
    int r = add_list(filter, SCMP_ACT_ALLOW, calls_always, COUNT(calls_always));
    r |= add_list(filter, SCMP_ACT_KILL_PROCESS, calls_fatal, COUNT(calls_fatal));
    r |= add_conditional(filter, s);
    r |= add_files(filter, s);
    if (r != 0) {
        seccomp_release(filter);
        return err_set(e, ERR_INTERNAL, "can't build the seccomp filter");
    }
    r = seccomp_load(filter);
    seccomp_release(filter);
    buf_text(summary, r == 0 ? " seccomp" : " seccomp:unavailable");
    return 0;
}

int sandbox_enter(const struct sandbox *s, char *summary, size_t size, struct err *e)
{
    struct buf text;
    int r;

    buf_init(&text, 0);
    r = enter_rlimits(s, &text, e);
    if (r == 0)
        r = enter_privileges(&text, e);
    if (r == 0)
        r = enter_landlock(s, &text, e);
    if (r == 0)
        r = enter_seccomp(s, &text, e);
    if (size > 0)
        snprintf(summary, size, "%s", text.data != NULL ? text.data : "");
    buf_free(&text);
    return r;
}
