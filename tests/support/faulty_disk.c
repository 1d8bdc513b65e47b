#include "tests/support/faulty_disk.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"

#define BLOCK_BYTES        512u
#define NAMES_MAX          256u
#define FOLDER_CHANGES_MAX 1024u

/* What a name points at; lives as long as the disk, or until nothing can name it any more. */
struct faulty_file {
    uint8_t *written; /* what a read sees */
    uint8_t *stable;  /* what is there after a crash, at least */
    uint64_t *dirty;  /* per block: number of the write that no sync has covered; 0: none */
    uint64_t size;
    uint64_t stable_size;
    uint64_t capacity;
    uint64_t
        windowed_from; /* [from, to) has been given away as a window; from == to: nothing has */
    uint64_t windowed_to;
    struct faulty_file *next;
};

struct faulty_name {
    char name[DISK_NAME_BYTES_MAX]; /* empty: free */
    struct faulty_file *file;
};

struct faulty_folder {
    struct faulty_name names[NAMES_MAX];
};

enum faulty_change_kind { CHANGE_CREATE, CHANGE_RENAME, CHANGE_REMOVE };

/* A change of the folder that no sync of it has covered. */
struct faulty_change {
    enum faulty_change_kind kind;
    char from[DISK_NAME_BYTES_MAX];
    char to[DISK_NAME_BYTES_MAX];
    struct faulty_file *file;
};

struct faulty_handle {
    struct faulty_file *file; /* NULL: closed */
};

struct faulty_disk {
    struct disk base;
    struct faulty_disk_options options;
    uint64_t random;
    uint64_t now_ns;
    uint64_t writes; /* numbers writes, for dirty */
    uint64_t operations;
    uint64_t dies_after; /* 0: does not */
    bool dead;
    uint64_t fail_write;
    uint64_t fail_sync;
    struct faulty_file *files;
    struct faulty_folder now;
    struct faulty_folder stable;
    struct faulty_change changes[FOLDER_CHANGES_MAX];
    uint32_t change_count;
    struct faulty_handle handles[DISK_FILES_MAX];
    int handle_count; /* handles are not used again, so that a stale one is known */
    struct queue pending;
};

/* disk_private of an operation: when it is due, and the number of the last write when it was
 * submitted. */
enum { PRIVATE_DUE, PRIVATE_WRITES };

static struct faulty_disk *faulty_of(struct disk *disk)
{
    return CONTAINER_OF(disk, struct faulty_disk, base);
}

uint64_t faulty_disk_random(struct disk *disk, uint64_t below)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(below > 0);
    /* splitmix64 */
    uint64_t z = faulty->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % below;
}

static bool coin(struct faulty_disk *faulty)
{
    return faulty_disk_random(&faulty->base, 2) == 1;
}

/* Counts a call that changes something; false when the disk is dead, or dies of it. */
static bool faulty_lives(struct faulty_disk *faulty)
{
    faulty->operations++;
    if (faulty->dies_after > 0 && --faulty->dies_after == 0) {
        faulty->dead = true;
    }
    return !faulty->dead;
}

/* ---- files ---- */

static struct faulty_file *file_of(struct faulty_disk *faulty, int handle)
{
    ASSERT(handle >= 0 && handle < faulty->handle_count);
    return faulty->handles[handle].file;
}

static void file_reserve(struct faulty_file *file, uint64_t size)
{
    if (size <= file->capacity) {
        return;
    }
    ASSERT(file->windowed_to == 0); /* a window stays where it is */
    uint64_t capacity = (size + 65535) / 65536 * 65536;
    uint64_t blocks_before = file->capacity / BLOCK_BYTES;
    uint64_t blocks = capacity / BLOCK_BYTES;
    file->written = realloc(file->written, capacity);
    file->stable = realloc(file->stable, capacity);
    file->dirty = realloc(file->dirty, blocks * sizeof(uint64_t));
    ASSERT(file->written != NULL && file->stable != NULL && file->dirty != NULL);
    memset(file->written + file->capacity, 0, capacity - file->capacity);
    memset(file->stable + file->capacity, 0, capacity - file->capacity);
    memset(file->dirty + blocks_before, 0, (blocks - blocks_before) * sizeof(uint64_t));
    file->capacity = capacity;
}

