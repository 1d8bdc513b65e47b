/*
 * fake_stream.h: two more neighbours of net/rest, played: an answer that is written as it comes
 * (net/http) and the changes of a thread (engine/stream), of which one subscription is delivered to
 * as the test says.
 *
 * What is written stands in fake.sent, behind the head.
 */
#ifndef FRESHET_TESTS_UNIT_NET_REST_FAKE_STREAM_H
#define FRESHET_TESTS_UNIT_NET_REST_FAKE_STREAM_H

#include "engine/stream/stream.h"
#include "fake.h"

struct fake_stream {
    /* net/http */
    bool begun;
    bool no_begin; /* there is no memory for a stream */
    size_t room;   /* bytes that are still taken */
    uint32_t writes;
    const struct http_stream_events *events;
    void *context;

    /* engine/stream */
    enum status subscribe_status;
    bool is_time_unknown;                /* the place of a subscription is still looked for */
    struct subscription *subscription;   /* NULL: none */
    struct subscription_options options; /* of the last one */
    uint32_t subscribes;
    uint32_t resumes;
    uint32_t closes;
    uint64_t oldest;
    uint64_t newest;
    uint64_t stands;  /* where the subscription would go on */
    const char *json; /* of the change that is delivered; NULL: it cannot be rendered */
    bool in_snapshot;
};

extern struct fake_stream fake_stream;

/* After fake_init, before fake_start. */
void fake_stream_init(void);
/* fake_init, fake_stream_init, fake_start at once; and the end, whatever is still open. */
void fake_stream_start(void);
void fake_stream_end(void);
/* A request with one value in it. */
__attribute__((format(printf, 1, 0))) void fake_get(const char *format, const char *value);
/* Moves the clock on, and steps. */
void fake_step(uint64_t ns);
/* Offers a change of that sequence and kind, or something else; what the subscriber said. */
bool fake_deliver_change(enum change_kind kind, uint64_t sequence, const char *json);
bool fake_deliver_row(uint64_t sequence, const char *json);
bool fake_deliver_other(enum delivery_kind kind, uint64_t sequence);
/* The stream gives the subscription up. */
void fake_ended(enum status status);
/* Room for so many bytes, and the event that says so. */
void fake_writable(size_t room);
/* The text of a position as clients see it; static storage of eight. */
const char *fake_position(uint64_t sequence);

#endif
