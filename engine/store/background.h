/*
 * background.h: RocksDB's threads leave the cores to the shards.
 *
 * A compaction takes hundreds of milliseconds of CPU. Where there are no more cores than busy shard
 * threads, reads wait for it: with the same share for all, p99 at 70 % of the capacity was 300 ms.
 * So RocksDB's threads are nice, but not so nice that they starve: beside a thread that never rests
 * each still has a tenth of a core, about what a full load of writes needs. That leaves pieces as
 * long as the scheduler's tick, because Linux (EEVDF) lets a thread that runs go on to the end of
 * its slice: twenty times a second reads waited 4 ms. So a compaction also yields after each
 * BACKGROUND_TURN_BYTES of values that are the newest of their keys, which are what RocksDB shows
 * its filter; deletes and older values come on top. Where no other thread wants the core, it goes
 * on at once.
 *
 * Owner:  store_rocksdb.c. Linux has a nice value for each thread; RocksDB itself can only make its
 *         threads as nice as can be.
 * Tests:  tests/unit/engine/store/test_background.c
 */
#ifndef FRESHET_ENGINE_STORE_BACKGROUND_H
#define FRESHET_ENGINE_STORE_BACKGROUND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BACKGROUND_NICE 10
/* Some hundred microseconds. Shorter ones cost two switches, and a cold cache, for a wait that is
 * not seen. */
#define BACKGROUND_TURN_BYTES ((uint64_t)64 << 10)

/* What the compactions of one instance have gone through; zeroed. */
struct background_work {
    _Atomic uint64_t bytes;
};

/* All of them that this process has now. Failing costs no more than time. */
void background_be_nice(void);

/* For each row that a compaction shows, on its thread: counts it. True when its turn is over: the
 * caller yields. */
bool background_turn_over(struct background_work *work, uint64_t row_bytes);

#endif
