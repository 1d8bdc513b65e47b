/*
 * cache_memory.c: pages, spans, slots, ages and eviction. See cache_internal.h.
 */
#include "engine/cache/cache_internal.h"
#include "protocol/base/assert.h"

/* How often one allocation makes room, and tries again, before it gives up. */
#define ROOM_TRIES_MAX 8
/* How many marked or pinned entries one eviction sends back to the newest: about 10 us at worst,
 * and never more in all than there were hits. Of a block of entries that are all marked, one in 65
 * is lost. */
#define CHANCES_MAX 64
/* How many removed entries one call looks at. */
#define REAP_MAX      32
#define BITS_PER_WORD 64
/* Sizes of slots per doubling: eight where the records are, from 256 bytes to 4 KiB, else four, for
 * there are 64 classes at most. */
#define FINE_FIRST_BYTES 256u
#define SIZES_LOG2       2u
#define SIZES_FINE_LOG2  3u

/* ---- pages ---- */

static bool page_is_used(const struct cache *cache, uint32_t page)
{
    return (cache->pages_used[page / BITS_PER_WORD] >> (page % BITS_PER_WORD) & 1) != 0;
}

static void pages_mark(struct cache *cache, uint32_t page, uint32_t count, bool used)
{
    for (uint32_t i = page; i < page + count; i++) {
        uint64_t bit = (uint64_t)1 << (i % BITS_PER_WORD);
        ASSERT(page_is_used(cache, i) != used);
        cache->pages_used[i / BITS_PER_WORD] ^= bit;
    }
    int64_t bytes = (int64_t)count << cache->page_shift;
    cache_count(&cache->bytes, used ? bytes : -bytes);
    cache->pages_free = used ? cache->pages_free - count : cache->pages_free + count;
}

/* First fit from below, so that resident memory grows with use. */
static uint32_t pages_take(struct cache *cache, uint32_t count)
{
    ASSERT(count > 0);
    uint32_t run = 0;
    uint32_t page = count <= cache->pages_free ? cache->page_hint : cache->page_count;
    while (page < cache->page_count && run < count) {
        if (page % BITS_PER_WORD == 0 && cache->pages_used[page / BITS_PER_WORD] == UINT64_MAX) {
            run = 0;
            page += BITS_PER_WORD;
        } else {
            run = page_is_used(cache, page) ? 0 : run + 1;
            page++;
        }
    }
    if (run < count) {
        return CACHE_PAGE_NONE;
    }
    uint32_t first = page - count;
    pages_mark(cache, first, count, true);
    if (count == 1 || first == cache->page_hint) {
        cache->page_hint = page;
    }
    ASSERT(page <= cache->page_count);
    return first;
}

static void pages_give(struct cache *cache, uint32_t page, uint32_t count)
{
    pages_mark(cache, page, count, false);
    if (page < cache->page_hint) {
        cache->page_hint = page;
    }
}

/* ---- size classes ---- */

static uint32_t large_class(const struct cache *cache)
{
    return cache->size_class_count - 1;
}

static uint32_t doubling_of(uint32_t bytes)
{
    return 31 - (uint32_t)__builtin_clz(bytes);
}

/* 128, 160, 192, 224, 256, 288, ... : what an entry leaves of its slot is under a ninth from 256
 * bytes to 4 KiB, under a fifth elsewhere, and half that on average. */
static uint32_t class_of(const struct cache *cache, uint64_t entry_bytes)
{
    if (entry_bytes > cache->size_classes[large_class(cache) - 1].slot_bytes) {
        return large_class(cache);
    }
    uint32_t last = (uint32_t)entry_bytes - 1;
    uint32_t size_class = cache->fine_classes[CACHE_FINE_CLASSES - 1];
    if (last < CACHE_FINE_BYTES) {
        size_class = cache->fine_classes[last / CACHE_REFERENCE_BYTES];
    } else {
        uint32_t doubling = doubling_of(last);
        uint32_t doublings = doubling - doubling_of(CACHE_FINE_BYTES);
        uint32_t step = last >> (doubling - SIZES_LOG2); /* 4 to 7 */
        size_class += (doublings << SIZES_LOG2) + step - 3;
    }
    ASSERT(cache->size_classes[size_class].slot_bytes >= entry_bytes);
    return size_class;
}

