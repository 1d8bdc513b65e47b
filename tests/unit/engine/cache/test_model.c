/* Random operations on a cache beside a naive map: what the cache says is what the map says, or
 * nothing. */
#include <stdlib.h>

#include <criterion/criterion.h>

#include "tests/unit/engine/cache/help.h"

#define KIB       1024u
#define KEY_COUNT 700
#define PIN_COUNT 8

struct model_entry {
    bool present;
    struct cache_meta meta;
    size_t body_bytes;
    uint32_t hits;
};

struct model {
    struct cache *cache;
    uint64_t random;
    uint64_t now_ns;
    uint64_t sequence;
    size_t body_bytes_max;
    bool nothing_evicts; /* room for all: what the map has, the cache has */
    struct model_entry entries[KEY_COUNT];
    struct cache_body pins[PIN_COUNT];
    uint64_t pinned_sequences[PIN_COUNT];
};

static uint64_t below(struct model *model, uint64_t bound)
{
    return help_random(&model->random) % bound;
}

static size_t random_body_bytes(struct model *model)
{
    switch (below(model, 8)) {
    case 0:
        return 0;
    case 1:
        return below(model, model->body_bytes_max + 1);
    case 2:
        return below(model, 6000);
    default:
        return 200 + below(model, 500);
    }
}

static bool model_is_expired(const struct model *model, const struct model_entry *entry,
                             uint32_t hits)
{
    bool popular = entry->meta.popular_expires_at_ns != 0 && hits >= entry->meta.popular_hits;
    uint64_t end = popular ? entry->meta.popular_expires_at_ns : entry->meta.expires_at_ns;
    return end != UINT64_MAX && end <= model->now_ns;
}

static void model_put(struct model *model, uint64_t number)
{
    static const enum cache_class classes[] = {CACHE_RECORD, CACHE_LIST, CACHE_INDEX};
    struct model_entry *entry = &model->entries[number];
    struct help_key key;
    help_key_make(number, &key);
    entry->meta = help_meta(++model->sequence);
    entry->meta.class = classes[below(model, 3)];
    entry->meta.absent = below(model, 10) == 0;
    entry->meta.form = (uint8_t)below(model, CACHE_FORM_MAX + 1);
    if (below(model, 5) == 0) {
        entry->meta.version <<= 28; /* does not fit into the head */
    }
    entry->meta.expires_at_ns =
        below(model, 4) == 0 ? UINT64_MAX : model->now_ns + below(model, 5000);
    if (below(model, 3) == 0) {
        entry->meta.popular_hits = (uint32_t)below(model, 5);
        entry->meta.popular_expires_at_ns = model->now_ns + 1 + below(model, 9000);
    }
    entry->hits = 0;
    entry->body_bytes = random_body_bytes(model);
    struct bytes part = help_body(model->sequence, entry->body_bytes);
    enum status status = cache_put(model->cache, key.hash, key.view, &entry->meta, &part, 1);
    cr_assert(status == STATUS_OK || status == STATUS_BUSY);
    cr_assert(status == STATUS_OK || !model->nothing_evicts);
    entry->present = status == STATUS_OK;
}

static void compare(const struct model_entry *entry, const struct cache_body *body)
{
    bool popular =
        entry->meta.popular_expires_at_ns != 0 && entry->hits >= entry->meta.popular_hits;
    cr_assert_eq(body->meta.sequence, entry->meta.sequence, "replaced, and served again");
    cr_assert_eq(body->meta.epoch, entry->meta.epoch);
    cr_assert_eq(body->meta.made_at_ms, entry->meta.made_at_ms);
    cr_assert_eq(body->meta.version, entry->meta.version);
    cr_assert_eq(body->meta.form, entry->meta.form);
    cr_assert_eq(body->meta.hits, entry->hits);
    cr_assert_eq(body->meta.absent, entry->meta.absent);
    cr_assert_eq(body->meta.expires_at_ns,
                 popular ? entry->meta.popular_expires_at_ns : entry->meta.expires_at_ns);
    cr_assert_eq(body->meta.class, popular ? CACHE_RECORD_POPULAR : entry->meta.class);
    cr_assert(help_body_is(body->body, entry->meta.sequence, entry->body_bytes));
    cr_assert_eq(body->pin != NULL, entry->body_bytes > CACHE_COPY_BYTES_MAX);
}

