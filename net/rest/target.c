#include "net/rest/target.h"

#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"

static int hex_value(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    uint8_t lower = digit | 0x20;
    if (lower >= 'a' && lower <= 'f') {
        return lower - 'a' + 10;
    }
    return -1;
}

void target_split(struct bytes path, struct target *out)
{
    *out = (struct target){.shape = TARGET_DEEPER};
    if (path.size == 0 || path.data[0] != '/') {
        return;
    }
    struct bytes rest = bytes_slice(path, 1, path.size);
    if (rest.size == 0) {
        out->shape = TARGET_ROOT;
        return;
    }
    const uint8_t *slash = memchr(rest.data, '/', rest.size);
    if (slash == NULL) {
        out->shape = TARGET_ONE;
        out->first = rest;
        return;
    }
    size_t first_size = (size_t)(slash - rest.data);
    out->first = bytes_slice(rest, 0, first_size);
    out->second = bytes_slice(rest, first_size + 1, rest.size);
    out->shape = TARGET_TWO;
    slash = out->second.size == 0 ? NULL : memchr(out->second.data, '/', out->second.size);
    if (slash != NULL) {
        size_t second_size = (size_t)(slash - out->second.data);
        out->third = bytes_slice(out->second, second_size + 1, out->second.size);
        out->second = bytes_slice(out->second, 0, second_size);
        bool deeper = out->third.size > 0 && memchr(out->third.data, '/', out->third.size) != NULL;
        out->shape = deeper ? TARGET_DEEPER : TARGET_THREE;
    }
}

enum status target_decode(struct bytes text, bool plus_is_space, struct writer *out)
{
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (byte == '%') {
            if (text.size - at < 3) {
                return STATUS_INVALID;
            }
            int high = hex_value(text.data[at + 1]);
            int low = hex_value(text.data[at + 2]);
            if (high < 0 || low < 0) {
                return STATUS_INVALID;
            }
            byte = (uint8_t)(high << 4 | low);
            at += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        writer_u8(out, byte);
    }
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

/* True when the segment is its own decoding and can be no bad id: visible ASCII, of which '%' and
 * '#' mean something. */
static bool segment_is_plain(struct bytes segment)
{
    bool plain = true;
    for (size_t at = 0; at < segment.size; at++) {
        uint8_t byte = segment.data[at];
        plain &= (uint8_t)(byte - 0x21) <= 0x7E - 0x21;
        plain &= byte != '%';
        plain &= byte != '#';
    }
    return plain;
}

static bool has_controls(struct bytes id)
{
    for (size_t at = 0; at < id.size; at++) {
        /* U+0080 to U+009F are controls too; in UTF-8 they begin with C2. */
        if (id.data[at] < 0x20 || id.data[at] == 0x7F ||
            (id.data[at] == 0xC2 && at + 1 < id.size && id.data[at + 1] < 0xA0)) {
            return true;
        }
    }
    return false;
}

const char *target_id_reason(struct bytes id)
{
    if (id.size == 0) {
        return "An id has at least one byte";
    }
    if (id.size > ID_BYTES_MAX) {
        return "An id has at most 512 bytes";
    }
    if (!utf8_is_valid(id)) {
        return "An id must be valid UTF-8";
    }
    return has_controls(id) ? "An id has no control characters" : NULL;
}

enum status target_id(struct bytes segment, uint8_t *buffer, struct bytes *id_out,
                      const char **reason_out)
{
    *id_out = BYTES_EMPTY;
    *reason_out = "";
    if (segment.size > 0 && segment.size <= ID_BYTES_MAX && segment_is_plain(segment)) {
        *id_out = segment;
        return STATUS_OK;
    }
    if (segment.size > 0 && memchr(segment.data, '#', segment.size) != NULL) {
        *reason_out = "A '#' in a path must be written %23";
        return STATUS_INVALID;
    }
    struct writer decoded = writer_of(buffer, ID_BYTES_MAX);
    enum status status = target_decode(segment, false, &decoded);
    struct bytes id = writer_bytes(&decoded);
    const char *reason = target_id_reason(id);
    if (status == STATUS_TOO_LARGE) {
        reason = "An id has at most 512 bytes";
    } else if (status != STATUS_OK) {
        reason = "The path has a '%' that is not followed by two hexadecimal digits";
    }
    if (reason != NULL) {
        *reason_out = reason;
        return STATUS_INVALID;
    }
    *id_out = id;
    return STATUS_OK;
}

static bool is_unreserved(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || byte == '-' || byte == '.' || byte == '_' || byte == '~';
}

void target_encode(struct bytes text, struct writer *out)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.data[at];
        if (is_unreserved(byte)) {
            writer_u8(out, byte);
            continue;
        }
        const uint8_t escape[3] = {'%', (uint8_t)digits[byte >> 4], (uint8_t)digits[byte & 15]};
        writer_put(out, bytes_of(escape, sizeof(escape)));
    }
}

bool target_next_parameter(struct bytes *query, struct bytes *name_out, struct bytes *value_out)
{
    *name_out = BYTES_EMPTY;
    *value_out = BYTES_EMPTY;
    while (query->size > 0) {
        const uint8_t *end = memchr(query->data, '&', query->size);
        size_t size = end == NULL ? query->size : (size_t)(end - query->data);
        struct bytes pair = bytes_slice(*query, 0, size);
        *query = bytes_slice(*query, size + 1, query->size);
        if (pair.size == 0) {
            continue;
        }
        const uint8_t *equals = memchr(pair.data, '=', pair.size);
        size_t name_size = equals == NULL ? pair.size : (size_t)(equals - pair.data);
        *name_out = bytes_slice(pair, 0, name_size);
        *value_out = bytes_slice(pair, name_size + 1, pair.size);
        ASSERT(name_out->size <= pair.size);
        return true;
    }
    return false;
}
