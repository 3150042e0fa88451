/* Files that appear whole: the temporary name, the disk, the rename. */
#include "base/pv_file.h"
#include "base/pv_mem.h"
#include "base/pv_log.h"
#include "base/pv_meter.h"
#include "base/pv_path.h"
#include "base/pv_stop.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

static pv_status cannot_write(const char *path, int cause)
{
    return pv_fail(PV_ERR_IO, "cannot write '%s': %s", path, strerror(cause));
}

char *pv_file_part(const char *path)
{
    char *part = NULL;
    if (asprintf(&part, "%s.part", path) >= 0) return part;
    pv_fail(PV_ERR_NOMEM, "no memory for the file name '%s.part'", path);
    return NULL;
}

int64_t pv_file_free_space(const char *path)
{
    struct statvfs disk;
    return statvfs(path, &disk) == 0 ? (int64_t)disk.f_bavail * (int64_t)disk.f_frsize : -1;
}

/* What file systems set aside within a few seconds. */
#define RESERVE_BYTES (INT64_C(64) << 30)

pv_status pv_file_reserve(const char *part, const char *path, int64_t bytes)
{
    const int fd = open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (fd < 0) return cannot_write(path, errno);
    int cause = 0;
    for (int64_t done = 0; done < bytes && !pv_stop_requested() && (cause == 0 || cause == EINTR);) {
        const int64_t piece = bytes - done < RESERVE_BYTES ? bytes - done : RESERVE_BYTES;
        cause = fallocate(fd, 0, (off_t)done, (off_t)piece) == 0 ? 0 : errno;
        if (cause == 0) done += piece;
    }
    close(fd);
    if (pv_stop_requested()) return pv_stop_fail();
    const int64_t left = pv_file_free_space(part);
    const bool unable = cause == EOPNOTSUPP || cause == ENOSYS || cause == EINVAL;
    if (cause == ENOSPC || (unable && left >= 0 && left < bytes))
        return pv_fail(PV_ERR_IO, "cannot write '%s': %s: it takes %.1f MiB, of which %.1f MiB are free",
                       path, strerror(ENOSPC), (double)bytes / 0x1p20, (double)left / 0x1p20);
    return cause == 0 || unable ? PV_OK : cannot_write(path, cause);
}

/* A new name is on disk when its directory is.  File systems that cannot sync a directory say EINVAL. */
static int sync_directory_of(const char *path)
{
    const char *const slash = strrchr(path, '/');
    const size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    char *const directory = length > 0 ? strndup(path, length) : strdup(".");
    const int fd = directory ? open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    const int cause = fd < 0 || fsync(fd) != 0 ? errno : 0;
    if (fd >= 0) close(fd);
    free(directory);
    return cause == EINVAL || cause == ENOTSUP || cause == EACCES ? 0 : cause;
}

char *pv_file_kept(const char *path, int64_t age)
{
    char *name = NULL;
    if (asprintf(&name, age > 0 ? "%s.%lld" : "%s", path, (long long)age) >= 0) return name;
    pv_fail(PV_ERR_NOMEM, "no memory for the file name '%s.%lld'", path, (long long)age);
    return NULL;
}

/* The file of `age` becomes one older.  The newest stays where it is, too, until it is replaced. */
static pv_status grow_older(const char *path, int64_t age)
{
    char *from = pv_file_kept(path, age), *to = pv_file_kept(path, age + 1);
    pv_status st = from && to ? PV_OK : PV_ERR_NOMEM;
    if (st == PV_OK && age == 0) unlink(to);
    if (st == PV_OK &&
        (age > 0 ? rename(from, to) : linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW)) != 0 &&
        errno != ENOENT)
        st = pv_fail(PV_ERR_IO, "cannot keep '%s' as '%s': %s", from, to, strerror(errno));
    PV_FREE(from, to);
    return st;
}

/* Gives `part` the name `path`; the files of `name` grow older before. */
static pv_status publish(const char *part, const char *path, const char *name, int64_t keep)
{
    const int fd = open(part, O_RDONLY | O_CLOEXEC);
    pv_meter_begin(PV_METER_FILES);
    const int cause = fd < 0 || fsync(fd) != 0 ? errno : 0;
    pv_meter_end();
    if (fd >= 0) close(fd);
    if (cause != 0) return cannot_write(path, cause);
    pv_status st = PV_OK;
    for (int64_t age = keep - 2; st == PV_OK && age >= 0; age--)
        st = grow_older(name, age);
    if (st != PV_OK) return st;
    if (rename(part, path) != 0) return cannot_write(path, errno);
    pv_meter_begin(PV_METER_FILES);
    const int unsynced = sync_directory_of(path);
    pv_meter_end();
    if (unsynced !=
        0) /* it has its name: a caller that took this for a failure would take away what it names */
        pv_log_warn("'%s' is written, but its directory cannot be synced (%s): a power loss now may undo it",
                    path, strerror(unsynced));
    return PV_OK;
}

pv_status pv_file_publish(const char *part, const char *path)
{
    return publish(part, path, path, 1);
}

static int write_all(int fd, const char *data, int64_t bytes)
{
    while (bytes > 0) {
        const ssize_t wrote = write(fd, data, (size_t)bytes);
        if (wrote < 0 && errno != EINTR) return errno;
        if (wrote > 0) {
            data += wrote;
            bytes -= wrote;
        }
    }
    return 0;
}

pv_status pv_file_replace(const char *path, int64_t keep, const void *data, int64_t bytes)
{
    char *real, *part = NULL;
    pv_status st = pv_path_follow(path, &real);
    if (st == PV_OK && !(part = pv_file_part(real))) st = PV_ERR_NOMEM;
    if (st != PV_OK) {
        free(real);
        return st;
    }
    const int fd = open(part, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
    pv_meter_begin(PV_METER_FILES);
    int cause = fd < 0 ? errno : write_all(fd, data, bytes);
    pv_meter_end();
    if (fd >= 0 && close(fd) != 0 && cause == 0) cause = errno;
    st = cause == 0 ? publish(part, real, path, keep) : cannot_write(path, cause);
    if (fd >= 0 && st != PV_OK) unlink(part);
    PV_FREE(part, real);
    return st;
}
