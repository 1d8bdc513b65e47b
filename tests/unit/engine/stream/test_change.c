#include <criterion/criterion.h>

#include <stdio.h>
#include <xxhash.h>

#include "engine/stream/change.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

static uint8_t room[4][4096];

static struct bytes document_of(int index, const char *json)
{
    struct writer out = writer_of(room[index], sizeof(room[index]));
    cr_assert_eq(json_to_document(bytes_of_text(json), &out, NULL), STATUS_OK);
    return writer_bytes(&out);
}

static const struct store_id store = {{0x1f, 0x3a, 0x9c, 0x2e, 5, 6, 7, 8}};

/* 2026-01-01T00:00:00.007Z */
#define TIME_MS 1767225600007ull

static struct entry modify(void)
{
    return (struct entry){
        .sequence = 123,
        .epoch = 2,
        .time_ms = TIME_MS,
        .kind = ENTRY_PUT,
        .slot = 9,
        .has_old = true,
        .has_old_document = true,
        .collection = BYTES_LITERAL("pets"),
        .id = BYTES_LITERAL("rex"),
        .version = 3,
        .new_document = document_of(0, "{\"name\":\"Rex\",\"age\":4}"),
        .old_document = document_of(1, "{\"name\":\"Rex\",\"age\":3}"),
        .changed = document_of(2, "[\"age\"]"),
    };
}

static struct change change_from(const struct entry *entry)
{
    struct change change;
    cr_assert(change_of_entry(&store, entry, &change));
    return change;
}

static void expect_json(const struct writer *msgpack, const char *json)
{
    static uint8_t text[8192];
    struct writer out = writer_of(text, sizeof(text));
    cr_assert_eq(document_to_json(writer_bytes(msgpack), &out), STATUS_OK);
    cr_assert(bytes_equal(writer_bytes(&out), bytes_of_text(json)), "\n%.*s\n%s", (int)out.size,
              (const char *)text, json);
    cr_assert_eq(document_validate(writer_bytes(msgpack)), STATUS_OK);
}

static void expect(const struct change *change, enum change_view view,
                   enum change_transition transition, const char *json)
{
    static uint8_t bytes[8192];
    struct writer out = writer_of(bytes, sizeof(bytes));
    cr_assert_eq(change_write(change, view, transition, &out), STATUS_OK);
    expect_json(&out, json);
}

#define HEAD(name)                                                                                 \
    "{\"eventID\":\"1f3a9c2e-2-123\",\"eventName\":\"" name "\",\"eventSource\":\"freshet\","
#define MIDDLE(changed)                                                                            \
    "\"collection\":\"pets\",\"keys\":{\"id\":\"rex\"},\"sequence\":123,\"version\":3,"            \
    "\"time\":\"2026-01-01T00:00:00.007Z\",\"changed\":" changed
#define NEW ",\"newImage\":{\"id\":\"rex\",\"name\":\"Rex\",\"age\":4}"
#define OLD ",\"oldImage\":{\"id\":\"rex\",\"name\":\"Rex\",\"age\":3}"

Test(change, shows_what_its_view_asks_for)
{
    struct entry entry = modify();
    struct change change = change_from(&entry);
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, HEAD("MODIFY") MIDDLE("[\"age\"]") NEW OLD "}");
    expect(&change, CHANGE_VIEW_NEW, CHANGE_STAYS, HEAD("MODIFY") MIDDLE("[\"age\"]") NEW "}");
    expect(&change, CHANGE_VIEW_OLD, CHANGE_STAYS, HEAD("MODIFY") MIDDLE("[\"age\"]") OLD "}");
    expect(&change, CHANGE_VIEW_KEYS, CHANGE_STAYS, HEAD("MODIFY") MIDDLE("[\"age\"]") "}");
}

