/*
 * fuzz_control.c: the control messages, read into memory of a fixed size as net/wire reads them.
 *
 * The first byte chooses the message, the second how much memory there is, the rest is its bytes.
 * Whatever it is, reading stays within its memory; what could be read is written, and what was
 * written reads as the same again.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "freshet.pb-c.h"
#include "protocol/base/assert.h"

#define INPUT_BYTES_MAX (64u << 10)
#define ARENA_BYTES     (256u << 10)
#define ARENA_ALIGNMENT 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const messages[] = {
    &freshet__hello__descriptor,         &freshet__welcome__descriptor,
    &freshet__error__descriptor,         &freshet__subscribe__descriptor,
    &freshet__subscribed__descriptor,    &freshet__credit__descriptor,
    &freshet__ack__descriptor,           &freshet__consumer__descriptor,
    &freshet__consumer_info__descriptor, &freshet__consumers__descriptor,
    &freshet__stats__descriptor,         &freshet__goaway__descriptor,
};
#define MESSAGE_COUNT (sizeof(messages) / sizeof(messages[0]))

struct arena {
    uint8_t *memory;
    size_t used;
    size_t size;
};

static void *arena_allocate(void *context, size_t size)
{
    struct arena *arena = context;
    if (size > arena->size - arena->used) {
        return NULL;
    }
    void *memory = arena->memory + arena->used;
    size_t rounded = (size + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
    size_t left = arena->size - arena->used;
    arena->used += rounded < left ? rounded : left;
    return memory;
}

static void arena_free(void *context, void *memory)
{
    struct arena *arena = context;
    ASSERT(memory == NULL ||
           ((uint8_t *)memory >= arena->memory && (uint8_t *)memory < arena->memory + arena->size));
}

static ProtobufCMessage *read_message(const ProtobufCMessageDescriptor *descriptor,
                                      struct arena *arena, const uint8_t *data, size_t size)
{
    ProtobufCAllocator allocator = {
        .alloc = arena_allocate, .free = arena_free, .allocator_data = arena};
    ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, &allocator, size, data);
    ASSERT(arena->used <= arena->size);
    return message;
}

/* Of a whole message; the caller frees it. */
static uint8_t *write_message(const ProtobufCMessage *message, size_t *size_out)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL) {
        abort();
    }
    size_t written = protobuf_c_message_pack(message, bytes);
    ASSERT(written == size);
    *size_out = size;
    return bytes;
}

/*
 * What libprotobuf-c keeps of fields that it does not know is written with other keys where they
 * were longer than they must be, and key 0 is not read again.
 */
static bool all_known(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        if (message->descriptor->fields[i].type == PROTOBUF_C_TYPE_MESSAGE) {
            return false;
        }
    }
    return message->n_unknown_fields == 0;
}

static void try_again(const ProtobufCMessageDescriptor *descriptor, const ProtobufCMessage *first)
{
    size_t size;
    uint8_t *bytes = write_message(first, &size);
    struct arena arena = {malloc(2 * ARENA_BYTES), 0, 2 * ARENA_BYTES};
    if (arena.memory == NULL) {
        abort();
    }
    ProtobufCMessage *second = read_message(descriptor, &arena, bytes, size);
    ASSERT(second != NULL || !all_known(first));
    if (second != NULL) {
        size_t again_size;
        uint8_t *again = write_message(second, &again_size);
        ASSERT(again_size == size);
        ASSERT(memcmp(bytes, again, size) == 0);
        free(again);
    }
    free(arena.memory);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    const ProtobufCMessageDescriptor *descriptor = messages[data[0] % MESSAGE_COUNT];
    /* Exactly as large as it says, so that the sanitizer sees the first byte past its end. */
    size_t room = data[1] == 0 ? ARENA_BYTES : (size_t)data[1] * 64;
    struct arena arena = {malloc(room), 0, room};
    if (arena.memory == NULL) {
        abort();
    }
    ProtobufCMessage *message = read_message(descriptor, &arena, data + 2, size - 2);
    if (message != NULL) {
        try_again(descriptor, message);
    }
    free(arena.memory);
    return 0;
}
