/* Numbers come back digit for digit; float64s have one shortest text. */
#include "protocol/document/number.h"

#include <float.h>
#include <locale.h>
#include <math.h>

#include "tests/unit/protocol/document/helper.h"

TestSuite(number, .fini = free_kept);

static const char *const EXACT[] = {
    "0",
    "-0",
    "1",
    "-1",
    "127",
    "128",
    "255",
    "256",
    "65535",
    "65536",
    "4294967295",
    "4294967296",
    "-32",
    "-33",
    "-128",
    "-129",
    "-32768",
    "-32769",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999",
    "100000000000000000000000000000",
    "12345678901234567890123456789012345678",
    "29.99",
    "1.0",
    "1.50",
    "1E2",
    "1e2",
    "1e+2",
    "1E-2",
    "0.0",
    "-0.0",
    "0.00",
    "0.1",
    "0.10",
    "-0.5",
    "0.0001",
    "0.00012",
    "0.00009",
    "0.00001",
    "1e-5",
    "100.0",
    "999999999999999.0",
    "99999999999999.5",
    "999999999999999.5",
    "3.141592653589793",
    "3.14159265358979",
    "0.30000000000000004",
    "123456789.123456789",
    "1e16",
    "1e308",
    "1.7976931348623157e308",
    "5e-324",
    "1e-400",
    "0e0",
    "-0e-0",
    "0.12345678901234567890123456789012345678",
    "1.0000000000000000000000000000000000000",
    "0.000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
};

Test(number, every_text_comes_back_as_it_was_written)
{
    for (size_t at = 0; at < sizeof(EXACT) / sizeof(EXACT[0]); at++) {
        struct bytes document = document_of(EXACT[at]);
        cr_expect_str_eq(json_of(document), EXACT[at]);
        cr_expect_eq(document_validate(document), STATUS_OK);
        cr_expect(document_equal(document, document_of(EXACT[at])));
    }
}

static enum status status_of(const char *json)
{
    struct writer writer = new_writer(3 * strlen(json) + 16);
    struct json_error error = {0};
    enum status status = json_to_document(bytes_of_text(json), &writer, &error);
    /* The same text from outside as MessagePack gets the same answer. */
    struct writer raw = new_writer(3 * strlen(json) + 16);
    writer_put(&raw, BYTES_LITERAL("\xC8"));
    writer_u16(&raw, (uint16_t)strlen(json));
    writer_u8(&raw, DOCUMENT_EXT_NUMBER);
    writer_text(&raw, json);
    if (json[0] != '0') {
        cr_expect_eq(document_validate(writer_bytes(&raw)), status, "%s", json);
    }
    return status;
}

Test(number, more_than_38_digits_or_more_than_float64_holds_is_unprocessable)
{
    static const char *const REFUSED[] = {
        "123456789012345678901234567890123456789",
        "1.00000000000000000000000000000000000000",
        "100000000000000000000000000000000000000",
        "-0.123456789012345678901234567890123456789",
        "1e309",
        "-1e309",
        "1E400",
        "10e308",
        "0.1e310",
        "1.8e308",
        "1.7976931348623159e308",
        "179769313486231590000e288",
        "17976931348623158079372897140530341508e271",
        "1e99999999999999999999",
        "12345678901234567890123456789012345678e280",
    };
    static const char *const TAKEN[] = {
        "12345678901234567890123456789012345678",
        "1.7976931348623158e308",
        "17976931348623158079372897140530341507e271",
        "0.1e309",
        "0.0000000000000000000000001e330",
        "1e-99999999999999999999",
        "0.0000000000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t at = 0; at < sizeof(REFUSED) / sizeof(REFUSED[0]); at++) {
        cr_expect_eq(status_of(REFUSED[at]), STATUS_UNPROCESSABLE, "%s", REFUSED[at]);
    }
    for (size_t at = 0; at < sizeof(TAKEN) / sizeof(TAKEN[0]); at++) {
        cr_expect_eq(status_of(TAKEN[at]), STATUS_OK, "%s", TAKEN[at]);
    }
}

