#include <stdlib.h>

#include "engine/journal/recovery.h"
#include "protocol/base/assert.h"

#define REPAIR_ALIGNMENT  4096u
#define REPAIR_COPY_BYTES (256u * 1024)
/* The mark that opens a run, and its padding, on any disk. */
#define OPENED_BYTES_MAX 8192u

static enum status repair_failed(struct journal_problem *problem, enum status status,
                                 const char *file)
{
    return journal_problem_set(problem, status, file, 0,
                               status == STATUS_DISK_FULL
                                   ? "the disk is too full to start; make room and start again"
                                   : "the segment cannot be written; see to the disk");
}

/* Writes the mark of a new run at active->offset and moves on past it. Everything before is on
 * stable storage when this mark is: whoever calls this syncs, or exchanges files, only after what
 * comes before is written. */
static enum status write_opened(struct recovery_active *active, struct disk *disk,
                                uint64_t last_sequence)
{
    ASSERT(disk->write_alignment <= REPAIR_ALIGNMENT);
    uint64_t end = align_up(active->offset + BATCH_HEADER_BYTES, disk->write_alignment);
    struct batch_header header = {.kind = BATCH_OPENED,
                                  .epoch = active->header.epoch,
                                  .first_sequence = last_sequence + 1,
                                  .durable_through = last_sequence,
                                  .previous_checksum = active->checksum,
                                  .length = BATCH_HEADER_BYTES,
                                  .stored_bytes = (uint32_t)(end - active->offset)};
    ASSERT(header.stored_bytes <= OPENED_BYTES_MAX);
    uint8_t *block = aligned_alloc(REPAIR_ALIGNMENT, OPENED_BYTES_MAX);
    if (block == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(block, 0, OPENED_BYTES_MAX);
    uint64_t seed = batch_seed(&active->header.store, active->header.number, active->header.epoch);
    active->checksum = batch_header_encode(&header, seed, block);
    enum status status =
        disk->vtable->write(disk, active->file, active->offset, block, header.stored_bytes);
    free(block);
    active->offset = end;
    return status;
}

static enum status write_header(const struct recovery_active *active, struct disk *disk)
{
    uint8_t *block = aligned_alloc(REPAIR_ALIGNMENT, SEGMENT_HEADER_BYTES);
    if (block == NULL) {
        return STATUS_NO_MEMORY;
    }
    segment_header_encode(&active->header, block);
    enum status status = disk->vtable->write(disk, active->file, 0, block, SEGMENT_HEADER_BYTES);
    free(block);
    return status;
}

/* Copies [offset, end) of the segment to the same places of a file. */
static enum status copy_bytes(struct disk *disk, uint64_t number, uint64_t offset, uint64_t end,
                              int to)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    int from;
    enum status status = disk->vtable->open(disk, name, false, &from);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *buffer = aligned_alloc(REPAIR_ALIGNMENT, REPAIR_COPY_BYTES);
    status = buffer == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    while (status == STATUS_OK && offset < end) {
        size_t size =
            end - offset < REPAIR_COPY_BYTES ? (size_t)(end - offset) : (size_t)REPAIR_COPY_BYTES;
        size_t read = 0;
        status = disk->vtable->read(disk, from, offset, buffer, size, &read);
        if (status == STATUS_OK && read < size) {
            status = STATUS_IO_ERROR;
        }
        if (status == STATUS_OK) {
            status = disk->vtable->write(disk, to, offset, buffer, size);
        }
        offset += size;
    }
    free(buffer);
    disk->vtable->close(disk, from);
    return status;
}

/* The file that was written under a name of its own takes the segment's name in one step. */
static enum status file_exchange(struct disk *disk, int file, uint64_t number)
{
    enum status status = disk->vtable->sync(disk, file);
    if (status == STATUS_OK) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(number, name);
        status = disk->vtable->rename(disk, RECOVERY_REPAIR_NAME, name);
    }
    if (status == STATUS_OK) {
        status = disk->vtable->sync_folder(disk);
    }
    return status;
}

