/*
 * field.h: what the values of request header fields mean.
 *
 * An entity tag of ours is strong: "0-<epoch>-<sequence>", the lane (there is one on one machine)
 * and two hexadecimal numbers without leading zeros.
 *
 * Owner:     the caller; nothing is allocated or kept.
 * Tests:     tests/unit/net/rest/test_field.c, tests/fuzz/fuzz_target.c.
 */
#ifndef FRESHET_NET_REST_FIELD_H
#define FRESHET_NET_REST_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/request.h"
#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/base/status.h"

/* Two quotes, the lane, two dashes, two numbers of 16 digits. */
#define FIELD_ENTITY_TAG_BYTES_MAX 37

void field_entity_tag_write(uint64_t epoch, uint64_t sequence, struct writer *out);

/*
 * If-Match and If-None-Match: "*", or a list of tags of which those that are ours go to tags
 * (PRECONDITION_TAGS_MAX of them). A weak tag counts only with weak_comparison (If-None-Match).
 * INVALID for anything else, TOO_LARGE for more of our tags than fit.
 */
MUST_USE enum status field_precondition(struct bytes value, bool weak_comparison,
                                        struct entity_tag *tags, struct precondition *out);

/* Whether a precondition that was read names a record in this state. */
bool field_precondition_names(const struct precondition *condition, uint64_t epoch,
                              uint64_t sequence);

/* Cache-Control of a request: true for no-cache and for max-age=0. What it does not understand it
 * passes over. */
bool field_asks_refresh(struct bytes cache_control);
bool field_has_token(struct bytes list, struct bytes token);

/* True when a Content-Type is the type given (lower case), whatever its parameters. */
bool field_media_type_is(struct bytes content_type, struct bytes type);

/* What an Accept gives a media type (lower case): 0 (not at all) to 1000, by the most specific of
 * its ranges; by_name: only a range without a '*' counts. */
uint32_t field_accept_quality(struct bytes accept, struct bytes type, bool by_name);

/*
 * Idempotency-Key: 1 to IDEMPOTENCY_KEY_BYTES_MAX bytes of visible ASCII; or a structured string
 * ("…" with \" and \\), which names the same key as its content does bare. buffer holds
 * IDEMPOTENCY_KEY_BYTES_MAX. INVALID, TOO_LARGE.
 */
MUST_USE enum status field_idempotency_key(struct bytes value, uint8_t *buffer,
                                           struct bytes *key_out);

/* ASCII letters without regard to case; b is lower case. */
bool field_equals(struct bytes a, struct bytes b_lower);

/* Lower-case hexadecimal without leading zeros. */
void field_hex_write(uint64_t value, struct writer *out);

#endif
