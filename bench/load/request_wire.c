#include <string.h>

#include "bench/load/request.h"
#include "protocol/frame/frame.h"

/* The collection that the path names: "/products/{key}" is products. */
static struct bytes collection_of(const struct load_options *options)
{
    const char *name = options->path + 1;
    return bytes_of(name, strcspn(name, "/?"));
}

/* A string of up to 65,535 bytes. */
static void string_begin(struct writer *out, size_t size)
{
    if (size < 32) {
        writer_u8(out, (uint8_t)(0xa0 | size));
    } else {
        writer_u8(out, 0xda);
        writer_u16(out, (uint16_t)size);
    }
}

static void string_write(struct writer *out, struct bytes text)
{
    string_begin(out, text.size);
    writer_put(out, text);
}

/* Answers come as they are ready. Those to one kind of request come in order from a server with one
 * thread, so the id only has to be one. */
static void frame_begin(uint8_t opcode, struct writer *out)
{
    uint8_t *at = writer_reserve(out, FRAME_HEADER_BYTES);
    if (at != NULL) {
        const struct frame_header header = {.opcode = opcode, .id = 1};
        frame_header_write(&header, at);
    }
}

static void frame_end(struct writer *out)
{
    struct writer length = writer_of(out->data, sizeof(uint32_t));
    writer_u32(&length, (uint32_t)(out->size - FRAME_HEADER_BYTES));
}

void request_wire_preface(struct writer *out)
{
    frame_begin(FRAME_HELLO, out);
    /* Hello: versions [1], client "bench_load" */
    writer_put(out, BYTES_LITERAL("\x0a\x01\x01\x22\x0a"
                                  "bench_load"));
    frame_end(out);
}

void request_wire(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out)
{
    static const uint8_t opcodes[KIND_COUNT] = {FRAME_GET, FRAME_PUT, FRAME_CREATE, FRAME_DELETE,
                                                FRAME_GET};
    frame_begin(opcodes[kind], out);
    writer_u8(out, kind == KIND_PUT ? 0x93 : 0x92); /* an array of so many */
    string_write(out, collection_of(options));
    if (kind != KIND_POST) {
        string_begin(out, options->key_digits);
        template->key_offset = key_reserve(options, out);
    }
    if (kind_has_body(kind)) {
        template->body_offset = (uint32_t)out->size;
        body_write(body, out);
    }
    frame_end(out);
}