static uint32_t next_slot_bytes(uint32_t slot_bytes)
{
    bool is_fine = slot_bytes >= FINE_FIRST_BYTES && slot_bytes < CACHE_FINE_BYTES;
    uint32_t power = 1u << doubling_of(slot_bytes);
    return slot_bytes + (power >> (is_fine ? SIZES_FINE_LOG2 : SIZES_LOG2));
}

/* The fewest pages that lose at most a 64th of a span, or else those that lose least. */
static uint32_t span_pages_for(uint32_t slot_bytes, uint32_t page_bytes, uint32_t pages_max)
{
    uint32_t best = 0;
    double best_loss = 1.0;
    for (uint32_t pages = 1; pages <= pages_max; pages++) {
        uint32_t span_bytes = pages * page_bytes;
        double loss = (double)(span_bytes % slot_bytes) / span_bytes;
        if (span_bytes >= slot_bytes && loss < best_loss) {
            best = pages;
            best_loss = loss;
        }
        if (best_loss <= 1.0 / 64) {
            break;
        }
    }
    ASSERT(best != 0);
    return best;
}

void cache_memory_init(struct cache *cache)
{
    uint32_t page_bytes = 1u << cache->page_shift;
    uint32_t span_pages_max = cache->page_count / 16;
    if (span_pages_max < 1) {
        span_pages_max = 1;
    } else if (span_pages_max > CACHE_SPAN_PAGES_MAX) {
        span_pages_max = CACHE_SPAN_PAGES_MAX;
    }
    uint32_t slot_bytes_max = span_pages_max < 2 ? page_bytes : page_bytes * (span_pages_max / 2);

    ASSERT(cache->page_count > 0);
    uint32_t count = 0;
    uint32_t fine = 0;
    for (uint32_t slot_bytes = CACHE_SLOT_BYTES_MIN; slot_bytes <= slot_bytes_max;
         slot_bytes = next_slot_bytes(slot_bytes), count++) {
        ASSERT(count < CACHE_SIZE_CLASS_COUNT_MAX - 1);
        uint32_t span_pages = span_pages_for(slot_bytes, page_bytes, span_pages_max);
        cache->size_classes[count] = (struct cache_size_class){
            .slot_bytes = slot_bytes,
            .span_pages = span_pages,
            .span_slots = span_pages * page_bytes / slot_bytes,
            .roomy = CACHE_PAGE_NONE,
        };
        while (fine < CACHE_FINE_CLASSES && (fine + 1) * CACHE_REFERENCE_BYTES <= slot_bytes) {
            cache->fine_classes[fine++] = (uint8_t)count;
        }
    }
    cache->size_classes[count] = (struct cache_size_class){
        .span_slots = 1,
        .roomy = CACHE_PAGE_NONE,
    };
    cache->size_class_count = count + 1;
    cache->pages_free = cache->page_count;
}

/* ---- spans and slots ---- */

static struct cache_entry *slot_at(const struct cache *cache, uint32_t head, uint32_t slot)
{
    const struct cache_size_class *class = &cache->size_classes[cache->pages[head].size_class];
    uint64_t offset = cache->data_offset + ((uint64_t)head << cache->page_shift) +
                      (uint64_t)slot * class->slot_bytes;
    return (struct cache_entry *)(void *)(cache->base + offset);
}

static void span_list(struct cache *cache, uint32_t head)
{
    struct cache_page *span = &cache->pages[head];
    struct cache_size_class *class = &cache->size_classes[span->size_class];
    ASSERT(!span->listed);
    span->listed = true;
    span->previous = CACHE_PAGE_NONE;
    span->next = class->roomy;
    if (span->next != CACHE_PAGE_NONE) {
        cache->pages[span->next].previous = head;
    }
    class->roomy = head;
}

