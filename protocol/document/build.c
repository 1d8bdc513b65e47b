/* The part of document.h that writes. */
#include <assert.h>
#include <math.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/number.h"
#include "protocol/document/token.h"

/* A float64 keeps so many decimal digits whatever they are. */
#define FLOAT_DIGITS_SAFE  15
#define FLOAT_FRACTION_MAX 19

static_assert(DOCUMENT_EXT_NUMBER == 1, "stored: it never changes");

static void write_sized_head(struct writer *out, uint8_t head, uint32_t size, size_t size_bytes)
{
    uint8_t *at = writer_reserve(out, 1 + size_bytes);
    if (at == NULL) {
        return;
    }
    at[0] = head;
    for (size_t index = 0; index < size_bytes; index++) {
        at[1 + index] = (uint8_t)(size >> (8 * (size_bytes - 1 - index)));
    }
}

void document_write_map(struct writer *out, uint32_t count)
{
    if (count <= 15) {
        writer_u8(out, (uint8_t)(0x80 | count));
    } else if (count <= UINT16_MAX) {
        write_sized_head(out, 0xDE, count, 2);
    } else {
        write_sized_head(out, 0xDF, count, 4);
    }
}

void document_write_array(struct writer *out, uint32_t count)
{
    if (count <= 15) {
        writer_u8(out, (uint8_t)(0x90 | count));
    } else if (count <= UINT16_MAX) {
        write_sized_head(out, 0xDC, count, 2);
    } else {
        write_sized_head(out, 0xDD, count, 4);
    }
}

void document_write_string(struct writer *out, struct bytes utf8)
{
    if (utf8.size <= 31) {
        writer_u8(out, (uint8_t)(0xA0 | utf8.size));
    } else if (utf8.size <= UINT8_MAX) {
        write_sized_head(out, 0xD9, (uint32_t)utf8.size, 1);
    } else if (utf8.size <= UINT16_MAX) {
        write_sized_head(out, 0xDA, (uint32_t)utf8.size, 2);
    } else if (utf8.size <= UINT32_MAX) {
        write_sized_head(out, 0xDB, (uint32_t)utf8.size, 4);
    } else {
        out->failed = true;
    }
    writer_put(out, utf8);
}

void document_write_u64(struct writer *out, uint64_t value)
{
    if (value <= 0x7F) {
        writer_u8(out, (uint8_t)value);
    } else if (value <= UINT8_MAX) {
        write_sized_head(out, 0xCC, (uint32_t)value, 1);
    } else if (value <= UINT16_MAX) {
        write_sized_head(out, 0xCD, (uint32_t)value, 2);
    } else if (value <= UINT32_MAX) {
        write_sized_head(out, 0xCE, (uint32_t)value, 4);
    } else {
        writer_u8(out, 0xCF);
        writer_u64(out, value);
    }
}

void document_write_i64(struct writer *out, int64_t value)
{
    if (value >= 0) {
        document_write_u64(out, (uint64_t)value);
    } else if (value >= -32) {
        writer_u8(out, (uint8_t)value);
    } else if (value >= INT8_MIN) {
        write_sized_head(out, 0xD0, (uint32_t)value, 1);
    } else if (value >= INT16_MIN) {
        write_sized_head(out, 0xD1, (uint32_t)value, 2);
    } else if (value >= INT32_MIN) {
        write_sized_head(out, 0xD2, (uint32_t)value, 4);
    } else {
        writer_u8(out, 0xD3);
        writer_u64(out, (uint64_t)value);
    }
}

void document_write_bool(struct writer *out, bool value)
{
    writer_u8(out, value ? 0xC3 : 0xC2);
}

void document_write_null(struct writer *out)
{
    writer_u8(out, 0xC0);
}

void document_write_float(struct writer *out, double value)
{
    ASSERT(isfinite(value));
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    writer_u8(out, 0xCB);
    writer_u64(out, bits);
}

void document_write_raw(struct writer *out, struct bytes value)
{
    ASSERT(value.size > 0);
    writer_put(out, value);
}

/* The text itself, as an extension. */
static void write_text_extension(struct writer *out, struct bytes text)
{
    size_t size = text.size;
    if (size <= 16 && (size & (size - 1)) == 0) {
        writer_u8(out, (uint8_t)(0xD4 + __builtin_ctzl(size)));
    } else if (size <= UINT8_MAX) {
        write_sized_head(out, 0xC7, (uint32_t)size, 1);
    } else if (size <= UINT16_MAX) {
        write_sized_head(out, 0xC8, (uint32_t)size, 2);
    } else if (size <= UINT32_MAX) {
        write_sized_head(out, 0xC9, (uint32_t)size, 4);
    } else {
        out->failed = true;
    }
    writer_u8(out, DOCUMENT_EXT_NUMBER);
    writer_put(out, text);
}

