/* Random documents: JSON to MessagePack and back, both ways, and equal in every order. */
#include "tests/unit/protocol/document/helper.h"

TestSuite(round_trip, .fini = free_kept);

/*
 * Compact JSON, as document_to_json writes it; in `shuffled` the same value with its members
 * backwards and white space.
 */
struct texts {
    struct writer compact;
    struct writer shuffled;
};

static void both(struct texts *texts, struct bytes bytes)
{
    writer_put(&texts->compact, bytes);
    writer_put(&texts->shuffled, bytes);
}

static void random_space(struct dice *dice, struct texts *texts)
{
    static const char *const SPACES[] = {"", "", "", " ", "\n", "\t", "\r\n", "  "};
    writer_text(&texts->shuffled, SPACES[dice_below(dice, 8)]);
}

static uint32_t random_character(struct dice *dice)
{
    switch (dice_below(dice, 8)) {
    case 0:
        return dice_below(dice, 0x20);
    case 1:
        return dice_below(dice, 2) == 0 ? '"' : '\\';
    case 2:
        return 0x80 + dice_below(dice, 0x800 - 0x80);
    case 3:
        return 0x800 + dice_below(dice, 0xD800 - 0x800);
    case 4:
        return 0x10000 + dice_below(dice, 0x110000 - 0x10000);
    default:
        return 0x20 + dice_below(dice, 0x60);
    }
}