static void span_unlist(struct cache *cache, uint32_t head)
{
    struct cache_page *span = &cache->pages[head];
    ASSERT(span->listed);
    span->listed = false;
    if (span->previous == CACHE_PAGE_NONE) {
        cache->size_classes[span->size_class].roomy = span->next;
    } else {
        cache->pages[span->previous].next = span->next;
    }
    if (span->next != CACHE_PAGE_NONE) {
        cache->pages[span->next].previous = span->previous;
    }
}

static bool span_create(struct cache *cache, uint32_t size_class, uint32_t page_count)
{
    uint32_t head = pages_take(cache, page_count);
    if (head == CACHE_PAGE_NONE) {
        return false;
    }
    for (uint32_t i = 0; i < page_count; i++) {
        cache->pages[head + i].head = head;
    }
    cache->pages[head] = (struct cache_page){
        .head = head,
        .page_count = page_count,
        .size_class = (uint8_t)size_class,
    };
    span_list(cache, head);
    return true;
}

/* A slot of the first span with room. */
static struct cache_entry *slot_take(struct cache *cache, struct cache_size_class *class)
{
    uint32_t head = class->roomy;
    struct cache_page *span = &cache->pages[head];
    ASSERT(span->slots_used < class->span_slots);
    struct cache_entry *entry;
    if (span->free != 0) {
        entry = cache_entry_at(cache, span->free);
        ASSERT(entry->state == CACHE_ENTRY_FREE);
        span->free = entry->next;
    } else {
        entry = slot_at(cache, head, span->slots_fresh);
        span->slots_fresh++;
    }
    span->slots_used++;
    if (span->slots_used == class->span_slots) {
        span_unlist(cache, head);
    }
    entry->state = CACHE_ENTRY_FREE;
    entry->next = 0;
    ASSERT(span->slots_used <= span->slots_fresh);
    return entry;
}

/* An empty span gives its pages back to all classes. */
static void slot_give(struct cache *cache, struct cache_entry *entry)
{
    uint32_t head = cache->pages[cache_page_of(cache, entry)].head;
    struct cache_page *span = &cache->pages[head];
    ASSERT(span->slots_used > 0);
    ASSERT(entry->state != CACHE_ENTRY_FREE);
    entry->state = CACHE_ENTRY_FREE;
    entry->next = span->free;
    span->free = cache_reference_of(cache, entry);
    span->slots_used--;
    if (!span->listed) {
        span_list(cache, head);
    }
    if (span->slots_used == 0) {
        span_unlist(cache, head);
        pages_give(cache, head, span->page_count);
    }
}

/* ---- ages ---- */

static uint32_t class_of_entry(const struct cache *cache, const struct cache_entry *entry)
{
    uint32_t head = cache->pages[cache_page_of(cache, entry)].head;
    return cache->pages[head].size_class;
}

static void age_link(struct cache *cache, uint32_t size_class, struct cache_entry *entry)
{
    struct cache_size_class *class = &cache->size_classes[size_class];
    uint32_t reference = cache_reference_of(cache, entry);
    entry->stamp = ++cache->tick;
    entry->newer = 0;
    entry->older = class->newest;
    if (class->newest != 0) {
        cache_entry_at(cache, class->newest)->newer = reference;
    } else {
        class->oldest = reference;
        cache->occupied |= (uint64_t)1 << size_class;
        cache->oldest_stamps[size_class] = entry->stamp;
    }
    class->newest = reference;
}

static void age_unlink(struct cache *cache, uint32_t size_class, struct cache_entry *entry)
{
    struct cache_size_class *class = &cache->size_classes[size_class];
    ASSERT(class->oldest != 0);
    if (entry->newer != 0) {
        cache_entry_at(cache, entry->newer)->older = entry->older;
    } else {
        class->newest = entry->older;
    }
    if (entry->older != 0) {
        cache_entry_at(cache, entry->older)->newer = entry->newer;
        return;
    }
    class->oldest = entry->newer;
    if (class->oldest == 0) {
        cache->occupied &= ~((uint64_t)1 << size_class);
        ASSERT(class->newest == 0);
    } else {
        cache->oldest_stamps[size_class] = cache_entry_at(cache, class->oldest)->stamp;
    }
}

/* In ticks: puts and second chances since the class's oldest entry was put, or was given its last
 * chance. */
