/*
 * bench get, put, mixed: a closed loop over libfreshet's asynchronous calls, one thread. Records
 * are written, measured and deleted by the same loop.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include <freshet_async.h>

#include "bindings/cli/cli_internal.h"
#include "bindings/cli/progress.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

#define COLLECTION_DEFAULT  "pets"
#define CONNECTIONS_DEFAULT 8
#define SECONDS_DEFAULT     5
#define RECORDS_DEFAULT     1000
#define VALUE_BYTES_DEFAULT 300
#define DOCUMENT_EXTRA      64 /* around the value */
#define ID_TEXT_BYTES       32
#define DETAIL_BYTES_MAX    256
#define TURN_MS             50
#define DRAIN_NS            (5ull * 1000 * 1000 * 1000)
#define SECOND_NS           (1000ull * 1000 * 1000)
#define WRITES_ONE_IN       10 /* of mixed */
#define SEED                20260101

/* Times by powers of two, each in 32 parts: good to 3 %. */
#define PART_BITS 5
#define PARTS     (1u << PART_BITS)
#define BUCKETS   (64 * PARTS)

enum work { WORK_GET, WORK_PUT, WORK_MIXED, WORK_DELETE };

struct bench;

struct request {
    struct freshet_async *db;
    struct bench *bench;
    uint64_t sent_ns;
};

struct bench {
    struct cli *cli;
    const char *url;
    const char *collection;
    uint64_t connections;
    uint64_t pipeline;
    uint64_t records;
    uint64_t value_bytes;
    enum work work;
    bool in_order;  /* each record once; else random ones */
    bool stopping;  /* nothing new is sent */
    uint64_t begun; /* operations of this phase */
    uint64_t operations_max;
    uint64_t in_flight;
    uint64_t finished;
    uint64_t failed;
    uint64_t random;
    uint64_t written; /* makes each document differ from the one before */
    uint64_t times[BUCKETS];
    uint64_t longest_ns;
    struct freshet_async **handles;
    struct request *requests;
    struct pollfd *polled;
    uint8_t *document;
    char *value;
    char detail[DETAIL_BYTES_MAX]; /* of the first failure */
};

/* ---- times ---- */

static size_t bucket_of(uint64_t ns)
{
    if (ns < PARTS) {
        return ns;
    }
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    return (size_t)(power - PART_BITS + 1) * PARTS + (ns >> (power - PART_BITS) & (PARTS - 1));
}

/* The least time of the bucket behind this one. */
static uint64_t bucket_end(size_t bucket)
{
    size_t next = bucket + 1;
    if (next < PARTS) {
        return next;
    }
    return (uint64_t)(PARTS + next % PARTS) << (next / PARTS - 1);
}

static double percentile_us(const struct bench *bench, double part)
{
    uint64_t total = 0;
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        total += bench->times[i];
    }
    for (size_t i = 0; i < BUCKETS; i++) {
        seen += bench->times[i];
        if (seen > 0 && (double)seen >= part * (double)total) {
            uint64_t end_ns = bucket_end(i);
            return (double)(end_ns < bench->longest_ns ? end_ns : bench->longest_ns) / 1e3;
        }
    }
    return 0;
}

/* ---- requests ---- */