Test(number, a_million_digits_are_refused_quickly_and_a_million_zeros_are_taken)
{
    struct writer digits = new_writer(1000000);
    struct writer zeros = new_writer(1000000);
    writer_text(&zeros, "0.");
    while (writer_left(&digits) > 0) {
        writer_u8(&digits, '7');
    }
    while (writer_left(&zeros) > 0) {
        writer_u8(&zeros, '0');
    }
    struct writer out = new_writer(3000000);
    struct json_error error;
    cr_expect_eq(json_to_document(writer_bytes(&digits), &out, &error), STATUS_UNPROCESSABLE);
    struct bytes document = document_of_bytes(writer_bytes(&zeros));
    double value = 1.0;
    cr_expect(document_double(document, &value));
    cr_expect_eq(value, 0.0);
    cr_expect(bytes_equal(bytes_of_text(json_of(document)), writer_bytes(&zeros)));
}

Test(number, plain_texts_are_stored_as_integers_and_floats)
{
    static const struct {
        const char *json;
        uint8_t head;
    } CASES[] = {
        {"42", 42},     {"-1", 0xFF},      {"200", 0xCC},
        {"-200", 0xD1}, {"29.99", 0xCB},   {"1.0", 0xCB},
        {"-0.0", 0xCB}, {"0.0001", 0xCB},  {"1.50", 0xD6},
        {"-0", 0xD5},   {"1E2", 0xC7},     {"0.00", 0xD6},
        {"1e5", 0xC7},  {"0.00001", 0xC7}, {"18446744073709551616", 0xC7},
    };
    for (size_t at = 0; at < sizeof(CASES) / sizeof(CASES[0]); at++) {
        cr_expect_eq(document_of(CASES[at].json).data[0], CASES[at].head, "%s", CASES[at].json);
    }
}

static const char *float_text(double value)
{
    char *text = keep_new(NUMBER_FLOAT_TEXT_MAX + 1);
    text[number_float_text(value, text)] = '\0';
    return text;
}

Test(number, a_float64_has_the_shortest_text_that_reads_back)
{
    static const struct {
        double value;
        const char *text;
    } CASES[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1.0, "1.0"},
        {-1.5, "-1.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {100.0, "100.0"},
        {29.99, "29.99"},
        {1e15, "1000000000000000.0"},
        {9007199254740993.0, "9007199254740992.0"},
        {1e16, "1e16"},
        {1.5e16, "1.5e16"},
        {123456789012345680000.0, "1.2345678901234568e20"},
        {1e22, "1e22"},
        {1e23, "1e23"},
        {0.0001, "0.0001"},
        {0.00012345678901234567, "0.00012345678901234567"},
        {0.00001, "1e-5"},
        {1.5e-7, "1.5e-7"},
        {DBL_MAX, "1.7976931348623157e308"},
        {DBL_MIN, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {-1.2345678901234567e-300, "-1.2345678901234568e-300"},
        {3.141592653589793, "3.141592653589793"},
        {2.0 / 3.0, "0.6666666666666666"},
        {5e-5, "5e-5"},
        {999999999999999.0, "999999999999999.0"},
        {999999999999999.5, "999999999999999.5"},
        {9.5, "9.5"},
    };
    for (size_t at = 0; at < sizeof(CASES) / sizeof(CASES[0]); at++) {
        cr_expect_str_eq(float_text(CASES[at].value), CASES[at].text);
    }
}

/* Any finite float64, or one that people would write. */
static double random_double(struct dice *dice)
{
    for (;;) {
        double value;
        uint64_t bits = dice_next(dice);
        memcpy(&value, &bits, sizeof(value));
        switch (dice_below(dice, 5)) {
        case 0:
            value = (double)(int64_t)(bits >> dice_below(dice, 60)) / 100.0;
            break;
        case 1:
            value = (double)(bits >> 11) / pow(10, dice_below(dice, 20));
            break;
        case 2:
            bits &= UINT64_MAX >> (12 + dice_below(dice, 52)); /* a subnormal number, or zero */
            memcpy(&value, &bits, sizeof(value));
            break;
        default:
            break;
        }
        if (isfinite(value)) {
            return value;
        }
    }
}

Test(number, any_float64_survives_its_text)
{
    struct dice dice = dice_of_time("any_float64_survives_its_text");
    for (int turn = 0; turn < 200000; turn++) {
        double value = random_double(&dice);
        char text[NUMBER_FLOAT_TEXT_MAX + 1];
        text[number_float_text(value, text)] = '\0';
        double back = strtod(text, NULL);
        cr_assert_eq(memcmp(&back, &value, sizeof(value)), 0, "%.17g became %s", value, text);

        struct number_scan scan;
        cr_assert(number_scan(bytes_of_text(text), &scan));
        double read = number_to_double(&scan);
        cr_assert_eq(memcmp(&read, &value, sizeof(value)), 0, "%s read as %.17g", text, read);
    }
}

Test(number, no_shorter_text_reads_back)
{
    struct dice dice = dice_of_time("no_shorter_text_reads_back");
    for (int turn = 0; turn < 20000; turn++) {
        double value = fabs(random_double(&dice));
        struct number_scan scan;
        cr_assert(number_scan(bytes_of_text(float_text(value)), &scan));
        int digits = (int)scan.digit_count;
        while (digits > 1 && scan.digits[digits - 1] == '0') {
            digits--;
        }
        if (digits > 1 && value != 0.0) {
            char shorter[64];
            snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, value);
            cr_assert_neq(strtod(shorter, NULL), value, "%s for %.17g", shorter, value);
        }
    }
}

