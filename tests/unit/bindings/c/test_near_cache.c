#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bindings/c/near_cache.h"

#define PETS BYTES_LITERAL("pets")

static struct near_cache *cache_of(size_t bytes_max)
{
    struct near_cache *cache;
    cr_assert_eq(near_cache_create(bytes_max, 7, &cache), STATUS_OK);
    return cache;
}

static struct near_key key_of(const struct near_cache *cache, const char *id)
{
    struct bytes text = bytes_of_text(id);
    return (struct near_key){PETS, text, near_cache_hash(cache, PETS, text)};
}

static struct near_state state_of(uint64_t epoch, uint64_t sequence, const char *data)
{
    return (struct near_state){.data = data == NULL ? BYTES_EMPTY : bytes_of_text(data),
                               .pair = {epoch, sequence},
                               .version = 1,
                               .is_there = data != NULL};
}

static void fill(struct near_cache *cache, const char *id, uint64_t epoch, uint64_t sequence,
                 const char *data, uint64_t event_sent)
{
    struct near_key key = key_of(cache, id);
    struct near_state state = state_of(epoch, sequence, data);
    near_cache_fill(cache, &key, &state, event_sent);
}

/* The sequence of what is cached; 0: nothing is. */
static uint64_t found(struct near_cache *cache, const char *id)
{
    struct near_key key = key_of(cache, id);
    struct near_state state;
    return near_cache_find(cache, &key, &state) ? state.pair.sequence : 0;
}

static void invalidate(struct near_cache *cache, const char *id, uint64_t epoch, uint64_t sequence)
{
    near_cache_invalidate(cache, key_of(cache, id).hash, (struct near_pair){epoch, sequence});
}

Test(near_cache, what_was_filled_is_found_with_all_that_it_is)
{
    struct near_cache *cache = cache_of(1 << 20);
    fill(cache, "1", 2, 5, "{}", 0);
    struct near_key key = key_of(cache, "1");
    struct near_state state;
    cr_assert(near_cache_find(cache, &key, &state));
    cr_assert(bytes_equal(state.data, BYTES_LITERAL("{}")));
    cr_assert_eq(state.pair.epoch, 2);
    cr_assert_eq(state.pair.sequence, 5);
    cr_assert(state.is_there);
    cr_assert_eq(found(cache, "2"), 0);
    near_cache_destroy(&cache);
    cr_assert_null(cache);
}

Test(near_cache, that_a_record_is_not_there_is_known_until_it_changes)
{
    struct near_cache *cache = cache_of(1 << 20);
    fill(cache, "1", 1, 5, NULL, 0);
    struct near_key key = key_of(cache, "1");
    struct near_state state;
    cr_assert(near_cache_find(cache, &key, &state));
    cr_assert_not(state.is_there);
    invalidate(cache, "1", 1, 6);
    cr_assert_not(near_cache_find(cache, &key, &state));
    near_cache_destroy(&cache);
}

Test(near_cache, collection_and_id_are_told_apart)
{
    struct near_cache *cache = cache_of(1 << 20);
    uint64_t one = near_cache_hash(cache, BYTES_LITERAL("ab"), BYTES_LITERAL("c"));
    uint64_t other = near_cache_hash(cache, BYTES_LITERAL("a"), BYTES_LITERAL("bc"));
    cr_assert_neq(one, other);
    near_cache_destroy(&cache);
}

Test(near_cache, an_invalidation_drops_what_is_older_and_keeps_what_is_not)
{
    struct near_cache *cache = cache_of(1 << 20);
    fill(cache, "1", 1, 5, "{}", 0);
    invalidate(cache, "1", 1, 5);
    cr_assert_eq(found(cache, "1"), 5);
    invalidate(cache, "1", 1, 4);
    cr_assert_eq(found(cache, "1"), 5);
    invalidate(cache, "1", 2, 1);
    cr_assert_eq(found(cache, "1"), 0, "a later epoch is later, whatever the sequence");
    near_cache_destroy(&cache);
}

Test(near_cache, an_answer_that_was_overtaken_does_not_fill)
{
    struct near_cache *cache = cache_of(1 << 20);
    uint64_t sent = near_cache_event(cache);
    invalidate(cache, "1", 1, 6);
    fill(cache, "1", 1, 5, "{}", sent);
    cr_assert_eq(found(cache, "1"), 0);
    cr_assert_eq(near_cache_counts(cache).dropped_fills, 1);
    /* One that shows the change itself does, and one that was asked for after it. */
    fill(cache, "1", 1, 6, "{}", sent);
    cr_assert_eq(found(cache, "1"), 6);
    near_cache_destroy(&cache);
}

