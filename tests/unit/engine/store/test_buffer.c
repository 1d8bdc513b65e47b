/* The write buffer before a store: what goes over, when, and what happens when it cannot. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "engine/store/store_memory.h"
#include "store_fixture.h"

static struct fixture fixture;

static void buffer_init(void)
{
    fixture_open(&fixture, IN_BUFFER);
}

static void buffer_fini(void)
{
    fixture_close(&fixture);
}

TestSuite(buffer, .init = buffer_init, .fini = buffer_fini);

static void faults(uint32_t stall, uint32_t applies)
{
    const struct store_memory_faults some = {.seed = 1, .stall = stall, .stall_applies = applies};
    store_memory_faults_set(fixture.behind, &some);
}

static enum status put_quietly(const char *key, const char *value)
{
    const struct store_vtable *store = fixture.store->vtable;
    store->batch_clear(fixture.batch);
    store->batch_put(fixture.batch, bytes_of_text(key), bytes_of_text(value));
    return store_apply(fixture.store, fixture.batch);
}

/* So many rows more, none of which was there before. */
static enum status apply_rows(struct store *store, struct store_batch *batch, unsigned *next,
                              unsigned count)
{
    store->vtable->batch_clear(batch);
    for (unsigned i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%08u", (*next)++ * 7919u % 100000000u);
        store->vtable->batch_put(batch, bytes_of_text(key), BYTES_LITERAL("v"));
    }
    return store_apply(store, batch);
}

Test(buffer, a_row_stays_until_an_iterator_or_a_flush_needs_it_in_the_store)
{
    put(&fixture, "a", "1");
    cr_assert_eq(store_memory_row_count(fixture.behind), 0);
    cr_assert_eq(store_buffer_rows(fixture.buffer), 1);
    expect(&fixture, "a", "1");
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 1);
    cr_assert_eq(store_buffer_rows(fixture.buffer), 0);
    fixture.store->vtable->iterator_destroy(iterator);
    erase(&fixture, "a");
    cr_assert_eq(store_memory_row_count(fixture.behind), 1);
    expect(&fixture, "a", NULL);
    flush(&fixture);
    cr_assert_eq(store_memory_row_count(fixture.behind), 0);
}

Test(buffer, a_key_that_is_written_again_goes_over_once)
{
    for (int i = 0; i < 3; i++) {
        put(&fixture, "a", "1");
        put(&fixture, "b", "2");
    }
    cr_assert_eq(store_buffer_rows(fixture.buffer), 2);
    cr_assert_eq(store_buffer_settle(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 2);
}

Test(buffer, a_full_table_makes_room_by_draining)
{
    for (int i = 0; i < 100; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%02d", i);
        cr_assert_eq(put_quietly(key, "v"), STATUS_OK); /* and no step ever */
        expect(&fixture, key, "v");
        expect(&fixture, "00", "v");
    }
    cr_assert_geq(store_memory_row_count(fixture.behind), 100 - 2 * 8);
    cr_assert_eq(store_buffer_settle(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 100);
}

Test(buffer, a_batch_larger_than_a_table_goes_around_it_behind_what_came_before)
{
    put(&fixture, "a", "1");
    put(&fixture, "b", "1");
    const struct store_vtable *store = fixture.store->vtable;
    store->batch_clear(fixture.batch);
    for (int i = 0; i < 9; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        store->batch_put(fixture.batch, bytes_of_text(key), BYTES_LITERAL("v"));
    }
    store->batch_delete(fixture.batch, BYTES_LITERAL("a"));
    store->batch_put(fixture.batch, BYTES_LITERAL("b"), BYTES_LITERAL("2"));
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_OK);
    cr_assert_eq(store_buffer_rows(fixture.buffer), 0);
    expect(&fixture, "a", NULL);
    expect(&fixture, "b", "2");
    expect(&fixture, "k8", "v");
    put(&fixture, "b", "3");
    expect(&fixture, "b", "3");
}

Test(buffer, while_it_is_held_the_store_stands_still_and_applies_go_on)
{
    put(&fixture, "a", "1");
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 1);
    int accepted = 0;
    char key[16];
    for (;; accepted++) {
        snprintf(key, sizeof(key), "k%02d", accepted);
        enum status status = put_quietly(key, "v");
        (void)store_buffer_step(fixture.buffer);
        if (status != STATUS_OK) {
            cr_assert_eq(status, STATUS_BUSY);
            break;
        }
    }
    cr_assert_eq(accepted, 16, "two tables of eight rows");
    cr_assert_eq(store_memory_row_count(fixture.behind), 1);
    struct store_iterator *iterator;
    char text[256];
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    cr_assert_str_eq(all_of(fixture.store, iterator, text, sizeof(text)),
                     "a=1 k00=v k01=v k02=v k03=v k04=v k05=v k06=v k07=v k08=v k09=v k10=v k11=v "
                     "k12=v k13=v k14=v k15=v ");
    expect(&fixture, "k00", "v");
    expect(&fixture, "k15", "v");
    store_buffer_release(fixture.buffer);
    cr_assert_eq(put_quietly(key, "v"), STATUS_OK);
    cr_assert_eq(store_buffer_settle(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 18);
    put(&fixture, "k00", "w"); /* the tables that it shows are not used again */
    cr_assert(text == all_of(fixture.store, iterator, text, sizeof(text)));
    cr_assert_str_eq(text, "a=1 k00=v k01=v k02=v k03=v k04=v k05=v k06=v k07=v k08=v k09=v k10=v "
                           "k11=v k12=v k13=v k14=v k15=v ");
    fixture.store->vtable->iterator_destroy(iterator);
}

Test(buffer, iterators_take_no_room_from_applies_while_it_is_held)
{
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_OK);
    struct store_iterator *iterators[16];
    unsigned next = 0;
    for (unsigned i = 0; i < 16; i++) {
        cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 1), STATUS_OK, "row %u", i);
        cr_assert_eq(store_iterator_create(fixture.store, &iterators[i]), STATUS_OK);
    }
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 1), STATUS_BUSY);
    for (unsigned i = 0; i < 16; i++) {
        fixture.store->vtable->iterator_destroy(iterators[i]);
    }
    store_buffer_release(fixture.buffer);
}

