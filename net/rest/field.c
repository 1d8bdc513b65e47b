#include "net/rest/field.h"

#include "protocol/base/assert.h"

#define LANE '0'

void field_hex_write(uint64_t value, struct writer *out)
{
    static const char digits[] = "0123456789abcdef";
    size_t count = value == 0 ? 1 : (size_t)(67 - __builtin_clzll(value)) / 4;
    uint8_t *at = writer_reserve(out, count);
    if (at == NULL) {
        return;
    }
    for (size_t place = count; place > 0; place--) {
        at[place - 1] = (uint8_t)digits[value & 15];
        value >>= 4;
    }
}

void field_entity_tag_write(uint64_t epoch, uint64_t sequence, struct writer *out)
{
    writer_put(out, BYTES_LITERAL("\"0-"));
    field_hex_write(epoch, out);
    writer_u8(out, '-');
    field_hex_write(sequence, out);
    writer_u8(out, '"');
}

/* ---- reading a list ---- */

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static void skip_spaces(struct reader *reader)
{
    while (reader_left(reader) > 0 && is_space(reader->data[reader->offset])) {
        reader->offset++;
    }
}

/* Takes the byte if it is next. */
static bool take(struct reader *reader, uint8_t byte)
{
    if (reader_left(reader) == 0 || reader->data[reader->offset] != byte) {
        return false;
    }
    reader->offset++;
    return true;
}

static bool hex_read(struct reader *reader, uint64_t *out)
{
    uint64_t value = 0;
    size_t from = reader->offset;
    while (reader_left(reader) > 0) {
        uint8_t byte = reader->data[reader->offset];
        bool decimal = byte >= '0' && byte <= '9';
        if (!decimal && (byte < 'a' || byte > 'f')) {
            break;
        }
        if (reader->offset - from == 16) {
            return false;
        }
        value = value << 4 | (uint64_t)(decimal ? byte - '0' : byte - 'a' + 10);
        reader->offset++;
    }
    size_t count = reader->offset - from;
    *out = value;
    /* Only the text that we write ourselves is ours. */
    return count > 0 && (count == 1 || reader->data[from] != '0');
}

/* True when the content of a tag could have been made by this server. */
static bool tag_is_ours(struct bytes content, struct entity_tag *out)
{
    struct reader reader = reader_of(content);
    return take(&reader, LANE) && take(&reader, '-') && hex_read(&reader, &out->epoch) &&
           take(&reader, '-') && hex_read(&reader, &out->sequence) && reader_left(&reader) == 0;
}

/* One entity-tag of RFC 9110: [W/]"…". False when none begins here. */
static bool tag_take(struct reader *reader, bool *weak_out, struct bytes *content_out)
{
    *weak_out = take(reader, 'W');
    if (*weak_out && !take(reader, '/')) {
        return false;
    }
    if (!take(reader, '"')) {
        return false;
    }
    size_t from = reader->offset;
    while (reader_left(reader) > 0) {
        uint8_t byte = reader->data[reader->offset];
        if (byte == '"') {
            *content_out = bytes_of(reader->data + from, reader->offset - from);
            reader->offset++;
            return true;
        }
        if (byte <= 0x20 || byte == 0x7F) {
            return false;
        }
        reader->offset++;
    }
    return false;
}

static enum status tags_read(struct reader *reader, bool weak_comparison, struct entity_tag *tags,
                             struct precondition *out)
{
    uint32_t seen = 0;
    while (reader_left(reader) > 0) {
        if (take(reader, ',')) {
            skip_spaces(reader);
            continue;
        }
        bool weak;
        struct bytes content;
        struct entity_tag tag;
        if (!tag_take(reader, &weak, &content)) {
            return STATUS_INVALID;
        }
        seen++;
        skip_spaces(reader);
        if (reader_left(reader) > 0 && reader->data[reader->offset] != ',') {
            return STATUS_INVALID;
        }
        if (!tag_is_ours(content, &tag) || (weak && !weak_comparison)) {
            continue;
        }
        if (out->tag_count == PRECONDITION_TAGS_MAX) {
            return STATUS_TOO_LARGE;
        }
        tags[out->tag_count++] = tag;
    }
    return seen == 0 ? STATUS_INVALID : STATUS_OK;
}