static void file_write(struct faulty_disk *faulty, struct faulty_file *file, uint64_t offset,
                       const uint8_t *data, size_t size)
{
    file_reserve(file, offset + size);
    memcpy(file->written + offset, data, size);
    faulty->writes++;
    for (uint64_t block = offset / BLOCK_BYTES; block * BLOCK_BYTES < offset + size; block++) {
        file->dirty[block] = faulty->writes;
    }
    if (file->size < offset + size) {
        file->size = offset + size;
    }
}

static void block_stabilize(struct faulty_file *file, uint64_t block)
{
    memcpy(file->stable + block * BLOCK_BYTES, file->written + block * BLOCK_BYTES, BLOCK_BYTES);
    file->dirty[block] = 0;
}

/* What was stored into windows counts as written now. */
static void file_take_stores(struct faulty_disk *faulty, struct faulty_file *file)
{
    faulty->writes++;
    for (uint64_t at = file->windowed_from; at < file->windowed_to; at += BLOCK_BYTES) {
        if (file->dirty[at / BLOCK_BYTES] == 0 &&
            memcmp(file->written + at, file->stable + at, BLOCK_BYTES) != 0) {
            file->dirty[at / BLOCK_BYTES] = faulty->writes;
        }
    }
}

/* Makes [offset, offset + size) stable as far as it was written before `through`. */
static void file_stabilize(struct faulty_file *file, uint64_t offset, uint64_t size,
                           uint64_t through)
{
    for (uint64_t block = offset / BLOCK_BYTES; block * BLOCK_BYTES < offset + size; block++) {
        if (file->dirty[block] != 0 && file->dirty[block] <= through) {
            block_stabilize(file, block);
        }
    }
    if (file->stable_size < offset + size) {
        file->stable_size = offset + size;
    }
}

/* What a failed sync does to what it was to cover. */
static void file_forget(struct faulty_file *file, uint64_t through)
{
    for (uint64_t block = 0; block * BLOCK_BYTES < file->size; block++) {
        if (file->dirty[block] != 0 && file->dirty[block] <= through) {
            file->dirty[block] = 0;
        }
    }
}

static void file_crash(struct faulty_disk *faulty, struct faulty_file *file)
{
    file_take_stores(faulty, file);
    file->windowed_from = 0;
    file->windowed_to = 0;
    for (uint64_t block = 0; block * BLOCK_BYTES < file->size; block++) {
        if (file->dirty[block] != 0 && coin(faulty)) {
            block_stabilize(file, block);
        }
        file->dirty[block] = 0;
    }
    /* A size that was never synced may or may not have come through. */
    if (file->stable_size < file->size && coin(faulty)) {
        file->stable_size = file->size;
    }
    file->size = file->stable_size;
    if (file->capacity > 0) {
        memset(file->stable + file->size, 0, file->capacity - file->size);
        memcpy(file->written, file->stable, file->capacity);
    }
}

/* ---- names ---- */

static struct faulty_name *name_find(struct faulty_folder *folder, const char *name)
{
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        if (strcmp(folder->names[i].name, name) == 0) {
            return &folder->names[i];
        }
    }
    return NULL;
}

static void name_set(struct faulty_folder *folder, const char *name, struct faulty_file *file)
{
    struct faulty_name *at = name_find(folder, name);
    at = at != NULL ? at : name_find(folder, "");
    ASSERT(at != NULL);
    memset(at->name, 0, sizeof(at->name));
    memcpy(at->name, name, strlen(name));
    at->file = file;
}

/* A change is about the file, as in file systems, not about whatever bears its name by then. */
static void change_apply(struct faulty_folder *folder, const struct faulty_change *change)
{
    struct faulty_name *from = name_find(folder, change->from);
    if (change->kind == CHANGE_CREATE) {
        name_set(folder, change->from, change->file);
        return;
    }
    if (from != NULL && from->file == change->file) {
        *from = (struct faulty_name){.file = NULL};
    }
    if (change->kind == CHANGE_RENAME) {
        name_set(folder, change->to, change->file);
    }
}

static void folder_change(struct faulty_disk *faulty, struct faulty_change change)
{
    ASSERT(faulty->change_count < FOLDER_CHANGES_MAX);
    change_apply(&faulty->now, &change);
    faulty->changes[faulty->change_count++] = change;
}

