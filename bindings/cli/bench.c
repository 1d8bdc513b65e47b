/*
 * bench get, put, mixed, run: loads over libfreshet's asynchronous calls, one thread. Records are
 * written, measured and deleted by the same loop.
 *
 * In a closed loop each request is followed by the next when it is answered: capacity. In an open
 * loop requests are due at fixed times whatever the server does, and each is timed from when it was
 * due: a server that stalls cannot hide it by slowing the load down. In both, whatever was begun or
 * due before the end counts, however late it is answered.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include <freshet_async.h>

#include "bindings/cli/bench_figures.h"
#include "bindings/cli/progress.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

#define DOCUMENT_EXTRA   64         /* around the value, as MessagePack */
#define DOCUMENT_JSON    27         /* likewise as JSON: {"n":1000000000,"value":""} */
#define COUNTER_FIRST    1000000000 /* so that it has as many digits all along */
#define ID_TEXT_BYTES    32
#define TITLE_BYTES_MAX  32
#define DETAIL_BYTES_MAX 256
#define TURN_NS          (50ull * 1000 * 1000)
#define DRAIN_NS         (5ull * 1000 * 1000 * 1000)
#define SECOND_NS        (1000ull * 1000 * 1000)
#define TIMEOUT_MS       30000 /* libfreshet's own */
/* Nearer than this the loop polls, because to wake up takes about as long. */
#define POLL_NS (50ull * 1000)
#define SEED    20260101

enum phase { PHASE_WRITE, PHASE_MEASURE, PHASE_DELETE };

struct bench;

struct request {
    struct freshet_async *db;
    struct bench *bench;
    uint64_t due_ns; /* open loop: intended; else when it was sent */
    uint64_t number; /* of the record */
    enum bench_kind kind;
    bool reads_first; /* a read-modify-write that has not read yet */
};

struct bench {
    struct cli *cli;
    const char *url;
    struct bench_plan plan;
    struct bench_keys keys;
    struct bench_run run;
    struct bench_output output;
    enum phase phase;
    bool stopping;       /* nothing new is begun */
    double interval_ns;  /* open loop; 0: closed */
    uint64_t from_ns;    /* when this phase began */
    double next_ns;      /* open loop: when the next request is due */
    uint64_t last_ns;    /* when nothing more becomes due */
    uint64_t begun;      /* operations of this phase */
    uint64_t begun_most; /* of them all */
    uint64_t in_flight;
    uint64_t finished;
    uint64_t failed;
    uint64_t written; /* makes each document differ from the one before */
    uint64_t slots;   /* requests at a time */
    uint64_t idle_first;
    uint64_t idle_count;
    struct request **idle; /* open loop: a ring of those that wait for work */
    struct freshet_async **handles;
    struct request *requests;
    struct pollfd *polled;
    uint8_t *document;
    char *value;
    char detail[DETAIL_BYTES_MAX]; /* of the first failure */
};

/* ---- requests ---- */

static struct bytes document_make(struct bench *bench)
{
    uint64_t value_bytes = bench->plan.value_bytes - DOCUMENT_JSON;
    struct writer document = writer_of(bench->document, value_bytes + DOCUMENT_EXTRA);
    document_write_map(&document, 2);
    document_write_string(&document, BYTES_LITERAL("n"));
    document_write_u64(&document, COUNTER_FIRST + bench->written++);
    document_write_string(&document, BYTES_LITERAL("value"));
    document_write_string(&document, bytes_of(bench->value, value_bytes));
    ASSERT(!document.failed);
    return writer_bytes(&document);
}

static void fail(struct bench *bench, const char *detail)
{
    if (bench->failed++ == 0) {
        snprintf(bench->detail, sizeof(bench->detail), "%s", detail);
    }
}

static enum bench_kind kind_choose(struct bench *bench)
{
    uint64_t at = bench_keys_random(&bench->keys) % bench->plan.weight_sum;
    enum bench_kind kind = 0;
    while (at >= bench->plan.weights[kind]) {
        at -= bench->plan.weights[kind++];
    }
    ASSERT(kind < BENCH_KIND_TOTAL);
    return kind;
}

