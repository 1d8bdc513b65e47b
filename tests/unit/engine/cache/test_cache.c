/* What a cache with room promises: the last put is found, whole, until it is removed or expires. */
#include <criterion/criterion.h>

#include "tests/unit/engine/cache/help.h"

#define MIB (1u << 20)

Test(cache, an_entry_is_given_back_with_all_that_was_said_of_it)
{
    struct cache *cache = help_open(MIB, false);
    struct help_key key;
    help_key_make(1, &key);
    struct cache_meta meta = {
        .epoch = 1,
        .sequence = 2,
        .version = 3,
        .made_at_ms = 4,
        .expires_at_ns = 6000,
        .popular_expires_at_ns = 7000,
        .popular_hits = 100,
        .class = CACHE_INDEX,
        .absent = true,
    };
    struct bytes parts[] = {BYTES_LITERAL("one"), BYTES_EMPTY, BYTES_LITERAL(" two")};
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, parts, 3), STATUS_OK);
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    cr_assert_eq(cache_get(cache, key.hash, key.view, 10, copy, &body), STATUS_OK);
    cr_assert(bytes_equal(body.body, BYTES_LITERAL("one two")));
    cr_assert_eq(body.body.data, copy);
    cr_assert_null(body.pin);
    cr_assert_eq(body.meta.epoch, 1);
    cr_assert_eq(body.meta.sequence, 2);
    cr_assert_eq(body.meta.version, 3);
    cr_assert_eq(body.meta.made_at_ms, 4);
    cr_assert_eq(body.meta.expires_at_ns, 6000);
    cr_assert_eq(body.meta.popular_expires_at_ns, 7000);
    cr_assert_eq(body.meta.popular_hits, 100);
    cr_assert_eq(body.meta.hits, 1);
    cr_assert_eq(body.meta.class, CACHE_INDEX);
    cr_assert(body.meta.absent);
    cache_check(cache);
    cache_destroy(&cache);
    cr_assert_null(cache);
    cache_destroy(&cache);
}

static enum status put_and_peek(struct cache *cache, const struct cache_meta *meta,
                                struct cache_meta *out)
{
    struct help_key key;
    struct cache_body body;
    struct bytes part = BYTES_LITERAL("body");
    help_key_make(1, &key);
    enum status status = cache_put(cache, key.hash, key.view, meta, &part, 1);
    bool found = cache_peek(cache, key.hash, key.view, 0, &body);
    cr_assert_eq(found, status == STATUS_OK, "what is refused leaves nothing older");
    if (found) {
        cr_assert(bytes_equal(body.body, part));
        *out = body.meta;
    }
    cache_check(cache);
    return status;
}

Test(cache, numbers_as_wide_as_the_head_of_an_entry_are_given_back_and_wider_ones_not_cached)
{
    static const uint64_t widest = ((uint64_t)1 << 48) - 1;
    struct cache *cache = help_open(MIB, false);
    struct cache_meta out;
    const struct cache_meta meta = {
        .epoch = UINT32_MAX,
        .sequence = widest,
        .version = widest,
        .made_at_ms = widest,
        .expires_at_ns = UINT64_MAX - 1,
        .popular_expires_at_ns = UINT64_MAX,
        .popular_hits = UINT32_MAX,
        .hits = UINT32_MAX - 1,
        .class = CACHE_RECORD_POPULAR,
        .form = CACHE_FORM_MAX,
    };
    cr_assert_eq(put_and_peek(cache, &meta, &out), STATUS_OK);
    cr_assert_eq(out.epoch, meta.epoch);
    cr_assert_eq(out.sequence, meta.sequence);
    cr_assert_eq(out.version, meta.version);
    cr_assert_eq(out.made_at_ms, meta.made_at_ms);
    cr_assert_eq(out.expires_at_ns, meta.expires_at_ns);
    cr_assert_eq(out.popular_expires_at_ns, meta.popular_expires_at_ns);
    cr_assert_eq(out.popular_hits, meta.popular_hits);
    cr_assert_eq(out.hits, meta.hits);
    cr_assert_eq(out.class, meta.class);
    cr_assert_eq(out.form, meta.form);
    cr_assert_not(out.absent);

    struct cache_meta wide[4] = {meta, meta, meta, meta};
    wide[0].epoch++;
    wide[1].sequence++;
    wide[2].version++;
    wide[3].made_at_ms++;
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(put_and_peek(cache, &meta, &out), STATUS_OK);
        cr_assert_eq(put_and_peek(cache, &wide[i], &out), STATUS_BUSY);
        cr_assert_eq(help_statistics(cache).refused, i + 1);
    }
    cache_destroy(&cache);
}