static struct faulty_change change_of(enum faulty_change_kind kind, struct faulty_file *file,
                                      const char *from, const char *to)
{
    struct faulty_change change = {.kind = kind, .file = file};
    ASSERT(strlen(from) < DISK_NAME_BYTES_MAX && strlen(to) < DISK_NAME_BYTES_MAX);
    memcpy(change.from, from, strlen(from));
    memcpy(change.to, to, strlen(to));
    return change;
}

static uint64_t used_bytes(const struct faulty_disk *faulty)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < NAMES_MAX; i++) {
        if (faulty->now.names[i].name[0] != '\0') {
            used += faulty->now.names[i].file->size;
        }
    }
    return used;
}

static bool has_room(const struct faulty_disk *faulty, const struct faulty_file *file,
                     uint64_t size)
{
    uint64_t more = size > file->size ? size - file->size : 0;
    return faulty->options.capacity_bytes == 0 || more == 0 ||
           used_bytes(faulty) + more <= faulty->options.capacity_bytes;
}

/* ---- the calls ---- */

static void faulty_submit(struct disk *disk, struct disk_operation *operation)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(operation->done != NULL);
    ASSERT(file_of(faulty, operation->file) != NULL);
    if (operation->kind == DISK_WRITE) {
        ASSERT(operation->offset % disk->write_alignment == 0);
        ASSERT(operation->size % disk->write_alignment == 0);
        ASSERT((uintptr_t)operation->data % disk->write_alignment == 0);
    }
    if (operation->kind == DISK_SYNC) {
        file_take_stores(faulty, file_of(faulty, operation->file));
    }
    uint64_t latency = faulty->options.latency_ns_max == 0
                           ? 0
                           : faulty_disk_random(disk, faulty->options.latency_ns_max);
    operation->disk_private[PRIVATE_DUE] = faulty->now_ns + latency;
    operation->disk_private[PRIVATE_WRITES] = faulty->writes;
    queue_push(&faulty->pending, &operation->queued);
}

/* A write of which only a part was done: any subset of its blocks. */
static void write_partly(struct faulty_disk *faulty, const struct disk_operation *operation)
{
    for (size_t at = 0; at < operation->size; at += BLOCK_BYTES) {
        if (coin(faulty)) {
            file_write(faulty, file_of(faulty, operation->file), operation->offset + at,
                       operation->data + at, BLOCK_BYTES);
        }
    }
}

static bool fails_now(uint64_t *countdown)
{
    return *countdown > 0 && --*countdown == 0;
}

static enum status perform(struct faulty_disk *faulty, struct disk_operation *operation)
{
    struct faulty_file *file = file_of(faulty, operation->file);
    ASSERT(file != NULL); /* a handle is not closed while an operation on it is in flight */
    if (operation->kind == DISK_SYNC) {
        uint64_t through = operation->disk_private[PRIVATE_WRITES];
        if (fails_now(&faulty->fail_sync)) {
            file_forget(file, through);
            return STATUS_IO_ERROR;
        }
        file_stabilize(file, 0, file->size, through);
        return STATUS_OK;
    }
    if (fails_now(&faulty->fail_write)) {
        write_partly(faulty, operation);
        return STATUS_IO_ERROR;
    }
    if (!has_room(faulty, file, operation->offset + operation->size)) {
        return STATUS_DISK_FULL;
    }
    file_write(faulty, file, operation->offset, operation->data, operation->size);
    if (operation->durable) {
        file_stabilize(file, operation->offset, operation->size, faulty->writes);
    }
    return STATUS_OK;
}

uint64_t faulty_disk_due(const struct disk *disk)
{
    const struct faulty_disk *faulty = CONTAINER_OF(disk, struct faulty_disk, base);
    uint64_t due = UINT64_MAX;
    for (struct queue_link *link = faulty->pending.first; link != NULL; link = link->next) {
        struct disk_operation *operation = CONTAINER_OF(link, struct disk_operation, queued);
        if (operation->disk_private[PRIVATE_DUE] < due) {
            due = operation->disk_private[PRIVATE_DUE];
        }
    }
    return due;
}

