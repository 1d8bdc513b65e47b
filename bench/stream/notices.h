/*
 * notices.h: what a subscriber is sent: server-sent events in HTTP chunks, or Redis's replies.
 * Found in it are the serial numbers of the writes that they tell of.
 *
 * All of them come in lines. A line that begins with "bench:" is a key that ends in the serial
 * number; any other tells it as "serial":N, and the first one in a line counts (the new image's). A
 * change without one is told as 0.
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

struct notices {
    bool chunked;        /* else the bytes are the lines */
    bool bad;            /* no chunks where chunks should be */
    bool in_size;        /* of a chunk */
    uint64_t chunk_left; /* of its bytes and the CRLF behind them */
    uint64_t chunk_size;
    size_t line_size;
    uint8_t line[NOTICES_LINE_BYTES_MAX];
};

void notices_init(struct notices *notices, bool chunked);
void notices_feed(struct notices *notices, struct bytes bytes, notices_told *told, void *context);

#endif
