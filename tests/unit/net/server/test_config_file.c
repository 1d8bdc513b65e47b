/* config_file.h: collections as the engine gets them, and messages that say where. Messages are
 * tested whole in tests/integration/test_server_config.py. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net/server/config_file.h"
#include "net/webhook/rule.h"

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

/* ---- rules ---- */

#define RULE "{\"target\":{\"url\":\"http://a/\"}}"

Test(config_file, rules_come_as_documents_beside_any_collections)
{
    static const char *const collections[] = {"", "collections: [ { name: pets } ]\n"};
    for (size_t i = 0; i < 2; i++) {
        char text[1024];
        struct config config;
        snprintf(text, sizeof(text),
                 "%srules:\n"
                 "  - name: refresh\n"
                 "    rule: |\n"
                 "      {\n"
                 "        \"collection\": \"pets\",\n"
                 "        \"target\": { \"url\": \"http://127.0.0.1:81/{id}\",\n"
                 "                      \"path\": { \"id\": \"$.keys.id\" } }\n"
                 "      }\n"
                 "  - { name: other, rule: '" RULE "' }\n",
                 collections[i]);
        cr_assert_eq(read(text, &config), STATUS_OK, "%s", problem.text);
        cr_assert_eq(config.collection_count, i == 0 ? 2 : 1);
        cr_assert(is(config.collections[0].name, "pets"));
        cr_assert_eq(config.rule_count, 2);
        cr_assert(is(config.rules[0].name, "refresh") && is(config.rules[1].name, "other"));
        for (uint32_t j = 0; j < 2; j++) {
            struct rule *rule;
            struct rule_problem words;
            cr_assert_eq(rule_parse(config.rules[j].name, config.rules[j].document, &rule, &words),
                         STATUS_OK, "%s", words.text);
            cr_assert(is(rule->collection, j == 0 ? "pets" : ""));
            rule_destroy(&rule);
        }
        config_deinit(&config);
        cr_assert_eq(config.rules, NULL);
    }
}

Test(config_file, may_have_no_rules)
{
    struct config config;
    cr_assert_eq(read("rules: []\n", &config), STATUS_OK, "%s", problem.text);
    cr_assert(config.rule_count == 0 && config.rules == NULL && config.collection_count == 2);
    config_deinit(&config);
}

Test(config_file, says_at_which_line_a_rule_is_wrong)
{
    static const struct {
        const char *text;
        const char *message;
    } wrong[] = {
        {"rules:\n - rule: '" RULE "'\n", "f:2: rules[0]: needs a name"},
        {"rules:\n - name: a\n", "f:2: rules[0]: needs a rule (JSON)"},
        {"rules:\n - name: a b\n   rule: '" RULE "'\n",
         "f:2: rules[0].name: 'a b' is not 1 to 128 of A-Z a-z 0-9 . _ -"},
        {"rules:\n - { name: a, rule: '" RULE "' }\n - { name: a, rule: '" RULE "' }\n",
         "f:3: rules[1].name: 'a' is there twice"},
        {"rules:\n - name: a\n   rule: { target: x }\n",
         "f:3: rules[0].rule: is not a single value"},
        {"rules:\n - name: a\n   file: x\n", "f:3: rules[0].file: there is no such key"},
        {"rules: { name: a }\n", "f:1: rules: is not a list"},
        {"rules:\n - name: a\n   rule: '{}'\n", "f:3: rules[0].rule: target: is missing"},
        {"rules:\n - name: a\n   rule: '{\"target\":{\"url\":\"http://a/\"},\"x\":1}'\n",
         "f:3: rules[0].rule: x: there is no such member; there are pattern, collection, target, "
         "retry, secret, enabled"},
        {"rules:\n - name: a\n   rule: "
         "'{\"target\":{\"url\":\"http://a/\"},\"collection\":\"none\"}'",
         "f:3: rules[0].rule: collection: there is no collection 'none'"},
        {"rules:\n - name: a\n   rule: '{'\n", "f:3: rules[0].rule: is not JSON: "},
        {"rules:\n - name: a\n   rule: |\n     {\n       \"target\": {\n         \"url\" 1 } }\n",
         "f:6: rules[0].rule: is not JSON: "},
        {"# a\nrules:\n - name: a\n   rule:\n    |\n     {\n       x\n     }\n",
         "f:7: rules[0].rule: is not JSON: "},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct config config;
        cr_assert_eq(read(wrong[i].text, &config), STATUS_INVALID, "%s", wrong[i].text);
        cr_assert_eq(strncmp(problem.text, wrong[i].message, strlen(wrong[i].message)), 0,
                     "%s\n%s\n%s", wrong[i].text, problem.text, wrong[i].message);
        cr_assert(config.rules == NULL && config.collections == NULL);
    }
}