size_t faulty_disk_step(struct disk *disk, uint64_t now_ns)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(now_ns >= faulty->now_ns);
    faulty->now_ns = now_ns;
    size_t count = 0;
    struct queue pending = faulty->pending;
    struct queue due = {NULL, NULL};
    faulty->pending = (struct queue){NULL, NULL};
    for (struct queue_link *link = queue_pop(&pending); link != NULL; link = queue_pop(&pending)) {
        struct disk_operation *operation = CONTAINER_OF(link, struct disk_operation, queued);
        bool now = operation->disk_private[PRIVATE_DUE] <= now_ns && !faulty->dead;
        queue_push(now ? &due : &faulty->pending, link);
    }
    for (struct queue_link *link = queue_pop(&due); link != NULL; link = queue_pop(&due)) {
        struct disk_operation *operation = CONTAINER_OF(link, struct disk_operation, queued);
        if (!faulty_lives(faulty)) {
            queue_push(&faulty->pending, link);
            continue;
        }
        operation->done(operation, perform(faulty, operation));
        count++;
    }
    return count;
}

static enum status faulty_open(struct disk *disk, const char *name, bool create, int *file_out)
{
    struct faulty_disk *faulty = faulty_of(disk);
    struct faulty_name *at = name_find(&faulty->now, name);
    *file_out = -1;
    if (faulty->dead) {
        return STATUS_IO_ERROR;
    }
    if (at == NULL && !create) {
        return STATUS_NOT_FOUND;
    }
    struct faulty_file *file = at == NULL ? NULL : at->file;
    if (file == NULL) {
        if (!faulty_lives(faulty)) {
            return STATUS_IO_ERROR;
        }
        file = calloc(1, sizeof(*file));
        ASSERT(file != NULL);
        file->next = faulty->files;
        faulty->files = file;
        folder_change(faulty, change_of(CHANGE_CREATE, file, name, ""));
    }
    ASSERT(faulty->handle_count < DISK_FILES_MAX);
    *file_out = faulty->handle_count++;
    faulty->handles[*file_out].file = file;
    return STATUS_OK;
}

static void faulty_close(struct disk *disk, int file)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(file >= 0 && file < faulty->handle_count);
    for (struct queue_link *link = faulty->pending.first; link != NULL; link = link->next) {
        ASSERT(CONTAINER_OF(link, struct disk_operation, queued)->file != file);
    }
    faulty->handles[file].file = NULL;
}

static enum status faulty_size(struct disk *disk, int file, uint64_t *bytes_out)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(file_of(faulty, file) != NULL);
    *bytes_out = file_of(faulty, file)->size;
    return faulty->dead ? STATUS_IO_ERROR : STATUS_OK;
}

static enum status faulty_read(struct disk *disk, int file, uint64_t offset, uint8_t *data,
                               size_t size, size_t *read_out)
{
    struct faulty_disk *faulty = faulty_of(disk);
    const struct faulty_file *from = file_of(faulty, file);
    ASSERT(from != NULL);
    *read_out = 0;
    if (faulty->dead) {
        return STATUS_IO_ERROR;
    }
    if (offset < from->size) {
        *read_out = from->size - offset < size ? (size_t)(from->size - offset) : size;
        memcpy(data, from->written + offset, *read_out);
    }
    return STATUS_OK;
}

static enum status faulty_write(struct disk *disk, int file, uint64_t offset, const uint8_t *data,
                                size_t size)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(file_of(faulty, file) != NULL);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    if (!has_room(faulty, file_of(faulty, file), offset + size)) {
        return STATUS_DISK_FULL;
    }
    file_write(faulty, file_of(faulty, file), offset, data, size);
    return STATUS_OK;
}

static enum status faulty_sync(struct disk *disk, int file)
{
    struct faulty_disk *faulty = faulty_of(disk);
    struct faulty_file *of = file_of(faulty, file);
    ASSERT(of != NULL);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    file_take_stores(faulty, of);
    file_stabilize(of, 0, of->size, faulty->writes);
    return STATUS_OK;
}

static enum status faulty_allocate(struct disk *disk, int file, uint64_t size)
{
    struct faulty_disk *faulty = faulty_of(disk);
    struct faulty_file *of = file_of(faulty, file);
    ASSERT(of != NULL);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    if (!has_room(faulty, of, size)) {
        return STATUS_DISK_FULL;
    }
    file_reserve(of, size);
    of->size = size > of->size ? size : of->size;
    return STATUS_OK;
}

