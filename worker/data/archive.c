#include "worker/data/archive.h"

#include "base/mem.h"
#include "worker/data/gunzip.h"
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
    const char *path;
    size_t limit, total; /* decompressed bytes: allowed, seen */
    int fd;
    size_t file_bytes;
    struct gunzip *whole;  /* when the file is gzip: between file and outer */
    struct archive *outer; /* the file: filters, then tar, zip or raw */
    struct archive *inner; /* other filters over the present member; NULL when that has none */
    struct gunzip *unzip;  /* gzip over the present member; NULL when that has none */
    struct source source;  /* the present member */
    size_t ahead;          /* bytes in `member` read from outer but not yet passed on */
    int entries;
    uint8_t file[CHUNK];   /* compressed, as on disk */
    uint8_t plain[CHUNK];  /* out of whole */
    uint8_t member[CHUNK]; /* out of outer, before inner or unzip */
};

/* --- errors --- */

static int fail_archive(struct archive *a, struct err *e)
{
    if (archive_errno(a) == ENOMEM)
        return err_set(e, ERR_NOMEM, "out of memory while decompressing");
    const char *text = archive_error_string(a);
    return err_set(e, ERR_CORRUPT, "%s", text != NULL ? text : "the archive is damaged");
}

/* An error of ours on its way through libarchive, which keeps a number and a text. */
static la_ssize_t fail_callback(struct archive *a, const struct err *e)
{
    archive_set_error(a, e->code == ERR_NOMEM ? ENOMEM : EILSEQ, "%s", e->text);
    return ARCHIVE_FATAL;
}

/* --- from the disk to libarchive --- */