Test(change, leaves_out_the_side_that_the_pattern_excludes)
{
    struct entry entry = modify();
    struct change change = change_from(&entry);
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_ENTERS,
           HEAD("MODIFY") MIDDLE("[\"age\"]") ",\"transition\":\"enter\"" NEW "}");
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_LEAVES,
           HEAD("MODIFY") MIDDLE("[\"age\"]") ",\"transition\":\"leave\"" OLD "}");
    expect(&change, CHANGE_VIEW_NEW, CHANGE_LEAVES,
           HEAD("MODIFY") MIDDLE("[\"age\"]") ",\"transition\":\"leave\"}");
    expect(&change, CHANGE_VIEW_OLD, CHANGE_ENTERS,
           HEAD("MODIFY") MIDDLE("[\"age\"]") ",\"transition\":\"enter\"}");
}

Test(change, of_a_put_is_an_insert_when_there_was_nothing)
{
    struct entry entry = modify();
    entry.has_old = false;
    entry.has_old_document = false;
    entry.old_document = BYTES_EMPTY;
    entry.changed = BYTES_EMPTY;
    struct change change = change_from(&entry);
    cr_assert_eq(change.kind, CHANGE_INSERT);
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, HEAD("INSERT") MIDDLE("[]") NEW "}");
}

Test(change, of_a_delete_has_the_old_image_alone)
{
    struct entry entry = modify();
    entry.kind = ENTRY_DELETE;
    entry.new_document = BYTES_EMPTY;
    entry.changed = BYTES_EMPTY;
    struct change change = change_from(&entry);
    cr_assert_eq(change.kind, CHANGE_REMOVE);
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, HEAD("REMOVE") MIDDLE("[]") OLD "}");
    expect(&change, CHANGE_VIEW_NEW, CHANGE_STAYS, HEAD("REMOVE") MIDDLE("[]") "}");
}

Test(change, where_old_images_are_dropped_has_the_new_one_alone)
{
    struct entry entry = modify();
    entry.has_old_document = false;
    entry.old_document = BYTES_EMPTY;
    struct change change = change_from(&entry);
    cr_assert_eq(change.kind, CHANGE_MODIFY);
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, HEAD("MODIFY") MIDDLE("[\"age\"]") NEW "}");
}

Test(change, of_an_empty_document_is_an_image_with_its_id)
{
    struct entry entry = modify();
    entry.new_document = document_of(0, "{}");
    struct change change = change_from(&entry);
    expect(&change, CHANGE_VIEW_NEW, CHANGE_STAYS,
           HEAD("MODIFY") MIDDLE("[\"age\"]") ",\"newImage\":{\"id\":\"rex\"}}");
}

Test(change, of_a_document_with_many_members_counts_its_id)
{
    char json[1024] = "{";
    for (int i = 0; i < 15; i++) {
        snprintf(json + strlen(json), sizeof(json) - strlen(json), "%s\"m%d\":%d",
                 i == 0 ? "" : ",", i, i);
    }
    struct entry entry = modify();
    char whole[2048];
    snprintf(whole, sizeof(whole), "%s}", json);
    entry.new_document = document_of(0, whole);
    struct change change = change_from(&entry);
    snprintf(whole, sizeof(whole),
             HEAD("MODIFY") MIDDLE("[\"age\"]") ",\"newImage\":{\"id\":\"rex\",%s}}", json + 1);
    expect(&change, CHANGE_VIEW_NEW, CHANGE_STAYS, whole);
}

Test(change, that_is_an_event_has_its_own_members)
{
    struct entry entry = {
        .sequence = 123,
        .epoch = 2,
        .time_ms = TIME_MS,
        .kind = ENTRY_EVENT,
        .id = BYTES_LITERAL("0190"),
        .new_document = document_of(
            0, "{\"detail\":{\"n\":1.50},\"source\":\"shop\",\"detail-type\":\"sale\"}"),
    };
    struct change change = change_from(&entry);
    cr_assert_eq(change.kind, CHANGE_EVENT);
    cr_assert_eq(change.collection.size, 0);
    for (int view = 0; view < CHANGE_VIEW_COUNT; view++) {
        expect(&change, (enum change_view)view, CHANGE_STAYS,
               HEAD("EVENT") "\"source\":\"shop\",\"detail-type\":\"sale\",\"detail\":{\"n\":1.50},"
                             "\"sequence\":123,\"time\":\"2026-01-01T00:00:00.007Z\"}");
    }
}

