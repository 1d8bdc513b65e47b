#include "net/rest/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/shard/engine.h"
#include "protocol/base/assert.h"

#define NS_PER_S 1000000000.0

/* ---- what is counted ---- */

/* Every status that this server answers has a place; one that is not here counts in the place of
 * 0. */
static const uint16_t statuses[] = {0,   200, 201, 304, 400, 401, 403, 404, 405,
                                    408, 409, 410, 411, 412, 413, 414, 415, 417,
                                    422, 429, 431, 500, 501, 503, 504, 505};
#define STATUS_PLACES (sizeof(statuses) / sizeof(statuses[0]))

#define STATUS_CODES_MAX 600

enum latency_class { LATENCY_READ, LATENCY_WRITE, LATENCY_LIST, LATENCY_OTHER };
#define LATENCY_CLASSES 4
static const char *const latency_names[LATENCY_CLASSES] = {"read", "write", "list", "other"};

/* Upper bounds of 2^0 to 2^23 us (8.4 s), and what is above. */
#define LATENCY_BOUNDS 24

struct latency {
    _Atomic uint64_t buckets[LATENCY_BOUNDS + 1]; /* each alone, not cumulative */
    _Atomic uint64_t sum_ns;
};

struct metrics_thread {
    _Alignas(CACHE_LINE_BYTES) uint32_t route_count;
    const uint8_t *place_of_status;
    _Atomic uint64_t bytes_sent;
    struct latency latency[LATENCY_CLASSES];
    _Atomic uint64_t turns;
    _Atomic uint64_t busy_ns;
    _Atomic uint64_t idle_ns;
    _Atomic uint64_t connections;
    _Atomic uint64_t connections_accepted;
    _Atomic uint64_t connections_refused;
    _Atomic uint64_t received_bytes;
    _Atomic uint64_t memory_bytes;
    _Atomic uint64_t streams;
    _Atomic uint64_t streams_bytes;
    _Atomic uint64_t timeouts[METRICS_TIMEOUT_COUNT];
    /* [route][method][place of status]: an array of its own, because it grows with the
     * collections. */
    _Atomic uint64_t (*requests)[HTTP_METHOD_COUNT][STATUS_PLACES];
};

struct metrics {
    struct metrics_options options;
    uint32_t route_count;
    uint8_t place_of_status[STATUS_CODES_MAX];
    struct metrics_thread *threads;
};

/* A thread adds to what it alone writes: no locked instruction is needed, only that a reader sees
 * no half of it. */
static void add(_Atomic uint64_t *counter, uint64_t amount)
{
    uint64_t before = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, before + amount, memory_order_relaxed);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void store(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
}

/* ---- life ---- */

