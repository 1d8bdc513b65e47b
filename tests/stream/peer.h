/*
 * peer.h: one blocking connection to the server: pipelined requests and their
 * answers, or a stream of server-sent events.
 *
 * Owner:   one thread.
 * Memory:  a receive buffer, which grows to PEER_BYTES_MAX.
 * Errors:  what should not be has been said on stderr; the status then is not
 * OK.
 */
#ifndef FRESHET_TESTS_STREAM_PEER_H
#define FRESHET_TESTS_STREAM_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"

#define PEER_BYTES_MAX (8u << 20)
/* No answer of a working server takes so long. */
#define PEER_WAIT_MS 60000

struct peer {
    int fd;          /* -1: closed */
    uint8_t *raw;    /* as received */
    size_t raw_size; /* of it, from raw_from on, not yet taken */
    size_t raw_from;
    uint8_t *text; /* a stream's, without its chunks' heads */
    size_t text_size;
    size_t text_from;
    size_t chunk_left; /* of the chunk that is being received, with its line end */
    bool ended;        /* the stream's last chunk has come */
};

struct peer_answer {
    uint16_t status;
    uint64_t tag_sequence; /* of the ETag; 0: none */
    struct bytes position; /* freshet-position; empty: none */
    struct bytes body;     /* views are valid until the next call */
};

struct peer_event {
    struct bytes id; /* empty: none */
    struct bytes name;
    struct bytes data;
};

MUST_USE enum status peer_open(uint16_t port, struct peer *out);
/* Whatever is under way is lost. Frees; may be called again. */
void peer_close(struct peer *peer);

MUST_USE enum status peer_send(struct peer *peer, struct bytes request);
/* The next answer; of a chunked one `position` is not to be used. */
MUST_USE enum status peer_answer(struct peer *peer, struct peer_answer *out);

/* Asks for a stream and reads the head of its answer, which is to be 200.
 * last_id empty: none. */
MUST_USE enum status peer_stream(struct peer *peer, const char *target, struct bytes last_id);
/* OK; TIMEOUT: nothing came within wait_ms; CLOSED: the stream is over.
 * Comments are passed over. */
MUST_USE enum status peer_event(struct peer *peer, uint32_t wait_ms, struct peer_event *out);
/* Whether a whole event is there without waiting. */
bool peer_event_waits(const struct peer *peer);

#endif
