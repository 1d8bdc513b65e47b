/* RFC 7396: its appendix, its edges, and a naive model. */
#include "protocol/document/merge_patch.h"

#include "tests/unit/protocol/document/helper.h"

TestSuite(merge_patch, .fini = free_kept);

static struct bytes merged(struct bytes target, struct bytes patch)
{
    struct writer out = new_writer(64 + 2 * (target.size + patch.size));
    cr_assert_eq(document_merge_patch(target, patch, &out), STATUS_OK);
    cr_assert_eq(document_validate(writer_bytes(&out)), STATUS_OK);
    return writer_bytes(&out);
}

static const char *merge(const char *target, const char *patch)
{
    return json_of(merged(target == NULL ? BYTES_EMPTY : document_of(target), document_of(patch)));
}

Test(merge_patch, the_table_in_appendix_a_of_the_rfc_holds)
{
    static const struct {
        const char *original;
        const char *patch;
        const char *result;
    } CASES[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t at = 0; at < sizeof(CASES) / sizeof(CASES[0]); at++) {
        cr_expect_str_eq(merge(CASES[at].original, CASES[at].patch), CASES[at].result);
    }
}

Test(merge_patch, an_absent_target_is_an_empty_object)
{
    cr_expect_str_eq(merge(NULL, "{}"), "{}");
    cr_expect_str_eq(merge(NULL, "{\"a\":1,\"b\":null,\"c\":{\"d\":null}}"), "{\"a\":1,\"c\":{}}");
    cr_expect_str_eq(merge(NULL, "[null]"), "[null]");
    cr_expect_str_eq(merge("1", "{\"a\":1}"), "{\"a\":1}");
}

Test(merge_patch, members_keep_their_place_and_new_ones_follow_in_the_order_of_the_patch)
{
    cr_expect_str_eq(merge("{\"a\":1,\"b\":2,\"c\":3}", "{\"z\":9,\"c\":null,\"a\":7,\"y\":8}"),
                     "{\"a\":7,\"b\":2,\"z\":9,\"y\":8}");
    cr_expect_str_eq(merge("{\"a\":{\"x\":1}}", "{\"a\":{\"y\":2,\"x\":null}}"),
                     "{\"a\":{\"y\":2}}");
    cr_expect_str_eq(merge("{\"a\":1}", "{}"), "{\"a\":1}");
}

Test(merge_patch, nulls_inside_arrays_and_of_the_target_stay)
{
    cr_expect_str_eq(merge("{\"a\":null,\"b\":1}", "{\"c\":[null,{\"d\":null}]}"),
                     "{\"a\":null,\"b\":1,\"c\":[null,{\"d\":null}]}");
}

Test(merge_patch, numbers_keep_their_text)
{
    cr_expect_str_eq(merge("{\"a\":1.50,\"b\":1}", "{\"b\":1E2}"), "{\"a\":1.50,\"b\":1E2}");
}

Test(merge_patch, what_is_no_document_is_refused)
{
    struct writer out = new_writer(100);
    struct bytes object = document_of("{\"a\":1}");
    cr_expect_eq(document_merge_patch(object, BYTES_EMPTY, &out), STATUS_INVALID);
    cr_expect_eq(document_merge_patch(object, BYTES_LITERAL("\x81\xA1x"), &out), STATUS_INVALID);
    cr_expect_eq(document_merge_patch(BYTES_LITERAL("\x81\xA1x"), object, &out), STATUS_INVALID);
    cr_expect_eq(document_merge_patch(BYTES_LITERAL("\x81\x01\x01"), object, &out), STATUS_INVALID);
    cr_expect_eq(document_merge_patch(object, BYTES_LITERAL("\x01\x01"), &out), STATUS_INVALID);
}

Test(merge_patch, a_result_that_does_not_fit_is_too_large_at_every_size)
{
    struct bytes target = document_of("{\"a\":{\"x\":1,\"y\":\"text\"},\"b\":[1,2]}");
    struct bytes patch = document_of("{\"a\":{\"z\":{\"q\":1.5}},\"c\":true}");
    size_t size = merged(target, patch).size;
    for (size_t capacity = 0; capacity < size; capacity++) {
        struct writer out = new_writer(size);
        out.capacity = capacity;
        cr_expect_eq(document_merge_patch(target, patch, &out), STATUS_TOO_LARGE);
    }
    struct writer out = new_writer(size);
    cr_expect_eq(document_merge_patch(target, patch, &out), STATUS_OK);
}