Test(near_cache, an_older_answer_does_not_replace_a_newer_one)
{
    struct near_cache *cache = cache_of(1 << 20);
    fill(cache, "1", 1, 9, "{\"n\":9}", 0);
    fill(cache, "1", 1, 8, "{\"n\":8}", 0);
    cr_assert_eq(found(cache, "1"), 9);
    near_cache_destroy(&cache);
}

Test(near_cache, after_a_restart_nothing_asked_for_before_it_fills)
{
    struct near_cache *cache = cache_of(1 << 20);
    fill(cache, "1", 1, 5, "{}", 0);
    uint64_t sent = near_cache_event(cache);
    near_cache_restart(cache);
    cr_assert_eq(found(cache, "1"), 0);
    fill(cache, "1", 1, 6, "{}", sent);
    cr_assert_eq(found(cache, "1"), 0);
    fill(cache, "1", 1, 6, "{}", near_cache_event(cache));
    cr_assert_eq(found(cache, "1"), 6);
    cr_assert(near_cache_is_sound(cache));
    near_cache_destroy(&cache);
}

Test(near_cache, what_was_evicted_is_not_followed_by_an_older_answer)
{
    struct near_cache *cache = cache_of(64 << 10);
    uint64_t sent = near_cache_event(cache);
    char id[16];
    fill(cache, "1", 1, 9, "{}", sent);
    for (unsigned other = 0; other < 1000; other++) {
        snprintf(id, sizeof(id), "x%u", other);
        fill(cache, id, 1, 1, "{}", near_cache_event(cache));
    }
    cr_assert_eq(found(cache, "1"), 0);
    fill(cache, "1", 1, 8, "{}", sent);
    cr_assert_eq(found(cache, "1"), 0);
    near_cache_destroy(&cache);
}

Test(near_cache, what_is_too_large_is_not_kept_but_remembered)
{
    struct near_cache *cache = cache_of(64 << 10);
    char *large = malloc(32 << 10);
    memset(large, 'x', 32 << 10);
    large[(32 << 10) - 1] = '\0';
    fill(cache, "1", 1, 9, large, 0);
    cr_assert_eq(found(cache, "1"), 0);
    fill(cache, "1", 1, 8, "{}", 0);
    cr_assert_eq(found(cache, "1"), 0, "9 has been read: 8 must not come after it");
    free(large);
    near_cache_destroy(&cache);
}

Test(near_cache, all_its_memory_counts_and_stays_within_the_bound)
{
    static const size_t BOUNDS[] = {1, 1000, 64 << 10, 1 << 20};
    char id[16];
    for (size_t bound = 0; bound < sizeof(BOUNDS) / sizeof(*BOUNDS); bound++) {
        struct near_cache *cache = cache_of(BOUNDS[bound]);
        uint64_t empty = near_cache_counts(cache).bytes;
        for (unsigned number = 0; number < 20000; number++) {
            snprintf(id, sizeof(id), "%u", number);
            fill(cache, id, 1, 1 + number, "{\"title\":\"lamp\"}", near_cache_event(cache));
        }
        uint64_t bytes = near_cache_counts(cache).bytes;
        cr_assert(bytes <= BOUNDS[bound] || bytes == empty);
        cr_assert(near_cache_is_sound(cache));
        near_cache_destroy(&cache);
    }
}

Test(near_cache, what_is_found_again_and_again_is_not_evicted)
{
    struct near_cache *cache = cache_of(64 << 10);
    char id[16];
    fill(cache, "hot", 1, 1, "{}", 0);
    for (unsigned number = 0; number < 5000; number++) {
        cr_assert_eq(found(cache, "hot"), 1);
        snprintf(id, sizeof(id), "%u", number);
        fill(cache, id, 1, 1, "{}", near_cache_event(cache));
    }
    cr_assert_gt(near_cache_counts(cache).evictions, 1000);
    near_cache_destroy(&cache);
}

/* ---- against a naive model ---- */

#define MODEL_KEYS    40
#define MODEL_FLIGHTS 8
#define MODEL_STEPS   200000

