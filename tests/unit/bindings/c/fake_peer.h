/*
 * fake_peer.h: the fake server behind a socket on a free port of this machine, in a thread of its
 * own: for the calls that wait, and the near cache's benchmark.
 *
 * Owner:     one test; fake_peer_stop ends the thread.
 */
#ifndef FRESHET_TESTS_UNIT_BINDINGS_C_FAKE_PEER_H
#define FRESHET_TESTS_UNIT_BINDINGS_C_FAKE_PEER_H

#include <pthread.h>
#include <stdatomic.h>

#include "protocol/base/bytes.h"

/* What it does when a request of that opcode comes, for so many times. */
enum fake_mood {
    FAKE_ANSWERS,
    FAKE_HANGS_UP,      /* closes the connection */
    FAKE_SAYS_NOTHING,  /* leaves it open */
    FAKE_TALKS_RUBBISH, /* sixteen bytes of 0xFF */
};

struct fake_peer {
    char url[64];
    int listener;
    int stop[2]; /* a pipe: closing one end wakes the thread */
    pthread_t thread;
    enum fake_mood mood;
    uint8_t opcode;
    _Atomic unsigned times;
    _Atomic unsigned connections;
    _Atomic unsigned gets;
};

/* It answers GET with {"id":"1"}, PUT with written, SUBSCRIBE and PING as it should. */
void fake_peer_start(struct fake_peer *peer, enum fake_mood mood, uint8_t opcode, unsigned times);
void fake_peer_stop(struct fake_peer *peer);

#endif
