#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "bench/stream/notices.h"
#include "protocol/frame/frame.h"

struct heard {
    size_t count;
    uint64_t serials[16];
};

static void hear(void *context, uint64_t serial)
{
    struct heard *heard = context;
    cr_assert_lt(heard->count, 16);
    heard->serials[heard->count++] = serial;
}

static struct heard feed(enum notices_framing framing, const char *text, size_t piece)
{
    struct heard heard = {0};
    struct notices *notices = malloc(sizeof(*notices));
    cr_assert_not_null(notices);
    notices_init(notices, framing);
    struct bytes bytes = bytes_of_text(text);
    for (size_t at = 0; at < bytes.size; at += piece) {
        notices_feed(notices, bytes_slice(bytes, at, piece), hear, &heard);
    }
    cr_assert_not(notices->bad);
    free(notices);
    return heard;
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

Test(notices, what_is_no_chunk_is_seen)
{
    struct heard heard = {0};
    struct notices *notices = malloc(sizeof(*notices));
    cr_assert_not_null(notices);
    notices_init(notices, NOTICES_CHUNKS);
    notices_feed(notices, BYTES_LITERAL("data: x\n"), hear, &heard);
    cr_assert(notices->bad);
    cr_assert_eq(heard.count, 0);
    free(notices);
}

Test(notices, serial_numbers_and_keys_in_frames_are_told_however_they_come)
{
    uint8_t bytes[512];
    struct writer out = writer_of(bytes, sizeof(bytes));
    static const char one[] = "\x92\xa7"
                              "eventID\xa1"
                              "e\xa6serial\xcf\0\0\0\0\0\0\1\2\xa6serial\xcf\0\0\0\0\0\0\0\7";
    static const char other[] = "xxbench:00000000000000000042yy";
    const struct frame_header first = {.length = sizeof(one) - 1, .opcode = FRAME_CHANGES};
    const struct frame_header empty = {.length = 0, .opcode = FRAME_INVALIDATE};
    const struct frame_header second = {.length = sizeof(other) - 1, .opcode = FRAME_INVALIDATE};
    frame_header_write(&first, writer_reserve(&out, FRAME_HEADER_BYTES));
    writer_put(&out, bytes_of(one, sizeof(one) - 1));
    frame_header_write(&empty, writer_reserve(&out, FRAME_HEADER_BYTES));
    frame_header_write(&second, writer_reserve(&out, FRAME_HEADER_BYTES));
    writer_put(&out, bytes_of(other, sizeof(other) - 1));
    for (size_t piece = 1; piece <= out.size; piece++) {
        struct heard heard = {0};
        struct notices *notices = malloc(sizeof(*notices));
        cr_assert_not_null(notices);
        notices_init(notices, NOTICES_FRAMES);
        for (size_t at = 0; at < out.size; at += piece) {
            size_t size = out.size - at < piece ? out.size - at : piece;
            notices_feed(notices, bytes_of(bytes + at, size), hear, &heard);
        }
        cr_assert_not(notices->bad);
        free(notices);
        cr_assert_eq(heard.count, 4);
        cr_assert(heard.serials[0] == 0 && heard.serials[1] == 258);
        cr_assert(heard.serials[2] == 7 && heard.serials[3] == 42);
    }
}