/* What the request is to be; false: that was told. */
static bool request_choose(struct request *request)
{
    struct bench *bench = request->bench;
    request->kind = BENCH_KIND_PUT;
    request->number = bench->begun;
    switch (bench->phase) {
    case PHASE_WRITE:
        break;
    case PHASE_DELETE:
        request->kind = BENCH_KIND_DELETE;
        break;
    case PHASE_MEASURE:
        request->kind = kind_choose(bench);
        if (request->kind != BENCH_KIND_INSERT) {
            request->number = bench_keys_next(&bench->keys);
        } else if (!bench_keys_insert(&bench->keys, &request->number)) {
            fail(bench, "an insert has no answer, and too many came after it");
            return false;
        }
        break;
    }
    request->reads_first = request->kind == BENCH_KIND_RMW;
    return true;
}

static void request_done(void *context, const struct freshet_result *result);

static enum freshet_status request_send(struct request *request)
{
    struct bench *bench = request->bench;
    const char *collection = bench->plan.collection;
    char id[ID_TEXT_BYTES];
    snprintf(id, sizeof(id), "bench-%llu", (unsigned long long)request->number);
    if (request->kind == BENCH_KIND_GET || request->reads_first) {
        return freshet_async_get(request->db, collection, id, request_done, request);
    }
    if (request->kind == BENCH_KIND_DELETE) {
        return freshet_async_delete(request->db, collection, id, NULL, request_done, request);
    }
    struct bytes document = document_make(bench);
    return freshet_async_put(request->db, collection, id, (const char *)document.data,
                             document.size, NULL, request_done, request);
}

static void request_begin(struct request *request, uint64_t due_ns)
{
    struct bench *bench = request->bench;
    request->due_ns = due_ns;
    if (!request_choose(request)) {
        bench->stopping = true;
        return;
    }
    if (request_send(request) != FRESHET_OK) {
        fail(bench, freshet_async_error(request->db)->detail);
        bench->stopping = true;
        return;
    }
    bench->begun++;
    bench->in_flight++;
}

/* Of a request that is free: closed loop, the next one; open loop, it waits until one is due. */
static void request_next(struct request *request)
{
    struct bench *bench = request->bench;
    if (bench->interval_ns > 0) {
        ASSERT(bench->idle_count < bench->slots);
        bench->idle[(bench->idle_first + bench->idle_count++) % bench->slots] = request;
    } else if (!bench->stopping && bench->begun < bench->begun_most) {
        request_begin(request, cli_now_ns());
    }
}

/* As REST has it. */
static int code_of(const struct request *request, const struct freshet_result *result)
{
    if (result->status != FRESHET_OK) {
        return result->error->code;
    }
    bool writes = request->kind != BENCH_KIND_GET && !request->reads_first;
    return writes && result->written.created ? 201 : 200;
}

static bool code_is_right(const struct bench *bench, int code)
{
    const struct bench_plan *plan = &bench->plan;
    if (bench->phase != PHASE_MEASURE || plan->expect_count == 0) {
        bool deletes = bench->phase == PHASE_MEASURE && plan->weights[BENCH_KIND_DELETE] > 0;
        return (code >= 200 && code < 300) || (deletes && code == 404);
    }
    for (size_t i = 0; i < plan->expect_count; i++) {
        if (plan->expect[i] == (uint64_t)code) {
            return true;
        }
    }
    return false;
}

static void request_fail(struct request *request, const struct freshet_result *result, int code)
{
    struct bench *bench = request->bench;
    char detail[DETAIL_BYTES_MAX];
    const char *said = result->error->detail;
    said = said[0] != '\0' ? said : freshet_status_text(result->status);
    snprintf(detail, sizeof(detail), "a %s of bench-%llu was answered %d: %s",
             bench_kind_name(request->kind), (unsigned long long)request->number, code, said);
    fail(bench, code == 0 ? said : detail);
    bench->stopping = bench->stopping || result->status != FRESHET_BUSY;
}

static void request_done(void *context, const struct freshet_result *result)
{
    struct request *request = context;
    struct bench *bench = request->bench;
    int code = code_of(request, result);
    ASSERT(bench->in_flight > 0);
    if (!code_is_right(bench, code)) {
        bench->in_flight--;
        request_fail(request, result, code);
    } else if (request->reads_first) {
        request->reads_first = false;
        if (request_send(request) == FRESHET_OK) {
            return; /* it is still the same operation */
        }
        bench->in_flight--;
        fail(bench, freshet_async_error(request->db)->detail);
        bench->stopping = true;
    } else {
        uint64_t now_ns = cli_now_ns();
        bench->in_flight--;
        bench->finished++;
        ASSERT(code > 0 && code < BENCH_CODE_END);
        bench->run.codes[code]++;
        bench_times_record(&bench->run.times[request->kind],
                           now_ns > request->due_ns ? now_ns - request->due_ns : 0);
        if (request->kind == BENCH_KIND_INSERT) {
            bench_keys_inserted(&bench->keys, request->number);
        }
    }
    request_next(request);
}

