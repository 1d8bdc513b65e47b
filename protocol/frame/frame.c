#include "protocol/frame/frame.h"

#include <zlib.h>

#include "protocol/base/assert.h"

void frame_header_write(const struct frame_header *header, uint8_t out[FRAME_HEADER_BYTES])
{
    struct writer writer = writer_of(out, FRAME_HEADER_BYTES);
    writer_u32(&writer, header->length);
    writer_u8(&writer, header->opcode);
    writer_u8(&writer, header->flags);
    writer_u16(&writer, header->code);
    writer_u32(&writer, header->id);
    writer_u32(&writer, header->check);
    ASSERT(!writer.failed);
    ASSERT(writer.size == FRAME_HEADER_BYTES);
}

struct frame_header frame_header_read(const uint8_t bytes[FRAME_HEADER_BYTES])
{
    struct reader reader = reader_of(bytes_of(bytes, FRAME_HEADER_BYTES));
    struct frame_header header = {.length = reader_u32(&reader)};
    header.opcode = reader_u8(&reader);
    header.flags = reader_u8(&reader);
    header.code = reader_u16(&reader);
    header.id = reader_u32(&reader);
    header.check = reader_u32(&reader);
    ASSERT(!reader.failed);
    ASSERT(reader_left(&reader) == 0);
    return header;
}

uint32_t frame_check(struct bytes body)
{
    return (uint32_t)crc32_z(0, body.data, body.size);
}

uint32_t frame_check_more(uint32_t check, struct bytes more)
{
    /* Without data zlib would begin anew. */
    return more.size == 0 ? check : (uint32_t)crc32_z(check, more.data, more.size);
}

const char *frame_opcode_name(uint8_t opcode)
{
    uint8_t request = opcode == FRAME_ERROR ? opcode : (uint8_t)(opcode & ~FRAME_ANSWER);
    switch ((enum frame_opcode)request) {
#define FRAME_CASE(name, value)                                                                    \
    case name:                                                                                     \
        return &#name[sizeof("FRAME_") - 1];
        FRAME_OPCODES(FRAME_CASE)
#undef FRAME_CASE
    }
    return "?";
}
