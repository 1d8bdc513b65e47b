#include <criterion/criterion.h>
#include <stdio.h>

#include "bench/stream/notices.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

struct heard {
    size_t count;
    uint64_t serials[16];
    size_t reply_size;
    char reply[NOTICES_REPLY_BYTES_MAX];
};

static void hear(void *context, uint64_t serial)
{
    struct heard *heard = context;
    cr_assert_lt(heard->count, 16);
    heard->serials[heard->count++] = serial;
}

static struct heard feed_bytes(enum notices_framing framing, struct bytes bytes, size_t piece)
{
    struct heard heard = {0};
    struct notices notices;
    notices_init(&notices, framing);
    for (size_t at = 0; at < bytes.size; at += piece) {
        notices_feed(&notices, bytes_slice(bytes, at, piece), hear, &heard);
    }
    cr_assert_not(notices.bad);
    heard.reply_size = notices.reply_size;
    memcpy(heard.reply, notices.reply, notices.reply_size);
    notices_deinit(&notices);
    return heard;
}

static bool is_bad(enum notices_framing framing, const char *text)
{
    struct heard heard = {0};
    struct notices notices;
    notices_init(&notices, framing);
    notices_feed(&notices, bytes_of_text(text), hear, &heard);
    bool bad = notices.bad;
    notices_deinit(&notices);
    cr_assert_eq(heard.count, 0);
    return bad;
}

static struct heard feed(enum notices_framing framing, const char *text, size_t piece)
{
    return feed_bytes(framing, bytes_of_text(text), piece);
}

Test(notices, the_new_image_s_serial_number_is_told_once_an_event)
{
    const char *event = "id: a\nevent: modify\ndata: {\"newImage\":{\"serial\":7},"
                        "\"oldImage\":{\"serial\":6}}\n\n";
    char chunk[256];
    snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n", strlen(event), event);
    for (size_t piece = 1; piece <= strlen(chunk); piece++) {
        struct heard heard = feed(NOTICES_CHUNKS, chunk, piece);
        cr_assert_eq(heard.count, 1);
        cr_assert_eq(heard.serials[0], 7);
    }
}

Test(notices, an_event_may_be_cut_anywhere_into_chunks)
{
    const char *text = "8\r\ndata: {\"\r\n7\r\nserial\"\r\n3\r\n:12\r\n4\r\n3}\n\n\r\n"
                       "11\r\ndata: \"serial\":9\n\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct heard heard = feed(NOTICES_CHUNKS, text, piece);
        cr_assert_eq(heard.count, 2);
        cr_assert_eq(heard.serials[0], 123);
        cr_assert_eq(heard.serials[1], 9);
    }
}

Test(notices, a_change_without_a_serial_number_is_told_and_other_events_are_not)
{
    struct heard heard =
        feed(NOTICES_LINES,
             "event: progress\ndata: {}\n\n: beat\n\ndata: {\"eventID\":\"a-1-2\"}\n\n", 7);
    cr_assert_eq(heard.count, 1);
    cr_assert_eq(heard.serials[0], 0);
}

Test(notices, replies_of_redis_are_lines)
{
    const char *text = "*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$12\r\n{\"serial\":42}\r\n"
                       ">2\r\n$10\r\ninvalidate\r\n*2\r\n$9\r\nbench:007\r\n$9\r\nbench:008\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct heard heard = feed(NOTICES_LINES, text, piece);
        cr_assert_eq(heard.count, 3);
        cr_assert_eq(heard.serials[0], 42);
        cr_assert_eq(heard.serials[1], 7);
        cr_assert_eq(heard.serials[2], 8);
    }
}

Test(notices, what_is_no_chunk_or_an_error_is_seen)
{
    cr_assert(is_bad(NOTICES_CHUNKS, "data: x\n"));
    cr_assert(is_bad(NOTICES_NATS, "-ERR 'Slow Consumer'\r\n"));
    cr_assert(is_bad(NOTICES_NATS, "MSG _INBOX.1.api0 2 30\r\n{\"type\":\"io.nats.jetstream.api.v1."
                                   "consumer_create_response\",\"error\":{\"code\":404}}\r\n"));
    cr_assert(is_bad(NOTICES_XREAD, "-ERR unknown command\r\n"));
    const struct frame_header error = {.opcode = FRAME_ERROR};
    uint8_t bytes[FRAME_HEADER_BYTES];
    frame_header_write(&error, bytes);
    struct notices notices;
    notices_init(&notices, NOTICES_FRAMES);
    notices_feed(&notices, bytes_of(bytes, sizeof(bytes)), hear, NULL);
    cr_assert(notices.bad);
    notices_deinit(&notices);
}