/*
 * True when the text of the nearest float64 is sure to be this text: fixed notation, few digits,
 * none to spare.
 */
static bool is_float_text(const struct number_scan *scan)
{
    if (!scan->has_fraction || scan->has_exponent || !scan->is_canonical ||
        scan->digit_count > FLOAT_DIGITS_SAFE || scan->fraction_count > FLOAT_FRACTION_MAX) {
        return false;
    }
    /*
     * From 0.0001 = 0.1 x 10^-3 on the notation is fixed; zero has one fraction digit, as
     * is_canonical says.
     */
    return scan->digit_count == 0 || scan->scale >= -3;
}

enum status document_write_number_text(struct writer *out, struct bytes text)
{
    struct number_scan scan;
    if (!number_scan(text, &scan)) {
        return STATUS_INVALID;
    }
    enum status status = number_check(&scan);
    if (status != STATUS_OK) {
        return status;
    }
    bool is_integer = !scan.has_fraction && !scan.has_exponent && scan.is_mantissa_exact;
    if (is_integer && !scan.is_negative) {
        document_write_u64(out, scan.mantissa);
    } else if (is_integer && scan.mantissa > 0 && scan.mantissa <= (uint64_t)INT64_MAX + 1) {
        document_write_i64(out, (int64_t)(UINT64_C(0) - scan.mantissa));
    } else if (is_float_text(&scan)) {
        document_write_float(out, number_to_double(&scan));
    } else {
        write_text_extension(out, text);
    }
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

/* ---- one member more, other or less ---- */

/* Where a member stands among its siblings: the bytes from its name to the end of its value. */
struct place {
    uint32_t count;  /* members of the object */
    size_t first_at; /* offset of the first member */
    size_t from;
    size_t to; /* equal to from when there is no such member */
};

static bool find_place(struct bytes document, struct bytes name, struct place *place_out)
{
    struct document_cursor cursor;
    struct bytes member_name;
    struct bytes value;
    *place_out = (struct place){.from = document.size, .to = document.size};
    if (document.size == 0) {
        return true;
    }
    if (!document_cursor_open(document, &cursor) || !cursor.is_object) {
        return false;
    }
    place_out->count = cursor.left;
    place_out->first_at = cursor.reader.offset;
    for (uint32_t left = cursor.left; left > 0; left--) {
        size_t from = cursor.reader.offset;
        if (!document_next_member(&cursor, &member_name, &value)) {
            return false;
        }
        if (bytes_equal(member_name, name) && place_out->from == document.size) {
            place_out->from = from;
            place_out->to = cursor.reader.offset;
        }
    }
    return reader_left(&cursor.reader) == 0;
}

enum status document_set_member(struct bytes document, struct bytes name, struct bytes value,
                                struct writer *out)
{
    ASSERT(value.size > 0);
    struct place place;
    if (!find_place(document, name, &place)) {
        return STATUS_INVALID;
    }
    bool is_there = place.to > place.from;
    if (!is_there && place.count == UINT32_MAX) {
        return STATUS_INVALID;
    }
    document_write_map(out, place.count + (is_there ? 0 : 1));
    writer_put(out, bytes_slice(document, place.first_at, place.from - place.first_at));
    document_write_string(out, name);
    document_write_raw(out, value);
    writer_put(out, bytes_slice(document, place.to, document.size));
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

enum status document_without_member(struct bytes document, struct bytes name, struct writer *out)
{
    struct place place;
    if (!find_place(document, name, &place)) {
        return STATUS_INVALID;
    }
    bool is_there = place.to > place.from;
    ASSERT(!is_there || place.count > 0);
    document_write_map(out, place.count - (is_there ? 1 : 0));
    writer_put(out, bytes_slice(document, place.first_at, place.from - place.first_at));
    writer_put(out, bytes_slice(document, place.to, document.size));
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

void document_write_record(struct writer *out, struct bytes id, struct bytes document)
{
    struct document_cursor cursor;
    bool is_object = document_cursor_open(document, &cursor) && cursor.is_object;
    ASSERT(is_object);
    document_write_map(out, cursor.left + 1);
    document_write_string(out, BYTES_LITERAL("id"));
    document_write_string(out, id);
    writer_put(out, reader_bytes(&cursor.reader, reader_left(&cursor.reader)));
}
