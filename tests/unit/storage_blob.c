/* Blobs, and the models and data sets that are named blobs. */
#include "tests/unit/store.h"

#include "storage/asset.h"

#include <sys/stat.h>
#include <unistd.h>

static int add(struct store *s, enum asset_kind kind, const char *name, const char *hash, const char *format,
               const char *info, struct asset *a, bool *existed)
{
    const struct asset_new n = { .name = name, .hash = hash, .format = format, .info = info };
    return asset_add(s->db, kind, &n, a, existed, &s->e);
}

static bool there(struct store *s, const char *hash)
{
    char path[4096];
    struct blob b;
    blob_path(s->db, hash, path, sizeof path);
    bool row = blob_get(s->db, hash, &b, &s->e) == 0;
    assert_int_equal(row, file_exists(path));
    return row;
}

static void adopt(void **state)
{
    struct store *s = *state;
    struct blob b;
    struct stat st;
    char path[4096], expected[4200], small[20];
    const char *hash = store_blob(s, "content");
    assert_ok(s, blob_get(s->db, hash, &b, &s->e));
    assert_string_equal(b.hash, hash);
    assert_int_equal(b.size, 7);
    assert_true(b.created_ms > 0);
    blob_path(s->db, hash, path, sizeof path);
    snprintf(expected, sizeof expected, "%s/blobs/%.2s/%s", (char *)s->dir, hash + 7, hash + 9);
    assert_string_equal(path, expected);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    ino_t inode = st.st_ino;
    assert_string_equal(store_blob(s, "content"), hash); /* once more: the first file stays */
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_ino, inode);
    assert_false(file_exists(temp_path(s->dir, "tmp/upload")));
    blob_path(s->db, hash, small, sizeof small);
    assert_string_equal(small, "");
    blob_path(s->db, "sha256:../../../etc/passwd", path, sizeof path);
    assert_string_equal(path, "");
    assert_int_equal(blob_get(s->db, "sha256:none", &b, &s->e), ERR_NOT_FOUND);
}

static void adopt_refuses(void **state)
{
    struct store *s = *state;
    char hash[HASH_TEXT];
    int64_t size;
    const char *temp = temp_path(s->dir, "tmp/upload");
    assert_ok(s, file_publish(temp, "x", 1, 0600, &s->e));
    assert_ok(s, hash_file(temp, hash, &size, &s->e));
    assert_int_equal(blob_adopt(s->db, temp, "sha256:zz", 1, &s->e), ERR_INVALID);
    assert_int_equal(blob_adopt(s->db, temp, hash, 2, &s->e), ERR_INVALID);
    assert_int_equal(symlink(temp, temp_path(s->dir, "tmp/link")), 0);
    assert_int_equal(blob_adopt(s->db, temp_path(s->dir, "tmp/link"), hash, 1, &s->e), ERR_INVALID);
    assert_true(blob_adopt(s->db, temp_path(s->dir, "tmp/none"), hash, 1, &s->e) < 0);
    assert_false(there(s, hash));
}

/* A blob whose file was lost is whole again when somebody sends it again. */
static void heals(void **state)
{
    struct store *s = *state;
    char path[4096];
    const char *hash = store_blob(s, "content");
    blob_path(s->db, hash, path, sizeof path);
    unlink(path);
    store_blob(s, "content");
    assert_true(there(s, hash));
    chmod(path, 0600);
    assert_int_equal(truncate(path, 3), 0);
    store_blob(s, "content");
    assert_int_equal(file_size(path), 7);
}

static void sweep(void **state)
{
    struct store *s = *state;
    struct job_new n = store_job;
    struct job j;
    struct asset m;
    struct asset d;
    bool existed;
    const char *model = store_blob(s, "model"), *dataset = store_blob(s, "dataset"),
               *input = store_blob(s, "input"), *artifact = store_blob(s, "artifact"),
               *unused = store_blob(s, "unused");
    assert_ok(s, add(s, ASSET_MODEL, "m", model, NULL, "{}", &m, &existed));
    assert_ok(s, add(s, ASSET_DATASET, "d", dataset, "idx", "{}", &d, &existed));
    n.model_hash = n.dataset_hash = input;
    assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
    assert_ok(s, artifact_add(s->db, j.id, "model.onnx", artifact, &s->e));

    assert_int_equal(blob_sweep(s->db, 3600000, &s->e), 0); /* young ones are left alone */
    assert_int_equal(blob_sweep(s->db, 0, &s->e), 1);
    assert_false(there(s, unused));
    assert_true(there(s, model) && there(s, dataset) && there(s, input) && there(s, artifact));

    assert_ok(s, job_move(s->db, j.id, JOB_EVENT_CANCEL, NULL, &s->e));
    assert_int_equal(blob_sweep(s->db, 0, &s->e), 0); /* a finished job keeps its inputs */
    assert_ok(s, job_delete(s->db, j.id, &s->e));
    assert_ok(s, asset_delete(s->db, ASSET_MODEL, m.id, &s->e));
    assert_ok(s, asset_delete(s->db, ASSET_DATASET, d.id, &s->e));
    assert_int_equal(blob_sweep(s->db, 0, &s->e), 4);
    assert_false(there(s, model) || there(s, dataset) || there(s, input) || there(s, artifact));
    job_free(&j);
    asset_free(&m);
    asset_free(&d);
}

