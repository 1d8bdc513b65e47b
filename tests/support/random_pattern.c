#include "tests/support/random_pattern.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of patterns and of events. */
#define DEPTH_MAX 3

static const char *const names[] = {"a", "b", "c", "a.b", "newImage", "price", "n\u00e4me", "$or"};

/* A bit for each but "$or". */
#define NAMES_ALL ((1u << (COUNT(names) - 1)) - 1)

/* JSON texts of strings. Those that are addresses, and those that look like other values, meet
 * tests of that kind. */
static const char *const strings[] = {
    "\"\"",
    "\"a\"",
    "\"ab\"",
    "\"abc\"",
    "\"ABC\"",
    "\"aBc\"",
    "\"abab\"",
    "\"b\"",
    "\"ba\"",
    "\"a*b\"",
    "\"a\\\\b\"",
    "\"a\\u0000b\"",
    "\"\\\"\"",
    "\"\u00e4b\"",
    "\"\u00c4b\"",
    "\"\u65e5\u672c\"",
    "\"\u65e5\"",
    "\"\\ud83d\\ude00\"",
    "\"true\"",
    "\"null\"",
    "\"5\"",
    "\"[\"",
    "\"\u03a3k\"",
    "\"\u03c2\u212a\"",
    "\"\u03c3K\"",
    "\"\u0131\"",
    "\"I\"",
    "\"10.0.0.1\"",
    "\"10.0.0.200\"",
    "\"10.1.2.3\"",
    "\"192.168.0.1\"",
    "\"0.0.0.0\"",
    "\"255.255.255.255\"",
    "\"10.0.0\"",
    "\"10.0.0.256\"",
    "\"::\"",
    "\"::1\"",
    "\"2001:db8::1\"",
    "\"2001:0DB8:0:0:0:0:0:1\"",
    "\"2001:db8:1::\"",
    "\"2001:db8::1::\"",
    "\"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\"",
    "\"abcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabcabc\"",
};

static const char *const numbers[] = {
    "0",
    "-0",
    "0.0",
    "0e5",
    "1",
    "1.0",
    "1.00",
    "1e0",
    "10e-1",
    "0.1e1",
    "-1",
    "-1.0",
    "5",
    "5.0",
    "0.5",
    "5e-1",
    "29.99",
    "29.990",
    "30",
    "3e1",
    "255",
    "256",
    "65536",
    "-129",
    "4294967296",
    "9007199254740992",
    "9007199254740993",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "12345678901234567890123456789012345678",
    "0.1",
    "0.10",
    "0.1000000000000000055511151231257827",
    "1e308",
    "-1e308",
    "5e-324",
    "1e-400",
    "1.7976931348623157e308",
};

static const char *const others[] = {"true", "false", "null"};

static const char *const wildcards[] = {
    "\"*\"",   "\"a*\"",      "\"*b\"",      "\"a*b\"",        "\"*b*\"",      "\"a*b*c\"",
    "\"ab\"",  "\"\"",        "\"a\\\\*b\"", "\"a\\\\\\\\*\"", "\"*\u65e5*\"", "\"*a*b*a*b*\"",
    "\"*ab\"", "\"abc*abc\"", "\"10.*\"",    "\"*\\\\*\"",
};

static const char *const blocks[] = {
    "\"10.0.0.0/8\"",    "\"10.0.0.0/24\"",   "\"10.0.0.128/25\"",   "\"10.0.0.77/24\"",
    "\"0.0.0.0/0\"",     "\"10.0.0.0/31\"",   "\"192.168.0.1/32\"",  "\"::/0\"",
    "\"2001:db8::/32\"", "\"2001:db8::/48\"", "\"2001:db8::1/128\"", "\"2001:db8::/127\"",
};

static size_t below(uint64_t *random, size_t count)
{
    return (size_t)(dice_roll(random) % count);
}

static bool chance(uint64_t *random, unsigned percent)
{
    return below(random, 100) < percent;
}

/* The first few of them half the time, so that patterns and events meet. */
static void pick(uint64_t *random, const char *const *texts, size_t count, struct writer *out)
{
    size_t few = count > 8 && chance(random, 50) ? 8 : count;
    writer_text(out, texts[below(random, few)]);
}