/* The part behind the head is only there when something is in it. */
Test(cache, versions_around_the_width_of_the_head_are_given_back)
{
    static const uint64_t versions[] = {0, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX >> 16};
    struct cache *cache = help_open(MIB, false);
    for (unsigned i = 0; i < 4; i++) {
        struct cache_meta meta = help_meta(1);
        struct cache_meta out;
        meta.version = versions[i];
        meta.popular_hits = 100;
        cr_assert_eq(put_and_peek(cache, &meta, &out), STATUS_OK);
        cr_assert_eq(out.version, versions[i]);
        cr_assert_eq(out.popular_expires_at_ns, 0, "no such class");
        cr_assert_eq(out.popular_hits, 0);
    }
    cache_destroy(&cache);
}

/* A tag of 0 is also what an empty place has. */
Test(cache, an_entry_whose_tag_is_nought_is_found_and_no_empty_place)
{
    struct cache *cache = help_open(MIB, false);
    struct cache_body body;
    struct bytes keys[2] = {BYTES_LITERAL("one"), BYTES_EMPTY};
    struct cache_meta meta = help_meta(1);
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_not(cache_peek(cache, 0, keys[i], 0, &body));
        cr_assert_eq(cache_put(cache, 0, keys[i], &meta, NULL, 0), STATUS_OK);
        cr_assert(cache_peek(cache, 0, keys[i], 0, &body));
    }
    cr_assert_not(cache_peek(cache, 0, BYTES_LITERAL("two"), 0, &body));
    cr_assert_eq(help_statistics(cache).entries, 2);
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, a_peek_sees_what_is_there_counts_nothing_and_honours_expiry)
{
    struct cache *cache = help_open(MIB, false);
    struct help_key key;
    help_key_make(1, &key);
    struct cache_body body;
    cr_assert_not(cache_peek(cache, key.hash, key.view, 10, &body));
    struct cache_meta meta = {.sequence = 7, .expires_at_ns = 100};
    struct bytes part = BYTES_LITERAL("body");
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    cr_assert(cache_peek(cache, key.hash, key.view, 10, &body));
    cr_assert(bytes_equal(body.body, part));
    cr_assert_eq(body.meta.sequence, 7);
    cr_assert_eq(body.meta.hits, 0);
    cr_assert_not(cache_peek(cache, key.hash, key.view, 100, &body));
    cr_assert_eq(help_statistics(cache).hits, 0);
    cr_assert_eq(help_statistics(cache).misses, 0);
    cache_remove(cache, key.hash, key.view);
    cr_assert_not(cache_peek(cache, key.hash, key.view, 10, &body));
    cache_destroy(&cache);
}