Test(merge_patch, all_levels_can_be_patched)
{
    struct writer target = new_writer(4000);
    for (int level = 1; level < DOCUMENT_DEPTH_MAX; level++) {
        document_write_map(&target, 2);
        document_write_string(&target, BYTES_LITERAL("n"));
        document_write_u64(&target, (uint64_t)level);
        document_write_string(&target, BYTES_LITERAL("d"));
    }
    struct writer patch = new_writer(4000);
    for (int level = 1; level < DOCUMENT_DEPTH_MAX; level++) {
        document_write_map(&patch, 1);
        document_write_string(&patch, BYTES_LITERAL("d"));
    }
    struct writer expected = new_writer(4000);
    writer_put(&expected, writer_bytes(&target));
    document_write_map(&target, 1);
    document_write_string(&target, BYTES_LITERAL("gone"));
    document_write_u64(&target, 1);
    document_write_map(&patch, 2);
    document_write_string(&patch, BYTES_LITERAL("gone"));
    document_write_null(&patch);
    document_write_string(&patch, BYTES_LITERAL("new"));
    document_write_u64(&patch, 2);
    document_write_map(&expected, 1);
    document_write_string(&expected, BYTES_LITERAL("new"));
    document_write_u64(&expected, 2);
    cr_assert_eq(document_validate(writer_bytes(&patch)), STATUS_OK);
    cr_assert(
        bytes_equal(merged(writer_bytes(&target), writer_bytes(&patch)), writer_bytes(&expected)));
}

/* ---- against a model that looks every name up by walking ---- */

static void model_merge(struct bytes target, struct bytes patch, struct writer *out)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    struct bytes other;
    if (!document_is_object(patch)) {
        document_write_raw(out, patch);
        return;
    }
    struct bytes result = document_of("{}");
    if (document_is_object(target)) {
        result = target;
    }
    cr_assert(document_cursor_open(patch, &cursor));
    while (document_next_member(&cursor, &name, &value)) {
        struct writer next = new_writer(64 + result.size + 2 * patch.size + target.size);
        if (document_is_null(value)) {
            cr_assert_eq(document_without_member(result, name, &next), STATUS_OK);
        } else {
            struct writer inner = new_writer(64 + 2 * value.size + target.size);
            if (!document_find(result, name, &other)) {
                other = BYTES_EMPTY;
            }
            model_merge(other, value, &inner);
            cr_assert_eq(document_set_member(result, name, writer_bytes(&inner), &next), STATUS_OK);
        }
        result = writer_bytes(&next);
    }
    document_write_raw(out, result);
}

/* Objects with few and with many members out of a small set of names, so that both sides meet. */
static void random_value(struct dice *dice, int depth, struct writer *out)
{
    uint32_t kind = dice_below(dice, depth > 0 ? 8 : 4);
    if (kind == 0) {
        document_write_null(out);
    } else if (kind == 1) {
        document_write_u64(out, dice_below(dice, 3));
    } else if (kind == 2) {
        document_write_string(out, bytes_of("abcdefgh", dice_below(dice, 9)));
    } else if (kind == 3) {
        document_write_array(out, 1);
        document_write_null(out);
    } else {
        uint32_t names = dice_below(dice, 4) == 0 ? 40 : 6;
        uint64_t chosen = dice_next(dice) & ((UINT64_C(1) << names) - 1);
        document_write_map(out, (uint32_t)__builtin_popcountll(chosen));
        uint32_t from = dice_below(dice, names);
        for (uint32_t at = 0; at < names; at++) {
            uint32_t name = (from + at) % names;
            if ((chosen >> name & 1) != 0) {
                char text[16];
                snprintf(text, sizeof(text), "name %u", name);
                document_write_string(out, bytes_of_text(text));
                random_value(dice, depth - 1, out);
            }
        }
    }
}

Test(merge_patch, any_patch_gives_what_the_model_gives)
{
    struct dice dice = dice_of_time("any_patch_gives_what_the_model_gives");
    for (int turn = 0; turn < 3000; turn++) {
        struct writer target = new_writer(1 << 18);
        struct writer patch = new_writer(1 << 18);
        struct writer model = new_writer(1 << 19);
        random_value(&dice, 3, &target);
        random_value(&dice, 3, &patch);
        if (target.failed || patch.failed) {
            continue;
        }
        model_merge(writer_bytes(&target), writer_bytes(&patch), &model);
        struct bytes result =
            merged(exact_copy(writer_bytes(&target)), exact_copy(writer_bytes(&patch)));
        cr_assert(document_equal(result, writer_bytes(&model)), "%s patched by %s gave %s, not %s",
                  json_of(writer_bytes(&target)), json_of(writer_bytes(&patch)), json_of(result),
                  json_of(writer_bytes(&model)));
        cr_assert_str_eq(json_of(result), json_of(writer_bytes(&model)));
        free_kept();
    }
}
