/*
 * config_scan.h: which line of a YAML text each key and element stands at, for messages that say
 * where; and the one form that the schema cannot say: a mapping that may also be a word (`cache:
 * off`) is rewritten as `cache: { enabled: off }`.
 *
 * Owner:  config_file.c; freed with config_scan_deinit. Bounds: CONFIG_NODES_MAX keys and elements,
 * CONFIG_DEPTH_MAX nested; no anchors, aliases or second documents. Tests:  through
 * tests/unit/net/server/test_config_file.c, tests/fuzz/fuzz_config.c.
 */
#ifndef FRESHET_NET_SERVER_CONFIG_SCAN_H
#define FRESHET_NET_SERVER_CONFIG_SCAN_H

#include "net/server/settings.h"
#include "protocol/base/bytes.h"

#define CONFIG_NODES_MAX      65536
#define CONFIG_DEPTH_MAX      8
#define CONFIG_PATH_BYTES_MAX 256

struct config_node {
    char *path; /* "collections[1].cache.ttl" */
    uint32_t line;
    bool is_key;         /* of a mapping, not an element of a list */
    uint32_t block_line; /* its value is a block (`|`), whose first line this is; 0: it is none */
};

struct config_scan {
    struct config_node *nodes; /* in the order of the text */
    size_t count;
    size_t capacity;
    uint8_t *text; /* rewritten */
    size_t text_size;
};

/* INVALID with the line in problem_out, NO_MEMORY. name is what messages call the text. On failure
 * *out is empty. */
MUST_USE enum status config_scan_init(struct bytes text, const char *name, struct config_scan *out,
                                      struct settings_problem *problem_out);
void config_scan_deinit(struct config_scan *scan);
bool config_scan_has(const struct config_scan *scan, const char *path);
/* The line of a path, or of the nearest thing around it that has one. */
uint32_t config_scan_line(const struct config_scan *scan, const char *path);
/* The first line of the block (`|`) that is the value of a path; 0: it is none. */
uint32_t config_scan_block(const struct config_scan *scan, const char *path);
/* The key that came as number `count` of all keys, from 1; NULL: there are fewer. */
const struct config_node *config_scan_key(const struct config_scan *scan, size_t count);

#endif
