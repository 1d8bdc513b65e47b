#include "net/webhook/event_path.h"
#include "protocol/document/document.h"
#include "webhook_documents.h"

static const char *found(const char *path, const char *json)
{
    struct bytes value;
    const char *reason;
    size_t size;
    cr_assert(event_path_scan(bytes_of_text(path), &size, &reason), "%s: %s", path, reason);
    cr_assert_eq(size, strlen(path), "%s: only %zu bytes", path, size);
    if (!event_path_find(bytes_of_text(path), document_of(json), &value)) {
        return "absent";
    }
    static uint8_t buffer[4096];
    struct writer out = writer_of(buffer, sizeof(buffer));
    cr_assert_eq(document_to_json(value, &out), STATUS_OK);
    return text_of(writer_bytes(&out));
}

Test(event_path, finds_members_elements_and_the_event_itself)
{
    static const char event[] = "{\"a\":{\"b\":[10,{\"c\":\"x\"},[1,2]]},\"detail-type\":true,"
                                "\"a.b\":null,\"\":5,\"\xC3\xA9\":6}";
    cr_assert_str_eq(found("$.a.b[0]", event), "10");
    cr_assert_str_eq(found("$.a.b[1].c", event), "\"x\"");
    cr_assert_str_eq(found("$.a.b[2][1]", event), "2");
    cr_assert_str_eq(found("$['a'][\"b\"][1]['c']", event), "\"x\"");
    cr_assert_str_eq(found("$.detail-type", event), "true");
    cr_assert_str_eq(found("$['a.b']", event), "null");
    cr_assert_str_eq(found("$['']", event), "5");
    cr_assert_str_eq(found("$.\xC3\xA9", event), "6");
    cr_assert_str_eq(found("$", "[1]"), "[1]");
    cr_assert_str_eq(found("$[0]", "[1]"), "1");
}

Test(event_path, finds_nothing_where_there_is_nothing_of_that_kind)
{
    static const char event[] = "{\"a\":[1,2],\"b\":{\"0\":1},\"c\":\"text\"}";
    static const char *const absent[] = {"$.x",   "$.a[2]", "$.a[9999999]", "$.a.x",   "$.b[0]",
                                         "$.c.x", "$.c[0]", "$[0]",         "$.a[0].x"};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
        cr_assert_str_eq(found(absent[i], event), "absent", "%s", absent[i]);
    }
}

Test(event_path, says_what_is_wrong_with_a_path_and_where)
{
    static const struct {
        const char *path;
        size_t at;
        const char *words;
    } wrong[] = {
        {"", 0, "begins with '$'"},       {"a", 0, "begins with '$'"},
        {"$.", 2, "name is missing"},     {"$..a", 2, "name is missing"},
        {"$.a.", 4, "name is missing"},   {"$[", 2, "is missing after '['"},
        {"$[]", 2, "after '['"},          {"$[*]", 2, "after '['"},
        {"$[-1]", 2, "after '['"},        {"$[1", 3, "']' is missing"},
        {"$['a", 4, "does not end"},      {"$['a'", 5, "']' is missing"},
        {"$['a'x]", 5, "']' is missing"}, {"$[10000000]", 9, "over 9999999"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const char *reason;
        size_t at;
        cr_assert_not(event_path_scan(bytes_of_text(wrong[i].path), &at, &reason), "%s",
                      wrong[i].path);
        cr_assert_not_null(strstr(reason, wrong[i].words), "%s: %s", wrong[i].path, reason);
        cr_assert_eq(at, wrong[i].at, "%s: at %zu", wrong[i].path, at);
    }
}

Test(event_path, stops_at_what_is_no_step)
{
    const char *reason;
    size_t size;
    cr_assert(event_path_scan(bytes_of_text("$.a> b"), &size, &reason));
    cr_assert_eq(size, 3);
    cr_assert(event_path_scan(bytes_of_text("$.a['>']>"), &size, &reason));
    cr_assert_eq(size, 8);
}

Test(event_path, has_at_most_32_steps)
{
    char path[2 * EVENT_PATH_STEPS_MAX + 4] = "$";
    const char *reason;
    size_t size;
    for (size_t i = 0; i < EVENT_PATH_STEPS_MAX; i++) {
        memcpy(path + 1 + 2 * i, ".a", 2);
    }
    cr_assert(event_path_scan(bytes_of_text(path), &size, &reason));
    memcpy(path + 1 + 2 * (size_t)EVENT_PATH_STEPS_MAX, ".a", 2);
    cr_assert_not(event_path_scan(bytes_of_text(path), &size, &reason));
    cr_assert_str_eq(reason, "a path has over 32 steps");
}
