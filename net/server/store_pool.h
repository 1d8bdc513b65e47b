/*
 * store_pool.h: the store threads: an executor (engine/shard/executor.h) of a few threads over one
 * queue.
 *
 * Owner:     any thread submits. A job that waits for a flush may take long, so there is always one
 *            thread more than the engine lets wait at a time (EXECUTOR_WAITS_MAX): reads go on
 *            while shards flush.
 * Invariant: every job that was submitted runs, also after store_pool_destroy has begun; it returns
 *            when all have.
 * Tests:     tests/threads/store_pool.c (TSan).
 */
#ifndef FRESHET_NET_SERVER_STORE_POOL_H
#define FRESHET_NET_SERVER_STORE_POOL_H

#include <assert.h>

#include "engine/shard/executor.h"
#include "protocol/base/status.h"

#define STORE_POOL_THREADS 3
static_assert(STORE_POOL_THREADS > EXECUTOR_WAITS_MAX, "reads go on while stores are flushed");

struct store_pool;

MUST_USE enum status store_pool_create(struct store_pool **out);
struct executor *store_pool_executor(struct store_pool *pool);
/* Runs what is queued, joins the threads. Accepts NULL; sets *pool to NULL. */
void store_pool_destroy(struct store_pool **pool);

#endif
