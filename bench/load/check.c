#include "bench/load/check.h"

#include <stdlib.h>
#include <string.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"

static const char json_id[] = "{\"id\":\"";
static const char json_id_end[] = "\",";
#define LENGTH(text)     ((uint32_t)sizeof(text) - 1)
#define TITLE_LEAD_BYTES 5 /* "Lamp " */

/* Elements of the answer to a read and to a write over wire. */
#define WIRE_READ_RECORD  3
#define WIRE_WRITTEN_ID   3
#define WIRE_LENGTH_SLACK 32

/* Other headers may ask for other lengths, and without a key in the path there is no telling what
 * the answers are. */
static enum check_level level_of(const struct load_options *options)
{
    bool plain = options->headers_size == 0 && strstr(options->path, "{key}") != NULL;
    return options->check == CHECK_LENGTH && !plain ? CHECK_OFF : options->check;
}

enum status check_create(struct check *check, const struct load_options *options,
                         const struct body *body, const uint8_t *pool)
{
    *check = (struct check){
        .level = level_of(options),
        .protocol = options->protocol,
        .body = *body,
        .pool = pool,
        .key_digits = options->key_digits,
        .list_limit = options->list_limit,
    };
    if (check->protocol == PROTOCOL_HTTP) {
        /* The id comes in front, and the first brace of the body makes way for it. */
        check->id_size = LENGTH(json_id) + check->key_digits + LENGTH(json_id_end) - 1;
    }
    size_t capacity = check->id_size + (size_t)body->size;
    check->expected = (uint8_t *)malloc(capacity);
    if (check->expected == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer writer = writer_of(check->expected, capacity);
    (void)writer_reserve(&writer, check->id_size);
    body_write(body, &writer);
    ASSERT(!writer.failed);
    if (check->protocol == PROTOCOL_HTTP) {
        struct writer id = writer_of(check->expected, check->id_size + 1);
        writer_text(&id, json_id);
        (void)writer_reserve(&id, check->key_digits);
        writer_text(&id, json_id_end);
        ASSERT(!id.failed);
    }
    return STATUS_OK;
}

void check_destroy(struct check *check)
{
    free(check->expected);
    *check = (struct check){0};
}

/* The 16 digits of a title's serial. */
static bool serial_read(struct bytes digits, uint64_t *serial_out)
{
    uint64_t serial = 0;
    for (size_t i = 0; i < digits.size; i++) {
        uint8_t c = digits.data[i];
        bool decimal = c >= '0' && c <= '9';
        if (!decimal && (c < 'a' || c > 'f')) {
            return false;
        }
        serial = serial << 4 | (uint64_t)(decimal ? c - '0' : c - 'a' + 10);
    }
    *serial_out = serial;
    return digits.size == BODY_SERIAL_DIGITS;
}

static struct bytes key_text(struct check *check, uint64_t key)
{
    patch_decimal(check->key_text, check->key_digits, key);
    return bytes_of(check->key_text, check->key_digits);
}

/* A body alone, or with its id before it: the bytes must be those of its serial and the key. */
static const char *compare_bytes(struct check *check, uint64_t key, struct bytes text,
                                 uint64_t *serial_out)
{
    uint32_t size = check->id_size + check->body.size;
    if (text.size != size) {
        return "a record of another size than --value-bytes makes";
    }
    if (check->id_size > 0) {
        patch_decimal(check->expected + LENGTH(json_id), check->key_digits, key);
        uint32_t id_end = LENGTH(json_id) + check->key_digits;
        if (memcmp(text.data, check->expected, id_end) != 0) {
            return "a record with another id";
        }
    }
    struct bytes digits =
        bytes_slice(text, check->id_size + check->body.serial_offset, BODY_SERIAL_DIGITS);
    if (!serial_read(digits, serial_out)) {
        return "a title without a serial";
    }
    body_patch(&check->body, check->pool, *serial_out, key, check->expected + check->id_size);
    return memcmp(text.data, check->expected, size) == 0
               ? NULL
               : "contents that were not sent for this key with the title's serial";
}

/* A record as MessagePack; each member of the document that was sent must be in it, and the id. */
static const char *compare_document(struct check *check, uint64_t key, struct bytes record,
                                    uint64_t *serial_out)
{
    struct bytes value;
    struct bytes text;
    if (document_validate(record) != STATUS_OK || !document_is_object(record)) {
        return "no record";
    }
    if (!document_find(record, BYTES_LITERAL("id"), &value) || !document_string(value, &text) ||
        !bytes_equal(text, key_text(check, key))) {
        return "a record with another id";
    }
    if (!document_find(record, BYTES_LITERAL("title"), &value) || !document_string(value, &text) ||
        !serial_read(bytes_slice(text, TITLE_LEAD_BYTES, text.size), serial_out)) {
        return "a title without a serial";
    }
    body_patch(&check->body, check->pool, *serial_out, key, check->expected);
    struct bytes expected = bytes_of(check->expected, check->body.size);
    struct document_cursor cursor;
    struct bytes name;
    struct bytes sent;
    bool good = document_count(record) == document_count(expected) + 1 &&
                document_cursor_open(expected, &cursor);
    while (good && document_next_member(&cursor, &name, &sent)) {
        good = document_find(record, name, &value) && document_equal(value, sent);
    }
    return good ? NULL : "contents that were not sent for this key with the title's serial";
}

static const char *compare(struct check *check, uint64_t key, struct bytes record,
                           uint64_t *serial_out)
{
    return check->protocol == PROTOCOL_WIRE ? compare_document(check, key, record, serial_out)
                                            : compare_bytes(check, key, record, serial_out);
}

/* One element of an array; empty where there is none. */
static struct bytes element_of(struct bytes array, uint32_t index)
{
    struct document_cursor cursor;
    struct bytes element = BYTES_EMPTY;
    bool found = document_cursor_open(array, &cursor);
    for (uint32_t i = 0; found && i <= index; i++) {
        found = document_next_element(&cursor, &element);
    }
    return found ? element : BYTES_EMPTY;
}

const char *check_length(struct check *check, uint64_t size)
{
    if (check->length_first == 0) {
        check->length_first = size;
    }
    uint64_t slack = check->protocol == PROTOCOL_WIRE ? WIRE_LENGTH_SLACK : 0;
    uint64_t first = check->length_first;
    bool near = size <= first + slack && first <= size + slack;
    return near ? NULL
                : "another length than the first answer had; --check=off where records differ";
}

const char *check_record(struct check *check, uint64_t key, struct bytes answer)
{
    uint64_t serial;
    bool wire = check->protocol == PROTOCOL_WIRE;
    return compare(check, key, wire ? element_of(answer, WIRE_READ_RECORD) : answer, &serial);
}

const char *check_written(struct check *check, uint64_t key, uint64_t serial, struct bytes answer)
{
    struct bytes text;
    if (check->protocol == PROTOCOL_WIRE) {
        bool same = document_string(element_of(answer, WIRE_WRITTEN_ID), &text) &&
                    bytes_equal(text, key_text(check, key));
        return same ? NULL : "a write of another id";
    }
    if (!bytes_starts_with(answer, BYTES_LITERAL(json_id))) {
        return NULL;
    }
    uint64_t shown = 0;
    const char *why = compare_bytes(check, key, answer, &shown);
    return why == NULL && shown != serial ? "another record than was sent" : why;
}

/* The key in a record that begins with it, as JSON has it. */
static bool key_of_json(const struct check *check, struct bytes record, uint64_t *key_out)
{
    struct bytes digits = bytes_slice(record, LENGTH(json_id), check->key_digits);
    return bytes_decimal(digits, key_out) == check->key_digits;
}

static bool key_of_document(const struct check *check, struct bytes record, uint64_t *key_out)
{
    struct bytes value;
    struct bytes text;
    return document_find(record, BYTES_LITERAL("id"), &value) && document_string(value, &text) &&
           text.size == check->key_digits && bytes_decimal(text, key_out) == text.size;
}

/* One record of a page, whose key must be above the last one. */
static const char *page_record(struct check *check, struct bytes record, uint64_t *last)
{
    uint64_t key = 0;
    uint64_t serial;
    bool keyed = check->protocol == PROTOCOL_WIRE ? key_of_document(check, record, &key)
                                                  : key_of_json(check, record, &key);
    if (!keyed) {
        return "a page with a record that is none of this load's";
    }
    if (key <= *last) {
        return "a page out of order, or from another place";
    }
    *last = key;
    return compare(check, key, record, &serial);
}

static const char *page_json(struct check *check, uint64_t after, struct bytes answer)
{
    size_t size = check->id_size + (size_t)check->body.size;
    if (bytes_equal(answer, BYTES_LITERAL("[]"))) {
        return NULL;
    }
    /* Records of one size: each has a bracket or a comma before it, the last one a bracket
     * behind. */
    uint64_t count = answer.size / (size + 1);
    if (count * (size + 1) + 1 != answer.size || count > check->list_limit) {
        return "a page that is no array of records of the expected size, or too long";
    }
    const char *why = NULL;
    for (uint64_t i = 0; i < count && why == NULL; i++) {
        size_t at = (size_t)i * (size + 1);
        if (answer.data[at] != (i == 0 ? '[' : ',')) {
            return "a page that is no array";
        }
        why = page_record(check, bytes_slice(answer, at + 1, size), &after);
    }
    return why != NULL || answer.data[answer.size - 1] == ']' ? why : "a page without an end";
}

static const char *page_wire(struct check *check, uint64_t after, struct bytes answer)
{
    struct bytes page = element_of(answer, 1);
    struct document_cursor cursor;
    struct bytes record;
    if (!document_cursor_open(page, &cursor) || document_count(page) > check->list_limit) {
        return "a page that is no array of records, or too long";
    }
    const char *why = NULL;
    while (why == NULL && document_next_element(&cursor, &record)) {
        why = page_record(check, record, &after);
    }
    return why;
}

const char *check_page(struct check *check, uint64_t after, struct bytes answer)
{
    return check->protocol == PROTOCOL_WIRE ? page_wire(check, after, answer)
                                            : page_json(check, after, answer);
}

static const char *check_content(struct check *check, const struct slot *slot,
                                 const struct response *response)
{
    switch (slot->request) {
    case KIND_GET:
        return response->status == 200 ? check_record(check, slot->key, response->body) : NULL;
    case KIND_LIST:
        return check_page(check, slot->key, response->body);
    case KIND_PUT:
    case KIND_INSERT:
    case KIND_DELETE:
        return check_written(check, slot->key, slot->serial, response->body);
    case KIND_POST: /* the server made its id */
    case KIND_HEAD:
        return NULL;
    case KIND_RMW:
    case KIND_COUNT:
        break;
    }
    UNREACHABLE();
}

const char *check_answer(struct check *check, const struct slot *slot,
                         const struct response *response)
{
    ASSERT(response->status >= 200 && response->status < 300);
    switch (check->level) {
    case CHECK_OFF:
        return NULL;
    case CHECK_LENGTH:
        return slot->request == KIND_GET && response->status == 200
                   ? check_length(check, response->body_size)
                   : NULL;
    case CHECK_CONTENT:
        return check_content(check, slot, response);
    }
    UNREACHABLE();
}
