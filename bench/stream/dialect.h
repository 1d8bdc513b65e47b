/*
 * dialect.h: how each kind of server is written to and subscribed to: what is sent, and where an
 * answer ends.
 *
 * Owner:   the caller; nothing is kept.
 */
#ifndef FRESHET_BENCH_STREAM_DIALECT_H
#define FRESHET_BENCH_STREAM_DIALECT_H

#include "bench/stream/notices.h"
#include "bench/stream/options.h"
#include "protocol/base/bytes.h"

/* What a write takes beside its text: heads, names, the other fields. */
#define DIALECT_OVERHEAD_BYTES 512
#define DIALECT_REQUEST_BYTES_MAX                                                                  \
    (STREAM_VALUE_BYTES_MAX + STREAM_COLLECTION_BYTES_MAX + DIALECT_OVERHEAD_BYTES)
/* An answer may hold the record as it now is. */
#define DIALECT_ANSWER_BYTES_MAX (DIALECT_REQUEST_BYTES_MAX + 4096)

enum dialect_state { DIALECT_MORE, DIALECT_DONE, DIALECT_BAD };

/* Which of the writes in flight on this connection an answer is for. */
enum dialect_which { DIALECT_NONE, DIALECT_OLDEST, DIALECT_ALL, DIALECT_BY_ID };

struct dialect_answer {
    size_t size; /* of its bytes; what follows is the next one's */
    enum dialect_which which;
    uint32_t id;        /* the low bits of the write's serial number */
    struct bytes reply; /* to be sent back; may be empty */
};

/* What is asked for before all else, and what it takes to know that it has been done. */
typedef void dialect_request(const struct stream_options *options, uint32_t index,
                             struct writer *out);
typedef enum dialect_state dialect_begun(const struct stream_options *options, struct bytes bytes,
                                         struct bytes *rest_out);

struct dialect {
    enum notices_framing framing; /* of what a subscriber is sent */
    /* Once, on a connection of its own, before writers and subscribers come. NULL: nothing. */
    dialect_request *setup;
    dialect_begun *setup_done;
    /* By a writer, before its first write; index is its own. NULL: nothing. */
    dialect_request *greet;
    dialect_begun *greeted;
    /* index is the subscriber's, for a pattern of its own; what is behind the answer is
     * rest_out. */
    dialect_request *subscribe;
    dialect_begun *subscribed;
    /* The write that carries this serial number: no other write has the same content. */
    void (*write)(const struct stream_options *options, uint32_t index, uint64_t serial,
                  struct writer *out);
    /* Follows the writes that are sent in one go; with it, all of them have one answer, and the
     * connection writes again when that is there. NULL: each is answered by itself. */
    void (*end_batch)(struct writer *out);
    enum dialect_state (*answer)(struct bytes bytes, struct dialect_answer *answer_out);
};

extern const struct dialect dialect_http;
extern const struct dialect dialect_frames;
extern const struct dialect dialect_redis_pubsub;
extern const struct dialect dialect_redis_tracking;
extern const struct dialect dialect_redis_streams;
extern const struct dialect dialect_nats;
extern const struct dialect dialect_jetstream;

const struct dialect *dialect_of(enum server_kind kind);

/* ---- what several of them use ---- */

/* From here on the numbers of subscribers are of those whose pattern no write matches. */
#define DIALECT_IDLE_INDEX (4 * STREAM_SUBSCRIBERS_MAX)

/* Each document has a brand; a pattern asks for one. */
uint32_t dialect_brand(const struct stream_options *options, uint64_t serial);
/* False: this subscriber wants every change. */
bool dialect_pattern(const struct stream_options *options, uint32_t index, uint32_t *brand_out);
/* The document of a write, in JSON. */
void dialect_document(const struct stream_options *options, uint64_t serial, struct writer *out);
/* Where part begins in whole; SIZE_MAX: nowhere. */
size_t dialect_find(struct bytes whole, struct bytes part);

#endif
