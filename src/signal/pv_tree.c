/* Class trees: walking them, and what the paths of their files say. */
#include "pv_tree.h"
#include "base/pv_checksum.h"
#include "base/pv_log.h"
#include "base/pv_mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static const char *const pool_names[PV_POOLS] = {"train", "test", "val"};

/* What else people call them, in letters of any case. */
static const struct pool_word {
    const char *word;
    int pool;
} pool_words[] = {{"train", 0}, {"training", 0}, {"test", 1},       {"testing", 1},
                  {"val", 2},   {"valid", 2},    {"validation", 2}, {"dev", 2}};

static const char *path_of(const pv_tree *tree, const pv_tree_file *file)
{
    return tree->text + file->path;
}

/* ---- which files ---- */

/* A directory on the way down, and those above it: no link may lead back to one. */
typedef struct chain {
    const struct chain *above;
    dev_t device;
    ino_t node;
} chain;

typedef struct walk {
    pv_tree *tree;
    const char *const *endings;
    size_t root; /* bytes of PATH with the slash behind it */
    char path[PV_TREE_PATH];
} walk;

static bool is_wanted(const char *name, const char *const *endings)
{
    const size_t length = strlen(name);
    for (; *endings; endings++)
        if (length > strlen(*endings) && strcasecmp(name + length - strlen(*endings), *endings) == 0)
            return true;
    return false;
}

static pv_status walk_directory(walk *w, size_t length, const chain *above);

/* The path is that of something in a directory.  What cannot be looked at, such as a link to nowhere, is left
 * to the reader of the file. */
static pv_status walk_entry(walk *w, size_t length, const char *name, int type, const chain *above)
{
    struct stat about = {.st_mode = S_IFREG};
    if (type != DT_REG && type != DT_DIR && stat(w->path, &about) != 0) about.st_mode = S_IFREG;
    if (type == DT_DIR || S_ISDIR(about.st_mode)) return walk_directory(w, length, above);
    if (!is_wanted(name, w->endings)) {
        w->tree->passed_over += S_ISREG(about.st_mode);
        return PV_OK;
    }
    if (!S_ISREG(about.st_mode))
        return pv_fail(PV_ERR_DATA, "'%s' is neither a file nor a directory: take it out of the tree",
                       w->path);
    return pv_tree_add(w->tree, w->path + w->root);
}

static pv_status walk_directory(walk *w, size_t length, const chain *above)
{
    struct stat about;
    struct dirent *entry;
    DIR *list = opendir(w->path);
    pv_status st = PV_OK;
    if (!list || fstat(dirfd(list), &about) != 0) {
        st = pv_fail(PV_ERR_IO, "cannot open the directory '%s' (config key signal.path): %s", w->path,
                     strerror(errno));
        if (list) closedir(list);
        return st;
    }
    const chain here = {above, about.st_dev, about.st_ino};
    for (; above && st == PV_OK; above = above->above)
        if (above->device == here.device && above->node == here.node)
            st =
                pv_fail(PV_ERR_DATA,
                        "the link '%s' leads back to a directory above it: take it out of the tree", w->path);
    while (st == PV_OK && (errno = 0, entry = readdir(list))) {
        const size_t bytes = strlen(entry->d_name);
        if (entry->d_name[0] == '.') continue;
        if (length + 1 + bytes >= PV_TREE_PATH) {
            st = pv_fail(PV_ERR_IO, "a path below '%.200s...' is longer than %d bytes", w->path,
                         PV_TREE_PATH - 1);
            break;
        }
        w->path[length] = '/';
        memcpy(w->path + length + 1, entry->d_name, bytes + 1);
        st = walk_entry(w, length + 1 + bytes, entry->d_name, entry->d_type, &here);
        w->path[length] = 0;
    }
    if (st == PV_OK && errno != 0)
        st = pv_fail(PV_ERR_IO, "cannot read the directory '%s': %s", w->path, strerror(errno));
    closedir(list);
    return st;
}

/* Puts a string at the end of the text. */
static pv_status keep_text(pv_tree *tree, const char *string)
{
    const int64_t bytes = (int64_t)strlen(string) + 1;
    if (tree->text_bytes + bytes > tree->text_room) {
        const int64_t room = 2 * (tree->text_room + bytes);
        char *text = realloc(tree->text, (size_t)room);
        if (!text) return pv_fail(PV_ERR_NOMEM, "no memory for the paths of a tree");
        tree->text = text;
        tree->text_room = room;
    }
    memcpy(tree->text + tree->text_bytes, string, (size_t)bytes);
    tree->text_bytes += bytes;
    return PV_OK;
}