/* A decimal in any notation, with up to 20 digits. */
static const char *random_number_text(struct dice *dice)
{
    struct writer text = new_writer(80);
    if (dice_below(dice, 2) == 0) {
        writer_u8(&text, '-');
    }
    uint32_t integers = dice_below(dice, 3) == 0 ? dice_below(dice, 19) : dice_below(dice, 5);
    if (integers == 0) {
        writer_u8(&text, '0');
    }
    for (uint32_t at = 0; at < integers; at++) {
        writer_u8(&text,
                  (uint8_t)('0' + (at == 0 ? 1 + dice_below(dice, 9) : dice_below(dice, 10))));
    }
    if (dice_below(dice, 2) == 0) {
        writer_u8(&text, '.');
        for (uint32_t left = 1 + dice_below(dice, 18); left > 0; left--) {
            writer_u8(&text,
                      (uint8_t)('0' + (dice_below(dice, 3) == 0 ? 0 : dice_below(dice, 10))));
        }
    }
    if (dice_below(dice, 5) == 0) {
        writer_u8(&text, dice_below(dice, 2) == 0 ? 'e' : 'E');
        if (dice_below(dice, 2) == 0) {
            writer_u8(&text, dice_below(dice, 2) == 0 ? '-' : '+');
        }
        writer_decimal(&text, dice_below(dice, 250));
    }
    writer_u8(&text, 0);
    return (const char *)text.data;
}

Test(number, any_number_comes_back_as_it_was_written_and_reads_as_strtod_reads_it)
{
    struct dice dice = dice_of_time("any_number_comes_back");
    for (int turn = 0; turn < 100000; turn++) {
        const char *text = random_number_text(&dice);
        struct bytes document = document_of(text);
        cr_assert_str_eq(json_of(document), text);
        double value;
        cr_assert(document_double(document, &value));
        cr_assert_eq(value, strtod(text, NULL), "%s", text);
        cr_assert_eq(document_validate(document), STATUS_OK);
        free_kept();
    }
}

Test(number, a_foreign_locale_changes_nothing)
{
    static const char *const LOCALES[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "nl_NL.UTF-8", "C.UTF-8"};
    for (size_t at = 0; at < sizeof(LOCALES) / sizeof(LOCALES[0]); at++) {
        /* Not every machine has every locale; the test is as strong as the machine allows. */
        if (setlocale(LC_ALL, LOCALES[at]) != NULL) {
            cr_expect_str_eq(float_text(0.1 + 0.2), "0.30000000000000004");
            double value;
            cr_expect(document_double(document_of("0.30000000000000004e0"), &value));
            cr_expect_eq(value, 0.1 + 0.2);
        }
    }
}

Test(number, what_is_no_number_is_not_scanned)
{
    static const char *const BAD[] = {"",   "-",  "+1", "01",   ".5",   "5.",  "1e",  "1e+", "x",
                                      "1x", " 1", "1 ", "1.2.", "1e1.", "--1", "-01", "0x",  "NaN"};
    for (size_t at = 0; at < sizeof(BAD) / sizeof(BAD[0]); at++) {
        struct number_scan scan;
        struct writer writer = new_writer(64);
        cr_expect_not(number_scan(bytes_of_text(BAD[at]), &scan), "%s", BAD[at]);
        cr_expect_eq(document_write_number_text(&writer, bytes_of_text(BAD[at])), STATUS_INVALID);
        cr_expect_eq(writer.size, 0);
    }
}
