/*
 * The blocks stand in a ring, oldest first. The lock protects the ring; what is in a block is not
 * protected by it: the writer only ever adds behind what readers may look at, and `last` tells them
 * how far that is.
 *
 *     block:  entry entry entry entry ->   ...room...   <- offset offset offset offset
 *             in the journal's form                        of the entries, the first one last
 */
#include "engine/journal/recent.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "protocol/base/assert.h"

#define OFFSET_BYTES sizeof(uint32_t)

struct recent_block {
    _Atomic uint32_t references;
    uint32_t capacity; /* of bytes; a multiple of OFFSET_BYTES */
    uint64_t epoch;
    uint64_t first;
    _Atomic uint64_t last; /* first - 1: none yet. Moved on when the entry is in place */
    uint32_t used;         /* by entries; whoever fills the block knows */
    uint8_t bytes[];
};

struct recent {
    pthread_mutex_t lock;
    /* The writer's; the ring is read by others under the lock. */
    struct recent_block **ring;
    uint32_t ring_size;
    uint32_t oldest; /* place in the ring */
    uint32_t count;
    uint64_t bytes; /* of all blocks in the ring */
    uint64_t bytes_max;
    struct recent_block *spare; /* one that went, for the next: fresh memory is dear */
    _Atomic uint64_t next;      /* the sequence to be appended next; 0: any */
};

/* ---- a block ---- */

enum status recent_block_create(size_t capacity, struct recent_block **out)
{
    *out = NULL;
    ASSERT(capacity <= UINT32_MAX - OFFSET_BYTES);
    size_t rounded = (capacity + OFFSET_BYTES - 1) / OFFSET_BYTES * OFFSET_BYTES;
    struct recent_block *block = malloc(sizeof(*block) + rounded);
    if (block == NULL) {
        return STATUS_NO_MEMORY;
    }
    atomic_init(&block->references, 1);
    block->capacity = (uint32_t)rounded;
    block->epoch = 0;
    block->first = 0;
    atomic_init(&block->last, 0);
    block->used = 0;
    *out = block;
    return STATUS_OK;
}

static void block_ref(struct recent_block *block)
{
    uint32_t before = atomic_fetch_add_explicit(&block->references, 1, memory_order_relaxed);
    ASSERT(before > 0);
}

void recent_block_unref(struct recent_block *block)
{
    uint32_t before = atomic_fetch_sub_explicit(&block->references, 1, memory_order_acq_rel);
    ASSERT(before > 0);
    if (before == 1) {
        free(block);
    }
}

static uint8_t *offset_place(struct recent_block *block, uint64_t index)
{
    return block->bytes + block->capacity - (index + 1) * OFFSET_BYTES;
}

static uint64_t block_last(const struct recent_block *block)
{
    return atomic_load_explicit(&block->last, memory_order_acquire);
}

static bool block_is_empty(const struct recent_block *block)
{
    return block->first == 0;
}

/* False: no room, or it does not follow what the block holds. */
static bool block_put(struct recent_block *block, uint64_t epoch, uint64_t sequence,
                      struct bytes encoded)
{
    ASSERT(sequence > 0);
    ASSERT(encoded.size > ENTRY_HEADER_BYTES);
    uint64_t count = 0;
    if (!block_is_empty(block)) {
        uint64_t last = atomic_load_explicit(&block->last, memory_order_relaxed);
        count = last + 1 - block->first;
        if (block->epoch != epoch || sequence != last + 1) {
            return false;
        }
    }
    if (encoded.size + (count + 1) * OFFSET_BYTES > block->capacity - block->used) {
        return false;
    }
    memcpy(block->bytes + block->used, encoded.data, encoded.size);
    put_u32(offset_place(block, count), block->used);
    /* The offsets so far stand behind the room, so used does not count them. */
    block->used += (uint32_t)encoded.size;
    if (count == 0) {
        block->epoch = epoch;
        block->first = sequence;
    }
    atomic_store_explicit(&block->last, sequence, memory_order_release);
    return true;
}

bool recent_block_add(struct recent_block *block, const struct entry *entry, struct bytes encoded)
{
    return block_put(block, entry->epoch, entry->sequence, encoded);
}

bool recent_block_range(const struct recent_block *block, uint64_t *first_out, uint64_t *last_out)
{
    *first_out = block->first;
    *last_out = block_last(block);
    return !block_is_empty(block);
}

/* ---- the ring ---- */

