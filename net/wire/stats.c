/*
 * STATS: what a client that watches the server would look at first, taken from the text of /metrics
 * so that both say the same.
 */
#include <stdlib.h>

#include "net/wire/wire_internal.h"
#include "protocol/base/assert.h"

#define VALUE_BYTES_MAX 40

static const char *const names[] = {
    "freshet_uptime_seconds",
    "freshet_published_sequence",
    "freshet_journal_oldest_sequence",
    "freshet_journal_entries_total",
    "freshet_journal_batches_total",
    "freshet_journal_syncs_total",
    "freshet_journal_written_bytes_total",
    "freshet_journal_queued_bytes",
    "freshet_refused_writes_total",
    "freshet_cache_hits_total",
    "freshet_cache_misses_total",
    "freshet_cache_entries",
    "freshet_cache_bytes",
    "freshet_rocksdb_files_bytes",
    "freshet_subscriptions",
    "freshet_subscriptions_live",
    "freshet_subscriptions_stuck",
    "freshet_changes_delivered_total",
    "freshet_wire_connections",
    "freshet_wire_subscriptions",
    "freshet_wire_changes_total",
    "freshet_wire_invalidations_total",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
};
#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

/* The index of the name, or NAME_COUNT. */
static size_t name_find(struct bytes name)
{
    size_t at = 0;
    while (at < NAME_COUNT && !bytes_equal(bytes_of_text(names[at]), name)) {
        at++;
    }
    return at;
}

/* "name value"; comments and what has labels are none of ours. */
static void line_read(struct bytes line, double *values_out, bool *found_out)
{
    const uint8_t *space = line.size == 0 ? NULL : memchr(line.data, ' ', line.size);
    if (space == NULL) {
        return;
    }
    size_t name_size = (size_t)(space - line.data);
    size_t at = name_find(bytes_slice(line, 0, name_size));
    struct bytes value = bytes_slice(line, name_size + 1, VALUE_BYTES_MAX);
    if (at == NAME_COUNT || value.size == 0) {
        return;
    }
    char text[VALUE_BYTES_MAX + 1];
    memcpy(text, value.data, value.size);
    text[value.size] = '\0';
    values_out[at] = strtod(text, NULL);
    found_out[at] = true;
}

static void text_read(struct bytes text, double *values_out, bool *found_out)
{
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.data);
        line_read(bytes_slice(text, 0, size), values_out, found_out);
        text = bytes_slice(text, size + 1, text.size);
    }
}

/* The message, for all who ask in this turn: the text of /metrics takes some 100 us. */
static bool stats_make(struct wire_server *server)
{
    const struct wire_options *options = &server->options;
    size_t size = 0;
    uint8_t *text = options->metrics_text == NULL
                        ? NULL
                        : options->metrics_text(options->metrics_context, &size);
    if (text == NULL) {
        return false;
    }
    double values[NAME_COUNT] = {0};
    bool found[NAME_COUNT] = {false};
    Freshet__Stats__Metric metrics[NAME_COUNT];
    Freshet__Stats__Metric *pointers[NAME_COUNT];
    Freshet__Stats message = FRESHET__STATS__INIT;
    text_read(bytes_of(text, size), values, found);
    free(text);
    message.metrics = pointers;
    for (size_t i = 0; i < NAME_COUNT; i++) {
        if (!found[i]) {
            continue;
        }
        Freshet__Stats__Metric *metric = &metrics[message.n_metrics];
        freshet__stats__metric__init(metric);
        /* protobuf-c has no const in its structs; packing changes nothing. */
        metric->name = (char *)(uintptr_t)names[i];
        metric->value = values[i];
        pointers[message.n_metrics++] = metric;
    }
    ASSERT(protobuf_c_message_get_packed_size(&message.base) <= sizeof(server->stats));
    server->stats_size = protobuf_c_message_pack(&message.base, server->stats);
    server->stats_ns = server->now_ns;
    return true;
}

void wire_stats(struct wire_connection *connection, const struct wire_frame *frame)
{
    struct wire_server *server = connection->server;
    bool is_made = server->stats_size > 0 && server->stats_ns == server->now_ns;
    if (!is_made && !stats_make(server)) {
        wire_answer_status(connection, frame->id, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    const struct wire_head head = {
        .opcode = FRAME_STATS | FRAME_ANSWER, .code = 200, .id = frame->id};
    wire_answer(connection, &head, bytes_of(server->stats, server->stats_size));
}