Test(buffer, an_iterator_can_be_had_while_it_is_held_and_empty)
{
    put(&fixture, "a", "1");
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_OK);
    struct store_iterator *iterator;
    char text[64];
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    cr_assert_str_eq(all_of(fixture.store, iterator, text, sizeof(text)), "a=1 ");
    fixture.store->vtable->iterator_destroy(iterator);
    store_buffer_release(fixture.buffer);
}

Test(buffer, a_store_that_refuses_loses_nothing)
{
    put(&fixture, "a", "1");
    faults(STORE_MEMORY_ALWAYS, 1);
    struct store_iterator *iterator;
    char text[64];
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    cr_assert_str_eq(all_of(fixture.store, iterator, text, sizeof(text)), "a=1 ");
    fixture.store->vtable->iterator_destroy(iterator);
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_BUSY);
    int accepted = 0;
    while (put_quietly("a", "2") == STATUS_OK) {
        accepted++;
        cr_assert_leq(accepted, 16);
    }
    cr_assert_eq(put_quietly("b", "1"), STATUS_BUSY);
    expect(&fixture, "a", "2");
    expect(&fixture, "b", NULL);
    faults(0, 0);
    cr_assert_eq(put_quietly("b", "1"), STATUS_OK);
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 2);
    store_buffer_release(fixture.buffer);
    expect(&fixture, "a", "2");
    expect(&fixture, "b", "1");
}

Test(buffer, a_store_that_failed_fails_every_later_apply)
{
    put(&fixture, "a", "1");
    flush_begin(&fixture);
    const struct store_memory_faults some = {.seed = 1, .flush_failed = STORE_MEMORY_ALWAYS};
    store_memory_faults_set(fixture.behind, &some);
    cr_assert_eq(store_flush_wait(fixture.store), STATUS_IO_ERROR);
    put(&fixture, "b", "1");
    cr_assert_eq(store_buffer_settle(fixture.buffer), STATUS_IO_ERROR);
    cr_assert_eq(put_quietly("c", "1"), STATUS_IO_ERROR);
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_IO_ERROR);
    cr_assert_not(store_buffer_step(fixture.buffer));
    expect(&fixture, "b", "1");
}