static enum status thread_init(struct metrics *metrics, struct metrics_thread *thread)
{
    size_t bytes = metrics->route_count * sizeof(*thread->requests);
    bytes = (bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
    void *requests = aligned_alloc(CACHE_LINE_BYTES, bytes);
    if (requests == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(requests, 0, bytes);
    thread->requests = requests;
    thread->route_count = metrics->route_count;
    thread->place_of_status = metrics->place_of_status;
    return STATUS_OK;
}

enum status metrics_create(const struct metrics_options *options, struct metrics **out)
{
    ASSERT(options->thread_count > 0);
    ASSERT(options->thread_count <= THREAD_COUNT_MAX);
    *out = NULL;
    struct metrics *metrics = calloc(1, sizeof(*metrics));
    if (metrics == NULL) {
        return STATUS_NO_MEMORY;
    }
    metrics->options = *options;
    metrics->route_count = METRICS_ROUTE_FIXED_COUNT + 2 * options->collection_count;
    for (uint8_t place = 0; place < STATUS_PLACES; place++) {
        metrics->place_of_status[statuses[place]] = place;
    }
    size_t bytes = options->thread_count * sizeof(struct metrics_thread);
    metrics->threads = aligned_alloc(CACHE_LINE_BYTES, bytes);
    enum status status = metrics->threads == NULL ? STATUS_NO_MEMORY : STATUS_OK;
    if (status == STATUS_OK) {
        memset(metrics->threads, 0, bytes);
    }
    for (uint32_t index = 0; index < options->thread_count && status == STATUS_OK; index++) {
        status = thread_init(metrics, &metrics->threads[index]);
    }
    if (status != STATUS_OK) {
        metrics_destroy(&metrics);
        return status;
    }
    *out = metrics;
    return STATUS_OK;
}

void metrics_destroy(struct metrics **metrics)
{
    if (*metrics == NULL) {
        return;
    }
    if ((*metrics)->threads != NULL) {
        for (uint32_t index = 0; index < (*metrics)->options.thread_count; index++) {
            free((*metrics)->threads[index].requests);
        }
    }
    free((*metrics)->threads);
    free(*metrics);
    *metrics = NULL;
}

struct metrics_thread *metrics_thread_at(struct metrics *metrics, uint32_t index)
{
    ASSERT(index < metrics->options.thread_count);
    return &metrics->threads[index];
}

/* ---- counting ---- */

static enum latency_class latency_class_of(uint16_t route, enum http_method method)
{
    if (route < METRICS_ROUTE_FIXED_COUNT) {
        return LATENCY_OTHER;
    }
    bool of_list = (route - METRICS_ROUTE_FIXED_COUNT) % 2 == 0;
    switch (method) {
    case HTTP_GET:
    case HTTP_HEAD:
        return of_list ? LATENCY_LIST : LATENCY_READ;
    case HTTP_POST:
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_DELETE:
        return LATENCY_WRITE;
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        return LATENCY_OTHER;
    }
    UNREACHABLE();
}

/* The first bound that is not below the duration. */
static uint32_t latency_bucket(uint64_t duration_ns)
{
    uint64_t us = (duration_ns + 999) / 1000;
    uint32_t bucket = us <= 1 ? 0 : (uint32_t)(64 - __builtin_clzll(us - 1));
    return bucket < LATENCY_BOUNDS ? bucket : LATENCY_BOUNDS;
}

void metrics_count(struct metrics_thread *thread, uint16_t route, enum http_method method,
                   uint16_t status, uint64_t duration_ns, uint64_t bytes_sent)
{
    ASSERT(route < thread->route_count);
    ASSERT((uint32_t)method < HTTP_METHOD_COUNT);
    uint8_t place = status < STATUS_CODES_MAX ? thread->place_of_status[status] : 0;
    add(&thread->requests[route][method][place], 1);
    add(&thread->bytes_sent, bytes_sent);
    struct latency *latency = &thread->latency[latency_class_of(route, method)];
    add(&latency->buckets[latency_bucket(duration_ns)], 1);
    add(&latency->sum_ns, duration_ns);
}

void metrics_loop_set(struct metrics_thread *thread, const struct metrics_loop *loop)
{
    store(&thread->turns, loop->turns);
    store(&thread->busy_ns, loop->busy_ns);
    store(&thread->idle_ns, loop->idle_ns);
    store(&thread->connections, loop->connections);
    store(&thread->connections_accepted, loop->connections_accepted);
    store(&thread->connections_refused, loop->connections_refused);
    store(&thread->received_bytes, loop->received_bytes);
    store(&thread->memory_bytes, loop->memory_bytes);
    store(&thread->streams, loop->streams);
    store(&thread->streams_bytes, loop->streams_bytes);
    for (uint32_t kind = 0; kind < METRICS_TIMEOUT_COUNT; kind++) {
        store(&thread->timeouts[kind], loop->timeouts[kind]);
    }
}

/* ---- the text ---- */

__attribute__((format(printf, 2, 3))) static void print(struct writer *out, const char *format, ...)
{
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    ASSERT(size >= 0);
    ASSERT((size_t)size < sizeof(line));
    writer_put(out, bytes_of(line, (size_t)size));
}

static void family(struct writer *out, const char *name, const char *type, const char *help)
{
    print(out, "# HELP freshet_%s %s\n# TYPE freshet_%s %s\n", name, help, name, type);
}

static void counter(struct writer *out, const char *name, const char *help, uint64_t value)
{
    family(out, name, "counter", help);
    print(out, "freshet_%s %" PRIu64 "\n", name, value);
}

static void gauge(struct writer *out, const char *name, const char *help, uint64_t value)
{
    family(out, name, "gauge", help);
    print(out, "freshet_%s %" PRIu64 "\n", name, value);
}

const char *metrics_method_name(enum http_method method)
{
    static const char *const names[HTTP_METHOD_COUNT] = {"GET",   "HEAD",   "POST",    "PUT",
                                                         "PATCH", "DELETE", "OPTIONS", "OTHER"};
    ASSERT((uint32_t)method < HTTP_METHOD_COUNT);
    return names[method];
}

static void route_write(const struct metrics *metrics, uint32_t route, struct writer *out)
{
    static const char *const fixed[METRICS_ROUTE_FIXED_COUNT] = {
        "none",     "/healthz",       "/readyz", "/metrics",   "/openapi.json",
        "/changes", "/patterns/test", "/events", "/consumers", "/rules"};
    if (route < METRICS_ROUTE_FIXED_COUNT) {
        writer_text(out, fixed[route]);
        return;
    }
    uint32_t index = (route - METRICS_ROUTE_FIXED_COUNT) / 2;
    writer_u8(out, '/');
    writer_put(out, metrics->options.collections[index].name);
    if ((route - METRICS_ROUTE_FIXED_COUNT) % 2 == 1) {
        writer_put(out, BYTES_LITERAL("/{id}"));
    }
}

static uint64_t requests_sum(const struct metrics *metrics, uint32_t route, uint32_t method,
                             uint32_t place)
{
    uint64_t sum = 0;
    for (uint32_t index = 0; index < metrics->options.thread_count; index++) {
        sum += load(&metrics->threads[index].requests[route][method][place]);
    }
    return sum;
}

/* Only series that have counted something: the product of all labels is large, and mostly zero. */
static void requests_write(const struct metrics *metrics, struct writer *out)
{
    family(out, "http_requests_total", "counter", "Requests answered.");
    for (uint32_t route = 0; route < metrics->route_count; route++) {
        for (uint32_t method = 0; method < HTTP_METHOD_COUNT; method++) {
            for (uint32_t place = 0; place < STATUS_PLACES; place++) {
                uint64_t sum = requests_sum(metrics, route, method, place);
                if (sum == 0) {
                    continue;
                }
                writer_text(out, "freshet_http_requests_total{route=\"");
                route_write(metrics, route, out);
                print(out, "\",method=\"%s\",status=\"%u\"} %" PRIu64 "\n",
                      metrics_method_name(method), statuses[place], sum);
            }
        }
    }
}

static void latency_write(const struct metrics *metrics, uint32_t kind, struct writer *out)
{
    const char *name = latency_names[kind];
    uint64_t count = 0;
    uint64_t sum_ns = 0;
    for (uint32_t bucket = 0; bucket <= LATENCY_BOUNDS; bucket++) {
        for (uint32_t index = 0; index < metrics->options.thread_count; index++) {
            count += load(&metrics->threads[index].latency[kind].buckets[bucket]);
        }
        if (bucket < LATENCY_BOUNDS) {
            print(out,
                  "freshet_http_request_duration_seconds_bucket{class=\"%s\",le=\"%.6f\"} %" PRIu64
                  "\n",
                  name, (double)(UINT64_C(1) << bucket) / 1e6, count);
        }
    }
    for (uint32_t index = 0; index < metrics->options.thread_count; index++) {
        sum_ns += load(&metrics->threads[index].latency[kind].sum_ns);
    }
    print(out,
          "freshet_http_request_duration_seconds_bucket{class=\"%s\",le=\"+Inf\"} %" PRIu64 "\n"
          "freshet_http_request_duration_seconds_sum{class=\"%s\"} %.9f\n"
          "freshet_http_request_duration_seconds_count{class=\"%s\"} %" PRIu64 "\n",
          name, count, name, (double)sum_ns / NS_PER_S, name, count);
}

static void loop_one_write(const struct metrics *metrics, struct writer *out, const char *name,
                           const char *type, const char *help, size_t offset, double divisor)
{
    family(out, name, type, help);
    for (uint32_t index = 0; index < metrics->options.thread_count; index++) {
        const void *at = (const char *)&metrics->threads[index] + offset;
        double value = (double)load(at) / divisor;
        print(out, "freshet_%s{thread=\"%u\"} %.*f\n", name, index, divisor > 1 ? 9 : 0, value);
    }
}

static void timeouts_write(const struct metrics *metrics, struct writer *out)
{
    static const char *const names[METRICS_TIMEOUT_COUNT] = {"head", "body", "idle", "send"};
    family(out, "http_timeouts_total", "counter",
           "Connections ended because a head or a body was slow to come, nothing was asked, or the "
           "answer was not read.");
    for (uint32_t index = 0; index < metrics->options.thread_count; index++) {
        for (uint32_t kind = 0; kind < METRICS_TIMEOUT_COUNT; kind++) {
            print(out, "freshet_http_timeouts_total{thread=\"%u\",kind=\"%s\"} %" PRIu64 "\n",
                  index, names[kind], load(&metrics->threads[index].timeouts[kind]));
        }
    }
}

static void loops_write(const struct metrics *metrics, struct writer *out)
{
    loop_one_write(metrics, out, "thread_busy_seconds_total", "counter",
                   "Time a thread spent working. Its rate is the busy share.",
                   offsetof(struct metrics_thread, busy_ns), NS_PER_S);
    loop_one_write(metrics, out, "thread_idle_seconds_total", "counter",
                   "Time a thread spent waiting.", offsetof(struct metrics_thread, idle_ns),
                   NS_PER_S);
    loop_one_write(metrics, out, "thread_turns_total", "counter", "Turns of a thread's loop.",
                   offsetof(struct metrics_thread, turns), 1);
    loop_one_write(metrics, out, "http_connections", "gauge", "Open connections.",
                   offsetof(struct metrics_thread, connections), 1);
    loop_one_write(metrics, out, "http_connections_accepted_total", "counter",
                   "Connections accepted.", offsetof(struct metrics_thread, connections_accepted),
                   1);
    loop_one_write(metrics, out, "http_connections_refused_total", "counter",
                   "Connections over the limit, answered 503.",
                   offsetof(struct metrics_thread, connections_refused), 1);
    loop_one_write(metrics, out, "http_sent_bytes_total", "counter",
                   "Bytes of answers, heads included.", offsetof(struct metrics_thread, bytes_sent),
                   1);
    loop_one_write(metrics, out, "http_received_bytes_total", "counter", "Bytes that came in.",
                   offsetof(struct metrics_thread, received_bytes), 1);
    loop_one_write(metrics, out, "http_memory_bytes", "gauge",
                   "Memory of connections, requests and answers.",
                   offsetof(struct metrics_thread, memory_bytes), 1);
    loop_one_write(metrics, out, "http_streams", "gauge",
                   "Open streams of events, and pages of changes that are being written.",
                   offsetof(struct metrics_thread, streams), 1);
    loop_one_write(metrics, out, "http_streams_bytes", "gauge",
                   "Memory of what was written to streams and is not sent yet.",
                   offsetof(struct metrics_thread, streams_bytes), 1);
    timeouts_write(metrics, out);
}

static void cache_write(const struct cache_statistics *cache, struct writer *out)
{
    counter(out, "cache_hits_total", "Look-ups answered from the cache.", cache->hits);
    counter(out, "cache_misses_total", "Look-ups that found nothing fresh.", cache->misses);
    counter(out, "cache_fills_total", "Entries put into the cache.", cache->fills);
    counter(out, "cache_evictions_total", "Entries dropped for room.", cache->evictions);
    counter(out, "cache_expiries_total", "Entries dropped because their time was over.",
            cache->expiries);
    counter(out, "cache_refused_total", "Bodies that could not fit.", cache->refused);
    gauge(out, "cache_entries", "Entries in the cache.", cache->entries);
    gauge(out, "cache_bytes", "Memory the cache uses, all of it.", cache->bytes);
    gauge(out, "cache_limit_bytes", "Memory the cache may use.", cache->bytes_max);
}

static void journal_write(const struct journal_statistics *journal, struct writer *out)
{
    counter(out, "journal_entries_total", "Entries committed since the start.", journal->entries);
    counter(out, "journal_batches_total", "Batches written since the start.", journal->batches);
    counter(out, "journal_written_bytes_total", "Bytes written since the start.",
            journal->bytes_written);
    counter(out, "journal_syncs_total", "Syncs since the start.", journal->syncs);
    family(out, "journal_sync_seconds_total", "counter", "Time spent in syncs.");
    print(out, "freshet_journal_sync_seconds_total %.9f\n",
          (double)journal->sync_ns_total / NS_PER_S);
    gauge(out, "journal_segments", "Segment files.", journal->segments);
    gauge(out, "journal_oldest_sequence", "The first entry that can still be read.",
          journal->oldest_sequence);
    gauge(out, "journal_queued_bytes", "Submitted and not yet committed.", journal->queued_bytes);
}

static void store_write(const struct store_statistics *rocks, struct writer *out)
{
    gauge(out, "rocksdb_memtable_bytes", "Records not yet flushed.", rocks->memtable_bytes);
    gauge(out, "rocksdb_unflushed_memtables", "Memtables that are not in table files yet.",
          rocks->unflushed_memtables);
    gauge(out, "rocksdb_files_bytes", "Size of the table files.", rocks->files_bytes);
    gauge(out, "rocksdb_block_cache_bytes", "Memory of the block cache.", rocks->block_cache_bytes);
    gauge(out, "rocksdb_level0_files", "Files in level 0.", rocks->level0_files);
    gauge(out, "rocksdb_pending_compaction_bytes", "Work the compactions are behind.",
          rocks->pending_compaction_bytes);
    gauge(out, "rocksdb_stalled", "1 while writes are refused or about to be.",
          rocks->stalled ? 1 : 0);
}

static void engine_write(struct engine *engine, struct writer *out)
{
    struct engine_statistics statistics;
    engine_statistics_read(engine, &statistics);
    cache_write(&statistics.cache, out);
    journal_write(&statistics.journal, out);
    store_write(&statistics.store, out);
    counter(out, "applied_entries_total", "Entries applied to the store and the cache.",
            statistics.applied_entries);
    counter(out, "apply_retries_total", "Applies that RocksDB refused and that were tried again.",
            statistics.apply_retries);
    gauge(out, "apply_queued_entries", "Entries committed and not yet applied.",
          statistics.apply_queued);
    counter(out, "refused_writes_total", "Writes answered 503 because admission was closed.",
            statistics.refused_writes);
    counter(out, "flushes_total", "Flushes of a shard's store.", statistics.flushes);
    gauge(out, "published_sequence", "The last entry that every shard has applied.",
          statistics.published_sequence);
}

/* Resident pages are the second number of /proc/self/statm, which is read from memory, not from a
 * disk. */
static uint64_t resident_bytes(void)
{
    uint64_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file != NULL) {
        if (fscanf(file, "%*u %" SCNu64, &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void process_write(const struct metrics *metrics, uint64_t wall_ms, struct writer *out)
{
    struct rusage usage;
    double cpu_s = 0;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    }
    print(out, "# HELP process_cpu_seconds_total User and system CPU time.\n"
               "# TYPE process_cpu_seconds_total counter\n");
    print(out, "process_cpu_seconds_total %.6f\n", cpu_s);
    print(out, "# HELP process_resident_memory_bytes Resident memory.\n"
               "# TYPE process_resident_memory_bytes gauge\n");
    print(out, "process_resident_memory_bytes %" PRIu64 "\n", resident_bytes());
    print(out, "# HELP process_start_time_seconds When the process began, Unix time.\n"
               "# TYPE process_start_time_seconds gauge\n");
    print(out, "process_start_time_seconds %.3f\n",
          (double)metrics->options.started_wall_ms / 1000);
    family(out, "uptime_seconds", "gauge", "Since the process began to serve.");
    uint64_t up_ms =
        wall_ms > metrics->options.started_wall_ms ? wall_ms - metrics->options.started_wall_ms : 0;
    print(out, "freshet_uptime_seconds %.3f\n", (double)up_ms / 1000);
}

void metrics_write(const struct metrics *metrics, struct engine *engine, uint64_t wall_ms,
                   struct writer *text_out)
{
    ASSERT(metrics != NULL);
    family(text_out, "build_info", "gauge", "Always 1; the labels say what runs.");
    print(text_out, "freshet_build_info{version=\"%s\",compiler=\"%s\"} 1\n", FRESHET_VERSION,
          __VERSION__);
    requests_write(metrics, text_out);
    family(text_out, "http_request_duration_seconds", "histogram",
           "From a request's first byte to its answer.");
    for (uint32_t kind = 0; kind < LATENCY_CLASSES; kind++) {
        latency_write(metrics, kind, text_out);
    }
    loops_write(metrics, text_out);
    if (engine != NULL) {
        engine_write(engine, text_out);
    }
    process_write(metrics, wall_ms, text_out);
}
