/* Many patterns at once: found once each, forgotten when removed, judged as each is alone. */
#include "engine/filter/matcher.h"
#include "tests/unit/engine/filter/helper.h"

TestSuite(matcher, .fini = free_kept);

#define MANY 3000

struct entry {
    struct pattern *pattern;
    uint32_t id;
    uint32_t found;
};

static struct matcher *new_matcher(void)
{
    struct matcher *matcher;
    cr_assert_eq(matcher_create(&matcher), STATUS_OK);
    return matcher;
}

static void add(struct matcher *matcher, struct entry *entry, const char *json)
{
    entry->pattern = pattern_of(json);
    cr_assert_eq(matcher_add(matcher, entry->pattern, entry, &entry->id), STATUS_OK);
}

static void drop(struct matcher *matcher, struct entry *entry)
{
    matcher_remove(matcher, entry->id);
    pattern_destroy(&entry->pattern);
}

static size_t match(struct matcher *matcher, struct bytes event)
{
    void *const *users;
    size_t count = matcher_match(matcher, event, &users);
    for (size_t index = 0; index < count; index++) {
        struct entry *entry = users[index];
        entry->found++;
    }
    return count;
}

static size_t count_of(struct matcher *matcher, struct bytes event)
{
    void *const *users;
    return matcher_match(matcher, event, &users);
}

/* What the matcher names is what each pattern says of itself. */
static void compare(struct matcher *matcher, struct entry *entries, size_t count,
                    struct bytes event)
{
    size_t expected = 0;
    size_t found = match(matcher, event);
    for (size_t index = 0; index < count; index++) {
        bool alone =
            entries[index].pattern != NULL && pattern_matches(entries[index].pattern, event);
        cr_assert_eq(entries[index].found, alone ? 1 : 0, "entry %zu: %s", index, json_of(event));
        entries[index].found = 0;
        expected += alone;
    }
    cr_assert_eq(found, expected);
}

Test(matcher, without_patterns_nothing_matches)
{
    struct matcher *matcher = new_matcher();
    cr_expect_eq(matcher_count(matcher), 0);
    cr_expect_eq(count_of(matcher, document_of("{\"a\":1}")), 0);
    matcher_destroy(&matcher);
    cr_expect_null(matcher);
    matcher_destroy(&matcher);
}

Test(matcher, equal_patterns_of_several_users_are_all_found)
{
    struct matcher *matcher = new_matcher();
    struct entry entries[3] = {{0}};
    for (size_t index = 0; index < 3; index++) {
        add(matcher, &entries[index], "{\"a\":[\"x\"],\"b\":[{\"exists\":true}]}");
    }
    compare(matcher, entries, 3, document_of("{\"a\":\"x\",\"b\":1}"));
    drop(matcher, &entries[1]);
    compare(matcher, entries, 3, document_of("{\"a\":\"x\",\"b\":1}"));
    cr_expect_eq(matcher_count(matcher), 2);
    drop(matcher, &entries[0]);
    drop(matcher, &entries[2]);
    cr_expect_eq(count_of(matcher, document_of("{\"a\":\"x\",\"b\":1}")), 0);
    matcher_destroy(&matcher);
}

Test(matcher, a_pattern_that_matches_by_several_alternatives_is_found_once)
{
    struct matcher *matcher = new_matcher();
    struct entry entry = {0};
    add(matcher, &entry,
        "{\"$or\":[{\"a\":[1]},{\"b\":[2]},{\"a\":[1,2],\"b\":[{\"exists\":true}]}]}");
    cr_expect_eq(match(matcher, document_of("{\"a\":1,\"b\":2}")), 1);
    cr_expect_eq(entry.found, 1);
    drop(matcher, &entry);
    matcher_destroy(&matcher);
}

Test(matcher, what_is_only_about_absence_is_found_too)
{
    struct matcher *matcher = new_matcher();
    struct entry entries[2] = {{0}};
    add(matcher, &entries[0], "{\"a\":[{\"exists\":false}]}");
    add(matcher, &entries[1], "{\"a\":[{\"exists\":false}],\"b\":[{\"exists\":false},1]}");
    compare(matcher, entries, 2, document_of("{}"));
    compare(matcher, entries, 2, document_of("{\"b\":1}"));
    compare(matcher, entries, 2, document_of("{\"b\":2}"));
    compare(matcher, entries, 2, document_of("{\"a\":1}"));
    cr_expect_eq(count_of(matcher, document_of("{}")), 2);
    drop(matcher, &entries[0]);
    drop(matcher, &entries[1]);
    matcher_destroy(&matcher);
}

