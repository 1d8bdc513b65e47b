/*
 * segment_view.h: batches of one segment file, read in large pieces. Used by recovery, by the
 * journal's reader, and by tools. Only engine/journal includes it.
 *
 * Owner:     one thread at a time.
 * Memory:    one buffer, which grows to the largest batch that is read.
 * Blocking:  reads through disk->read.
 */
#ifndef FRESHET_ENGINE_JOURNAL_SEGMENT_VIEW_H
#define FRESHET_ENGINE_JOURNAL_SEGMENT_VIEW_H

#include "engine/journal/segment.h"

struct segment_view {
    struct disk *disk;
    int file; /* -1: none */
    uint64_t number;
    uint64_t file_bytes;
    struct segment_store store;
    uint8_t *buffer;
    size_t buffer_bytes;
    uint64_t loaded_offset; /* what the buffer holds */
    size_t loaded_bytes;
};

/* Opens the segment's file; a file that was open before is closed. store may be filled after this
 * call. */
MUST_USE enum status segment_view_open(struct segment_view *view, struct disk *disk,
                                       uint64_t number);
/* Closes the file and frees the buffer. */
void segment_view_close(struct segment_view *view);
/* What was read before may be older than what is there now. */
void segment_view_forget(struct segment_view *view);

/* The header block; statuses of segment_header_decode and of the disk. */
MUST_USE enum status segment_view_header(struct segment_view *view, struct segment_header *out);
/* Only the header of a batch; NOT_FOUND when none begins there. */
MUST_USE enum status segment_view_peek(struct segment_view *view, uint64_t offset,
                                       struct batch_header *header_out);
/* A whole, verified batch; valid until the next call. NOT_FOUND: no batch begins there. DAMAGED:
 * one does, and its entries are not what was written. */
MUST_USE enum status segment_view_batch(struct segment_view *view, uint64_t offset,
                                        struct batch_header *header_out, struct bytes *batch_out,
                                        uint64_t *last_time_ms_out);

#endif
