#include "net/ring/disk_ring.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include "protocol/base/assert.h"
#include "protocol/base/bytes.h"

#define ALIGNMENT_MIN 512
#define ALIGNMENT_MAX 4096
#define ZEROES_BYTES  (64u << 10)
#define ZERO_PIECES   16 /* in one call */
#define FILE_MODE     0640
#define NO_DESCRIPTOR (-1)

static const _Alignas(ALIGNMENT_MAX) uint8_t zeroes[ZEROES_BYTES];

/* The two descriptors of an open file. Both are the same file; only `direct` bypasses the page
 * cache. */
struct file {
    int buffered;
    int direct;      /* NO_DESCRIPTOR where the file system refuses O_DIRECT */
    uint8_t *mapped; /* all of it, from its first window on; NULL: it has none */
    size_t mapped_bytes;
};

#define FILE_CLOSED ((struct file){.buffered = NO_DESCRIPTOR, .direct = NO_DESCRIPTOR})

/* An operation that is with the kernel. */
struct slot {
    struct ring_operation ring_operation;
    struct disk_ring *disk;
    struct disk_operation *operation;
    size_t written;
    struct slot *next_free;
};

struct disk_ring {
    struct disk disk;
    int folder;
    bool direct;

    /* Shared: any thread opens and closes, under files_lock. A handle's entry does not change while
     * it is open, and its opener hands it to others by message, so that reading it needs no
     * lock. */
    pthread_mutex_t files_lock;
    struct file files[DISK_FILES_MAX];

    /* The ring's thread's. */
    struct ring *ring;
    struct slot *free_slots;
    struct queue waiting;
    uint32_t in_flight;
    struct slot slots[DISK_RING_IN_FLIGHT_MAX];
};

static struct disk_ring *ring_disk(struct disk *disk)
{
    return CONTAINER_OF(disk, struct disk_ring, disk);
}

static const struct file *file_at(struct disk *disk, int handle)
{
    ASSERT(handle >= 0 && handle < DISK_FILES_MAX);
    const struct file *file = &ring_disk(disk)->files[handle];
    ASSERT(file->buffered != NO_DESCRIPTOR);
    return file;
}

/* ---- submitted operations ---- */

static void slot_submit(struct slot *slot)
{
    struct disk_operation *operation = slot->operation;
    struct disk_ring *disk = slot->disk;
    const struct file *file = file_at(&disk->disk, operation->file);
    bool direct = file->direct != NO_DESCRIPTOR && !operation->cached;
    int fd = direct ? file->direct : file->buffered;
    if (operation->kind == DISK_SYNC) {
        ring_sync(disk->ring, &slot->ring_operation, fd);
        return;
    }
    ASSERT(slot->written < operation->size);
    ring_write(disk->ring, &slot->ring_operation, fd, operation->offset + slot->written,
               operation->data + slot->written, operation->size - slot->written,
               operation->durable);
}

static void operation_start(struct disk_ring *disk, struct disk_operation *operation)
{
    struct slot *slot = disk->free_slots;
    ASSERT(slot != NULL && slot->operation == NULL);
    disk->free_slots = slot->next_free;
    slot->operation = operation;
    slot->written = 0;
    slot_submit(slot);
}

static void slot_finish(struct slot *slot, enum status status)
{
    struct disk_ring *disk = slot->disk;
    struct disk_operation *operation = slot->operation;
    ASSERT(operation != NULL && disk->in_flight > 0);
    slot->operation = NULL;
    slot->next_free = disk->free_slots;
    disk->free_slots = slot;
    disk->in_flight--;
    struct queue_link *next = queue_pop(&disk->waiting);
    if (next != NULL) {
        operation_start(disk, CONTAINER_OF(next, struct disk_operation, queued));
    }
    operation->done(operation, status);
}

