/*
 * vectors.c: reads the vectors (the files of vectors/, named on the command line) with protocol/
 * and the control messages, on which the C client and the server are built. Exit status 0: all is
 * as the vectors say.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "freshet.pb-c.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/frame/frame.h"

#define FILE_BYTES_MAX  (1u << 20)
#define FRAME_BYTES_MAX (64u << 10)

static const ProtobufCMessageDescriptor *const messages[] = {
    &freshet__hello__descriptor,     &freshet__welcome__descriptor,
    &freshet__error__descriptor,     &freshet__subscribe__descriptor,
    &freshet__credit__descriptor,    &freshet__subscribed__descriptor,
    &freshet__ack__descriptor,       &freshet__consumer__descriptor,
    &freshet__consumers__descriptor, &freshet__stats__descriptor,
    &freshet__goaway__descriptor,
};
#define MESSAGE_COUNT (sizeof(messages) / sizeof(messages[0]))

static struct bytes text_of(struct bytes vector, const char *name)
{
    struct bytes value;
    struct bytes text = BYTES_EMPTY;
    if (document_find(vector, bytes_of_text(name), &value)) {
        (void)document_string(value, &text);
    }
    return text;
}

static uint64_t number_of(struct bytes vector, const char *name)
{
    struct bytes value;
    uint64_t number = UINT64_MAX;
    if (document_find(vector, bytes_of_text(name), &value)) {
        (void)document_u64(value, &number);
    }
    return number;
}

static uint8_t nibble(uint8_t digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static struct bytes bytes_of_hex(struct bytes hex, uint8_t out[FRAME_BYTES_MAX])
{
    size_t size = hex.size / 2 < FRAME_BYTES_MAX ? hex.size / 2 : FRAME_BYTES_MAX;
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(nibble(hex.data[2 * i]) << 4 | nibble(hex.data[2 * i + 1]));
    }
    return bytes_of(out, size);
}

/* NULL, or what is not as it should be. */
static const char *header_fault(struct bytes vector, const struct frame_header *header,
                                struct bytes body)
{
    if (header->length != number_of(vector, "length") || header->length != body.size) {
        return "length";
    }
    if (header->opcode != number_of(vector, "opcode")) {
        return "opcode";
    }
    if (header->flags != number_of(vector, "flags")) {
        return "flags";
    }
    if (header->code != number_of(vector, "code") || header->id != number_of(vector, "id")) {
        return "code or id";
    }
    uint32_t check = (header->flags & FRAME_FLAG_CHECKED) == 0 ? 0 : frame_check(body);
    if (header->check != check || header->check != number_of(vector, "check")) {
        return "check";
    }
    if (!bytes_equal(text_of(vector, "opcode_name"),
                     bytes_of_text(frame_opcode_name(header->opcode)))) {
        return "the opcode's name";
    }
    return NULL;
}

static bool message_reads(struct bytes name, struct bytes body)
{
    for (size_t i = 0; i < MESSAGE_COUNT; i++) {
        if (bytes_equal(name, bytes_of_text(messages[i]->short_name))) {
            ProtobufCMessage *message =
                protobuf_c_message_unpack(messages[i], NULL, body.size, body.data);
            bool reads = message != NULL;
            protobuf_c_message_free_unpacked(message, NULL);
            return reads;
        }
    }
    return false;
}

static const char *body_fault(struct bytes vector, struct bytes body)
{
    static uint8_t text[4 * FRAME_BYTES_MAX];
    struct bytes json = text_of(vector, "json");
    struct bytes message = text_of(vector, "message");
    if (json.size > 0) {
        struct writer out = writer_of(text, sizeof(text));
        bool reads =
            document_value_size(body) == body.size && document_to_json(body, &out) == STATUS_OK;
        return reads && bytes_equal(writer_bytes(&out), json) ? NULL : "the body as JSON";
    }
    if (message.size > 0) {
        return message_reads(message, body) ? NULL : "the message";
    }
    return NULL;
}

static const char *vector_fault(struct bytes vector)
{
    static uint8_t memory[FRAME_BYTES_MAX];
    struct bytes frame = bytes_of_hex(text_of(vector, "hex"), memory);
    if (frame.size < FRAME_HEADER_BYTES) {
        return "the header";
    }
    struct frame_header header = frame_header_read(frame.data);
    struct bytes body = bytes_of(frame.data + FRAME_HEADER_BYTES, frame.size - FRAME_HEADER_BYTES);
    const char *fault = header_fault(vector, &header, body);
    return fault != NULL ? fault : body_fault(vector, body);
}

/* How many are wrong. */
static unsigned file_check(const char *path)
{
    static uint8_t json[FILE_BYTES_MAX];
    static uint8_t memory[FILE_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    size_t size = file == NULL ? 0 : fread(json, 1, sizeof(json), file);
    if (file != NULL) {
        fclose(file);
    }
    struct writer document = writer_of(memory, sizeof(memory));
    struct document_cursor cursor;
    if (json_to_document(bytes_of(json, size), &document, NULL) != STATUS_OK ||
        !document_cursor_open(writer_bytes(&document), &cursor)) {
        printf("%s: cannot be read\n", path);
        return 1;
    }
    unsigned count = 0;
    unsigned failures = 0;
    struct bytes vector;
    while (document_next_element(&cursor, &vector)) {
        const char *fault = vector_fault(vector);
        struct bytes name = text_of(vector, "name");
        if (fault != NULL) {
            printf("%s: %.*s: %s\n", path, (int)name.size, (const char *)name.data, fault);
            failures++;
        }
        count++;
    }
    printf("%s: %u vectors, %u wrong\n", path, count, failures);
    return count == 0 ? 1 : failures;
}

int main(int argc, char **argv)
{
    unsigned failures = argc < 2 ? 1 : 0;
    for (int i = 1; i < argc; i++) {
        failures += file_check(argv[i]);
    }
    return failures == 0 ? 0 : 1;
}
