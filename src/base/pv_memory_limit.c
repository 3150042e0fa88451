/* The memory that this process may take: the machine's, or less where a control group says so. */
#include "base/pv_mem.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The bytes that a control group's file allows; INT64_MAX for "max", a number beyond, or no such file. */
static int64_t read_limit(const char *path)
{
    char word[32] = "";
    FILE *const file = fopen(path, "re");
    if (!file) return INT64_MAX;
    const bool there = fgets(word, sizeof word, file) != NULL;
    fclose(file);
    char *end;
    const unsigned long long bytes = strtoull(word, &end, 10);
    return !there || end == word || bytes > INT64_MAX ? INT64_MAX : (int64_t)bytes;
}

/* The least limit of a group and of those that it lies in.  What a container sees is its own group as the
 * root. */
static int64_t least_limit(const char *root, const char *file, char *group)
{
    char path[PATH_MAX];
    int64_t least = INT64_MAX;
    for (bool at_root = false; !at_root;) {
        at_root = group[0] == '\0' || strcmp(group, "/") == 0;
        if (snprintf(path, sizeof path, "%s%s/%s", root, at_root ? "" : group, file) < (int)sizeof path) {
            const int64_t limit = read_limit(path);
            if (limit < least) least = limit;
        }
        char *const slash = strrchr(group, '/');
        if (!slash) break;
        *slash = '\0';
    }
    return least;
}

/* Whether `memory` is among the controllers of a line like "cpu,memory". */
static bool is_of_memory(const char *controllers)
{
    for (const char *at = controllers; (at = strstr(at, "memory")); at++)
        if ((at == controllers || at[-1] == ',') && (at[6] == '\0' || at[6] == ',')) return true;
    return false;
}

/* A line "number:controllers:group" of /proc/self/cgroup; version 2 names no controllers. */
static int64_t limit_of_line(char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *const controllers = strchr(line, ':'), *const group =
                                                     controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return INT64_MAX;
    *group = '\0';
    if (controllers[1] == '\0') return least_limit("/sys/fs/cgroup", "memory.max", group + 1);
    return is_of_memory(controllers + 1)
               ? least_limit("/sys/fs/cgroup/memory", "memory.limit_in_bytes", group + 1)
               : INT64_MAX;
}

int64_t pv_memory_limit(void)
{
    int64_t least = (int64_t)sysconf(_SC_PHYS_PAGES) * (int64_t)sysconf(_SC_PAGESIZE);
    FILE *const groups = fopen("/proc/self/cgroup", "re");
    char line[PATH_MAX + 64];
    while (groups && fgets(line, sizeof line, groups)) {
        const int64_t limit = limit_of_line(line);
        if (limit < least) least = limit;
    }
    if (groups) fclose(groups);
    return least;
}
