#include "bench/load/request.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/frame/frame.h"

#define FRAME_ID_OFFSET     8 /* of the id in a frame's header */
#define STRING_RESERVED_MAX 64

/* A string of so many bytes that are patched in later; where they stand. */
static uint32_t string_reserve(struct writer *out, uint32_t size)
{
    uint8_t zeros[STRING_RESERVED_MAX];
    ASSERT(size <= sizeof(zeros));
    memset(zeros, '0', size);
    document_write_string(out, bytes_of(zeros, size));
    return (uint32_t)out->size - size;
}

/* With an id that is patched where several are in flight: answers come as they are ready. */
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

/* {"limit": N, "cursor": text}; where the text stands. */
static uint32_t list_options_write(const struct load_options *options, struct writer *out)
{
    document_write_map(out, 2);
    document_write_string(out, BYTES_LITERAL("limit"));
    document_write_u64(out, options->list_limit);
    document_write_string(out, BYTES_LITERAL("cursor"));
    return string_reserve(out, cursor_text_bytes(options));
}

void request_wire(const struct load_options *options, enum kind kind, const struct body *body,
                  struct request_template *template, struct writer *out)
{
    static const uint8_t opcodes[KIND_COUNT] = {FRAME_GET, FRAME_PUT,  FRAME_CREATE, FRAME_DELETE,
                                                FRAME_GET, FRAME_LIST, FRAME_PUT};
    ASSERT(opcodes[kind] != 0);
    frame_begin(opcodes[kind], out);
    template->id_offset = FRAME_ID_OFFSET;
    document_write_array(out, opcodes[kind] == FRAME_PUT ? 3 : 2);
    document_write_string(out, options_collection(options));
    if (kind == KIND_LIST) {
        template->cursor_offset = list_options_write(options, out);
    } else if (kind != KIND_POST) {
        template->key_offset = string_reserve(out, options->key_digits);
    }
    if (kind_has_body(kind)) {
        template->body_offset = (uint32_t)out->size;
        body_write(body, out);
    }
    frame_end(out);
}