Test(buffer, hastened_it_drains_by_steps_alone)
{
    for (int i = 0; i < 7; i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%d", i);
        cr_assert_eq(put_quietly(key, "v"), STATUS_OK);
    }
    while (store_buffer_step(fixture.buffer)) {
    }
    cr_assert_eq(store_buffer_rows(fixture.buffer), 7, "it waits for more");
    cr_assert_eq(store_buffer_hasten(fixture.buffer), STATUS_OK);
    int steps = 0;
    while (store_buffer_step(fixture.buffer)) {
        cr_assert_leq(++steps, 8);
    }
    cr_assert_eq(store_buffer_rows(fixture.buffer), 0);
    cr_assert_eq(store_memory_row_count(fixture.behind), 7);
}

Test(buffer, steps_keep_pace_with_applies)
{
    const struct buffer_limits limits = {
        .rows_max = 1024, .keys_bytes_max = 1 << 16, .values_bytes_max = 1 << 16};
    struct store_buffer *buffer;
    cr_assert_eq(store_buffer_create(fixture.behind, &limits, &buffer), STATUS_OK);
    struct store *store = store_buffer_store(buffer);
    struct store_batch *batch = store_batch_create(store);
    for (unsigned i = 0; i < 20000; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%05u", i);
        store->vtable->batch_clear(batch);
        store->vtable->batch_put(batch, bytes_of_text(key), BYTES_LITERAL("v"));
        cr_assert_eq(store_apply(store, batch), STATUS_OK);
        uint64_t before = store_memory_row_count(fixture.behind);
        (void)store_buffer_step(buffer);
        cr_assert_leq(store_memory_row_count(fixture.behind) - before, 16, "no step is long");
    }
    cr_assert_leq(store_buffer_rows(buffer), 2 * 1024);
    store->vtable->batch_destroy(batch);
    store_buffer_destroy(&buffer);
}

Test(buffer, whatever_a_turn_brings_steps_drain_as_much_and_end_a_hurry)
{
    const struct buffer_limits limits = {
        .rows_max = 4096, .keys_bytes_max = 1 << 18, .values_bytes_max = 1 << 18};
    static const unsigned rows_a_turn[] = {1, 200, 257, 600, 2177};
    for (unsigned i = 0; i < sizeof(rows_a_turn) / sizeof(rows_a_turn[0]); i++) {
        struct store_buffer *buffer;
        cr_assert_eq(store_buffer_create(fixture.behind, &limits, &buffer), STATUS_OK);
        struct store *store = store_buffer_store(buffer);
        struct store_batch *batch = store_batch_create(store);
        unsigned next = 0;
        for (unsigned turn = 0; turn < 100; turn++) {
            cr_assert_eq(apply_rows(store, batch, &next, rows_a_turn[i]), STATUS_OK);
            uint32_t before = store_buffer_rows(buffer);
            (void)store_buffer_step(buffer);
            uint32_t most = rows_a_turn[i] * 2 > 16 ? rows_a_turn[i] * 2 : 16;
            cr_assert_leq(before - store_buffer_rows(buffer), most, "no turn is longer than that");
        }
        if (store_buffer_rows(buffer) > 0) {
            cr_assert_eq(store_buffer_hasten(buffer), STATUS_OK);
            unsigned turns = 0;
            do {
                cr_assert_leq(++turns, 4096 * 2 / 200 + 2, "it ends under load, too");
                cr_assert_eq(apply_rows(store, batch, &next, rows_a_turn[i]), STATUS_OK);
            } while (store_buffer_step(buffer));
            cr_assert_eq(store_buffer_rows(buffer), 0);
        }
        store->vtable->batch_destroy(batch);
        store_buffer_destroy(&buffer);
    }
}

/* Until iterators show all the tables there may be; how many iterators. */
static unsigned tables_exhaust(struct store_iterator *iterators[16], unsigned *next)
{
    const struct store_memory_faults refuse = {
        .seed = 1, .stall = STORE_MEMORY_ALWAYS, .stall_applies = 1};
    unsigned count = 0;
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        cr_assert_lt(count, 16);
        cr_assert_eq(apply_rows(fixture.store, fixture.batch, next, 8), STATUS_OK);
        store_memory_faults_set(fixture.behind, &refuse); /* so that rows are laid over */
        cr_assert_eq(store_iterator_create(fixture.store, &iterators[count++]), STATUS_OK);
        faults(0, 0);
        status = store_buffer_settle(fixture.buffer);
    }
    cr_assert_eq(status, STATUS_BUSY);
    return count;
}

