/*
 * frame.h: the frames of the binary protocol: their header, opcodes and flags. PROTOCOL.md is the
 * reference.
 *
 *     0        4        5        6        8        12       16
 *     | length | opcode | flags  | code   | id     | check  | body …
 *
 * Owner:   plain values; nothing is allocated.
 * Input:   frame_header_read takes any 16 bytes; what they claim is the caller's to judge.
 * Tests:   tests/unit/protocol/frame/, tests/fuzz/fuzz_frame.c, tests/conformance/vectors/.
 */
#ifndef FRESHET_PROTOCOL_FRAME_FRAME_H
#define FRESHET_PROTOCOL_FRAME_FRAME_H

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define FRAME_VERSION      1
#define FRAME_HEADER_BYTES 16
/* The longest body that a server takes, and that it sends. */
#define FRAME_REQUEST_BYTES_MAX (8u << 20)
#define FRAME_ANSWER_BYTES_MAX  (16u << 20)
#define FRAME_PING_BYTES_MAX    64

/* name, value. Values never change their meaning. */
#define FRAME_OPCODES(X)                                                                           \
    X(FRAME_GET, 0x01)                                                                             \
    X(FRAME_MGET, 0x02)                                                                            \
    X(FRAME_PUT, 0x03)                                                                             \
    X(FRAME_PATCH, 0x04)                                                                           \
    X(FRAME_DELETE, 0x05)                                                                          \
    X(FRAME_CREATE, 0x06)                                                                          \
    X(FRAME_LIST, 0x07)                                                                            \
    X(FRAME_BATCH, 0x08)                                                                           \
    X(FRAME_CHANGES, 0x20)                                                                         \
    X(FRAME_INVALIDATE, 0x21)                                                                      \
    X(FRAME_HELLO, 0x40)                                                                           \
    X(FRAME_SUBSCRIBE, 0x41)                                                                       \
    X(FRAME_CREDIT, 0x42)                                                                          \
    X(FRAME_ACK, 0x43)                                                                             \
    X(FRAME_CONSUMER, 0x44)                                                                        \
    X(FRAME_STATS, 0x45)                                                                           \
    X(FRAME_UNSUBSCRIBE, 0x46)                                                                     \
    X(FRAME_PING, 0x47)                                                                            \
    X(FRAME_GOAWAY, 0x48)                                                                          \
    X(FRAME_ERROR, 0xff)

enum frame_opcode {
#define FRAME_OPCODE(name, value) name = value,
    FRAME_OPCODES(FRAME_OPCODE)
#undef FRAME_OPCODE
};

/* The opcode of the answer to a request. */
#define FRAME_ANSWER 0x80u

#define FRAME_FLAG_JSON    0x01u /* documents are JSON text */
#define FRAME_FLAG_CHECKED 0x02u /* `check` is the CRC-32 of the body */
#define FRAME_FLAGS_KNOWN  (FRAME_FLAG_JSON | FRAME_FLAG_CHECKED)

/* Items of CHANGES. */
enum frame_change_kind {
    FRAME_CHANGE,
    FRAME_SNAPSHOT,
    FRAME_SYNCED,
    FRAME_PROGRESS,
    FRAME_CAUGHT_UP
};

struct frame_header {
    uint32_t length; /* of the body */
    uint8_t opcode;
    uint8_t flags;
    uint16_t code; /* HTTP's; 0 in a request */
    uint32_t id;
    uint32_t check;
};

void frame_header_write(const struct frame_header *header, uint8_t out[FRAME_HEADER_BYTES]);
struct frame_header frame_header_read(const uint8_t bytes[FRAME_HEADER_BYTES]);

/* The CRC-32 of a body (ISO-HDLC, as in zlib). */
uint32_t frame_check(struct bytes body);
/* The same of a body in pieces: the checksum of what came before, and what follows. */
uint32_t frame_check_more(uint32_t check, struct bytes more);

/* "GET", "ERROR"; "?" for what is none. Static storage. */
const char *frame_opcode_name(uint8_t opcode);

#endif