static void slot_completed(struct ring_operation *ring_operation, int result, uint32_t flags)
{
    struct slot *slot = CONTAINER_OF(ring_operation, struct slot, ring_operation);
    struct disk_operation *operation = slot->operation;
    ASSERT(operation != NULL);
    ASSERT((flags & RING_MORE) == 0);
    if (result == -EINTR || result == -EAGAIN) {
        slot_submit(slot);
        return;
    }
    if (result < 0) {
        slot_finish(slot, disk_status_of_errno(-result) == STATUS_DISK_FULL ? STATUS_DISK_FULL
                                                                            : STATUS_IO_ERROR);
        return;
    }
    if (operation->kind == DISK_SYNC) {
        slot_finish(slot, STATUS_OK);
        return;
    }
    slot->written += (size_t)result;
    if (slot->written >= operation->size) {
        slot_finish(slot, STATUS_OK);
    } else if (result == 0) {
        slot_finish(slot, STATUS_DISK_FULL);
    } else {
        /* What follows a short write must be aligned again; the bytes since then are written twice,
         * with the same content. */
        slot->written -= slot->written % slot->disk->disk.write_alignment;
        slot_submit(slot);
    }
}

static void submit(struct disk *base, struct disk_operation *operation)
{
    struct disk_ring *disk = ring_disk(base);
    ASSERT(disk->ring != NULL && operation->done != NULL);
    if (operation->kind == DISK_WRITE) {
        ASSERT(operation->size > 0 && operation->size % base->write_alignment == 0);
        ASSERT(operation->offset % base->write_alignment == 0);
        ASSERT((uintptr_t)operation->data % base->write_alignment == 0);
    }
    disk->in_flight++;
    if (disk->free_slots == NULL) {
        queue_push(&disk->waiting, &operation->queued);
        return;
    }
    operation_start(disk, operation);
}

/* ---- blocking calls ---- */

static enum status file_add(struct disk_ring *disk, struct file file, int *handle_out)
{
    enum status status = STATUS_BUSY;
    (void)pthread_mutex_lock(&disk->files_lock);
    for (int i = 0; i < DISK_FILES_MAX; i++) {
        if (disk->files[i].buffered == NO_DESCRIPTOR) {
            disk->files[i] = file;
            *handle_out = i;
            status = STATUS_OK;
            break;
        }
    }
    (void)pthread_mutex_unlock(&disk->files_lock);
    return status;
}

static void file_release(struct file file)
{
    if (file.mapped != NULL) {
        (void)munmap(file.mapped, file.mapped_bytes);
    }
    if (file.direct != NO_DESCRIPTOR) {
        (void)close(file.direct);
    }
    (void)close(file.buffered);
}

static enum status disk_open(struct disk *base, const char *name, bool create, int *file_out)
{
    struct disk_ring *disk = ring_disk(base);
    struct file file = FILE_CLOSED;
    int flags = O_RDWR | O_CLOEXEC | (create ? O_CREAT : 0);
    file.buffered = openat(disk->folder, name, flags, FILE_MODE);
    if (file.buffered < 0) {
        return disk_status_of_errno(errno);
    }
    if (disk->direct) {
        file.direct = openat(disk->folder, name, O_RDWR | O_CLOEXEC | O_DIRECT);
        if (file.direct < 0) {
            (void)close(file.buffered);
            return STATUS_IO_ERROR;
        }
    }
    enum status status = file_add(disk, file, file_out);
    if (status != STATUS_OK) {
        file_release(file);
    }
    return status;
}

static void disk_close(struct disk *base, int handle)
{
    struct disk_ring *disk = ring_disk(base);
    struct file file = *file_at(base, handle);
    (void)pthread_mutex_lock(&disk->files_lock);
    disk->files[handle] = FILE_CLOSED;
    (void)pthread_mutex_unlock(&disk->files_lock);
    file_release(file);
}

static enum status disk_size(struct disk *base, int handle, uint64_t *bytes_out)
{
    struct stat info;
    if (fstat(file_at(base, handle)->buffered, &info) != 0) {
        return disk_status_of_errno(errno);
    }
    *bytes_out = (uint64_t)info.st_size;
    return STATUS_OK;
}

