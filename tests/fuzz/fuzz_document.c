/*
 * fuzz_document.c: any bytes as a document. Nothing may read past their end, valid or not; what
 * document_validate passes must render to JSON that parses to an equal document.
 *
 * The input is cut in two at the place its first byte says, for the functions that take two.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The steps of a walk in a document of that many bytes; bounded, as the walk reads values again. */
#define STEPS_MAX 10000

static struct writer new_writer(size_t capacity)
{
    void *memory = malloc(capacity + 1);
    ASSERT(memory != NULL);
    return writer_of(memory, capacity);
}

/* A block of its own, so that the sanitizer guards both of its ends. */
static struct bytes copy_of(struct bytes bytes)
{
    struct writer writer = new_writer(bytes.size);
    writer_put(&writer, bytes);
    return writer_bytes(&writer);
}

static void free_bytes(struct bytes bytes)
{
    free((void *)(uintptr_t)bytes.data);
}

static void read_scalar(struct bytes value)
{
    uint8_t room[64];
    struct writer out = writer_of(room, sizeof(room));
    uint64_t natural;
    int64_t integer;
    double number;
    bool truth;
    struct bytes text;
    if (document_u64(value, &natural) && document_i64(value, &integer)) {
        ASSERT((uint64_t)integer == natural);
    }
    document_double(value, &number);
    document_bool(value, &truth);
    document_string(value, &text);
    document_is_null(value);
    document_number_text(value, &out);
    document_index_text(value, &out);
}

/* Into the last container of every container; each value is read as every type. */
static void walk(struct bytes document)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    size_t steps = 0;
    struct bytes next = document;
    while (next.size > 0 && document_cursor_open(next, &cursor)) {
        next = BYTES_EMPTY;
        while (steps++ < STEPS_MAX) {
            bool has_value = cursor.is_object ? document_next_member(&cursor, &name, &value)
                                              : document_next_element(&cursor, &value);
            if (!has_value) {
                break;
            }
            ASSERT(document_value_size(value) == value.size);
            read_scalar(value);
            enum document_type type = document_type_of(value);
            next = type == DOCUMENT_OBJECT || type == DOCUMENT_ARRAY ? value : next;
        }
    }
}

/* A member set and taken out again leaves an object equal to the one before. */
static void change_member(struct bytes document)
{
    struct bytes name = BYTES_LITERAL("a name");
    struct bytes found;
    struct bytes value = BYTES_LITERAL("\xC3");
    bool was_there = document_find(document, name, &found);
    struct writer with = new_writer(document.size + 32);
    struct writer without = new_writer(document.size + 32);
    ASSERT(document_set_member(document, name, value, &with) == STATUS_OK);
    ASSERT(document_validate(writer_bytes(&with)) == STATUS_OK);
    ASSERT(document_find(writer_bytes(&with), name, &found) && bytes_equal(found, value));
    ASSERT(document_without_member(writer_bytes(&with), name, &without) == STATUS_OK);
    ASSERT(!document_find(writer_bytes(&without), name, &found));
    ASSERT(was_there || document_equal(document, writer_bytes(&without)));
    free(without.data);
    free(with.data);
}

static void check_valid(struct bytes document)
{
    struct json_error error;
    struct writer json = new_writer(64 + 40 * document.size);
    ASSERT(document_to_json(document, &json) == STATUS_OK);
    struct writer again = new_writer(16 + 3 * json.size);
    ASSERT(json_to_document(writer_bytes(&json), &again, &error) == STATUS_OK);
    ASSERT(document_equal(document, writer_bytes(&again)));
    ASSERT(document_equal(writer_bytes(&again), document));
    if (document_is_object(document)) {
        change_member(document);
    }
    free(again.data);
    free(json.data);
}

static void check_pair(struct bytes a, struct bytes b)
{
    struct writer names = new_writer(16 + 2 * (a.size + b.size));
    uint32_t count = 0;
    bool both_valid = document_validate(a) == STATUS_OK && document_validate(b) == STATUS_OK;
    bool is_equal = document_equal(a, b);
    enum status status = document_changed(a, b, &names, &count);
    if (both_valid) {
        ASSERT(is_equal == document_equal(b, a));
        bool are_objects = document_is_object(a) && document_is_object(b);
        ASSERT((status == STATUS_OK) == are_objects);
        ASSERT(status != STATUS_OK || is_equal == (count == 0));
    }
    ASSERT(status != STATUS_OK || document_count(writer_bytes(&names)) == count);
    free(names.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes document = copy_of(bytes_of(data, size));
    struct writer out = new_writer(64 + 40 * size);
    enum status rendered = document_to_json(document, &out);
    if (document_validate(document) == STATUS_OK) {
        ASSERT(rendered == STATUS_OK);
        check_valid(document);
    }
    enum status as_record = document_record_to_json(BYTES_LITERAL("1"), document, &out);
    ASSERT(as_record == STATUS_OK || as_record == STATUS_DAMAGED || as_record == STATUS_TOO_LARGE);
    read_scalar(document);
    walk(document);
    if (size > 1) {
        size_t cut = 1 + data[0] % (size - 1);
        struct bytes a = copy_of(bytes_of(data + 1, cut - 1));
        struct bytes b = copy_of(bytes_of(data + cut, size - cut));
        check_pair(a, b);
        check_pair(document, b);
        free_bytes(b);
        free_bytes(a);
    }
    free(out.data);
    free_bytes(document);
    return 0;
}