pv_status pv_tree_add(pv_tree *tree, const char *path)
{
    if (tree->count == tree->room) {
        const int64_t room = 2 * tree->room + 64;
        pv_tree_file *files = realloc(tree->files, (size_t)room * sizeof *files);
        if (!files) return pv_fail(PV_ERR_NOMEM, "no memory for the files of a tree");
        tree->files = files;
        tree->room = room;
    }
    tree->files[tree->count++] =
        (pv_tree_file){.id = pv_checksum(path, strlen(path)), .path = tree->text_bytes, .label = -1};
    return keep_text(tree, path);
}

/* ---- what their paths say ---- */

/* A part of a path between slashes; NULL: there is none. */
typedef struct part {
    const char *at;
    int length;
} part;

/* Directory `n` of the path. */
static part directory_of(const char *path, int n)
{
    const char *end;
    for (; (end = strchr(path, '/')) && n > 0; n--)
        path = end + 1;
    return end ? (part){path, (int)(end - path)} : (part){NULL, 0};
}

static int compare_parts(part a, part b)
{
    const int order = memcmp(a.at, b.at, (size_t)(a.length < b.length ? a.length : b.length));
    return order != 0 ? order : a.length - b.length;
}

static bool is_called(part directory, const char *name)
{
    return directory.at && compare_parts(directory, (part){name, (int)strlen(name)}) == 0;
}

/* The pool that a directory is called like, -1: none. */
static int pool_called(part directory)
{
    for (size_t i = 0; directory.at && i < sizeof pool_words / sizeof *pool_words; i++)
        if ((int)strlen(pool_words[i].word) == directory.length &&
            strncasecmp(directory.at, pool_words[i].word, (size_t)directory.length) == 0)
            return pool_words[i].pool;
    return -1;
}

/* Whether directories at a depth are splits: one is called exactly so, or other words are too many to be by
 * chance: train's and another's beside it, or at the top, where classes would be, nothing else. */
static bool says_pools(const pv_tree *tree, int depth)
{
    bool exact = false, others = false, seen[PV_POOLS] = {false};
    for (int64_t i = 0; i < tree->count; i++) {
        const part directory = directory_of(path_of(tree, &tree->files[i]), depth);
        const int pool = pool_called(directory);
        others = others || pool < 0;
        if (pool < 0) continue;
        exact = exact || is_called(directory, pool_names[pool]);
        seen[pool] = true;
    }
    return exact || (seen[0] && (seen[1] || seen[2])) || (depth == 0 && tree->count > 0 && !others);
}

/* Finds at which depth directories are called like train, val and test (-1: nowhere), and the pools of
 * files. */
static pv_status find_pools(pv_tree *tree, int *depth)
{
    const pv_tree_file *in = NULL, *outside = NULL;
    part called[PV_POOLS] = {{NULL, 0}};
    *depth = says_pools(tree, 0) ? 0 : says_pools(tree, 1) ? 1 : -1;
    if (*depth < 0) return PV_OK;
    tree->has_pools = true;
    for (int64_t i = 0; i < tree->count; i++) {
        pv_tree_file *file = &tree->files[i];
        const part directory = directory_of(path_of(tree, file), *depth);
        const int pool = pool_called(directory);
        *(pool < 0 ? &outside : &in) = file;
        file->pool = pool < 0 ? 0 : pool;
        if (pool < 0) continue;
        if (!called[pool].at) called[pool] = directory;
        if (compare_parts(called[pool], directory) != 0)
            return pv_fail(PV_ERR_DATA,
                           "in '%s', directories are called '%.*s' and '%.*s', which are both the split %s: "
                           "rename one",
                           tree->text, called[pool].length, called[pool].at, directory.length, directory.at,
                           pool_names[pool]);
    }
    if (!outside || !in) return PV_OK;
    return pv_fail(PV_ERR_DATA,
                   "in '%s', '%s' lies in a directory called like a split (train, val or test), and '%s' in "
                   "none: all files must, or none",
                   tree->text, path_of(tree, in), path_of(tree, outside));
}

/* Every pool has classes, or none. */
static pv_status check_classes(const pv_tree *tree, int depth)
{
    const pv_tree_file *with[PV_POOLS] = {NULL}, *without[PV_POOLS] = {NULL};
    for (int64_t i = 0; i < tree->count; i++) {
        const pv_tree_file *file = &tree->files[i];
        *(directory_of(path_of(tree, file), depth).at ? &with[file->pool] : &without[file->pool]) = file;
    }
    for (int pool = 0; pool < PV_POOLS; pool++)
        if (with[pool] && without[pool])
            return pv_fail(
                PV_ERR_DATA,
                "in '%s', '%s' lies in the directory of a class, and '%s' in none: all files must, "
                "or none",
                tree->text, path_of(tree, with[pool]), path_of(tree, without[pool]));
    return PV_OK;
}

