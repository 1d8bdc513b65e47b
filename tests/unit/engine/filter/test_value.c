/* The comparisons under the tests: case, wildcards, addresses, numbers. */
#include "engine/filter/value.h"
#include "tests/unit/engine/filter/helper.h"

TestSuite(value, .fini = free_kept);

static struct bytes folded(const char *text)
{
    struct writer writer = new_writer(fold_bytes_max(strlen(text)));
    fold_write(exact_copy(bytes_of_text(text)), &writer);
    cr_assert_not(writer.failed);
    return writer_bytes(&writer);
}

#define FOLDS_TO(text, expected)                                                                   \
    cr_expect(bytes_equal(folded(text), bytes_of_text(expected)), "%s: %.*s", text,                \
              (int)folded(text).size, (const char *)folded(text).data)

Test(value, folding_goes_code_point_by_code_point)
{
    FOLDS_TO("", "");
    FOLDS_TO("aZ@[`{09", "az@[`{09");
    FOLDS_TO("ÀÖØÞ×÷ß", "àöøþ×÷ß");
    FOLDS_TO("ĀāĹĺ", "āāĺĺ");
    FOLDS_TO("ΣΑς", "σασ");
    FOLDS_TO("ЯЩё", "ящё");
    FOLDS_TO("\xE2\x84\xAA", "k");                    /* the Kelvin sign */
    FOLDS_TO("\xC8\xBA", "\xE2\xB1\xA5");             /* two bytes to three */
    FOLDS_TO("\xE1\xBA\x9E", "\xC3\x9F");             /* capital sharp s */
    FOLDS_TO("\xF0\x90\x90\x80", "\xF0\x90\x90\xA8"); /* Deseret */
    FOLDS_TO("日本", "日本");
    /* No UTF-8: kept as it is. */
    FOLDS_TO("A\xFF\xC3", "a\xFF\xC3");
}

Test(value, folded_comparisons_agree_with_folding_first)
{
    static const char *const TEXTS[] = {"",   "a",     "A",  "\xC8\xBA", "\xE2\xB1\xA5",  "aÄ",
                                        "Äa", "äA",    "ΣΑ", "ας",       "\xE2\x84\xAAx", "Kx",
                                        "xk", "日本A", "aa"};
    size_t count = sizeof(TEXTS) / sizeof(TEXTS[0]);
    for (size_t a = 0; a < count; a++) {
        for (size_t b = 0; b < count; b++) {
            struct bytes whole = folded(TEXTS[a]);
            struct bytes part = folded(TEXTS[b]);
            struct bytes text = exact_copy(bytes_of_text(TEXTS[a]));
            bool fits = whole.size >= part.size;
            bool ends =
                fits && bytes_equal(bytes_slice(whole, whole.size - part.size, SIZE_MAX), part);
            cr_expect_eq(fold_equals(text, part), bytes_equal(whole, part));
            cr_expect_eq(fold_starts_with(text, part), bytes_starts_with(whole, part));
            cr_expect_eq(fold_ends_with(text, part), ends, "%s %s", TEXTS[a], TEXTS[b]);
        }
    }
}

/* As plainly as can be: a star takes nothing, or a byte more. */
static bool wildcard_naive(const char *wildcard, const char *text)
{
    if (*wildcard == 0) {
        return *text == 0;
    }
    if (*wildcard == '*') {
        return wildcard_naive(wildcard + 1, text) ||
               (*text != 0 && wildcard_naive(wildcard, text + 1));
    }
    return *wildcard == *text && wildcard_naive(wildcard + 1, text + 1);
}

Test(value, wildcards_agree_with_trying_every_placement)
{
    struct dice dice = dice_of_time("wildcards");
    for (size_t round = 0; round < 20000; round++) {
        char source[8] = {0};
        char text[10] = {0};
        size_t size = dice_below(&dice, 8);
        for (size_t at = 0; at < size; at++) {
            bool after_star = at > 0 && source[at - 1] == '*';
            source[at] = after_star ? "ab"[dice_below(&dice, 2)] : "ab*"[dice_below(&dice, 3)];
        }
        size = dice_below(&dice, 10);
        for (size_t at = 0; at < size; at++) {
            text[at] = "ab"[dice_below(&dice, 2)];
        }
        uint8_t room[8];
        struct writer compiled = writer_of(room, sizeof(room));
        uint32_t stars;
        const char *reason;
        cr_assert(wildcard_compile(bytes_of_text(source), &compiled, &stars, &reason));
        cr_assert_eq(wildcard_matches(writer_bytes(&compiled), exact_copy(bytes_of_text(text))),
                     wildcard_naive(source, text), "%s %s", source, text);
    }
}

static bool is_address(const char *text)
{
    struct address address;
    return address_parse(exact_copy(bytes_of_text(text)), &address);
}

Test(value, addresses_have_one_grammar)
{
    static const char *const GOOD[] = {"0.0.0.0",
                                       "255.255.255.255",
                                       "::",
                                       "::1",
                                       "1::",
                                       "1:2:3:4:5:6:7:8",
                                       "1:2:3:4:5:6:7::",
                                       "::2:3:4:5:6:7:8",
                                       "::ffff:1.2.3.4",
                                       "1:2:3:4:5:6:1.2.3.4",
                                       "abCD::0001"};
    static const char *const BAD[] = {"",
                                      "1",
                                      "1.2.3",
                                      "1.2.3.4.5",
                                      "1.2.3.256",
                                      "01.2.3.4",
                                      "1.2.3.4 ",
                                      "1..2.3",
                                      ".1.2.3",
                                      "1.2.3.",
                                      ":",
                                      ":::",
                                      "1:",
                                      ":1",
                                      "1::2::3",
                                      "1:2:3:4:5:6:7",
                                      "1:2:3:4:5:6:7:8:9",
                                      "1:2:3:4:5:6:7:8::",
                                      "12345::",
                                      "g::",
                                      "::1.2.3",
                                      "::1.2.3.4:5",
                                      "1:2:3:4:5:6:7:1.2.3.4",
                                      "fe80::1%eth0",
                                      "1.2.3.4:5",
                                      "1:2:3:4::5:6:7:8"};
    for (size_t index = 0; index < sizeof(GOOD) / sizeof(GOOD[0]); index++) {
        cr_expect(is_address(GOOD[index]), "%s", GOOD[index]);
    }
    for (size_t index = 0; index < sizeof(BAD) / sizeof(BAD[0]); index++) {
        cr_expect_not(is_address(BAD[index]), "%s", BAD[index]);
    }
}

Test(value, blocks_end_at_any_bit)
{
    struct address address;
    struct address block;
    const char *reason;
    cr_assert(address_parse(BYTES_LITERAL("10.11.12.13"), &address));
    for (unsigned bits = 0; bits <= 32; bits++) {
        char text[32];
        (void)snprintf(text, sizeof(text), "10.11.12.13/%u", bits);
        cr_assert(address_block_parse(bytes_of_text(text), &block, &reason));
        cr_expect(address_in_block(&block, &address), "%s", text);
        struct address other = address;
        if (bits > 0) {
            other.bytes[(bits - 1) / 8] ^= (uint8_t)(0x80u >> (bits - 1) % 8);
            cr_expect_not(address_in_block(&block, &other), "%s", text);
        }
    }
    cr_expect_not(address_block_parse(BYTES_LITERAL("10.0.0.0/"), &block, &reason));
    cr_expect_not(address_block_parse(BYTES_LITERAL("10.0.0.0/-1"), &block, &reason));
    cr_expect_not(address_block_parse(BYTES_LITERAL("10.0.0.0/99999999999"), &block, &reason));
}
