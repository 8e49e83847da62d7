#include "worker/data/archive.h"

#include "base/mem.h"
#include "worker/data/member.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK = 1 << 16,
    /* Images compress 2 to 20 fold, sparse drawings perhaps 100 fold; a bomb 1000 fold and more. */
    EXPANSION_MAX = 400,
    EXPANSION_FREE = 16 << 20, /* bytes below which nobody minds */
};

struct walk {
    const struct archive_visitor *visitor;
    size_t limit, total; /* decompressed bytes: allowed, seen */
    size_t file_bytes;
    struct archive *outer; /* the file: filters, then tar, zip or raw */
    struct archive *inner; /* filters over the present member; NULL when that is plain */
    struct archive_member member;
    uint8_t *data; /* owned: the present member */
    size_t length, capacity;
    size_t ahead; /* bytes in `chunk` read from outer but not yet passed on */
    uint8_t chunk[CHUNK];
};

/* --- errors --- */

static int fail_archive(struct archive *a, struct err *e)
{
    if (archive_errno(a) == ENOMEM)
        return err_set(e, ERR_NOMEM, "out of memory while decompressing");
    const char *text = archive_error_string(a);
    return err_set(e, ERR_CORRUPT, "%s", text != NULL ? text : "the archive is damaged");
}

static int fail_member(const struct walk *w, struct archive *a, struct err *e)
{
    char shown[MEMBER_SHOWN];

    fail_archive(a, e);
    member_show(w->member.name, shown);
    return err_at(e, "%s offset %zu", shown, w->length);
}

/* --- bytes of the present member --- */

/* libarchive's reader callback of the inner archive: compressed bytes come out of the outer one. */
static la_ssize_t inner_read(struct archive *a, void *cookie, const void **block)
{
    struct walk *w = cookie;
    la_ssize_t n = (la_ssize_t)w->ahead;

    w->ahead = 0;
    if (n == 0)
        n = archive_read_data(w->outer, w->chunk, CHUNK);
    if (n < 0) {
        archive_set_error(a, archive_errno(w->outer), "%s", archive_error_string(w->outer));
        return ARCHIVE_FATAL;
    }
    *block = w->chunk;
    return n;
}

/* A filter that is missing in libarchive would be run as a program (ARCHIVE_WARN): not here. */
static bool enable_filters(struct archive *a)
{
    return archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
           archive_read_support_filter_bzip2(a) == ARCHIVE_OK &&
           archive_read_support_filter_xz(a) == ARCHIVE_OK &&
           archive_read_support_filter_zstd(a) == ARCHIVE_OK &&
           archive_read_support_format_raw(a) == ARCHIVE_OK;
}

static int inner_open(struct walk *w, struct err *e)
{
    struct archive_entry *entry;

    w->inner = archive_read_new();
    if (w->inner == NULL || !enable_filters(w->inner))
        return err_set(e, ERR_NOMEM, "out of memory for a decompressor");
    if (archive_read_open(w->inner, w, NULL, inner_read, NULL) < ARCHIVE_WARN ||
        archive_read_next_header(w->inner, &entry) < ARCHIVE_WARN)
        return fail_member(w, w->inner, e);
    return 0;
}

/* By what has arrived, never by what a header claims; capacity stays at least a chunk ahead of length. */
static int make_room(struct walk *w, struct err *e)
{
    if (w->capacity - w->length >= CHUNK)
        return 0;
    size_t capacity = w->capacity + w->capacity / 2 + CHUNK;
    uint8_t *data = mem_grow(w->data, capacity, 1);
    if (data == NULL)
        return err_set(e, ERR_NOMEM, "no memory for %zu bytes", capacity);
    w->data = data;
    w->capacity = capacity;
    return 0;
}

/* The next plain bytes, at most a chunk, behind w->data[w->length]; *got 0 at the end. They count. */
static int member_read(struct walk *w, size_t *got, struct err *e)
{
    la_ssize_t n = (la_ssize_t)w->ahead;
    int r = make_room(w, e);

    if (r < 0)
        return r;
    if (w->inner != NULL) {
        n = archive_read_data(w->inner, w->data + w->length, CHUNK);
    } else if (n > 0) {
        memcpy(w->data + w->length, w->chunk, w->ahead);
        w->ahead = 0;
    } else {
        n = archive_read_data(w->outer, w->data + w->length, CHUNK);
    }
    if (n < 0)
        return fail_member(w, w->inner != NULL ? w->inner : w->outer, e);

    *got = (size_t)n;
    w->total += *got;
    if (w->total > w->limit)
        return err_set(e, ERR_TOO_LARGE, "the data is larger than the limit of %zu bytes when decompressed",
                       w->limit);
    if (w->total > EXPANSION_FREE && w->total / EXPANSION_MAX > w->file_bytes)
        return err_set(e, ERR_TOO_LARGE, "%zu bytes expand to more than %zu: this is no data set",
                       w->file_bytes, w->total);
    return 0;
}

/* --- one member --- */