/* What the server has, what this client has seen, and answers under way. */
struct model {
    uint64_t random;
    uint64_t sequence;
    uint64_t now[MODEL_KEYS];   /* of the newest change of a key */
    uint64_t told[MODEL_KEYS];  /* the newest that the client was told of */
    uint64_t floor[MODEL_KEYS]; /* the newest that it has read or written */
    struct {
        bool is_open;
        unsigned key;
        uint64_t sequence;
        uint64_t event_sent;
        uint64_t told; /* of the key, when it was sent */
    } flights[MODEL_FLIGHTS];
};

static uint64_t model_next(struct model *model, uint64_t below)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return model->random % below;
}

static const char *key_name(unsigned key)
{
    static char name[16];
    snprintf(name, sizeof(name), "k%u", key);
    return name;
}

static void model_answer(struct model *model, struct near_cache *cache, unsigned flight)
{
    char data[600];
    unsigned key = model->flights[flight].key;
    uint64_t sequence = model->flights[flight].sequence;
    size_t size = 1 + model_next(model, sizeof(data) - 1);
    memset(data, 'x', size);
    data[size - 1] = '\0';
    fill(cache, key_name(key), 1, sequence, sequence % 5 == 0 ? NULL : data,
         model->flights[flight].event_sent);
    model->flights[flight].is_open = false;
    if (sequence > model->floor[key]) {
        model->floor[key] = sequence;
    }
}

static void model_step(struct model *model, struct near_cache *cache)
{
    unsigned key = (unsigned)model_next(model, MODEL_KEYS);
    unsigned flight = (unsigned)model_next(model, MODEL_FLIGHTS);
    switch (model_next(model, 12)) {
    case 0: /* somebody writes */
    case 1:
        model->now[key] = ++model->sequence;
        break;
    case 2: /* the client is told of all there is of a key */
    case 3:
        model->told[key] = model->now[key];
        invalidate(cache, key_name(key), 1, model->now[key]);
        break;
    case 4: /* this client writes */
        model->now[key] = ++model->sequence;
        model->floor[key] = model->now[key];
        invalidate(cache, key_name(key), 1, model->now[key]);
        break;
    case 5:
        if (model_next(model, 2000) == 0) {
            near_cache_restart(cache);
        }
        break;
    case 6: /* a read is sent, and carried out at some moment before its answer comes */
    case 7:
        if (!model->flights[flight].is_open) {
            model->flights[flight].is_open = true;
            model->flights[flight].key = key;
            model->flights[flight].event_sent = near_cache_event(cache);
            model->flights[flight].sequence = model->now[key];
        }
        break;
    default:
        if (model->flights[flight].is_open) {
            model_answer(model, cache, flight);
        }
        break;
    }
}

static void model_check(const struct model *model, struct near_cache *cache, uint64_t seed)
{
    for (unsigned key = 0; key < MODEL_KEYS; key++) {
        struct near_key name = key_of(cache, key_name(key));
        struct near_state state;
        if (!near_cache_find(cache, &name, &state)) {
            continue;
        }
        uint64_t shown = state.pair.sequence;
        cr_assert(shown >= model->told[key], "seed %lu: k%u shows %lu, told of %lu",
                  (unsigned long)seed, key, (unsigned long)shown, (unsigned long)model->told[key]);
        cr_assert(shown >= model->floor[key], "seed %lu: k%u shows %lu, seen %lu",
                  (unsigned long)seed, key, (unsigned long)shown, (unsigned long)model->floor[key]);
    }
}

Test(near_cache, at_random_nothing_older_than_what_was_told_read_or_written_is_shown)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : (uint64_t)now.tv_nsec | 1;
    printf("SEED=%lu\n", (unsigned long)seed);
    struct model model = {.random = seed};
    /* So small that entries are evicted, and events forgotten. */
    struct near_cache *cache = cache_of(8 << 10);
    for (unsigned step = 0; step < MODEL_STEPS; step++) {
        model_step(&model, cache);
        if (step % 8 == 0) {
            model_check(&model, cache, seed);
        }
    }
    struct near_cache_counts counts = near_cache_counts(cache);
    cr_assert(near_cache_is_sound(cache));
    cr_assert_gt(counts.dropped_fills, 100);
    cr_assert_gt(counts.evictions, 100);
    near_cache_destroy(&cache);
}
