/*
 * follower.h: one thread that follows the changes over server-sent events, is
 * killed at random and goes on from the last id it has; it folds what it gets,
 * and keeps all of it for the verdict.
 *
 *     TAIL      from the earliest change on; each is checked against the fold
 * as it comes READER    the same, and after each change reads the record at
 * once, over another connection PAGES     the same as TAIL by long polling
 *     SNAPSHOT  from a snapshot, and after it the tail for a while; then anew
 *
 * Owner:     main makes it and runs follower_run on a thread; after the join it
 * is main's again. Memory:    an array of what was seen, 16 bytes a change.
 * Invariant: (1) sequences rise; (2) INSERT, MODIFY and REMOVE, the old image
 * and `changed` fit the fold; (3) a read that began after the change was
 * received shows it or a later one.
 */
#ifndef FRESHET_TESTS_STREAM_FOLLOWER_H
#define FRESHET_TESTS_STREAM_FOLLOWER_H

#include "tests/stream/writer.h"

#define FOLLOWERS_MAX      8
#define SNAPSHOTS_MAX      4096
#define READER_CONNECTIONS 4

enum follower_kind { FOLLOW_TAIL, FOLLOW_READER, FOLLOW_PAGES, FOLLOW_SNAPSHOT };

struct seen {
    uint64_t sequence;
    uint32_t key;
    uint32_t value; /* 0: removed */
};

/* A fold as of a sequence. */
struct picture {
    uint64_t sequence;
    bool at_synced; /* else at the end of the tail that followed */
    uint32_t values[KEY_COUNT];
};

struct follower_options {
    uint16_t port;
    enum follower_kind kind;
    uint64_t seed;
    uint64_t changes_max; /* for the array */
    /* Set when all writes are answered: the follower ends when it has got there.
   */
    _Atomic uint64_t *end_sequence;
};

struct follower {
    struct follower_options options;
    struct peer peer;
    struct peer readers[READER_CONNECTIONS];
    uint64_t random;
    enum status status;
    struct seen *seen;
    uint64_t seen_count;
    uint64_t last_sequence; /* of what was delivered, or passed over */
    char last_id[1100];
    size_t last_id_size;
    uint64_t kills;
    uint64_t reads;
    bool in_snapshot;
    uint32_t values[KEY_COUNT];    /* the fold */
    uint64_t absent_at[KEY_COUNT]; /* a read found nothing though all changes up to this sequence
                                    * leave a record: a REMOVE is to follow; 0: none */
    struct picture *pictures;
    uint32_t picture_count;
};

/* The body of the thread; the argument is the follower, its options set, the
 * rest zero. */
void *follower_run(void *argument);
void follower_free(struct follower *follower);

#endif
