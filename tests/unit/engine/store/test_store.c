/* What all implementations of the store promise. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "store_fixture.h"

#define TEXT_BYTES 1024

EACH(an_empty_store_has_nothing)
{
    expect(fixture, "a", NULL);
    expect_persisted(fixture, "a", NULL);
    struct store_value value;
    cr_assert_eq(store_get(fixture->store, BYTES_LITERAL("a"), false, &value), STATUS_NOT_FOUND);
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture->store, &iterator), STATUS_OK);
    fixture->store->vtable->iterator_seek(iterator, BYTES_EMPTY);
    cr_assert_not(fixture->store->vtable->iterator_valid(iterator));
    cr_assert_eq(fixture->store->vtable->iterator_status(iterator), STATUS_OK);
    fixture->store->vtable->iterator_destroy(iterator);
    flush(fixture);
    expect(fixture, "a", NULL);
}

EACH(what_is_applied_is_read)
{
    put(fixture, "a", "1");
    expect(fixture, "a", "1");
    put(fixture, "a", "22");
    expect(fixture, "a", "22");
    erase(fixture, "a");
    expect(fixture, "a", NULL);
    erase(fixture, "a");
    expect(fixture, "a", NULL);
    put(fixture, "a", "");
    expect(fixture, "a", "");
}

EACH(memory_answers_without_blocking)
{
    put(fixture, "a", "1");
    struct store_value value;
    cr_assert_eq(store_get(fixture->store, BYTES_LITERAL("a"), false, &value), STATUS_OK);
    cr_assert(bytes_equal(value.bytes, BYTES_LITERAL("1")));
    store_value_release(fixture->store, &value);
}

UNBUFFERED(a_value_stays_while_its_key_changes)
{
    put(fixture, "a", "old");
    struct store_value value;
    cr_assert_eq(store_get(fixture->store, BYTES_LITERAL("a"), true, &value), STATUS_OK);
    put(fixture, "a", "new");
    erase(fixture, "a");
    flush(fixture);
    cr_assert(bytes_equal(value.bytes, BYTES_LITERAL("old")));
    store_value_release(fixture->store, &value);
}

EACH(keys_and_values_may_be_of_any_bytes_and_large)
{
    const struct store_vtable *store = fixture->store->vtable;
    const size_t value_size = 3u << 20;
    uint8_t *value = malloc(value_size);
    cr_assert_not_null(value);
    for (size_t i = 0; i < value_size; i++) {
        value[i] = (uint8_t)(i * 31);
    }
    const uint8_t key_bytes[] = {0, 0xff, 0, 'x', 0};
    struct bytes key = bytes_of(key_bytes, sizeof(key_bytes));
    store->batch_put(fixture->batch, key, bytes_of(value, value_size));
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    for (int round = 0; round < 2; round++) {
        struct store_value found;
        cr_assert_eq(store_get(fixture->store, key, true, &found), STATUS_OK);
        cr_assert(bytes_equal(found.bytes, bytes_of(value, value_size)));
        store_value_release(fixture->store, &found);
        flush(fixture);
    }
    free(value);
}

EACH(a_batch_applies_in_its_order_and_is_left_as_it_is)
{
    const struct store_vtable *store = fixture->store->vtable;
    store->batch_put(fixture->batch, BYTES_LITERAL("a"), BYTES_LITERAL("1"));
    store->batch_delete(fixture->batch, BYTES_LITERAL("a"));
    store->batch_put(fixture->batch, BYTES_LITERAL("a"), BYTES_LITERAL("2"));
    store->batch_put(fixture->batch, BYTES_LITERAL("b"), BYTES_LITERAL("3"));
    store->batch_delete(fixture->batch, BYTES_LITERAL("b"));
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    expect(fixture, "a", "2");
    expect(fixture, "b", NULL);
    put(fixture, "a", "9");
    store->batch_clear(fixture->batch);
    store->batch_put(fixture->batch, BYTES_LITERAL("c"), BYTES_LITERAL("4"));
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    put(fixture, "d", "5");
    erase(fixture, "c");
    expect(fixture, "a", "9");
    expect(fixture, "c", NULL);
}

EACH(the_same_batch_can_be_applied_twice)
{
    const struct store_vtable *store = fixture->store->vtable;
    store->batch_put(fixture->batch, BYTES_LITERAL("a"), BYTES_LITERAL("1"));
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    struct store_batch *other = store_batch_create(fixture->store);
    store->batch_delete(other, BYTES_LITERAL("a"));
    cr_assert_eq(store_apply(fixture->store, other), STATUS_OK);
    expect(fixture, "a", NULL);
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    expect(fixture, "a", "1");
    store->batch_destroy(other);
}

EACH(an_empty_batch_changes_nothing)
{
    put(fixture, "a", "1");
    fixture->store->vtable->batch_clear(fixture->batch);
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
    expect(fixture, "a", "1");
}

EACH(an_iterator_goes_in_byte_order_from_where_it_is_put)
{
    const struct store_vtable *store = fixture->store->vtable;
    put(fixture, "b", "2");
    put(fixture, "a", "1");
    flush(fixture);
    put(fixture, "\xff", "5");
    put(fixture, "ab", "3");
    put(fixture, "c", "4");
    erase(fixture, "c");
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture->store, &iterator), STATUS_OK);
    char text[TEXT_BYTES];
    cr_assert_str_eq(all_of(fixture->store, iterator, text, sizeof(text)), "a=1 ab=3 b=2 \xff=5 ");
    store->iterator_seek(iterator, BYTES_LITERAL("ab"));
    cr_assert(bytes_equal(store->iterator_key(iterator), BYTES_LITERAL("ab")));
    store->iterator_seek(iterator, BYTES_LITERAL("aba"));
    cr_assert(bytes_equal(store->iterator_key(iterator), BYTES_LITERAL("b")));
    store->iterator_seek(iterator, BYTES_LITERAL("\xff\xff"));
    cr_assert_not(store->iterator_valid(iterator));
    cr_assert_eq(store->iterator_status(iterator), STATUS_OK);
    store->iterator_destroy(iterator);
}

EACH(an_iterator_shows_the_state_it_was_created_in)
{
    char text[TEXT_BYTES];
    put(fixture, "a", "1");
    put(fixture, "b", "1");
    struct store_iterator *old;
    cr_assert_eq(store_iterator_create(fixture->store, &old), STATUS_OK);
    put(fixture, "a", "2");
    erase(fixture, "b");
    put(fixture, "c", "2");
    flush(fixture);
    struct store_iterator *young;
    cr_assert_eq(store_iterator_create(fixture->store, &young), STATUS_OK);
    put(fixture, "a", "3");
    cr_assert_str_eq(all_of(fixture->store, old, text, sizeof(text)), "a=1 b=1 ");
    cr_assert_str_eq(all_of(fixture->store, young, text, sizeof(text)), "a=2 c=2 ");
    fixture->store->vtable->iterator_destroy(old);
    cr_assert_str_eq(all_of(fixture->store, young, text, sizeof(text)), "a=2 c=2 ");
    fixture->store->vtable->iterator_destroy(young);
    expect(fixture, "a", "3");
}

EACH(only_what_was_flushed_is_persisted)
{
    put(fixture, "a", "1");
    expect_persisted(fixture, "a", NULL);
    flush(fixture);
    expect_persisted(fixture, "a", "1");
    put(fixture, "a", "2");
    erase(fixture, "a");
    expect_persisted(fixture, "a", "1");
    expect(fixture, "a", NULL);
}

EACH(what_is_applied_after_flush_begin_is_not_persisted_by_flush_wait)
{
    put(fixture, "a", "1");
    flush_begin(fixture);
    put(fixture, "a", "2");
    put(fixture, "b", "2");
    cr_assert_eq(store_flush_wait(fixture->store), STATUS_OK);
    expect_persisted(fixture, "a", "1");
    expect_persisted(fixture, "b", NULL);
    expect(fixture, "a", "2");
    expect(fixture, "b", "2");
    fixture_crash(fixture);
    expect(fixture, "a", "1");
    expect(fixture, "b", NULL);
}

EACH(a_crash_loses_what_was_not_flushed)
{
    put(fixture, "a", "1");
    fixture_crash(fixture);
    expect(fixture, "a", NULL);
    put(fixture, "a", "1");
    put(fixture, "b", "1");
    flush(fixture);
    put(fixture, "a", "2");
    erase(fixture, "b");
    fixture_crash(fixture);
    expect(fixture, "a", "1");
    expect(fixture, "b", "1");
    put(fixture, "a", "3");
    flush(fixture);
    fixture_crash(fixture);
    expect(fixture, "a", "3");
}

EACH(closing_twice_before_waiting_persists_both)
{
    put(fixture, "a", "1");
    flush_begin(fixture);
    put(fixture, "b", "1");
    flush_begin(fixture);
    put(fixture, "c", "1");
    cr_assert_eq(store_flush_wait(fixture->store), STATUS_OK);
    expect_persisted(fixture, "a", "1");
    expect_persisted(fixture, "b", "1");
    expect_persisted(fixture, "c", NULL);
}

EACH(flushing_nothing_is_fine)
{
    cr_assert_eq(store_flush_wait(fixture->store), STATUS_OK);
    flush(fixture);
    put(fixture, "a", "1");
    flush(fixture);
    flush(fixture);
    expect_persisted(fixture, "a", "1");
}

EACH(statistics_tell_what_is_not_flushed)
{
    struct store_statistics statistics;
    store_statistics_read(fixture->store, &statistics);
    cr_assert_eq(statistics.memtable_bytes, 0);
    cr_assert_eq(statistics.unflushed_memtables, 0);
    cr_assert_not(statistics.stalled);
    cr_assert_eq(statistics.failure, STATUS_OK);
    put(fixture, "a", "1");
    store_statistics_read(fixture->store, &statistics);
    cr_assert_gt(statistics.memtable_bytes, 0);
    flush(fixture);
    store_statistics_read(fixture->store, &statistics);
    cr_assert_eq(statistics.memtable_bytes, 0);
    cr_assert_eq(statistics.unflushed_memtables, 0);
}

EACH(a_sound_store_passes_verification)
{
    char text[TEXT_BYTES];
    put(fixture, "a", "1");
    flush(fixture);
    put(fixture, "b", "1");
    cr_assert_eq(store_verify(fixture->store, text, sizeof(text)), STATUS_OK, "%s", text);
}

/* ---- against a naive model ---- */

