/* The table of a write buffer: rows by key, then rows in the order of their keys. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "engine/store/buffer_table.h"
#include "store_fixture.h"

static const struct buffer_limits limits = {
    .rows_max = 64, .keys_bytes_max = 1024, .values_bytes_max = 1024};

static void put_row(struct buffer_table *table, struct bytes key, struct bytes value, bool is_put)
{
    buffer_table_put(table, buffer_table_hash(key), key, value, is_put);
}

static void table_put(struct buffer_table *table, const char *key, const char *value)
{
    put_row(table, bytes_of_text(key), bytes_of_text(value), true);
}

static void table_expect(const struct buffer_table *table, const char *key, const char *value)
{
    const struct buffer_row *row = buffer_table_find(table, bytes_of_text(key));
    cr_assert_not_null(row, "%s", key);
    cr_assert(row->is_put);
    cr_assert(bytes_equal(buffer_table_value(table, row), bytes_of_text(value)), "%s", key);
}

/* Keys in their order, as "a b ". */
static const char *order_of(struct buffer_table *table, char *text_out, size_t size)
{
    buffer_table_sort(table);
    struct writer text = writer_of(text_out, size - 1);
    for (uint32_t rank = 0; rank < table->order_count; rank++) {
        writer_put(&text, buffer_table_key(table, buffer_table_at(table, rank)));
        writer_text(&text, " ");
    }
    cr_assert_not(text.failed);
    text_out[text.size] = '\0';
    return text_out;
}

Test(buffer_table, finds_the_row_that_came_last)
{
    struct buffer_table *table = buffer_table_create(&limits, NULL);
    cr_assert_not_null(table);
    cr_assert_null(buffer_table_find(table, BYTES_LITERAL("a")));
    table_put(table, "a", "1");
    table_put(table, "b", "2");
    table_put(table, "a", "33");
    table_expect(table, "a", "33");
    table_expect(table, "b", "2");
    cr_assert_null(buffer_table_find(table, BYTES_LITERAL("")));
    cr_assert_eq(table->live_count, 2);
    put_row(table, BYTES_LITERAL("a"), BYTES_EMPTY, false);
    cr_assert_not(buffer_table_find(table, BYTES_LITERAL("a"))->is_put);
    buffer_table_clear(table);
    cr_assert_null(buffer_table_find(table, BYTES_LITERAL("a")));
    cr_assert_eq(table->live_count, 0);
    buffer_table_release(table);
}

Test(buffer_table, has_room_for_what_its_limits_say_and_no_more)
{
    const struct buffer_limits small = {.rows_max = 3, .keys_bytes_max = 4, .values_bytes_max = 5};
    struct buffer_table *table = buffer_table_create(&small, NULL);
    cr_assert_not_null(table);
    cr_assert(buffer_table_fits(table, 3, 4, 5));
    cr_assert_not(buffer_table_fits(table, 4, 4, 5));
    cr_assert_not(buffer_table_fits(table, 3, 5, 5));
    cr_assert_not(buffer_table_fits(table, 3, 4, 6));
    table_put(table, "ab", "12");
    cr_assert(buffer_table_fits(table, 2, 2, 3));
    cr_assert_not(buffer_table_fits(table, 3, 2, 3));
    cr_assert_not(buffer_table_fits(table, 2, 3, 3));
    cr_assert_not(buffer_table_fits(table, 2, 2, 4));
    table_put(table, "ab", "123");
    cr_assert(buffer_table_fits(table, 1, 2, 0), "a key that is there takes no room again");
    buffer_table_clear(table);
    cr_assert(buffer_table_fits(table, 3, 4, 5));
    buffer_table_release(table);
}

Test(buffer_table, sorts_by_bytes_whatever_keys_have_in_common)
{
    char text[512];
    struct buffer_table *table = buffer_table_create(&limits, NULL);
    cr_assert_not_null(table);
    cr_assert_str_eq(order_of(table, text, sizeof(text)), "");
    /* Of one kind: one the beginning of the other, alike in more than eight bytes, and a high
     * byte. */
    const char *const keys[] = {
        "rprod-0000000002x",    "b", "rprod-0000000002", "rprod-0000000010",  "rprod-", "", "\xff",
        "rprod-0000000002\x01", "a", "rprod-\xff",       "rprod-00000000020", "ra"};
    for (uint32_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        table_put(table, keys[i], "v");
    }
    table_put(table, "b", "again");
    cr_assert_str_eq(order_of(table, text, sizeof(text)),
                     " a b ra rprod- rprod-0000000002 rprod-0000000002\x01 rprod-00000000020 "
                     "rprod-0000000002x rprod-0000000010 rprod-\xff \xff ");
    table_expect(table, "b", "again");
    buffer_table_release(table);
}