static enum status disk_read(struct disk *base, int handle, uint64_t offset, uint8_t *data,
                             size_t size, size_t *read_out)
{
    int fd = file_at(base, handle)->buffered;
    size_t done = 0;
    while (done < size) {
        ssize_t result = pread(fd, data + done, size - done, (off_t)(offset + done));
        if (result < 0 && errno == EINTR) {
            continue;
        }
        if (result < 0) {
            return disk_status_of_errno(errno);
        }
        if (result == 0) {
            break;
        }
        done += (size_t)result;
    }
    *read_out = done;
    return STATUS_OK;
}

static enum status write_all(int fd, uint64_t offset, const uint8_t *data, size_t size)
{
    size_t done = 0;
    while (done < size) {
        ssize_t result = pwrite(fd, data + done, size - done, (off_t)(offset + done));
        if (result < 0 && errno == EINTR) {
            continue;
        }
        if (result < 0) {
            return disk_status_of_errno(errno);
        }
        if (result == 0) {
            return STATUS_DISK_FULL;
        }
        done += (size_t)result;
    }
    return STATUS_OK;
}

static enum status disk_write(struct disk *base, int handle, uint64_t offset, const uint8_t *data,
                              size_t size)
{
    return write_all(file_at(base, handle)->buffered, offset, data, size);
}

static enum status disk_sync(struct disk *base, int handle)
{
    return fdatasync(file_at(base, handle)->buffered) == 0 ? STATUS_OK
                                                           : disk_status_of_errno(errno);
}

/* Zeroes from one offset to another. */
static enum status zero_range(int fd, uint64_t from, uint64_t to)
{
    while (from < to) {
        struct iovec pieces[ZERO_PIECES];
        uint64_t left = to - from;
        int count = 0;
        for (; count < ZERO_PIECES && left > 0; count++) {
            size_t size = left < ZEROES_BYTES ? (size_t)left : ZEROES_BYTES;
            pieces[count] = (struct iovec){.iov_base = (void *)(uintptr_t)zeroes, .iov_len = size};
            left -= size;
        }
        ssize_t result = pwritev(fd, pieces, count, (off_t)from);
        if (result < 0 && errno == EINTR) {
            continue;
        }
        if (result <= 0) {
            return result == 0 ? STATUS_DISK_FULL : disk_status_of_errno(errno);
        }
        from += (uint64_t)result;
    }
    return STATUS_OK;
}

static enum status disk_allocate(struct disk *base, int handle, uint64_t size)
{
    const struct file *file = file_at(base, handle);
    uint64_t old_size;
    enum status status = disk_size(base, handle, &old_size);
    if (status != STATUS_OK) {
        return status;
    }
    if (size <= old_size) {
        return ftruncate(file->buffered, (off_t)size) == 0 ? STATUS_OK
                                                           : disk_status_of_errno(errno);
    }
    /* One extent where the file system can, and no room is found out now rather than half-way. */
    if (fallocate(file->buffered, 0, (off_t)old_size, (off_t)(size - old_size)) != 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS) {
        return disk_status_of_errno(errno);
    }
    /* Past the page cache where both ends are aligned, so that a new segment does not push out what
     * is hot. */
    bool aligned = old_size % base->write_alignment == 0 && size % base->write_alignment == 0;
    int fd = aligned && file->direct != NO_DESCRIPTOR ? file->direct : file->buffered;
    return zero_range(fd, old_size, size);
}

static enum status disk_rename(struct disk *base, const char *from, const char *to)
{
    int folder = ring_disk(base)->folder;
    return renameat(folder, from, folder, to) == 0 ? STATUS_OK : disk_status_of_errno(errno);
}

static enum status disk_remove(struct disk *base, const char *name)
{
    return unlinkat(ring_disk(base)->folder, name, 0) == 0 ? STATUS_OK
                                                           : disk_status_of_errno(errno);
}

