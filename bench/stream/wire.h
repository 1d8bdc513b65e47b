/*
 * wire.h: how each kind of server is written to and subscribed to.
 *
 * Owner:   the caller; nothing is kept.
 */
#ifndef FRESHET_BENCH_STREAM_WIRE_H
#define FRESHET_BENCH_STREAM_WIRE_H

#include "bench/stream/notices.h"
#include "bench/stream/options.h"
#include "protocol/base/bytes.h"

/* A write's request, or a subscription's. */
#define WIRE_REQUEST_BYTES_MAX (STREAM_VALUE_BYTES_MAX + 4096)
#define WIRE_ANSWER_BYTES_MAX  (2 * STREAM_VALUE_BYTES_MAX + 8192)

/* The write that carries this serial number: no other write has the same content. */
void wire_write(const struct stream_options *options, uint64_t serial, struct writer *out);
/* index: of the subscriber, for a pattern of its own. */
void wire_subscribe(const struct stream_options *options, uint32_t index, struct writer *out);

enum wire_state { WIRE_MORE, WIRE_DONE, WIRE_BAD };

/* Whether the bytes hold the whole answer to a write, and a good one. */
enum wire_state wire_answer(const struct stream_options *options, struct bytes bytes);
/* Whether the subscription has begun; *rest_out is what came behind that already, *framing_out how
 * it is framed. */
enum wire_state wire_subscribed(const struct stream_options *options, struct bytes bytes,
                                enum notices_framing *framing_out, struct bytes *rest_out);

static inline bool wire_has_frames(const struct stream_options *options)
{
    return options->kind == SERVER_WIRE || options->kind == SERVER_WIRE_INVALIDATE;
}

#endif
