#include "engine/journal/disk_blocking.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define ALLOCATE_CHUNK_BYTES (1u << 20)

struct disk_blocking {
    struct disk base;
    int folder;
    bool read_only;
    struct queue
        finished; /* operations whose done is still to run; their status is in disk_private[0] */
};

static struct disk_blocking *blocking_of(struct disk *disk)
{
    return CONTAINER_OF(disk, struct disk_blocking, base);
}

static enum status blocking_write(struct disk *disk, int file, uint64_t offset, const uint8_t *data,
                                  size_t size)
{
    if (blocking_of(disk)->read_only) {
        return STATUS_IO_ERROR;
    }
    while (size > 0) {
        ssize_t written = pwrite(file, data, size, (off_t)offset);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return written == 0 ? STATUS_IO_ERROR : disk_status_of_errno(errno);
        }
        data += written;
        size -= (size_t)written;
        offset += (uint64_t)written;
    }
    return STATUS_OK;
}

static enum status blocking_sync(struct disk *disk, int file)
{
    if (blocking_of(disk)->read_only || fdatasync(file) != 0) {
        return STATUS_IO_ERROR;
    }
    return STATUS_OK;
}

static void blocking_submit(struct disk *disk, struct disk_operation *operation)
{
    ASSERT(operation->done != NULL);
    enum status status = STATUS_OK;
    if (operation->kind == DISK_WRITE) {
        ASSERT(operation->offset % disk->write_alignment == 0);
        ASSERT(operation->size % disk->write_alignment == 0);
        status = blocking_write(disk, operation->file, operation->offset, operation->data,
                                operation->size);
    }
    if (status == STATUS_OK && (operation->kind == DISK_SYNC || operation->durable)) {
        status = blocking_sync(disk, operation->file);
    }
    operation->disk_private[0] = (uint64_t)status;
    queue_push(&blocking_of(disk)->finished, &operation->queued);
}

size_t disk_blocking_step(struct disk *disk)
{
    struct disk_blocking *blocking = blocking_of(disk);
    size_t count = 0;
    /* What a done submits is finished in the next step: no completion runs inside a submit. */
    struct queue finished = blocking->finished;
    blocking->finished = (struct queue){NULL, NULL};
    for (struct queue_link *link = queue_pop(&finished); link != NULL;
         link = queue_pop(&finished)) {
        struct disk_operation *operation = CONTAINER_OF(link, struct disk_operation, queued);
        operation->done(operation, (enum status)operation->disk_private[0]);
        count++;
    }
    return count;
}

static enum status blocking_open(struct disk *disk, const char *name, bool create, int *file_out)
{
    struct disk_blocking *blocking = blocking_of(disk);
    int flags = (blocking->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC;
    if (create && !blocking->read_only) {
        flags |= O_CREAT;
    }
    *file_out = openat(blocking->folder, name, flags, 0600);
    return *file_out >= 0 ? STATUS_OK : disk_status_of_errno(errno);
}

static void blocking_close(struct disk *disk, int file)
{
    (void)disk;
    ASSERT(file >= 0);
    close(file);
}

static enum status blocking_size(struct disk *disk, int file, uint64_t *bytes_out)
{
    (void)disk;
    struct stat info;
    if (fstat(file, &info) != 0) {
        return disk_status_of_errno(errno);
    }
    *bytes_out = (uint64_t)info.st_size;
    return STATUS_OK;
}

static enum status blocking_read(struct disk *disk, int file, uint64_t offset, uint8_t *data,
                                 size_t size, size_t *read_out)
{
    (void)disk;
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(file, data + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return STATUS_IO_ERROR;
        }
        if (count == 0) {
            break;
        }
        done += (size_t)count;
    }
    *read_out = done;
    return STATUS_OK;
}

/* Zeroes are written, not only reserved: an overwrite of written blocks changes no metadata, and is
 * twice as fast to sync as a write into reserved ones. */
