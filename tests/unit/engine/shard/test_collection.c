#include <criterion/criterion.h>
#include <stdio.h>

#include "engine/shard/collection.h"
#include "engine/shard/engine.h"
#include "protocol/document/json.h"

Test(collection, names_are_words_that_the_api_does_not_use_itself)
{
    const char *good[] = {"pets", "p", "A1", "a-b_c", "0"};
    const char *bad[] = {"",        "-a",      "_a",           "a b",   "a/b",
                         "metrics", "healthz", "openapi.json", "events"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(collection_name_valid(bytes_of_text(good[i])), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(collection_name_valid(bytes_of_text(bad[i])), "%s", bad[i]);
    }
    char longest[COLLECTION_NAME_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    cr_assert(collection_name_valid(bytes_of(longest, COLLECTION_NAME_BYTES_MAX)));
    cr_assert_not(collection_name_valid(bytes_of(longest, COLLECTION_NAME_BYTES_MAX + 1)));
}

Test(collection, each_is_found_by_its_name_and_nothing_else_is)
{
    static const char *const in_no_order[] = {"pets", "a", "products", "pet", "zz", "b-1"};
    struct collection all[6] = {{.number = 0}};
    struct collection_names names;
    for (uint32_t count = 0; count <= 6; count++) {
        for (uint32_t i = 0; i < count; i++) {
            all[i].name = bytes_of_text(in_no_order[i]);
        }
        collection_names_init(&names, all, count);
        for (uint32_t i = 0; i < 6; i++) {
            const struct collection *found =
                collection_names_find(&names, bytes_of_text(in_no_order[i]));
            cr_assert_eq(found, i < count ? &all[i] : NULL);
        }
        cr_assert_null(collection_names_find(&names, BYTES_EMPTY));
        cr_assert_null(collection_names_find(&names, BYTES_LITERAL("pett")));
        cr_assert_null(collection_names_find(&names, BYTES_LITERAL("zzz")));
    }
}

Test(collection, an_id_is_utf8_of_at_most_512_bytes_without_control_characters)
{
    char longest[ID_BYTES_MAX + 1];
    memset(longest, 'a', sizeof(longest));
    cr_assert(record_id_valid(bytes_of(longest, ID_BYTES_MAX)));
    cr_assert_not(record_id_valid(bytes_of(longest, ID_BYTES_MAX + 1)));
    cr_assert_not(record_id_valid(BYTES_EMPTY));
    const char *good[] = {" ",       "a/b", "\"", "\xc3\xa9", "\xf0\x9f\x90\x95", "\xef\xbf\xbf",
                          "\xc2\xa0"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(record_id_valid(bytes_of_text(good[i])), "%zu", i);
    }
    const char *bad[] = {"\x01", "a\n",      "\x7f",         "\xc2\x85",
                         "\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                         "\xff", "\x80",     "\xe0\x80\x80", "a\xc3"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert_not(record_id_valid(bytes_of_text(bad[i])), "%zu", i);
    }
    cr_assert_not(record_id_valid(bytes_of("a\0b", 3)));
}

Test(collection, the_slot_of_a_record_is_the_same_for_ever)
{
    /* XXH3_64 over collection, a zero byte and the id; changing it would lose every record. */
    const struct collection pets = {.name = BYTES_LITERAL("pets")};
    const struct collection products = {.name = BYTES_LITERAL("products")};
    cr_assert_eq(engine_hash(&pets, BYTES_LITERAL("1")), 0x68fddc5b140acff0ull);
    cr_assert_eq(engine_hash(&products, BYTES_LITERAL("1")), 0xd78e7797d8bb1ba0ull);
    cr_assert_eq(engine_hash(&products, BYTES_LITERAL("\xc3\xa9")), 0x236227e67ba9bd72ull);
}

static uint8_t scratch_bytes[DOCUMENT_BYTES_MAX];

static enum status conform(const struct collection *collection, const char *json,
                           const char *old_json, char *text_out)
{
    uint8_t bytes[4096];
    uint8_t old_bytes[4096];
    struct writer document = writer_of(bytes, sizeof(bytes));
    struct writer old_document = writer_of(old_bytes, sizeof(old_bytes));
    cr_assert_eq(json_to_document(bytes_of_text(json), &document, NULL), STATUS_OK);
    if (old_json != NULL) {
        cr_assert_eq(json_to_document(bytes_of_text(old_json), &old_document, NULL), STATUS_OK);
    }
    struct writer scratch = writer_of(scratch_bytes, sizeof(scratch_bytes));
    struct bytes result;
    struct detail detail;
    enum status status =
        collection_conform(collection, writer_bytes(&document), writer_bytes(&old_document),
                           &scratch, &result, &detail);
    if (status == STATUS_OK) {
        struct writer text = writer_of(text_out, 4095);
        cr_assert_eq(document_to_json(result, &text), STATUS_OK);
        text_out[text.size] = '\0';
    } else {
        memcpy(text_out, detail.text, sizeof(detail.text));
    }
    return status;
}

Test(collection, kept_members_come_from_the_old_document_and_never_from_the_client)
{
    struct collection collection = {.name = BYTES_LITERAL("products"), .kept_count = 1};
    collection.kept[0] = BYTES_LITERAL("images");
    char text[4096];
    cr_assert_eq(conform(&collection, "{\"a\":1,\"images\":2}", "{\"images\":3}", text), STATUS_OK);
    cr_assert_str_eq(text, "{\"a\":1,\"images\":3}");
    cr_assert_eq(conform(&collection, "{\"a\":1,\"images\":2}", NULL, text), STATUS_OK);
    cr_assert_str_eq(text, "{\"a\":1}");
}

Test(collection, an_indexed_value_over_the_limit_is_refused_with_the_field_named)
{
    struct collection collection = {.name = BYTES_LITERAL("products"), .index_count = 1};
    collection.indexes[0] = BYTES_LITERAL("category");
    char json[1024];
    char text[4096];
    char value[INDEX_VALUE_BYTES_MAX + 1];
    memset(value, 'x', sizeof(value));
    snprintf(json, sizeof(json), "{\"category\":\"%.*s\"}", INDEX_VALUE_BYTES_MAX, value);
    cr_assert_eq(conform(&collection, json, NULL, text), STATUS_OK);
    snprintf(json, sizeof(json), "{\"category\":\"%.*s\"}", INDEX_VALUE_BYTES_MAX + 1, value);
    cr_assert_eq(conform(&collection, json, NULL, text), STATUS_UNPROCESSABLE);
    cr_assert_str_eq(text, "the indexed field \"category\" is over 512 bytes");
    cr_assert_eq(conform(&collection, "{\"category\":[1]}", NULL, text), STATUS_OK);
    cr_assert_eq(conform(&collection, "{\"category\":null}", NULL, text), STATUS_OK);
}
