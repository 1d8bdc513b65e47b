/*
 * notices.h: what a subscriber is sent: server-sent events in HTTP chunks, Redis's replies, or
 * frames. Found in it are the serial numbers of the writes that they tell of.
 *
 * The first two come in lines. A line that begins with "bench:" is a key that ends in the serial
 * number; any other tells it as "serial":N, and the first one in a line counts (the new image's). A
 * change without one is told as 0. In a frame each key of that kind counts, and each member of a
 * MessagePack map of that name: one of each change, where one image is shown. Each change in a
 * frame is told as 0 besides, by its "eventID".
 *
 * Owner:   one connection.
 * Memory:  fixed; a line longer than NOTICES_LINE_BYTES_MAX is cut.
 */
#ifndef FRESHET_BENCH_STREAM_NOTICES_H
#define FRESHET_BENCH_STREAM_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

#define NOTICES_LINE_BYTES_MAX 32768

typedef void notices_told(void *context, uint64_t serial);

enum notices_framing { NOTICES_LINES, NOTICES_CHUNKS, NOTICES_FRAMES };

struct notices {
    enum notices_framing framing;
    bool bad;            /* no chunks where chunks should be */
    bool in_size;        /* of a chunk */
    uint64_t chunk_left; /* of its bytes and the CRLF behind them */
    uint64_t chunk_size;
    size_t line_size;    /* or of a frame, as far as it is there and not looked at */
    uint64_t frame_left; /* bytes of its body still to come */
    bool in_frame;       /* its header is there */
    uint8_t line[NOTICES_LINE_BYTES_MAX];
};

void notices_init(struct notices *notices, enum notices_framing framing);
void notices_feed(struct notices *notices, struct bytes bytes, notices_told *told, void *context);

#endif