Test(matcher, elements_of_arrays_are_kept_apart)
{
    struct matcher *matcher = new_matcher();
    struct entry entries[2] = {{0}};
    add(matcher, &entries[0], "{\"a\":{\"x\":[1],\"y\":[2]}}");
    add(matcher, &entries[1], "{\"a\":{\"x\":[1],\"y\":[{\"exists\":false}]}}");
    compare(matcher, entries, 2, document_of("{\"a\":[{\"x\":1},{\"y\":2}]}"));
    cr_expect_eq(count_of(matcher, document_of("{\"a\":[{\"x\":1},{\"y\":2}]}")), 1);
    compare(matcher, entries, 2, document_of("{\"a\":[{\"x\":1,\"y\":2},{\"y\":2}]}"));
    compare(matcher, entries, 2, document_of("{\"a\":{\"x\":1}}"));
    drop(matcher, &entries[0]);
    drop(matcher, &entries[1]);
    matcher_destroy(&matcher);
}

/* ---- many of one kind, which come and go ---- */

static void churn(void (*write_pattern)(struct dice *, char *, size_t),
                  void (*write_event)(struct dice *, char *, size_t), const char *name)
{
    struct matcher *matcher = new_matcher();
    struct entry *entries = keep_new(MANY * sizeof(*entries));
    struct dice dice = dice_of_time(name);
    memset(entries, 0, MANY * sizeof(*entries));
    char text[512];
    size_t empty_bytes = matcher_bytes(matcher);
    for (size_t round = 0; round < 4; round++) {
        for (size_t index = 0; index < MANY; index++) {
            if (entries[index].pattern == NULL && dice_below(&dice, 3) > 0) {
                write_pattern(&dice, text, sizeof(text));
                add(matcher, &entries[index], text);
            } else if (entries[index].pattern != NULL && dice_below(&dice, 2) > 0) {
                drop(matcher, &entries[index]);
            }
        }
        for (size_t event = 0; event < 20; event++) {
            write_event(&dice, text, sizeof(text));
            compare(matcher, entries, MANY, document_of(text));
        }
    }
    size_t full_bytes = matcher_bytes(matcher);
    for (size_t index = 0; index < MANY; index++) {
        if (entries[index].pattern != NULL) {
            drop(matcher, &entries[index]);
        }
    }
    cr_expect_eq(matcher_count(matcher), 0);
    cr_expect_lt(empty_bytes, full_bytes);
    matcher_destroy(&matcher);
}

static void range_pattern(struct dice *dice, char *out, size_t room)
{
    static const char *const LOW[] = {">", ">="};
    static const char *const HIGH[] = {"<", "<="};
    int low = (int)dice_below(dice, 100) - 50;
    int high = low + 1 + (int)dice_below(dice, 20);
    switch (dice_below(dice, 4)) {
    case 0:
        (void)snprintf(out, room, "{\"p\":[{\"numeric\":[\"%s\",%d]}]}", LOW[dice_below(dice, 2)],
                       low);
        break;
    case 1:
        (void)snprintf(out, room, "{\"p\":[{\"numeric\":[\"%s\",%d.5]}]}",
                       HIGH[dice_below(dice, 2)], high);
        break;
    default:
        (void)snprintf(out, room, "{\"p\":[{\"numeric\":[\"%s\",%d,\"%s\",%d.25]}]}",
                       LOW[dice_below(dice, 2)], low, HIGH[dice_below(dice, 2)], high);
        break;
    }
}

static void range_event(struct dice *dice, char *out, size_t room)
{
    (void)snprintf(out, room, "{\"p\":[%d,%d.25]}", (int)dice_below(dice, 140) - 70,
                   (int)dice_below(dice, 100));
}

Test(matcher, thousands_of_ranges_come_and_go)
{
    churn(range_pattern, range_event, "ranges");
}

static void write_word(struct dice *dice, char *out, size_t size_max)
{
    size_t size = dice_below(dice, (uint32_t)size_max) + 1;
    for (size_t at = 0; at < size; at++) {
        out[at] = (char)("abAB"[dice_below(dice, 4)]);
    }
    out[size] = 0;
}

static void text_pattern(struct dice *dice, char *out, size_t room)
{
    static const char *const FORMATS[] = {
        "{\"p\":[{\"prefix\":\"%s\"}]}",
        "{\"p\":[{\"suffix\":\"%s\"}]}",
        "{\"p\":[{\"prefix\":{\"equals-ignore-case\":\"%s\"}}]}",
        "{\"p\":[{\"suffix\":{\"equals-ignore-case\":\"%s\"}}]}",
        "{\"p\":[{\"equals-ignore-case\":\"%s\"}]}",
        "{\"p\":[{\"wildcard\":\"*%s*\"}]}",
        "{\"p\":[{\"wildcard\":\"%s*%s\"}]}",
        "{\"p\":[{\"wildcard\":\"*%s*%s*\"}]}",
        "{\"p\":[{\"wildcard\":\"*%s*%s\"}],\"q\":[true]}",
        "{\"p\":[\"%s\",\"%s\"],\"q\":[{\"anything-but\":\"%s\"}]}",
    };
    char words[3][128];
    write_word(dice, words[0], dice_below(dice, 50) == 0 ? 100 : 9);
    write_word(dice, words[1], 9);
    write_word(dice, words[2], 2);
    const char *format = FORMATS[dice_below(dice, sizeof(FORMATS) / sizeof(FORMATS[0]))];
    /* As many words as the format has places. */
    const char *word = words[0];
    size_t size = 0;
    for (size_t next = 1; *format != 0; format++) {
        if (format[0] == '%') {
            size += (size_t)snprintf(out + size, room - size, "%s", word);
            word = words[next++ % 3];
            format++;
        } else {
            out[size++] = *format;
        }
    }
    cr_assert_lt(size, room);
    out[size] = 0;
}

