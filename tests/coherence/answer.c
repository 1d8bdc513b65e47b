#include "tests/coherence/answer.h"

#include <strings.h>

#include "engine/journal/position.h"

#define DECIMAL_MAX (UINT64_MAX / 10 - 1)

static struct bytes text_after(struct bytes whole, struct bytes text)
{
    const uint8_t *at =
        whole.size == 0 ? NULL : memmem(whole.data, whole.size, text.data, text.size);
    if (at == NULL) {
        return BYTES_EMPTY;
    }
    size_t from = (size_t)(at - whole.data) + text.size;
    return bytes_slice(whole, from, whole.size - from);
}

static struct bytes text_until(struct bytes whole, uint8_t end)
{
    const uint8_t *at = whole.size == 0 ? NULL : memchr(whole.data, end, whole.size);
    return at == NULL ? BYTES_EMPTY : bytes_of(whole.data, (size_t)(at - whole.data));
}

/* The number that text begins with; false when it begins with none. */
static bool number_read(struct bytes text, uint32_t radix, uint64_t *number_out)
{
    uint64_t number = 0;
    size_t at = 0;
    for (; at < text.size; at++) {
        uint8_t byte = text.data[at];
        uint32_t digit = byte >= '0' && byte <= '9'   ? byte - (uint32_t)'0'
                         : byte >= 'a' && byte <= 'f' ? byte - (uint32_t)'a' + 10
                                                      : UINT32_MAX;
        if (digit >= radix || number > DECIMAL_MAX) {
            break;
        }
        number = number * radix + digit;
    }
    *number_out = number;
    return at > 0;
}

/* ---- heads ---- */

static bool name_is(struct bytes name, const char *lower)
{
    return name.size == strlen(lower) &&
           strncasecmp((const char *)name.data, lower, name.size) == 0;
}

/* "0-EPOCH-SEQUENCE" in hexadecimal digits. */
static bool tag_read(struct bytes value, struct answer *answer)
{
    struct bytes inside = text_until(text_after(value, BYTES_LITERAL("\"")), '"');
    struct bytes epoch = text_after(inside, BYTES_LITERAL("-"));
    struct bytes sequence = text_after(epoch, BYTES_LITERAL("-"));
    return number_read(epoch, 16, &answer->tag_epoch) &&
           number_read(sequence, 16, &answer->tag_sequence) && answer->tag_sequence > 0;
}

static bool line_read(struct bytes line, struct answer *answer, uint64_t *length_out)
{
    struct bytes name = text_until(line, ':');
    struct bytes value = bytes_slice(line, name.size + 1, line.size);
    while (value.size > 0 && value.data[0] == ' ') {
        value = bytes_slice(value, 1, value.size);
    }
    if (name_is(name, "content-length")) {
        return number_read(value, 10, length_out);
    }
    if (name_is(name, "etag")) {
        return tag_read(value, answer);
    }
    if (name_is(name, "freshet-position")) {
        struct position position;
        enum status status = position_read(value, &position);
        answer->position_sequence = position.sequence;
        return status == STATUS_OK;
    }
    if (name_is(name, "cache-status")) {
        answer->hit = text_after(value, BYTES_LITERAL("hit")).data != NULL;
    }
    if (name_is(name, "link")) {
        answer->next = text_until(text_after(value, BYTES_LITERAL("<")), '>');
    }
    return true;
}

enum status answer_read(struct bytes received, bool to_head, struct answer *answer_out,
                        size_t *taken_out)
{
    *answer_out = (struct answer){0};
    *taken_out = 0;
    struct bytes behind = text_after(received, BYTES_LITERAL("\r\n\r\n"));
    if (behind.data == NULL) {
        return STATUS_WOULD_BLOCK;
    }
    struct bytes head = bytes_slice(received, 0, received.size - behind.size - 2);
    struct bytes lines = text_after(head, BYTES_LITERAL("\r\n"));
    uint64_t status;
    uint64_t length = 0;
    bool read = bytes_starts_with(head, BYTES_LITERAL("HTTP/1.1 ")) &&
                number_read(bytes_slice(head, 9, 3), 10, &status);
    while (read && lines.size > 0) {
        struct bytes line = text_until(lines, '\r');
        read = line_read(line, answer_out, &length);
        lines = bytes_slice(lines, line.size + 2, lines.size);
    }
    if (!read) {
        return STATUS_INVALID;
    }
    answer_out->status = (uint16_t)status;
    size_t body_size = to_head || status == 304 ? 0 : (size_t)length;
    if (behind.size < body_size) {
        return STATUS_WOULD_BLOCK;
    }
    answer_out->head = head;
    answer_out->body = bytes_slice(behind, 0, body_size);
    *taken_out = head.size + 2 + body_size;
    return STATUS_OK;
}

/* ---- records ---- */

char answer_filler_letter(uint32_t base)
{
    return (char)('a' + base % 26);
}

static bool filler_is_whole(struct bytes filler, const struct answer_record *record)
{
    uint8_t letter = (uint8_t)answer_filler_letter(record->base);
    for (size_t i = 0; i < filler.size; i++) {
        if (filler.data[i] != letter) {
            return false;
        }
    }
    return true;
}

bool answer_record_next(struct bytes *json, struct answer_record *record_out)
{
    struct bytes inside = text_until(text_after(*json, BYTES_LITERAL("{")), '}');
    uint64_t key;
    uint64_t category;
    uint64_t value;
    uint64_t base;
    if (inside.size == 0 ||
        !number_read(text_after(inside, BYTES_LITERAL("\"id\":\"k")), 10, &key) ||
        !number_read(text_after(inside, BYTES_LITERAL("\"category\":\"c")), 10, &category) ||
        !number_read(text_after(inside, BYTES_LITERAL("\"value\":")), 10, &value) ||
        !number_read(text_after(inside, BYTES_LITERAL("\"base\":")), 10, &base) ||
        key > UINT16_MAX || category > UINT8_MAX || value > UINT32_MAX || base > UINT32_MAX) {
        return false;
    }
    *record_out = (struct answer_record){
        .key = (uint16_t)key,
        .category = (uint8_t)category,
        .value = (uint32_t)value,
        .base = (uint32_t)base,
    };
    struct bytes filler = text_until(text_after(inside, BYTES_LITERAL("\"filler\":\"")), '"');
    record_out->filler_bytes = (uint32_t)filler.size;
    record_out->whole = filler_is_whole(filler, record_out);
    *json = text_after(*json, BYTES_LITERAL("}"));
    return true;
}