/* A whole segment before the last one, as it is. Its end may have been written and never synced
 * (`interval`, `none`): it was read from the system's memory, and the power may still take it away,
 * though later batches will say that it is on stable storage. A sync would not do: where one has
 * failed before, the next succeeds and writes nothing. */
static enum status rewrite_segment(struct disk *disk, const struct segment_info *info)
{
    int file;
    enum status status = disk->vtable->open(disk, RECOVERY_REPAIR_NAME, true, &file);
    if (status != STATUS_OK) {
        return status;
    }
    status = disk->vtable->allocate(disk, file, info->file_bytes);
    if (status == STATUS_OK) {
        status = copy_bytes(disk, info->number, 0, info->file_bytes, file);
    }
    if (status == STATUS_OK) {
        status = file_exchange(disk, file, info->number);
    }
    disk->vtable->close(disk, file);
    return status;
}

static enum status write_segment(struct recovery *recovery, struct recovery_active *active,
                                 uint64_t copied_end)
{
    struct disk *disk = recovery->disk;
    enum status status = disk->vtable->open(disk, RECOVERY_REPAIR_NAME, true, &active->file);
    if (status != STATUS_OK) {
        return status;
    }
    status = disk->vtable->allocate(disk, active->file, active->header.segment_bytes);
    if (status == STATUS_OK) {
        status = write_header(active, disk);
    }
    if (status == STATUS_OK && copied_end > SEGMENT_HEADER_BYTES) {
        status =
            copy_bytes(disk, active->header.number, SEGMENT_HEADER_BYTES, copied_end, active->file);
    }
    if (status == STATUS_OK) {
        status = write_opened(active, disk, recovery->last_sequence);
    }
    if (status == STATUS_OK) {
        status = file_exchange(disk, active->file, active->header.number);
    }
    if (status != STATUS_OK) {
        disk->vtable->close(disk, active->file);
    }
    return status;
}

static enum status remove_file(struct disk *disk, const char *name)
{
    enum status status = disk->vtable->remove(disk, name);
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

/* Each removal is on stable storage before the next, so that no crash leaves a gap between two
 * numbers. */
static enum status remove_segment(struct disk *disk, uint64_t number)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    enum status status = remove_file(disk, name);
    return status == STATUS_OK ? disk->vtable->sync_folder(disk) : status;
}

/* What came after the end of the journal, newest first, and what an earlier start left behind. */
static enum status remove_leftovers(struct recovery *recovery)
{
    struct disk *disk = recovery->disk;
    enum status status = remove_file(disk, RECOVERY_REPAIR_NAME);
    if (status == STATUS_OK) {
        status = remove_file(disk, RECOVERY_PREPARE_NAME);
    }
    if (status == STATUS_OK && recovery->prepared_number > 0) {
        status = remove_segment(disk, recovery->prepared_number);
        recovery->prepared_number = 0;
    }
    while (status == STATUS_OK && recovery->segment_count > recovery->tail + 1) {
        recovery->segment_count--;
        status = remove_segment(disk, recovery->segments[recovery->segment_count].number);
    }
    return status;
}

/* Clean, and room for the mark: the file goes on as it is. */
static enum status repair_in_place(struct recovery *recovery, struct recovery_active *out)
{
    struct disk *disk = recovery->disk;
    char name[SEGMENT_NAME_BYTES];
    segment_name(recovery->segments[recovery->tail].number, name);
    enum status status = disk->vtable->open(disk, name, false, &out->file);
    if (status != STATUS_OK) {
        return status;
    }
    status = write_opened(out, disk, recovery->last_sequence);
    if (status == STATUS_OK) {
        status = disk->vtable->sync(disk, out->file);
    }
    if (status != STATUS_OK) {
        disk->vtable->close(disk, out->file);
    }
    return status;
}

static void new_header(const struct journal_options *options, struct segment_header *out)
{
    *out = (struct segment_header){
        .store = {.id = options->new_store_id, .secret = options->new_store_secret},
        .number = 1,
        .epoch = 1,
        .segment_bytes = options->segment_bytes,
        .first_sequence = 1,
        .durability = options->durability};
}

