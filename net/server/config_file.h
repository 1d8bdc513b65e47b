/*
 * config_file.h: the configuration file: settings, the collections, and rules.
 *
 *     threads: 2
 *     collections:
 *       - { name: pets, cache: { ttl: 1h } }
 *     rules:
 *       - name: refresh
 *         rule: |
 *           { "collection": "pets", "target": { "url": "http://127.0.0.1:8081/hook" } }
 *
 * libcyaml turns YAML into structs by a schema (config_file.c); a scan by libyaml beside it knows
 * at which line each key stands, so that every complaint names file, line and key.
 *
 * A rule is checked like one that is put over HTTP; a start puts those that differ from what is
 * stored. What the file no longer names stays.
 *
 * Owner:  the main thread. A config owns the memory of its collections, which the engine borrows.
 * Tests:  tests/unit/net/server/test_config_file.c, tests/fuzz/fuzz_config.c.
 */
#ifndef FRESHET_NET_SERVER_CONFIG_FILE_H
#define FRESHET_NET_SERVER_CONFIG_FILE_H

#include "engine/shard/collection.h"
#include "net/server/settings.h"
#include "protocol/base/bytes.h"

#define CONFIG_BYTES_MAX (1u << 20)

struct config_rule {
    struct bytes name;
    struct bytes document; /* MessagePack; rule_parse takes it */
};

struct config {
    struct collection *collections;
    uint32_t collection_count; /* COLLECTION_INTERNAL_COUNT more stand behind them */
    struct config_rule *rules;
    uint32_t rule_count;
    void *memory; /* config_file.c's */
};

/* Reads text, called `name` in messages, into settings (over what they are) and collections; where
 * it says nothing of these, the built-in pets and products. On failure *out is empty. */
MUST_USE enum status config_read(struct bytes text, const char *name, struct settings *settings,
                                 struct config *out, struct settings_problem *problem_out);
/* The same of a file; path NULL: no file. */
MUST_USE enum status config_load(const char *path, struct settings *settings, struct config *out,
                                 struct settings_problem *problem_out);
void config_deinit(struct config *config);

#endif