#define MODEL_KEYS  40
#define MODEL_STEPS 3000

struct model {
    unsigned value[MODEL_KEYS]; /* 0: absent */
};

static void model_key(unsigned key, char text_out[8])
{
    snprintf(text_out, 8, "k%03u", key);
}

static void model_compare(struct fixture *fixture, const struct model *model)
{
    for (unsigned i = 0; i < MODEL_KEYS; i++) {
        char key[8];
        char value[16];
        model_key(i, key);
        snprintf(value, sizeof(value), "%u", model->value[i]);
        expect(fixture, key, model->value[i] == 0 ? NULL : value);
    }
}

static void model_batch(struct fixture *fixture, struct model *model, unsigned step, uint64_t *seed)
{
    const struct store_vtable *store = fixture->store->vtable;
    store->batch_clear(fixture->batch);
    unsigned count = dice(seed, 6);
    for (unsigned i = 0; i < count; i++) {
        unsigned index = dice(seed, MODEL_KEYS);
        char key[8];
        char value[16];
        model_key(index, key);
        bool is_delete = dice(seed, 3) == 0;
        model->value[index] = is_delete ? 0 : step;
        snprintf(value, sizeof(value), "%u", step);
        if (is_delete) {
            store->batch_delete(fixture->batch, bytes_of_text(key));
        } else {
            store->batch_put(fixture->batch, bytes_of_text(key), bytes_of_text(value));
        }
    }
    cr_assert_eq(store_apply(fixture->store, fixture->batch), STATUS_OK);
}

EACH(a_crash_leaves_a_prefix_of_history_at_any_time)
{
    uint64_t seed = 20260101;
    cr_log_info("seed %llu", (unsigned long long)seed);
    struct model now = {0};
    struct model closed = {0};
    struct model flushed = {0};
    for (unsigned step = 1; step <= MODEL_STEPS; step++) {
        unsigned number = dice(&seed, 1000);
        if (number < 990) {
            model_batch(fixture, &now, step, &seed);
        } else if (number < 996) {
            closed = now;
            flush_begin(fixture);
            model_batch(fixture, &now, step, &seed);
            cr_assert_eq(store_flush_wait(fixture->store), STATUS_OK);
            flushed = closed;
        } else {
            fixture_crash(fixture);
            now = flushed;
            model_compare(fixture, &now);
        }
    }
    model_compare(fixture, &now);
    fixture_crash(fixture);
    model_compare(fixture, &flushed);
}