static int file_more(void *cookie, const uint8_t **block, size_t *length, struct err *e)
{
    struct walk *w = cookie;
    ssize_t n;

    do
        n = read(w->fd, w->file, CHUNK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(e, ERR_IO, "can't read '%s'", w->path);
    *block = w->file;
    *length = (size_t)n;
    return 0;
}

static la_ssize_t whole_read(struct archive *a, void *cookie, const void **block)
{
    struct walk *w = cookie;
    struct err e;
    size_t got;

    if (gunzip_read(w->whole, w->plain, CHUNK, &got, &e) < 0)
        return fail_callback(a, &e);
    *block = w->plain;
    return (la_ssize_t)got;
}

/* A filter that is missing in libarchive would be run as a program (ARCHIVE_WARN): not here. */
static bool enable_filters(struct archive *a)
{
    return archive_read_support_filter_bzip2(a) == ARCHIVE_OK &&
           archive_read_support_filter_xz(a) == ARCHIVE_OK &&
           archive_read_support_filter_zstd(a) == ARCHIVE_OK &&
           archive_read_support_format_raw(a) == ARCHIVE_OK;
}

static bool enable_containers(struct archive *a)
{
    return archive_read_support_format_tar(a) == ARCHIVE_OK &&
           archive_read_support_format_zip(a) == ARCHIVE_OK;
}

/* bare: tar and zip are not even tried. */
static int outer_open(struct walk *w, bool bare, struct err *e)
{
    uint8_t head[4];
    ssize_t n = pread(w->fd, head, sizeof head, 0);
    int r;

    if (n < 0 || lseek(w->fd, 0, SEEK_SET) != 0)
        return err_sys(e, ERR_IO, "can't read '%s'", w->path);
    const bool gzip = gunzip_probe(head, (size_t)n);
    w->outer = archive_read_new();
    w->whole = gzip ? gunzip_new(file_more, w) : NULL;
    if (w->outer == NULL || !enable_filters(w->outer) || (!bare && !enable_containers(w->outer)) ||
        (gzip && w->whole == NULL))
        return err_set(e, ERR_NOMEM, "out of memory for the archive reader");
    r = gzip ? archive_read_open(w->outer, w, NULL, whole_read, NULL)
             : archive_read_open_fd(w->outer, w->fd, CHUNK);
    if (r >= ARCHIVE_WARN)
        return 0;
    fail_archive(w->outer, e);
    return err_at(e, "file offset 0");
}

static void outer_close(struct walk *w)
{
    archive_read_free(w->outer);
    gunzip_free(w->whole);
    w->outer = NULL;
    w->whole = NULL;
}

/* --- the bytes of the present member --- */

/* The next block as the archive has it. */
static la_ssize_t member_block(struct walk *w, const uint8_t **block)
{
    la_ssize_t n = (la_ssize_t)w->ahead;

    w->ahead = 0;
    *block = w->member;
    return n > 0 ? n : archive_read_data(w->outer, w->member, CHUNK);
}

static int unzip_more(void *cookie, const uint8_t **block, size_t *length, struct err *e)
{
    struct walk *w = cookie;
    la_ssize_t n = member_block(w, block);

    *length = n > 0 ? (size_t)n : 0;
    return n < 0 ? fail_archive(w->outer, e) : 0;
}

static la_ssize_t inner_read(struct archive *a, void *cookie, const void **block)
{
    struct walk *w = cookie;
    const uint8_t *at;
    la_ssize_t n = member_block(w, &at);

    *block = at;
    if (n >= 0)
        return n;
    archive_set_error(a, archive_errno(w->outer), "%s", archive_error_string(w->outer));
    return ARCHIVE_FATAL;
}

static int inner_open(struct walk *w, struct err *e)
{
    struct archive_entry *entry;

    w->inner = archive_read_new();
    if (w->inner == NULL || !enable_filters(w->inner))
        return err_set(e, ERR_NOMEM, "out of memory for a decompressor");
    if (archive_read_open(w->inner, w, NULL, inner_read, NULL) >= ARCHIVE_WARN &&
        archive_read_next_header(w->inner, &entry) >= ARCHIVE_WARN)
        return 0;
    return fail_archive(w->inner, e);
}

static int count_bytes(struct walk *w, size_t got, struct err *e)
{
    w->total += got;
    if (w->total > w->limit)
        return err_set(e, ERR_TOO_LARGE, "the data is larger than the limit of %zu bytes when decompressed",
                       w->limit);
    if (w->total > EXPANSION_FREE && w->total / EXPANSION_MAX > w->file_bytes)
        return err_set(e, ERR_TOO_LARGE, "%zu bytes expand to more than %zu: this is no data set",
                       w->file_bytes, w->total);
    return 0;
}

static int read_plain(struct walk *w, uint8_t *to, size_t size, size_t *got, struct err *e)
{
    la_ssize_t n;

    if (w->unzip != NULL)
        return gunzip_read(w->unzip, to, size, got, e);
    if (w->inner == NULL && w->ahead > 0) {
        n = (la_ssize_t)(w->ahead < size ? w->ahead : size);
        memcpy(to, w->member, (size_t)n);
        w->ahead -= (size_t)n;
        memmove(w->member, w->member + n, w->ahead);
    } else {
        n = archive_read_data(w->inner != NULL ? w->inner : w->outer, to, size);
    }
    *got = n > 0 ? (size_t)n : 0;
    return n < 0 ? fail_archive(w->inner != NULL ? w->inner : w->outer, e) : 0;
}

static int member_pull(struct source *s, uint8_t *to, size_t size, size_t *got, struct err *e)
{
    struct walk *w = s->cookie;
    int r = read_plain(w, to, size, got, e);

    if (r == ERR_CORRUPT)
        err_at(e, "%s offset %zu", s->shown, s->offset > 0 ? s->offset : s->head_length);
    return r < 0 ? r : count_bytes(w, *got, e);
}

/* --- one member --- */

static int visit_plain(struct walk *w, struct err *e)
{
    const struct archive_visitor *v = w->visitor;
    struct source *s = &w->source;
    int r = source_fill_head(s, e);

    if (r == 0 && (s->bare || !member_hidden(s->member)))
        r = v->want(v->cookie, s, e);
    if (r > 0)
        r = v->take(v->cookie, s, e);
    /* Skipping decompresses too, and so it counts: otherwise a member nobody wants could be the bomb. */
    return r < 0 ? r : source_skip(s, NULL, e);
}

static int member_open(struct walk *w, struct err *e)
{
    la_ssize_t n = archive_read_data(w->outer, w->member, CHUNK);

    if (n < 0)
        return fail_archive(w->outer, e);
    w->ahead = (size_t)n;
    if (!member_compressed(w->member, w->ahead))
        return 0;
    if (!gunzip_probe(w->member, w->ahead))
        return inner_open(w, e);
    w->unzip = gunzip_new(unzip_more, w);
    return w->unzip != NULL ? 0 : err_set(e, ERR_NOMEM, "out of memory for a decompressor");
}

static int visit_member(struct walk *w, struct err *e)
{
    int r = member_open(w, e);

    if (r == ERR_CORRUPT)
        err_at(e, "%s offset 0", w->source.shown);
    w->source.pull = member_pull;
    w->source.cookie = w;
    if (r == 0)
        r = visit_plain(w, e);
    archive_read_free(w->inner);
    gunzip_free(w->unzip);
    w->inner = NULL;
    w->unzip = NULL;
    return r;
}

/* --- the walk --- */

static const char *entry_name(struct archive_entry *entry)
{
    const char *name = archive_entry_pathname(entry);

    return name != NULL ? name : archive_entry_pathname_utf8(entry); /* the C locale cannot say every name */
}

static int check_type(struct archive_entry *entry, const char *shown, struct err *e)
{
    if (archive_entry_hardlink(entry) != NULL || archive_entry_symlink(entry) != NULL)
        return err_set(e, ERR_INVALID, "'%s' in the archive is a link", shown);
    if (archive_entry_filetype(entry) != AE_IFREG)
        return err_set(e, ERR_INVALID, "'%s' in the archive is not a regular file", shown);
    if (archive_entry_is_encrypted(entry))
        return err_set(e, ERR_UNSUPPORTED, "'%s' in the archive is encrypted", shown);
    return 0;
}

static bool is_format(const struct walk *w, int format)
{
    return (archive_format(w->outer) & ARCHIVE_FORMAT_BASE_MASK) == format;
}

/* A bare file has the name that gzip kept, else that of the file on disk. */
static const char *bare_name(const struct walk *w)
{
    const char *kept = w->whole != NULL ? gunzip_name(w->whole) : "";

    return member_base(*kept != '\0' ? kept : w->path);
}

static int visit_entry(struct walk *w, struct archive_entry *entry, struct err *e)
{
    const bool bare = is_format(w, ARCHIVE_FORMAT_RAW);
    const char *name = bare ? bare_name(w) : entry_name(entry);

    if (name == NULL)
        return err_set(e, ERR_INVALID, "a file in the archive has a name that can't be read");
    w->source = (struct source){ .bare = bare };
    source_name(&w->source, name);
    int r = member_check(name, e);
    if (r < 0 || archive_entry_filetype(entry) == AE_IFDIR)
        return r;
    r = check_type(entry, w->source.shown, e);
    return r < 0 ? r : visit_member(w, e);
}

/* What follows the archive in a gzip file; its checksum comes at the very end. */
static int drain_whole(struct walk *w, struct err *e)
{
    size_t got = w->whole != NULL;
    int r = 0;

    while (r == 0 && got > 0) {
        r = gunzip_read(w->whole, w->plain, CHUNK, &got, e);
        if (r == 0)
            r = count_bytes(w, got, e);
    }
    return r;
}

static int walk_entries(struct walk *w, struct err *e)
{
    struct archive_entry *entry;

    for (w->entries = 0;; w->entries++) {
        int r = archive_read_next_header(w->outer, &entry);
        if (r == ARCHIVE_EOF)
            return drain_whole(w, e);
        if (r < ARCHIVE_WARN) {
            fail_archive(w->outer, e);
            return err_at(e, "file offset %lld", (long long)archive_filter_bytes(w->outer, -1));
        }
        if (w->entries == ARCHIVE_MEMBERS_MAX)
            return err_set(e, ERR_TOO_LARGE, "the archive has more than %d files", ARCHIVE_MEMBERS_MAX);
        r = visit_entry(w, entry, e);
        if (r < 0)
            return r;
    }
}

/* 512 zeros are the end of a tar, and so they look like an empty one. They may as well be the first pixels of
 * bare data: that gets a second look. */
static int walk_twice(struct walk *w, struct err *e)
{
    int r = outer_open(w, false, e);

    if (r == 0)
        r = walk_entries(w, e);
    if (r < 0 || w->entries > 0 || !is_format(w, ARCHIVE_FORMAT_TAR))
        return r;
    outer_close(w);
    w->total = 0;
    r = outer_open(w, true, e);
    return r < 0 ? r : walk_entries(w, e);
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

    if (w == NULL)
        return err_set(e, ERR_NOMEM, "out of memory");
    w->visitor = v;
    w->path = path;
    w->limit = limit;
    int r = w->fd = open_file(path, &w->file_bytes, e);
    if (r >= 0) {
        r = walk_twice(w, e);
        outer_close(w);
        close(w->fd);
    }
    free(w);
    return r;
}