Test(cache, keys_and_bodies_of_every_edge_size_are_found)
{
    static const size_t sizes[] = {0,    1,    2,     15,    16,     17,     100,        4095,
                                   4096, 4097, 65535, 65536, 262144, 262145, (1u << 20), 5u << 20};
    static const size_t key_sizes[] = {0, 1, 63, 64, CACHE_KEY_BYTES_MAX - 1, CACHE_KEY_BYTES_MAX};
    static uint8_t key_bytes[CACHE_KEY_BYTES_MAX];
    struct cache *cache = help_open(64 * MIB, true);
    for (unsigned k = 0; k < 6; k++) {
        for (unsigned i = 0; i < 16; i++) {
            struct bytes key = bytes_of(key_bytes, key_sizes[k]);
            struct cache_meta meta = help_meta(i);
            struct bytes part = help_body(i, sizes[i]);
            uint8_t copy[CACHE_COPY_BYTES_MAX];
            struct cache_body body;
            cr_assert_eq(cache_put(cache, cache_hash(key), key, &meta, &part, 1), STATUS_OK);
            cr_assert_eq(cache_get(cache, cache_hash(key), key, 0, copy, &body), STATUS_OK);
            cr_assert(help_body_is(body.body, i, sizes[i]));
            cr_assert_eq(body.pin != NULL, sizes[i] > CACHE_COPY_BYTES_MAX);
            cache_unpin(cache, &body);
            cr_assert_null(body.pin);
        }
    }
    cr_assert_eq(help_statistics(cache).entries, 6);
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, a_replaced_record_is_never_served_again)
{
    struct cache *cache = help_open(MIB, true);
    for (uint64_t sequence = 1; sequence <= 1000; sequence++) {
        cr_assert_eq(help_put(cache, sequence % 3, sequence, sequence % 700), STATUS_OK);
        cr_assert_eq(help_get(cache, sequence % 3, 0), sequence);
    }
    cr_assert_eq(help_statistics(cache).entries, 3);
    cr_assert_eq(help_statistics(cache).evictions, 0);
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, a_removed_record_is_gone_and_its_memory_too)
{
    struct cache *cache = help_open(MIB, false);
    uint64_t bytes = help_statistics(cache).bytes;
    for (uint64_t i = 0; i < 500; i++) {
        cr_assert_eq(help_put(cache, i, i + 1, 300), STATUS_OK);
    }
    help_remove(cache, 1000000); /* was never there */
    for (uint64_t i = 0; i < 500; i++) {
        cr_assert_eq(help_get(cache, i, 0), i + 1);
        help_remove(cache, i);
        cr_assert_eq(help_get(cache, i, 0), 0);
    }
    cr_assert_eq(help_statistics(cache).entries, 0);
    cr_assert_eq(help_statistics(cache).bytes, bytes);
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, an_entry_ends_at_the_instant_it_expires)
{
    struct cache *cache = help_open(MIB, false);
    struct help_key key;
    help_key_make(1, &key);
    struct cache_meta meta = help_meta(1);
    struct bytes part = help_body(1, 10);
    meta.expires_at_ns = 1000;
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    cr_assert_eq(help_get(cache, 1, 999), 1);
    cr_assert_eq(help_get(cache, 1, 1000), 0);
    cr_assert(cache_contains(cache, key.hash, key.view));
    cr_assert_eq(help_get(cache, 1, 999), 1, "the passing of time is the caller's");
    meta.expires_at_ns = UINT64_MAX;
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    cr_assert_eq(help_get(cache, 1, UINT64_MAX), 1);
    cache_destroy(&cache);
}

static struct cache_meta look_up_meta(struct cache *cache, uint64_t now_ns)
{
    struct help_key key;
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    help_key_make(1, &key);
    cr_assert_eq(cache_get(cache, key.hash, key.view, now_ns, copy, &body), STATUS_OK);
    return body.meta;
}

Test(cache, the_hit_that_makes_a_record_popular_gets_no_body_whose_popular_life_is_over)
{
    struct cache *cache = help_open(MIB, false);
    struct help_key key;
    help_key_make(1, &key);
    struct cache_meta meta = help_meta(1);
    meta.expires_at_ns = 1000;
    meta.popular_expires_at_ns = 500;
    meta.popular_hits = 2;
    struct bytes part = BYTES_LITERAL("body");
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    cr_assert_eq(cache_get(cache, key.hash, key.view, 600, copy, &body), STATUS_OK);
    cr_assert_eq(body.meta.class, CACHE_RECORD);
    cr_assert_eq(cache_get(cache, key.hash, key.view, 600, copy, &body), STATUS_NOT_FOUND);
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, a_record_with_enough_hits_is_popular_and_lives_as_such)
{
    struct cache *cache = help_open(MIB, false);
    struct help_key key;
    help_key_make(1, &key);
    struct cache_meta meta = help_meta(1);
    struct bytes part = help_body(1, 10);
    meta.expires_at_ns = 1000;
    meta.popular_expires_at_ns = 2000;
    meta.popular_hits = 3;
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    cr_assert_eq(look_up_meta(cache, 0).class, CACHE_RECORD);
    struct cache_meta second = look_up_meta(cache, 0);
    cr_assert_eq(second.class, CACHE_RECORD);
    cr_assert_eq(second.hits, 2);
    cr_assert_eq(help_get(cache, 1, 1000), 0, "two hits are not enough to live on");
    struct cache_meta popular = look_up_meta(cache, 999);
    cr_assert_eq(popular.class, CACHE_RECORD_POPULAR);
    cr_assert_eq(popular.expires_at_ns, 2000);
    cr_assert_eq(look_up_meta(cache, 1999).hits, 4);
    cr_assert_eq(cache_expire(cache, 1999, 1000), 0);
    cr_assert_eq(help_get(cache, 1, 2000), 0);
    cr_assert_eq(cache_expire(cache, 2000, 1000), 1);

    meta.hits = 3; /* a new version of what was popular */
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    cr_assert_eq(look_up_meta(cache, 1500).class, CACHE_RECORD_POPULAR);
    meta.hits = 0;
    meta.popular_expires_at_ns = 0; /* no such class */
    meta.popular_hits = 0;
    cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    cr_assert_eq(look_up_meta(cache, 0).class, CACHE_RECORD);
    cr_assert_eq(help_get(cache, 1, 1000), 0);
    cache_destroy(&cache);
}

