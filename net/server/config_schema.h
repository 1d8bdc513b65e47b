/*
 * config_schema.h: the shape of the configuration file, for libcyaml. All values are texts;
 * config_file.c reads them.
 *
 * Owner: config_file.c. What libcyaml allocated is freed by config_schema_free.
 * Tests: tests/unit/net/server/test_config_file.c.
 */
#ifndef FRESHET_NET_SERVER_CONFIG_SCHEMA_H
#define FRESHET_NET_SERVER_CONFIG_SCHEMA_H

#include <stdint.h>

#include "net/server/settings.h"
#include "protocol/base/bytes.h"

#define CONFIG_RULES_MAX 1024

/* Any text may be absent: NULL. */
struct config_field {
    char *name;
    char *type;
    char *default_value;
};

struct config_cache {
    char *enabled;
    char *ttl;
    char *popular_ttl;
    char *popular_hits;
    char *list_ttl;
    char *index_ttl;
};

struct config_collection {
    char *name;
    char *singular;
    struct config_cache *cache;
    char **indexes;
    uint32_t indexes_count;
    char *images;
    char *old_images;
    struct config_field *fields;
    uint32_t fields_count;
};

struct config_rule_entry {
    char *name;
    char *rule; /* JSON */
};

struct config_cache_settings {
    char *enabled;
    char *unauthorized_invalidation;
};

#define CONFIG_MEMBER_TOP(member) char *member;
#define CONFIG_MEMBER_CACHE(member)

struct config_document {
#define CONFIG_MEMBER(place, member, ...) CONFIG_MEMBER_##place(member)
    SETTINGS_TABLE(CONFIG_MEMBER)
#undef CONFIG_MEMBER
    struct config_cache_settings *cache;
    struct config_collection *collections;
    uint32_t collections_count;
    struct config_rule_entry *rules;
    uint32_t rules_count;
};

/* Why libcyaml refused. */
struct config_refusal {
    bool unknown_key;
    size_t keys;    /* how many keys had been read, the one refused included */
    char text[160]; /* its words */
};

/* *out is NULL when the text holds no document. INVALID fills refusal_out. */
MUST_USE enum status config_schema_load(struct bytes text, struct config_document **out,
                                        struct config_refusal *refusal_out);
void config_schema_free(struct config_document *document); /* accepts NULL */

#endif