enum status field_precondition(struct bytes value, bool weak_comparison, struct entity_tag *tags,
                               struct precondition *out)
{
    ASSERT(tags != NULL);
    *out = (struct precondition){.kind = PRECONDITION_NONE};
    struct reader reader = reader_of(value);
    skip_spaces(&reader);
    if (take(&reader, '*')) {
        skip_spaces(&reader);
        if (reader_left(&reader) > 0) {
            return STATUS_INVALID;
        }
        out->kind = PRECONDITION_ANY;
        return STATUS_OK;
    }
    struct precondition read = {.kind = PRECONDITION_TAGS, .tags = tags};
    enum status status = tags_read(&reader, weak_comparison, tags, &read);
    if (status == STATUS_OK) {
        *out = read;
    }
    return status;
}

/* ---- directives ---- */

bool field_equals(struct bytes a, struct bytes b_lower)
{
    if (a.size != b_lower.size) {
        return false;
    }
    for (size_t at = 0; at < a.size; at++) {
        uint8_t byte = a.data[at];
        uint8_t lower = byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte;
        if (lower != b_lower.data[at]) {
            return false;
        }
    }
    return true;
}

static struct bytes trimmed(struct bytes text)
{
    while (text.size > 0 && is_space(text.data[0])) {
        text = bytes_slice(text, 1, text.size);
    }
    while (text.size > 0 && is_space(text.data[text.size - 1])) {
        text.size--;
    }
    return text;
}

/* The size of the text up to the first separator that is outside of a quoted string. */
static size_t unquoted_size(struct bytes text, uint8_t separator)
{
    bool quoted = false;
    for (size_t at = 0; at < text.size; at++) {
        if (text.data[at] == '"') {
            quoted = !quoted;
        } else if (text.data[at] == '\\' && quoted) {
            at++;
        } else if (text.data[at] == separator && !quoted) {
            return at;
        }
    }
    return text.size;
}

/* Takes the next "name[=argument]" of a comma-separated list. */
static bool next_directive(struct bytes *list, struct bytes *name_out, struct bytes *argument_out)
{
    if (list->size == 0) {
        return false;
    }
    size_t size = unquoted_size(*list, ',');
    struct bytes directive = bytes_slice(*list, 0, size);
    *list = bytes_slice(*list, size + 1, list->size);
    size_t name_size = unquoted_size(directive, '=');
    *name_out = trimmed(bytes_slice(directive, 0, name_size));
    *argument_out = trimmed(bytes_slice(directive, name_size + 1, directive.size));
    return true;
}

/* Zero in any number of digits, bare or quoted. */
static bool is_zero(struct bytes argument)
{
    if (argument.size >= 2 && argument.data[0] == '"' && argument.data[argument.size - 1] == '"') {
        argument = bytes_slice(argument, 1, argument.size - 2);
    }
    for (size_t at = 0; at < argument.size; at++) {
        if (argument.data[at] != '0') {
            return false;
        }
    }
    return argument.size > 0;
}

bool field_precondition_names(const struct precondition *condition, uint64_t epoch,
                              uint64_t sequence)
{
    if (condition->kind == PRECONDITION_ANY) {
        return true;
    }
    for (uint32_t index = 0; index < condition->tag_count; index++) {
        if (condition->tags[index].epoch == epoch && condition->tags[index].sequence == sequence) {
            return true;
        }
    }
    return false;
}

bool field_asks_refresh(struct bytes cache_control)
{
    struct bytes name;
    struct bytes argument;
    while (next_directive(&cache_control, &name, &argument)) {
        if (field_equals(name, BYTES_LITERAL("no-cache")) ||
            (field_equals(name, BYTES_LITERAL("max-age")) && is_zero(argument))) {
            return true;
        }
    }
    return false;
}

bool field_has_token(struct bytes list, struct bytes token)
{
    struct bytes name;
    struct bytes argument;
    while (next_directive(&list, &name, &argument)) {
        if (field_equals(name, token)) {
            return true;
        }
    }
    return false;
}

bool field_media_type_is(struct bytes content_type, struct bytes type)
{
    size_t size = unquoted_size(content_type, ';');
    return field_equals(trimmed(bytes_slice(content_type, 0, size)), type);
}

/* ---- Accept ---- */