Test(change, is_none_when_the_entry_is_the_journals_own)
{
    struct entry entry = {.sequence = 1, .kind = ENTRY_INTERNAL};
    struct change change;
    cr_assert_not(change_of_entry(&store, &entry, &change));
}

static void expect_judged(const struct change *change, bool before, const char *json)
{
    static uint8_t bytes[8192];
    struct writer out = writer_of(bytes, sizeof(bytes));
    cr_assert_eq(before ? change_write_judged_before(change, &out)
                        : change_write_judged(change, &out),
                 STATUS_OK);
    expect_json(&out, json);
}

Test(change, is_judged_by_all_of_it)
{
    struct entry entry = modify();
    struct change change = change_from(&entry);
    expect_judged(&change, false, HEAD("MODIFY") MIDDLE("[\"age\"]") NEW OLD "}");
    expect_judged(&change, true,
                  HEAD("MODIFY") MIDDLE(
                      "[\"age\"]") ",\"newImage\":{\"id\":\"rex\",\"name\":\"Rex\",\"age\":3}" OLD
                                   "}");
}

Test(change, that_removes_is_judged_by_the_old_image)
{
    struct entry entry = modify();
    entry.kind = ENTRY_DELETE;
    entry.new_document = BYTES_EMPTY;
    entry.changed = BYTES_EMPTY;
    struct change change = change_from(&entry);
    const char *judged = HEAD("REMOVE")
        MIDDLE("[]") ",\"newImage\":{\"id\":\"rex\",\"name\":\"Rex\",\"age\":3}" OLD "}";
    expect_judged(&change, false, judged);
    expect_judged(&change, true, judged);
}

Test(change, of_a_row_is_an_insert_with_its_slot)
{
    const struct slice_row row = {
        .collection = BYTES_LITERAL("pets"),
        .id = BYTES_LITERAL("rex"),
        .version = 3,
        .epoch = 2,
        .sequence = 123,
        .time_ms = TIME_MS,
        .document = document_of(0, "{\"name\":\"Rex\",\"age\":4}"),
    };
    struct change change;
    change_of_row(&store, &row, &change);
    expect(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, HEAD("INSERT") MIDDLE("[]") NEW "}");
    cr_assert_eq(change.slot, (uint8_t)XXH3_64bits("pets\0rex", 8));
}

Test(change, that_does_not_fit_is_too_large)
{
    struct entry entry = modify();
    struct change change = change_from(&entry);
    uint8_t bytes[512];
    struct writer whole = writer_of(bytes, sizeof(bytes));
    cr_assert_eq(change_write(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, &whole), STATUS_OK);
    for (size_t size = 0; size < whole.size; size++) {
        struct writer out = writer_of(bytes, size);
        cr_assert_eq(change_write(&change, CHANGE_VIEW_BOTH, CHANGE_STAYS, &out), STATUS_TOO_LARGE);
    }
}

Test(change, names_the_time_of_any_day)
{
    static const struct {
        uint64_t time_ms;
        const char *text;
    } times[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951782399999, "2000-02-28T23:59:59.999Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {951868800000, "2000-03-01T00:00:00.000Z"},
        {1798761599001, "2026-12-31T23:59:59.001Z"},
        {4107542400000, "2100-03-01T00:00:00.000Z"},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct entry entry = modify();
        entry.time_ms = times[i].time_ms;
        struct change change = change_from(&entry);
        char json[1024];
        snprintf(
            json, sizeof(json),
            HEAD("MODIFY") "\"collection\":\"pets\",\"keys\":{\"id\":\"rex\"},\"sequence\":123,"
                           "\"version\":3,\"time\":\"%s\",\"changed\":[\"age\"]}",
            times[i].text);
        expect(&change, CHANGE_VIEW_KEYS, CHANGE_STAYS, json);
    }
}
