/* SHA-256 and CRC-32 against published answers; the text form. */
#include "tests/unit/temp.h"

#include "base/hash.h"
#include "base/mem.h"

#define EMPTY "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define ABC   "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void known_answers(void **state)
{
    (void)state;
    unsigned char digest[HASH_BYTES];
    char text[HASH_TEXT];
    hash_bytes("", 0, digest);
    hash_text(digest, text);
    assert_string_equal(text, EMPTY);
    struct hash *h = hash_new();
    hash_add(h, "a", 1);
    hash_add(h, "", 0);
    hash_add(h, "bc", 2);
    hash_done(h, digest);
    hash_text(digest, text);
    assert_string_equal(text, ABC);
    hash_free(hash_new());
    hash_free(NULL);
    assert_int_equal(hash_crc32(0, "123456789", 9), 0xcbf43926);
    assert_int_equal(hash_crc32(hash_crc32(0, "1234", 4), "56789", 5), 0xcbf43926);
    assert_int_equal(hash_crc32(0, "", 0), 0);
    const char *fox = "The quick brown fox jumps over the lazy dog";
    for (size_t cut = 0; cut <= strlen(fox); cut++)
        assert_int_equal(hash_crc32(hash_crc32(0, fox, cut), fox + cut, strlen(fox + cut)), 0x414fa339);
}

static void text_form(void **state)
{
    (void)state;
    unsigned char digest[HASH_BYTES], expected[HASH_BYTES];
    hash_bytes("abc", 3, expected);
    assert_int_equal(hash_parse(ABC, digest), 0);
    assert_memory_equal(digest, expected, HASH_BYTES);
    assert_true(hash_equal(digest, expected, HASH_BYTES));
    digest[31] ^= 1;
    assert_false(hash_equal(digest, expected, HASH_BYTES));
    static const char *const bad[] = { "", "sha256:", "sha256:00", "SHA256:" EMPTY, EMPTY "0", "md5:0" };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(hash_parse(bad[i], digest), ERR_SYNTAX);
}

static void files(void **state)
{
    struct err e = { 0 };
    char text[HASH_TEXT];
    int64_t size = -1;
    const char *path = temp_path(*state, "file");
    assert_int_equal(file_publish(path, "abc", 3, 0600, &e), 0);
    assert_int_equal(hash_file(path, text, &size, &e), 0);
    assert_string_equal(text, ABC);
    assert_int_equal(size, 3);
    assert_int_equal(hash_file(temp_path(*state, "none"), text, &size, &e), ERR_NOT_FOUND);
    assert_true(hash_file(*state, text, &size, &e) < 0); /* a directory */
    for (int n = 0; n < 2; n++) {
        mem_fail_after(n);
        assert_int_equal(hash_file(path, text, &size, &e), ERR_NOMEM);
        mem_fail_after(-1);
    }
}

static void random_bytes(void **state)
{
    (void)state;
    unsigned char a[32] = { 0 }, b[32] = { 0 };
    assert_int_equal(hash_random(a, sizeof a), 0);
    assert_int_equal(hash_random(b, sizeof b), 0);
    assert_memory_not_equal(a, b, sizeof a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(text_form),
        cmocka_unit_test_setup_teardown(files, temp_setup, temp_teardown),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
