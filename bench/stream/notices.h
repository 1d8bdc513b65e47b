/*
 * notices.h: what a subscriber is sent: server-sent events in HTTP chunks, Redis's replies, NATS's
 * messages, or frames. Found in it are the serial numbers of the writes that they tell of.
 *
 * All but frames come in lines. A line that begins with "bench:" is a key that ends in the serial
 * number; any other tells it as "serial":N, and the first one in a line counts (the new image's). A
 * change without one is told as 0. In a frame each change is told once, by the serial number of its
 * new image, else of its old one, else as 0; and each key of an invalidation.
 *
 * Some servers want answers: a PONG, flow control, the next XREAD. They are left in `reply`.
 *
 * Owner:   one connection.
 * Memory:  the part that is not whole yet, at most NOTICES_HELD_BYTES_MAX of it.
 */
#ifndef FRESHET_BENCH_STREAM_NOTICES_H
#define FRESHET_BENCH_STREAM_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

#define NOTICES_HELD_BYTES_MAX  (32u << 20)
#define NOTICES_REPLY_BYTES_MAX 512
#define NOTICES_NAME_BYTES_MAX  192

typedef void notices_told(void *context, uint64_t serial);

enum notices_framing {
    NOTICES_LINES,
    NOTICES_CHUNKS, /* lines in the chunks of HTTP */
    NOTICES_NATS,   /* lines; messages of flow control and PINGs are answered */
    NOTICES_XREAD,  /* lines; when a reply is whole, XREAD asks for what follows its last entry */
    NOTICES_FRAMES
};

struct notices {
    enum notices_framing framing;
    bool bad;            /* an error, or no chunks where chunks should be */
    bool in_size;        /* of a chunk */
    uint64_t chunk_left; /* of its bytes and the CRLF behind them */
    uint64_t chunk_size;
    uint64_t elements_left; /* of a reply to XREAD; 0: the next line begins one */
    size_t name_size;
    uint8_t name[NOTICES_NAME_BYTES_MAX]; /* the last entry's id; whom flow control is answered */
    size_t reply_size;
    uint8_t reply[NOTICES_REPLY_BYTES_MAX]; /* the caller sends it and sets its size to 0 */
    uint8_t *held;
    size_t held_size;
    size_t held_capacity;
};

void notices_init(struct notices *notices, enum notices_framing framing);
void notices_deinit(struct notices *notices);
void notices_feed(struct notices *notices, struct bytes bytes, notices_told *told, void *context);

/* Redis's request for the entries behind this one, as soon as there are any. */
void notices_xread(struct bytes entry, struct writer *out);

#endif