static uint32_t age_of_oldest(const struct cache *cache, uint32_t size_class)
{
    return cache->tick - cache->oldest_stamps[size_class];
}

static uint32_t coldest_class(const struct cache *cache)
{
    ASSERT(cache->occupied != 0);
    uint32_t coldest = (uint32_t)__builtin_ctzll(cache->occupied);
    for (uint64_t left = cache->occupied; left != 0; left &= left - 1) {
        uint32_t size_class = (uint32_t)__builtin_ctzll(left);
        if (age_of_oldest(cache, size_class) > age_of_oldest(cache, coldest)) {
            coldest = size_class;
        }
    }
    return coldest;
}

/* A class keeps to itself unless its oldest entry is under three quarters as old as the oldest of
 * all: a steal evicts a whole span, warm entries included, so it has to be worth it. */
static uint32_t victim_class(const struct cache *cache, uint32_t needy)
{
    uint32_t coldest = coldest_class(cache);
    bool has_own = (cache->occupied >> needy & 1) != 0;
    if (has_own &&
        (uint64_t)age_of_oldest(cache, needy) * 4 >= (uint64_t)age_of_oldest(cache, coldest) * 3) {
        return needy;
    }
    return coldest;
}

void cache_memory_link(struct cache *cache, struct cache_entry *entry)
{
    ASSERT(entry->state == CACHE_ENTRY_LIVE);
    age_link(cache, class_of_entry(cache, entry), entry);
    cache_count(&cache->entries, 1);
}

/* ---- removal ---- */

/* Whoever pinned it did so under the bucket's lock before it was unlinked, so the count can only
 * fall from here. */
static bool is_pinned(const struct cache_entry *entry)
{
    return atomic_load_explicit(&entry->pins, memory_order_acquire) != 0;
}

static void removed_push(struct cache *cache, struct cache_entry *entry)
{
    uint32_t reference = cache_reference_of(cache, entry);
    entry->next = 0;
    if (cache->removed_first == 0) {
        cache->removed_first = reference;
    } else {
        cache_entry_at(cache, cache->removed_last)->next = reference;
    }
    cache->removed_last = reference;
}

void cache_memory_release(struct cache *cache, struct cache_entry *entry)
{
    ASSERT(entry->state == CACHE_ENTRY_LIVE);
    age_unlink(cache, class_of_entry(cache, entry), entry);
    cache_count(&cache->entries, -1);
    entry->state = CACHE_ENTRY_REMOVED;
    if (is_pinned(entry)) {
        removed_push(cache, entry);
    } else {
        slot_give(cache, entry);
    }
}

void cache_memory_reap(struct cache *cache)
{
    uint32_t last = cache->removed_last;
    for (unsigned i = 0; i < REAP_MAX && cache->removed_first != 0; i++) {
        struct cache_entry *entry = cache_entry_at(cache, cache->removed_first);
        bool is_last = cache->removed_first == last;
        ASSERT(entry->state == CACHE_ENTRY_REMOVED);
        cache->removed_first = entry->next;
        if (is_pinned(entry)) {
            removed_push(cache, entry);
        } else {
            slot_give(cache, entry);
        }
        if (is_last) {
            return;
        }
    }
}

/* ---- eviction ---- */

static void evict(struct cache *cache, struct cache_entry *entry)
{
    cache_index_unlink(cache, entry);
    cache_memory_release(cache, entry);
    cache_count(&cache->evictions, 1);
}

/* The class to take from, whose oldest entry has had its chance: one looked up since then, or
 * pinned, becomes the newest. */
static uint32_t choose_victim(struct cache *cache, uint32_t needy)
{
    uint32_t size_class = victim_class(cache, needy);
    for (unsigned i = 0; i < CHANCES_MAX; i++) {
        struct cache_entry *entry = cache_entry_at(cache, cache->size_classes[size_class].oldest);
        bool marked = atomic_load_explicit(&entry->marked, memory_order_relaxed) != 0;
        if (!marked && !is_pinned(entry)) {
            break;
        }
        atomic_store_explicit(&entry->marked, 0, memory_order_relaxed);
        age_unlink(cache, size_class, entry);
        age_link(cache, size_class, entry);
        size_class = victim_class(cache, needy);
    }
    return size_class;
}

