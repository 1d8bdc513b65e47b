/*
 * pattern.h: an event pattern: parsed, checked, and evaluated alone against one event.
 *
 * The language is EventBridge's, whole (its own words: docs in README, "Patterns"): exact values,
 * prefix, suffix, equals-ignore-case (also inside prefix and suffix), anything-but (a value, a
 * list, or around prefix, suffix, equals-ignore-case, wildcard), numeric, exists, cidr, wildcard,
 * $or. AND over fields, OR within an array, arrays of the event by intersection and consistently
 * across one element of an array of objects.
 *
 * A parsed pattern is in disjunctive normal form: alternatives, each a set of conditions on
 * distinct leaf paths, each an or of tests. The matcher (matcher.h) is built from that form;
 * pattern_matches evaluates it directly: the reference for one pattern and one event, for
 * catch-up, POST /patterns/test and explanations.
 *
 * Owner:     constant once made; any thread may evaluate.
 * Meaning:   a condition is met by any value at its path that passes one of its tests; an array
 *            stands for its elements. All values that one alternative picks lie in the same element
 *            of every array that holds more than one of them. exists:false holds where no value
 *            (null is one; an empty array or an object is none) stands at the path within the
 *            elements that the other conditions picked.
 * Memory:    a few blocks, from pattern_parse; bounded by the complexity budget.
 * Cost:      one walk of the event for each alternative; no search, whatever arrays it holds.
 * Errors:    a pattern that is invalid, or over the budget, is refused when it is given, and
 *            detail_out says why, naming the field.
 * Tests:     tests/unit/engine/filter/, tests/fuzz/fuzz_pattern.c.
 */
#ifndef FRESHET_ENGINE_FILTER_PATTERN_H
#define FRESHET_ENGINE_FILTER_PATTERN_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

/* The complexity budget. */
#define PATTERN_JSON_BYTES_MAX   (64u << 10)
#define PATTERN_DEPTH_MAX        32
#define PATTERN_CONDITIONS_MAX   256 /* of one alternative */
#define PATTERN_ALTERNATIVES_MAX 64  /* after $or is multiplied out */
#define PATTERN_TESTS_MAX        4096
#define PATTERN_WILDCARDS_MAX    16 /* stars in one wildcard */
#define PATTERN_VALUE_BYTES_MAX  4096

struct pattern;

struct pattern_problem {
    char text[256]; /* in plain words, with the field's path; NUL-terminated */
};

/* document: the pattern as MessagePack (json_to_document of its text). INVALID, or UNPROCESSABLE
 * over the budget; NO_MEMORY. */
MUST_USE enum status pattern_parse(struct bytes document, struct pattern **out,
                                   struct pattern_problem *problem_out);
void pattern_destroy(struct pattern **pattern); /* accepts NULL */

/* event: one MessagePack object, as stored (not validated again). */
bool pattern_matches(const struct pattern *pattern, struct bytes event);
/* Why it does not match: the path of the first field, in the pattern's order, whose tests all fail
 * (of the alternative that got furthest). False when it does match. */
bool pattern_explain(const struct pattern *pattern, struct bytes event, struct writer *path_out);
/* Whether a condition stands on a path that begins with this top-level name ("oldImage"). */
bool pattern_mentions(const struct pattern *pattern, struct bytes top_level_name);
size_t pattern_bytes(const struct pattern *pattern); /* of memory */

#endif