Test(buffer, iterators_hold_so_many_tables_and_no_more)
{
    struct store_iterator *iterators[16];
    unsigned next = 0;
    unsigned count = tables_exhaust(iterators, &next);
    cr_assert_leq(count, 6);
    char text[1024];
    for (unsigned i = 0; i < count; i++) {
        const char *all = all_of(fixture.store, iterators[i], text, sizeof(text));
        unsigned rows = 0;
        for (const char *at = all; *at != '\0'; at++) {
            rows += *at == '=';
        }
        cr_assert_eq(rows, 8 * (i + 1));
        fixture.store->vtable->iterator_destroy(iterators[i]);
    }
    cr_assert_eq(store_buffer_settle(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.behind), 8 * count);
}

Test(buffer, a_hurry_rests_while_iterators_show_all_tables_and_goes_on_when_one_is_gone)
{
    struct store_iterator *iterators[16];
    unsigned next = 0;
    unsigned count = tables_exhaust(iterators, &next);
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 7), STATUS_OK);
    cr_assert_eq(store_buffer_hasten(fixture.buffer), STATUS_BUSY);
    cr_assert_not(store_buffer_step(fixture.buffer), "there is nothing to do now");
    cr_assert_eq(store_buffer_hasten(fixture.buffer), STATUS_BUSY);
    cr_assert_eq(store_buffer_rows(fixture.buffer), 7);
    fixture.store->vtable->iterator_destroy(iterators[0]);
    (void)store_buffer_step(fixture.buffer);
    cr_assert_eq(store_buffer_hasten(fixture.buffer), STATUS_OK);
    while (store_buffer_step(fixture.buffer)) {
    }
    cr_assert_eq(store_buffer_rows(fixture.buffer), 0);
    for (unsigned i = 1; i < count; i++) {
        fixture.store->vtable->iterator_destroy(iterators[i]);
    }
}

Test(buffer, a_hurry_outlives_a_refusal_though_nothing_comes_any_more)
{
    unsigned next = 0;
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 8), STATUS_OK);
    faults(STORE_MEMORY_ALWAYS, 1);
    cr_assert_not(store_buffer_step(fixture.buffer));
    cr_assert_eq(store_buffer_rows(fixture.buffer), 8);
    faults(0, 0);
    cr_assert_eq(store_buffer_hasten(fixture.buffer), STATUS_BUSY, "as far as it knows");
    (void)store_buffer_step(fixture.buffer);
    cr_assert_eq(store_buffer_hasten(fixture.buffer), STATUS_OK);
    cr_assert_eq(store_buffer_rows(fixture.buffer), 0);
}

Test(buffer, a_table_whose_rows_have_gone_over_is_used_again_also_while_it_is_held)
{
    struct store_iterator *iterators[16];
    unsigned next = 0;
    unsigned count = tables_exhaust(iterators, &next);
    cr_assert_eq(store_buffer_hold(fixture.buffer), STATUS_OK, "the store has all of it");
    uint64_t rows = store_memory_row_count(fixture.behind);
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 8), STATUS_OK);
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 8), STATUS_BUSY);
    fixture.store->vtable->iterator_destroy(iterators[0]);
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 8), STATUS_OK);
    cr_assert_eq(apply_rows(fixture.store, fixture.batch, &next, 8), STATUS_BUSY, "two are full");
    cr_assert_eq(store_memory_row_count(fixture.behind), rows);
    for (unsigned i = 1; i < count; i++) {
        fixture.store->vtable->iterator_destroy(iterators[i]);
    }
    store_buffer_release(fixture.buffer);
}

/* ---- against a naive model ---- */

#define MODEL_KEYS 30

static void model_key(unsigned index, char text_out[16])
{
    snprintf(text_out, 16, "%c%02u", "air"[index % 3], index);
}

static void model_expect(const unsigned model[MODEL_KEYS])
{
    for (unsigned index = 0; index < MODEL_KEYS; index++) {
        char key[16];
        char value[16];
        model_key(index, key);
        snprintf(value, sizeof(value), "%u", model[index]);
        expect(&fixture, key, model[index] == 0 ? NULL : value);
    }
}