/* Some names hold objects more often than others, in patterns and in events. */
static bool holds_object(uint64_t *random, size_t name)
{
    return chance(random, name == 2 || name == 4 ? 75 : 12);
}

static void name_write(struct writer *out, size_t index)
{
    writer_u8(out, '"');
    writer_text(out, names[index]);
    writer_text(out, "\":");
}

static void value_write(uint64_t *random, struct writer *out)
{
    size_t kind = below(random, 10);
    if (kind < 5) {
        pick(random, strings, COUNT(strings), out);
    } else if (kind < 9) {
        pick(random, numbers, COUNT(numbers), out);
    } else {
        pick(random, others, COUNT(others), out);
    }
}

/* ---- patterns ---- */

/* One of them, or up to three in an array. */
static void one_or_list(uint64_t *random, const char *const *texts, size_t count,
                        struct writer *out)
{
    if (chance(random, 50)) {
        pick(random, texts, count, out);
        return;
    }
    size_t left = 1 + below(random, 3);
    writer_u8(out, '[');
    while (left-- > 0) {
        pick(random, texts, count, out);
        if (left > 0) {
            writer_u8(out, ',');
        }
    }
    writer_u8(out, ']');
}

static void anything_but_write(uint64_t *random, struct writer *out)
{
    writer_text(out, "{\"anything-but\":");
    switch (below(random, 6)) {
    case 0:
        one_or_list(random, numbers, COUNT(numbers), out);
        break;
    case 1:
        one_or_list(random, strings, COUNT(strings), out);
        break;
    case 2:
        writer_text(out, "{\"prefix\":");
        one_or_list(random, strings + 1, COUNT(strings) - 1, out);
        writer_u8(out, '}');
        break;
    case 3:
        writer_text(out, "{\"suffix\":");
        one_or_list(random, strings + 1, COUNT(strings) - 1, out);
        writer_u8(out, '}');
        break;
    case 4:
        writer_text(out, "{\"equals-ignore-case\":");
        one_or_list(random, strings, COUNT(strings), out);
        writer_u8(out, '}');
        break;
    default:
        writer_text(out, "{\"wildcard\":");
        one_or_list(random, wildcards, COUNT(wildcards), out);
        writer_u8(out, '}');
        break;
    }
    writer_u8(out, '}');
}

static void numeric_write(uint64_t *random, struct writer *out)
{
    static const char *const single[] = {"=", "<", "<=", ">", ">="};
    static const char *const lows[] = {"-1e308", "-1", "-0", "0", "0.1", "1", "1.00"};
    static const char *const highs[] = {"1.0000000000000002", "5", "30", "29.99", "1e308", "256"};
    writer_text(out, "{\"numeric\":[\"");
    if (chance(random, 50)) {
        pick(random, single, COUNT(single), out);
        writer_text(out, "\",");
        pick(random, numbers, COUNT(numbers), out);
    } else {
        writer_text(out, chance(random, 50) ? ">\"," : ">=\",");
        pick(random, lows, COUNT(lows), out);
        writer_text(out, chance(random, 50) ? ",\"<\"," : ",\"<=\",");
        pick(random, highs, COUNT(highs), out);
    }
    writer_text(out, "]}");
}

static void text_test_write(uint64_t *random, struct writer *out)
{
    static const char *const kinds[] = {"prefix", "suffix"};
    writer_text(out, "{\"");
    if (chance(random, 30)) {
        writer_text(out, "equals-ignore-case\":");
        pick(random, strings, COUNT(strings), out);
        writer_u8(out, '}');
        return;
    }
    bool ignore_case = chance(random, 40);
    pick(random, kinds, COUNT(kinds), out);
    writer_text(out, ignore_case ? "\":{\"equals-ignore-case\":" : "\":");
    pick(random, strings, COUNT(strings), out);
    writer_text(out, ignore_case ? "}}" : "}");
}

