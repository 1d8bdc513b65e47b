#include "tests/coherence/history.h"

#include <stdlib.h>

#include "protocol/base/assert.h"

#define CAPACITY_FIRST 4096

/* Room for one more item of a growing array. */
static void *grown(void *items, size_t count, size_t *capacity, size_t item_bytes)
{
    ASSERT(count <= *capacity);
    if (count < *capacity) {
        return items;
    }
    size_t wanted = *capacity == 0 ? CAPACITY_FIRST : *capacity * 2;
    void *larger = reallocarray(items, wanted, item_bytes);
    if (larger == NULL) {
        fputs("coherence: no memory for the history\n", stderr);
        exit(1);
    }
    *capacity = wanted;
    return larger;
}

void history_init(struct history *history)
{
    *history = (struct history){0};
}

void history_deinit(struct history *history)
{
    free(history->writes);
    free(history->reads);
    *history = (struct history){0};
}

void history_add_write(struct history *history, const struct history_write *write)
{
    ASSERT(write->key < HISTORY_KEYS_MAX);
    ASSERT(write->start_ns <= write->end_ns);
    history->writes = grown(history->writes, history->write_count, &history->write_capacity,
                            sizeof(history->writes[0]));
    history->writes[history->write_count++] = *write;
}

void history_add_read(struct history *history, const struct history_read *read)
{
    ASSERT(read->key < HISTORY_KEYS_MAX);
    ASSERT(read->start_ns <= read->end_ns);
    history->reads = grown(history->reads, history->read_count, &history->read_capacity,
                           sizeof(history->reads[0]));
    history->reads[history->read_count++] = *read;
}

const char *source_name(enum source source)
{
    static const char *const names[SOURCE_COUNT] = {
        [SOURCE_GET] = "GET",
        [SOURCE_REFRESH] = "GET with no-cache",
        [SOURCE_CONDITIONAL] = "GET with If-None-Match",
        [SOURCE_HEAD] = "HEAD",
        [SOURCE_LIST] = "list page",
        [SOURCE_INDEX] = "index page",
        [SOURCE_WRITE] = "write",
    };
    ASSERT(source < SOURCE_COUNT);
    return names[source];
}

const char *finding_name(enum finding finding)
{
    static const char *const names[FINDING_COUNT] = {
        [FINDING_STALE] = "stale",
        [FINDING_FROM_FUTURE] = "from the future",
        [FINDING_NEVER_WRITTEN] = "never written",
        [FINDING_MIXED] = "mixed",
        [FINDING_MISPLACED] = "misplaced",
        [FINDING_WRITE_ORDER] = "write order",
        [FINDING_PREDECESSOR] = "predecessor",
        [FINDING_SEQUENCE_TWICE] = "sequence twice",
    };
    ASSERT(finding < FINDING_COUNT);
    return names[finding];
}