Test(notices, messages_of_nats_are_heard_and_its_questions_answered)
{
    const char *text = "MSG bench 1 $JS.ACK.bench.x.1.1.1.9.0 13\r\n{\"serial\":42}\r\n"
                       "MSG bench 1 14\r\n{\"serial\":430}\r\nPING\r\n"
                       "HMSG _INBOX.1.s0 1  60 60\r\nNATS/1.0 100 Idle Heartbeat\r\n"
                       "Nats-Last-Consumer: 2\r\nNats-Consumer-Stalled: $JS.FC.stalled\r\n\r\n\r\n"
                       "HMSG _INBOX.1.s0 1 $JS.FC.bench.x.y 36 36\r\n"
                       "NATS/1.0 100 FlowControl Request\r\n\r\n\r\n";
    const char *reply = "PONG\r\nPUB $JS.FC.stalled 0\r\n\r\nPUB $JS.FC.bench.x.y 0\r\n\r\n";
    for (size_t piece = 1; piece <= strlen(text); piece++) {
        struct heard heard = feed(NOTICES_NATS, text, piece);
        cr_assert_eq(heard.count, 2);
        cr_assert_eq(heard.serials[0], 42);
        cr_assert_eq(heard.serials[1], 430);
        cr_assert(bytes_equal(bytes_of(heard.reply, heard.reply_size), bytes_of_text(reply)));
    }
}

Test(notices, a_whole_reply_to_xread_asks_for_what_follows_its_last_entry)
{
    const char *entries = "*1\r\n*2\r\n$5\r\nbench\r\n*2\r\n"
                          "*2\r\n$4\r\n17-0\r\n*2\r\n$1\r\nd\r\n$12\r\n{\"serial\":7}\r\n"
                          "*2\r\n$5\r\n17-12\r\n*2\r\n$1\r\nd\r\n$12\r\n{\"serial\":8}\r\n";
    uint8_t bytes[NOTICES_REPLY_BYTES_MAX];
    struct writer asked = writer_of(bytes, sizeof(bytes));
    notices_xread(BYTES_LITERAL("17-12"), &asked);
    for (size_t piece = 1; piece <= strlen(entries); piece++) {
        struct heard heard = feed(NOTICES_XREAD, entries, piece);
        cr_assert_eq(heard.count, 2);
        cr_assert_eq(heard.serials[0], 7);
        cr_assert_eq(heard.serials[1], 8);
        cr_assert(bytes_equal(bytes_of(heard.reply, heard.reply_size), writer_bytes(&asked)));
    }
    struct bytes cut = bytes_of(entries, strlen(entries) - 1);
    cr_assert_eq(feed_bytes(NOTICES_XREAD, cut, cut.size).reply_size, 0);
}

/* ---- frames ---- */

static size_t frame_begin(uint8_t opcode, struct writer *out)
{
    const struct frame_header header = {.opcode = opcode};
    frame_header_write(&header, writer_reserve(out, FRAME_HEADER_BYTES));
    return out->size;
}

static void frame_end(size_t begin, struct writer *out)
{
    put_u32(out->data + begin - FRAME_HEADER_BYTES, (uint32_t)(out->size - begin));
}

static void item_begin(enum frame_change_kind kind, struct writer *out)
{
    document_write_array(out, 3);
    document_write_u64(out, kind);
    document_write_string(out, BYTES_LITERAL("position"));
}

static void image_write(const char *name, uint64_t serial, struct writer *out)
{
    document_write_string(out, bytes_of_text(name));
    document_write_map(out, 1);
    document_write_string(out, BYTES_LITERAL("serial"));
    document_write_u64(out, serial);
}

static void changes_write(struct writer *out)
{
    size_t begin = frame_begin(FRAME_CHANGES, out);
    document_write_array(out, 4);
    item_begin(FRAME_CHANGE, out);
    document_write_map(out, 2);
    image_write("oldImage", 257, out);
    image_write("newImage", 258, out);
    item_begin(FRAME_CHANGE, out);
    document_write_map(out, 1);
    image_write("oldImage", 7, out);
    item_begin(FRAME_SNAPSHOT, out);
    document_write_map(out, 0);
    item_begin(FRAME_CAUGHT_UP, out);
    document_write_null(out);
    frame_end(begin, out);
}

static void invalidate_write(struct writer *out)
{
    size_t begin = frame_begin(FRAME_INVALIDATE, out);
    document_write_array(out, 3);
    document_write_string(out, BYTES_LITERAL("position"));
    document_write_bool(out, true);
    document_write_array(out, 1);
    document_write_array(out, 4);
    document_write_u64(out, 1);
    document_write_u64(out, 99);
    document_write_string(out, BYTES_LITERAL("pets"));
    document_write_string(out, BYTES_LITERAL("bench:00000000000000000042"));
    frame_end(begin, out);
}

Test(notices, each_change_and_each_key_in_frames_is_told_once_however_they_come)
{
    uint8_t bytes[512];
    struct writer out = writer_of(bytes, sizeof(bytes));
    changes_write(&out);
    frame_end(frame_begin(FRAME_INVALIDATE, &out), &out);
    invalidate_write(&out);
    cr_assert_not(out.failed);
    for (size_t piece = 1; piece <= out.size; piece++) {
        struct heard heard = feed_bytes(NOTICES_FRAMES, writer_bytes(&out), piece);
        cr_assert_eq(heard.count, 4);
        cr_assert_eq(heard.serials[0], 258);
        cr_assert_eq(heard.serials[1], 7);
        cr_assert_eq(heard.serials[2], 0);
        cr_assert_eq(heard.serials[3], 42);
        cr_assert_eq(heard.reply_size, 0);
    }
}
