#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/list/page.h"
#include "protocol/document/json.h"

static struct page_slice slices[3];

static void release(void)
{
    for (int i = 0; i < 3; i++) {
        page_slice_deinit(&slices[i]);
    }
}

TestSuite(page, .fini = release);

static void add(struct page_slice *slice, const char *id, const char *json)
{
    uint8_t bytes[256];
    struct writer document = writer_of(bytes, sizeof(bytes));
    cr_assert_eq(json_to_document(bytes_of_text(json), &document, NULL), STATUS_OK);
    cr_assert_eq(page_slice_add(slice, bytes_of_text(id), writer_bytes(&document)), STATUS_OK);
}

static void merged(uint32_t limit, const char *json, const char *next)
{
    struct page page;
    cr_assert_eq(page_merge(slices, 3, limit, &page), STATUS_OK);
    cr_assert(bytes_equal(page.json, bytes_of_text(json)), "got %.*s", (int)page.json.size,
              (const char *)page.json.data);
    cr_assert(bytes_equal(page.next, bytes_of_text(next)), "next %.*s", (int)page.next.size,
              (const char *)page.next.data);
    free(page.memory);
}

Test(page, no_records_are_an_empty_array)
{
    merged(1, "[]", "");
}

Test(page, slices_are_merged_in_byte_order_of_ids)
{
    add(&slices[0], "b", "{}");
    add(&slices[0], "ba", "{}");
    add(&slices[1], "a", "{}");
    add(&slices[1], "\xc3\xa9", "{}");
    add(&slices[2], "Z", "{}");
    merged(10,
           "[{\"id\":\"Z\"},{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"ba\"},{\"id\":\"\xc3\xa9\"}]",
           "");
}

Test(page, a_page_ends_at_its_limit_and_names_its_last_id_only_when_there_is_more)
{
    add(&slices[0], "a", "{}");
    add(&slices[1], "b", "{}");
    add(&slices[2], "c", "{}");
    merged(2, "[{\"id\":\"a\"},{\"id\":\"b\"}]", "b");
    merged(3, "[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]", "");
    merged(4, "[{\"id\":\"a\"},{\"id\":\"b\"},{\"id\":\"c\"}]", "");
}

Test(page, a_slice_that_was_cut_ends_the_page_where_it_is_used_up)
{
    add(&slices[0], "a", "{}");
    slices[0].cut = true; /* it may hold "b" as well */
    add(&slices[1], "c", "{}");
    merged(10, "[{\"id\":\"a\"}]", "a");
}

Test(page, a_page_ends_before_it_is_over_four_mebibytes_but_holds_one_record)
{
    size_t size = LIST_BYTES_MAX / 2;
    char *text = malloc(size + 32);
    uint8_t *bytes = malloc(size + 32);
    struct writer json = writer_of(text, size + 32);
    writer_text(&json, "{\"t\":\"");
    memset(writer_reserve(&json, size), 'x', size);
    writer_text(&json, "\"}");
    struct writer document = writer_of(bytes, size + 32);
    cr_assert_eq(json_to_document(writer_bytes(&json), &document, NULL), STATUS_OK);
    for (int i = 0; i < 3; i++) {
        char id[2] = {(char)('a' + i), 0};
        cr_assert_eq(page_slice_add(&slices[i], bytes_of_text(id), writer_bytes(&document)),
                     STATUS_OK);
    }
    struct page page;
    cr_assert_eq(page_merge(slices, 3, 10, &page), STATUS_OK);
    cr_assert_leq(page.json.size, LIST_BYTES_MAX);
    cr_assert_gt(page.json.size, size);
    cr_assert(bytes_equal(page.next, BYTES_LITERAL("a")));
    free(page.memory);
    free(text);
    free(bytes);
}

Test(page, a_cached_page_gives_back_its_generations_and_its_next_id)
{
    uint64_t generations[2] = {7, UINT64_MAX};
    uint8_t bytes[128];
    struct writer cached = writer_of(bytes, sizeof(bytes));
    page_head_write(generations, 2, BYTES_LITERAL("b"), &cached);
    writer_text(&cached, "[1]b");
    const uint8_t *read;
    struct bytes body;
    size_t next_size;
    cr_assert(page_read(writer_bytes(&cached), 2, &read, &body, &next_size));
    cr_assert_eq(get_u64(read), 7u);
    cr_assert_eq(get_u64(read + 8), UINT64_MAX);
    cr_assert_eq(next_size, 1u);
    cr_assert(bytes_equal(body, BYTES_LITERAL("[1]b")));
    cr_assert_not(page_read(writer_bytes(&cached), 3, &read, &body, &next_size));
    for (size_t size = 0; size < 22; size++) {
        cr_assert_not(page_read(bytes_of(bytes, size), 2, &read, &body, &next_size));
    }
}
