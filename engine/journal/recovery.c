#include "engine/journal/recovery.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/base/assert.h"

#define SEGMENTS_FIRST 64u

enum status journal_problem_set(struct journal_problem *problem, enum status status,
                                const char *file, uint64_t offset, const char *text)
{
    ASSERT(status != STATUS_OK);
    *problem = (struct journal_problem){.offset = offset};
    if (file == NULL) {
        snprintf(problem->text, sizeof(problem->text), "journal: %s", text);
        return status;
    }
    snprintf(problem->file, sizeof(problem->file), "%s", file);
    snprintf(problem->text, sizeof(problem->text), "journal, file %s, offset %llu: %s", file,
             (unsigned long long)offset, text);
    return status;
}

static enum status problem_in(struct journal_problem *problem, enum status status, uint64_t number,
                              uint64_t offset, const char *text)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(number, name);
    return journal_problem_set(problem, status, name, offset, text);
}

void recovery_deinit(struct recovery *recovery)
{
    free(recovery->segments);
    *recovery = (struct recovery){0};
}

/* ---- which files there are ---- */

static enum status scan_visit(void *context, const char *name)
{
    struct recovery *recovery = context;
    uint64_t number;
    if (!segment_name_parse(name, &number)) {
        return STATUS_OK;
    }
    if (recovery->segment_count == recovery->segment_capacity) {
        uint32_t capacity =
            recovery->segment_capacity == 0 ? SEGMENTS_FIRST : 2 * recovery->segment_capacity;
        if (capacity > DISK_FILES_MAX) {
            return STATUS_TOO_LARGE;
        }
        struct segment_info *segments =
            realloc(recovery->segments, capacity * sizeof(recovery->segments[0]));
        if (segments == NULL) {
            return STATUS_NO_MEMORY;
        }
        recovery->segments = segments;
        recovery->segment_capacity = capacity;
    }
    recovery->segments[recovery->segment_count++] = (struct segment_info){.number = number};
    return STATUS_OK;
}

static int segment_order(const void *a, const void *b)
{
    uint64_t left = ((const struct segment_info *)a)->number;
    uint64_t right = ((const struct segment_info *)b)->number;
    return (left > right) - (left < right);
}

/* Whether a segment's header goes on from the header before it. */
static const char *header_mismatch(const struct segment_header *before,
                                   const struct segment_header *header)
{
    if (memcmp(&before->store, &header->store, sizeof(header->store)) != 0) {
        return "the segment belongs to another store; remove what does not belong into this folder";
    }
    if (header->number != before->number + 1) {
        return "the segment before this one is missing; restore the folder from a backup";
    }
    if (header->first_sequence < before->first_sequence || header->epoch < before->epoch) {
        return "the header contradicts the segment before; restore the folder from a backup";
    }
    return NULL;
}

static void segment_info_fill(struct segment_info *info, const struct segment_header *header,
                              uint64_t file_bytes)
{
    *info = (struct segment_info){.number = header->number,
                                  .epoch = header->epoch,
                                  .first_sequence = header->first_sequence,
                                  .last_time_ms = header->last_time_ms,
                                  .durable_through = header->durable_through,
                                  .previous_checksum = header->previous_checksum,
                                  .file_bytes = file_bytes};
}

/* Reads the header of every file. The last file may be one that was prepared and not yet used; no
 * other may lack its header, because a header is on stable storage before anything else is written
 * into or after its segment. */
static enum status scan_headers(struct recovery *recovery, struct segment_view *view,
                                struct journal_problem *problem)
{
    struct segment_header header;
    for (uint32_t i = 0; i < recovery->segment_count; i++) {
        struct segment_info *info = &recovery->segments[i];
        bool last = i + 1 == recovery->segment_count;
        enum status status = segment_view_open(view, recovery->disk, info->number);
        if (status == STATUS_OK) {
            status = segment_view_header(view, &header);
        }
        if (status == STATUS_NOT_FOUND && last) {
            recovery->prepared_number = info->number;
            recovery->segment_count--;
            break;
        }
        if (status == STATUS_NOT_FOUND) {
            return problem_in(problem, STATUS_DAMAGED, info->number, 0,
                              "the segment's header is damaged; restore the folder from a backup");
        }
        if (status == STATUS_UNSUPPORTED) {
            return problem_in(problem, status, info->number, 0,
                              "written by a newer version of freshet; start that version");
        }
        if (status != STATUS_OK) {
            return problem_in(problem, status, info->number, 0, "the segment cannot be read");
        }
        const char *mismatch = i == 0 ? NULL : header_mismatch(&recovery->newest, &header);
        if (mismatch != NULL) {
            return problem_in(problem, STATUS_DAMAGED, info->number, 0, mismatch);
        }
        recovery->newest = header;
        segment_info_fill(info, &header, view->file_bytes);
    }
    return STATUS_OK;
}

