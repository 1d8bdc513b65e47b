/*
 * writer.h: one thread that writes the records of its own keys at random, and
 * keeps what they should be.
 *
 * Owner:     main makes it and runs writer_run on a thread; after the join it
 * is main's again. Invariant: no two documents have the same value (the
 * writer's number and a counter).
 */
#ifndef FRESHET_TESTS_STREAM_WRITER_H
#define FRESHET_TESTS_STREAM_WRITER_H

#include <stdint.h>

#include "tests/stream/peer.h"

#define WRITERS_MAX       4
#define WRITER_KEYS       1000
#define WRITER_VALUE_BITS 24
#define WRITER_BATCH      64

/* Keys of all writers are numbered through; their ids are "k" and five digits.
 */
#define KEY_COUNT  (WRITERS_MAX * WRITER_KEYS)
#define KEY_FORMAT "k%05u"
#define KEY_BYTES  6

struct writer_options {
    uint16_t port;
    uint32_t number;
    uint64_t writes;
    uint64_t seed;
    _Atomic uint64_t *last_sequence; /* the highest that any writer was answered */
};

struct stream_writer {
    struct writer_options options;
    struct peer peer;
    uint64_t random;
    uint32_t counter;
    uint64_t changes;             /* answered writes that were changes */
    uint32_t values[WRITER_KEYS]; /* of its keys; 0: there is none */
    enum status status;
};

/* The body of the thread; the argument is the writer, its options set. */
void *writer_run(void *argument);

static inline uint64_t random_next(uint64_t *state)
{
    /* splitmix64 */
    uint64_t mixed = (*state += 0x9e3779b97f4a7c15u);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

#endif
