/*
 * cache.c: creation, look-up, put, removal and expiry. The index is in cache_index.c, memory and
 * eviction in cache_memory.c.
 */
#include "engine/cache/cache.h"

#include <sched.h>
#include <sys/mman.h>

/* The whole of XXH3 here, so that a short key is hashed without a call. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "engine/cache/cache_internal.h"
#include "protocol/base/assert.h"

/* From here on the data is worth huge pages: a random look-up then misses the cache, but not the
 * TLB as well. */
#define HUGE_PAGES_FROM_BYTES (32u << 20)
/* References have 32 bits. */
#define MAPPING_BYTES_MAX ((uint64_t)CACHE_REFERENCE_BYTES << 32)
#define LANES_FROM_BYTES  (256u << 10)

static_assert(CACHE_BYTES_MIN >= 2 * sizeof(struct cache),
              "the smallest cache holds more than itself");
static_assert(CACHE_BYTES_MAX < MAPPING_BYTES_MAX, "a reference reaches every entry");

uint64_t cache_hash(struct bytes key)
{
    return XXH3_64bits(key.data, key.size);
}

/* ---- creation ---- */

static uint64_t round_up(uint64_t value, uint64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static uint32_t page_shift_for(uint64_t bytes_max)
{
    uint32_t page_bytes = CACHE_PAGE_BYTES_MIN;
    while (page_bytes < CACHE_PAGE_BYTES_MAX && page_bytes < bytes_max / CACHE_PAGE_COUNT_AIM) {
        page_bytes *= 2;
    }
    return (uint32_t)__builtin_ctz(page_bytes);
}

/* Lays the parts out behind each other, as drawn in cache_internal.h. */
static void lay_out(struct cache *cache, uint8_t *base)
{
    uint64_t offset = round_up(sizeof(*cache), CACHE_LINE_BYTES);
    cache->lanes = (struct cache_lane *)(void *)(base + offset);
    offset += cache->lane_count * sizeof(struct cache_lane);
    cache->buckets = (struct cache_bucket *)(void *)(base + offset);
    offset += cache->bucket_count * sizeof(struct cache_bucket);

    uint64_t pages_most = (cache->bytes_max - offset) >> cache->page_shift;
    cache->pages = (struct cache_page *)(void *)(base + offset);
    offset += round_up(pages_most * sizeof(struct cache_page), sizeof(uint64_t));
    cache->pages_used = (uint64_t *)(void *)(base + offset);
    offset += round_up(pages_most, 64) / 8;
    cache->data_offset = round_up(offset, CACHE_LINE_BYTES);
    ASSERT(cache->data_offset < cache->bytes_max);
    cache->page_count = (uint32_t)((cache->bytes_max - cache->data_offset) >> cache->page_shift);
    ASSERT(cache->page_count <= pages_most);
    ASSERT(cache->page_count >= CACHE_ENTRY_PART);
}

enum status cache_create(const struct cache_options *options, struct cache **out)
{
    ASSERT(options != NULL);
    ASSERT(out != NULL);
    *out = NULL;
    if (options->bytes_max > CACHE_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    bool is_off = options->bytes_max < CACHE_BYTES_MIN;
    uint64_t lanes_bytes = CACHE_LANE_COUNT_MAX * sizeof(struct cache_lane);
    uint64_t bytes = is_off ? round_up(sizeof(struct cache), CACHE_LINE_BYTES) + lanes_bytes
                            : options->bytes_max;
    /* Anonymous memory is zero and costs nothing before it is touched. */
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return STATUS_NO_MEMORY;
    }
    if (bytes >= HUGE_PAGES_FROM_BYTES) {
        (void)madvise(base, bytes,
                      MADV_HUGEPAGE); /* where the kernel has none, it is slower, that is all */
    }
    struct cache *cache = base;
    cache->base = base;
    cache->mapping_bytes = bytes;
    cache->bytes_max = options->bytes_max;
    cache->shared = options->shared;
    cache->lane_count = bytes < LANES_FROM_BYTES && !is_off ? 1 : CACHE_LANE_COUNT_MAX;
    if (is_off) {
        cache->lanes = (struct cache_lane *)(void *)((uint8_t *)base + bytes - lanes_bytes);
    } else {
        cache->page_shift = page_shift_for(bytes);
        cache->bucket_count = (uint32_t)(bytes / CACHE_BYTES_PER_BUCKET);
        lay_out(cache, base);
        cache_memory_init(cache);
        atomic_init(&cache->bytes, cache->data_offset);
    }
    *out = cache;
    return STATUS_OK;
}

void cache_destroy(struct cache **cache)
{
    ASSERT(cache != NULL);
    if (*cache == NULL) {
        return;
    }
    struct cache *gone = *cache;
    *cache = NULL;
    int result = munmap(gone->base, gone->mapping_bytes);
    ASSERT(result == 0);
}

/* ---- look-up ---- */

static void count_lookup(struct cache *cache, bool hit)
{
    if (!cache->shared) {
        cache_count(hit ? &cache->lanes[0].hits : &cache->lanes[0].misses, 1);
        return;
    }
    /* The C library keeps the CPU's number at hand: this is a load, not a call into the kernel. */
    int cpu = sched_getcpu();
    struct cache_lane *lane = &cache->lanes[(unsigned)(cpu < 0 ? 0 : cpu) % cache->lane_count];
    atomic_fetch_add_explicit(hit ? &lane->hits : &lane->misses, 1, memory_order_relaxed);
}

/* NULL: as a record like others, whose expiry is in the head. */
static const struct cache_rare *popular_part(const struct cache_entry *entry, uint32_t hits)
{
    const struct cache_rare *rare = cache_entry_rare(entry);
    bool popular = rare != NULL && rare->popular_expires_at_ns != 0 && hits >= rare->popular_hits;
    return popular ? rare : NULL;
}

static uint32_t hits_of(const struct cache_entry *entry)
{
    return atomic_load_explicit(&entry->hits, memory_order_relaxed);
}

static bool is_expired(const struct cache_entry *entry, uint32_t hits, uint64_t now_ns)
{
#ifdef FRESHET_PLANT_CACHE_TTL_IGNORED
    (void)entry;
    (void)hits;
    (void)now_ns;
    return false;
#else
    const struct cache_rare *popular = popular_part(entry, hits);
    uint64_t expires_at_ns =
        popular != NULL ? popular->popular_expires_at_ns : entry->expires_at_ns;
    return expires_at_ns != UINT64_MAX && expires_at_ns <= now_ns;
#endif
}

static void meta_read(const struct cache_entry *entry, uint32_t hits, struct cache_meta *out)
{
    *out = (struct cache_meta){
        .epoch = entry->epoch,
        .sequence = (uint64_t)entry->sequence_high << 32 | entry->sequence_low,
        .version = entry->version_low,
        .made_at_ms = (uint64_t)entry->made_at_ms_high << 32 | entry->made_at_ms_low,
        .expires_at_ns = entry->expires_at_ns,
        .hits = hits,
        .class = (enum cache_class)(entry->kind & CACHE_KIND_CLASS),
        .absent = (entry->kind & CACHE_KIND_ABSENT) != 0,
        .form = entry->kind >> CACHE_KIND_FORM_SHIFT,
    };
    const struct cache_rare *rare = cache_entry_rare(entry);
    if (rare != NULL) {
        out->version |= (uint64_t)rare->version_high << 32;
        out->popular_expires_at_ns = rare->popular_expires_at_ns;
        out->popular_hits = rare->popular_hits;
    }
}

/* Under the bucket's lock: copies or pins, and notes the hit. BUSY: it cannot be pinned. */
static enum status entry_read(struct cache_entry *entry, uint32_t hits, uint8_t *copy_to,
                              struct cache_body *out)
{
    if (entry->body_size <= CACHE_COPY_BYTES_MAX) {
        memcpy(copy_to, cache_entry_body(entry), entry->body_size);
        out->body = bytes_of(copy_to, entry->body_size);
    } else if (atomic_load_explicit(&entry->pins, memory_order_relaxed) == CACHE_PINS_MAX) {
        return STATUS_BUSY;
    } else {
        atomic_fetch_add_explicit(&entry->pins, 1, memory_order_relaxed);
        out->body = bytes_of(cache_entry_body(entry), entry->body_size);
        out->pin = entry;
    }
    atomic_store_explicit(&entry->hits, hits, memory_order_relaxed);
    if (atomic_load_explicit(&entry->marked, memory_order_relaxed) == 0) {
        atomic_store_explicit(&entry->marked, 1, memory_order_relaxed);
    }
    meta_read(entry, hits, &out->meta);
    const struct cache_rare *popular = popular_part(entry, hits);
    if (popular != NULL) {
        out->meta.class = CACHE_RECORD_POPULAR;
        out->meta.expires_at_ns = popular->popular_expires_at_ns;
    }
    return STATUS_OK;
}

enum status cache_get(struct cache *cache, uint64_t hash, struct bytes key, uint64_t now_ns,
                      uint8_t *copy_to, struct cache_body *out)
{
    ASSERT(copy_to != NULL);
    ASSERT(out != NULL);
    out->pin = NULL;
    if (cache->page_count == 0) {
        count_lookup(cache, false);
        return STATUS_NOT_FOUND;
    }
    struct cache_bucket *bucket = cache_bucket_of(cache, hash);
    if (!cache_bucket_try_lock(cache, bucket)) {
        return STATUS_BUSY;
    }
    struct cache_entry *entry = cache_index_find(cache, bucket, cache_tag_of(hash), key);
    enum status status = STATUS_NOT_FOUND;
    if (entry != NULL) {
        uint32_t before = hits_of(entry);
        uint32_t hits = before < UINT32_MAX ? before + 1 : before;
        /* This hit may make it popular, and what is over as such is over. */
        if (!is_expired(entry, before, now_ns) && !is_expired(entry, hits, now_ns)) {
            status = entry_read(entry, hits, copy_to, out);
        }
    }
    cache_bucket_unlock(cache, bucket);
    if (status != STATUS_BUSY) {
        count_lookup(cache, status == STATUS_OK);
    }
    return status;
}

bool cache_peek(struct cache *cache, uint64_t hash, struct bytes key, uint64_t now_ns,
                struct cache_body *out)
{
    ASSERT(out != NULL);
    out->pin = NULL;
    if (cache->page_count == 0) {
        return false;
    }
    /* Others only look up, so what the owner finds stands still without a lock. */
    const struct cache_entry *entry =
        cache_index_find(cache, cache_bucket_of(cache, hash), cache_tag_of(hash), key);
    if (entry == NULL || is_expired(entry, hits_of(entry), now_ns)) {
        return false;
    }
    meta_read(entry, hits_of(entry), &out->meta);
    out->body = bytes_of(cache_entry_body(entry), entry->body_size);
    return true;
}

void cache_unpin(struct cache *cache, struct cache_body *body)
{
    ASSERT(body != NULL);
    if (body->pin == NULL) {
        return;
    }
    struct cache_entry *entry = body->pin;
    ASSERT((uint8_t *)entry >= cache->base + cache->data_offset);
    body->pin = NULL;
    body->body = BYTES_EMPTY;
    /* Release: our reads of the body come before the owner's reuse of its memory. */
    uint8_t pins = atomic_fetch_sub_explicit(&entry->pins, 1, memory_order_release);
    ASSERT(pins > 0);
}

/* ---- the owner's side ---- */

static struct cache_entry *find(const struct cache *cache, uint64_t hash, struct bytes key)
{
    if (cache->page_count == 0) {
        return NULL;
    }
    return cache_index_find(cache, cache_bucket_of(cache, hash), cache_tag_of(hash), key);
}

static void drop(struct cache *cache, struct cache_entry *entry)
{
    cache_index_unlink(cache, entry);
    cache_memory_release(cache, entry);
}

static uint8_t kind_of(const struct cache_meta *meta)
{
    ASSERT(meta->form <= CACHE_FORM_MAX);
    bool rare = meta->popular_expires_at_ns != 0 || meta->version > UINT32_MAX;
    unsigned kind = (unsigned)meta->class | (unsigned)meta->form << CACHE_KIND_FORM_SHIFT;
    kind |= meta->absent ? CACHE_KIND_ABSENT : 0;
    kind |= rare ? CACHE_KIND_RARE : 0;
    return (uint8_t)kind;
}

/* Whether it fits into the fields of an entry. */
static bool meta_fits(const struct cache_meta *meta)
{
    uint64_t widest = meta->sequence | meta->version | meta->made_at_ms;
    return (meta->epoch >> 32 | widest >> 48) == 0;
}

/* False: it does not fit into the field of an entry. */
static bool size_of_body(const struct bytes *parts, size_t part_count, uint32_t *body_size_out)
{
    size_t body_size = 0;
    for (size_t i = 0; i < part_count; i++) {
        if (!size_add(body_size, parts[i].size, &body_size)) {
            return false;
        }
    }
    if (body_size > UINT32_MAX) {
        return false;
    }
    *body_size_out = (uint32_t)body_size;
    return true;
}

static void meta_write(struct cache_entry *entry, uint8_t kind, const struct cache_meta *meta)
{
    entry->kind = kind;
    entry->expires_at_ns = meta->expires_at_ns;
    entry->version_low = (uint32_t)meta->version;
    entry->epoch = (uint32_t)meta->epoch;
    entry->sequence_low = (uint32_t)meta->sequence;
    entry->sequence_high = (uint16_t)(meta->sequence >> 32);
    entry->made_at_ms_low = (uint32_t)meta->made_at_ms;
    entry->made_at_ms_high = (uint16_t)(meta->made_at_ms >> 32);
    struct cache_rare *rare = cache_entry_rare(entry);
    if (rare != NULL) {
        *rare = (struct cache_rare){
            .popular_expires_at_ns = meta->popular_expires_at_ns,
            .popular_hits = meta->popular_expires_at_ns != 0 ? meta->popular_hits : 0,
            .version_high = (uint16_t)(meta->version >> 32),
        };
    }
    atomic_store_explicit(&entry->hits, meta->hits, memory_order_relaxed);
    atomic_store_explicit(&entry->pins, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->marked, 0, memory_order_relaxed);
}

/* Of an entry whose head is written. */
static void entry_fill(struct cache_entry *entry, struct bytes key, const struct bytes *parts,
                       size_t part_count)
{
    entry->key_size = (uint16_t)key.size;
    struct writer writer = writer_of(cache_entry_key(entry), key.size + entry->body_size);
    writer_put(&writer, key);
    for (size_t i = 0; i < part_count; i++) {
        writer_put(&writer, parts[i]);
    }
    ASSERT(!writer.failed);
    ASSERT(writer_left(&writer) == 0);
    entry->state = CACHE_ENTRY_LIVE;
}

/* A planted bug, see tests/README.md: one replacement in 64 is forgotten. */
static bool keeps_old(struct cache *cache, uint64_t hash, struct bytes key)
{
#ifdef FRESHET_PLANT_CACHE_REPLACE_KEEPS_OLD
    return find(cache, hash, key) != NULL && ++cache->replaced_count % 64 == 0;
#else
    (void)cache;
    (void)hash;
    (void)key;
    return false;
#endif
}

enum status cache_put(struct cache *cache, uint64_t hash, struct bytes key,
                      const struct cache_meta *meta, const struct bytes *parts, size_t part_count)
{
    ASSERT(key.size <= CACHE_KEY_BYTES_MAX);
    ASSERT(parts != NULL || part_count == 0);
    if (cache->page_count == 0) {
        return STATUS_BUSY;
    }
    if (keeps_old(cache, hash, key)) {
        return STATUS_OK;
    }
    uint32_t body_size = 0;
    uint8_t kind = kind_of(meta);
    struct cache_entry *entry = NULL;
    if (meta_fits(meta) && size_of_body(parts, part_count, &body_size)) {
        uint64_t entry_bytes = cache_entry_head_size(kind) + key.size + body_size;
        entry = cache_memory_allocate(cache, entry_bytes);
    }
    if (entry == NULL) {
        cache_remove(cache, hash, key);
        cache_count(&cache->refused, 1);
        return STATUS_BUSY;
    }
    entry->body_size = body_size;
    entry->bucket = cache_bucket_index(cache, hash);
    entry->tag = cache_tag_of(hash);
    meta_write(entry, kind, meta);
    entry_fill(entry, key, parts, part_count);
    /* Readers see the older entry until this one is in its place. */
    struct cache_entry *old = cache_index_put(cache, entry);
    cache_memory_link(cache, entry);
    if (old != NULL) {
        cache_memory_release(cache, old);
    }
    cache_count(&cache->fills, 1);
    return STATUS_OK;
}

void cache_remove(struct cache *cache, uint64_t hash, struct bytes key)
{
    struct cache_entry *entry = find(cache, hash, key);
    if (entry != NULL) {
        drop(cache, entry);
    }
}

bool cache_contains(struct cache *cache, uint64_t hash, struct bytes key)
{
    return find(cache, hash, key) != NULL;
}

/* Drops the entry if it is due; adds to what has been looked at and dropped. */
static bool sweep_entry(struct cache *cache, uint32_t reference, uint64_t now_ns, size_t *looked_at,
                        size_t *dropped)
{
    struct cache_entry *entry = cache_entry_at(cache, reference);
    (*looked_at)++;
    if (!is_expired(entry, hits_of(entry), now_ns)) {
        return false;
    }
    drop(cache, entry);
    (*dropped)++;
    return true;
}

static void sweep_bucket(struct cache *cache, struct cache_bucket *bucket, uint64_t now_ns,
                         size_t *looked_at, size_t *dropped)
{
    for (unsigned i = 0; i < CACHE_BUCKET_PLACES; i++) {
        /* A place that is emptied takes the first of the chain, which has its turn then. */
        while (bucket->references[i] != 0 &&
               sweep_entry(cache, bucket->references[i], now_ns, looked_at, dropped)) {
        }
    }
    uint32_t reference = bucket->overflow;
    while (reference != 0) {
        uint32_t next = cache_entry_at(cache, reference)->next;
        sweep_entry(cache, reference, now_ns, looked_at, dropped);
        reference = next;
    }
}

size_t cache_expire(struct cache *cache, uint64_t now_ns, size_t count)
{
    size_t looked_at = 0;
    size_t dropped = 0;
    if (cache->page_count == 0) {
        return 0;
    }
    cache_memory_reap(cache);
    /* An empty bucket is a look as well: a sparse cache must not be walked whole. */
    for (uint32_t i = 0; i < cache->bucket_count && looked_at + i < count; i++) {
        struct cache_bucket *bucket = &cache->buckets[cache->expire_bucket];
        sweep_bucket(cache, bucket, now_ns, &looked_at, &dropped);
        cache->expire_bucket = (cache->expire_bucket + 1) % cache->bucket_count;
    }
    cache_count(&cache->expiries, (int64_t)dropped);
    ASSERT(dropped <= looked_at);
    return dropped;
}

void cache_clear(struct cache *cache)
{
    for (uint32_t i = 0; i < cache->bucket_count; i++) {
        struct cache_bucket *bucket = &cache->buckets[i];
        for (unsigned place = 0; place < CACHE_BUCKET_PLACES; place++) {
            while (bucket->references[place] != 0) {
                drop(cache, cache_entry_at(cache, bucket->references[place]));
            }
        }
        ASSERT(bucket->overflow == 0);
    }
    cache_memory_reap(cache);
}

void cache_statistics_read(const struct cache *cache, struct cache_statistics *out)
{
    ASSERT(out != NULL);
    *out = (struct cache_statistics){
        .fills = atomic_load_explicit(&cache->fills, memory_order_relaxed),
        .evictions = atomic_load_explicit(&cache->evictions, memory_order_relaxed),
        .expiries = atomic_load_explicit(&cache->expiries, memory_order_relaxed),
        .refused = atomic_load_explicit(&cache->refused, memory_order_relaxed),
        .entries = atomic_load_explicit(&cache->entries, memory_order_relaxed),
        .bytes = atomic_load_explicit(&cache->bytes, memory_order_relaxed),
        .bytes_max = cache->bytes_max,
    };
    for (uint32_t i = 0; i < cache->lane_count; i++) {
        out->hits += atomic_load_explicit(&cache->lanes[i].hits, memory_order_relaxed);
        out->misses += atomic_load_explicit(&cache->lanes[i].misses, memory_order_relaxed);
    }
}
