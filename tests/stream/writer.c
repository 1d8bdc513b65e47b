#include "tests/stream/writer.h"

#include <stdatomic.h>
#include <stdio.h>

#include "engine/journal/position.h"

#define REQUEST_BYTES_MAX 512

enum write_kind { WRITE_PUT, WRITE_EQUAL, WRITE_DELETE };

struct batch {
    enum write_kind kinds[WRITER_BATCH];
    uint32_t keys[WRITER_BATCH];
    bool existed[WRITER_BATCH];
    uint32_t count;
    size_t size;
    char bytes[WRITER_BATCH * REQUEST_BYTES_MAX];
};

/* One more request; what the record will be is noted at once, because writes of
 * one connection keep their order. */
static void batch_add(struct stream_writer *writer, struct batch *batch)
{
    uint64_t random = random_next(&writer->random);
    uint32_t place = (uint32_t)(random % WRITER_KEYS);
    uint32_t number = writer->options.number * WRITER_KEYS + place;
    uint32_t *value = &writer->values[place];
    uint32_t dice = (uint32_t)(random >> 32) % 100;
    enum write_kind kind = dice < 15                  ? WRITE_DELETE
                           : dice < 20 && *value != 0 ? WRITE_EQUAL
                                                      : WRITE_PUT;
    batch->kinds[batch->count] = kind;
    batch->keys[batch->count] = place;
    batch->existed[batch->count] = *value != 0;
    batch->count++;
    char *at = batch->bytes + batch->size;
    if (kind == WRITE_DELETE) {
        batch->size +=
            (size_t)snprintf(at, REQUEST_BYTES_MAX,
                             "DELETE /pets/" KEY_FORMAT " HTTP/1.1\r\nHost: s\r\n\r\n", number);
        *value = 0;
        return;
    }
    if (kind == WRITE_PUT) {
        *value = writer->options.number << WRITER_VALUE_BITS | ++writer->counter;
    }
    char body[160];
    int body_size = snprintf(body, sizeof(body), "{\"value\":%u,\"filler\":\"%.*s\"}", *value,
                             (int)(*value % 97),
                             "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnop"
                             "qrstuvwxyzabcdefghijklmnopqrstuvwxyz");
    batch->size +=
        (size_t)snprintf(at, REQUEST_BYTES_MAX,
                         "PUT /pets/" KEY_FORMAT " HTTP/1.1\r\nHost: s\r\n"
                         "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                         number, body_size, body);
}

static void position_note(const struct stream_writer *writer, struct bytes text)
{
    struct position position;
    if (position_read(text, &position) != STATUS_OK) {
        return;
    }
    _Atomic uint64_t *last = writer->options.last_sequence;
    uint64_t before = atomic_load(last);
    while (before < position.sequence &&
           !atomic_compare_exchange_weak(last, &before, position.sequence)) {
    }
}

static enum status answer_check(struct stream_writer *writer, const struct batch *batch,
                                uint32_t index)
{
    struct peer_answer answer;
    enum status status = peer_answer(&writer->peer, &answer);
    if (status != STATUS_OK) {
        return status;
    }
    bool put = batch->kinds[index] != WRITE_DELETE;
    uint16_t wanted = put && !batch->existed[index] ? 201 : 200;
    if (answer.status != wanted) {
        fprintf(stderr, "stream: a write was answered %u, not %u: %.*s\n", answer.status, wanted,
                (int)answer.body.size, (const char *)answer.body.data);
        return STATUS_INVALID;
    }
    writer->changes += batch->kinds[index] == WRITE_PUT ||
                       (batch->kinds[index] == WRITE_DELETE && batch->existed[index]);
    position_note(writer, answer.position);
    return STATUS_OK;
}

void *writer_run(void *argument)
{
    struct stream_writer *writer = argument;
    struct batch batch;
    writer->random = writer->options.seed;
    writer->status = peer_open(writer->options.port, &writer->peer);
    for (uint64_t written = 0; written < writer->options.writes && writer->status == STATUS_OK;) {
        uint64_t left = writer->options.writes - written;
        batch.count = 0;
        batch.size = 0;
        while (batch.count < WRITER_BATCH && batch.count < left) {
            batch_add(writer, &batch);
        }
        writer->status = peer_send(&writer->peer, bytes_of(batch.bytes, batch.size));
        for (uint32_t i = 0; i < batch.count && writer->status == STATUS_OK; i++) {
            writer->status = answer_check(writer, &batch, i);
        }
        written += batch.count;
    }
    peer_close(&writer->peer);
    return NULL;
}
