/*
 * follow.h: what is asked of the change stream, and in which words it is refused: the same whether
 * it is asked over HTTP or over the binary protocol.
 *
 * Owner:   the caller; nothing is kept.
 * Errors:  a status, and in detail_out the words that go with it; empty: the status says all.
 * Tests:   tests/unit/net/rest/test_follow.c, tests/integration/test_changes.py, test_consumers.py,
 *          test_wire_changes.py.
 */
#ifndef FRESHET_NET_REST_FOLLOW_H
#define FRESHET_NET_REST_FOLLOW_H

#include "engine/stream/consumers.h"
#include "engine/stream/stream.h"
#include "net/rest/problem.h"

/* NULL: there is none of that name, or it is the server's own. */
const struct collection *follow_collection_find(const struct collection_names *names,
                                                struct bytes name);

/*
 * A pattern from its JSON, which is first made MessagePack in document_out: its bytes are the
 * writer's afterwards. The pattern is the caller's. INVALID, UNPROCESSABLE, TOO_LARGE: 400, with
 * words; NO_MEMORY.
 */
MUST_USE enum status follow_pattern_read(struct bytes json, struct writer *document_out,
                                         struct pattern **out, struct detail *detail_out);
/*
 * A consumer's pattern, as MessagePack, before it is put: one that no reader of `collection`
 * (empty: all) could use is refused. As follow_pattern_read.
 */
MUST_USE enum status follow_consumer_pattern_check(const struct collection_names *names,
                                                   struct bytes collection, struct bytes pattern,
                                                   struct detail *detail_out);
/* What a consumer reads, from its definition: collection and pattern, which is then the caller's.
 * CONFLICT with words: it can be read no more; NO_MEMORY. */
MUST_USE enum status follow_definition_read(const struct collection_names *names,
                                            struct bytes definition,
                                            struct subscription_options *out,
                                            struct detail *detail_out);

/* Why stream_subscribe refused, or a subscription ended. To POSITION_EXPIRED belong the positions
 * that there are. */
struct problem follow_problem(enum status status, enum subscription_from from);
/* Why a consumer's request failed. words: of the request; borrowed. */
struct problem follow_consumer_problem(enum status status, const struct detail *words);

#endif