/* ---- the chain of batches ---- */

/* Follows the chain through the segment at recovery->tail. OK at its end, which is at
 * recovery->tail_offset. */
static enum status walk_segment(struct recovery *recovery, struct segment_view *view,
                                struct journal_problem *problem)
{
    const struct segment_info *info = &recovery->segments[recovery->tail];
    enum status status = segment_view_open(view, recovery->disk, info->number);
    recovery->tail_offset = SEGMENT_HEADER_BYTES;
    while (status == STATUS_OK) {
        struct batch_header header;
        struct bytes batch;
        uint64_t last_time_ms = 0;
        status = segment_view_batch(view, recovery->tail_offset, &header, &batch, &last_time_ms);
        bool chained = status == STATUS_OK &&
                       header.first_sequence == recovery->last_sequence + 1 &&
                       header.previous_checksum == recovery->last_checksum &&
                       header.epoch >= recovery->last_epoch && header.epoch <= info->epoch;
        if (status == STATUS_NOT_FOUND || status == STATUS_DAMAGED || (!chained && !status)) {
            recovery->later_batches = status != STATUS_NOT_FOUND;
            return STATUS_OK;
        }
        if (chained) {
            recovery->last_sequence += header.count;
            recovery->last_checksum = header.header_checksum;
            recovery->last_epoch = header.epoch;
            recovery->last_time_ms = header.count > 0 ? last_time_ms : recovery->last_time_ms;
            recovery->recovered.tail =
                header.kind == BATCH_CLEAN ? JOURNAL_TAIL_CLEAN : JOURNAL_TAIL_UNCLEAN;
            recovery->tail_offset += header.stored_bytes;
        }
    }
    return problem_in(problem, status, info->number, recovery->tail_offset,
                      "the segment cannot be read");
}

/* Finds the end of the journal: everything up to the newest durable_through is whole, or it is
 * damage. */
static enum status walk(struct recovery *recovery, const struct recovery_options *options,
                        struct segment_view *view, struct journal_problem *problem)
{
    uint32_t start = recovery->segment_count - 1;
    uint64_t durable = recovery->segments[start].durable_through;
    while (start > 0 &&
           (options->verify_all || recovery->segments[start].first_sequence > durable + 1)) {
        start--;
    }
    const struct segment_info *first = &recovery->segments[start];
    recovery->walked_from = start;
    recovery->tail = start;
    recovery->last_sequence = first->first_sequence - 1;
    recovery->last_checksum = first->previous_checksum;
    recovery->last_time_ms = first->last_time_ms;
    recovery->recovered.tail = JOURNAL_TAIL_UNCLEAN;
    for (;;) {
        enum status status = walk_segment(recovery, view, problem);
        if (status != STATUS_OK) {
            return status;
        }
        const struct segment_info *next = &recovery->segments[recovery->tail + 1];
        if (recovery->tail + 1 == recovery->segment_count ||
            next->first_sequence != recovery->last_sequence + 1 ||
            next->previous_checksum != recovery->last_checksum) {
            return STATUS_OK;
        }
        recovery->tail++;
    }
}

/* ---- torn, or damaged ---- */

static enum status damaged_at_end(const struct recovery *recovery, struct journal_problem *problem,
                                  const char *text)
{
    return problem_in(problem, STATUS_DAMAGED, recovery->segments[recovery->tail].number,
                      recovery->tail_offset, text);
}

#define DAMAGED_BATCH                                                                              \
    "the batch here is damaged, and later data says that it was on stable storage, so it is not "  \
    "the torn end of a crash; restore the folder from a backup"

/* Looks for batches in a segment from offset on: the chain does not reach them, but they say what
 * was durable. */
static enum status search_segment(struct recovery *recovery, struct segment_view *view,
                                  uint64_t number, uint64_t offset, struct journal_problem *problem)
{
    enum status status = segment_view_open(view, recovery->disk, number);
    if (status != STATUS_OK) {
        return problem_in(problem, status, number, 0, "the segment cannot be read");
    }
    for (; offset + SEGMENT_BLOCK_BYTES <= view->file_bytes; offset += SEGMENT_BLOCK_BYTES) {
        struct batch_header header;
        status = segment_view_peek(view, offset, &header);
        if (status == STATUS_NOT_FOUND) {
            continue;
        }
        if (status != STATUS_OK) {
            return problem_in(problem, status, number, offset, "the segment cannot be read");
        }
        if (header.durable_through > recovery->last_sequence) {
            return damaged_at_end(recovery, problem, DAMAGED_BATCH);
        }
        if (header.count > 0 && batch_last_sequence(&header) <= recovery->last_sequence) {
            return problem_in(problem, STATUS_DAMAGED, number, offset,
                              "a batch that belongs before the end of the journal stands after it; "
                              "restore the folder from a backup");
        }
        recovery->later_batches = true;
    }
    return STATUS_OK;
}