Test(cache, the_sweep_drops_exactly_what_has_expired_a_bounded_number_at_a_time)
{
    struct cache *cache = help_open(4 * MIB, true);
    for (uint64_t i = 0; i < 2000; i++) {
        struct help_key key;
        help_key_make(i, &key);
        struct cache_meta meta = help_meta(i + 1);
        struct bytes part = help_body(i + 1, 100);
        meta.expires_at_ns = i % 2 == 0 ? 1000 : 2000;
        cr_assert_eq(cache_put(cache, key.hash, key.view, &meta, &part, 1), STATUS_OK);
    }
    cr_assert_eq(cache_expire(cache, 1999, 0), 0);
    size_t dropped = 0;
    unsigned calls = 0;
    while (dropped < 1000 && calls < 10000) {
        size_t now_dropped = cache_expire(cache, 1999, 16);
        cr_assert_leq(now_dropped, 32);
        dropped += now_dropped;
        calls++;
    }
    cr_assert_eq(dropped, 1000);
    cr_assert_gt(calls, 30);
    cr_assert_eq(cache_expire(cache, 1999, 100000), 0);
    cr_assert_eq(help_statistics(cache).expiries, 1000);
    cr_assert_eq(help_statistics(cache).entries, 1000);
    for (uint64_t i = 0; i < 2000; i++) {
        cr_assert_eq(help_get(cache, i, 0), i % 2 == 0 ? 0 : i + 1);
    }
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, a_clear_leaves_nothing)
{
    struct cache *cache = help_open(MIB, true);
    uint64_t bytes = help_statistics(cache).bytes;
    for (uint64_t i = 0; i < 3000; i++) {
        cr_assert_eq(help_put(cache, i, i + 1, i % 200), STATUS_OK);
    }
    cache_clear(cache);
    cr_assert_eq(help_statistics(cache).entries, 0);
    cr_assert_eq(help_statistics(cache).bytes, bytes);
    for (uint64_t i = 0; i < 3000; i++) {
        cr_assert_eq(help_get(cache, i, 0), 0);
    }
    cache_check(cache);
    cache_destroy(&cache);
}

Test(cache, a_cache_of_no_bytes_is_off)
{
    static const uint64_t sizes[] = {0, 1, CACHE_BYTES_MIN - 1};
    for (unsigned i = 0; i < 3; i++) {
        struct cache *cache = help_open(sizes[i], true);
        struct help_key key;
        help_key_make(1, &key);
        cr_assert_eq(help_put(cache, 1, 1, 10), STATUS_BUSY);
        cr_assert_eq(help_get(cache, 1, 0), 0);
        cr_assert_not(cache_contains(cache, key.hash, key.view));
        cache_prefetch(cache, key.hash);
        cache_prefetch_entry(cache, key.hash);
        cache_remove(cache, key.hash, key.view);
        cr_assert_eq(cache_expire(cache, 1, 100), 0);
        cache_clear(cache);
        struct cache_statistics statistics = help_statistics(cache);
        cr_assert_eq(statistics.misses, 1);
        cr_assert_eq(statistics.bytes, 0);
        cache_destroy(&cache);
    }
}

Test(cache, more_bytes_than_a_part_can_have_are_refused)
{
    struct cache_options options = {.bytes_max = CACHE_BYTES_MAX + 1};
    struct cache *cache = (struct cache *)&options;
    cr_assert_eq(cache_create(&options, &cache), STATUS_TOO_LARGE);
    cr_assert_null(cache);
}