static void text_event(struct dice *dice, char *out, size_t room)
{
    char words[2][128];
    write_word(dice, words[0], dice_below(dice, 4) == 0 ? 120 : 12);
    write_word(dice, words[1], 2);
    (void)snprintf(out, room, "{\"p\":\"%s\",\"q\":%s%s%s}", words[0],
                   dice_below(dice, 2) == 0 ? "\"" : "true,\"r\":\"", words[1], "\"");
}

Test(matcher, thousands_of_texts_come_and_go)
{
    churn(text_pattern, text_event, "texts");
}

/* Lists that share their words, so that each word is in many, with few conditions beside. */
static void list_pattern(struct dice *dice, char *out, size_t room)
{
    size_t size = (size_t)snprintf(out, room, "{\"p\":[");
    for (uint32_t left = dice_below(dice, 4); left > 0; left--) {
        size += (size_t)snprintf(out + size, room - size, "\"%u\",", dice_below(dice, 30));
    }
    size += (size_t)snprintf(out + size, room - size, "\"%u\"]", dice_below(dice, 30));
    if (dice_below(dice, 3) > 0) {
        size += (size_t)snprintf(out + size, room - size, ",\"q\":[%u]", dice_below(dice, 4));
    }
    if (dice_below(dice, 3) > 0) {
        size += (size_t)snprintf(out + size, room - size, ",\"r\":[{\"numeric\":[\">\",%u]}]",
                                 dice_below(dice, 4));
    }
    (void)snprintf(out + size, room - size, "}");
}

static void list_event(struct dice *dice, char *out, size_t room)
{
    uint32_t word = dice_below(dice, 30);
    uint32_t number = dice_below(dice, 4);
    uint32_t other = dice_below(dice, 5);
    switch (dice_below(dice, 3)) {
    case 0:
        (void)snprintf(out, room, "{\"p\":\"%u\",\"q\":%u,\"r\":%u}", word, number, other);
        break;
    case 1:
        (void)snprintf(out, room, "{\"r\":[%u,%u],\"q\":[%u,9],\"p\":[\"%u\",\"%u\"]}", number,
                       other, number, word, other);
        break;
    default:
        (void)snprintf(out, room, "{\"q\":%u,\"p\":[\"%u\",\"%u\"]}", number, word, other);
        break;
    }
}

Test(matcher, thousands_of_lists_come_and_go)
{
    churn(list_pattern, list_event, "lists");
}

static void block_pattern(struct dice *dice, char *out, size_t room)
{
    if (dice_below(dice, 2) == 0) {
        (void)snprintf(out, room, "{\"p\":[{\"cidr\":\"10.%u.%u.0/%u\"}]}", dice_below(dice, 3),
                       dice_below(dice, 250), dice_below(dice, 33));
    } else {
        (void)snprintf(out, room, "{\"p\":[{\"cidr\":\"2001:db8:%x::/%u\"}]}", dice_below(dice, 16),
                       dice_below(dice, 129));
    }
}

static void block_event(struct dice *dice, char *out, size_t room)
{
    (void)snprintf(out, room, "{\"p\":[\"10.%u.%u.0\",\"2001:db8:%x::%x\",\"x\"]}",
                   dice_below(dice, 3), dice_below(dice, 250), dice_below(dice, 16),
                   dice_below(dice, 2));
}

Test(matcher, thousands_of_networks_come_and_go)
{
    churn(block_pattern, block_event, "networks");
}