/* Asks for the lines that evicting the entry will write. */
static void prefetch_links(const struct cache *cache, const struct cache_entry *entry)
{
    __builtin_prefetch(&cache->buckets[entry->bucket], 1);
    __builtin_prefetch(cache_entry_at(cache, entry->newer), 1);
    __builtin_prefetch(cache_entry_at(cache, entry->older), 1);
}

/* False, and some entries may be gone, when one of the span is pinned. */
static bool span_evict(struct cache *cache, uint32_t head)
{
    const struct cache_page *span = &cache->pages[head];
    uint32_t slots = span->slots_fresh;
    for (uint32_t i = 0; i < slots; i++) {
        const struct cache_entry *entry = slot_at(cache, head, i);
        if (entry->state != CACHE_ENTRY_FREE && is_pinned(entry)) {
            return false;
        }
        prefetch_links(cache, entry);
    }
    for (uint32_t i = 0; i < slots; i++) {
        struct cache_entry *entry = slot_at(cache, head, i);
        if (entry->state == CACHE_ENTRY_LIVE) {
            evict(cache, entry);
        }
    }
    /* A reader may have pinned one in between, or a removed one waits to be reaped. */
    return !page_is_used(cache, head);
}

/* Empties page_count pages around the span that starts at head, free neighbours before it first. */
static void window_evict(struct cache *cache, uint32_t head, uint32_t page_count)
{
    uint32_t first = head;
    uint32_t span_end = head + cache->pages[head].page_count;
    ASSERT(page_count <= cache->page_count);
    while (first > 0 && (first + page_count > cache->page_count ||
                         (first + page_count > span_end && !page_is_used(cache, first - 1)))) {
        first--;
    }
    uint32_t page = first;
    while (page < first + page_count) {
        if (!page_is_used(cache, page)) {
            page++;
            continue;
        }
        uint32_t span_head = cache->pages[page].head;
        uint32_t next = span_head + cache->pages[span_head].page_count;
        ASSERT(next > page);
        if (!span_evict(cache, span_head)) {
            return;
        }
        page = next;
    }
}

/* Evicts something for a span of page_count pages, or a slot, of this class. */
static void make_room(struct cache *cache, uint32_t size_class, uint32_t page_count)
{
    uint32_t victim = choose_victim(cache, size_class);
    struct cache_entry *entry = cache_entry_at(cache, cache->size_classes[victim].oldest);
    if (victim == size_class && victim != large_class(cache)) {
        /* The next one to go is near: its line will have come when it is asked for. */
        __builtin_prefetch(cache_entry_at(cache, entry->newer));
        evict(cache, entry);
        return;
    }
    window_evict(cache, cache->pages[cache_page_of(cache, entry)].head, page_count);
    if (entry->state == CACHE_ENTRY_LIVE) {
        /* A neighbour was pinned: start elsewhere the next time. */
        age_unlink(cache, victim, entry);
        age_link(cache, victim, entry);
    }
}

struct cache_entry *cache_memory_allocate(struct cache *cache, uint64_t entry_bytes)
{
    ASSERT(cache->page_count > 0);
    ASSERT(entry_bytes >= sizeof(struct cache_entry));
    uint32_t size_class = class_of(cache, entry_bytes);
    struct cache_size_class *class = &cache->size_classes[size_class];
    uint64_t pages = class->span_pages;
    if (size_class == large_class(cache)) {
        pages = (entry_bytes + (1u << cache->page_shift) - 1) >> cache->page_shift;
        if (pages > cache->page_count / CACHE_ENTRY_PART) {
            return NULL;
        }
    }
    cache_memory_reap(cache);
    for (unsigned i = 0; i < ROOM_TRIES_MAX; i++) {
        if (class->roomy != CACHE_PAGE_NONE || span_create(cache, size_class, (uint32_t)pages)) {
            return slot_take(cache, class);
        }
        if (cache->occupied == 0) {
            return NULL; /* all that is left is pinned */
        }
        make_room(cache, size_class, (uint32_t)pages);
    }
    return NULL;
}