/* Keys of a few kinds, with much or little in common, as long or as short as the dice say. */
static struct bytes random_key(uint64_t *seed, uint8_t out[64])
{
    static const char *const beginnings[] = {"", "a", "rproducts", "xproductscategory-of-lamps-",
                                             "xproductscategory-of-lamps-and-"};
    struct writer key = writer_of(out, 64);
    writer_text(&key, beginnings[dice(seed, 5)]);
    for (unsigned left = dice(seed, 30); left > 0; left--) {
        writer_u8(&key, (uint8_t)(dice(seed, 8) == 0 ? dice(seed, 256) : dice(seed, 2)));
    }
    cr_assert_not(key.failed);
    return writer_bytes(&key);
}

Test(buffer_table, sorts_many_rows_whatever_keys_have_in_common)
{
    uint64_t seed = 20261123;
    cr_log_info("seed %llu", (unsigned long long)seed);
    const struct buffer_limits large = {
        .rows_max = 5000, .keys_bytes_max = 5000 * 64, .values_bytes_max = 1};
    struct buffer_table *table = buffer_table_create(&large, NULL);
    cr_assert_not_null(table);
    for (unsigned round = 0; round < 20; round++) {
        unsigned count = dice(&seed, large.rows_max + 1);
        for (unsigned i = 0; i < count; i++) {
            uint8_t key[64];
            put_row(table, random_key(&seed, key), BYTES_EMPTY, true);
        }
        buffer_table_sort(table);
        cr_assert_eq(table->order_count, table->live_count);
        for (uint32_t rank = 1; rank < table->order_count; rank++) {
            cr_assert_lt(bytes_compare(buffer_table_key(table, buffer_table_at(table, rank - 1)),
                                       buffer_table_key(table, buffer_table_at(table, rank))),
                         0);
        }
        buffer_table_clear(table);
    }
    buffer_table_release(table);
}

Test(buffer_table, keys_may_hold_zero_bytes)
{
    struct buffer_table *table = buffer_table_create(&limits, NULL);
    cr_assert_not_null(table);
    const uint8_t zeros[3] = {0};
    for (size_t size = 3;; size--) {
        put_row(table, bytes_of(zeros, size), BYTES_EMPTY, true);
        if (size == 0) {
            break;
        }
    }
    cr_assert_eq(table->live_count, 4);
    buffer_table_sort(table);
    for (uint32_t rank = 0; rank < 4; rank++) {
        cr_assert_eq(buffer_table_at(table, rank)->key_size, rank);
    }
    buffer_table_release(table);
}

Test(buffer_table, rows_stay_for_whoever_holds_the_table)
{
    struct buffer_table *table = buffer_table_create(&limits, NULL);
    cr_assert_not_null(table);
    table_put(table, "b", "1");
    table_put(table, "a", "2");
    struct buffer_order order[2];
    buffer_table_order(table, order);
    buffer_table_hold(table);
    cr_assert(buffer_table_is_shared(table));
    table_put(table, "b", "3");
    table_put(table, "0", "4");
    const struct buffer_row *second = &table->rows[order[1].row];
    cr_assert(bytes_equal(buffer_table_key(table, second), BYTES_LITERAL("b")));
    cr_assert(bytes_equal(buffer_table_value(table, second), BYTES_LITERAL("1")));
    buffer_table_release(table);
    cr_assert_not(buffer_table_is_shared(table));
    buffer_table_release(table);
}

#define MODEL_KEYS 50

Test(buffer_table, is_as_a_naive_map)
{
    uint64_t seed = 20261122;
    cr_log_info("seed %llu", (unsigned long long)seed);
    struct buffer_table *table = buffer_table_create(&limits, NULL);
    cr_assert_not_null(table);
    for (unsigned round = 0; round < 300; round++) {
        unsigned model[MODEL_KEYS] = {0};
        unsigned count = dice(&seed, limits.rows_max + 1);
        for (unsigned i = 1; i <= count; i++) {
            unsigned index = dice(&seed, MODEL_KEYS);
            char key[16];
            char value[16];
            snprintf(key, sizeof(key), "%c%u", 'a' + (int)(index % 3), index);
            snprintf(value, sizeof(value), "%u", i);
            table_put(table, key, value);
            model[index] = i;
        }
        unsigned alive = 0;
        for (unsigned index = 0; index < MODEL_KEYS; index++) {
            char key[16];
            char value[16];
            snprintf(key, sizeof(key), "%c%u", 'a' + (int)(index % 3), index);
            snprintf(value, sizeof(value), "%u", model[index]);
            if (model[index] == 0) {
                cr_assert_null(buffer_table_find(table, bytes_of_text(key)));
            } else {
                table_expect(table, key, value);
                alive++;
            }
        }
        cr_assert_eq(table->live_count, alive);
        buffer_table_sort(table);
        cr_assert_eq(table->order_count, alive);
        for (uint32_t rank = 1; rank < alive; rank++) {
            cr_assert_lt(bytes_compare(buffer_table_key(table, buffer_table_at(table, rank - 1)),
                                       buffer_table_key(table, buffer_table_at(table, rank))),
                         0);
        }
        buffer_table_clear(table);
    }
    buffer_table_release(table);
}
