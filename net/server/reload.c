#include "net/server/reload.h"

#include <stdio.h>
#include <string.h>

#include "net/webhook/rule.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

static const char needs_restart[] = "needs a restart";

void reload_settings(struct settings *running, const struct settings *fresh, struct log *log)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        const struct setting *setting = settings_at(i);
        if (setting_equal(setting, running, fresh)) {
            continue;
        }
        if (setting->time == SETTING_AT_RELOAD) {
            setting_copy(setting, running, fresh);
            ASSERT(setting_equal(setting, running, fresh));
            log_say(log, LOG_INFO, "changed", LOG_TEXT("setting", setting->name));
        } else {
            log_say(log, LOG_WARNING, needs_restart, LOG_TEXT("setting", setting->name));
        }
    }
}

static struct collection *collection_find(const struct config *config, struct bytes name)
{
    for (uint32_t i = 0; i < config->collection_count; i++) {
        if (bytes_equal(config->collections[i].name, name)) {
            return &config->collections[i];
        }
    }
    return NULL;
}

static bool fields_equal(const struct collection *a, const struct collection *b)
{
    bool equal = a->field_count == b->field_count;
    for (uint32_t i = 0; equal && i < a->field_count; i++) {
        equal = bytes_equal(a->fields[i].name, b->fields[i].name) &&
                a->fields[i].type == b->fields[i].type &&
                bytes_equal(a->fields[i].default_value, b->fields[i].default_value);
    }
    return equal;
}

/* All but the times of the cache. */
static bool collection_equal(const struct collection *a, const struct collection *b)
{
    bool equal = bytes_equal(a->singular, b->singular) && a->cached == b->cached &&
                 a->old_images == b->old_images && a->kept_count == b->kept_count &&
                 a->index_count == b->index_count && fields_equal(a, b);
    for (uint32_t i = 0; equal && i < a->index_count; i++) {
        equal = bytes_equal(a->indexes[i], b->indexes[i]);
    }
    return equal;
}

static void ttl_copy(struct collection_ttl *to, const struct collection_ttl *from)
{
    atomic_store(&to->record_ns, atomic_load(&from->record_ns));
    atomic_store(&to->popular_ns, atomic_load(&from->popular_ns));
    atomic_store(&to->popular_hits, atomic_load(&from->popular_hits));
    atomic_store(&to->list_ns, atomic_load(&from->list_ns));
    atomic_store(&to->index_ns, atomic_load(&from->index_ns));
}

static void collection_say(struct log *log, const struct collection *collection)
{
    char name[sizeof("collections.") + COLLECTION_NAME_BYTES_MAX];
    snprintf(name, sizeof(name), "collections.%.*s", (int)collection->name.size,
             (const char *)collection->name.data);
    log_say(log, LOG_WARNING, needs_restart, LOG_TEXT("setting", name));
}

void reload_collections(struct config *running, const struct config *fresh, struct log *log)
{
    for (uint32_t i = 0; i < running->collection_count; i++) {
        struct collection *old = &running->collections[i];
        const struct collection *now = collection_find(fresh, old->name);
        if (now == NULL || !collection_equal(old, now)) {
            collection_say(log, old);
        }
        if (now != NULL) {
            ttl_copy(&old->ttl, &now->ttl);
        }
    }
    for (uint32_t i = 0; i < fresh->collection_count; i++) {
        if (collection_find(running, fresh->collections[i].name) == NULL) {
            collection_say(log, &fresh->collections[i]);
        }
    }
}

static bool rule_is_known(const struct config *config, const struct config_rule *rule)
{
    for (uint32_t i = 0; i < config->rule_count; i++) {
        if (bytes_equal(config->rules[i].name, rule->name)) {
            return document_equal(config->rules[i].document, rule->document);
        }
    }
    return false;
}

void reload_rules(const struct config *running, const struct config *fresh, struct log *log)
{
    for (uint32_t i = 0; i < fresh->rule_count; i++) {
        const struct config_rule *rule = &fresh->rules[i];
        if (!rule_is_known(running, rule)) {
            char name[sizeof("rules.") + RULE_NAME_BYTES_MAX];
            snprintf(name, sizeof(name), "rules.%.*s", (int)rule->name.size,
                     (const char *)rule->name.data);
            log_say(log, LOG_WARNING, needs_restart, LOG_TEXT("setting", name));
        }
    }
}
