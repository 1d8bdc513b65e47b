/*
 * random_pattern.h: random patterns and random events, as JSON, made of so few names and values
 * that they often meet: every operator, nested objects, arrays of values and of objects, $or, many
 * spellings of the same number, text beyond ASCII, addresses, and values at the edges.
 *
 * Owner:   the caller; the same seed gives the same texts.
 */
#ifndef FRESHET_TESTS_SUPPORT_RANDOM_PATTERN_H
#define FRESHET_TESTS_SUPPORT_RANDOM_PATTERN_H

#include "protocol/base/bytes.h"
#include "protocol/base/dice.h"

/* Both texts fit into this. */
#define RANDOM_PATTERN_JSON_BYTES_MAX (64u << 10)

/* Nearly always a valid pattern. */
void random_pattern_write(uint64_t *random, struct writer *json_out);
void random_event_write(uint64_t *random, struct writer *json_out);

#endif