/* A name that is too long keeps its beginning, and gets a hash of the whole for the rest. */
static pv_status name_class(part directory, pv_class_name *name)
{
    enum { HASHED = 9 /* "~" and 8 digits */ };
    const int most = (int)sizeof name->text - 1;
    json_t *valid = json_stringn(directory.at, (size_t)directory.length);
    if (!valid)
        return pv_fail(PV_ERR_DATA, "the name of the class directory '%.*s' is not UTF-8: call it otherwise",
                       directory.length, directory.at);
    json_decref(valid);
    int kept = directory.length <= most ? directory.length : most - HASHED;
    while (kept < directory.length && (directory.at[kept] & 0xc0) == 0x80)
        kept--; /* no part of a character stays */
    memset(name, 0, sizeof *name);
    memcpy(name->text, directory.at, (size_t)kept);
    if (kept < directory.length)
        snprintf(name->text + kept, HASHED + 1, "~%08x",
                 (unsigned)pv_checksum(directory.at, (size_t)directory.length));
    return PV_OK;
}

/* A file and what it is sorted by. */
typedef struct sorted {
    part class;
    uint64_t id;
    pv_tree_file *file;
} sorted;

static int by_class(const void *a, const void *b)
{
    return compare_parts(((const sorted *)a)->class, ((const sorted *)b)->class);
}

static int by_id(const void *a, const void *b)
{
    const uint64_t x = ((const sorted *)a)->id, y = ((const sorted *)b)->id;
    return (x > y) - (x < y);
}

/* Numbers the classes and names them. */
static pv_status find_classes(pv_tree *tree, int depth)
{
    sorted *files = NULL;
    int64_t count = 0;
    pv_status st;
    PV_ALLOC(files, tree->count);
    PV_ALLOC(tree->names, tree->count < PV_MAX_CLASSES ? tree->count : PV_MAX_CLASSES);
    for (int64_t i = 0; i < tree->count; i++) {
        const part class = directory_of(path_of(tree, &tree->files[i]), depth);
        if (class.at) files[count++] = (sorted){.class = class, .file = &tree->files[i]};
    }
    qsort(files, (size_t)count, sizeof *files, by_class);
    for (int64_t i = 0; i < count; i++) {
        if (i == 0 || compare_parts(files[i - 1].class, files[i].class) != 0) {
            if (tree->classes == PV_MAX_CLASSES)
                PV_TRY(
                    pv_fail(PV_ERR_DATA, "'%s' has more than %d classes", tree->text, (int)PV_MAX_CLASSES));
            PV_TRY(name_class(files[i].class, &tree->names[tree->classes++]));
        }
        files[i].file->label = tree->classes - 1;
    }
    st = PV_OK;
done:
    free(files);
    return st;
}

/* The path behind its first `n` directories. */
static const char *below(const char *path, int n)
{
    for (; n > 0; n--)
        path = strchr(path, '/') + 1;
    return path;
}

/* Bytes of the directories that all files lie in, below their first `n`, with the slash behind each. */
static int common_bytes(const pv_tree *tree, int n)
{
    const char *first = below(path_of(tree, &tree->files[0]), n);
    int bytes = (int)strlen(first);
    for (int64_t i = 0; i < tree->count; i++) {
        const char *path = below(path_of(tree, &tree->files[i]), n);
        while (bytes > 0 && (first[bytes - 1] != '/' || strncmp(first, path, (size_t)bytes) != 0))
            bytes--;
    }
    return bytes;
}

/* Whether all files lie in a directory at a depth. */
static bool all_lie_in(const pv_tree *tree, int depth)
{
    for (int64_t i = 0; i < tree->count; i++)
        if (!directory_of(path_of(tree, &tree->files[i]), depth).at) return false;
    return true;
}

/* Warns where directories divide all files of the only class further.  `under` is their depth, `top` where
 * that of the class is, in the path `first` with `bytes` down to them. */
