/*
 * rules_put.h: at a start, puts the rules of the configuration file that differ from those stored.
 *
 * One rule after the other: read, compare, put if it is another. A rule that is stored as the file
 * has it is left alone, so that it goes on from its position, and stays disabled if its target said
 * so. What the file does not name is left alone, too. A rule that cannot be put is logged and
 * passed over: the server starts all the same.
 *
 * Owner:   one thread, a client of the engine; rules and collections are borrowed.
 * Memory:  that of one rule at a time.
 * Time:    passed in.
 * Tests:   tests/integration/test_rules_config.py.
 */
#ifndef FRESHET_NET_SERVER_RULES_PUT_H
#define FRESHET_NET_SERVER_RULES_PUT_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/engine.h"
#include "net/server/config_file.h"
#include "net/server/log.h"

struct rules_put;

struct rules_put_options {
    struct engine_thread *engine_thread;
    const struct collection *internal; /* COLLECTION_INTERNAL_COUNT of them */
    const struct config_rule *rules;
    uint32_t rule_count;
    struct log *log; /* NULL: nobody */
};

MUST_USE enum status rules_put_create(const struct rules_put_options *options,
                                      struct rules_put **out);
/* In each turn of the thread, before it submits anything else. True: all are done. */
bool rules_put_step(struct rules_put *rules, uint64_t wall_ms);
/* Accepts NULL. With a request under way, which is so only when the thread was stopped in its
 * midst, the memory is left to the end of the process. */
void rules_put_destroy(struct rules_put **rules);

#endif