static void test_write(uint64_t *random, struct writer *out)
{
    switch (below(random, 10)) {
    case 0:
    case 1:
    case 2:
        value_write(random, out);
        break;
    case 3:
    case 4:
        text_test_write(random, out);
        break;
    case 5:
        numeric_write(random, out);
        break;
    case 6:
        anything_but_write(random, out);
        break;
    case 7:
        writer_text(out, chance(random, 50) ? "{\"exists\":true}" : "{\"exists\":false}");
        break;
    case 8:
        writer_text(out, "{\"wildcard\":");
        pick(random, wildcards, COUNT(wildcards), out);
        writer_u8(out, '}');
        break;
    default:
        writer_text(out, "{\"cidr\":");
        pick(random, blocks, COUNT(blocks), out);
        writer_u8(out, '}');
        break;
    }
}

static void tests_write(uint64_t *random, struct writer *out)
{
    size_t left = chance(random, 60) ? 1 : 1 + below(random, 4);
    writer_u8(out, '[');
    while (left-- > 0) {
        test_write(random, out);
        if (left > 0) {
            writer_u8(out, ',');
        }
    }
    writer_u8(out, ']');
}

/* taken: a bit for each name that stands outside of the $or around it, and may not stand again. */
static void pattern_object(uint64_t *random, struct writer *out, unsigned depth, unsigned branches,
                           unsigned taken);

static void or_write(uint64_t *random, struct writer *out, unsigned depth, unsigned branches,
                     unsigned taken)
{
    size_t left = 2 + below(random, 2);
    writer_text(out, "\"$or\":[");
    while (left-- > 0) {
        pattern_object(random, out, depth, branches + 1, taken);
        if (left > 0) {
            writer_u8(out, ',');
        }
    }
    writer_u8(out, ']');
}

/* Some of the names, each once; branches: of $or around it. */
static void pattern_object(uint64_t *random, struct writer *out, unsigned depth, unsigned branches,
                           unsigned taken)
{
    size_t used = 0;
    writer_u8(out, '{');
    size_t must = below(random, COUNT(names) - 1);
    while ((taken >> must & 1) != 0) {
        must = (must + 1) % (COUNT(names) - 1);
    }
    for (size_t index = 0; index + 1 < COUNT(names); index++) {
        if ((taken >> index & 1) != 0 || (index != must && !chance(random, 9))) {
            continue;
        }
        taken |= 1u << index;
        if (used++ > 0) {
            writer_u8(out, ',');
        }
        name_write(out, index);
        if (depth + 1 < DEPTH_MAX && holds_object(random, index)) {
            pattern_object(random, out, depth + 1, branches, 0);
        } else {
            tests_write(random, out);
        }
    }
    bool is_full = (taken & NAMES_ALL) == NAMES_ALL;
    if (branches < 2 && !is_full && chance(random, 15)) {
        writer_u8(out, ',');
        or_write(random, out, depth, branches, taken);
    } else if (branches == 0 && chance(random, 3)) {
        writer_text(out, ",\"$or\":");
        tests_write(random, out);
    }
    writer_u8(out, '}');
}

void random_pattern_write(uint64_t *random, struct writer *json_out)
{
    pattern_object(random, json_out, 0, 0, 0);
}

/* ---- events ---- */

static void event_object(uint64_t *random, struct writer *out, unsigned depth);

/* An object, a value, or an array of them, which may hold arrays in turn. */
static void event_value(uint64_t *random, struct writer *out, unsigned depth, bool object)
{
    if (depth < DEPTH_MAX + 2 && chance(random, 33)) {
        size_t left = below(random, 5);
        writer_u8(out, '[');
        while (left-- > 0) {
            event_value(random, out, depth + 1, chance(random, 10) ? !object : object);
            if (left > 0) {
                writer_u8(out, ',');
            }
        }
        writer_u8(out, ']');
    } else if (object && depth <= DEPTH_MAX) {
        event_object(random, out, depth);
    } else {
        value_write(random, out);
    }
}

static void event_object(uint64_t *random, struct writer *out, unsigned depth)
{
    size_t used = 0;
    writer_u8(out, '{');
    for (size_t index = 0; index < COUNT(names); index++) {
        if (!chance(random, depth == 0 ? 60 : 40)) {
            continue;
        }
        if (used++ > 0) {
            writer_u8(out, ',');
        }
        name_write(out, index);
        event_value(random, out, depth + 1, holds_object(random, index));
    }
    writer_u8(out, '}');
}

void random_event_write(uint64_t *random, struct writer *json_out)
{
    event_object(random, json_out, 0);
}