static enum status repair_new(struct recovery *recovery, const struct journal_options *options,
                              struct recovery_active *out)
{
    ASSERT(recovery->segment_count == 0);
    if (recovery->segments == NULL) {
        recovery->segments = calloc(1, sizeof(recovery->segments[0]));
        recovery->segment_capacity = 1;
    }
    if (recovery->segments == NULL) {
        return STATUS_NO_MEMORY;
    }
    recovery->recovered.tail = JOURNAL_TAIL_NEW;
    recovery->recovered.epochs = 1;
    new_header(options, &out->header);
    enum status status = write_segment(recovery, out, SEGMENT_HEADER_BYTES);
    if (status == STATUS_OK) {
        recovery->segments[0] = (struct segment_info){
            .number = 1, .epoch = 1, .first_sequence = 1, .file_bytes = options->segment_bytes};
        recovery->segment_count = 1;
        recovery->tail = 0;
    }
    return status;
}

/* The header of the last segment as it will be: its own place in the journal, and the newest
 * knowledge of epochs. */
static void next_header(const struct recovery *recovery, const struct journal_options *options,
                        bool new_epoch, struct segment_header *out)
{
    const struct segment_info *tail = &recovery->segments[recovery->tail];
    uint64_t room = align_up(recovery->tail_offset, REPAIR_ALIGNMENT) + OPENED_BYTES_MAX;
    *out = recovery->newest;
    out->number = tail->number;
    out->first_sequence = tail->first_sequence;
    out->last_time_ms = tail->last_time_ms;
    out->durable_through = tail->durable_through;
    out->previous_checksum = tail->previous_checksum;
    out->durability = options->durability;
    out->segment_bytes = options->segment_bytes > room ? options->segment_bytes : room;
    if (new_epoch) {
        segment_header_epoch_push(
            out, (struct epoch_end){recovery->newest.epoch, recovery->last_sequence});
        out->epoch++;
    }
}

static enum status repair_old(struct recovery *recovery, const struct journal_options *options,
                              struct recovery_active *out)
{
    struct segment_info *tail = &recovery->segments[recovery->tail];
    bool clean = recovery->recovered.tail == JOURNAL_TAIL_CLEAN;
    bool new_epoch = !clean;
#ifdef FRESHET_PLANT_EPOCH_REUSED
    new_epoch = false;
#endif
    ASSERT(recovery->tail + 1 == recovery->segment_count);
    next_header(recovery, options, new_epoch, &out->header);
    out->offset = recovery->tail_offset;
    out->checksum = recovery->last_checksum;
    recovery->recovered.epochs = out->header.epoch;
    if (clean && tail->file_bytes >= recovery->tail_offset + OPENED_BYTES_MAX) {
        out->header.segment_bytes = tail->file_bytes;
        return repair_in_place(recovery, out);
    }
    enum status status = STATUS_OK;
#ifdef FRESHET_PLANT_UNSYNCED_TAIL_TRUSTED
    recovery->walked_from = recovery->tail;
#endif
    for (uint32_t i = recovery->walked_from; !clean && i < recovery->tail && status == STATUS_OK;
         i++) {
        status = rewrite_segment(recovery->disk, &recovery->segments[i]);
    }
    if (status == STATUS_OK) {
        status = write_segment(recovery, out, recovery->tail_offset);
    }
    if (status == STATUS_OK) {
        tail->epoch = out->header.epoch;
        tail->file_bytes = out->header.segment_bytes;
    }
    return status;
}

enum status recovery_repair(struct recovery *recovery, const struct journal_options *options,
                            struct recovery_active *out, struct journal_problem *problem)
{
    *out = (struct recovery_active){.file = -1, .offset = SEGMENT_HEADER_BYTES};
    enum status status = remove_leftovers(recovery);
    if (status == STATUS_OK) {
        status = recovery->segment_count == 0 ? repair_new(recovery, options, out)
                                              : repair_old(recovery, options, out);
    }
    if (status != STATUS_OK) {
        return repair_failed(problem, status, RECOVERY_REPAIR_NAME);
    }
    ASSERT(recovery->segment_count == recovery->tail + 1);
    ASSERT(out->file >= 0);
    return STATUS_OK;
}
