#include "engine/filter/value.h"

#include <assert.h>
#include <string.h>

#include "engine/filter/fold_table.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"

#define FOLD_RANGE_COUNT (sizeof(FOLD_RANGES) / sizeof(FOLD_RANGES[0]))

/* ---- scalars ---- */

/* 2^64 as a float64; what converts to it is above every uint64. */
static const double TWO_TO_64 = 18446744073709551616.0;
static const double TWO_TO_63 = 9223372036854775808.0;

static struct number number_of_unsigned(uint64_t integer)
{
    double nearest = (double)integer;
    bool is_exact = nearest < TWO_TO_64 && (uint64_t)nearest == integer;
    return (struct number){
        .nearest = nearest, .integer = is_exact ? 0 : integer, .is_large = !is_exact};
}

static struct number number_of_negative(int64_t integer)
{
    double nearest = (double)integer;
    bool is_exact = nearest < TWO_TO_63 && (int64_t)nearest == integer;
    return (struct number){.nearest = nearest,
                           .integer = is_exact ? 0 : (uint64_t)integer,
                           .is_large = !is_exact,
                           .is_negative = !is_exact};
}

bool value_of_token(const struct token *token, struct bytes bytes, struct value *out)
{
    switch (token->kind) {
    case TOKEN_NULL:
        out->kind = VALUE_NULL;
        return true;
    case TOKEN_BOOL:
        out->kind = token->boolean ? VALUE_TRUE : VALUE_FALSE;
        return true;
    case TOKEN_UNSIGNED:
        out->kind = VALUE_NUMBER;
        out->number = number_of_unsigned(token->integer);
        return true;
    case TOKEN_NEGATIVE:
        out->kind = VALUE_NUMBER;
        out->number = number_of_negative((int64_t)token->integer);
        return true;
    case TOKEN_FLOAT:
        out->kind = VALUE_NUMBER;
        /* Zero has one sign only. */
        out->number = (struct number){.nearest = token->floating + 0.0};
        return true;
    case TOKEN_NUMBER_TEXT: {
        double nearest;
        out->kind = VALUE_NUMBER;
        if (!document_double(bytes, &nearest)) {
            return false;
        }
        out->number = (struct number){.nearest = nearest + 0.0};
        return true;
    }
    case TOKEN_STRING:
        out->kind = VALUE_STRING;
        out->text = token->payload;
        return true;
    case TOKEN_ARRAY:
    case TOKEN_OBJECT:
        break;
    }
    return false;
}

/* ---- case ---- */

static uint32_t fold_point(uint32_t point)
{
    if (point < 0x80) {
        return point >= 'A' && point <= 'Z' ? point + 32 : point;
    }
    size_t low = 0;
    size_t high = FOLD_RANGE_COUNT;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (FOLD_RANGES[middle].last < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const struct fold_range *range = &FOLD_RANGES[low < FOLD_RANGE_COUNT ? low : 0];
    if (low == FOLD_RANGE_COUNT || point < range->first ||
        (point - range->first) % range->step != 0) {
        return point;
    }
    return (uint32_t)((int32_t)point + range->delta);
}

static size_t encode_point(uint32_t point, uint8_t out[4])
{
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xC0 | point >> 6);
        out[1] = (uint8_t)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xE0 | point >> 12);
        out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | point >> 18);
    out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (point & 0x3F));
    return 4;
}

/* The folded form of the sequence that begins at `at`; *size_out is how long that was. A byte that
 * begins none stays as it is. */
static size_t fold_sequence(const uint8_t *at, size_t left, uint8_t out[4], size_t *size_out)
{
    size_t size = utf8_sequence_size(at, left);
    uint32_t point = 0;
    *size_out = size == 0 ? 1 : size;
    switch (size) {
    case 2:
        point = (uint32_t)(at[0] & 0x1F) << 6 | (at[1] & 0x3F);
        break;
    case 3:
        point = (uint32_t)(at[0] & 0x0F) << 12 | (uint32_t)(at[1] & 0x3F) << 6 | (at[2] & 0x3F);
        break;
    case 4:
        point = (uint32_t)(at[0] & 0x07) << 18 | (uint32_t)(at[1] & 0x3F) << 12 |
                (uint32_t)(at[2] & 0x3F) << 6 | (at[3] & 0x3F);
        break;
    default: /* one byte: ASCII, or no UTF-8 */
        out[0] = (uint8_t)(at[0] >= 'A' && at[0] <= 'Z' ? at[0] + 32 : at[0]);
        return 1;
    }
    return encode_point(fold_point(point), out);
}

void fold_write(struct bytes text, struct writer *out)
{
    size_t at = 0;
    while (at < text.size) {
        uint8_t folded[4];
        size_t size;
        size_t folded_size = fold_sequence(text.data + at, text.size - at, folded, &size);
        writer_put(out, bytes_of(folded, folded_size));
        at += size;
    }
}

