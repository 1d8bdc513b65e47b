/*
 * frames.h: writes and subscriptions in frames of Freshet's binary protocol (protocol/PROTOCOL.md).
 *
 * Owner:   the caller; nothing is kept.
 */
#ifndef FRESHET_BENCH_STREAM_FRAMES_H
#define FRESHET_BENCH_STREAM_FRAMES_H

#include "bench/stream/options.h"
#include "bench/stream/wire.h"
#include "protocol/base/bytes.h"

/* What a connection says first; its answer is one frame. */
void frames_hello(struct writer *out);
/* brand: of the record, for a pattern of its own. */
void frames_put(const struct stream_options *options, uint64_t serial, uint32_t brand,
                struct writer *out);
void frames_subscribe(const struct stream_options *options, uint32_t index, struct writer *out);
/* Whether a whole frame is there, and no error; *rest_out is what came behind it. */
enum wire_state frames_answer(struct bytes bytes, struct bytes *rest_out);

#endif