static enum status judge_end(struct recovery *recovery, const struct recovery_options *options,
                             struct segment_view *view, struct journal_problem *problem)
{
    uint64_t offset = recovery->tail_offset;
    for (uint32_t i = recovery->tail; i < recovery->segment_count; i++) {
        if (recovery->segments[i].durable_through > recovery->last_sequence) {
            return damaged_at_end(recovery, problem, DAMAGED_BATCH);
        }
        recovery->later_batches = recovery->later_batches || i > recovery->tail;
        enum status status =
            search_segment(recovery, view, recovery->segments[i].number, offset, problem);
        if (status != STATUS_OK) {
            return status;
        }
        offset = SEGMENT_HEADER_BYTES;
    }
    if (recovery->prepared_number > 0) {
        enum status status = search_segment(recovery, view, recovery->prepared_number,
                                            SEGMENT_HEADER_BYTES, problem);
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; options->persisted_sequence != NULL && i < options->shard_count; i++) {
        if (options->persisted_sequence[i] > recovery->last_sequence) {
            return damaged_at_end(
                recovery, problem,
                "the store is ahead of the journal, which ends here: the journal "
                "has lost what was on stable storage; restore both from a backup");
        }
    }
    if (recovery->later_batches) {
        recovery->recovered.tail = JOURNAL_TAIL_TORN;
    }
    return STATUS_OK;
}

/* A folder without a journal is a new one, unless a store says that there was a journal. */
static enum status judge_empty(const struct recovery *recovery,
                               const struct recovery_options *options,
                               struct journal_problem *problem)
{
    if (recovery->prepared_number > 1) {
        return problem_in(problem, STATUS_DAMAGED, recovery->prepared_number, 0,
                          "no segment with a whole header; restore the folder from a backup");
    }
    for (uint32_t i = 0; options->persisted_sequence != NULL && i < options->shard_count; i++) {
        if (options->persisted_sequence[i] > 0) {
            return journal_problem_set(problem, STATUS_DAMAGED, NULL, 0,
                                       "there is no segment, but a store that has applied one: the "
                                       "store is ahead of the journal; restore both from a backup");
        }
    }
    return STATUS_OK;
}

static enum status scan(struct recovery *recovery, const struct recovery_options *options,
                        struct segment_view *view, struct journal_problem *problem)
{
    enum status status = recovery->disk->vtable->list(recovery->disk, scan_visit, recovery);
    if (status != STATUS_OK) {
        return journal_problem_set(problem, status, NULL, 0, "the folder cannot be listed");
    }
    if (recovery->segment_count > 0) {
        qsort(recovery->segments, recovery->segment_count, sizeof(recovery->segments[0]),
              segment_order);
    }
    status = scan_headers(recovery, view, problem);
    if (status != STATUS_OK) {
        return status;
    }
    if (recovery->segment_count == 0) {
        return judge_empty(recovery, options, problem);
    }
    if (recovery->prepared_number > 0 && recovery->prepared_number != recovery->newest.number + 1) {
        return problem_in(
            problem, STATUS_DAMAGED, recovery->prepared_number, 0,
            "the segment before this one is missing; restore the folder from a backup");
    }
    view->store = recovery->newest.store;
    recovery->recovered.epochs = recovery->newest.epoch;
    status = walk(recovery, options, view, problem);
    if (status != STATUS_OK) {
        return status;
    }
    recovery->recovered.end_offset = recovery->tail_offset;
    char name[SEGMENT_NAME_BYTES];
    segment_name(recovery->segments[recovery->tail].number, name);
    memcpy(recovery->recovered.end_file, name, sizeof(name));
    return judge_end(recovery, options, view, problem);
}

enum status recovery_scan(const struct recovery_options *options, struct recovery *out,
                          struct journal_problem *problem)
{
    ASSERT(options->shard_count <= SHARD_COUNT_MAX);
    *out = (struct recovery){.disk = options->disk};
    *problem = (struct journal_problem){0};
    struct segment_view view = {.file = -1};
    enum status status = scan(out, options, &view, problem);
    segment_view_close(&view);
    ASSERT(status == STATUS_OK || problem->text[0] != '\0');
    return status;
}
