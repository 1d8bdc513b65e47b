/*
 * matcher.h: many patterns against one event at once, at a cost close to independent of their
 * number.
 *
 * The event is flattened once: only values on paths that some pattern asks for are looked at. Each
 * path has its own index of tests: a hash of exact values, tries for prefix, suffix and their
 * case-insensitive forms, sorted ranges for numbers, a radix tree for addresses, one automaton for
 * wildcards, complements for anything-but and exists:false. A pattern's rarest condition brings it
 * up as a candidate; the others are then confirmed.
 *
 * Owner:     one thread. Nothing is shared.
 * Memory:    grows and shrinks with its patterns; adding or removing one costs by its own size.
 * Invariant: matcher_match names exactly the patterns for which pattern_matches is true, each once.
 * Tests:     tests/unit/engine/filter/ (differential: against pattern_matches and against a naive
 *            evaluator of its own over random patterns and events), bench/micro, ./dev bench
 *            filter.
 */
#ifndef FRESHET_ENGINE_FILTER_MATCHER_H
#define FRESHET_ENGINE_FILTER_MATCHER_H

#include "engine/filter/pattern.h"

struct matcher;

MUST_USE enum status matcher_create(struct matcher **out);
void matcher_destroy(struct matcher **matcher); /* accepts NULL */

/* `user` comes back from matcher_match. The pattern is borrowed until it is removed. *id_out names
 * it for matcher_remove. NO_MEMORY: nothing has changed. */
MUST_USE enum status matcher_add(struct matcher *matcher, const struct pattern *pattern, void *user,
                                 uint32_t *id_out);
void matcher_remove(struct matcher *matcher, uint32_t id);
uint32_t matcher_count(const struct matcher *matcher);

/* The users of all patterns that match, in no order; valid until the next call on the matcher.
 * Returns how many. Patterns must not be added or removed while the caller walks them. */
size_t matcher_match(struct matcher *matcher, struct bytes event, void *const **users_out);

size_t matcher_bytes(const struct matcher *matcher); /* of memory, its patterns not counted */

#endif