static enum status disk_sync_folder(struct disk *base)
{
    return fsync(ring_disk(base)->folder) == 0 ? STATUS_OK : disk_status_of_errno(errno);
}

static enum status disk_list(struct disk *base,
                             enum status (*visit)(void *context, const char *name), void *context)
{
    int fd = openat(ring_disk(base)->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return disk_status_of_errno(errno);
    }
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        (void)close(fd);
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    for (struct dirent *entry = readdir(folder); entry != NULL && status == STATUS_OK;
         entry = readdir(folder)) {
        struct stat info;
        if (fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode)) {
            status = visit(context, entry->d_name);
        }
    }
    (void)closedir(folder);
    return status;
}

static enum status disk_free_bytes(struct disk *base, uint64_t *bytes_out)
{
    struct statvfs info;
    if (fstatvfs(ring_disk(base)->folder, &info) != 0) {
        return disk_status_of_errno(errno);
    }
    *bytes_out = (uint64_t)info.f_bavail * info.f_frsize;
    return STATUS_OK;
}

/* ---- windows ---- */

/*
 * A store into a mapped file may end in SIGBUS: beyond the end of the file, and where the system
 * then finds no room on the disk. The first is refused here, and nobody else shortens a file of a
 * locked data folder. The second cannot be where a file that was written once keeps its blocks, so
 * only such file systems have windows; others place what is overwritten anew (btrfs, and a copy
 * that shares blocks on XFS).
 */
static bool overwrites_in_place(int folder)
{
    struct statfs info;
    return fstatfs(folder, &info) == 0 &&
           (info.f_type == EXT4_SUPER_MAGIC || info.f_type == TMPFS_MAGIC);
}

/* Only the thread that asks for a file's windows gets here, and its entry stays where it is. */
static enum status file_map(struct disk *base, int handle, struct file **file_out)
{
    struct file *file = &ring_disk(base)->files[handle];
    *file_out = file;
    if (file->mapped != NULL) {
        return STATUS_OK;
    }
    uint64_t bytes;
    enum status status = disk_size(base, handle, &bytes);
    if (status != STATUS_OK || bytes == 0) {
        return status == STATUS_OK ? STATUS_INVALID : status;
    }
    void *mapped = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file->buffered, 0);
    if (mapped == MAP_FAILED) {
        return disk_status_of_errno(errno);
    }
    file->mapped = mapped;
    file->mapped_bytes = (size_t)bytes;
    return STATUS_OK;
}

static enum status disk_window(struct disk *base, int handle, uint64_t offset, size_t size,
                               enum disk_window_content content, uint8_t **data_out)
{
    ASSERT(file_at(base, handle)->buffered != NO_DESCRIPTOR);
    ASSERT(size > 0 && offset % DISK_WINDOW_ALIGNMENT == 0 && size % DISK_WINDOW_ALIGNMENT == 0);
    struct file *file;
    enum status status = file_map(base, handle, &file);
    if (status != STATUS_OK) {
        return status;
    }
    if (offset > file->mapped_bytes || size > file->mapped_bytes - offset) {
        return STATUS_INVALID;
    }
    /* madvise wants whole pages of this machine. */
    uint64_t page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = offset - offset % page_bytes;
    if (content == DISK_WINDOW_ZEROED) {
        if (offset > DISK_WINDOW_BEHIND_BYTES) {
            /* The mapping forgets them; the pages, and what was stored, are the file's. */
            uint64_t behind = offset - DISK_WINDOW_BEHIND_BYTES;
            (void)madvise(file->mapped, (size_t)(behind - behind % page_bytes), MADV_DONTNEED);
        }
        status = zero_range(file->buffered, offset, offset + size);
    }
    if (status == STATUS_OK &&
        madvise(file->mapped + from, (size_t)(offset + size - from), MADV_POPULATE_WRITE) != 0) {
        status = errno == EINVAL ? STATUS_UNSUPPORTED : disk_status_of_errno(errno);
    }
    *data_out = file->mapped + offset;
    return status;
}

