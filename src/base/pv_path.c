/* Paths as users write them, made into what they are. */
#include "base/pv_path.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_LINKS = 40 }; /* as the kernel allows */

static pv_status no_memory(const char *path)
{
    return pv_fail(PV_ERR_NOMEM, "no memory for the path '%s'", path);
}

/* Writes the value of the variable that the dollar sign at *at names, and moves past it. */
static pv_status expand_variable(const char *path, const char **at, FILE *out)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
    char name[256];
    const bool braces = (*at)[1] == '{';
    const char *const first = *at + 1 + braces;
    const size_t length = strspn(first, letters);
    if ((*at)[1] == '$') {
        fputc('$', out);
        *at += 2;
        return PV_OK;
    }
    if (length == 0 || length >= sizeof name || (braces && first[length] != '}'))
        return pv_fail(PV_ERR_CONFIG,
                       "'%s': no variable's name follows the dollar sign; $$ stands for the sign itself",
                       path);
    snprintf(name, sizeof name, "%.*s", (int)length, first);
    const char *const value = getenv(name);
    if (!value) return pv_fail(PV_ERR_CONFIG, "'%s': the variable %s is not set", path, name);
    fputs(value, out);
    *at = first + length + braces;
    return PV_OK;
}

static pv_status expand(const char *path, FILE *out)
{
    pv_status st = PV_OK;
    const char *at = path;
    const char *const home = getenv("HOME");
    if (*at == '~') {
        if (at[1] != '\0' && at[1] != '/')
            return pv_fail(PV_ERR_CONFIG,
                           "'%s': the homes of other users are not looked up; write the path out, or ./~...",
                           path);
        if (!home) return pv_fail(PV_ERR_CONFIG, "'%s': the variable HOME is not set", path);
        fputs(home, out);
        at++;
    }
    while (*at && st == PV_OK)
        if (*at == '$')
            st = expand_variable(path, &at, out);
        else
            fputc(*at++, out);
    return st;
}

static char *join(const char *directory, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s%s%s", directory, strcmp(directory, "/") == 0 ? "" : "/", name) < 0 ? NULL
                                                                                                  : path;
}

/* *path, owned, becomes absolute. */
static pv_status prefix_directory(char **path)
{
    char here[PATH_MAX];
    if ((*path)[0] == '/') return PV_OK;
    if (!getcwd(here, sizeof here))
        return pv_fail(PV_ERR_IO, "'%s': there is no working directory: %s", *path, strerror(errno));
    char *const whole = join(here, *path);
    if (!whole) return no_memory(*path);
    free(*path);
    *path = whole;
    return PV_OK;
}

/* Makes *path absolute, if it is well up to here; else frees it. */
static pv_status finish(pv_status st, char **path)
{
    if (st == PV_OK && (*path)[0] == '\0') st = pv_fail(PV_ERR_IO, "an empty path names no file");
    if (st == PV_OK) st = prefix_directory(path);
    if (st == PV_OK) return PV_OK;
    free(*path);
    *path = NULL;
    return st;
}

pv_status pv_path_absolute(const char *path, char **out)
{
    struct stat found;
    size_t size = 0;
    pv_status st = PV_OK;
    *out = NULL;
    FILE *const text = open_memstream(out, &size);
    if (!text) return no_memory(path);
    if (strpbrk(path, "~$") && lstat(path, &found) != 0)
        st = expand(path, text);
    else
        fputs(path, text);
    if (fclose(text) != 0 && st == PV_OK) st = no_memory(path);
    return finish(st, out);
}

/* What the link at `path`, absolute, says: another absolute path; NULL if it is no link. */
static char *follow(const char *path)
{
    char target[PATH_MAX];
    const ssize_t length = readlink(path, target, sizeof target - 1);
    if (length <= 0) return NULL;
    target[length] = '\0';
    if (target[0] == '/') return strdup(target);
    char *const directory = strndup(path, (size_t)(strrchr(path, '/') - path + 1)), *whole = NULL;
    if (directory && asprintf(&whole, "%s%s", directory, target) < 0) whole = NULL;
    free(directory);
    return whole;
}

/* The path of a file that is yet to be made: its directory as it is, and its name.  `wish`: as written. */
static pv_status resolve_new(const char *wish, const char *path, char **out)
{
    const char *const slash = strrchr(path, '/'), *const name = slash + 1;
    char *const directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
    char *const real = directory ? realpath(directory, NULL) : NULL;
    pv_status st = PV_OK;
    if (!directory)
        st = no_memory(wish);
    else if (!real && errno == ENOENT)
        st = pv_fail(PV_ERR_IO, "'%s': the directory '%s' does not exist", wish, directory);
    else if (!real)
        st = pv_fail(PV_ERR_IO, "'%s': %s", wish, strerror(errno));
    else if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        st = pv_fail(PV_ERR_IO, "'%s': there is no such directory", wish);
    else
        st = (*out = join(real, name)) ? PV_OK : no_memory(wish);
    free(real);
    free(directory);
    return st;
}

pv_status pv_path_follow(const char *path, char **out)
{
    char *at = strdup(path), *next;
    pv_status st = at ? finish(PV_OK, &at) : no_memory(path);
    *out = st == PV_OK ? realpath(at, NULL) : NULL;
    if (st == PV_OK && !*out && errno != ENOENT) st = pv_fail(PV_ERR_IO, "'%s': %s", path, strerror(errno));
    if (st == PV_OK && !*out) {
        for (int links = 0; links < MAX_LINKS && (next = follow(at)); links++) {
            free(at);
            at = next;
        }
        st = resolve_new(path, at, out);
    }
    free(at);
    return st;
}

pv_status pv_path_resolve(const char *path, char **out)
{
    char *whole;
    pv_status st = pv_path_absolute(path, &whole);
    *out = NULL;
    if (st == PV_OK) st = pv_path_follow(whole, out);
    free(whole);
    return st;
}
