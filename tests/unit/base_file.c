/* Files: publish, load, remove, and what a hostile directory may hold. */
#include "tests/unit/temp.h"

#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int entries(const char *path)
{
    int n = -2; /* . and .. */
    DIR *d = opendir(path);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void publish_and_load(void **state)
{
    struct err e = { 0 };
    struct stat st;
    char *data;
    size_t length;
    const char *path = temp_path(*state, "file");
    assert_int_equal(file_publish(path, "first", 5, 0644, &e), 0);
    assert_int_equal(file_publish(path, "second\0x", 8, 0640, &e), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    assert_int_equal(file_load(path, 100, &data, &length, &e), 0);
    assert_int_equal(length, 8);
    assert_memory_equal(data, "second\0x", 9);
    free(data);
    assert_int_equal(file_load(path, 8, &data, NULL, &e), 0);
    free(data);
    assert_int_equal(file_load(path, 7, &data, &length, &e), ERR_TOO_LARGE);
    assert_int_equal(file_load(temp_path(*state, "none"), 7, &data, &length, &e), ERR_NOT_FOUND);
    assert_int_equal(entries(*state), 1);
    assert_int_equal(file_size(path), 8);
    assert_int_equal(file_size("/nowhere/at/all"), ERR_NOT_FOUND);
    assert_true(file_exists(path));
    assert_false(file_exists(temp_path(*state, "none")));
    assert_true(file_disk_free(*state) > 0);
    assert_true(file_disk_free("/nowhere/at/all") < 0);
}

/* Files of /proc tell no size; a load must go by what it reads. */
static void load_without_size(void **state)
{
    (void)state;
    struct err e = { 0 };
    char *data;
    size_t length;
    assert_int_equal(file_load("/proc/self/maps", 1 << 20, &data, &length, &e), 0);
    assert_true(length > 100 && strlen(data) == length);
    free(data);
    assert_int_equal(file_load("/proc/self/maps", 50, &data, &length, &e), ERR_TOO_LARGE);
    assert_true(file_load("/proc/self", 50, &data, &length, &e) < 0);
    bool whole = false;
    for (int64_t n = 0; !whole && n < 20; n++) {
        mem_fail_after(n);
        int rc = file_load("/proc/self/maps", 1 << 20, &data, &length, &e);
        mem_fail_after(-1);
        whole = rc == 0;
        if (whole)
            free(data);
        else
            assert_int_equal(rc, ERR_NOMEM);
    }
    assert_true(whole);
}

static void publish_fails_cleanly(void **state)
{
    struct err e = { 0 };
    char temp[4096], small[10];
    int fd;
    assert_true(file_publish(temp_path(*state, "none/file"), "x", 1, 0600, &e) < 0);
    mkdir(temp_path(*state, "dir"), 0700);
    assert_true(file_publish(temp_path(*state, "dir"), "x", 1, 0600, &e) < 0); /* rename onto a directory */
    assert_int_equal(entries(*state), 1);
    assert_int_equal(file_temp(temp_path(*state, "big"), small, sizeof small, &fd, &e), ERR_INVALID);
    assert_int_equal(file_temp(temp_path(*state, "big"), temp, sizeof temp, &fd, &e), 0);
    assert_int_equal(file_write_all(fd, "abc", 3, &e), 0);
    assert_int_equal(file_commit(fd, temp, temp_path(*state, "big"), &e), 0);
    assert_int_equal(file_size(temp_path(*state, "big")), 3);
    assert_false(file_exists(temp));
}

static void disk_full(void **state)
{
    (void)state;
    struct err e = { 0 };
    int fd = open("/dev/full", O_WRONLY);
    if (fd < 0)
        skip();
    assert_int_equal(file_write_all(fd, "x", 1, &e), ERR_FULL);
    close(fd);
}

static void read_exactly(void **state)
{
    struct err e = { 0 };
    char data[8];
    const char *path = temp_path(*state, "file");
    file_publish(path, "12345", 5, 0600, &e);
    int fd = open(path, O_RDONLY);
    assert_int_equal(file_read_all(fd, data, 4, &e), 0);
    assert_memory_equal(data, "1234", 4);
    assert_int_equal(file_read_all(fd, data, 2, &e), ERR_CORRUPT);
    close(fd);
}

static void directories(void **state)
{
    struct err e = { 0 };
    struct stat st;
    assert_int_equal(file_make_dirs(temp_path(*state, "a/b//c/"), &e), 0);
    assert_int_equal(file_make_dirs(temp_path(*state, "a/b/c"), &e), 0);
    assert_int_equal(stat(temp_path(*state, "a/b"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    file_publish(temp_path(*state, "file"), "", 0, 0600, &e);
    assert_true(file_make_dirs(temp_path(*state, "file/x"), &e) < 0);
    assert_true(file_make_dirs(temp_path(*state, "file"), &e) < 0);
    assert_true(file_make_dirs("", &e) < 0);
}

static void remove_follows_no_link(void **state)
{
    struct err e = { 0 };
    file_make_dirs(temp_path(*state, "keep"), &e);
    file_publish(temp_path(*state, "keep/file"), "x", 1, 0600, &e);
    file_make_dirs(temp_path(*state, "tree/a/b"), &e);
    file_publish(temp_path(*state, "tree/a/b/file"), "x", 1, 0400, &e);
    assert_int_equal(symlink(temp_path(*state, "keep"), temp_path(*state, "tree/a/link")), 0);
    assert_int_equal(mkfifo(temp_path(*state, "tree/fifo"), 0600), 0);
    assert_int_equal(file_remove_tree(temp_path(*state, "tree"), &e), 0);
    assert_false(file_exists(temp_path(*state, "tree")));
    assert_true(file_exists(temp_path(*state, "keep/file")));
    assert_int_equal(file_remove_tree(temp_path(*state, "tree"), &e), 0);
}

static void open_below(void **state)
{
    struct err e = { 0 };
    char *data;
    size_t length;
    int dir = open(*state, O_RDONLY | O_DIRECTORY);
    file_publish(temp_path(*state, "file"), "x", 1, 0600, &e);
    assert_int_equal(symlink("file", temp_path(*state, "link")), 0);
    assert_int_equal(mkfifo(temp_path(*state, "fifo"), 0600), 0);
    mkdir(temp_path(*state, "dir"), 0700);
    int fd = file_open_below(dir, "file", &e);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(file_open_below(dir, "none", &e), ERR_NOT_FOUND);
    static const char *const refused[] = { "link", "fifo",    "dir",   ".",          "..",
                                           "",     "../file", "dir/x", "/etc/passwd" };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_int_equal(file_open_below(dir, refused[i], &e), ERR_INVALID);
    assert_int_equal(file_load_below(dir, "file", 10, &data, &length, &e), 0);
    assert_int_equal(length, 1);
    free(data);
    assert_int_equal(file_load_below(dir, "link", 10, &data, &length, &e), ERR_INVALID);
    close(dir);
}

static void names(void **state)
{
    (void)state;
    char name[257];
    memset(name, 'a', 256);
    name[256] = '\0';
    assert_false(file_name_ok(name));
    name[255] = '\0';
    assert_true(file_name_ok(name));
    assert_true(file_name_ok("model-1_a.onnx"));
    static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "a b", "ä", "a\n" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(file_name_ok(bad[i]));
}

#define IN_TEMP(test) cmocka_unit_test_setup_teardown(test, temp_setup, temp_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TEMP(publish_and_load),       IN_TEMP(load_without_size),
        IN_TEMP(publish_fails_cleanly),  IN_TEMP(disk_full),
        IN_TEMP(read_exactly),           IN_TEMP(directories),
        IN_TEMP(remove_follows_no_link), IN_TEMP(open_below),
        cmocka_unit_test(names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