static void disk_destroy(struct disk *base)
{
    struct disk_ring *disk = ring_disk(base);
    ASSERT(disk->in_flight == 0);
    for (int i = 0; i < DISK_FILES_MAX; i++) {
        if (disk->files[i].buffered != NO_DESCRIPTOR) {
            file_release(disk->files[i]);
        }
    }
    if (disk->folder != NO_DESCRIPTOR) {
        (void)close(disk->folder);
    }
    (void)pthread_mutex_destroy(&disk->files_lock);
    free(disk);
}

/* ---- creation ---- */

/* Asks the file system on a file without a name how O_DIRECT must be aligned; 0: not at all
 * possible. */
static size_t direct_alignment(int folder)
{
    int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return 0;
    }
    struct statx info;
    memset(&info, 0, sizeof(info));
    size_t alignment = ALIGNMENT_MAX;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) == 0 &&
        (info.stx_mask & STATX_DIOALIGN) != 0) {
        alignment = info.stx_dio_offset_align > info.stx_dio_mem_align ? info.stx_dio_offset_align
                                                                       : info.stx_dio_mem_align;
        /* 0 says: this file has no direct I/O. */
        if (alignment > 0 && alignment < ALIGNMENT_MIN) {
            alignment = ALIGNMENT_MIN;
        }
    }
    (void)close(fd);
    return alignment <= ALIGNMENT_MAX ? alignment : 0;
}

static const struct disk_vtable disk_ring_vtable = {
    .submit = submit,
    .open = disk_open,
    .close = disk_close,
    .size = disk_size,
    .read = disk_read,
    .write = disk_write,
    .sync = disk_sync,
    .allocate = disk_allocate,
    .rename = disk_rename,
    .remove = disk_remove,
    .sync_folder = disk_sync_folder,
    .list = disk_list,
    .free_bytes = disk_free_bytes,
    .window = disk_window,
    .destroy = disk_destroy,
};

enum status disk_ring_create(const char *folder, struct ring *ring, struct disk **out)
{
    ASSERT(folder != NULL && out != NULL);
    *out = NULL;
    struct disk_ring *disk = calloc(1, sizeof(*disk));
    if (disk == NULL) {
        return STATUS_NO_MEMORY;
    }
    disk->disk.vtable = &disk_ring_vtable;
    disk->ring = ring;
    (void)pthread_mutex_init(&disk->files_lock, NULL);
    for (int i = 0; i < DISK_FILES_MAX; i++) {
        disk->files[i] = FILE_CLOSED;
    }
    for (int i = 0; i < DISK_RING_IN_FLIGHT_MAX; i++) {
        struct slot *slot = &disk->slots[i];
        slot->ring_operation.complete = slot_completed;
        slot->disk = disk;
        slot->next_free = disk->free_slots;
        disk->free_slots = slot;
    }
    disk->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (disk->folder < 0) {
        int error = errno;
        disk->folder = NO_DESCRIPTOR;
        disk_destroy(&disk->disk);
        return disk_status_of_errno(error);
    }
    size_t alignment = direct_alignment(disk->folder);
    disk->direct = alignment > 0;
    disk->disk.write_alignment = disk->direct ? alignment : ALIGNMENT_MIN;
    disk->disk.has_windows = overwrites_in_place(disk->folder);
    ASSERT(disk->disk.write_alignment >= ALIGNMENT_MIN);
    *out = &disk->disk;
    return STATUS_OK;
}

void disk_ring_attach(struct disk *disk, struct ring *ring)
{
    ASSERT(ring_disk(disk)->in_flight == 0);
    ring_disk(disk)->ring = ring;
}

uint32_t disk_ring_in_flight(const struct disk *disk)
{
    return CONTAINER_OF(disk, const struct disk_ring, disk)->in_flight;
}