static void warn_of_finer(const pv_tree *tree, int top, int under, const char *first, int bytes)
{
    const part finer = directory_of(path_of(tree, &tree->files[0]), under);
    for (int64_t i = 0; i < tree->count; i++)
        if (tree->files[i].label < 0) return;
    if (!all_lie_in(tree, under)) return;
    if (top == 0)
        pv_log_warn(
            "in '%s', '%s' is the only class: '%.*s' and other directories in '%s/%.*s' are classes if "
            "signal.path is set to that",
            tree->text, tree->names[0].text, finer.length, finer.at, tree->text, bytes - 1, first);
    else
        pv_log_warn(
            "in '%s', '%s' is the only class: '%.*s' and other directories below it are classes if they "
            "lie in those of the splits themselves",
            tree->text, tree->names[0].text, finer.length, finer.at);
}

/* Where there is one class only, signal.path may be a directory too high: the splits, or what was meant as
 * classes, lie below it.  `pools` is the depth of the splits. */
static pv_status check_lone_class(const pv_tree *tree, int pools)
{
    const int top = pools == 0 ? 1 : 0;
    if (tree->classes != 1 || tree->files[0].label < 0) return PV_OK;
    if (pools == 1 && !all_lie_in(tree, 2)) return PV_OK; /* CLASS/train/FILE, of one class */
    const char *first = below(path_of(tree, &tree->files[0]), top);
    const int bytes = pools == 1 ? directory_of(first, 0).length + 1 : common_bytes(tree, top);
    int under = top;
    for (int i = 0; i < bytes; i++)
        under += first[i] == '/';
    if (top == 0 && says_pools(tree, under))
        return pv_fail(PV_ERR_DATA,
                       "in '%s', '%s' would be the only class, but splits (train, val or test) lie in "
                       "'%s/%.*s': set signal.path to that",
                       tree->text, tree->names[0].text, tree->text, bytes - 1, first);
    warn_of_finer(tree, top, under, first, bytes);
    return PV_OK;
}

static pv_status check_ids(const pv_tree *tree)
{
    sorted *files = NULL;
    pv_status st;
    PV_ALLOC(files, tree->count);
    for (int64_t i = 0; i < tree->count; i++)
        files[i] = (sorted){.id = tree->files[i].id, .file = &tree->files[i]};
    qsort(files, (size_t)tree->count, sizeof *files, by_id);
    st = PV_OK;
    for (int64_t i = 1; i < tree->count && st == PV_OK; i++)
        if (files[i - 1].id == files[i].id)
            st = pv_fail(PV_ERR_DATA,
                         "in '%s', '%s' and '%s' have the same checksum: call one of them otherwise",
                         tree->text, path_of(tree, files[i - 1].file), path_of(tree, files[i].file));
done:
    free(files);
    return st;
}

static int by_path(const void *a, const void *b, void *tree)
{
    return strcmp(path_of(tree, a), path_of(tree, b));
}

pv_status pv_tree_settle(pv_tree *tree)
{
    int pools;
    pv_status st;
    qsort_r(tree->files, (size_t)tree->count, sizeof *tree->files, by_path, tree);
    PV_TRY(find_pools(tree, &pools));
    const int classes = pools == 0 ? 1 : 0; /* the depth of their directories */
    PV_TRY(check_classes(tree, classes));
    PV_TRY(find_classes(tree, classes));
    PV_TRY(check_lone_class(tree, pools));
    st = check_ids(tree);
done:
    return st;
}

pv_status pv_tree_list(const char *path, const char *const *endings, pv_tree *tree)
{
    walk w = {.tree = tree, .endings = endings, .root = strlen(path) + 1};
    char list[256] = "";
    pv_status st;
    if (w.root >= PV_TREE_PATH)
        return pv_fail(PV_ERR_IO, "the path '%.200s...' (config key signal.path) is longer than %d bytes",
                       path, PV_TREE_PATH - 2);
    memcpy(w.path, path, w.root);
    PV_TRY(keep_text(tree, path));
    PV_TRY(walk_directory(&w, w.root - 1, NULL));
    for (size_t length = 0; tree->count == 0 && *endings && length < sizeof list; endings++)
        length += (size_t)snprintf(list + length, sizeof list - length, " %s", *endings);
    if (tree->count == 0)
        PV_TRY(pv_fail(PV_ERR_DATA, "'%s' (config key signal.path) holds no file that ends in one of:%s",
                       path, list));
    st = pv_tree_settle(tree);
done:
    return st;
}

void pv_tree_free(pv_tree *tree)
{
    free(tree->text);
    free(tree->files);
    free(tree->names);
    *tree = (pv_tree){0};
}

void pv_tree_path(const pv_tree *tree, int64_t file, char path[PV_TREE_PATH])
{
    snprintf(path, PV_TREE_PATH, "%s/%s", tree->text, path_of(tree, &tree->files[file]));
}
