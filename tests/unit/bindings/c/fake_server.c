#include "tests/unit/bindings/c/fake_server.h"

#include <stdlib.h>

#include "freshet.pb-c.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

#define BODY_BYTES_MAX 4096

void fake_init(struct fake_server *fake)
{
    *fake = (struct fake_server){0};
}

void fake_deinit(struct fake_server *fake)
{
    buffer_deinit(&fake->in);
    buffer_deinit(&fake->out);
}

static void append(struct buffer *buffer, struct bytes bytes)
{
    enum status status = buffer_append(buffer, bytes, SIZE_MAX);
    ASSERT(status == STATUS_OK);
}

void fake_listen(struct fake_server *fake, struct core *core)
{
    struct bytes output = core_output(core);
    fake_hear(fake, output);
    core_sent(core, output.size);
}

void fake_hear(struct fake_server *fake, struct bytes bytes)
{
    append(&fake->in, bytes);
    for (;;) {
        struct bytes left = bytes_slice(buffer_bytes(&fake->in), fake->parsed, SIZE_MAX);
        if (left.size < FRAME_HEADER_BYTES) {
            return;
        }
        struct frame_header header = frame_header_read(left.data);
        if (left.size - FRAME_HEADER_BYTES < header.length) {
            return;
        }
        ASSERT(fake->seen_count < FAKE_SEEN_MAX);
        fake->seen[fake->seen_count++] =
            (struct fake_frame){header, fake->parsed + FRAME_HEADER_BYTES};
        fake->parsed += FRAME_HEADER_BYTES + header.length;
    }
}

bool fake_has(const struct fake_server *fake, uint8_t opcode)
{
    for (size_t index = fake->told; index < fake->seen_count; index++) {
        if (fake->seen[index].header.opcode == opcode) {
            return true;
        }
    }
    return false;
}

struct fake_frame fake_expect(struct fake_server *fake, uint8_t opcode)
{
    while (fake->told < fake->seen_count) {
        struct fake_frame frame = fake->seen[fake->told++];
        if (frame.header.opcode == opcode) {
            return frame;
        }
    }
    assert_failed(frame_opcode_name(opcode), "the client has not sent this frame", 0);
}

struct bytes fake_body(const struct fake_server *fake, const struct fake_frame *frame)
{
    return bytes_slice(buffer_bytes(&fake->in), frame->body_offset, frame->header.length);
}

/* ---- saying ---- */

void fake_say_raw(struct fake_server *fake, struct bytes bytes)
{
    append(&fake->out, bytes);
}

void fake_say(struct fake_server *fake, uint8_t opcode, uint16_t code, uint32_t id,
              struct bytes body)
{
    uint8_t head[FRAME_HEADER_BYTES];
    struct frame_header header = {.length = (uint32_t)body.size,
                                  .opcode = opcode,
                                  .flags = FRAME_FLAG_CHECKED,
                                  .code = code,
                                  .id = id,
                                  .check = frame_check(body)};
    frame_header_write(&header, head);
    append(&fake->out, bytes_of(head, sizeof(head)));
    append(&fake->out, body);
}

static void say_message(struct fake_server *fake, uint8_t opcode, uint16_t code, uint32_t id,
                        const ProtobufCMessage *message)
{
    uint8_t body[BODY_BYTES_MAX];
    size_t size = protobuf_c_message_get_packed_size(message);
    ASSERT(size <= sizeof(body));
    protobuf_c_message_pack(message, body);
    fake_say(fake, opcode, code, id, bytes_of(body, size));
}

void fake_welcome(struct fake_server *fake, const char *const *features, size_t count)
{
    Freshet__Welcome welcome = FRESHET__WELCOME__INIT;
    welcome.version = 1;
    welcome.features = (char **)(uintptr_t)features;
    welcome.n_features = count;
    welcome.frame_bytes_max = FRAME_REQUEST_BYTES_MAX;
    say_message(fake, FRAME_HELLO | FRAME_ANSWER, 200, 1, &welcome.base);
}

void fake_error(struct fake_server *fake, uint32_t id, unsigned status, const char *type,
                const char *detail)
{
    Freshet__Error error = FRESHET__ERROR__INIT;
    error.status = status;
    error.type = (char *)(uintptr_t)type;
    error.detail = (char *)(uintptr_t)detail;
    error.oldest = (char *)(uintptr_t) "oldest";
    error.newest = (char *)(uintptr_t) "newest";
    error.retry_after_ms = 7;
    say_message(fake, FRAME_ERROR, (uint16_t)status, id, &error.base);
}

void fake_subscribed(struct fake_server *fake, uint32_t id, const char *position)
{
    Freshet__Subscribed subscribed = FRESHET__SUBSCRIBED__INIT;
    subscribed.position = (char *)(uintptr_t)position;
    say_message(fake, FRAME_SUBSCRIBE | FRAME_ANSWER, 200, id, &subscribed.base);
}

static void write_text(struct writer *out, const char *text)
{
    document_write_string(out, bytes_of_text(text));
}

