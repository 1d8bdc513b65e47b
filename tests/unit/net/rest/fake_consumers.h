/*
 * fake_consumers.h: the consumers of a thread as net/rest sees them, played: the last request is
 * kept, and completed as the test says.
 */
#ifndef FRESHET_TESTS_UNIT_NET_REST_FAKE_CONSUMERS_H
#define FRESHET_TESTS_UNIT_NET_REST_FAKE_CONSUMERS_H

#include "engine/stream/consumers.h"
#include "fake_stream.h"

#define FAKE_RENEW_NS UINT64_C(1000000000)
#define FAKE_LEASE_NS UINT64_C(5000000000)

struct fake_consumers {
    struct consumer_request *asked; /* NULL: none is on its way */
    uint32_t asks;
    uint8_t definition[512];
};

extern struct fake_consumers fake_consumers;

/* fake_stream_start with consumers. */
void fake_consumers_start(void);
/* Completes the request with this definition (JSON; NULL: none). What else it is to say is set in
 * asked before. */
void fake_consumer_done(enum status status, const char *definition);

#endif
