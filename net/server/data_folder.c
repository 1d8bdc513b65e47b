/* The folder, its lock and its manifest; see storage.h. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/journal/disk_blocking.h"
#include "net/server/storage.h"
#include "protocol/base/assert.h"

#define FOLDER_MODE 0750
#define FILE_MODE   0640

static enum status errno_problem(struct settings_problem *problem, const char *path,
                                 const char *what)
{
    settings_problem_set(problem, "%s: %s: %s", path, what, strerror(errno));
    return STATUS_IO_ERROR;
}

void storage_shard_path(const struct data_folder *folder, uint32_t shard, char *path)
{
    int size = snprintf(path, STORAGE_PATH_BYTES_MAX, "%s/shards/%03u", folder->path, shard);
    ASSERT(size > 0 && size < STORAGE_PATH_BYTES_MAX);
}

void storage_journal_path(const struct data_folder *folder, char *path)
{
    int size = snprintf(path, STORAGE_PATH_BYTES_MAX, "%s/journal", folder->path);
    ASSERT(size > 0 && size < STORAGE_PATH_BYTES_MAX);
}

/* ---- making ---- */

/* The folder and those above it that are not there. */
static enum status folders_make(const char *path, struct settings_problem *problem)
{
    char part[STORAGE_PATH_BYTES_MAX];
    size_t size = strlen(path);
    ASSERT(size > 0 && size < sizeof(part));
    for (size_t i = 1; i <= size; i++) {
        if (path[i] != '/' && path[i] != '\0') {
            continue;
        }
        memcpy(part, path, i);
        part[i] = '\0';
        if (mkdir(part, FOLDER_MODE) != 0 && errno != EEXIST) {
            return errno_problem(problem, part, "the folder cannot be made");
        }
    }
    return STATUS_OK;
}

static enum status subfolders_make(const struct data_folder *folder,
                                   struct settings_problem *problem)
{
    char path[STORAGE_PATH_BYTES_MAX];
    storage_journal_path(folder, path);
    enum status status = folders_make(path, problem);
    for (uint32_t i = 0; i < folder->manifest.shard_count && status == STATUS_OK; i++) {
        storage_shard_path(folder, i, path);
        status = folders_make(path, problem);
    }
    return status;
}

/* ---- the lock ---- */

static void lock_refused(const char *path, int file, struct settings_problem *problem)
{
    char pid[24];
    ssize_t size = pread(file, pid, sizeof(pid) - 1, 0);
    size_t digits = 0;
    while (size > 0 && digits < (size_t)size && pid[digits] >= '0' && pid[digits] <= '9') {
        digits++;
    }
    pid[digits] = '\0';
    settings_problem_set(problem,
                         "%s: is in use by process %s; stop that one or choose another --data",
                         path, digits > 0 ? pid : "of unknown id");
}

static enum status lock_take(const char *path, int *lock_out, struct settings_problem *problem)
{
    char name[STORAGE_PATH_BYTES_MAX];
    int size = snprintf(name, sizeof(name), "%s/LOCK", path);
    ASSERT(size > 0 && (size_t)size < sizeof(name));
    int file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
    if (file < 0) {
        return errno_problem(problem, name, "cannot be opened");
    }
    if (flock(file, LOCK_EX | LOCK_NB) != 0) {
        lock_refused(path, file, problem);
        (void)close(file);
        return STATUS_LOCKED;
    }
    char pid[24];
    int pid_size = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(file, 0) != 0 || pwrite(file, pid, (size_t)pid_size, 0) != pid_size) {
        enum status status = errno_problem(problem, name, "cannot be written");
        (void)close(file);
        return status;
    }
    *lock_out = file;
    return STATUS_OK;
}

/* ---- the manifest ---- */

static enum status name_count(void *context, const char *name)
{
    (void)name;
    (*(uint32_t *)context)++;
    return STATUS_OK;
}

/* A journal without a manifest is a folder that lost it: making a new one would hide the
 * records. */
static bool journal_is_there(const struct data_folder *folder)
{
    char path[STORAGE_PATH_BYTES_MAX];
    storage_journal_path(folder, path);
    const struct disk_blocking_options options = {.folder = path, .read_only = true};
    struct disk *disk;
    if (disk_blocking_create(&options, &disk) != STATUS_OK) {
        return false;
    }
    uint32_t names = 0;
    enum status status = disk->vtable->list(disk, name_count, &names);
    disk->vtable->destroy(disk);
    return status != STATUS_OK || names > 0;
}

static enum status manifest_make(struct data_folder *folder, struct disk *disk,
                                 uint32_t shard_count, struct settings_problem *problem)
{
    struct store_id store_id;
    if (journal_is_there(folder)) {
        settings_problem_set(problem,
                             "%s: there is a journal but no " MANIFEST_FILE
                             "; restore it from a backup, or choose another --data",
                             folder->path);
        return STATUS_DAMAGED;
    }
    if (getrandom(&store_id, sizeof(store_id), 0) != (ssize_t)sizeof(store_id)) {
        return errno_problem(problem, folder->path, "no random bytes");
    }
    manifest_init(&folder->manifest, &store_id, shard_count);
    enum status status = manifest_store(disk, &folder->manifest);
    if (status != STATUS_OK) {
        settings_problem_set(problem, "%s: " MANIFEST_FILE " cannot be written: %s", folder->path,
                             status_text(status));
        return status;
    }
    folder->created = true;
    return STATUS_OK;
}

static enum status manifest_open(struct data_folder *folder, uint32_t shard_count,
                                 struct settings_problem *problem)
{
    const struct disk_blocking_options options = {.folder = folder->path};
    struct disk *disk;
    enum status status = disk_blocking_create(&options, &disk);
    if (status != STATUS_OK) {
        return errno_problem(problem, folder->path, "cannot be opened");
    }
    struct detail detail;
    status = manifest_load(disk, &folder->manifest, &detail);
    if (status == STATUS_NOT_FOUND && shard_count > 0) {
        status = manifest_make(folder, disk, shard_count, problem);
    } else if (status != STATUS_OK) {
        settings_problem_set(problem, "%s: %s", folder->path,
                             status == STATUS_NOT_FOUND
                                 ? "is not a data folder: there is no " MANIFEST_FILE
                             : detail.text[0] != '\0' ? detail.text
                                                      : status_text(status));
    }
    disk->vtable->destroy(disk);
    if (status == STATUS_OK && shard_count > 0) {
        status = subfolders_make(folder, problem);
    }
    return status;
}

/* ---- all of it ---- */

enum status data_folder_open(const char *path, uint32_t shard_count, struct data_folder *out,
                             struct settings_problem *problem)
{
    *out = (struct data_folder){.path = path, .lock = -1};
    problem->text[0] = '\0';
    ASSERT(strlen(path) < SETTING_TEXT_BYTES_MAX);
    ASSERT(shard_count <= SHARD_COUNT_MAX);
    enum status status = STATUS_OK;
    if (shard_count > 0) {
        status = folders_make(path, problem);
    } else if (access(path, F_OK) != 0) {
        return errno_problem(problem, path, "is not a data folder");
    }
    if (status == STATUS_OK) {
        status = lock_take(path, &out->lock, problem);
    }
    if (status == STATUS_OK) {
        status = manifest_open(out, shard_count, problem);
    }
    if (status != STATUS_OK) {
        data_folder_close(out);
    }
    return status;
}

void data_folder_close(struct data_folder *folder)
{
    if (folder->lock >= 0) {
        (void)close(folder->lock);
        folder->lock = -1;
    }
}