/* ---- the loop ---- */

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / SECOND_NS), .tv_nsec = (long)(ns % SECOND_NS)};
}

/* Waits for answers, at most until it is time for the next request that is due. */
static int answers_wait(struct bench *bench)
{
    uint64_t wait_ns = TURN_NS;
    for (size_t i = 0; i < bench->plan.connections; i++) {
        int due_ms = freshet_async_timeout_ms(bench->handles[i]);
        uint64_t due_ns = due_ms < 0 ? TURN_NS : (uint64_t)due_ms * 1000 * 1000;
        wait_ns = due_ns < wait_ns ? due_ns : wait_ns;
        bench->polled[i] = (struct pollfd){
            .fd = freshet_async_fd(bench->handles[i]),
            .events = freshet_async_events(bench->handles[i]),
        };
    }
    if (bench->idle_count > 0 && !bench->stopping && bench->next_ns < (double)bench->last_ns) {
        double left_ns = bench->next_ns - (double)cli_now_ns();
        uint64_t due_ns = left_ns < (double)POLL_NS ? 0 : (uint64_t)left_ns - POLL_NS / 2;
        wait_ns = due_ns < wait_ns ? due_ns : wait_ns;
    }
    const struct timespec wait = timespec_of(wait_ns);
    return ppoll(bench->polled, bench->plan.connections, &wait, NULL);
}

/* Open loop: what is due, as far as there is room for it; the rest stays due. */
static void due_begin(struct bench *bench)
{
    double now_ns = (double)cli_now_ns();
    double until_ns = now_ns < (double)bench->last_ns ? now_ns : (double)bench->last_ns;
    while (!bench->stopping && bench->next_ns < until_ns && bench->idle_count > 0) {
        struct request *request = bench->idle[bench->idle_first];
        bench->idle_first = (bench->idle_first + 1) % bench->slots;
        bench->idle_count--;
        request_begin(request, (uint64_t)bench->next_ns);
        bench->next_ns += bench->interval_ns;
    }
    double behind = (until_ns - bench->next_ns) / bench->interval_ns;
    if (behind > (double)bench->run.behind_max) {
        bench->run.behind_max = (uint64_t)behind;
    }
}

static void turn(struct bench *bench)
{
    int ready = answers_wait(bench);
    for (size_t i = 0; i < bench->plan.connections; i++) {
        if (ready > 0 && bench->polled[i].revents == 0 &&
            freshet_async_timeout_ms(bench->handles[i]) != 0) {
            continue;
        }
        if (freshet_async_process(bench->handles[i]) != FRESHET_OK) {
            fail(bench, freshet_async_error(bench->handles[i])->detail);
            bench->stopping = true;
        }
    }
    if (bench->interval_ns > 0) {
        due_begin(bench);
    }
}

static bool all_connected(const struct bench *bench)
{
    for (size_t i = 0; i < bench->plan.connections; i++) {
        if (!freshet_async_is_connected(bench->handles[i])) {
            return false;
        }
    }
    return true;
}

/* most: operations that are begun at all; rate: of an open loop, else 0. */
static void phase_begin(struct bench *bench, enum phase phase, uint64_t most, uint64_t rate)
{
    ASSERT(bench->in_flight == 0);
    memset(&bench->run, 0, sizeof(bench->run));
    bench->run.rate = rate;
    bench->phase = phase;
    bench->stopping = false;
    bench->begun = 0;
    bench->begun_most = most;
    bench->finished = 0;
    bench->interval_ns = rate > 0 ? (double)SECOND_NS / (double)rate : 0;
    bench->from_ns = cli_now_ns();
    bench->next_ns = (double)bench->from_ns;
    bench->last_ns = UINT64_MAX;
    bench->idle_count = 0;
    for (size_t i = 0; i < bench->slots; i++) {
        request_next(&bench->requests[i]);
    }
}

/* Open loop: whether something is due that was not sent. */
static bool is_behind(const struct bench *bench)
{
    return bench->interval_ns > 0 && bench->next_ns < (double)bench->last_ns;
}

/* Nothing more becomes due; what is due is sent, and what was sent is answered, or it takes too
 * long: so long at most, and shorter when something failed or nobody waits for it. */