/* How much of text, from its start, folds to all of `folded`; SIZE_MAX when it does not. */
static size_t fold_prefix_size(struct bytes text, struct bytes folded)
{
    size_t at = 0;
    size_t folded_at = 0;
    while (folded_at < folded.size) {
        uint8_t sequence[4];
        size_t size;
        if (at == text.size) {
            return SIZE_MAX;
        }
        size_t sequence_size = fold_sequence(text.data + at, text.size - at, sequence, &size);
        if (sequence_size > folded.size - folded_at ||
            memcmp(sequence, folded.data + folded_at, sequence_size) != 0) {
            return SIZE_MAX;
        }
        at += size;
        folded_at += sequence_size;
    }
    return at;
}

bool fold_equals(struct bytes text, struct bytes folded)
{
    return fold_prefix_size(text, folded) == text.size;
}

bool fold_starts_with(struct bytes text, struct bytes folded)
{
    return fold_prefix_size(text, folded) != SIZE_MAX;
}

bool fold_ends_with(struct bytes text, struct bytes folded)
{
    size_t at = text.size;
    size_t folded_at = folded.size;
    while (folded_at > 0) {
        uint8_t sequence[4];
        size_t size;
        if (at == 0) {
            return false;
        }
        size_t start = at - 1;
        while (start > 0 && at - start < 4 && (text.data[start] & 0xC0) == 0x80) {
            start--;
        }
        size_t sequence_size = fold_sequence(text.data + start, at - start, sequence, &size);
        if (size != at - start || sequence_size > folded_at ||
            memcmp(sequence, folded.data + folded_at - sequence_size, sequence_size) != 0) {
            return false;
        }
        at = start;
        folded_at -= sequence_size;
    }
    return true;
}

/* ---- wildcards ---- */

bool wildcard_compile(struct bytes source, struct writer *out, uint32_t *stars_out,
                      const char **reason_out)
{
    *stars_out = 0;
    for (size_t at = 0; at < source.size; at++) {
        uint8_t byte = source.data[at];
        if (byte == '*') {
            if (at > 0 && source.data[at - 1] == '*' && out->size > 0 &&
                out->data[out->size - 1] == WILDCARD_STAR) {
                *reason_out = "two stars in a row are not allowed; one means the same";
                return false;
            }
            writer_u8(out, WILDCARD_STAR);
            (*stars_out)++;
            continue;
        }
        if (byte == '\\') {
            at++;
            if (at == source.size || (source.data[at] != '*' && source.data[at] != '\\')) {
                *reason_out = "a backslash must be followed by * or by another backslash";
                return false;
            }
            byte = source.data[at];
        }
        writer_u8(out, byte);
    }
    return true;
}

/* The bytes up to the next star; *rest_out is what follows that star. */
static bool wildcard_piece(struct bytes wildcard, struct bytes *piece_out, struct bytes *rest_out)
{
    const uint8_t *star =
        wildcard.size == 0 ? NULL : memchr(wildcard.data, WILDCARD_STAR, wildcard.size);
    if (star == NULL) {
        *piece_out = wildcard;
        *rest_out = BYTES_EMPTY;
        return false;
    }
    *piece_out = bytes_slice(wildcard, 0, (size_t)(star - wildcard.data));
    *rest_out = bytes_slice(wildcard, piece_out->size + 1, SIZE_MAX);
    return true;
}

/* The pieces between stars are found from left to right, each as early as can be: if any placement
 * exists, that one does. The first and the last piece have their places. */
bool wildcard_matches(struct bytes wildcard, struct bytes text)
{
    struct bytes piece;
    if (!wildcard_piece(wildcard, &piece, &wildcard)) {
        return bytes_equal(piece, text);
    }
    if (!bytes_starts_with(text, piece)) {
        return false;
    }
    text = bytes_slice(text, piece.size, SIZE_MAX);
    while (wildcard_piece(wildcard, &piece, &wildcard)) {
        if (piece.size == 0) {
            continue;
        }
        const uint8_t *found =
            text.size == 0 ? NULL : memmem(text.data, text.size, piece.data, piece.size);
        if (found == NULL) {
            return false;
        }
        text = bytes_slice(text, (size_t)(found - text.data) + piece.size, SIZE_MAX);
    }
    return text.size >= piece.size &&
           bytes_equal(bytes_slice(text, text.size - piece.size, piece.size), piece);
}

/* ---- addresses ---- */

