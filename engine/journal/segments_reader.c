#include <stdio.h>
#include <stdlib.h>

#include "engine/journal/segments_internal.h"
#include "protocol/base/assert.h"

/*
 * A reader has a file handle and a buffer of its own. While a call reads from a file, the file's
 * segment is pinned in the table, so that it is not recycled under the read; between calls nothing
 * is pinned, so that a reader that is never moved on holds nothing back: it finds its segment gone,
 * and says so.
 */
struct segments_reader {
    struct journal_reader base;
    struct segments *segments;
    uint64_t next_sequence;
    struct segment_view view;
    uint64_t offset;          /* of the next batch in it */
    uint64_t offset_sequence; /* its first sequence */
    uint64_t seen_committed;  /* when the view's buffer was filled */
    uint64_t hint_due;        /* the offset from which it notes another hint */
    /* Entries of the current batch that are still to come. */
    struct reader entries;
    uint32_t entries_left;
    uint64_t entries_epoch;
};

static struct segments_reader *reader_of_base(struct journal_reader *base)
{
    return CONTAINER_OF(base, struct segments_reader, base);
}

/* The segment that holds the sequence, pinned. POSITION_EXPIRED when it is no longer there;
 * NOT_FOUND when nothing ever was. */
static enum status table_pin(struct segments *segments, uint64_t sequence,
                             struct segment_info *info_out)
{
    pthread_mutex_lock(&segments->table_lock);
    enum status status = segments->table_count == 0 ? STATUS_NOT_FOUND : STATUS_POSITION_EXPIRED;
    for (uint32_t i = segments->table_count; i > 0; i--) {
        struct segment_info *info = &segments->table[i - 1];
        if (info->first_sequence <= sequence) {
            info->pins++;
            *info_out = *info;
            status = STATUS_OK;
            break;
        }
    }
    pthread_mutex_unlock(&segments->table_lock);
    return status;
}

static void table_unpin(struct segments *segments, uint64_t number)
{
    pthread_mutex_lock(&segments->table_lock);
    ASSERT(segments->table_count > 0);
    uint64_t index = number - segments->table[0].number;
    ASSERT(index < segments->table_count);
    ASSERT(segments->table[index].pins > 0);
    segments->table[index].pins--;
    pthread_mutex_unlock(&segments->table_lock);
}

enum status segments_reader_create(struct journal *journal, uint64_t from_sequence,
                                   struct journal_reader **out)
{
    struct segments *segments = segments_of(journal);
    *out = NULL;
    uint64_t from = from_sequence == 0 ? 1 : from_sequence;
    struct segment_info info;
    enum status status = table_pin(segments, from, &info);
    if (status == STATUS_POSITION_EXPIRED) {
        return status;
    }
    if (status == STATUS_OK) {
        table_unpin(segments, info.number);
    }
    struct segments_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        return STATUS_NO_MEMORY;
    }
    reader->segments = segments;
    reader->next_sequence = from;
    reader->view.file = -1;
    *out = &reader->base;
    return STATUS_OK;
}

void segments_reader_destroy(struct journal_reader *base)
{
    struct segments_reader *reader = reader_of_base(base);
    segment_view_close(&reader->view);
    free(reader);
}

static enum status reader_failed(struct segments_reader *reader, enum status status,
                                 const char *text)
{
    char name[SEGMENT_NAME_BYTES];
    segment_name(reader->view.number, name);
    return journal_problem_set(&reader->base.problem, status, name, reader->offset, text);
}

/* Goes to a batch at or before the next sequence, unless the reader is in this segment already. */
static enum status reader_enter(struct segments_reader *reader, const struct segment_info *info)
{
    if (reader->view.file >= 0 && reader->view.number == info->number) {
        return STATUS_OK;
    }
    enum status status = segment_view_open(&reader->view, reader->segments->disk, info->number);
    reader->view.store = reader->segments->header.store;
    struct segment_hint hint = segment_hint_for(info, reader->next_sequence);
    reader->offset = hint.offset;
    reader->offset_sequence = hint.sequence;
    reader->hint_due = hint.offset + info->file_bytes / SEGMENT_HINTS;
    return status;
}

