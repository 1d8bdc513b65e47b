/* config_file.h: collections as the engine gets them, and messages that say where. Messages are
 * tested whole in tests/integration/test_server_config.py. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net/server/config_file.h"

static struct settings settings;
static struct settings_problem problem;

static enum status read(const char *text, struct config *config)
{
    settings_defaults(&settings);
    return config_read(bytes_of_text(text), "f", &settings, config, &problem);
}

static bool is(struct bytes bytes, const char *text)
{
    return bytes_equal(bytes, bytes_of_text(text));
}

Test(config_file, nothing_means_pets_and_products)
{
    static const char *const texts[] = {"", "# nothing\n", "threads: 2\n"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config config;
        cr_assert_eq(read(texts[i], &config), STATUS_OK, "%s", problem.text);
        cr_assert_eq(config.collection_count, 2);
        const struct collection *pets = &config.collections[0];
        const struct collection *products = &config.collections[1];
        cr_assert(is(pets->name, "pets") && is(pets->singular, "Pet"));
        cr_assert_eq(pets->ttl.record_ns, SETTING_H);
        cr_assert_eq(pets->ttl.popular_ns, 0);
        cr_assert_eq(pets->ttl.list_ns, SETTING_H);
        cr_assert(pets->cached && pets->old_images && pets->kept_count == 0);
        cr_assert(is(products->name, "products") && is(products->singular, "Product"));
        cr_assert_eq(products->ttl.popular_hits, 100);
        cr_assert_eq(products->ttl.list_ns, SETTING_H / 2);
        cr_assert_eq(products->ttl.index_ns, 2 * SETTING_H);
        cr_assert(products->index_count == 1 && is(products->indexes[0], "category"));
        cr_assert(products->kept_count == 1 && is(products->kept[0], "images"));
        cr_assert_eq(products->field_count, 4);
        cr_assert_eq(products->fields[2].type, FIELD_NUMBER);
        cr_assert_eq(products->fields[2].default_value.size, 1);
        config_deinit(&config);
        cr_assert_eq(config.collections, NULL);
    }
}

Test(config_file, settings_keep_what_the_file_does_not_name)
{
    struct config config;
    cr_assert_eq(
        read("threads: 3\ncache: { unauthorized_invalidation: succeed_with_response_header }\n",
             &config),
        STATUS_OK, "%s", problem.text);
    cr_assert_eq(settings.threads, 3);
    cr_assert_eq(settings.unauthorized_invalidation, 1);
    cr_assert_eq(settings.cache, 1);
    cr_assert_eq(settings.cache_bytes, 256 * MIB);
    config_deinit(&config);
}

Test(config_file, off_may_stand_for_the_mapping_of_a_cache)
{
    struct config config;
    cr_assert_eq(
        read("data: \"\xc3\xa4\xe2\x82\xac\"\ncache: off # \xc3\xa4\n"
             "collections: [ { name: a, cache: OFF }, { name: b, cache: { enabled: no } },\n"
             "  { name: c, cache: on }, { name: cache } ]\n",
             &config),
        STATUS_OK, "%s", problem.text);
    cr_assert_eq(settings.cache, 0);
    cr_assert_str_eq(settings.data.text, "\xc3\xa4\xe2\x82\xac");
    cr_assert_eq(config.collection_count, 4);
    cr_assert(!config.collections[0].cached && !config.collections[1].cached);
    cr_assert(config.collections[2].cached && config.collections[3].cached);
    config_deinit(&config);
    cr_assert_eq(read("cache: \"off\"\n", &config), STATUS_INVALID);
}

Test(config_file, lines_are_right_behind_a_rewritten_word)
{
    struct config config;
    cr_assert_eq(
        read("cache: off\ncollections:\n- { name: a, cache: off }\n- name: b\n  x: 1\n", &config),
        STATUS_INVALID);
    cr_assert_str_eq(problem.text, "f:5: collections[1].x: there is no such key");
}

Test(config_file, limits_hold_at_their_edges)
{
    static char text[1 << 20];
    for (int extra = 0; extra < 2; extra++) {
        int at = snprintf(text, sizeof(text), "collections:\n - { name: a, indexes: [");
        for (int i = 0; i < INDEX_COUNT_MAX + extra; i++) {
            at += snprintf(text + at, sizeof(text) - (size_t)at, "i%d,", i);
        }
        snprintf(text + at, sizeof(text) - (size_t)at, "] }\n");
        struct config config;
        cr_assert_eq(read(text, &config), extra == 0 ? STATUS_OK : STATUS_INVALID, "%s",
                     problem.text);
        config_deinit(&config);
        at = snprintf(text, sizeof(text), "collections:\n");
        for (int i = 0; i < COLLECTION_COUNT_MAX + extra; i++) {
            at += snprintf(text + at, sizeof(text) - (size_t)at, "- name: c%d\n", i);
        }
        cr_assert_eq(read(text, &config), extra == 0 ? STATUS_OK : STATUS_INVALID, "%s",
                     problem.text);
        config_deinit(&config);
        at = snprintf(text, sizeof(text), "collections:\n - name: ");
        memset(text + at, 'a', (size_t)(COLLECTION_NAME_BYTES_MAX + extra));
        text[at + COLLECTION_NAME_BYTES_MAX + extra] = '\0';
        cr_assert_eq(read(text, &config), extra == 0 ? STATUS_OK : STATUS_INVALID, "%s",
                     problem.text);
        config_deinit(&config);
    }
}

Test(config_file, deep_nesting_and_long_keys_are_refused)
{
    static char text[100000];
    struct config config;
    memset(text, '[', 50000);
    cr_assert_eq(read(text, &config), STATUS_INVALID);
    memset(text, 'a', 50000);
    memcpy(text + 50000, ": 1", 4);
    cr_assert_eq(read(text, &config), STATUS_INVALID);
}
