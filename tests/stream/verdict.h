/*
 * verdict.h: what writers, followers and the records themselves say, compared
 * when all is over.
 *
 *   - the fold of each follower is what the writers wrote, and what GET shows;
 *   - all followers that began at the beginning saw the same changes in the
 * same order;
 *   - each snapshot is the fold of those changes up to its sequence, and so is
 * each tail behind one.
 *
 * Owner: main's thread, after the joins.
 */
#ifndef FRESHET_TESTS_STREAM_VERDICT_H
#define FRESHET_TESTS_STREAM_VERDICT_H

#include "tests/stream/follower.h"

/* False when anything differs; it has been said on stderr. */
bool verdict_folds(const struct follower *followers, uint32_t count,
                   const struct stream_writer *writers, uint32_t writer_count);
bool verdict_records(uint16_t port, const struct stream_writer *writers, uint32_t writer_count);
bool verdict_sequences(const struct follower *followers, uint32_t count);
bool verdict_pictures(const struct follower *log, const struct follower *snapshots);

#endif