/* Whoever begins in this segment after this reader walks less. */
static void reader_note_hint(struct segments_reader *reader, const struct batch_header *header)
{
    if (reader->offset >= reader->hint_due && header->count > 0) {
        segments_hint_add(reader->segments, reader->view.number, header->first_sequence,
                          reader->offset);
        reader->hint_due = reader->offset + reader->view.file_bytes / SEGMENT_HINTS;
    }
}

/* Moves to the batch that holds next_sequence, and verifies it. The segment is pinned. */
static enum status reader_find(struct segments_reader *reader)
{
    ASSERT(reader->offset_sequence <= reader->next_sequence);
    for (;;) {
        /* What the buffer holds beyond what was committed when it was filled may have been written
         * since. */
        if (reader->offset_sequence > reader->seen_committed) {
            reader->seen_committed = journal_committed(&reader->segments->base);
            segment_view_forget(&reader->view);
        }
        struct batch_header header;
        enum status status = segment_view_peek(&reader->view, reader->offset, &header);
        if (status == STATUS_OK && header.first_sequence != reader->offset_sequence) {
            status = STATUS_DAMAGED;
        }
        if (status == STATUS_OK && header.first_sequence + header.count > reader->next_sequence) {
            struct bytes batch;
            uint64_t time_ms;
            status = segment_view_batch(&reader->view, reader->offset, &header, &batch, &time_ms);
            if (status == STATUS_OK) {
                reader->entries = reader_of(batch);
                (void)reader_take(&reader->entries, BATCH_HEADER_BYTES);
                reader->entries_left = header.count;
                reader->entries_epoch = header.epoch;
            }
        }
        if (status == STATUS_NOT_FOUND || status == STATUS_DAMAGED) {
            return reader_failed(reader, STATUS_DAMAGED,
                                 "the batch here is damaged; restore the folder from a backup");
        }
        if (status != STATUS_OK) {
            return reader_failed(reader, status, "the segment cannot be read");
        }
        reader_note_hint(reader, &header);
        reader->offset += header.stored_bytes;
        reader->offset_sequence += header.count;
        if (reader->entries_left > 0) {
            return STATUS_OK;
        }
    }
}

static enum status reader_load(struct segments_reader *reader)
{
    struct segments *segments = reader->segments;
    struct segment_info info;
    enum status status = table_pin(segments, reader->next_sequence, &info);
    if (status != STATUS_OK) {
        return status;
    }
    status = reader_enter(reader, &info);
    status = status == STATUS_OK ? reader_find(reader)
                                 : reader_failed(reader, status, "the segment cannot be opened");
#ifdef FRESHET_PLANT_SKIPPED_ENTRY
    reader->next_sequence += info.number > 1 && info.first_sequence == reader->next_sequence;
#endif
    table_unpin(segments, info.number);
    return status;
}

enum status segments_reader_next(struct journal_reader *base, struct entry *entry_out)
{
    struct segments_reader *reader = reader_of_base(base);
    for (;;) {
        if (reader->next_sequence > journal_committed(&reader->segments->base)) {
            return STATUS_NOT_FOUND;
        }
        if (reader->entries_left == 0) {
            enum status status = reader_load(reader);
            if (status != STATUS_OK) {
                return status;
            }
        }
        ASSERT(reader->entries_left > 0);
        reader->entries_left--;
        size_t size = entry_stored_size(reader->entries.data + reader->entries.offset);
        enum status status = entry_view(reader_bytes(&reader->entries, size), entry_out);
        ASSERT(status == STATUS_OK); /* the batch was verified, entry by entry */
        entry_out->epoch = reader->entries_epoch;
        if (entry_out->sequence == reader->next_sequence) {
            reader->next_sequence++;
            return STATUS_OK;
        }
        ASSERT(entry_out->sequence < reader->next_sequence);
    }
}
