/* Rows one after the other, for stores that have no batch of their own. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "engine/store/row_batch.h"
#include "store_fixture.h"

static struct store nobody;

static struct store_batch *batch_new(void)
{
    struct store_batch *batch = row_batch_create(&nobody);
    cr_assert_not_null(batch);
    return batch;
}

static void row_expect(struct reader *rows, const char *key, const char *value)
{
    struct batch_row row;
    cr_assert(row_batch_next(rows, &row), "%s", key);
    cr_assert(bytes_equal(row.key, bytes_of_text(key)), "%.*s is not %s", (int)row.key.size,
              (const char *)row.key.data, key);
    cr_assert_eq(row.is_put, value != NULL);
    cr_assert(bytes_equal(row.value, value == NULL ? BYTES_EMPTY : bytes_of_text(value)));
}

static void end_expect(struct reader *rows)
{
    struct batch_row row;
    cr_assert_not(row_batch_next(rows, &row));
}

Test(row_batch, gives_rows_back_as_they_came)
{
    struct store_batch *batch = batch_new();
    struct reader rows = row_batch_rows(batch);
    end_expect(&rows);
    row_batch_put(batch, BYTES_LITERAL("b"), BYTES_LITERAL("1"));
    row_batch_delete(batch, BYTES_LITERAL("a"));
    row_batch_put(batch, BYTES_LITERAL("b"), BYTES_EMPTY);
    row_batch_put(batch, BYTES_EMPTY, BYTES_LITERAL("2"));
    cr_assert_eq(batch->count, 4);
    cr_assert_eq(batch->keys_bytes, 3);
    cr_assert_eq(batch->values_bytes, 2);
    for (unsigned round = 0; round < 2; round++) {
        rows = row_batch_rows(batch);
        row_expect(&rows, "b", "1");
        row_expect(&rows, "a", NULL);
        row_expect(&rows, "b", "");
        row_expect(&rows, "", "2");
        end_expect(&rows);
    }
    row_batch_destroy(batch);
}

Test(row_batch, grows_with_its_rows_and_keeps_what_it_has)
{
    static char long_value[20001];
    memset(long_value, 'v', sizeof(long_value) - 1);
    struct store_batch *batch = batch_new();
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 1000; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%u", i);
            row_batch_put(batch, bytes_of_text(key), bytes_of_text(i == 500 ? long_value : key));
        }
        struct reader rows = row_batch_rows(batch);
        for (unsigned i = 0; i < 1000; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%u", i);
            row_expect(&rows, key, i == 500 ? long_value : key);
        }
        end_expect(&rows);
        size_t capacity = batch->rows.capacity;
        row_batch_clear(batch);
        cr_assert_eq(batch->rows.capacity, capacity, "it is used again");
        cr_assert_eq(batch->count + batch->keys_bytes + batch->values_bytes, 0);
    }
    row_batch_destroy(batch);
}

static void refused_until_cleared(enum implementation implementation)
{
    struct fixture fixture;
    fixture_open(&fixture, implementation);
    row_batch_put(fixture.batch, BYTES_LITERAL("a"), BYTES_LITERAL("1"));
    fixture.batch->rows.failed = true; /* as when there is no memory for the next row */
    row_batch_put(fixture.batch, BYTES_LITERAL("c"), BYTES_LITERAL("3"));
    cr_assert_eq(store_apply(fixture.store, fixture.batch), STATUS_BUSY);
    expect(&fixture, "a", NULL);
    put(&fixture, "b", "2");
    expect(&fixture, "b", "2");
    expect(&fixture, "c", NULL);
    fixture_close(&fixture);
}

Test(row_batch, that_lost_a_row_is_refused_until_it_is_cleared)
{
    refused_until_cleared(IN_MEMORY);
    refused_until_cleared(IN_BUFFER);
}
