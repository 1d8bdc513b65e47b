/*
 * fuzz_target.c: what net/rest decodes by itself: targets, ids, queries, cursors, and the values of
 * header fields.
 *
 * The first byte chooses the decoder, the rest is its input.
 */
#include <stdlib.h>

#include "engine/shard/collection.h"
#include "net/rest/cursor.h"
#include "net/rest/field.h"
#include "net/rest/target.h"
#include "protocol/base/assert.h"

#define INPUT_BYTES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A segment gives an id exactly when its decoding is a valid one; and the id, encoded, gives
 * itself. */
static void try_id(struct bytes segment)
{
    uint8_t buffer[ID_BYTES_MAX];
    uint8_t decoded_bytes[INPUT_BYTES_MAX];
    struct bytes id;
    const char *reason;
    enum status status = target_id(segment, buffer, &id, &reason);
    struct writer decoded = writer_of(decoded_bytes, sizeof(decoded_bytes));
    bool decodes = target_decode(segment, false, &decoded) == STATUS_OK;
    bool fragment = segment.size > 0 && memchr(segment.data, '#', segment.size) != NULL;
    bool valid = decodes && !fragment && record_id_valid(writer_bytes(&decoded));
    ASSERT((status == STATUS_OK) == valid);
    if (status != STATUS_OK) {
        ASSERT(reason[0] != 0);
        return;
    }
    ASSERT(bytes_equal(id, writer_bytes(&decoded)));
    uint8_t encoded_bytes[3 * ID_BYTES_MAX];
    uint8_t again_bytes[ID_BYTES_MAX];
    struct writer encoded = writer_of(encoded_bytes, sizeof(encoded_bytes));
    target_encode(id, &encoded);
    ASSERT(!encoded.failed);
    struct bytes again;
    status = target_id(writer_bytes(&encoded), again_bytes, &again, &reason);
    ASSERT(status == STATUS_OK);
    ASSERT(bytes_equal(again, id));
}

static void try_target(struct bytes input)
{
    struct target target;
    target_split(input, &target);
    ASSERT(target.first.size + target.second.size <= input.size);
    if (target.shape == TARGET_TWO) {
        try_id(target.second);
    }
    struct bytes name;
    struct bytes value;
    struct bytes query = input;
    while (target_next_parameter(&query, &name, &value)) {
        uint8_t buffer[INDEX_VALUE_BYTES_MAX];
        struct writer decoded = writer_of(buffer, sizeof(buffer));
        enum status status = target_decode(value, true, &decoded);
        ASSERT(status != STATUS_OK || decoded.size <= value.size);
    }
    ASSERT(query.size == 0);
}

/* What reads as a cursor is the text that would be written for it. */
static void try_cursor(struct bytes input)
{
    const struct cursor_list list = {BYTES_LITERAL("products"), BYTES_LITERAL("category"),
                                     BYTES_LITERAL("lamps")};
    uint8_t buffer[CURSOR_BYTES_MAX];
    struct bytes id;
    if (cursor_read(&list, input, buffer, &id) != STATUS_OK) {
        return;
    }
    uint8_t text[CURSOR_TEXT_BYTES_MAX];
    struct writer out = writer_of(text, sizeof(text));
    cursor_write(&list, id, &out);
    ASSERT(!out.failed);
    ASSERT(bytes_equal(writer_bytes(&out), input));
}

static void try_precondition(struct bytes input, bool weak)
{
    struct entity_tag tags[PRECONDITION_TAGS_MAX];
    struct precondition condition;
    enum status status = field_precondition(input, weak, tags, &condition);
    ASSERT((status == STATUS_OK) == (condition.kind != PRECONDITION_NONE));
    ASSERT(condition.tag_count <= PRECONDITION_TAGS_MAX);
}

static void try_fields(struct bytes input)
{
    (void)field_asks_refresh(input);
    (void)field_has_token(input, BYTES_LITERAL("no-cache"));
    (void)field_media_type_is(input, BYTES_LITERAL("application/json"));
    uint8_t buffer[IDEMPOTENCY_KEY_BYTES_MAX];
    struct bytes key;
    if (field_idempotency_key(input, buffer, &key) == STATUS_OK) {
        ASSERT(key.size > 0);
        ASSERT(memchr(key.data, 0, key.size) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    struct bytes input = bytes_of(data + 1, size - 1);
    switch (data[0] % 6) {
    case 0:
        try_id(input);
        break;
    case 1:
        try_target(input);
        break;
    case 2:
        try_cursor(input);
        break;
    case 3:
    case 4:
        try_precondition(input, data[0] % 6 == 3);
        break;
    case 5:
        try_fields(input);
        break;
    }
    return 0;
}
