/*
 * Places in the journal: what is pinned, how far behind a sequence is, where a time begins.
 *
 * All of it is read from the table of segments. Within a segment a batch is found by its hints: a
 * reader that walked past it, or the writer, has noted one for each part of the file.
 */
#include "engine/journal/segments_internal.h"
#include "protocol/base/assert.h"

/* The lock protects what is read; the journal itself stays as it is. */
static pthread_mutex_t *table_lock_of(const struct journal *journal)
{
    return &segments_of((struct journal *)(uintptr_t)journal)->table_lock;
}

void segments_oldest(const struct journal *journal, struct position *out)
{
    const struct segments *segments = CONTAINER_OF(journal, struct segments, base);
    /* Sequences that are there are the same under every later epoch. */
    *out = (struct position){.store_id = journal->store_id, .epoch = journal->epoch};
    pthread_mutex_lock(table_lock_of(journal));
    if (segments->table_count > 0) {
        out->sequence = segments->table[0].first_sequence - 1;
    }
    pthread_mutex_unlock(table_lock_of(journal));
}

/* ---- pins ---- */

enum status segments_pin(struct journal *journal, uint64_t sequence, struct journal_pin *pin)
{
    struct segments *segments = segments_of(journal);
    uint64_t wanted = sequence == 0 ? 1 : sequence;
    pthread_mutex_lock(&segments->table_lock);
    bool there = segments->table_count == 0 || segments->table[0].first_sequence <= wanted;
    if (there) {
        pin->sequence = wanted;
        link_init(&pin->link);
        list_push_back(&segments->pins, &pin->link);
    }
    pthread_mutex_unlock(&segments->table_lock);
    return there ? STATUS_OK : STATUS_POSITION_EXPIRED;
}

void segments_unpin(struct journal *journal, struct journal_pin *pin)
{
    struct segments *segments = segments_of(journal);
    pthread_mutex_lock(&segments->table_lock);
    ASSERT(pin->sequence > 0);
    ASSERT(link_is_linked(&pin->link));
    link_remove(&pin->link);
    pin->sequence = 0;
    pthread_mutex_unlock(&segments->table_lock);
}

uint64_t segments_pinned_from(const struct segments *segments)
{
    uint64_t lowest = UINT64_MAX;
    for (const struct link *at = segments->pins.next; at != &segments->pins; at = at->next) {
        const struct journal_pin *pin = CONTAINER_OF(at, struct journal_pin, link);
        lowest = pin->sequence < lowest ? pin->sequence : lowest;
    }
    return lowest;
}

/* ---- hints ---- */

static uint32_t hint_slot(const struct segment_info *info, uint64_t offset)
{
    ASSERT(offset < info->file_bytes);
    return (uint32_t)(offset / (info->file_bytes / SEGMENT_HINTS + 1));
}

void segments_hint_add(struct segments *segments, uint64_t number, uint64_t sequence,
                       uint64_t offset)
{
    ASSERT(sequence > 0);
    ASSERT(offset >= SEGMENT_HEADER_BYTES);
    pthread_mutex_lock(&segments->table_lock);
    uint64_t first = segments->table_count > 0 ? segments->table[0].number : UINT64_MAX;
    if (number >= first && number - first < segments->table_count) {
        struct segment_info *info = &segments->table[number - first];
        uint32_t slot = hint_slot(info, offset);
        if (info->hints[slot].sequence == 0) {
            info->hints[slot] = (struct segment_hint){.sequence = sequence, .offset = offset};
        }
    }
    pthread_mutex_unlock(&segments->table_lock);
}

struct segment_hint segment_hint_for(const struct segment_info *info, uint64_t sequence)
{
    ASSERT(info->first_sequence <= sequence);
    for (uint32_t i = SEGMENT_HINTS; i > 0; i--) {
        const struct segment_hint *hint = &info->hints[i - 1];
        if (hint->sequence != 0 && hint->sequence <= sequence) {
            return *hint;
        }
    }
    return (struct segment_hint){.sequence = info->first_sequence, .offset = SEGMENT_HEADER_BYTES};
}

/* ---- lag ---- */

/* Bytes of a segment's entries after the sequence, if all were of one size. */
static uint64_t info_bytes_after(uint64_t bytes, uint64_t first, uint64_t end, uint64_t sequence)
{
    ASSERT(first <= end);
    if (sequence < first) {
        return bytes;
    }
    if (sequence + 1 >= end) {
        return 0;
    }
    return (uint64_t)((double)bytes * (double)(end - 1 - sequence) / (double)(end - first));
}

uint64_t segments_bytes_behind(const struct journal *journal, uint64_t sequence)
{
    const struct segments *segments = CONTAINER_OF(journal, struct segments, base);
    uint64_t behind = 0;
    pthread_mutex_lock(table_lock_of(journal));
    uint64_t end = journal_committed(journal) + 1;
    for (uint32_t i = segments->table_count; i > 0 && sequence + 1 < end; i--) {
        const struct segment_info *info = &segments->table[i - 1];
        uint64_t bytes = info->used_bytes > 0 ? info->used_bytes : info->file_bytes;
        if (i == segments->table_count) {
            bytes = atomic_load_explicit(&segments->active_bytes, memory_order_relaxed);
        }
        if (info->first_sequence < end) {
            behind += info_bytes_after(bytes, info->first_sequence, end, sequence);
            end = info->first_sequence;
        }
    }
    pthread_mutex_unlock(table_lock_of(journal));
    return behind;
}

/* ---- times ---- */

/* The segment in which the first entry of that time, or later, stands; or the one before it ends
 * with older ones. POSITION_EXPIRED when such an entry may have been trimmed. */
static enum status table_find_time(struct segments *segments, uint64_t time_ms, uint64_t *from_out)
{
    pthread_mutex_lock(&segments->table_lock);
    enum status status = STATUS_OK;
    *from_out = 1;
    if (segments->table_count > 0) {
        uint32_t low = 0; /* the last whose entry before the first is older */
        uint32_t high = segments->table_count;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (segments->table[middle].last_time_ms < time_ms) {
                low = middle;
            } else {
                high = middle;
            }
        }
        const struct segment_info *info = &segments->table[low];
        *from_out = info->first_sequence;
        if (info->first_sequence > 1 && info->last_time_ms >= time_ms) {
            status = STATUS_POSITION_EXPIRED;
        }
    }
    pthread_mutex_unlock(&segments->table_lock);
    return status;
}

enum status segments_find_time(struct journal *journal, uint64_t time_ms, uint64_t *sequence_out)
{
    uint64_t from;
    *sequence_out = 0;
    enum status status = table_find_time(segments_of(journal), time_ms, &from);
    if (status != STATUS_OK) {
        return status;
    }
    struct journal_reader *reader;
    status = journal_reader_create(journal, from, &reader);
    if (status != STATUS_OK) {
        return status;
    }
    struct entry entry;
    while ((status = journal_reader_next(journal, reader, &entry)) == STATUS_OK &&
           entry.time_ms < time_ms) {
        from = entry.sequence + 1;
    }
    journal_reader_destroy(journal, reader);
    *sequence_out = from;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}