static void phase_drain(struct bench *bench, uint64_t most_ns)
{
    uint64_t from_ns = cli_now_ns();
    bool interrupted = bench->phase != PHASE_DELETE && cli_signals_came();
    bench->last_ns = bench->last_ns < from_ns ? bench->last_ns : from_ns;
    bench->begun_most = bench->begun;
    for (;;) {
        uint64_t spent_ns = cli_now_ns() - from_ns;
        bool late = spent_ns > DRAIN_NS;
        bench->stopping = bench->stopping || late;
        if ((bench->in_flight == 0 && (bench->stopping || !is_behind(bench))) ||
            (late && (interrupted || bench->failed > 0)) || spent_ns > most_ns) {
            break;
        }
        turn(bench);
    }
    bench->stopping = true;
    if (bench->in_flight == 0 && !is_behind(bench)) {
        return;
    }
    if (interrupted) {
        cli_notice(bench->cli, "what had no answer yet is not counted");
    } else {
        fail(bench, "the server does not keep up: requests were due and could not be sent, or have "
                    "no answer");
    }
}

/* All records once: written, or deleted. */
static bool records_work(struct bench *bench, enum phase phase, uint64_t count, const char *title)
{
    struct progress progress;
    uint64_t failed = bench->failed;
    progress_begin(&progress, bench->cli, title, "records", count);
    phase_begin(bench, phase, count, 0);
    while (bench->finished < count && !bench->stopping &&
           (phase == PHASE_DELETE || !cli_signals_came())) {
        turn(bench);
        progress_update(&progress, bench->finished, bench->finished);
    }
    phase_drain(bench, DRAIN_NS);
    progress_end(&progress);
    return bench->failed == failed && bench->finished == count;
}

static uint64_t cpu_now_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * SECOND_NS + (uint64_t)used.tv_nsec;
}

/* One loop, and its figures; rate: of an open one, else 0. */
static void measure(struct bench *bench, uint64_t rate)
{
    struct progress progress;
    char title[TITLE_BYTES_MAX];
    uint64_t length_ns = bench->plan.seconds * SECOND_NS;
    uint64_t timeout_ms = cli_number(bench->cli, CLI_OPTION_TIMEOUT, TIMEOUT_MS);
    snprintf(title, sizeof(title), "%.16s%s", bench->plan.name, rate > 0 ? ", open loop" : "");
    progress_begin(&progress, bench->cli, title, "requests", length_ns);
    uint64_t cpu_ns = cpu_now_ns();
    uint64_t spent_ns = 0;
    phase_begin(bench, PHASE_MEASURE, UINT64_MAX, rate);
    bench->last_ns = bench->from_ns + length_ns;
    while (spent_ns < length_ns && !bench->stopping && !cli_signals_came()) {
        turn(bench);
        spent_ns = cli_now_ns() - bench->from_ns;
        progress_update(&progress, spent_ns, bench->finished);
    }
    phase_drain(bench, DRAIN_NS + 2 * timeout_ms * 1000 * 1000);
    spent_ns = cli_now_ns() - bench->from_ns;
    progress_end(&progress);
    bench->run.elapsed_s = (double)spent_ns / (double)SECOND_NS;
    bench->run.client_cpu_share = (double)(cpu_now_ns() - cpu_ns) / (double)spent_ns;
    bench_run_sum(&bench->run);
}

/* ---- the whole ---- */

static enum freshet_status connections_open(struct bench *bench)
{
    const struct freshet_options options = {
        .format = FRESHET_MSGPACK,
        .timeout_ms = (int)cli_number(bench->cli, CLI_OPTION_TIMEOUT, 0),
        .token = cli_setting(bench->cli, CLI_OPTION_TOKEN, "FRESHET_TOKEN", NULL),
        .no_reconnect = true, /* what is measured is this connection */
    };
    for (size_t i = 0; i < bench->plan.connections; i++) {
        enum freshet_status status =
            freshet_async_connect(bench->url, &options, &bench->handles[i]);
        if (status != FRESHET_OK) {
            return status;
        }
    }
    /* In open loop they take turns: neighbours are of different connections. */
    for (size_t i = 0; i < bench->slots; i++) {
        bench->requests[i].db = bench->handles[i % bench->plan.connections];
        bench->requests[i].bench = bench;
    }
    uint64_t until_ns = cli_now_ns() + DRAIN_NS;
    while (!all_connected(bench) && bench->failed == 0 && cli_now_ns() < until_ns) {
        turn(bench);
    }
    return all_connected(bench) ? FRESHET_OK : FRESHET_DISCONNECTED;
}