Test(cache, look_ups_are_counted_once_each)
{
    for (int shared = 0; shared < 2; shared++) {
        struct cache *cache = help_open(MIB, shared == 1);
        cr_assert_eq(help_put(cache, 1, 1, 10), STATUS_OK);
        for (unsigned i = 0; i < 10; i++) {
            help_get(cache, 1, 0);
        }
        for (unsigned i = 0; i < 7; i++) {
            help_get(cache, 2, 0);
        }
        struct cache_statistics statistics = help_statistics(cache);
        cr_assert_eq(statistics.hits, 10);
        cr_assert_eq(statistics.misses, 7);
        cr_assert_eq(statistics.fills, 1);
        cr_assert_eq(statistics.bytes_max, MIB);
        cache_destroy(&cache);
    }
}

/* A planted bug, FRESHET_PLANT_CACHE_REPLACE_KEEPS_OLD, makes this one fail: it is how the plant is
 * known to work. */
Test(cache, of_many_replacements_none_is_forgotten)
{
    struct cache *cache = help_open(MIB, false);
    for (uint64_t sequence = 1; sequence <= 256; sequence++) {
        cr_assert_eq(help_put(cache, 1, sequence, 64), STATUS_OK);
        cr_assert_eq(help_get(cache, 1, 0), sequence);
    }
    cache_destroy(&cache);
}

Test(cache, a_bucket_that_overflows_loses_nothing)
{
    /* 5000 entries of the smallest slot over 512 buckets of eight places. */
    struct cache *cache = help_open(MIB, true);
    for (uint64_t i = 0; i < 5000; i++) {
        cr_assert_eq(help_put(cache, i, i + 1, 1), STATUS_OK);
    }
    cache_check(cache);
    for (uint64_t i = 0; i < 5000; i += 2) {
        help_remove(cache, i);
    }
    cache_check(cache);
    for (uint64_t i = 1; i < 5000; i += 2) {
        cr_assert_eq(help_get(cache, i, 0), i + 1);
        cr_assert_eq(help_put(cache, i, i + 2, 2), STATUS_OK);
        cr_assert_eq(help_get(cache, i, 0), i + 2);
    }
    cr_assert_eq(help_statistics(cache).entries, 2500);
    cache_check(cache);
    cache_destroy(&cache);
}

static unsigned chained_buckets(const struct cache *cache)
{
    unsigned count = 0;
    for (uint32_t i = 0; i < cache->bucket_count; i++) {
        count += cache->buckets[i].overflow != 0;
    }
    return count;
}

/* The lowest byte of a hash is the record's slot, of which a shard has a few; the engine turns it
 * to the top. */
Test(cache, keys_of_one_shard_spread_over_all_buckets)
{
    for (unsigned turned = 0; turned < 2; turned++) {
        struct cache *cache = help_open(4 * MIB, false);
        struct help_key key;
        unsigned count = 0;
        /* Two a bucket: over a quarter of the buckets it would be eight, and half of those would
         * overflow. */
        for (uint64_t i = 0; count < 2 * cache->bucket_count; i++) {
            help_key_make(i, &key);
            if (key.hash % 4 != 0) {
                continue;
            }
            uint64_t hash = turned == 0 ? key.hash : key.hash >> 8 | key.hash << 56;
            struct cache_meta meta = help_meta(i);
            cr_assert_eq(cache_put(cache, hash, key.view, &meta, NULL, 0), STATUS_OK);
            count++;
        }
        cr_assert_lt(chained_buckets(cache), 8);
        cache_check(cache);
        cache_destroy(&cache);
    }
}

Test(cache, a_reader_that_finds_the_lock_taken_is_told_so)
{
    struct cache *cache = help_open(MIB, true);
    struct help_key key;
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    help_key_make(1, &key);
    cr_assert_eq(help_put(cache, 1, 1, 10), STATUS_OK);
    struct cache_bucket *bucket = cache_bucket_of(cache, key.hash);
    cr_assert(cache_bucket_try_lock(cache, bucket));
    cr_assert_eq(cache_get(cache, key.hash, key.view, 0, copy, &body), STATUS_BUSY);
    cr_assert_null(body.pin);
    cache_bucket_unlock(cache, bucket);
    cr_assert_eq(help_get(cache, 1, 0), 1);
    cache_destroy(&cache);
}
