/*
 * slice.h: a run of records of one shard as of one moment, for snapshots.
 *
 * The owner makes an iterator between two applies and notes its applied position; a store thread
 * reads from it; the rows come back to the thread that asked. So the rows are exactly the fold of
 * the shard's entries up to applied_sequence, in the range that was asked for.
 *
 * Owner:     the caller embeds the request and leaves it alone until done runs, once, from
 *            engine_thread_step on the thread that submitted.
 * Memory:    rows are in one block of at most bytes_max, or one record if that is larger; the
 *            caller gives it back with slice_release.
 * Tests:     tests/unit/engine/shard/test_slice.c.
 */
#ifndef FRESHET_ENGINE_SHARD_SLICE_H
#define FRESHET_ENGINE_SHARD_SLICE_H

#include "engine/shard/engine.h"

struct slice_request {
    struct message message; /* the engine's */
    struct store_job job;   /* the engine's */

    /* ---- in ---- */
    uint32_t shard;
    /* NULL: all but the internal ones, in byte order of their names */
    const struct collection *collection;
    /* Rows begin after this key (collection 00 id), as the last slice left it; empty: at the
     * start. */
    struct bytes after;
    size_t bytes_max;
    uint32_t records_max;
    void (*done)(struct slice_request *request);

    /* ---- out ---- */
    enum status status;
    uint64_t applied_sequence; /* the rows are the shard's state as of here */
    struct bytes rows;         /* for slice_next */
    /* key of the last row; `after` when there are none; in rows' memory */
    struct bytes last;
    bool end; /* there are no more after these */

    /* ---- the engine's ---- */
    struct engine *engine;
    uint32_t home;
    struct store_iterator *iterator;
    void *memory;
};

struct slice_row {
    struct bytes collection;
    struct bytes id;
    uint64_t version;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t time_ms;
    struct bytes document;
};

void slice_submit(struct engine_thread *thread, struct slice_request *request);
/* Walks the rows; false at the end. Set *rows to request->rows before the first call. */
bool slice_next(struct bytes *rows, struct slice_row *row_out);
void slice_release(struct slice_request *request);

#endif