/* One loop and what came of it; false: it failed, or is to end. */
static bool loop_run(struct bench *bench, uint64_t rate)
{
    measure(bench, rate);
    if (bench->failed > 0) {
        return false;
    }
    if (bench->run.all.count > 0) {
        bench_run_print(&bench->output, &bench->run);
    }
    return !cli_signals_came();
}

static void loops_run(struct bench *bench)
{
    const struct bench_plan *plan = &bench->plan;
    bench_keys_init(&bench->keys, plan->distribution, plan->theta, plan->records, SEED);
    if (!loop_run(bench, plan->rate) || plan->rate > 0) {
        return;
    }
    double capacity = bench_run_rate(&bench->run);
    for (size_t i = 0; i < plan->load_count; i++) {
        uint64_t rate = (uint64_t)(capacity * (double)plan->loads[i] / 100);
        if (!loop_run(bench, rate > 0 ? rate : 1)) {
            return;
        }
    }
}

static int bench_work(struct bench *bench)
{
    uint64_t records = bench->plan.records;
    enum freshet_status status = connections_open(bench);
    if (status != FRESHET_OK) {
        const char *detail = bench->detail[0] != '\0' ? bench->detail : freshet_status_text(status);
        return cli_fail_text(bench->cli, bench->url, detail);
    }
    cli_signals_hold();
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    if (records_work(bench, PHASE_WRITE, records, "writing")) {
        loops_run(bench);
        records = bench->keys.next;
    }
    bool good = bench->failed == 0;
    bench_output_end(&bench->output, good ? NULL : bench->detail);
    int code =
        good ? CLI_EXIT_CLEAN : cli_fail_text(bench->cli, bench->plan.collection, bench->detail);
    if (bench->in_flight > 0 || !records_work(bench, PHASE_DELETE, records, "deleting")) {
        cli_notice(bench->cli, "bench-0 to bench-%llu are still in %s, or some of them",
                   (unsigned long long)records - 1, bench->plan.collection);
    }
    return code;
}

static void bench_close(struct bench *bench)
{
    for (size_t i = 0; bench->handles != NULL && i < bench->plan.connections; i++) {
        freshet_async_close(bench->handles[i]);
    }
    bench_plan_release(&bench->plan);
    free(bench->handles);
    free(bench->requests);
    free(bench->idle);
    free(bench->polled);
    free(bench->document);
    free(bench->value);
    free(bench);
}

static bool bench_memory(struct bench *bench)
{
    uint64_t value_bytes = bench->plan.value_bytes - DOCUMENT_JSON;
    bench->slots = bench->plan.connections * bench->plan.pipeline;
    bench->handles = calloc(bench->plan.connections, sizeof(struct freshet_async *));
    bench->requests = calloc(bench->slots, sizeof(struct request));
    bench->idle = calloc(bench->slots, sizeof(struct request *));
    bench->polled = calloc(bench->plan.connections, sizeof(struct pollfd));
    bench->document = malloc(value_bytes + DOCUMENT_EXTRA);
    bench->value = malloc(value_bytes);
    if (bench->value == NULL || bench->handles == NULL || bench->requests == NULL ||
        bench->idle == NULL || bench->polled == NULL || bench->document == NULL) {
        return false;
    }
    bench_keys_init(&bench->keys, DISTRIBUTION_UNIFORM, ZIPFIAN_THETA_DEFAULT, 1, SEED);
    for (size_t i = 0; i < value_bytes; i++) {
        bench->value[i] = (char)('a' + bench_keys_random(&bench->keys) % 26);
    }
    return true;
}

int cli_bench(struct cli *cli)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    if (bench == NULL) {
        return cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    }
    bench->cli = cli;
    bench->url = cli_url(cli);
    int code = bench_plan_make(cli, &bench->plan);
    if (code == CLI_EXIT_CLEAN) {
        bench->output = (struct bench_output){
            .cli = cli,
            .plan = &bench->plan,
            .url = bench->url,
            .started_at = time(NULL),
        };
        code = bench_memory(bench) ? bench_work(bench)
                                   : cli_fail_text(cli, NULL, status_text(STATUS_NO_MEMORY));
    }
    bench_close(bench);
    return code;
}
