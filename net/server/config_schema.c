#include "net/server/config_schema.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "protocol/base/assert.h"

#define VALUE_BYTES_MAX 4096
#define RULE_BYTES_MAX  (256u << 10)

/* All is optional for libcyaml; config_file.c says what is needed, in words of its own. */
#define OPTIONAL (CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL)

#define TEXT_FIELD(structure, member)                                                              \
    CYAML_FIELD_STRING_PTR(#member, OPTIONAL, structure, member, 0, VALUE_BYTES_MAX)

/* A list of `entry`, as a pointer and a count beside it. */
#define LIST_FIELD(structure, member, entry_schema, entries_max)                                   \
    CYAML_FIELD_SEQUENCE(#member, OPTIONAL, structure, member, entry_schema, 0, entries_max)

static const cyaml_schema_value_t text_schema = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char *, 0, VALUE_BYTES_MAX),
};

static const cyaml_schema_field_t field_fields[] = {
    TEXT_FIELD(struct config_field, name),
    TEXT_FIELD(struct config_field, type),
    CYAML_FIELD_STRING_PTR("default", OPTIONAL, struct config_field, default_value, 0,
                           VALUE_BYTES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t field_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_field, field_fields),
};

static const cyaml_schema_field_t cache_fields[] = {
    TEXT_FIELD(struct config_cache, enabled),
    TEXT_FIELD(struct config_cache, ttl),
    TEXT_FIELD(struct config_cache, popular_ttl),
    TEXT_FIELD(struct config_cache, popular_hits),
    TEXT_FIELD(struct config_cache, list_ttl),
    TEXT_FIELD(struct config_cache, index_ttl),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t collection_fields[] = {
    TEXT_FIELD(struct config_collection, name),
    TEXT_FIELD(struct config_collection, singular),
    CYAML_FIELD_MAPPING_PTR("cache", OPTIONAL, struct config_collection, cache, cache_fields),
    LIST_FIELD(struct config_collection, indexes, &text_schema, INDEX_COUNT_MAX),
    TEXT_FIELD(struct config_collection, images),
    TEXT_FIELD(struct config_collection, old_images),
    LIST_FIELD(struct config_collection, fields, &field_schema, 64),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t collection_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_collection, collection_fields),
};

static const cyaml_schema_field_t rule_fields[] = {
    TEXT_FIELD(struct config_rule_entry, name),
    CYAML_FIELD_STRING_PTR("rule", OPTIONAL, struct config_rule_entry, rule, 0, RULE_BYTES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t rule_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_rule_entry, rule_fields),
};

static const cyaml_schema_field_t cache_settings_fields[] = {
    TEXT_FIELD(struct config_cache_settings, enabled),
    TEXT_FIELD(struct config_cache_settings, unauthorized_invalidation),
    CYAML_FIELD_END,
};

#define SCHEMA_TOP(member) TEXT_FIELD(struct config_document, member),
#define SCHEMA_CACHE(member)

static const cyaml_schema_field_t document_fields[] = {
#define SCHEMA_FIELD(place, member, ...) SCHEMA_##place(member)
    SETTINGS_TABLE(SCHEMA_FIELD)
#undef SCHEMA_FIELD
        CYAML_FIELD_MAPPING_PTR("cache", OPTIONAL, struct config_document, cache,
                                cache_settings_fields),
    LIST_FIELD(struct config_document, collections, &collection_schema, COLLECTION_COUNT_MAX),
    LIST_FIELD(struct config_document, rules, &rule_schema, CONFIG_RULES_MAX),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t document_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config_document, document_fields),
};

/*
 * libcyaml says where by the place of the value before. It also says each key that it reads, as
 * "[key]": so the count of these is the number of the key at which it stopped, and config_scan
 * knows that one's line.
 */
static void schema_log(cyaml_log_t level, void *context, const char *format, va_list arguments)
{
    struct config_refusal *refusal = context;
    if (level == CYAML_LOG_INFO && format[strspn(format, " ")] == '\0') {
        return;
    }
    char text[sizeof(refusal->text)];
    vsnprintf(text, sizeof(text), format, arguments);
    text[strcspn(text, "\n")] = '\0';
    if (level == CYAML_LOG_INFO && strncmp(text, "Load: [", 7) == 0) {
        refusal->keys++;
    } else if (level == CYAML_LOG_ERROR && refusal->text[0] == '\0') {
        memcpy(refusal->text, text, sizeof(text));
    }
}

static cyaml_config_t schema_config(struct config_refusal *refusal)
{
    return (cyaml_config_t){
        .log_fn = schema_log,
        .log_ctx = refusal,
        .log_level = CYAML_LOG_INFO,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_NO_ALIAS,
    };
}

enum status config_schema_load(struct bytes text, struct config_document **out,
                               struct config_refusal *refusal_out)
{
    *out = NULL;
    *refusal_out = (struct config_refusal){.keys = 0};
    ASSERT(text.data != NULL);
    cyaml_config_t config = schema_config(refusal_out);
    cyaml_err_t error = cyaml_load_data(text.data, text.size, &config, &document_schema,
                                        (cyaml_data_t **)out, NULL);
    if (error == CYAML_OK) {
        return STATUS_OK;
    }
    ASSERT(*out == NULL);
    refusal_out->unknown_key = error == CYAML_ERR_INVALID_KEY;
    if (refusal_out->text[0] == '\0') {
        snprintf(refusal_out->text, sizeof(refusal_out->text), "%s", cyaml_strerror(error));
    }
    return error == CYAML_ERR_OOM ? STATUS_NO_MEMORY : STATUS_INVALID;
}

void config_schema_free(struct config_document *document)
{
    struct config_refusal refusal;
    const cyaml_config_t config = schema_config(&refusal);
    cyaml_err_t error = cyaml_free(&config, &document_schema, document, 0);
    ASSERT(error == CYAML_OK);
}
