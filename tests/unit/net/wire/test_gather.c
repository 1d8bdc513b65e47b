/* MGET and BATCH, and what happens to them when things end or run short. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "protocol/document/document.h"
#include "tests/unit/net/wire/turns.h"

static uint8_t bytes[4u << 20];

static void begin(void)
{
    turns_begin(0);
}

TestSuite(wire_gather, .init = begin, .fini = turns_end);

static void frame_send(struct client *client, uint8_t opcode, uint32_t id, struct bytes body)
{
    static uint8_t frame[(4u << 20) + FRAME_HEADER_BYTES];
    const struct frame_header header = {.length = (uint32_t)body.size, .opcode = opcode, .id = id};
    frame_header_write(&header, frame);
    memcpy(frame + FRAME_HEADER_BYTES, body.data, body.size);
    client_send_bytes(client, bytes_of(frame, FRAME_HEADER_BYTES + body.size));
}

/* MGET of r0 to r(count - 1). */
static void mget(struct client *client, uint32_t id, uint32_t count)
{
    struct writer out = writer_of(bytes, sizeof(bytes));
    document_write_array(&out, 2);
    document_write_string(&out, BYTES_LITERAL("pets"));
    document_write_array(&out, count);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        int size = snprintf(key, sizeof(key), "r%u", i);
        document_write_string(&out, bytes_of(key, (size_t)size));
    }
    cr_assert(!out.failed);
    frame_send(client, FRAME_MGET, id, writer_bytes(&out));
}

/* BATCH of PUTs of r0 to r(count - 1), and of an operation that is none behind every tenth. */
static void batch(struct client *client, uint32_t id, uint32_t count)
{
    struct writer out = writer_of(bytes, sizeof(bytes));
    document_write_array(&out, count);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        int size = snprintf(key, sizeof(key), "r%u", i);
        if (i % 10 == 9) {
            document_write_null(&out);
            continue;
        }
        document_write_array(&out, 3);
        document_write_u64(&out, FRAME_PUT);
        document_write_u64(&out, 0);
        document_write_array(&out, 3);
        document_write_string(&out, BYTES_LITERAL("pets"));
        document_write_string(&out, bytes_of(key, (size_t)size));
        document_write_map(&out, 1);
        document_write_string(&out, BYTES_LITERAL("n"));
        document_write_u64(&out, i);
    }
    cr_assert(!out.failed);
    frame_send(client, FRAME_BATCH, id, writer_bytes(&out));
}

/* The answer's elements; the frame is to be freed. */
static uint32_t answer_of(struct client *client, struct sent_frame *frame,
                          struct document_cursor *cursor_out)
{
    cr_assert(client_frame(client, frame));
    cr_assert_eq(frame->header.code, 200);
    cr_assert_eq(document_value_size(frame->body), frame->body.size);
    cr_assert(document_cursor_open(frame->body, cursor_out));
    return cursor_out->left;
}

static uint64_t number_at(struct bytes array, uint32_t place)
{
    struct document_cursor cursor;
    struct bytes value = BYTES_EMPTY;
    uint64_t number;
    cr_assert(document_cursor_open(array, &cursor));
    for (uint32_t i = 0; i <= place; i++) {
        cr_assert(document_next_element(&cursor, &value));
    }
    cr_assert(document_u64(value, &number));
    return number;
}

static void batch_is_answered(struct client *client, uint32_t count)
{
    struct sent_frame frame;
    struct document_cursor cursor;
    struct bytes item;
    cr_assert_eq(answer_of(client, &frame, &cursor), count);
    for (uint32_t i = 0; document_next_element(&cursor, &item); i++) {
        cr_assert_eq(number_at(item, 0), i % 10 == 9 ? 400 : 201, "%u", i);
    }
    sent_frame_free(&frame);
}

Test(wire_gather, more_than_a_window_comes_in_its_order)
{
    static const uint32_t counts[] = {0, 1, 2, 255, 256, 257, 999, 1000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct client *client = client_open();
        mget(client, 7, counts[i]);
        turns_settle();
        struct sent_frame frame;
        struct document_cursor cursor;
        struct bytes item;
        cr_assert_eq(answer_of(client, &frame, &cursor), counts[i]);
        while (document_next_element(&cursor, &item)) {
            cr_assert_eq(number_at(item, 2), 0, "nothing is there");
        }
        sent_frame_free(&frame);
        client_cut(client);
        turns_settle();
        client_forget(client);
    }
}

Test(wire_gather, each_operation_of_a_batch_stands_for_itself)
{
    struct client *client = client_open();
    batch(client, 7, 1000);
    turns_settle();
    batch_is_answered(client, 1000);
    mget(client, 8, 1000);
    turns_settle();
    struct sent_frame frame;
    struct document_cursor cursor;
    struct bytes item;
    uint64_t before = 0;
    cr_assert_eq(answer_of(client, &frame, &cursor), 1000);
    for (uint32_t i = 0; document_next_element(&cursor, &item); i++) {
        cr_assert_eq(number_at(item, 2), i % 10 == 9 ? 0 : 1);
        before = i % 10 == 9 ? before : number_at(item, 1);
    }
    cr_assert_gt(before, 0);
    sent_frame_free(&frame);
}

Test(wire_gather, one_over_the_most_is_refused)
{
    struct client *client = client_open();
    mget(client, 7, 1001);
    batch(client, 8, 1001);
    turns_settle();
    client_expect(client, "ERROR 7 400, ERROR 8 400");
}

Test(wire_gather, several_run_side_by_side)
{
    struct client *client = client_open();
    batch(client, 7, 200);
    batch(client, 8, 256);
    mget(client, 9, 500);
    client_send(client, FRAME_PING, 10, BYTES_EMPTY);
    turns_settle();
    client_expect(client, "PING 10 200, MGET 9 200, BATCH 7 200, BATCH 8 200");
}