/* "1", "0.5", "0.125" as thousandths; what is no such number counts as 1. */
static uint32_t quality_read(struct bytes text)
{
    uint32_t quality = 0;
    uint32_t unit = 1000;
    for (size_t at = 0; at < text.size; at++) {
        bool is_point = at == 1 && text.data[at] == '.';
        if ((!is_point && (text.data[at] < '0' || text.data[at] > '9')) || at > 4) {
            return 1000;
        }
        if (!is_point) {
            quality += (uint32_t)(text.data[at] - '0') * unit;
            unit /= 10;
        }
    }
    return text.size == 0 || quality > 1000 ? 1000 : quality;
}

/* Of one range: its parameter q, 1000 without. */
static uint32_t range_quality(struct bytes parameters)
{
    while (parameters.size > 0) {
        size_t size = unquoted_size(parameters, ';');
        struct bytes parameter = bytes_slice(parameters, 0, size);
        parameters = bytes_slice(parameters, size + 1, parameters.size);
        size_t name_size = unquoted_size(parameter, '=');
        if (field_equals(trimmed(bytes_slice(parameter, 0, name_size)), BYTES_LITERAL("q"))) {
            return quality_read(trimmed(bytes_slice(parameter, name_size + 1, parameter.size)));
        }
    }
    return 1000;
}

/* How closely a range names the type: 3 itself, 2 all of its kind, 1 everything, 0 not at all. */
static uint32_t range_closeness(struct bytes range, struct bytes type)
{
    if (field_equals(range, type)) {
        return 3;
    }
    if (bytes_equal(range, BYTES_LITERAL("*/*"))) {
        return 1;
    }
    bool is_kind =
        range.size > 2 && range.data[range.size - 1] == '*' && range.data[range.size - 2] == '/' &&
        type.size >= range.size &&
        field_equals(bytes_slice(range, 0, range.size - 1), bytes_slice(type, 0, range.size - 1));
    return is_kind ? 2 : 0;
}

uint32_t field_accept_quality(struct bytes accept, struct bytes type, bool by_name)
{
    uint32_t closest = by_name ? 2 : 0;
    uint32_t quality = 0;
    while (accept.size > 0) {
        size_t size = unquoted_size(accept, ',');
        struct bytes range = bytes_slice(accept, 0, size);
        accept = bytes_slice(accept, size + 1, accept.size);
        size_t type_size = unquoted_size(range, ';');
        uint32_t closeness = range_closeness(trimmed(bytes_slice(range, 0, type_size)), type);
        if (closeness > closest) {
            closest = closeness;
            quality = range_quality(bytes_slice(range, type_size + 1, range.size));
        }
    }
    return quality;
}

/* ---- idempotency keys ---- */

/* The content of a structured string; INVALID unless it ends with the value. */
static enum status string_read(struct bytes value, struct writer *out)
{
    ASSERT(value.size > 0);
    for (size_t at = 1; at < value.size; at++) {
        uint8_t byte = value.data[at];
        if (byte == '"') {
            return at + 1 == value.size ? STATUS_OK : STATUS_INVALID;
        }
        if (byte == '\\') {
            at++;
            if (at == value.size || (value.data[at] != '"' && value.data[at] != '\\')) {
                return STATUS_INVALID;
            }
            byte = value.data[at];
        }
        if (byte < 0x20 || byte > 0x7E) {
            return STATUS_INVALID;
        }
        writer_u8(out, byte);
    }
    return STATUS_INVALID;
}

enum status field_idempotency_key(struct bytes value, uint8_t *buffer, struct bytes *key_out)
{
    *key_out = BYTES_EMPTY;
    struct writer key = writer_of(buffer, IDEMPOTENCY_KEY_BYTES_MAX);
    if (value.size > 0 && value.data[0] == '"') {
        enum status status = string_read(value, &key);
        if (status != STATUS_OK) {
            return status;
        }
    } else {
        for (size_t at = 0; at < value.size; at++) {
            if (value.data[at] <= 0x20 || value.data[at] > 0x7E) {
                return STATUS_INVALID;
            }
        }
        writer_put(&key, value);
    }
    if (key.failed) {
        return STATUS_TOO_LARGE;
    }
    *key_out = writer_bytes(&key);
    return key.size == 0 ? STATUS_INVALID : STATUS_OK;
}