/* At least `want` bytes into w->data, unless the member ends before. */
static int read_up_to(struct walk *w, size_t want, struct err *e)
{
    for (size_t got = 1; w->length < want && got > 0; w->length += got) {
        int r = member_read(w, &got, e);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Skipping decompresses too, and so it counts: otherwise a member nobody wants could be the bomb. */
static int skip_rest(struct walk *w, struct err *e)
{
    int r = 0;

    for (size_t got = 1; r == 0 && got > 0;) {
        w->length = 0;
        r = member_read(w, &got, e);
    }
    return r;
}

static int visit_plain(struct walk *w, struct err *e)
{
    const struct archive_visitor *v = w->visitor;
    int r = read_up_to(w, ARCHIVE_HEAD, e);

    if (r < 0)
        return r;
    size_t head = w->length < ARCHIVE_HEAD ? w->length : ARCHIVE_HEAD;
    bool hidden = !w->member.bare && member_hidden(w->member.name);
    r = hidden ? 0 : v->want(v->cookie, &w->member, w->data, head, e);
    if (r <= 0)
        return r < 0 ? r : skip_rest(w, e);
    r = read_up_to(w, SIZE_MAX, e);
    return r < 0 ? r : v->take(v->cookie, &w->member, w->data, w->length, e);
}

static int visit_member(struct walk *w, struct err *e)
{
    la_ssize_t n = archive_read_data(w->outer, w->chunk, CHUNK);
    int r = 0;

    w->length = 0;
    if (n < 0)
        return fail_member(w, w->outer, e);
    w->ahead = (size_t)n;
    if (member_compressed(w->chunk, w->ahead))
        r = inner_open(w, e);
    if (r == 0)
        r = visit_plain(w, e);
    archive_read_free(w->inner);
    w->inner = NULL;
    return r;
}

/* --- the walk --- */

static const char *entry_name(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    return name != NULL ? name : archive_entry_pathname_utf8(entry); /* the C locale cannot say every name */
}

static int check_type(struct archive_entry *entry, const char *name, struct err *e)
{
    char shown[MEMBER_SHOWN];

    member_show(name, shown);
    if (archive_entry_hardlink(entry) != NULL || archive_entry_symlink(entry) != NULL)
        return err_set(e, ERR_INVALID, "'%s' in the archive is a link", shown);
    if (archive_entry_filetype(entry) != AE_IFREG)
        return err_set(e, ERR_INVALID, "'%s' in the archive is not a regular file", shown);
    if (archive_entry_is_encrypted(entry))
        return err_set(e, ERR_UNSUPPORTED, "'%s' in the archive is encrypted", shown);
    return 0;
}

/* A bare file has the name that gzip kept, else that of the file on disk. */
static const char *bare_name(const char *name, const char *path)
{
    return strcmp(name, "data") == 0 ? member_base(path) : member_base(name);
}

static int visit_entry(struct walk *w, struct archive_entry *entry, const char *path, struct err *e)
{
    const char *name = entry_name(entry);
    int r;

    w->member.bare = (archive_format(w->outer) & ARCHIVE_FORMAT_BASE_MASK) == ARCHIVE_FORMAT_RAW;
    if (name == NULL)
        return err_set(e, ERR_INVALID, "a file in the archive has a name that can't be read");
    w->member.name = w->member.bare ? bare_name(name, path) : name;
    r = member_check(w->member.name, e);
    if (r < 0 || archive_entry_filetype(entry) == AE_IFDIR)
        return r;
    r = check_type(entry, w->member.name, e);
    return r < 0 ? r : visit_member(w, e);
}

static int walk_entries(struct walk *w, const char *path, struct err *e)
{
    struct archive_entry *entry;

    for (int count = 0;; count++) {
        int r = archive_read_next_header(w->outer, &entry);
        if (r == ARCHIVE_EOF)
            return 0;
        if (r < ARCHIVE_WARN) {
            fail_archive(w->outer, e);
            return err_at(e, "file offset %lld", (long long)archive_filter_bytes(w->outer, -1));
        }
        if (count == ARCHIVE_MEMBERS_MAX)
            return err_set(e, ERR_TOO_LARGE, "the archive has more than %d files", ARCHIVE_MEMBERS_MAX);
        r = visit_entry(w, entry, path, e);
        if (r < 0)
            return r;
    }
}

static int open_file(const char *path, size_t *bytes, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us */
    struct stat st;

    if (fd < 0)
        return err_sys(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "can't open '%s'", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0) {
        *bytes = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return err_set(e, ERR_INVALID, "the file is empty, or no file");
}

int archive_walk(const char *path, size_t limit, const struct archive_visitor *v, struct err *e)
{
    struct walk *w = mem_alloc(sizeof *w);
    int fd = -1, r;

    if (w == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w->visitor = v;
    w->limit = limit;
    r = fd = open_file(path, &w->file_bytes, e);
    if (r < 0)
        goto out;
    w->outer = archive_read_new();
    if (w->outer == NULL || !enable_filters(w->outer) ||
        archive_read_support_format_tar(w->outer) != ARCHIVE_OK ||
        archive_read_support_format_zip(w->outer) != ARCHIVE_OK) {
        r = err_set(e, ERR_NOMEM, "out of memory for the archive reader");
        goto out;
    }
    if (archive_read_open_fd(w->outer, fd, CHUNK) < ARCHIVE_WARN) {
        fail_archive(w->outer, e);
        r = err_at(e, "file offset 0");
        goto out;
    }
    r = walk_entries(w, path, e);
out:
    archive_read_free(w->outer);
    if (fd >= 0)
        close(fd);
    free(w->data);
    free(w);
    return r;
}
