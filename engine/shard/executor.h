/*
 * executor.h: work that may block on disk, for the small pool of store threads.
 *
 * The engine only declares it: net/server runs jobs on threads of its own, the simulator runs them
 * at a virtual time.
 *
 * Owner:     the caller embeds the job and leaves it alone until its message comes back to
 *            reply_to.
 * Invariant: run is called exactly once, on a store thread; then the message is posted exactly
 *            once.
 */
#ifndef FRESHET_ENGINE_SHARD_EXECUTOR_H
#define FRESHET_ENGINE_SHARD_EXECUTOR_H

#include "engine/shard/mailbox.h"

/* So many jobs at a time may wait for something that takes long (a flush); an executor has more
 * threads than that, so that reads, and the journal's next segment, need not wait behind them. */
#define EXECUTOR_WAITS_MAX 2

struct store_job {
    struct message message; /* how it comes back; message.receive is set by the caller */
    struct mailbox *reply_to;
    void (*run)(struct store_job *job);
};

struct executor {
    void (*submit)(struct executor *executor, struct store_job *job);
};

static inline void executor_submit(struct executor *executor, struct store_job *job)
{
    executor->submit(executor, job);
}

#endif