/* Files that a crash left between file and row. */
/* One upload is refused while another of the same bytes is accepted: what that one was told stays true. */
static void discard(void **state)
{
    struct store *s = *state;
    struct blob first, second;
    const char *hash = store_blob(s, "refused");
    assert_ok(s, blob_get(s->db, hash, &first, &s->e));
    store_blob(s, "refused");
    assert_ok(s, blob_get(s->db, hash, &second, &s->e));
    assert_true(second.created_ms > first.created_ms);
    assert_ok(s, blob_discard(s->db, hash, first.created_ms, &s->e));
    assert_ok(s, blob_get(s->db, hash, &second, &s->e));
    assert_ok(s, blob_discard(s->db, hash, second.created_ms, &s->e));
    assert_int_equal(blob_get(s->db, hash, &second, &s->e), ERR_NOT_FOUND);
}

static void sweep_orphans(void **state)
{
    struct store *s = *state;
    char path[4096];
    const char *hash = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    const char *kept = store_blob(s, "kept");
    struct asset m;
    bool existed;
    assert_ok(s, add(s, ASSET_MODEL, NULL, kept, NULL, "{}", &m, &existed));
    asset_free(&m);
    blob_path(s->db, hash, path, sizeof path);
    assert_ok(s, file_make_dirs(temp_path(s->dir, "blobs/00"), &s->e));
    assert_ok(s, file_publish(path, "x", 1, 0400, &s->e));
    assert_int_equal(blob_sweep(s->db, 3600000, &s->e), 1);
    assert_false(file_exists(path));
    assert_true(there(s, kept));
}

static void models(void **state)
{
    struct store *s = *state;
    struct asset m, again;
    bool existed;
    const char *one = store_blob(s, "one"), *two = store_blob(s, "two");
    char digits[13];
    assert_ok(s, add(s, ASSET_MODEL, "lenet", one, NULL, "{\"a\":1}", &m, &existed));
    assert_false(existed);
    assert_string_equal(m.name, "lenet");
    assert_string_equal(m.hash, one);
    assert_string_equal(m.info, "{\"a\":1}");
    assert_int_equal(m.size, 3);
    assert_ok(s, add(s, ASSET_MODEL, "lenet", one, NULL, "{\"b\":2}", &again, &existed));
    assert_true(existed);
    assert_int_equal(again.id, m.id);
    asset_free(&again);
    assert_int_equal(add(s, ASSET_MODEL, "lenet", two, NULL, "{}", &again, &existed), ERR_CONFLICT);
    assert_ok(s, add(s, ASSET_MODEL, NULL, two, NULL, "{}", &again, &existed));
    snprintf(digits, sizeof digits, "%s", two + 7);
    assert_string_equal(again.name, digits);
    asset_free(&again);
    assert_ok(s, add(s, ASSET_MODEL, "", two, NULL, "{}", &again, &existed));
    assert_true(existed);
    asset_free(&again);
    asset_free(&m);

    const char *const refs[] = { "1", "lenet", one };
    for (int i = 0; i < 3; i++) {
        assert_ok(s, asset_get(s->db, ASSET_MODEL, refs[i], &m, &s->e));
        assert_int_equal(m.id, 1);
        asset_free(&m);
    }
    assert_ok(s, asset_get(s->db, ASSET_MODEL, digits, &m, &s->e));
    assert_int_equal(m.id, 2);
    asset_free(&m);
    const char *const missing[] = { "99", "nope", "", "sha256:x", "-1", "1 OR 1" };
    for (int i = 0; i < 6; i++)
        assert_int_equal(asset_get(s->db, ASSET_MODEL, missing[i], &m, &s->e), ERR_NOT_FOUND);
    assert_int_equal(asset_delete(s->db, ASSET_MODEL, 99, &s->e), ERR_NOT_FOUND);
}