static enum status faulty_rename(struct disk *disk, const char *from, const char *to)
{
    struct faulty_disk *faulty = faulty_of(disk);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    const struct faulty_name *at = name_find(&faulty->now, from);
    if (at == NULL) {
        return STATUS_NOT_FOUND;
    }
    folder_change(faulty, change_of(CHANGE_RENAME, at->file, from, to));
    return STATUS_OK;
}

static enum status faulty_remove(struct disk *disk, const char *name)
{
    struct faulty_disk *faulty = faulty_of(disk);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    const struct faulty_name *at = name_find(&faulty->now, name);
    if (at == NULL) {
        return STATUS_NOT_FOUND;
    }
    folder_change(faulty, change_of(CHANGE_REMOVE, at->file, name, ""));
    return STATUS_OK;
}

static enum status faulty_sync_folder(struct disk *disk)
{
    struct faulty_disk *faulty = faulty_of(disk);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    faulty->stable = faulty->now;
    faulty->change_count = 0;
    return STATUS_OK;
}

static enum status faulty_list(struct disk *disk,
                               enum status (*visit)(void *context, const char *name), void *context)
{
    struct faulty_disk *faulty = faulty_of(disk);
    enum status status = faulty->dead ? STATUS_IO_ERROR : STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < NAMES_MAX; i++) {
        if (faulty->now.names[i].name[0] != '\0') {
            status = visit(context, faulty->now.names[i].name);
        }
    }
    return status;
}

static enum status faulty_free_bytes(struct disk *disk, uint64_t *bytes_out)
{
    struct faulty_disk *faulty = faulty_of(disk);
    uint64_t used = used_bytes(faulty);
    uint64_t capacity = faulty->options.capacity_bytes;
    *bytes_out = capacity == 0 ? UINT64_MAX : (capacity > used ? capacity - used : 0);
    return faulty->dead ? STATUS_IO_ERROR : STATUS_OK;
}

static enum status faulty_window(struct disk *disk, int file, uint64_t offset, size_t size,
                                 enum disk_window_content content, uint8_t **data_out)
{
    struct faulty_disk *faulty = faulty_of(disk);
    struct faulty_file *of = file_of(faulty, file);
    ASSERT(of != NULL && disk->has_windows);
    ASSERT(offset % DISK_WINDOW_ALIGNMENT == 0 && size % DISK_WINDOW_ALIGNMENT == 0);
    if (!faulty_lives(faulty)) {
        return STATUS_IO_ERROR;
    }
    if (offset > of->size || size > of->size - offset) {
        return STATUS_INVALID;
    }
    for (const struct queue_link *link = faulty->pending.first;
         content == DISK_WINDOW_ZEROED && link != NULL; link = link->next) {
        const struct disk_operation *operation =
            CONTAINER_OF(link, const struct disk_operation, queued);
        /* Which of the two would be there in the end? */
        ASSERT(operation->kind != DISK_WRITE || operation->file != file ||
               operation->offset + operation->size <= offset || offset + size <= operation->offset);
    }
    if (content == DISK_WINDOW_ZEROED) {
        uint8_t *zeroes = calloc(1, size);
        ASSERT(zeroes != NULL);
        file_write(faulty, of, offset, zeroes, size);
        free(zeroes);
    }
    bool first = of->windowed_from == of->windowed_to;
    of->windowed_from = first || offset < of->windowed_from ? offset : of->windowed_from;
    of->windowed_to = of->windowed_to < offset + size ? offset + size : of->windowed_to;
    *data_out = of->written + offset;
    return STATUS_OK;
}

/* Frees files that neither a name nor a handle leads to. */
static void collect_files(struct faulty_disk *faulty, bool all)
{
    struct faulty_file **at = &faulty->files;
    while (*at != NULL) {
        struct faulty_file *file = *at;
        bool named = false;
        for (uint32_t i = 0; i < NAMES_MAX && !named; i++) {
            named = faulty->now.names[i].file == file;
        }
        if (named && !all) {
            at = &file->next;
            continue;
        }
        *at = file->next;
        free(file->written);
        free(file->stable);
        free(file->dirty);
        free(file);
    }
}

static void faulty_destroy(struct disk *disk)
{
    struct faulty_disk *faulty = faulty_of(disk);
    collect_files(faulty, true);
    free(faulty);
}