static enum status blocking_allocate(struct disk *disk, int file, uint64_t size)
{
    uint64_t offset = 0;
    enum status status = blocking_size(disk, file, &offset);
    uint8_t *zeroes = calloc(1, ALLOCATE_CHUNK_BYTES);
    if (zeroes == NULL) {
        return STATUS_NO_MEMORY;
    }
    while (status == STATUS_OK && offset < size) {
        size_t chunk = size - offset < ALLOCATE_CHUNK_BYTES ? (size_t)(size - offset)
                                                            : (size_t)ALLOCATE_CHUNK_BYTES;
        status = blocking_write(disk, file, offset, zeroes, chunk);
        offset += chunk;
    }
    free(zeroes);
    return status;
}

static enum status blocking_rename(struct disk *disk, const char *from, const char *to)
{
    struct disk_blocking *blocking = blocking_of(disk);
    if (blocking->read_only) {
        return STATUS_IO_ERROR;
    }
    return renameat(blocking->folder, from, blocking->folder, to) == 0
               ? STATUS_OK
               : disk_status_of_errno(errno);
}

static enum status blocking_remove(struct disk *disk, const char *name)
{
    struct disk_blocking *blocking = blocking_of(disk);
    if (blocking->read_only) {
        return STATUS_IO_ERROR;
    }
    return unlinkat(blocking->folder, name, 0) == 0 ? STATUS_OK : disk_status_of_errno(errno);
}

static enum status blocking_sync_folder(struct disk *disk)
{
    struct disk_blocking *blocking = blocking_of(disk);
    return !blocking->read_only && fsync(blocking->folder) == 0 ? STATUS_OK : STATUS_IO_ERROR;
}

static enum status blocking_list(struct disk *disk,
                                 enum status (*visit)(void *context, const char *name),
                                 void *context)
{
    /* fdopendir takes the descriptor over, and its place in the folder with it. */
    int file = openat(blocking_of(disk)->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = file < 0 ? NULL : fdopendir(file);
    if (folder == NULL) {
        enum status failed = disk_status_of_errno(errno);
        if (file >= 0) {
            close(file);
        }
        return failed;
    }
    enum status status = STATUS_OK;
    errno = 0;
    for (struct dirent *entry = readdir(folder); status == STATUS_OK && entry != NULL;
         entry = readdir(folder)) {
        bool fits = strlen(entry->d_name) < DISK_NAME_BYTES_MAX;
        if (fits && strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            status = visit(context, entry->d_name);
        }
        errno = 0;
    }
    if (status == STATUS_OK && errno != 0) {
        status = disk_status_of_errno(errno);
    }
    closedir(folder);
    return status;
}

static enum status blocking_free_bytes(struct disk *disk, uint64_t *bytes_out)
{
    struct statvfs info;
    if (fstatvfs(blocking_of(disk)->folder, &info) != 0) {
        return disk_status_of_errno(errno);
    }
    *bytes_out = (uint64_t)info.f_bavail * info.f_frsize;
    return STATUS_OK;
}

static void blocking_destroy(struct disk *disk)
{
    struct disk_blocking *blocking = blocking_of(disk);
    ASSERT(queue_is_empty(&blocking->finished));
    close(blocking->folder);
    free(blocking);
}

static const struct disk_vtable blocking_vtable = {
    .submit = blocking_submit,
    .open = blocking_open,
    .close = blocking_close,
    .size = blocking_size,
    .read = blocking_read,
    .write = blocking_write,
    .sync = blocking_sync,
    .allocate = blocking_allocate,
    .rename = blocking_rename,
    .remove = blocking_remove,
    .sync_folder = blocking_sync_folder,
    .list = blocking_list,
    .free_bytes = blocking_free_bytes,
    .destroy = blocking_destroy,
};

enum status disk_blocking_create(const struct disk_blocking_options *options, struct disk **out)
{
    *out = NULL;
    if (options->create && mkdir(options->folder, 0700) != 0 && errno != EEXIST) {
        return disk_status_of_errno(errno);
    }
    int folder = open(options->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) {
        return disk_status_of_errno(errno);
    }
    struct disk_blocking *blocking = calloc(1, sizeof(*blocking));
    if (blocking == NULL) {
        close(folder);
        return STATUS_NO_MEMORY;
    }
    blocking->base.vtable = &blocking_vtable;
    blocking->base.write_alignment = 512;
    blocking->folder = folder;
    blocking->read_only = options->read_only;
    *out = &blocking->base;
    return STATUS_OK;
}