static void names_refused(void **state)
{
    struct store *s = *state;
    struct asset m;
    bool existed;
    const char *hash = store_blob(s, "x");
    char longest[ASSET_NAME_MAX + 2] = "";
    memset(longest, 'n', ASSET_NAME_MAX + 1);
    const char *const bad[] = { "12",   "sha256:abc", "zoo:lenet5", "builtin:glyphs",
                                "a\nb", "a/b",        "\xff",       longest };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(add(s, ASSET_MODEL, bad[i], hash, NULL, "{}", &m, &existed), ERR_INVALID);
    longest[ASSET_NAME_MAX] = '\0';
    assert_ok(s, add(s, ASSET_MODEL, longest, hash, NULL, "{}", &m, &existed));
    asset_free(&m);
    assert_int_equal(add(s, ASSET_MODEL, "m", "no hash", NULL, "{}", &m, &existed), ERR_INVALID);
    assert_int_equal(add(s, ASSET_MODEL, "m",
                         "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", NULL,
                         "{}", &m, &existed),
                     ERR_NOT_FOUND);
}

static void datasets(void **state)
{
    struct store *s = *state;
    struct asset d, *list;
    bool existed;
    int count;
    const char *hash = store_blob(s, "digits");
    assert_ok(s, add(s, ASSET_DATASET, "mnist", hash, "idx", "{\"mean\":[0]}", &d, &existed));
    assert_string_equal(d.format, "idx");
    asset_free(&d);
    assert_ok(s, add(s, ASSET_DATASET, "mnist", hash, "idx", "{\"mean\":[0]}", &d, &existed));
    assert_true(existed);
    asset_free(&d);
    /* other settings would be a silent change */
    assert_int_equal(add(s, ASSET_DATASET, "mnist", hash, "idx", "{\"mean\":[1]}", &d, &existed),
                     ERR_CONFLICT);
    assert_int_equal(add(s, ASSET_DATASET, "mnist", hash, "npz", "{\"mean\":[0]}", &d, &existed),
                     ERR_CONFLICT);
    for (int i = 0; i < 20; i++) {
        char name[20];
        snprintf(name, sizeof name, "set-%d", i);
        assert_ok(s, add(s, ASSET_DATASET, name, hash, NULL, "{}", &d, &existed));
        asset_free(&d);
    }
    assert_ok(s, asset_list(s->db, ASSET_DATASET, 0, 5, &list, &count, &s->e));
    assert_int_equal(count, 5);
    assert_string_equal(list[0].name, "set-19");
    int64_t before = list[4].id;
    asset_list_free(list, count);
    assert_ok(s, asset_list(s->db, ASSET_DATASET, before, 200, &list, &count, &s->e));
    assert_int_equal(count, 16);
    assert_string_equal(list[15].name, "mnist");
    asset_list_free(list, count);
}

static void in_use(void **state)
{
    struct store *s = *state;
    struct job_new n = store_job;
    struct asset m;
    struct asset d;
    struct job j;
    bool existed;
    n.model_hash = store_blob(s, "model");
    n.dataset_hash = store_blob(s, "dataset");
    assert_ok(s, add(s, ASSET_MODEL, "m", n.model_hash, NULL, "{}", &m, &existed));
    assert_ok(s, add(s, ASSET_DATASET, "d", n.dataset_hash, "idx", "{}", &d, &existed));
    assert_ok(s, job_add(s->db, &n, NULL, NULL, &j, &existed, &s->e));
    assert_int_equal(asset_delete(s->db, ASSET_MODEL, m.id, &s->e), ERR_CONFLICT);
    assert_int_equal(asset_delete(s->db, ASSET_DATASET, d.id, &s->e), ERR_CONFLICT);
    assert_string_equal(s->e.text, "1 unfinished job uses the data set");
    assert_ok(s, job_move(s->db, j.id, JOB_EVENT_CANCEL, NULL, &s->e));
    assert_ok(s, asset_delete(s->db, ASSET_MODEL, m.id, &s->e));
    assert_ok(s, asset_delete(s->db, ASSET_DATASET, d.id, &s->e));
    asset_free(&m);
    asset_free(&d);
    job_free(&j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_STORE(adopt),         IN_STORE(adopt_refuses), IN_STORE(heals),         IN_STORE(sweep),
        IN_STORE(sweep_orphans), IN_STORE(models),        IN_STORE(names_refused), IN_STORE(datasets),
        IN_STORE(in_use),        IN_STORE(discard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