/* Around the sizes by which pieces of text are told apart. */
Test(matcher, pieces_of_any_size_are_found)
{
    static const char *const FORMATS[] = {
        "{\"p\":[{\"prefix\":\"%s\"}]}", "{\"p\":[{\"suffix\":\"%s\"}]}",
        "{\"p\":[{\"wildcard\":\"%s*x\"}]}", "{\"p\":[{\"wildcard\":\"x*%s\"}]}",
        "{\"p\":[{\"wildcard\":\"x*%s*x\"}]}"};
    for (size_t format = 0; format < sizeof(FORMATS) / sizeof(FORMATS[0]); format++) {
        for (size_t size = 1; size <= 70; size++) {
            struct matcher *matcher = new_matcher();
            struct entry entry = {0};
            char word[80] = {0};
            char pattern[160];
            char event[300];
            memset(word, 'a', size);
            word[size / 2] = 'b';
            (void)snprintf(pattern, sizeof(pattern), FORMATS[format], word);
            add(matcher, &entry, pattern);
            (void)snprintf(event, sizeof(event), "{\"p\":[\"%sx\",\"x%s\",\"x%sx\"]}", word, word,
                           word);
            cr_expect_eq(count_of(matcher, document_of(event)), 1, "%s %s", pattern, event);
            word[size / 2] = 'c';
            (void)snprintf(event, sizeof(event), "{\"p\":[\"%sx\",\"x%s\",\"x%sx\"]}", word, word,
                           word);
            cr_expect_eq(count_of(matcher, document_of(event)), 0, "%s %s", pattern, event);
            drop(matcher, &entry);
            matcher_destroy(&matcher);
        }
    }
}

Test(matcher, an_event_with_a_large_array_is_judged_whole)
{
    struct matcher *matcher = new_matcher();
    struct entry entries[2] = {{0}};
    add(matcher, &entries[0], "{\"p\":[9999]}");
    add(matcher, &entries[1], "{\"p\":[10000]}");
    char *text = keep_new(100000);
    size_t size = (size_t)snprintf(text, 100000, "{\"p\":[0");
    for (int number = 1; number < 10000; number++) {
        size += (size_t)snprintf(text + size, 100000 - size, ",%d", number);
    }
    (void)snprintf(text + size, 100000 - size, "]}");
    compare(matcher, entries, 2, document_of(text));
    cr_expect_eq(count_of(matcher, document_of(text)), 1);
    drop(matcher, &entries[0]);
    drop(matcher, &entries[1]);
    matcher_destroy(&matcher);
}

/* More than are looked for at once, with what other fields say still to come. */
Test(matcher, what_comes_behind_a_large_array_counts)
{
    static const char *const PATTERNS[] = {
        "{\"a\":[7],\"z\":[\"w\"]}",
        "{\"a\":[7],\"z\":[\"v\"]}",
        "{\"a\":[{\"numeric\":[\">=\",8,\"<\",9]}],\"z\":[\"w\"]}",
        "{\"a\":[{\"numeric\":[\">=\",8,\"<\",9]}],\"z\":[\"v\"]}",
        "{\"a\":[\"first\"],\"n\":[{\"numeric\":[\">\",4,\"<\",6]}]}",
        "{\"a\":[\"first\"],\"n\":[{\"numeric\":[\">\",5]}]}",
        "{\"t\":[{\"wildcard\":\"*abcdefgh*ijklmnop*\"}]}",
        "{\"t\":[{\"wildcard\":\"*abcdefgh*ijklmnoq*\"}]}",
    };
    enum { COUNT = sizeof(PATTERNS) / sizeof(PATTERNS[0]), ROOM = 20000, ELEMENTS = 1000 };
    struct matcher *matcher = new_matcher();
    struct entry entries[COUNT] = {{0}};
    for (size_t index = 0; index < COUNT; index++) {
        add(matcher, &entries[index], PATTERNS[index]);
    }
    char *text = keep_new(ROOM);
    size_t size = (size_t)snprintf(text, ROOM, "{\"a\":[\"first\",0");
    for (int number = 1; number < ELEMENTS; number++) {
        size += (size_t)snprintf(text + size, ROOM - size, ",%d", number);
    }
    (void)snprintf(text + size, ROOM - size,
                   "],\"t\":\"abcdefgh%0*dijklmnop\",\"n\":5,\"z\":\"w\"}", ELEMENTS, 0);
    compare(matcher, entries, COUNT, document_of(text));
    cr_expect_eq(count_of(matcher, document_of(text)), COUNT / 2);
    for (size_t index = 0; index < COUNT; index++) {
        drop(matcher, &entries[index]);
    }
    matcher_destroy(&matcher);
}

Test(matcher, half_an_event_harms_nobody)
{
    struct matcher *matcher = new_matcher();
    struct entry entry = {0};
    add(matcher, &entry, "{\"a\":{\"b\":[\"xyz\"]},\"c\":[1.5]}");
    struct bytes event = document_of("{\"x\":[1,{\"y\":2}],\"a\":[{\"b\":\"xyz\"}],\"c\":1.5}");
    cr_assert_eq(count_of(matcher, event), 1);
    for (size_t size = 0; size < event.size; size++) {
        (void)count_of(matcher, exact_copy(bytes_of(event.data, size)));
    }
    drop(matcher, &entry);
    matcher_destroy(&matcher);
}
