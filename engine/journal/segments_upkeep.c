#include <stdlib.h>

#include "engine/journal/segments_internal.h"
#include "protocol/base/assert.h"

/* ---- the table of segments ---- */

bool segments_table_append(struct segments *segments, const struct segment_info *info)
{
    bool appended = true;
    pthread_mutex_lock(&segments->table_lock);
    ASSERT(segments->table_count > 0);
    ASSERT(segments->table[segments->table_count - 1].number + 1 == info->number);
    if (segments->table_count == segments->table_capacity) {
        uint32_t capacity = 2 * segments->table_capacity;
        struct segment_info *table =
            capacity > DISK_FILES_MAX
                ? NULL
                : realloc(segments->table, capacity * sizeof(segments->table[0]));
        appended = table != NULL;
        if (appended) {
            segments->table = table;
            segments->table_capacity = capacity;
        }
    }
    if (appended) {
        segments->table[segments->table_count - 1].used_bytes = segments->active_offset;
        segments->table[segments->table_count++] = *info;
    }
    pthread_mutex_unlock(&segments->table_lock);
    return appended;
}

/* How many of the oldest segments nobody needs: below what the stores need and what is pinned,
 * outside retention, not being read. The active one always stays. */
static uint32_t table_unneeded(const struct segments *segments)
{
    uint64_t needed_from = atomic_load_explicit(&segments->needed_from, memory_order_acquire);
    uint64_t pinned_from = segments_pinned_from(segments);
#ifdef FRESHET_PLANT_PIN_IGNORED
    pinned_from = UINT64_MAX;
#endif
    needed_from = pinned_from < needed_from ? pinned_from : needed_from;
    uint64_t total_bytes = 0;
    for (uint32_t i = 0; i < segments->table_count; i++) {
        total_bytes += segments->table[i].file_bytes;
    }
    uint32_t unneeded = 0;
    for (; unneeded + 1 < segments->table_count; unneeded++) {
        const struct segment_info *info = &segments->table[unneeded];
        const struct segment_info *next = info + 1;
        bool too_much = total_bytes > segments->options.retention_bytes;
        bool too_old = next->last_time_ms < segments->wall_ms &&
                       segments->wall_ms - next->last_time_ms > segments->options.retention_ms;
        if (next->first_sequence > needed_from || info->pins > 0 || (!too_much && !too_old)) {
            break;
        }
        total_bytes -= info->file_bytes;
    }
    return unneeded;
}

static void retention_run(struct segments *segments)
{
    pthread_mutex_lock(&segments->table_lock);
    uint32_t unneeded = table_unneeded(segments);
    if (unneeded > 0) {
        ASSERT(unneeded < segments->table_count);
        if (segments->released_from == segments->released_to) {
            segments->released_from = segments->table[0].number;
        }
        segments->released_to = segments->table[unneeded].number;
        segments->table_count -= unneeded;
        memmove(segments->table, segments->table + unneeded,
                segments->table_count * sizeof(segments->table[0]));
    }
    pthread_mutex_unlock(&segments->table_lock);
}

/* ---- the job, on a store thread ---- */

/* Gives the file of a released segment the new name. Its old bytes validate under no other number.
 * NOT_FOUND: it cannot be used, and is gone. */
static enum status job_recycle(struct segments_upkeep *upkeep, struct disk *disk, uint64_t size,
                               const char *name)
{
    char old_name[SEGMENT_NAME_BYTES];
    segment_name(upkeep->recycle_number, old_name);
    int file;
    enum status status = disk->vtable->open(disk, old_name, false, &file);
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t file_bytes = 0;
    status = disk->vtable->size(disk, file, &file_bytes);
    if (status == STATUS_OK && file_bytes == size) {
        status = disk->vtable->rename(disk, old_name, name);
    } else if (status == STATUS_OK) {
        status = disk->vtable->remove(disk, old_name);
        upkeep->recycled = status == STATUS_OK;
        status = status == STATUS_OK ? STATUS_NOT_FOUND : status;
    }
    if (status != STATUS_OK) {
        disk->vtable->close(disk, file);
        return status;
    }
    upkeep->recycled = true;
    upkeep->prepared_file = file;
    return STATUS_OK;
}

