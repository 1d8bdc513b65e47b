/*
 * fuzz_answers.c: bytes from a server to the four readers of bench/load: HTTP, wire, RESP and
 * memcached.
 *
 * The first byte chooses the reader and what it is told, the second seeds the sizes of pieces, the
 * rest is the stream. Checked: nothing is read past its end or after it is gone, every call with
 * bytes takes some or fails, an answer that ends has a status, a kept body is as long as was
 * counted, and the answers, their bodies and the failure are the same whether the stream comes at
 * once or in pieces.
 */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "bench/load/response.h"
#include "protocol/base/assert.h"

#define LEAD_BYTES 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a stream was read as. */
struct outcome {
    enum status status;
    uint64_t answers;
    uint64_t hash; /* of all answers in their order */
};

static enum status read_some(struct response *response, uint8_t lead, struct bytes bytes,
                             size_t *taken_out, bool *done_out)
{
    switch (lead % 4) {
    case 0:
        return response_read(response, bytes, (lead & 4) != 0, taken_out, done_out);
    case 1:
        return response_wire_read(response, bytes, taken_out, done_out);
    case 2:
        return response_redis_read(response, bytes, taken_out, done_out);
    default:
        return response_memcached_read(response, bytes, taken_out, done_out);
    }
}

static void see_answer(const struct response *response, struct outcome *outcome)
{
    ASSERT(response->status < 600);
    ASSERT(!response->keep || response->body.size == response->body_size);
    uint64_t parts[5] = {outcome->hash, response->status, response->closes, response->body_size,
                         response->id};
    outcome->hash = XXH3_64bits(parts, sizeof(parts)) ^
                    XXH3_64bits_withSeed(response->body.data, response->body.size, 1);
    outcome->answers++;
}

/* Bytes that are freed behind it, as a receive buffer goes to others. */
static void read_piece(struct response *response, uint8_t lead, struct bytes piece,
                       struct outcome *outcome)
{
    uint8_t *copy = malloc(piece.size);
    ASSERT(copy != NULL);
    memcpy(copy, piece.data, piece.size);
    for (size_t offset = 0; offset < piece.size && outcome->status == STATUS_OK;) {
        size_t taken = 0;
        bool done = false;
        struct bytes rest = bytes_of(copy + offset, piece.size - offset);
        outcome->status = read_some(response, lead, rest, &taken, &done);
        ASSERT(taken <= rest.size);
        ASSERT(taken > 0 || outcome->status != STATUS_OK);
        if (done && outcome->status == STATUS_OK) {
            see_answer(response, outcome);
        }
        offset += taken;
    }
    free(copy);
}

static struct outcome read_stream(uint8_t lead, uint32_t random, struct bytes stream)
{
    struct response response = {.keep = (lead & 8) != 0, .greeting = (lead & 16) != 0};
    struct outcome outcome = {.status = STATUS_OK};
    for (size_t at = 0; at < stream.size && outcome.status == STATUS_OK;) {
        random = random * 1664525u + 1013904223u;
        size_t piece = lead & 0x80 ? stream.size : 1 + (random >> 8) % 48;
        struct bytes bytes = bytes_slice(stream, at, piece);
        read_piece(&response, lead, bytes, &outcome);
        at += bytes.size;
    }
    response_reset(&response);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < LEAD_BYTES) {
        return 0;
    }
    struct bytes stream = bytes_of(data + LEAD_BYTES, size - LEAD_BYTES);
    struct outcome whole = read_stream(data[0] | 0x80, 0, stream);
    struct outcome pieces = read_stream(data[0] & 0x7f, data[1], stream);
    ASSERT(whole.status == pieces.status);
    ASSERT(whole.answers == pieces.answers);
    ASSERT(whole.hash == pieces.hash);
    return 0;
}