static uint64_t random_next(struct bench *bench)
{
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

static struct bytes document_make(struct bench *bench)
{
    struct writer document = writer_of(bench->document, bench->value_bytes + DOCUMENT_EXTRA);
    document_write_map(&document, 2);
    document_write_string(&document, BYTES_LITERAL("n"));
    document_write_u64(&document, ++bench->written);
    document_write_string(&document, BYTES_LITERAL("value"));
    document_write_string(&document, bytes_of(bench->value, bench->value_bytes));
    ASSERT(!document.failed);
    return writer_bytes(&document);
}

static void fail(struct bench *bench, const char *detail)
{
    if (bench->failed++ == 0) {
        snprintf(bench->detail, sizeof(bench->detail), "%s", detail);
    }
}

static void request_done(void *context, const struct freshet_result *result);

static void request_send(struct request *request)
{
    struct bench *bench = request->bench;
    char id[ID_TEXT_BYTES];
    enum freshet_status status;
    if (bench->stopping || bench->begun == bench->operations_max) {
        return;
    }
    uint64_t number = bench->in_order ? bench->begun : random_next(bench) % bench->records;
    snprintf(id, sizeof(id), "bench-%llu", (unsigned long long)number);
    bool writes = bench->work == WORK_PUT ||
                  (bench->work == WORK_MIXED && random_next(bench) % WRITES_ONE_IN == 0);
    request->sent_ns = cli_now_ns();
    if (writes) {
        struct bytes document = document_make(bench);
        status = freshet_async_put(request->db, bench->collection, id, (const char *)document.data,
                                   document.size, NULL, request_done, request);
    } else if (bench->work == WORK_DELETE) {
        status =
            freshet_async_delete(request->db, bench->collection, id, NULL, request_done, request);
    } else {
        status = freshet_async_get(request->db, bench->collection, id, request_done, request);
    }
    if (status == FRESHET_OK) {
        bench->begun++;
        bench->in_flight++;
    } else {
        fail(bench, freshet_async_error(request->db)->detail);
        bench->stopping = true;
    }
}

static void request_done(void *context, const struct freshet_result *result)
{
    struct request *request = context;
    struct bench *bench = request->bench;
    ASSERT(bench->in_flight > 0);
    bench->in_flight--;
    if (result->status == FRESHET_OK) {
        uint64_t spent_ns = cli_now_ns() - request->sent_ns;
        bench->finished++;
        ASSERT(spent_ns < bucket_end(bucket_of(spent_ns)));
        bench->times[bucket_of(spent_ns)]++;
        bench->longest_ns = spent_ns > bench->longest_ns ? spent_ns : bench->longest_ns;
    } else {
        fail(bench, result->error->detail);
        bench->stopping = bench->stopping || result->status != FRESHET_BUSY;
    }
    request_send(request);
}

/* ---- the loop ---- */

static void turn(struct bench *bench)
{
    int timeout_ms = TURN_MS;
    for (size_t i = 0; i < bench->connections; i++) {
        int due_ms = freshet_async_timeout_ms(bench->handles[i]);
        timeout_ms = due_ms >= 0 && due_ms < timeout_ms ? due_ms : timeout_ms;
        bench->polled[i] = (struct pollfd){
            .fd = freshet_async_fd(bench->handles[i]),
            .events = freshet_async_events(bench->handles[i]),
        };
    }
    int ready = poll(bench->polled, bench->connections, timeout_ms);
    for (size_t i = 0; i < bench->connections; i++) {
        if (ready > 0 && bench->polled[i].revents == 0 &&
            freshet_async_timeout_ms(bench->handles[i]) != 0) {
            continue;
        }
        if (freshet_async_process(bench->handles[i]) != FRESHET_OK) {
            fail(bench, freshet_async_error(bench->handles[i])->detail);
            bench->stopping = true;
        }
    }
}

static bool all_connected(const struct bench *bench)
{
    for (size_t i = 0; i < bench->connections; i++) {
        if (!freshet_async_is_connected(bench->handles[i])) {
            return false;
        }
    }
    return true;
}

static void phase_begin(struct bench *bench, enum work work, bool in_order)
{
    ASSERT(bench->in_flight == 0);
    bench->work = work;
    bench->in_order = in_order;
    bench->stopping = false;
    bench->begun = 0;
    bench->finished = 0;
    bench->operations_max = in_order ? bench->records : UINT64_MAX;
    bench->longest_ns = 0;
    memset(bench->times, 0, sizeof(bench->times));
    for (size_t i = 0; i < bench->connections * bench->pipeline; i++) {
        request_send(&bench->requests[i]);
    }
}

static void phase_drain(struct bench *bench)
{
    uint64_t until_ns = cli_now_ns() + DRAIN_NS;
    bench->stopping = true;
    while (bench->in_flight > 0 && cli_now_ns() < until_ns) {
        turn(bench);
    }
}

/* All records once: written, or deleted. */
static bool records_work(struct bench *bench, enum work work, const char *title)
{
    struct progress progress;
    uint64_t failed = bench->failed;
    progress_begin(&progress, bench->cli, title, "records", bench->records);
    phase_begin(bench, work, true);
    while (bench->finished < bench->records && !bench->stopping &&
           (work == WORK_DELETE || !cli_signals_came())) {
        turn(bench);
        progress_update(&progress, bench->finished, bench->finished);
    }
    phase_drain(bench);
    progress_end(&progress);
    return bench->failed == failed && bench->finished == bench->records;
}

/* The seconds that were measured. */
static double measure(struct bench *bench, enum work work, uint64_t seconds)
{
    struct progress progress;
    progress_begin(&progress, bench->cli, bench->cli->command->verb, "requests",
                   seconds * SECOND_NS);
    phase_begin(bench, work, false);
    uint64_t from_ns = cli_now_ns();
    uint64_t spent_ns = 0;
    while (spent_ns < seconds * SECOND_NS && !bench->stopping && !cli_signals_came()) {
        turn(bench);
        spent_ns = cli_now_ns() - from_ns;
        progress_update(&progress, spent_ns, bench->finished);
    }
    /* What is still under way is answered, but not counted. */
    uint64_t finished = bench->finished;
    phase_drain(bench);
    bench->finished = finished;
    progress_end(&progress);
    return (double)spent_ns / 1e9;
}

/* ---- what came of it ---- */

static void line_print(const char *name, double value, const char *unit)
{
    char text[CLI_COUNT_BYTES_MAX];
    printf("  %-7s %12s %s\n", name, cli_count_text((uint64_t)(value + 0.5), text), unit);
}

static void result_print(const struct bench *bench, double seconds)
{
    char records[CLI_COUNT_BYTES_MAX];
    char bytes[CLI_COUNT_BYTES_MAX];
    double rate = seconds > 0 ? (double)bench->finished / seconds : 0;
    const char *name = bench->cli->command->verb;
    double p50 = percentile_us(bench, 0.5);
    double p99 = percentile_us(bench, 0.99);
    double p999 = percentile_us(bench, 0.999);
    double longest = (double)bench->longest_ns / 1e3;
    if (bench->cli->json) {
        printf("{\"bench\":\"%s\",\"connections\":%llu,\"pipeline\":%llu,\"records\":%llu,"
               "\"value_bytes\":%llu,\"seconds\":%.3f,\"operations\":%llu,\"rate\":%.0f,"
               "\"p50_us\":%.1f,\"p99_us\":%.1f,\"p999_us\":%.1f,\"max_us\":%.1f}\n",
               name, (unsigned long long)bench->connections, (unsigned long long)bench->pipeline,
               (unsigned long long)bench->records, (unsigned long long)bench->value_bytes, seconds,
               (unsigned long long)bench->finished, rate, p50, p99, p999, longest);
        return;
    }
    printf("%s  %llu connection%s, %llu in flight each; %s records of %s bytes; %.1f s\n\n", name,
           (unsigned long long)bench->connections, bench->connections == 1 ? "" : "s",
           (unsigned long long)bench->pipeline, cli_count_text(bench->records, records),
           cli_count_text(bench->value_bytes, bytes), seconds);
    line_print("rate", rate, "/s");
    line_print("p50", p50, "us");
    line_print("p99", p99, "us");
    line_print("p99.9", p999, "us");
    line_print("max", longest, "us");
}

/* ---- the whole ---- */

static enum freshet_status connections_open(struct bench *bench)
{
    const struct freshet_options options = {
        .format = FRESHET_MSGPACK,
        .timeout_ms = (int)cli_number(bench->cli, CLI_OPTION_TIMEOUT, 0),
        .token = cli_setting(bench->cli, CLI_OPTION_TOKEN, "FRESHET_TOKEN", NULL),
    };
    for (size_t i = 0; i < bench->connections; i++) {
        enum freshet_status status =
            freshet_async_connect(bench->url, &options, &bench->handles[i]);
        if (status != FRESHET_OK) {
            return status;
        }
        for (size_t j = 0; j < bench->pipeline; j++) {
            bench->requests[i * bench->pipeline + j] = (struct request){
                .db = bench->handles[i],
                .bench = bench,
            };
        }
    }
    uint64_t until_ns = cli_now_ns() + DRAIN_NS;
    while (!all_connected(bench) && !bench->stopping && cli_now_ns() < until_ns) {
        turn(bench);
    }
    return all_connected(bench) ? FRESHET_OK : FRESHET_DISCONNECTED;
}

static int bench_run(struct bench *bench)
{
    enum work work = bench->cli->command == cli_command_at(CLI_BENCH_GET)   ? WORK_GET
                     : bench->cli->command == cli_command_at(CLI_BENCH_PUT) ? WORK_PUT
                                                                            : WORK_MIXED;
    double seconds = 0;
    enum freshet_status status = connections_open(bench);
    if (status != FRESHET_OK) {
        const char *detail = bench->detail[0] != '\0' ? bench->detail : freshet_status_text(status);
        return cli_fail_text(bench->cli, bench->url, detail);
    }
    cli_signals_hold();
    if (records_work(bench, WORK_PUT, "writing")) {
        seconds = measure(bench, work, cli_number(bench->cli, CLI_OPTION_SECONDS, SECONDS_DEFAULT));
    }
    if (bench->failed == 0 && seconds > 0) {
        result_print(bench, seconds);
        fflush(stdout);
    }
    int code = bench->failed == 0 ? CLI_EXIT_CLEAN
                                  : cli_fail_text(bench->cli, bench->collection, bench->detail);
    (void)records_work(bench, WORK_DELETE, "deleting");
    return code;
}

static void bench_close(struct bench *bench)
{
    for (size_t i = 0; bench->handles != NULL && i < bench->connections; i++) {
        freshet_async_close(bench->handles[i]);
    }
    free(bench->handles);
    free(bench->requests);
    free(bench->polled);
    free(bench->document);
    free(bench->value);
    free(bench);
}

static bool bench_memory(struct bench *bench)
{
    bench->handles = calloc(bench->connections, sizeof(struct freshet_async *));
    bench->requests = calloc(bench->connections * bench->pipeline, sizeof(struct request));
    bench->polled = calloc(bench->connections, sizeof(struct pollfd));
    bench->document = malloc(bench->value_bytes + DOCUMENT_EXTRA);
    bench->value = malloc(bench->value_bytes + 1);
    if (bench->value == NULL || bench->handles == NULL || bench->requests == NULL ||
        bench->polled == NULL || bench->document == NULL) {
        return false;
    }
    for (size_t i = 0; i < bench->value_bytes; i++) {
        bench->value[i] = (char)('a' + random_next(bench) % 26);
    }
    return true;
}

int cli_bench(struct cli *cli)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL) {
        return cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    }
    const char *collection = cli->texts[CLI_OPTION_BENCH_COLLECTION];
    bench->cli = cli;
    bench->url = cli_url(cli);
    bench->collection = collection == NULL ? COLLECTION_DEFAULT : collection;
    bench->connections = cli_number(cli, CLI_OPTION_CONNECTIONS, CONNECTIONS_DEFAULT);
    bench->pipeline = cli_number(cli, CLI_OPTION_PIPELINE, 1);
    bench->records = cli_number(cli, CLI_OPTION_RECORDS, RECORDS_DEFAULT);
    bench->value_bytes = cli_number(cli, CLI_OPTION_VALUE_BYTES, VALUE_BYTES_DEFAULT);
    bench->random = SEED;
    int code = bench_memory(bench) ? bench_run(bench)
                                   : cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    bench_close(bench);
    return code;
}