static size_t encode(uint32_t character, uint8_t out[4])
{
    if (character < 0x80) {
        out[0] = (uint8_t)character;
        return 1;
    }
    if (character < 0x800) {
        out[0] = (uint8_t)(0xC0 | character >> 6);
        out[1] = (uint8_t)(0x80 | (character & 0x3F));
        return 2;
    }
    if (character < 0x10000) {
        out[0] = (uint8_t)(0xE0 | character >> 12);
        out[1] = (uint8_t)(0x80 | (character >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (character & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | character >> 18);
    out[1] = (uint8_t)(0x80 | (character >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (character >> 6 & 0x3F));
    out[3] = (uint8_t)(0x80 | (character & 0x3F));
    return 4;
}

static void escape_unit(struct writer *out, uint32_t unit)
{
    char text[8];
    snprintf(text, sizeof(text), unit % 2 == 0 ? "\\u%04x" : "\\u%04X", unit);
    writer_text(out, text);
}

/* The string as we write it, and with any of its characters escaped. */
static void write_string(struct dice *dice, struct texts *texts, struct bytes utf8)
{
    json_string_write(&texts->compact, utf8);
    writer_u8(&texts->shuffled, '"');
    for (size_t at = 0; at < utf8.size;) {
        uint8_t lead = utf8.data[at];
        size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
        uint32_t character = size == 1 ? lead : lead & (0x3Fu >> (size - 1));
        for (size_t next = 1; next < size; next++) {
            character = character << 6 | (utf8.data[at + next] & 0x3F);
        }
        bool must = character < 0x20 || character == '"' || character == '\\';
        if (!must && dice_below(dice, 4) > 0) {
            writer_put(&texts->shuffled, bytes_of(utf8.data + at, size));
        } else if (character >= 0x10000) {
            escape_unit(&texts->shuffled, 0xD800 + ((character - 0x10000) >> 10));
            escape_unit(&texts->shuffled, 0xDC00 + ((character - 0x10000) & 0x3FF));
        } else {
            escape_unit(&texts->shuffled, character);
        }
        at += size;
    }
    writer_u8(&texts->shuffled, '"');
}

static void random_string(struct dice *dice, struct texts *texts, uint32_t prefix)
{
    struct writer utf8 = new_writer(600);
    /* Names must differ: a number, ended by what is no digit, in front of what chance gives. */
    writer_decimal(&utf8, prefix);
    writer_u8(&utf8, '.');
    uint32_t length = dice_below(dice, 10) == 0 ? dice_below(dice, 140) : dice_below(dice, 12);
    for (; length > 0; length--) {
        uint8_t bytes[4];
        writer_put(&utf8, bytes_of(bytes, encode(random_character(dice), bytes)));
    }
    write_string(dice, texts, writer_bytes(&utf8));
}

static void random_number(struct dice *dice, struct texts *texts)
{
    char text[64];
    switch (dice_below(dice, 4)) {
    case 0:
        snprintf(text, sizeof(text), "%lld",
                 (long long)((int64_t)dice_next(dice) >> dice_below(dice, 63)));
        break;
    case 1:
        snprintf(text, sizeof(text), "%u.%02u", dice_below(dice, 1000), dice_below(dice, 100));
        break;
    case 2:
        snprintf(text, sizeof(text), "%u.%ue%d", dice_below(dice, 10), dice_below(dice, 1000),
                 (int)dice_below(dice, 600) - 300);
        break;
    default:
        snprintf(text, sizeof(text), "-%llu.%llu", (unsigned long long)dice_next(dice),
                 (unsigned long long)(dice_next(dice) >> 8));
        break;
    }
    both(texts, bytes_of_text(text));
}

static void random_value(struct dice *dice, int depth, struct texts *texts);

/*
 * Each member is made apart, so that one side can be put together forwards and the other backwards.
 */
static void random_object(struct dice *dice, int depth, struct texts *texts)
{
    uint32_t count = dice_below(dice, 12) == 0 ? dice_below(dice, 40) : dice_below(dice, 6);
    struct texts members[40];
    for (uint32_t at = 0; at < count; at++) {
        members[at].compact = new_writer(1 << 14);
        members[at].shuffled = new_writer(1 << 16);
        random_string(dice, &members[at], at);
        random_space(dice, &members[at]);
        both(&members[at], BYTES_LITERAL(":"));
        random_space(dice, &members[at]);
        random_value(dice, depth - 1, &members[at]);
        texts->compact.failed |= members[at].compact.failed;
        texts->shuffled.failed |= members[at].shuffled.failed;
    }
    both(texts, BYTES_LITERAL("{"));
    for (uint32_t at = 0; at < count; at++) {
        random_space(dice, texts);
        if (at > 0) {
            both(texts, BYTES_LITERAL(","));
        }
        random_space(dice, texts);
        writer_put(&texts->compact, writer_bytes(&members[at].compact));
        writer_put(&texts->shuffled, writer_bytes(&members[count - 1 - at].shuffled));
    }
    random_space(dice, texts);
    both(texts, BYTES_LITERAL("}"));
}

static void random_array(struct dice *dice, int depth, struct texts *texts)
{
    both(texts, BYTES_LITERAL("["));
    for (uint32_t left = dice_below(dice, 20); left > 0; left--) {
        random_space(dice, texts);
        random_value(dice, depth - 1, texts);
        random_space(dice, texts);
        if (left > 1) {
            both(texts, BYTES_LITERAL(","));
        }
    }
    both(texts, BYTES_LITERAL("]"));
}

static void random_value(struct dice *dice, int depth, struct texts *texts)
{
    static const char *const LITERALS[] = {"null", "true", "false", "{}", "[]"};
    switch (dice_below(dice, depth > 0 ? 6 : 3)) {
    case 0:
        both(texts, bytes_of_text(LITERALS[dice_below(dice, 5)]));
        break;
    case 1:
        random_number(dice, texts);
        break;
    case 2:
        random_string(dice, texts, 0);
        break;
    case 3:
        random_array(dice, depth, texts);
        break;
    default:
        random_object(dice, depth, texts);
        break;
    }
}

Test(round_trip, any_value_comes_back_byte_for_byte_and_equals_itself_in_another_order)
{
    struct dice dice = dice_of_time("any_value_comes_back");
    int taken = 0;
    for (int turn = 0; turn < 3000; turn++) {
        struct texts texts = {new_writer(1 << 18), new_writer(1 << 20)};
        random_value(&dice, 4, &texts);
        if (!texts.compact.failed && !texts.shuffled.failed) {
            taken++;
            struct bytes document = document_of_bytes(writer_bytes(&texts.compact));
            struct bytes other = document_of_bytes(writer_bytes(&texts.shuffled));
            cr_assert_eq(document_validate(document), STATUS_OK);
            cr_assert_eq(document_validate(other), STATUS_OK);
            cr_assert_eq(document_value_size(document), document.size);
            cr_assert(bytes_equal(bytes_of_text(json_of(document)), writer_bytes(&texts.compact)));
            cr_assert(document_equal(document, other));
            cr_assert(document_equal(other, document));
        }
        free_kept();
    }
    cr_assert_gt(taken, 2000);
}

Test(round_trip, a_text_cut_anywhere_is_refused)
{
    struct dice dice = dice_of_time("a_text_cut_anywhere");
    for (int turn = 0; turn < 60; turn++) {
        struct texts texts = {new_writer(1 << 16), new_writer(1 << 18)};
        random_object(&dice, 2, &texts);
        size_t limit = texts.shuffled.size < 3000 ? texts.shuffled.size - 1 : 3000;
        for (size_t size = 0; size < limit && !texts.shuffled.failed; size++) {
            struct writer out = writer_of(texts.compact.data, texts.compact.capacity);
            uint8_t *exact = malloc(size + 1);
            cr_assert_not_null(exact);
            memcpy(exact, texts.shuffled.data, size);
            enum status status = json_to_document(bytes_of(exact, size), &out, NULL);
            free(exact);
            cr_assert_eq(status, STATUS_INVALID);
        }
        free_kept();
    }
}
