/*
 * disk.h: what the journal needs of a disk: one folder of files, writes and syncs that complete
 * later.
 *
 * Filled by net/ring (io_uring), by blocking calls on the spot (engine/journal/disk_blocking.c:
 * start-up tools and tests), and by the faulty disk of the tests, which tears, shortens, fails and
 * forgets.
 *
 * Owner:     one thread submits and steps. The caller embeds the operation and owns its data; both
 *            are untouchable until done runs, exactly once, never inside submit.
 * Blocking:  submit never blocks. All other calls may, and may come from any thread: they are for
 *            start-up, shut-down and store threads. A read sees every write that is done.
 * Alignment: data, offset and size of a submitted write are multiples of write_alignment.
 */
#ifndef FRESHET_ENGINE_JOURNAL_DISK_H
#define FRESHET_ENGINE_JOURNAL_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/list.h"
#include "protocol/base/status.h"

enum disk_operation_kind { DISK_WRITE, DISK_SYNC };

struct disk_operation {
    enum disk_operation_kind kind;
    int file;
    uint64_t offset;
    const uint8_t *data;
    size_t size;
    /* a write that is complete only when it is on stable storage (as with RWF_DSYNC) */
    bool durable;
    bool cached; /* a write that is complete when the system has it, and a kill -9 leaves it */
    /* OK, DISK_FULL or IO_ERROR. A short write is continued by the disk; it is never reported as
     * OK. */
    void (*done)(struct disk_operation *operation, enum status status);
    void *context;            /* the submitter's */
    struct queue_link queued; /* the disk's */
    uint64_t disk_private[2]; /* the disk's */
};

#define DISK_NAME_BYTES_MAX 64
#define DISK_FILES_MAX      8192
/* Windows begin and end at a multiple of this. */
#define DISK_WINDOW_ALIGNMENT 4096u
/* So much of a file, and what is ahead of the writer, counts as memory of the process. */
#define DISK_WINDOW_BEHIND_BYTES (4u << 20)

/* What a window holds when it is made. */
enum disk_window_content {
    DISK_WINDOW_KEPT,  /* what the file has there */
    DISK_WINDOW_ZEROED /* zeroes, written over what the file has there: nothing is read for it */
};

struct disk;

struct disk_vtable {
    void (*submit)(struct disk *disk, struct disk_operation *operation);

    /* Opens for reading and writing. STATUS_NOT_FOUND when it is not there and create is false. */
    enum status (*open)(struct disk *disk, const char *name, bool create, int *file_out);
    void (*close)(struct disk *disk, int file);
    enum status (*size)(struct disk *disk, int file, uint64_t *bytes_out);
    /* Reads up to size bytes; fewer only at the end of the file. */
    enum status (*read)(struct disk *disk, int file, uint64_t offset, uint8_t *data, size_t size,
                        size_t *read_out);
    enum status (*write)(struct disk *disk, int file, uint64_t offset, const uint8_t *data,
                         size_t size);
    enum status (*sync)(struct disk *disk, int file);
    /* Makes the file size bytes long, every new byte written as zero, so that later writes are
     * overwrites. */
    enum status (*allocate)(struct disk *disk, int file, uint64_t size);
    enum status (*rename)(struct disk *disk, const char *from, const char *to);
    enum status (*remove)(struct disk *disk, const char *name);
    enum status (*sync_folder)(struct disk *disk);
    /* Calls visit for each file of the folder, in no order; stops at the first status that is not
     * OK. */
    enum status (*list)(struct disk *disk, enum status (*visit)(void *context, const char *name),
                        void *context);
    enum status (*free_bytes)(struct disk *disk, uint64_t *bytes_out);
    /*
     * Only where disk.has_windows. A window is a part of an open file as memory: what is stored
     * there is in the file as if a `cached` write of it were done, without a call, until the file
     * is closed. Storing waits for no disk, because this call, which may, has put the pages in
     * memory, ready to be written; once the system has taken them to the disk, by a sync or by
     * itself, storing takes a fault again, and a call with DISK_WINDOW_KEPT puts that right, also
     * while the window is in use. The windows of one file are neighbours in memory as they are in
     * the file. One that is zeroed is what the writer comes to next: memory that lies further than
     * DISK_WINDOW_BEHIND_BYTES before it is let go of, and storing there takes faults. INVALID: the
     * file ends before the window does.
     */
    enum status (*window)(struct disk *disk, int file, uint64_t offset, size_t size,
                          enum disk_window_content content, uint8_t **data_out);
    void (*destroy)(struct disk *disk);
};

struct disk {
    const struct disk_vtable *vtable;
    size_t write_alignment; /* 512 or 4096 */
    bool has_windows;       /* window may be called */
};

/*
 * What an error of the system means to a disk; error is not 0. DISK_FULL is for ENOSPC and EDQUOT:
 * people are told to make room, and what waits goes on when there is some. EFBIG, a file at the
 * limit of the process (RLIMIT_FSIZE) or of the file system, is not that: no room that anybody
 * makes ends it, so it is an IO_ERROR, and the limit is what to look for.
 */
MUST_USE enum status disk_status_of_errno(int error);

#endif