enum status recent_create(uint64_t bytes_max, struct recent **out)
{
    *out = NULL;
    uint64_t least = 2ull * RECENT_BLOCK_BYTES;
    struct recent *recent = calloc(1, sizeof(*recent));
    if (recent == NULL) {
        return STATUS_NO_MEMORY;
    }
    recent->bytes_max = bytes_max < least ? least : bytes_max;
    ASSERT(recent->bytes_max / RECENT_BLOCK_BYTES < UINT32_MAX);
    recent->ring_size = (uint32_t)(recent->bytes_max / RECENT_BLOCK_BYTES);
    recent->ring = calloc(recent->ring_size, sizeof(struct recent_block *));
    if (recent->ring == NULL || pthread_mutex_init(&recent->lock, NULL) != 0) {
        free(recent->ring);
        free(recent);
        return STATUS_NO_MEMORY;
    }
    *out = recent;
    return STATUS_OK;
}

/* Place i counts from the oldest. */
static struct recent_block **ring_at(const struct recent *recent, uint32_t i)
{
    ASSERT(i < recent->ring_size);
    return &recent->ring[(recent->oldest + i) % recent->ring_size];
}

/* Under the lock, so that nobody begins to pin it. */
static void ring_drop_oldest(struct recent *recent)
{
    ASSERT(recent->count > 0);
    struct recent_block *block = *ring_at(recent, 0);
    recent->oldest = (recent->oldest + 1) % recent->ring_size;
    recent->count--;
    ASSERT(recent->bytes >= block->capacity);
    recent->bytes -= block->capacity;
    bool alone = atomic_load_explicit(&block->references, memory_order_acquire) == 1;
    if (alone && recent->spare == NULL && block->capacity == RECENT_BLOCK_BYTES) {
        recent->spare = block;
    } else {
        recent_block_unref(block);
    }
}

static void ring_clear(struct recent *recent)
{
    pthread_mutex_lock(&recent->lock);
    while (recent->count > 0) {
        ring_drop_oldest(recent);
    }
    ASSERT(recent->bytes == 0);
    pthread_mutex_unlock(&recent->lock);
}

void recent_destroy(struct recent **recent_at)
{
    struct recent *recent = *recent_at;
    if (recent == NULL) {
        return;
    }
    for (uint32_t i = 0; i < recent->count; i++) {
        ASSERT(atomic_load(&(*ring_at(recent, i))->references) == 1);
    }
    ring_clear(recent);
    if (recent->spare != NULL) {
        recent_block_unref(recent->spare);
    }
    pthread_mutex_destroy(&recent->lock);
    free(recent->ring);
    free(recent);
    *recent_at = NULL;
}

void recent_start(struct recent *recent, uint64_t next_sequence)
{
    ASSERT(recent->count == 0);
    ASSERT(next_sequence > 0);
    atomic_store_explicit(&recent->next, next_sequence, memory_order_release);
}

/* ---- the writer ---- */

/* A block of the usual size, or one in which this entry has room. */
static struct recent_block *block_for(struct recent *recent, size_t encoded_size)
{
    struct recent_block *block = recent->spare;
    size_t needed = encoded_size + OFFSET_BYTES;
    if (block != NULL && needed <= RECENT_BLOCK_BYTES) {
        recent->spare = NULL;
        block->first = 0;
        block->used = 0;
        atomic_store_explicit(&block->last, 0, memory_order_relaxed);
        return block;
    }
    size_t capacity = needed < RECENT_BLOCK_BYTES ? RECENT_BLOCK_BYTES : needed;
    return recent_block_create(capacity, &block) == STATUS_OK ? block : NULL;
}

static enum status recent_put(struct recent *recent, uint64_t epoch, uint64_t sequence,
                              struct bytes encoded)
{
    /* Only the writer changes the ring, so it may look at it without the lock. */
    if (recent->count > 0 &&
        block_put(*ring_at(recent, recent->count - 1), epoch, sequence, encoded)) {
        return STATUS_OK;
    }
    /* Room is made first: the block that goes may be the one that comes. */
    uint64_t needed = encoded.size + OFFSET_BYTES;
    needed = needed < RECENT_BLOCK_BYTES ? RECENT_BLOCK_BYTES : needed;
    pthread_mutex_lock(&recent->lock);
    while (recent->count > 0 &&
           (recent->bytes + needed > recent->bytes_max || recent->count == recent->ring_size)) {
        ring_drop_oldest(recent);
    }
    pthread_mutex_unlock(&recent->lock);
    struct recent_block *block = block_for(recent, encoded.size);
    if (block == NULL) {
        return STATUS_NO_MEMORY;
    }
    bool added = block_put(block, epoch, sequence, encoded);
    ASSERT(added);
    pthread_mutex_lock(&recent->lock);
    *ring_at(recent, recent->count) = block;
    recent->count++;
    recent->bytes += block->capacity;
    ASSERT(recent->count <= recent->ring_size);
    pthread_mutex_unlock(&recent->lock);
    return STATUS_OK;
}

