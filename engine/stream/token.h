/*
 * token.h: from where a subscription goes on, as its clients keep it: a position, or a place within
 * a snapshot.
 *
 * A plain token is a position's text (engine/journal/position.h). A token of a snapshot is, in
 * base64url without padding: a version byte of its own, the position up to which changes have been
 * delivered, the shard and the key after which the snapshot goes on, and a checksum. A token of a
 * consumer group is a position's text, '~', and the generation of its membership.
 *
 * Owner:   plain values; nothing is allocated.
 * Tests:   tests/unit/engine/stream/test_token.c, tests/fuzz/fuzz_token.c.
 */
#ifndef FRESHET_ENGINE_STREAM_TOKEN_H
#define FRESHET_ENGINE_STREAM_TOKEN_H

#include <stdbool.h>

#include "engine/journal/position.h"
#include "protocol/base/limits.h"

#define TOKEN_KEY_BYTES_MAX  (COLLECTION_NAME_BYTES_MAX + 1 + ID_BYTES_MAX)
#define TOKEN_TEXT_BYTES_MAX 1024

struct token {
    struct position position;
    bool in_snapshot;
    uint32_t shard;      /* in_snapshot: shards below it are done */
    size_t key_size;     /* in_snapshot: of this shard, what is up to this key is done */
    uint64_t generation; /* of a consumer group; 0: none */
    uint8_t key[TOKEN_KEY_BYTES_MAX];
};

/* At most TOKEN_TEXT_BYTES_MAX; fails the writer when they do not fit. */
void token_write(const struct token *token, struct writer *text_out);
/* INVALID when it is no token's text. */
MUST_USE enum status token_read(struct bytes text, struct token *out);

#endif