void fake_state(struct fake_server *fake, uint32_t id, unsigned code, uint64_t sequence,
                const char *json)
{
    uint8_t room[BODY_BYTES_MAX];
    struct writer out = writer_of(room, sizeof(room));
    document_write_array(&out, 4);
    document_write_u64(&out, 1);
    document_write_u64(&out, sequence);
    document_write_u64(&out, json == NULL ? 0 : 3);
    if (json == NULL) {
        document_write_null(&out);
    } else {
        write_text(&out, json);
    }
    fake_say(fake, FRAME_GET | FRAME_ANSWER, (uint16_t)code, id, writer_bytes(&out));
}

void fake_written(struct fake_server *fake, uint32_t id, unsigned code, const char *record_id,
                  uint64_t sequence)
{
    uint8_t room[BODY_BYTES_MAX];
    struct writer out = writer_of(room, sizeof(room));
    document_write_array(&out, 7);
    document_write_u64(&out, 1);
    document_write_u64(&out, sequence);
    document_write_u64(&out, 1);
    write_text(&out, record_id);
    write_text(&out, "\"0-1-1\"");
    write_text(&out, "a position");
    document_write_bool(&out, true);
    fake_say(fake, FRAME_PUT | FRAME_ANSWER, (uint16_t)code, id, writer_bytes(&out));
}

void fake_pong(struct fake_server *fake, uint32_t id)
{
    fake_say(fake, FRAME_PING | FRAME_ANSWER, 200, id, BYTES_EMPTY);
}

void fake_invalidate(struct fake_server *fake, uint32_t id, const char *position, bool is_live,
                     uint64_t sequence, const char *collection, const char *record_id)
{
    uint8_t room[BODY_BYTES_MAX];
    struct writer out = writer_of(room, sizeof(room));
    document_write_array(&out, 3);
    write_text(&out, position);
    document_write_bool(&out, is_live);
    document_write_array(&out, collection == NULL ? 0 : 1);
    if (collection != NULL) {
        document_write_array(&out, 4);
        document_write_u64(&out, 1);
        document_write_u64(&out, sequence);
        write_text(&out, collection);
        write_text(&out, record_id);
    }
    fake_say(fake, FRAME_INVALIDATE, 0, id, writer_bytes(&out));
}

void fake_change(struct fake_server *fake, uint32_t id, unsigned kind, const char *position,
                 struct bytes change)
{
    uint8_t room[BODY_BYTES_MAX];
    struct writer out = writer_of(room, sizeof(room));
    document_write_array(&out, 1);
    document_write_array(&out, 3);
    document_write_u64(&out, kind);
    write_text(&out, position);
    if (change.size == 0) {
        document_write_null(&out);
    } else {
        document_write_raw(&out, change);
    }
    fake_say(fake, FRAME_CHANGES, 0, id, writer_bytes(&out));
}

struct bytes fake_insert(uint8_t *room, size_t size, const char *record_id, uint64_t sequence)
{
    struct writer out = writer_of(room, size);
    document_write_map(&out, 5);
    write_text(&out, "eventName");
    write_text(&out, "INSERT");
    write_text(&out, "collection");
    write_text(&out, "pets");
    write_text(&out, "keys");
    document_write_map(&out, 1);
    write_text(&out, "id");
    write_text(&out, record_id);
    write_text(&out, "sequence");
    document_write_u64(&out, sequence);
    write_text(&out, "newImage");
    document_write_map(&out, 1);
    write_text(&out, "n");
    document_write_u64(&out, 1);
    ASSERT(!out.failed);
    return writer_bytes(&out);
}

enum freshet_status fake_tell(struct fake_server *fake, struct core *core, uint64_t now_ns,
                              size_t most)
{
    enum freshet_status status = FRESHET_OK;
    while (buffer_left(&fake->out) > 0 && status == FRESHET_OK) {
        uint8_t *data;
        size_t size;
        status = core_room(core, &data, &size);
        if (status != FRESHET_OK) {
            break;
        }
        struct bytes out = buffer_bytes(&fake->out);
        size = out.size < size ? out.size : size;
        size = most < size ? most : size;
        memcpy(data, out.data, size);
        buffer_consume(&fake->out, size);
        status = core_received(core, size, now_ns);
    }
    buffer_clear(&fake->out);
    return status;
}

void fake_greet(struct fake_server *fake, struct core *core, uint64_t now_ns)
{
    static const char *const FEATURES[] = {"json", "invalidate", "checked"};
    core_connected(core, now_ns);
    fake_listen(fake, core);
    fake_expect(fake, FRAME_HELLO);
    fake_welcome(fake, FEATURES, 3);
    enum freshet_status status = fake_tell(fake, core, now_ns, SIZE_MAX);
    ASSERT(status == FRESHET_OK);
    fake_listen(fake, core);
}

void fake_start_near(struct fake_server *fake, struct core *core, uint64_t now_ns)
{
    struct fake_frame subscribe = fake_expect(fake, FRAME_SUBSCRIBE);
    fake_subscribed(fake, subscribe.header.id, "p0");
    fake_invalidate(fake, subscribe.header.id, "p0", true, 0, NULL, NULL);
    enum freshet_status status = fake_tell(fake, core, now_ns, SIZE_MAX);
    ASSERT(status == FRESHET_OK);
    status = core_tick(core, now_ns);
    ASSERT(status == FRESHET_OK);
    fake_listen(fake, core);
    fake_pong(fake, fake_expect(fake, FRAME_PING).header.id);
    status = fake_tell(fake, core, now_ns, SIZE_MAX);
    ASSERT(status == FRESHET_OK);
}