/* From a random key on, everything in its order. */
static void model_iterate(const unsigned model[MODEL_KEYS], uint64_t *seed)
{
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    const struct store_vtable *store = fixture.store->vtable;
    char from[16];
    model_key(dice(seed, MODEL_KEYS), from);
    unsigned wanted = 0;
    for (unsigned index = 0; index < MODEL_KEYS; index++) {
        char key[16];
        model_key(index, key);
        wanted += model[index] != 0 && strcmp(key, from) >= 0;
    }
    unsigned rows = 0;
    char before[16] = "";
    for (store->iterator_seek(iterator, bytes_of_text(from)); store->iterator_valid(iterator);
         store->iterator_next(iterator)) {
        char key[16];
        snprintf(key, sizeof(key), "%.*s", (int)store->iterator_key(iterator).size,
                 (const char *)store->iterator_key(iterator).data);
        char value[16];
        snprintf(value, sizeof(value), "%u", model[(key[1] - '0') * 10 + (key[2] - '0')]);
        cr_assert_gt(strcmp(key, before), 0, "%s behind %s", key, before);
        cr_assert(bytes_equal(store->iterator_value(iterator), bytes_of_text(value)), "%s", key);
        memcpy(before, key, sizeof(before));
        rows++;
    }
    cr_assert_eq(rows, wanted);
    store->iterator_destroy(iterator);
}

static void model_apply(unsigned model[MODEL_KEYS], unsigned step, uint64_t *seed)
{
    const struct store_vtable *store = fixture.store->vtable;
    store->batch_clear(fixture.batch);
    unsigned next[MODEL_KEYS];
    memcpy(next, model, sizeof(next));
    for (unsigned left = 1 + dice(seed, dice(seed, 20) == 0 ? 12 : 4); left > 0; left--) {
        unsigned index = dice(seed, MODEL_KEYS);
        char key[16];
        char value[16];
        model_key(index, key);
        snprintf(value, sizeof(value), "%u", step);
        next[index] = dice(seed, 3) == 0 ? 0 : step;
        if (next[index] == 0) {
            store->batch_delete(fixture.batch, bytes_of_text(key));
        } else {
            store->batch_put(fixture.batch, bytes_of_text(key), bytes_of_text(value));
        }
    }
    enum status status = store_apply(fixture.store, fixture.batch);
    cr_assert(status == STATUS_OK || status == STATUS_BUSY);
    if (status == STATUS_OK) {
        memcpy(model, next, sizeof(next));
    }
}

Test(buffer, reads_see_all_that_was_applied_and_flushes_take_it_whatever_happens_between)
{
    uint64_t seed = 20261122;
    cr_log_info("seed %llu", (unsigned long long)seed);
    unsigned now[MODEL_KEYS] = {0};
    unsigned held[MODEL_KEYS] = {0};
    unsigned flushed[MODEL_KEYS] = {0};
    bool is_held = false;
    faults(50000, 3);
    for (unsigned step = 1; step <= 20000; step++) {
        unsigned number = dice(&seed, 100);
        if (number < 70) {
            model_apply(now, step, &seed);
        } else if (number < 90) {
            (void)store_buffer_step(fixture.buffer);
        } else if (number < 92) {
            model_iterate(now, &seed);
        } else if (number < 93) {
            enum status status = store_buffer_hasten(fixture.buffer);
            cr_assert(status == STATUS_OK || status == STATUS_BUSY);
        } else if (number < 96 && !is_held) {
            is_held = store_buffer_hold(fixture.buffer) == STATUS_OK;
            memcpy(held, now, sizeof(held));
        } else if (number < 99 && is_held) {
            cr_assert_eq(store_flush_begin(fixture.store), STATUS_OK);
            store_buffer_release(fixture.buffer);
            is_held = false;
            model_apply(now, step, &seed);
            cr_assert_eq(store_flush_wait(fixture.store), STATUS_OK);
            memcpy(flushed, held, sizeof(flushed));
        } else if (dice(&seed, 20) == 0) {
            fixture_crash(&fixture);
            is_held = false;
            memcpy(now, flushed, sizeof(now));
        }
        model_expect(now);
    }
}
