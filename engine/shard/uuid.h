/*
 * uuid.h: UUIDs of version 7 (RFC 9562), for the ids that the engine gives.
 *
 * Owner: one thread a state of dice.h. The seed comes from the operating system in the server, from
 *        the test in the simulator. An id is unique, not secret: the next one can be guessed.
 * Tests: tests/unit/engine/shard/test_uuid.c
 */
#ifndef FRESHET_ENGINE_SHARD_UUID_H
#define FRESHET_ENGINE_SHARD_UUID_H

#include <stdint.h>

#define UUID_TEXT_BYTES 36

/* Unix milliseconds, then 74 random bits; lower-case text without a NUL. random: the state of
 * dice.h. */
void uuid_v7(uint64_t *random, uint64_t wall_ms, char text_out[UUID_TEXT_BYTES]);

#endif