static void put_behind(struct client *client, uint32_t id, const char *key)
{
    uint8_t body[64];
    struct writer out = writer_of(body, sizeof(body));
    document_write_array(&out, 3);
    document_write_string(&out, BYTES_LITERAL("pets"));
    document_write_string(&out, bytes_of_text(key));
    document_write_map(&out, 0);
    cr_assert(!out.failed);
    client_send(client, FRAME_PUT, id, writer_bytes(&out));
}

Test(wire_gather, a_write_behind_a_batch_is_carried_out_behind_it)
{
    struct client *client = client_open();
    batch(client, 6, 200); /* one that is begun, and ends while the next is not */
    batch(client, 7, 1000);
    put_behind(client, 8, "r998");
    turns_settle();
    client_expect(client, "BATCH 6 200, BATCH 7 200, PUT 8 200");
    batch(client, 9, 1000);
    client_send(client, FRAME_PING, 10, BYTES_EMPTY);
    turns_step();
    client_cut(client);
    turns_settle();
    cr_assert_null(client->connection, "one that waits for its batch goes like any other");
}

Test(wire_gather, a_client_that_goes_leaves_nothing_behind)
{
    struct client *client = client_open();
    batch(client, 7, 1000);
    mget(client, 8, 1000);
    turns_step();
    client_cut(client);
    turns_settle();
    cr_assert_null(client->connection);
    cr_assert_eq(turns_all()->server->pending, 0);
}

static void begin_small(void)
{
    turns_begin(2200u << 10);
}

TestSuite(wire_gather_small, .init = begin_small, .fini = turns_end);

/* Room for the gather and its results, and for some of its calls: the others wait. */
Test(wire_gather_small, a_batch_goes_on_with_little_memory)
{
    struct client *client = client_open();
    struct memory_budget *memory = &turns_all()->server->memory;
    size_t held = 0;
    batch(client, 7, 1000);
    held = memory->max / 4 * 3 - memory->used;
    memory_hold(memory, held);
    turns_settle();
    memory_let_go(memory, held);
    turns_settle();
    batch_is_answered(client, 1000);
}

Test(wire_gather_small, without_memory_nothing_is_begun)
{
    struct client *client = client_open();
    struct memory_budget *memory = &turns_all()->server->memory;
    size_t held = memory->max / 4 * 3 - memory->used - (300u << 10);
    memory_hold(memory, held);
    batch(client, 7, 1000);
    turns_settle();
    memory_let_go(memory, held);
    turns_settle();
    client_expect(client, "ERROR 7 503");
    mget(client, 8, 1000);
    turns_settle();
    struct sent_frame frame;
    struct document_cursor cursor;
    struct bytes item;
    cr_assert_eq(answer_of(client, &frame, &cursor), 1000);
    while (document_next_element(&cursor, &item)) {
        cr_assert_eq(number_at(item, 2), 0);
    }
    sent_frame_free(&frame);
}

/* PUT of a record of so many bytes. */
static void large_put(struct client *client, uint32_t id, size_t size)
{
    struct writer out = writer_of(bytes, sizeof(bytes));
    document_write_array(&out, 3);
    document_write_string(&out, BYTES_LITERAL("pets"));
    document_write_string(&out, BYTES_LITERAL("large"));
    document_write_map(&out, 1);
    document_write_string(&out, BYTES_LITERAL("t"));
    static uint8_t text[1u << 20];
    memset(text, 'x', size);
    document_write_string(&out, bytes_of(text, size));
    cr_assert(!out.failed);
    frame_send(client, FRAME_PUT, id, writer_bytes(&out));
}

/* BATCH of a PUT and, behind it, GETs of that record. */
static void large_reads(struct client *client, uint32_t id, uint32_t count)
{
    struct writer out = writer_of(bytes, sizeof(bytes));
    document_write_array(&out, count + 1);
    for (uint32_t i = 0; i <= count; i++) {
        document_write_array(&out, 3);
        document_write_u64(&out, i == 0 ? FRAME_PUT : FRAME_GET);
        document_write_u64(&out, 0);
        document_write_array(&out, i == 0 ? 3 : 2);
        document_write_string(&out, BYTES_LITERAL("pets"));
        document_write_string(&out, i == 0 ? BYTES_LITERAL("small") : BYTES_LITERAL("large"));
        if (i == 0) {
            document_write_map(&out, 0);
        }
    }
    cr_assert(!out.failed);
    frame_send(client, FRAME_BATCH, id, writer_bytes(&out));
}

Test(wire_gather_small, results_that_wait_for_the_first_are_within_the_memory)
{
    struct client *client = client_open();
    struct turns *all = turns_all();
    large_put(client, 7, 300000);
    turns_settle();
    client_expect(client, "PUT 7 201");
    all->world.hold_journal = true;
    large_reads(client, 8, 40);
    turns_settle();
    cr_assert_gt(all->server->memory.used, 4 * 300000u, "they count");
    cr_assert_leq(all->server->memory.used, all->server->memory.max / 4 * 3);
    all->world.hold_journal = false;
    turns_settle();
    struct sent_frame frame;
    struct document_cursor cursor;
    struct bytes item;
    uint32_t served = 0;
    cr_assert_eq(answer_of(client, &frame, &cursor), 41);
    for (uint32_t i = 0; document_next_element(&cursor, &item); i++) {
        uint64_t code = number_at(item, 0);
        served += code == 200 ? 1 : 0;
        cr_assert(i == 0 ? code == 201 : code == 200 || code == 503, "%u", i);
    }
    cr_assert_gt(served, 0);
    sent_frame_free(&frame);
}
