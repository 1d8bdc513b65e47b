/*
 * random.h: seeded pseudo-random numbers (splitmix64) and UUIDs of version 7 (RFC 9562) from them.
 *
 * Owner: one thread a generator. The seed comes from the operating system in the server, from the
 * test in the simulator.
 */
#ifndef FRESHET_ENGINE_SHARD_RANDOM_H
#define FRESHET_ENGINE_SHARD_RANDOM_H

#include <stdint.h>

#define UUID_TEXT_BYTES 36

struct random {
    uint64_t state;
};

static inline struct random random_of(uint64_t seed)
{
    return (struct random){seed};
}

static inline uint64_t random_next(struct random *random)
{
    random->state += 0x9e3779b97f4a7c15ull; /* splitmix64 */
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Unix milliseconds, then 74 random bits; lower-case text without a NUL. */
void random_uuid_v7(struct random *random, uint64_t wall_ms, char text_out[UUID_TEXT_BYTES]);

#endif
