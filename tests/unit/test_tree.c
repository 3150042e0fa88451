/* Class trees: which files are listed, and the classes, pools and ids that their paths give them. */
#include "base/pv_checksum.h"
#include "signal/pv_tree.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char root[] = "/tmp/polyview-tree-XXXXXX";
static const char *const endings[] = {".png", ".jpeg", NULL};
static pv_tree tree;

static int make_directory(void **state)
{
    (void)state;
    memcpy(root, "/tmp/polyview-tree-XXXXXX", sizeof root);
    return mkdtemp(root) ? 0 : -1;
}

static int remove_directory(void **state)
{
    char command[64];
    (void)state;
    pv_tree_free(&tree);
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

/* Makes files with the directories that they are in. */
#define PUT(...) put((const char *const[]){__VA_ARGS__, NULL})
static void put(const char *const *paths)
{
    char path[512];
    for (; *paths; paths++) {
        snprintf(path, sizeof path, "%s/%s", root, *paths);
        for (char *slash = path + strlen(root); (slash = strchr(slash + 1, '/'));) {
            *slash = 0;
            assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
            *slash = '/';
        }
        FILE *file = fopen(path, "w");
        assert_non_null(file);
        fclose(file);
    }
}

static void link_to(const char *target, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(symlink(target, path), 0);
}

static const char *path_at(int64_t file)
{
    static char path[PV_TREE_PATH];
    pv_tree_path(&tree, file, path);
    assert_int_equal(strncmp(path, root, strlen(root)), 0);
    return path + strlen(root) + 1;
}

/* The tree is exactly these files, in this order, "pool class path" each. */
#define LISTED(...) listed((const char *const[]){__VA_ARGS__, NULL})
static void listed(const char *const *lines)
{
    char line[512];
    pv_tree_free(&tree);
    if (pv_tree_list(root, endings, &tree) != PV_OK) fail_msg("%s", pv_fail_message());
    for (int64_t i = 0; i < tree.count; i++, lines++) {
        const pv_tree_file *file = &tree.files[i];
        snprintf(line, sizeof line, "%d %s %s", file->pool,
                 file->label < 0 ? "-" : tree.names[file->label].text, path_at(i));
        assert_non_null(*lines);
        assert_string_equal(line, *lines);
        assert_true(file->id == pv_checksum(path_at(i), strlen(path_at(i))));
    }
    assert_null(*lines);
}

/* The tree is refused with the status, by a message with these words. */
#define REFUSED(status, ...) refused(status, (const char *const[]){__VA_ARGS__, NULL})
static void refused(pv_status expected, const char *const *words)
{
    pv_tree_free(&tree);
    assert_int_equal(pv_tree_list(root, endings, &tree), expected);
    for (; *words; words++)
        if (!strstr(pv_fail_message(), *words)) fail_msg("'%s' lacks '%s'", pv_fail_message(), *words);
}

static void files_of_a_directory_have_no_class(void **state)
{
    (void)state;
    PUT("b.png", "a.PNG", "c.jpeg", "notes.txt", ".hidden.png", "png", ".png", ".git/x.png");
    LISTED("0 - a.PNG", "0 - b.png", "0 - c.jpeg");
    assert_true(tree.classes == 0 && !tree.has_pools);
}

static void directories_are_classes_in_the_order_of_their_bytes(void **state)
{
    (void)state;
    PUT("cat/1.png", "Dog/2.png", "cat/deep/er/0.png", "a b/3.png", "none/notes.txt", "cat2/1.png");
    LISTED("0 Dog Dog/2.png", "0 a b a b/3.png", "0 cat cat/1.png", "0 cat cat/deep/er/0.png",
           "0 cat2 cat2/1.png");
    assert_true(tree.classes == 4 && tree.files[0].label == 0 && tree.files[4].label == 3);
}

static void pools_are_the_first_directories(void **state)
{
    (void)state;
    PUT("train/b/1.png", "val/a/1.png", "test/c/1.png", "train/c/1.png");
    LISTED("1 c test/c/1.png", "0 b train/b/1.png", "0 c train/c/1.png", "2 a val/a/1.png");
    assert_true(tree.has_pools && tree.classes == 3);
}

static void pools_may_be_the_second_directories_too(void **state)
{
    (void)state;
    PUT("chair/train/1.png", "chair/test/2.png", "bed/test/1.png");
    LISTED("1 bed bed/test/1.png", "1 chair chair/test/2.png", "0 chair chair/train/1.png");
    assert_true(tree.has_pools && tree.classes == 2);
}

static void a_pool_may_be_without_classes(void **state)
{
    (void)state;
    PUT("train/a/1.png", "test/1.png", "test/2.png");
    LISTED("1 - test/1.png", "1 - test/2.png", "0 a train/a/1.png");
}

static void what_is_in_two_places_is_refused(void **state)
{
    (void)state;
    PUT("cat/1.png", "2.png");
    REFUSED(PV_ERR_DATA, root, "'cat/1.png' lies in the directory of a class", "'2.png' in none");
    PUT("train/cat/1.png");
    REFUSED(PV_ERR_DATA, root, "'train/cat/1.png' lies in a directory called like a split",
            "in none: all files must, or none");
}

static void splits_may_be_called_by_other_words_beside_each_other(void **state)
{
    (void)state;
    PUT("Training/b/1.png", "Validation/a/1.png", "TEST/b/1.png");
    LISTED("1 b TEST/b/1.png", "0 b Training/b/1.png", "2 a Validation/a/1.png");
    PUT("train/b/1.png");
    REFUSED(PV_ERR_DATA, root, "'Training' and 'train', which are both the split train: rename one");
}

static void other_words_for_splits_may_be_the_second_directories(void **state)
{
    (void)state;
    PUT("cat/Train/1.png", "cat/dev/1.png", "dog/Train/1.png");
    LISTED("0 cat cat/Train/1.png", "2 cat cat/dev/1.png", "0 dog dog/Train/1.png");
    PUT("dog/1.png");
    REFUSED(PV_ERR_DATA, "'dog/1.png' in none");
}

static void another_word_alone_is_a_class_among_others_but_not_by_itself(void **state)
{
    (void)state;
    PUT("valid/1.png", "Training/2.png", "mint/dev/3.png");
    REFUSED(PV_ERR_DATA, "called like a split");
    assert_int_equal(remove_directory(state) | make_directory(state), 0);
    PUT("valid/1.png", "mint/dev/3.png");
    LISTED("0 mint mint/dev/3.png", "0 valid valid/1.png");
    assert_int_equal(remove_directory(state) | make_directory(state), 0);
    PUT("Testing/a/1.png", "Testing/b/1.png");
    LISTED("1 a Testing/a/1.png", "1 b Testing/b/1.png");
}

static void splits_below_the_only_class_are_refused(void **state)
{
    (void)state;
    PUT("data/train/cat/1.png", "data/train/dog/1.png", "data/test/cat/1.png");
    REFUSED(PV_ERR_DATA, "'data' would be the only class", "/data': set signal.path to that");
    assert_int_equal(remove_directory(state) | make_directory(state), 0);
    PUT("a/data/Train/cat/1.png", "a/data/VAL/dog/1.png");
    REFUSED(PV_ERR_DATA, "'a' would be the only class", "/a/data': set signal.path to that");
    PUT("b/data/1.png");
    LISTED("0 a a/data/Train/cat/1.png", "0 a a/data/VAL/dog/1.png", "0 b b/data/1.png");
    assert_int_equal(remove_directory(state) | make_directory(state), 0);
    PUT("box/train/1.png", "box/test/2.png"); /* as ModelNet has it */
    LISTED("1 box box/test/2.png", "0 box box/train/1.png");
}

static void files_of_other_endings_are_counted(void **state)
{
    const pv_signal_opts opts = {0};
    pv_source_form form = {0};
    (void)state;
    PUT("a/1.png", "a/2.bmp", "b/3.webp", "b/c/4.tif", "b/c/5.jpeg", "a/.hidden");
    LISTED("0 a a/1.png", "0 b b/c/5.jpeg");
    assert_int_equal(tree.passed_over, 3);
    assert_int_equal(pv_tree_divide(&tree, 1, &opts, &form), PV_OK);
    assert_int_equal(form.passed_over, 3);
}

static void links_are_followed_but_not_in_circles(void **state)
{
    (void)state;
    PUT("cat/1.png");
    link_to("cat", "dog");
    link_to("1.png", "cat/2.png");
    link_to("nowhere", "cat/3.png");
    LISTED("0 cat cat/1.png", "0 cat cat/2.png", "0 cat cat/3.png", "0 dog dog/1.png", "0 dog dog/2.png",
           "0 dog dog/3.png");
    link_to("..", "cat/up");
    REFUSED(PV_ERR_DATA, "/up' leads back to a directory above it");
}

static void what_is_no_file_is_passed_over_or_refused(void **state)
{
    char path[512];
    (void)state;
    PUT("cat/1.png", "cat/2.png/notes.txt");
    LISTED("0 cat cat/1.png");
    snprintf(path, sizeof path, "%s/cat/pipe.png", root);
    assert_int_equal(mkfifo(path, 0600), 0);
    REFUSED(PV_ERR_DATA, path, "neither a file nor a directory");
}

static void nothing_at_all_is_refused(void **state)
{
    char absent[64];
    (void)state;
    PUT("cat/1.txt");
    REFUSED(PV_ERR_DATA, root, "holds no file that ends in one of: .png .jpeg");
    snprintf(absent, sizeof absent, "%s/absent", root);
    pv_tree_free(&tree);
    assert_int_equal(pv_tree_list(absent, endings, &tree), PV_ERR_IO);
    assert_non_null(strstr(pv_fail_message(), absent));
    assert_non_null(strstr(pv_fail_message(), "signal.path"));
}

static void long_names_of_classes_are_cut_between_characters_and_told_apart(void **state)
{
    (void)state;
    PUT("exactly-thirty-one-bytes-of-name/1.png", "a-name-that-is-much-too-long-to-keep-1/1.png",
        "a-name-that-is-much-too-long-to-keep-2/1.png",
        "twenty-one-bytes-and-\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9/1.png");
    assert_int_equal(pv_tree_list(root, endings, &tree), PV_OK);
    assert_int_equal(tree.classes, 4);
    for (int i = 0; i < 2; i++)
        assert_true(strlen(tree.names[i].text) == 31 &&
                    strncmp(tree.names[i].text, "a-name-that-is-much-to~", 23) == 0);
    assert_string_not_equal(tree.names[0].text, tree.names[1].text);
    assert_int_equal(strncmp(tree.names[2].text, "exactly-thirty-one-byt~", 23), 0);
    assert_true(strlen(tree.names[3].text) == 30 &&
                strncmp(tree.names[3].text, "twenty-one-bytes-and-~", 22) == 0);
}

static void names_that_are_not_utf8_are_refused(void **state)
{
    (void)state;
    PUT("caf\xe9/1.png");
    REFUSED(PV_ERR_DATA, "caf\xe9", "is not UTF-8");
}

/* Two names of 16 bytes, one XXH3-64.  Of 16 bytes it is a function of 16 + swap(a) + b + fold(a b), a and b
 * being the halves, each xored with words of the secret: here one of the two is 0, and the other x. */
static void two_files_of_one_checksum_are_refused(void **state)
{
    static const uint8_t secret[64] = "\xb8\xfe\x6c\x39\x23\xa4\x4b\xbe\x7c\x01\x81\x2c\xf7\x21\xad\x1c"
                                      "\xde\xd4\x6d\xe9\x83\x90\x97\xdb\x72\x40\xa4\xa4\xb7\xb3\x67\x1f"
                                      "\xcb\x79\xe6\x4e\xcc\xc0\xe5\x78\x82\x5a\xd0\x7d\xcc\xff\x72\x21"
                                      "\xb8\x08\x46\x74\xf7\x43\x24\x8e\xe0\x35\x90\xe6\x81\x3a\x26\x4c";
    char names[2][17] = {"", ""};
    (void)state;
    for (int i = 0; i < 8; i++) {
        const uint8_t first = secret[24 + i] ^ secret[32 + i], last = secret[40 + i] ^ secret[48 + i],
                      x = 0x55;
        names[0][i] = (char)first;
        names[0][8 + i] = (char)(last ^ x);
        names[1][i] = (char)(first ^ x);
        names[1][8 + i] = (char)last;
    }
    pv_tree_free(&tree);
    assert_true(pv_checksum(names[0], 16) == pv_checksum(names[1], 16));
    tree.text_room = 8;
    tree.text = calloc(1, 8);
    tree.text_bytes = 1;
    assert_int_equal(pv_tree_add(&tree, names[0]), PV_OK);
    assert_int_equal(pv_tree_add(&tree, names[1]), PV_OK);
    assert_int_equal(pv_tree_settle(&tree), PV_ERR_DATA);
    assert_non_null(strstr(pv_fail_message(), "have the same checksum"));
}

/* Divides a tree as options say; the form is what comes of it. */
static pv_source_form divided(double val, double test)
{
    const pv_signal_opts opts = {.val = val, .test = test};
    pv_source_form form = {0};
    pv_tree_free(&tree);
    assert_int_equal(pv_tree_list(root, endings, &tree), PV_OK);
    assert_int_equal(pv_tree_divide(&tree, 7, &opts, &form), PV_OK);
    assert_int_equal(form.pool[0] + form.pool[1] + form.pool[2], tree.count);
    return form;
}

static void put_numbered(int first, int end)
{
    for (char name[32]; first < end; first++) {
        snprintf(name, sizeof name, "%s/%d.png", first % 2 ? "a" : "b", first);
        PUT(name);
    }
}

/* The pool of the file of an id, -1: there is none. */
static int pool_of(const pv_tree *of, uint64_t id)
{
    for (int64_t i = 0; i < of->count; i++)
        if (of->files[i].id == id) return of->files[i].pool;
    return -1;
}

static void files_are_divided_by_shares_which_others_do_not_move(void **state)
{
    (void)state;
    put_numbered(0, 200);
    const pv_source_form few = divided(0.1, 0.2);
    assert_in_range(few.pool[1], 25, 55);
    assert_in_range(few.pool[2], 8, 32);
    assert_int_equal(few.apart, 1 << PV_SPLIT_VAL | 1 << PV_SPLIT_TEST);
    pv_tree before = tree;
    tree = (pv_tree){0};
    put_numbered(200, 300);
    divided(0.1, 0.2);
    for (int64_t i = 0; i < before.count; i++)
        assert_int_equal(pool_of(&tree, before.files[i].id), before.files[i].pool);
    pv_tree_free(&before);
    const pv_source_form numbers = divided(11, 23);
    assert_true(numbers.pool[1] == 23 && numbers.pool[2] == 11 && numbers.pool[0] == 300 - 34);
}

static void places_mix_the_classes(void **state)
{
    int changes = 0;
    (void)state;
    put_numbered(0, 200);
    divided(0.1, 0.2);
    for (int64_t i = 1; i < tree.count; i++) {
        changes += tree.files[i].label != tree.files[i - 1].label;
        assert_true(tree.files[i].pool >= tree.files[i - 1].pool);
    }
    assert_in_range(changes, 60, 140);
}

static void directories_decide_where_they_are_and_only_val_is_divided_where_it_has_none(void **state)
{
    (void)state;
    PUT("train/a/1.png", "train/a/2.png", "train/a/3.png", "test/a/1.png", "test/a/2.png");
    pv_source_form form = divided(1, 0.2);
    assert_true(form.pool[0] == 2 && form.pool[1] == 2 && form.pool[2] == 1);
    assert_int_equal(form.apart, 1 << PV_SPLIT_VAL);
    PUT("val/a/1.png");
    form = divided(0.9, 0.2);
    assert_true(form.pool[0] == 3 && form.pool[1] == 2 && form.pool[2] == 1 && form.apart == 0);
}

static void a_dropped_file_is_left_out_and_its_class_stays(void **state)
{
    const pv_signal_opts opts = {0};
    pv_source_form form = {0};
    (void)state;
    PUT("a/1.png", "b/1.png", "c/1.png");
    assert_int_equal(pv_tree_list(root, endings, &tree), PV_OK);
    tree.files[1].pool = -1;
    assert_int_equal(pv_tree_divide(&tree, 1, &opts, &form), PV_OK);
    assert_true(form.pool[0] == 2 && tree.count == 2 && tree.classes == 3);
    for (int i = 0; i < 2; i++)
        assert_int_equal(tree.files[i].label, strncmp(path_at(i), "a/", 2) == 0 ? 0 : 2);
    tree.files[0].pool = tree.files[1].pool = -1;
    assert_int_equal(pv_tree_divide(&tree, 1, &opts, &form), PV_ERR_DATA);
    assert_non_null(strstr(pv_fail_message(), "no file is left"));
}

static void the_table_is_the_same_wherever_it_lies(void **state)
{
    char path[PV_TREE_PATH], wanted[PV_TREE_PATH];
    (void)state;
    put_numbered(0, 40);
    divided(0.2, 0.2);
    const size_t bytes = (size_t)pv_tree_table_bytes(&tree);
    int64_t *table = malloc(bytes), *moved = malloc(bytes);
    pv_tree_table(&tree, table);
    memcpy(moved, table, bytes);
    free(table);
    for (int64_t place = 0; place < tree.count; place++) {
        pv_tree_table_path(moved, place, path);
        pv_tree_path(&tree, place, wanted);
        assert_string_equal(path, wanted);
        assert_int_equal(access(path, R_OK), 0);
    }
    free(moved);
}

static void objects_get_labels_and_ids_by_their_places(void **state)
{
    (void)state;
    put_numbered(0, 40);
    divided(0.2, 0.2);
    int32_t labels[3];
    uint64_t ids[3] = {5, 0, (uint64_t)tree.count - 1};
    pv_source_held held = {.labels = labels, .ids = ids};
    pv_tree_hand_over(&tree, &(pv_splits){.count = {2, 0, 1}}, &held);
    for (int i = 0; i < 3; i++) {
        const pv_tree_file *file = &tree.files[(int64_t[]){5, 0, tree.count - 1}[i]];
        assert_true(labels[i] == file->label && ids[i] == file->id);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_of_a_directory_have_no_class),
        TEST(directories_are_classes_in_the_order_of_their_bytes),
        TEST(pools_are_the_first_directories),
        TEST(pools_may_be_the_second_directories_too),
        TEST(a_pool_may_be_without_classes),
        TEST(what_is_in_two_places_is_refused),
        TEST(splits_may_be_called_by_other_words_beside_each_other),
        TEST(other_words_for_splits_may_be_the_second_directories),
        TEST(another_word_alone_is_a_class_among_others_but_not_by_itself),
        TEST(splits_below_the_only_class_are_refused),
        TEST(files_of_other_endings_are_counted),
        TEST(links_are_followed_but_not_in_circles),
        TEST(what_is_no_file_is_passed_over_or_refused),
        TEST(nothing_at_all_is_refused),
        TEST(long_names_of_classes_are_cut_between_characters_and_told_apart),
        TEST(names_that_are_not_utf8_are_refused),
        TEST(two_files_of_one_checksum_are_refused),
        TEST(files_are_divided_by_shares_which_others_do_not_move),
        TEST(places_mix_the_classes),
        TEST(directories_decide_where_they_are_and_only_val_is_divided_where_it_has_none),
        TEST(a_dropped_file_is_left_out_and_its_class_stays),
        TEST(the_table_is_the_same_wherever_it_lies),
        TEST(objects_get_labels_and_ids_by_their_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
