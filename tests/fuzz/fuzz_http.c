/*
 * fuzz_http.c: bytes from a stranger, in random pieces, to the connection layer of net/http,
 * without a socket.
 *
 * The first bytes of the input seed the pieces, the order of answers, short sends, the passing of
 * time and what is written to streams; the rest is what the client sends. Checked: nothing crashes,
 * every exchange ends once, every body is released once, all memory comes back, and what is sent
 * when everything arrives at once is what is sent when it arrives in pieces (with answers at once).
 */
#include "tests/unit/net/http/fake_transport.h"

#define SEED_BYTES 4

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void check_read(struct fake *fake)
{
    if (fake->connection != NULL) {
        ASSERT(fake->connection->exchange_count <= fake->server->options.pipelined_max + 1);
        ASSERT(fake->connection->output.unsent_bytes <= (2u << 20));
    }
}

static void feed(struct fake *fake, const uint8_t *data, size_t size, uint32_t *random)
{
    size_t begin = 0;
    while (begin < size && fake->connection != NULL) {
        size_t piece = *random == 0 ? size : 1 + next_random(random) % 64;
        if (piece > size - begin) {
            piece = size - begin;
        }
        if (!fake_receive(fake, data + begin, piece)) {
            fake_run(fake);
            if (!fake_receive(fake, data + begin, piece)) {
                return;
            }
        }
        begin += piece;
        check_read(fake);
        fake_turn(fake);
    }
}

static void answer_some(struct fake *fake, uint32_t *random)
{
    while (fake->kept_count > 0 && next_random(random) % 4 != 0) {
        uint32_t index = next_random(random) % fake->kept_count;
        struct http_exchange *exchange = fake->kept[index];
        fake->kept[index] = fake->kept[--fake->kept_count];
        fake->variant = (enum fake_variant)(next_random(random) % 4);
        fake_answer(fake, exchange);
    }
}

/* Some pieces to some streams, and some of them end. */
static void stream_some(struct fake *fake, uint32_t *random)
{
    for (uint32_t i = 0; fake->stream_count > 0 && i < 8; i++) {
        struct http_exchange *exchange = fake->streams[next_random(random) % fake->stream_count];
        if (next_random(random) % 4 == 0) {
            fake_stream_end(fake, exchange);
        } else {
            size_t size = next_random(random) % sizeof(fake->large);
            bool taken = http_stream_write(exchange, bytes_of(fake->large, size));
            (void)taken;
        }
    }
}

/* Answers late and in any order, short sends, time that passes. */
static void run_disorderly(const uint8_t *data, size_t size, uint32_t random)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    fake->keep = true;
    fake->send_max = 1 + next_random(&random) % 5000;
    struct http_options options = fake_options(fake);
    options.memory_bytes_max = 1u << 20;
    fake_open(fake, &options);
    size_t begin = 0;
    while (begin < size && fake->connection != NULL) {
        size_t piece = 1 + next_random(&random) % 200;
        piece = piece < size - begin ? piece : size - begin;
        (void)fake_receive(fake, data + begin, piece);
        begin += piece;
        answer_some(fake, &random);
        stream_some(fake, &random);
        check_read(fake);
        fake_turn(fake);
        if (next_random(&random) % 16 == 0) {
            fake_advance(fake, next_random(&random) % (5 * FAKE_SECOND_NS));
        }
    }
    if (next_random(&random) % 2 == 0) {
        fake_end(fake);
    }
    answer_some(fake, &random);
    stream_some(fake, &random);
    fake_turn(fake);
    fake->in_flight = 0;
    if (fake->connection != NULL && fake->connection->sending) {
        connection_events.sent(&fake->connection->socket, -ECONNRESET);
    }
    fake_close_all(fake);
    free(fake);
}

static struct fake *run_orderly(const uint8_t *data, size_t size, uint32_t random)
{
    struct fake *fake = calloc(1, sizeof(*fake));
    struct http_options options = fake_options(fake);
    options.body_bytes_max = 10000;
    fake_open(fake, &options);
    feed(fake, data, size, &random);
    fake_run(fake);
    fake_end(fake);
    fake_run(fake);
    return fake;
}

/* "100 Continue" depends on when the body comes, rightly so: it is left out of the comparison. */
static void drop_continue(struct fake *fake)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t size = sizeof(text) - 1;
    char *at = fake->sent_size == 0 ? NULL : memmem(fake->sent, fake->sent_size, text, size);
    while (at != NULL) {
        size_t rest = fake->sent_size - (size_t)(at - fake->sent) - size;
        memmove(at, at + size, rest);
        fake->sent_size -= size;
        at = memmem(at, rest, text, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SEED_BYTES || size > (1u << 17)) {
        return 0;
    }
    uint32_t seed = get_u32(data) | 1;
    struct fake *whole = run_orderly(data + SEED_BYTES, size - SEED_BYTES, 0);
    struct fake *pieces = run_orderly(data + SEED_BYTES, size - SEED_BYTES, seed);
    drop_continue(whole);
    drop_continue(pieces);
    ASSERT(whole->sent_size == pieces->sent_size);
    ASSERT(whole->sent_size == 0 || memcmp(whole->sent, pieces->sent, whole->sent_size) == 0);
    fake_close_all(whole);
    fake_close_all(pieces);
    free(whole);
    free(pieces);
    run_disorderly(data + SEED_BYTES, size - SEED_BYTES, seed);
    return 0;
}
