/*
 * Windows: with durability interval and none a batch is complete when it is in the page cache, so
 * the shortest way there is a copy into a page that is already in memory: no call, and no turn of
 * the loop until its completion. What would block (zeroing the pages, so that nothing is read from
 * the disk for them, and mapping them) a job does ahead of the writer:
 *
 *     active segment | batches ... | room of the window | the job's range | not yet prepared |
 *                                  ^ active_offset      ^ window.to
 *
 * A job that zeroes has its range for itself: a batch that reaches into it waits for the job. Where
 * there is no window (at the start, and when a batch is larger) the batch is submitted as a cached
 * write, which the file shows in the same page; the next window then begins beyond it. Such a write
 * goes on to the end of its page and no further, and a range begins at a page.
 *
 * A sync makes the system watch for stores again, by a fault at the first one into each page, which
 * may wait for the file system's journal. So a window is stale from then on, until a job that
 * changes no bytes has taken these faults; batches are submitted meanwhile. What the system writes
 * by itself (a page that has been dirty for half a minute) it does not tell: a store may take such
 * a fault, now and then.
 */
#include "engine/journal/segments_internal.h"
#include "protocol/base/assert.h"

static_assert(WINDOWS_AHEAD * WINDOW_BYTES <= DISK_WINDOW_BEHIND_BYTES,
              "what is in use is not let go of");

/* ---- the job, on a store thread ---- */

static void job_run(struct store_job *job)
{
    struct segments_window *window = CONTAINER_OF(job, struct segments_window, job);
    const struct segments *segments = CONTAINER_OF(window, struct segments, window);
    struct disk *disk = segments->disk;
    window->job_status = disk->vtable->window(disk, window->job_file, window->job_from,
                                              (size_t)(window->job_to - window->job_from),
                                              window->job_content, &window->job_data);
}

/* ---- the writer's side ---- */

static void window_finished(struct segments *segments)
{
    struct segments_window *window = &segments->window;
    ASSERT(window->running);
    window->running = false;
    if (window->job_status != STATUS_OK) {
        /* It would go on failing. Writes that are submitted find out what is wrong. */
        window->failed = true;
        window->file = -1;
        return;
    }
    if (window->job_content == DISK_WINDOW_KEPT) {
        ASSERT(window->job_file == window->file && window->job_to == window->to);
        window->stale = window->job_overtaken;
        return;
    }
    if (window->file != window->job_file || window->to != window->job_from) {
        window->file = window->job_file;
        window->from = window->job_from;
        window->data = window->job_data;
        window->stale = window->job_overtaken;
    }
    window->to = window->job_to;
    ASSERT(window->data + (window->job_from - window->from) == window->job_data);
}

static void window_received(struct message *message)
{
    struct store_job *job = CONTAINER_OF(message, struct store_job, message);
    struct segments_window *window = CONTAINER_OF(job, struct segments_window, job);
    window_finished(CONTAINER_OF(window, struct segments, window));
}

static void window_submit(struct segments *segments)
{
    struct segments_window *window = &segments->window;
    ASSERT(!window->running && window->job_file >= 0);
    ASSERT(window->job_from < window->job_to);
    window->running = true;
    window->job_overtaken = false;
    window->job = (struct store_job){
        .message = {.receive = window_received}, .reply_to = &segments->base.inbox, .run = job_run};
    if (segments->options.executor != NULL) {
        executor_submit(segments->options.executor, &window->job);
        return;
    }
    job_run(&window->job);
    window_finished(segments);
}

/* What is to be made next; false: nothing. The segment that begins gets its first window beside its
 * header. */
static bool window_next(struct segments *segments)
{
    struct segments_window *window = &segments->window;
    bool rolling = segments->writing == WRITING_HEADER;
    uint64_t offset = rolling ? SEGMENT_HEADER_BYTES : segments->active_offset;
    window->job_file = rolling ? segments->next_file : segments->active_file;
    bool there = window->file == window->job_file && offset <= window->to;
    if (there && window->stale && offset < window->to) {
        window->job_from = offset - offset % DISK_WINDOW_ALIGNMENT;
        window->job_to = window->to;
        window->job_content = DISK_WINDOW_KEPT;
        return segments->syncing == SYNCING_NOTHING;
    }
    window->job_from = there ? window->to : align_up(offset, DISK_WINDOW_ALIGNMENT);
    window->job_to = window->job_from + segments->options.window_bytes;
    if (window->job_to > segments->header.segment_bytes) {
        window->job_to = segments->header.segment_bytes;
    }
    window->job_content = DISK_WINDOW_ZEROED;
    return window->job_from < window->job_to &&
           window->job_from - offset <= (WINDOWS_AHEAD - 1) * segments->options.window_bytes;
}

bool segments_window_step(struct segments *segments)
{
    const struct segments_window *window = &segments->window;
    bool read_only = atomic_load_explicit(&segments->base.read_only, memory_order_relaxed);
    if (!segments->base.commits_at_once || window->running || window->failed || read_only ||
        !window_next(segments)) {
        return false;
    }
    window_submit(segments);
    return !window->running;
}

enum segments_way segments_window_way(const struct segments *segments, size_t stored_bytes)
{
    const struct segments_window *window = &segments->window;
    uint64_t from = segments->active_offset;
    uint64_t to = from + stored_bytes;
    if (window->running && window->job_content == DISK_WINDOW_ZEROED &&
        window->job_file == segments->active_file && to > window->job_from) {
        return WAY_WAIT;
    }
    bool inside = window->file == segments->active_file && !window->stale && window->from <= from &&
                  to <= window->to;
    return inside ? WAY_STORE : WAY_SUBMIT;
}

void segments_window_store(struct segments *segments, uint64_t offset, struct bytes batch)
{
    const struct segments_window *window = &segments->window;
    ASSERT(window->file == segments->active_file && !window->stale);
    ASSERT(window->from <= offset && offset + batch.size <= window->to);
    memcpy(window->data + (offset - window->from), batch.data, batch.size);
}

void segments_window_synced(struct segments *segments)
{
    struct segments_window *window = &segments->window;
    if (window->file == segments->active_file) {
        window->stale = true;
    }
    if (window->running && window->job_file == segments->active_file) {
        window->job_overtaken = true;
    }
}