void faulty_disk_crash(struct disk *disk)
{
    struct faulty_disk *faulty = faulty_of(disk);
    for (struct queue_link *link = queue_pop(&faulty->pending); link != NULL;
         link = queue_pop(&faulty->pending)) {
        struct disk_operation *operation = CONTAINER_OF(link, struct disk_operation, queued);
        if (operation->kind == DISK_WRITE) {
            write_partly(faulty, operation);
        }
    }
    for (struct faulty_file *file = faulty->files; file != NULL; file = file->next) {
        file_crash(faulty, file);
    }
    for (uint32_t i = 0; i < faulty->change_count; i++) {
        if (coin(faulty)) {
            change_apply(&faulty->stable, &faulty->changes[i]);
        }
    }
    faulty->change_count = 0;
    faulty->now = faulty->stable;
    for (int i = 0; i < faulty->handle_count; i++) {
        faulty->handles[i].file = NULL;
    }
    collect_files(faulty, false);
    faulty->dead = false;
    faulty->dies_after = 0;
    faulty->fail_write = 0;
    faulty->fail_sync = 0;
}

void faulty_disk_kill(struct disk *disk)
{
    struct faulty_disk *faulty = faulty_of(disk);
    ASSERT(!faulty->dead);
    faulty->fail_write = 0;
    faulty->fail_sync = 0;
    for (struct queue_link *link = queue_pop(&faulty->pending); link != NULL;
         link = queue_pop(&faulty->pending)) {
        struct disk_operation *operation = CONTAINER_OF(link, struct disk_operation, queued);
        if (coin(faulty)) {
            (void)perform(faulty, operation);
        } else if (operation->kind == DISK_WRITE &&
                   has_room(faulty, file_of(faulty, operation->file),
                            operation->offset + operation->size)) {
            write_partly(faulty, operation);
        }
    }
    for (int i = 0; i < faulty->handle_count; i++) {
        faulty->handles[i].file = NULL;
    }
    faulty->dies_after = 0;
}

void faulty_disk_die_after(struct disk *disk, uint64_t operations)
{
    ASSERT(operations > 0);
    faulty_of(disk)->dies_after = operations;
}

bool faulty_disk_is_dead(const struct disk *disk)
{
    return CONTAINER_OF(disk, struct faulty_disk, base)->dead;
}

uint64_t faulty_disk_operations(const struct disk *disk)
{
    return CONTAINER_OF(disk, struct faulty_disk, base)->operations;
}

void faulty_disk_fail_write(struct disk *disk, uint64_t nth)
{
    faulty_of(disk)->fail_write = nth;
}

void faulty_disk_fail_sync(struct disk *disk, uint64_t nth)
{
    faulty_of(disk)->fail_sync = nth;
}

void faulty_disk_capacity(struct disk *disk, uint64_t bytes)
{
    faulty_of(disk)->options.capacity_bytes = bytes;
}

bool faulty_disk_flip(struct disk *disk, const char *name, uint64_t offset, uint32_t bit)
{
    struct faulty_name *at = name_find(&faulty_of(disk)->now, name);
    if (at == NULL || offset >= at->file->size || bit >= 8) {
        return false;
    }
    at->file->written[offset] ^= (uint8_t)(1u << bit);
    at->file->stable[offset] ^= (uint8_t)(1u << bit);
    return true;
}

static const struct disk_vtable faulty_vtable = {
    .submit = faulty_submit,
    .open = faulty_open,
    .close = faulty_close,
    .size = faulty_size,
    .read = faulty_read,
    .write = faulty_write,
    .sync = faulty_sync,
    .allocate = faulty_allocate,
    .rename = faulty_rename,
    .remove = faulty_remove,
    .sync_folder = faulty_sync_folder,
    .list = faulty_list,
    .free_bytes = faulty_free_bytes,
    .window = faulty_window,
    .destroy = faulty_destroy,
};

struct disk *faulty_disk_create(const struct faulty_disk_options *options)
{
    struct faulty_disk *faulty = calloc(1, sizeof(*faulty));
    ASSERT(faulty != NULL);
    faulty->base.vtable = &faulty_vtable;
    faulty->base.write_alignment =
        options->write_alignment == 0 ? BLOCK_BYTES : options->write_alignment;
    faulty->base.has_windows = options->windows;
    faulty->options = *options;
    faulty->random = options->seed;
    return &faulty->base;
}