void recent_append(struct recent *recent, uint64_t epoch, uint64_t first_sequence, uint64_t count,
                   struct bytes entries)
{
    uint64_t next = atomic_load_explicit(&recent->next, memory_order_relaxed);
    ASSERT(next == 0 || next == first_sequence);
    ASSERT(count > 0);
    struct reader reader = reader_of(entries);
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < count && status == STATUS_OK; i++) {
        size_t size = entry_stored_size(reader.data + reader.offset);
        struct bytes encoded = reader_bytes(&reader, size);
        ASSERT(!reader.failed);
        status = recent_put(recent, epoch, first_sequence + i, encoded);
    }
    if (status != STATUS_OK) {
        ring_clear(recent);
    } else {
        ASSERT(reader_left(&reader) == 0);
    }
    atomic_store_explicit(&recent->next, first_sequence + count, memory_order_release);
}

/* ---- cursors ---- */

void recent_release(struct recent_cursor *cursor)
{
    if (cursor->block != NULL) {
        recent_block_unref(cursor->block);
    }
    *cursor = (struct recent_cursor){.next_sequence = cursor->next_sequence};
}

enum status recent_block_seek(struct recent_block *block, uint64_t sequence,
                              struct recent_cursor *cursor)
{
    recent_release(cursor);
    cursor->next_sequence = sequence;
    if (block_is_empty(block) || sequence < block->first || sequence > block_last(block)) {
        return STATUS_NOT_FOUND;
    }
    block_ref(block);
    cursor->block = block;
    cursor->offset = get_u32(offset_place(block, sequence - block->first));
    return STATUS_OK;
}

/* The block in which the sequence is, if it is in any. Under the lock. */
static struct recent_block *ring_find(const struct recent *recent, uint64_t sequence)
{
    if (recent->count == 0 || sequence < (*ring_at(recent, 0))->first) {
        return NULL;
    }
    uint32_t low = recent->count - 1; /* most stand at the end */
    if (sequence < (*ring_at(recent, low))->first) {
        uint32_t high = low;
        low = 0;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if ((*ring_at(recent, middle))->first <= sequence) {
                low = middle;
            } else {
                high = middle;
            }
        }
    }
    return *ring_at(recent, low);
}

enum status recent_seek(struct recent *recent, uint64_t sequence, struct recent_cursor *cursor)
{
    ASSERT(sequence > 0);
    uint64_t next = atomic_load_explicit(&recent->next, memory_order_acquire);
    if (next == 0 || sequence >= next) {
        recent_release(cursor);
        cursor->next_sequence = sequence;
        return STATUS_NOT_FOUND;
    }
    if (cursor->block != NULL && cursor->next_sequence == sequence &&
        sequence <= block_last(cursor->block)) {
        return STATUS_OK;
    }
    recent_release(cursor);
    cursor->next_sequence = sequence;
    enum status status = STATUS_POSITION_EXPIRED;
    pthread_mutex_lock(&recent->lock);
    struct recent_block *block = ring_find(recent, sequence);
    if (block != NULL) {
        status = recent_block_seek(block, sequence, cursor);
        ASSERT(status == STATUS_OK);
    }
    pthread_mutex_unlock(&recent->lock);
    return status;
}

bool recent_next(struct recent *recent, struct recent_cursor *cursor, uint64_t through,
                 struct entry *entry_out)
{
    if (cursor->block == NULL || cursor->next_sequence > through) {
        return false;
    }
    if (cursor->next_sequence > block_last(cursor->block) &&
        (recent == NULL || recent_seek(recent, cursor->next_sequence, cursor) != STATUS_OK)) {
        recent_release(cursor);
        return false;
    }
    const struct recent_block *block = cursor->block;
    const uint8_t *encoded = block->bytes + cursor->offset;
    struct bytes bytes = bytes_of(encoded, entry_stored_size(encoded));
    enum status status = entry_view(bytes, entry_out);
    ASSERT(status == STATUS_OK);
    ASSERT(entry_out->sequence == cursor->next_sequence);
    entry_out->epoch = block->epoch;
    cursor->offset += bytes.size;
    cursor->next_sequence++;
    return true;
}
