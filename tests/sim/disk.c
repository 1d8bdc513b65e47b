#include <stdlib.h>

#include "tests/sim/sim.h"

/* The journal has one write and one sync in flight. */
#define FLIGHTS_MAX 4

struct flight {
    struct disk_operation operation;
    struct disk_operation *original; /* NULL: free */
};

struct sim_disk {
    struct disk base;
    struct disk *under;
    bool cut;
    struct flight flights[FLIGHTS_MAX];
};

static struct sim_disk *disk_of(struct disk *disk)
{
    return CONTAINER_OF(disk, struct sim_disk, base);
}

static void flight_done(struct disk_operation *operation, enum status status)
{
    struct flight *flight = CONTAINER_OF(operation, struct flight, operation);
    struct disk_operation *original = flight->original;
    ASSERT(original != NULL);
    flight->original = NULL;
    original->done(original, status);
}

static void cut_submit(struct disk *base, struct disk_operation *operation)
{
    struct sim_disk *disk = disk_of(base);
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        struct flight *flight = &disk->flights[i];
        if (flight->original == NULL) {
            flight->operation = *operation;
            flight->operation.done = flight_done;
            flight->original = operation;
            if (!disk->cut) {
                disk->under->vtable->submit(disk->under, &flight->operation);
            }
            return;
        }
    }
    UNREACHABLE();
}

static enum status cut_open(struct disk *base, const char *name, bool create, int *file_out)
{
    struct sim_disk *disk = disk_of(base);
    *file_out = -1;
    return disk->cut ? STATUS_IO_ERROR
                     : disk->under->vtable->open(disk->under, name, create, file_out);
}

static void cut_close(struct disk *base, int file)
{
    struct sim_disk *disk = disk_of(base);
    if (!disk->cut) {
        disk->under->vtable->close(disk->under, file);
    }
}

static enum status cut_size(struct disk *base, int file, uint64_t *bytes_out)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->size(disk->under, file, bytes_out);
}

static enum status cut_read(struct disk *base, int file, uint64_t offset, uint8_t *data,
                            size_t size, size_t *read_out)
{
    struct sim_disk *disk = disk_of(base);
    *read_out = 0;
    return disk->cut ? STATUS_IO_ERROR
                     : disk->under->vtable->read(disk->under, file, offset, data, size, read_out);
}

static enum status cut_write(struct disk *base, int file, uint64_t offset, const uint8_t *data,
                             size_t size)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR
                     : disk->under->vtable->write(disk->under, file, offset, data, size);
}

static enum status cut_sync(struct disk *base, int file)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->sync(disk->under, file);
}

static enum status cut_allocate(struct disk *base, int file, uint64_t size)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->allocate(disk->under, file, size);
}

static enum status cut_rename(struct disk *base, const char *from, const char *to)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->rename(disk->under, from, to);
}

static enum status cut_remove(struct disk *base, const char *name)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->remove(disk->under, name);
}

static enum status cut_sync_folder(struct disk *base)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->sync_folder(disk->under);
}

static enum status cut_list(struct disk *base,
                            enum status (*visit)(void *context, const char *name), void *context)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->list(disk->under, visit, context);
}

static enum status cut_free_bytes(struct disk *base, uint64_t *bytes_out)
{
    struct sim_disk *disk = disk_of(base);
    return disk->cut ? STATUS_IO_ERROR : disk->under->vtable->free_bytes(disk->under, bytes_out);
}

static void cut_destroy(struct disk *base)
{
    (void)base; /* sim_disk_destroy does it: the journal does not own its disk */
}

static const struct disk_vtable cut_vtable = {
    .submit = cut_submit,
    .open = cut_open,
    .close = cut_close,
    .size = cut_size,
    .read = cut_read,
    .write = cut_write,
    .sync = cut_sync,
    .allocate = cut_allocate,
    .rename = cut_rename,
    .remove = cut_remove,
    .sync_folder = cut_sync_folder,
    .list = cut_list,
    .free_bytes = cut_free_bytes,
    .destroy = cut_destroy,
};

struct sim_disk *sim_disk_create(struct disk *under)
{
    struct sim_disk *disk = calloc(1, sizeof(*disk));
    ASSERT(disk != NULL);
    disk->base.vtable = &cut_vtable;
    disk->base.write_alignment = under->write_alignment;
    disk->under = under;
    return disk;
}

struct disk *sim_disk_base(struct sim_disk *disk)
{
    return &disk->base;
}

void sim_disk_cut(struct sim_disk *disk)
{
    ASSERT(!disk->cut);
    disk->cut = true;
}

void sim_disk_step(struct sim_disk *disk)
{
    for (int i = 0; disk->cut && i < FLIGHTS_MAX; i++) {
        if (disk->flights[i].original != NULL) {
            flight_done(&disk->flights[i].operation, STATUS_IO_ERROR);
        }
    }
}

void sim_disk_destroy(struct sim_disk *disk)
{
    for (int i = 0; i < FLIGHTS_MAX; i++) {
        ASSERT(disk->flights[i].original == NULL);
    }
    free(disk);
}