static enum status job_create(struct segments_upkeep *upkeep, struct disk *disk, uint64_t size,
                              const char *name)
{
    int file;
    enum status status = disk->vtable->open(disk, RECOVERY_PREPARE_NAME, true, &file);
    if (status != STATUS_OK) {
        return status;
    }
    status = disk->vtable->allocate(disk, file, size);
    if (status == STATUS_OK) {
        status = disk->vtable->sync(disk, file);
    }
    if (status == STATUS_OK) {
        status = disk->vtable->rename(disk, RECOVERY_PREPARE_NAME, name);
    }
    if (status != STATUS_OK) {
        /* What was taken of a full disk is given back; a failure of that leaves a file that the
         * next start removes. */
        disk->vtable->close(disk, file);
        (void)disk->vtable->remove(disk, RECOVERY_PREPARE_NAME);
        return status;
    }
    upkeep->prepared_file = file;
    return STATUS_OK;
}

static enum status job_prepare(struct segments_upkeep *upkeep, struct disk *disk, uint64_t size)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(upkeep->prepare_number, name);
    enum status status = STATUS_NOT_FOUND;
    if (upkeep->recycle_number > 0) {
        status = job_recycle(upkeep, disk, size, name);
    }
    if (status == STATUS_NOT_FOUND) {
        status = job_create(upkeep, disk, size, name);
    }
    if (status == STATUS_OK) {
        status = disk->vtable->sync_folder(disk);
    }
    if (status != STATUS_OK && upkeep->prepared_file >= 0) {
        disk->vtable->close(disk, upkeep->prepared_file);
        upkeep->prepared_file = -1;
    }
    return status;
}

/* Lowest first, each on stable storage before the next, so that no crash leaves a gap. */
static void job_remove(struct segments_upkeep *upkeep, struct disk *disk)
{
    while (upkeep->removed_to < upkeep->remove_to) {
        char name[SEGMENT_NAME_BYTES];
        segment_name(upkeep->removed_to, name);
        enum status status = disk->vtable->remove(disk, name);
        if ((status != STATUS_OK && status != STATUS_NOT_FOUND) ||
            disk->vtable->sync_folder(disk) != STATUS_OK) {
            return;
        }
        upkeep->removed_to++;
    }
}

static void job_run(struct store_job *job)
{
    struct segments_upkeep *upkeep = CONTAINER_OF(job, struct segments_upkeep, job);
    const struct segments *segments = CONTAINER_OF(upkeep, struct segments, upkeep);
    struct disk *disk = segments->disk;
    if (upkeep->close_file >= 0) {
        disk->vtable->close(disk, upkeep->close_file);
    }
    if (upkeep->prepare_number > 0) {
        upkeep->prepare_status = job_prepare(upkeep, disk, segments->options.segment_bytes);
    }
    job_remove(upkeep, disk);
    if (upkeep->wanted_free_bytes) {
        upkeep->free_status = disk->vtable->free_bytes(disk, &upkeep->free_bytes);
    }
}

/* ---- the writer's side ---- */

static void refusing_update(struct segments *segments)
{
    enum status why = STATUS_OK;
    if (segments->next == NEXT_FAILED) {
        why = segments->next_status;
    } else if (segments->below_reserve) {
        why = STATUS_BUSY;
    }
    atomic_store_explicit(&segments->base.refusing, (uint32_t)why, memory_order_release);
}

void segments_retire(struct segments *segments, int file)
{
    ASSERT(file >= 0);
    if (segments->retired_file >= 0) {
        segments->disk->vtable->close(segments->disk, segments->retired_file);
    }
    segments->retired_file = file;
}

static void upkeep_finished(struct segments *segments)
{
    struct segments_upkeep *upkeep = &segments->upkeep;
    ASSERT(upkeep->running);
    upkeep->running = false;
    if (upkeep->recycled) {
        ASSERT(segments->released_from == upkeep->recycle_number);
        segments->released_from++;
    }
    if (upkeep->removed_to > segments->released_from) {
        ASSERT(upkeep->removed_to <= segments->released_to);
        segments->released_from = upkeep->removed_to;
    }
    if (upkeep->prepare_number > 0) {
        ASSERT(segments->next == NEXT_PREPARING || segments->next == NEXT_FAILED);
        segments->next_status = upkeep->prepare_status;
        segments->next_file = upkeep->prepared_file;
        segments->next = upkeep->prepare_status == STATUS_OK ? NEXT_READY : NEXT_FAILED;
        segments->next_retry_ns = segments->now_ns + UPKEEP_INTERVAL_NS;
    }
    if (upkeep->wanted_free_bytes) {
        segments->below_reserve = upkeep->free_status == STATUS_OK &&
                                  upkeep->free_bytes < segments->options.disk_reserve_bytes;
    }
    refusing_update(segments);
}

