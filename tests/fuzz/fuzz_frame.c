/*
 * fuzz_frame.c: any 16 bytes are a header, and are written again as they were; every opcode has a
 * name; the checksum of a body changes with each of its bytes.
 */
#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/frame/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_header(const uint8_t bytes[FRAME_HEADER_BYTES])
{
    struct frame_header header = frame_header_read(bytes);
    uint8_t again[FRAME_HEADER_BYTES];
    frame_header_write(&header, again);
    ASSERT(memcmp(bytes, again, FRAME_HEADER_BYTES) == 0);
    const char *name = frame_opcode_name(header.opcode);
    ASSERT(name[0] != '\0');
}

static void try_check(const uint8_t *data, size_t size)
{
    uint8_t copy[256];
    if (size == 0 || size > sizeof(copy)) {
        return;
    }
    memcpy(copy, data, size);
    uint32_t check = frame_check(bytes_of(copy, size));
    ASSERT(check == frame_check(bytes_of(data, size)));
    copy[data[0] % size] ^= 0x10;
    ASSERT(check != frame_check(bytes_of(copy, size)));
}

/* Frame by frame, as a stream has them, until what is left is no whole one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t offset = 0;
    while (size - offset >= FRAME_HEADER_BYTES) {
        try_header(data + offset);
        struct frame_header header = frame_header_read(data + offset);
        offset += FRAME_HEADER_BYTES;
        if (header.length > size - offset) {
            break;
        }
        try_check(data + offset, header.length);
        offset += header.length;
    }
    ASSERT(offset <= size);
    return 0;
}