/* Four decimal numbers up to 255 without leading zeros, and nothing else. */
static bool parse_v4(struct bytes text, uint8_t out[4])
{
    size_t at = 0;
    for (size_t part = 0; part < 4; part++) {
        uint32_t number = 0;
        size_t digits = 0;
        if (part > 0 && (at == text.size || text.data[at++] != '.')) {
            return false;
        }
        while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
            if (digits > 0 && number == 0) {
                return false;
            }
            number = number * 10 + (uint32_t)(text.data[at++] - '0');
            if (++digits > 3 || number > 255) {
                return false;
            }
        }
        if (digits == 0) {
            return false;
        }
        out[part] = (uint8_t)number;
    }
    return at == text.size;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9') {
        return byte - '0';
    }
    byte |= 0x20;
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* One group of one to four digits at *at. */
static bool parse_group(struct bytes text, size_t *at, uint8_t out[2])
{
    uint32_t number = 0;
    size_t digits = 0;
    while (*at < text.size && hex_digit(text.data[*at]) >= 0) {
        if (++digits > 4) {
            return false;
        }
        number = number << 4 | (uint32_t)hex_digit(text.data[(*at)++]);
    }
    out[0] = (uint8_t)(number >> 8);
    out[1] = (uint8_t)number;
    return digits > 0;
}

/* Eight groups of hexadecimal digits, one run of zero groups as "::", the last two perhaps as an
 * IPv4 address (RFC 4291, 2.2). */
static bool parse_v6(struct bytes text, uint8_t out[16])
{
    uint8_t found[16];
    size_t size = 0;
    size_t gap = SIZE_MAX;
    size_t at = 0;
    if (text.size >= 2 && text.data[0] == ':' && text.data[1] == ':') {
        gap = 0;
        at = 2;
    }
    while (at < text.size) {
        if (size == 16) {
            return false;
        }
        size_t group_at = at;
        if (!parse_group(text, &at, found + size)) {
            return false;
        }
        if (at < text.size && text.data[at] == '.') {
            if (size > 12 || !parse_v4(bytes_slice(text, group_at, SIZE_MAX), found + size)) {
                return false;
            }
            size += 4;
            break;
        }
        size += 2;
        if (at == text.size) {
            break;
        }
        if (text.data[at++] != ':' || at == text.size) {
            return false;
        }
        if (text.data[at] == ':') {
            if (gap != SIZE_MAX) {
                return false;
            }
            gap = size;
            at++;
        }
    }
    /* A gap stands for one group at least. */
    if (gap == SIZE_MAX ? size != 16 : size > 14) {
        return false;
    }
    memset(out, 0, 16);
    size_t head = gap == SIZE_MAX ? 16 : gap;
    memcpy(out, found, head);
    memcpy(out + 16 - (size - head), found + head, size - head);
    return true;
}

bool address_parse(struct bytes text, struct address *out)
{
    memset(out, 0, sizeof(*out));
    /* "255.255.255.255", and eight groups with an IPv4 address at their end. */
    if (text.size < 2 || text.size > 45) {
        return false;
    }
    out->is_v6 = memchr(text.data, ':', text.size) != NULL;
    out->bits = out->is_v6 ? 128 : 32;
    return out->is_v6 ? parse_v6(text, out->bytes) : parse_v4(text, out->bytes);
}

bool address_block_parse(struct bytes text, struct address *out, const char **reason_out)
{
    const uint8_t *slash = text.size == 0 ? NULL : memchr(text.data, '/', text.size);
    if (slash == NULL) {
        *reason_out = "must have the form ADDRESS/BITS, as in 10.0.0.0/8";
        return false;
    }
    size_t size = (size_t)(slash - text.data);
    if (!address_parse(bytes_slice(text, 0, size), out)) {
        *reason_out = "does not begin with an IPv4 or IPv6 address";
        return false;
    }
    struct bytes digits = bytes_slice(text, size + 1, SIZE_MAX);
    uint32_t bits = 0;
    for (size_t at = 0; at < digits.size && bits <= 128; at++) {
        bits = digits.data[at] >= '0' && digits.data[at] <= '9'
                   ? bits * 10 + (uint32_t)(digits.data[at] - '0')
                   : UINT32_MAX;
    }
    if (digits.size == 0 || bits > out->bits) {
        *reason_out = out->is_v6 ? "needs a number of bits from 0 to 128 behind the slash"
                                 : "needs a number of bits from 0 to 32 behind the slash";
        return false;
    }
    out->bits = (uint8_t)bits;
    for (uint32_t bit = bits; bit < 128; bit++) {
        out->bytes[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    }
    return true;
}

bool address_in_block(const struct address *block, const struct address *address)
{
    size_t whole = block->bits / 8;
    uint8_t mask = (uint8_t)(0xFF00u >> block->bits % 8);
    return block->is_v6 == address->is_v6 && memcmp(block->bytes, address->bytes, whole) == 0 &&
           (whole == 16 || ((block->bytes[whole] ^ address->bytes[whole]) & mask) == 0);
}