static void upkeep_received(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct segments_upkeep *upkeep = CONTAINER_OF(job, struct segments_upkeep, job);
    upkeep_finished(CONTAINER_OF(upkeep, struct segments, upkeep));
}

static void upkeep_submit(struct segments *segments)
{
    struct segments_upkeep *upkeep = &segments->upkeep;
    upkeep->running = true;
    upkeep->job = (struct store_job){
        .message = {.receive = upkeep_received}, .reply_to = &segments->base.inbox, .run = job_run};
    if (segments->options.executor != NULL) {
        executor_submit(segments->options.executor, &upkeep->job);
        return;
    }
    job_run(&upkeep->job);
    upkeep_finished(segments);
}

/* A released segment is recycled if a new one is needed; the others are removed. */
static void upkeep_fill(struct segments *segments, bool prepare, bool due)
{
    struct segments_upkeep *upkeep = &segments->upkeep;
    *upkeep = (struct segments_upkeep){.close_file = segments->retired_file, .prepared_file = -1};
    segments->retired_file = -1;
    upkeep->wanted_free_bytes = due && segments->options.disk_reserve_bytes > 0;
    upkeep->remove_from = segments->released_from;
    upkeep->remove_to = segments->released_to;
    if (prepare) {
        upkeep->prepare_number = segments->header.number + 1;
        segments->next = segments->next == NEXT_FAILED ? NEXT_FAILED : NEXT_PREPARING;
        if (segments->released_from < segments->released_to) {
            upkeep->recycle_number = segments->released_from;
            upkeep->remove_from++;
        }
    }
    upkeep->removed_to = upkeep->remove_from;
    if (upkeep->recycle_number > 0) {
        /* Its turn comes first; should it fail, what is above it must stay. */
        upkeep->remove_to = upkeep->remove_from;
    }
}

bool segments_upkeep_step(struct segments *segments)
{
    bool read_only = atomic_load_explicit(&segments->base.read_only, memory_order_relaxed);
    if (segments->upkeep.running || read_only) {
        return false;
    }
    uint64_t written =
        atomic_load_explicit(&segments->counters.bytes_written, memory_order_relaxed);
    uint64_t reserve_bytes = segments->options.disk_reserve_bytes;
    bool much = reserve_bytes > 0 &&
                written - segments->upkeep_bytes >= reserve_bytes / UPKEEP_RESERVE_PARTS;
    bool due = much || segments->now_ns >= segments->upkeep_due_ns;
    bool retry = segments->next == NEXT_FAILED && segments->now_ns >= segments->next_retry_ns;
    bool prepare = segments->next == NEXT_NONE || retry;
    if (due || prepare) {
        retention_run(segments);
    }
    if (due) {
        segments->upkeep_due_ns = segments->now_ns + UPKEEP_INTERVAL_NS;
        segments->upkeep_bytes = written;
    }
    bool reserve = due && reserve_bytes > 0;
    bool remove = due && segments->released_from < segments->released_to;
    if (!prepare && !reserve && !remove) {
        return false;
    }
    upkeep_fill(segments, prepare, due);
    upkeep_submit(segments);
    return !segments->upkeep.running;
}

uint64_t segments_upkeep_due(const struct segments *segments)
{
    bool read_only = atomic_load_explicit(&segments->base.read_only, memory_order_relaxed);
    if (read_only || segments->upkeep.running) {
        return UINT64_MAX;
    }
    uint64_t due = UINT64_MAX;
    if (segments->options.disk_reserve_bytes > 0 || segments->table_count > 1) {
        due = segments->upkeep_due_ns;
    }
    if (segments->next == NEXT_FAILED && segments->next_retry_ns < due) {
        due = segments->next_retry_ns;
    }
    return due;
}