static void model_get(struct model *model, uint64_t number)
{
    struct model_entry *entry = &model->entries[number];
    struct help_key key;
    uint8_t copy[CACHE_COPY_BYTES_MAX];
    struct cache_body body;
    help_key_make(number, &key);
    /* As it was before the look-up, or as the look-up makes it. */
    bool expired = model_is_expired(model, entry, entry->hits) ||
                   model_is_expired(model, entry, entry->hits + 1);
    enum status status = cache_get(model->cache, key.hash, key.view, model->now_ns, copy, &body);
    if (status != STATUS_OK) {
        cr_assert_eq(status, STATUS_NOT_FOUND);
        cr_assert(!model->nothing_evicts || !entry->present || expired);
        return;
    }
    cr_assert(entry->present, "removed, and served again");
    cr_assert(!expired, "expired, and served again");
    entry->hits++;
    compare(entry, &body);
    unsigned place = (unsigned)below(model, PIN_COUNT);
    if (body.pin != NULL && model->pins[place].pin == NULL) {
        model->pins[place] = body;
        model->pinned_sequences[place] = body.meta.sequence;
    } else {
        cache_unpin(model->cache, &body);
    }
}

static void model_unpin(struct model *model)
{
    unsigned place = (unsigned)below(model, PIN_COUNT);
    struct cache_body *body = &model->pins[place];
    if (body->pin != NULL) {
        cr_assert(help_body_is(body->body, model->pinned_sequences[place], body->body.size),
                  "the memory of a pinned body was reused");
        cache_unpin(model->cache, body);
    }
}

static void model_step(struct model *model)
{
    uint64_t number = below(model, 4) == 0 ? below(model, KEY_COUNT) : below(model, KEY_COUNT / 10);
    uint64_t what = below(model, 100);
    if (what < 30) {
        model_put(model, number);
    } else if (what < 80) {
        model_get(model, number);
    } else if (what < 88) {
        help_remove(model->cache, number);
        model->entries[number].present = false;
    } else if (what < 95) {
        model_unpin(model);
    } else if (what < 99) {
        model->now_ns += below(model, 300);
        cache_expire(model->cache, model->now_ns, below(model, 50));
    } else if (below(model, 50) == 0) {
        cache_clear(model->cache);
        for (unsigned i = 0; i < KEY_COUNT; i++) {
            model->entries[i].present = false;
        }
    }
    struct cache_statistics statistics = help_statistics(model->cache);
    cr_assert_leq(statistics.bytes, statistics.bytes_max);
}

static void model_run(const char *name, uint64_t bytes_max, bool shared, size_t body_bytes_max,
                      bool nothing_evicts)
{
    struct model *model = calloc(1, sizeof(*model));
    cr_assert_not_null(model);
    model->random = help_seed(name);
    model->cache = help_open(bytes_max, shared);
    model->body_bytes_max = body_bytes_max;
    model->nothing_evicts = nothing_evicts;
    for (unsigned i = 0; i < 60000; i++) {
        model_step(model);
        if (i % 500 == 0) {
            cache_check(model->cache);
        }
    }
    for (unsigned i = 0; i < 200; i++) {
        model_unpin(model);
    }
    cache_clear(model->cache);
    cache_check(model->cache);
    cache_destroy(&model->cache);
    free(model);
}

Test(cache_model, a_cache_of_eight_kib_says_what_the_map_says_or_nothing)
{
    model_run("8 KiB", CACHE_BYTES_MIN, false, 4000, false);
}

Test(cache_model, a_cache_of_64_kib_says_what_the_map_says_or_nothing)
{
    model_run("64 KiB", 64 * KIB, true, 20000, false);
}

Test(cache_model, a_cache_of_a_mib_says_what_the_map_says_or_nothing)
{
    model_run("1 MiB", 1024 * KIB, true, 300000, false);
}

Test(cache_model, a_cache_with_room_for_all_says_what_the_map_says)
{
    model_run("64 MiB", 64 * 1024 * KIB, false, 20000, true);
}
