/* The simulator's side of the store in memory. */
#include "engine/store/store_memory.h"

#include <criterion/criterion.h>

#include "store_fixture.h"

#define TEXT_BYTES 1024
#define ATTEMPTS   1000

static struct fixture fixture;

static void open_memory(void)
{
    fixture_open(&fixture, IN_MEMORY);
}

static void close_memory(void)
{
    fixture_close(&fixture);
}

static void faults_off(void)
{
    store_memory_faults_set(fixture.store, &(struct store_memory_faults){0});
}

TestSuite(store_memory_faults, .init = open_memory, .fini = close_memory);

static enum status get_memory(const char *key)
{
    struct store_value value;
    enum status status = store_get(fixture.store, bytes_of_text(key), false, &value);
    if (status == STATUS_OK) {
        store_value_release(fixture.store, &value);
    }
    return status;
}

Test(store_memory_faults, a_get_blocks_as_often_as_asked)
{
    put(&fixture, "a", "1");
    store_memory_faults_set(fixture.store,
                            &(struct store_memory_faults){.seed = 1, .would_block = 250000});
    unsigned blocked = 0;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        enum status status = get_memory("a");
        cr_assert(status == STATUS_OK || status == STATUS_WOULD_BLOCK);
        blocked += status == STATUS_WOULD_BLOCK;
    }
    cr_assert(blocked > ATTEMPTS / 5 && blocked < ATTEMPTS * 3 / 10, "%u", blocked);
    expect(&fixture, "a", "1");
}

Test(store_memory_faults, absent_keys_block_too)
{
    store_memory_faults_set(fixture.store,
                            &(struct store_memory_faults){.would_block = STORE_MEMORY_ALWAYS});
    cr_assert_eq(get_memory("a"), STATUS_WOULD_BLOCK);
    faults_off();
    cr_assert_eq(get_memory("a"), STATUS_NOT_FOUND);
}

Test(store_memory_faults, one_seed_gives_one_history)
{
    bool first[ATTEMPTS];
    const struct store_memory_faults faults = {.seed = 99, .would_block = 500000};
    for (unsigned round = 0; round < 2; round++) {
        store_memory_faults_set(fixture.store, &faults);
        for (unsigned i = 0; i < ATTEMPTS; i++) {
            bool blocked = get_memory("a") == STATUS_WOULD_BLOCK;
            cr_assert(round == 0 || first[i] == blocked);
            first[i] = blocked;
        }
    }
}

Test(store_memory_faults, a_stall_refuses_so_many_applies_and_changes_nothing)
{
    store_memory_faults_set(fixture.store, &(struct store_memory_faults){
                                               .stall = STORE_MEMORY_ALWAYS, .stall_applies = 3});
    fixture.store->vtable->batch_put(fixture.batch, BYTES_LITERAL("a"), BYTES_LITERAL("1"));
    struct store_statistics statistics;
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_BUSY);
    store_statistics_read(fixture.store, &statistics);
    cr_assert(statistics.stalled);
    faults_off();
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_BUSY);
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_BUSY);
    store_statistics_read(fixture.store, &statistics);
    cr_assert_not(statistics.stalled);
    expect(&fixture, "a", NULL);
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_OK);
    expect(&fixture, "a", "1");
}

Test(store_memory_faults, damage_is_an_answer_and_no_row)
{
    put(&fixture, "a", "1");
    store_memory_faults_set(fixture.store,
                            &(struct store_memory_faults){.read_damaged = STORE_MEMORY_ALWAYS});
    struct store_value value;
    cr_assert_eq(store_get(fixture.store, BYTES_LITERAL("a"), true, &value), STATUS_DAMAGED);
    cr_assert_null(value.pin);
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    fixture.store->vtable->iterator_seek(iterator, BYTES_EMPTY);
    cr_assert_not(fixture.store->vtable->iterator_valid(iterator));
    cr_assert_eq(fixture.store->vtable->iterator_status(iterator), STATUS_DAMAGED);
    fixture.store->vtable->iterator_destroy(iterator);
}

Test(store_memory_faults, a_busy_flush_closes_nothing)
{
    put(&fixture, "a", "1");
    store_memory_faults_set(fixture.store,
                            &(struct store_memory_faults){.flush_busy = STORE_MEMORY_ALWAYS});
    cr_assert_eq(store_flush_begin(fixture.store), STATUS_BUSY);
    cr_assert_eq(store_flush_wait(fixture.store), STATUS_OK);
    expect_persisted(&fixture, "a", NULL);
    faults_off();
    flush(&fixture);
    expect_persisted(&fixture, "a", "1");
}

Test(store_memory_faults, after_a_failed_flush_nothing_is_persisted_until_a_crash)
{
    put(&fixture, "a", "1");
    flush(&fixture);
    put(&fixture, "a", "2");
    store_memory_faults_set(fixture.store,
                            &(struct store_memory_faults){.flush_failed = STORE_MEMORY_ALWAYS});
    cr_assert_eq(store_flush_begin(fixture.store), STATUS_OK);
    cr_assert_eq(store_flush_wait(fixture.store), STATUS_IO_ERROR);
    faults_off();
    cr_assert_eq(store_flush_begin(fixture.store), STATUS_IO_ERROR);
    cr_assert_eq(store_flush_wait(fixture.store), STATUS_IO_ERROR);
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_IO_ERROR);
    struct store_statistics statistics;
    store_statistics_read(fixture.store, &statistics);
    cr_assert(statistics.stalled);
    cr_assert_eq(statistics.failure, STATUS_IO_ERROR);
    expect_persisted(&fixture, "a", "1");
    store_memory_crash(fixture.store);
    expect(&fixture, "a", "1");
    put(&fixture, "a", "3");
    flush(&fixture);
    expect_persisted(&fixture, "a", "3");
}

Test(store_memory_faults, a_crash_between_closing_and_waiting_may_go_either_way)
{
    for (uint32_t chance = 0; chance <= STORE_MEMORY_ALWAYS; chance += STORE_MEMORY_ALWAYS) {
        put(&fixture, "a", "old");
        flush(&fixture);
        put(&fixture, "a", "closed");
        cr_assert_eq(store_flush_begin(fixture.store), STATUS_OK);
        put(&fixture, "a", "newer");
        store_memory_faults_set(fixture.store,
                                &(struct store_memory_faults){.crash_keeps_closed = chance});
        store_memory_crash(fixture.store);
        expect(&fixture, "a", chance == 0 ? "old" : "closed");
        cr_assert_eq(store_flush_wait(fixture.store), STATUS_OK);
        expect(&fixture, "a", chance == 0 ? "old" : "closed");
        faults_off();
    }
}

Test(store_memory_faults, iterators_outlive_a_crash_of_the_rows)
{
    put(&fixture, "a", "1");
    struct store_iterator *iterator;
    cr_assert_eq(store_iterator_create(fixture.store, &iterator), STATUS_OK);
    cr_assert_eq(store_memory_row_count(fixture.store), 1);
    store_memory_crash(fixture.store);
    cr_assert_eq(store_memory_row_count(fixture.store), 0);
    char text[TEXT_BYTES];
    cr_assert_str_eq(all_of(fixture.store, iterator, text, sizeof(text)), "a=1 ");
    fixture.store->vtable->iterator_destroy(iterator);
}
