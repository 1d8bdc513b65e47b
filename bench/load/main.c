/*
 * bench_load: a load generator for HTTP/1.1, Freshet's binary protocol, RESP and memcached's text
 * protocol, which also tells what the server used.
 *
 * main samples the server's usage at both ends of the measured time, together with the number of
 * answers at that moment, so that CPU and answers are of the same interval.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/connect.h"
#include "bench/load/modes.h"
#include "bench/load/options.h"
#include "bench/load/process.h"
#include "bench/load/report.h"
#include "bench/load/worker.h"
#include "protocol/base/assert.h"

#define POLL_MS            20
#define PROGRESS_EVERY     25 /* polls */
#define SERIALS_PER_THREAD (1ull << 56)
#define BUSY_SHARE_MAX     0.95
#define UNSENT_SHARE_MAX   0.01

struct run {
    const struct load_options *options;
    struct report *report;
    struct inserts inserts;
    struct worker *workers[LOAD_THREADS_MAX];
    pthread_t threads[LOAD_THREADS_MAX];
    uint32_t started_count;
};

/* Bodies carry serial numbers; beginning at the time they never repeat those of an earlier run. */
static uint64_t serial_base(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void sleep_ms(uint64_t ms)
{
    struct timespec wait = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&wait, NULL);
}

static uint64_t client_cpu_ns(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint64_t completed(const struct run *run)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < run->started_count; i++) {
        sum += worker_completed(run->workers[i]);
    }
    return sum;
}

static bool all_finished(const struct run *run)
{
    for (uint32_t i = 0; i < run->started_count; i++) {
        if (!worker_is_finished(run->workers[i])) {
            return false;
        }
    }
    return true;
}

static void await_connected(const struct run *run)
{
    for (uint32_t i = 0; i < run->started_count; i++) {
        while (!worker_is_connected(run->workers[i])) {
            sleep_ms(1);
        }
    }
}

static void set_phase(struct run *run, enum phase phase)
{
    for (uint32_t i = 0; i < run->started_count; i++) {
        worker_set_phase(run->workers[i], phase);
    }
}

static void progress(const struct run *run)
{
    if (run->options->fill && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r%llu of %llu written", (unsigned long long)completed(run),
                (unsigned long long)run->options->keys.count);
    }
}

/* Until the time is over or all workers have ended. */
static void wait_until(const struct run *run, uint64_t end_ns)
{
    uint64_t polls = 0;
    while (!all_finished(run)) {
        uint64_t now_ns = clock_now_ns();
        if (now_ns >= end_ns) {
            return;
        }
        uint64_t left_ms = (end_ns - now_ns) / 1000000 + 1;
        sleep_ms(left_ms < POLL_MS ? left_ms : POLL_MS);
        if (++polls % PROGRESS_EVERY == 0) {
            progress(run);
        }
    }
}

static enum status measure(struct run *run)
{
    const struct load_options *options = run->options;
    struct report *report = run->report;
    await_connected(run);
    if (!options->fill) {
        set_phase(run, PHASE_WARMUP);
        wait_until(run, clock_now_ns() + (uint64_t)(options->warmup_seconds * 1e9));
    }
    if (options->pid != 0 && process_read(options->pid, &report->before) != STATUS_OK) {
        fprintf(stderr, "bench_load: no process %d\n", (int)options->pid);
        return STATUS_NOT_FOUND;
    }
    uint64_t cpu_ns = client_cpu_ns();
    uint64_t start_ns = clock_now_ns();
    set_phase(run, PHASE_MEASURE);
    wait_until(run, options->fill ? UINT64_MAX : start_ns + (uint64_t)(options->seconds * 1e9));
    uint64_t elapsed_ns = clock_now_ns() - start_ns;
    report->operations = completed(run);
    if (options->pid != 0 && process_read(options->pid, &report->after) != STATUS_OK) {
        fprintf(stderr, "bench_load: process %d ended\n", (int)options->pid);
        return STATUS_NOT_FOUND;
    }
    report->elapsed_s = (double)elapsed_ns / 1e9;
    report->client_cpu_share = (double)(client_cpu_ns() - cpu_ns) / (double)elapsed_ns;
    if (options->fill && isatty(STDERR_FILENO)) {
        fprintf(stderr, "\r\n");
    }
    return STATUS_OK;
}

static enum status start(struct run *run)
{
    uint64_t serial_from = serial_base();
    for (uint32_t i = 0; i < run->options->thread_count; i++) {
        enum status status = worker_create(run->options, i, serial_from + i * SERIALS_PER_THREAD,
                                           &run->inserts, &run->workers[i]);
        if (status != STATUS_OK) {
            return status;
        }
    }
    for (uint32_t i = 0; i < run->options->thread_count; i++) {
        if (pthread_create(&run->threads[i], NULL, worker_run, run->workers[i]) != 0) {
            return STATUS_NO_MEMORY;
        }
        run->started_count++;
    }
    return STATUS_OK;
}

static enum status run_load(struct run *run)
{
    const struct load_options *options = run->options;
    enum status status = connect_raise_descriptors(options->connection_count);
    if (status == STATUS_OK) {
        status = inserts_init(&run->inserts, options->keys.from + options->keys.count);
    }
    if (status == STATUS_OK) {
        status = start(run);
    }
    if (status == STATUS_OK) {
        status = measure(run);
    }
    set_phase(run, PHASE_DRAIN);
    for (uint32_t i = 0; i < run->started_count; i++) {
        pthread_join(run->threads[i], NULL);
        report_add(run->report, worker_counters(run->workers[i]));
        if (status == STATUS_OK) {
            status = worker_status(run->workers[i]);
        }
    }
    for (uint32_t i = 0; i < LOAD_THREADS_MAX; i++) {
        worker_destroy(&run->workers[i]);
    }
    run->report->keys_end = inserts_taken(&run->inserts);
    inserts_deinit(&run->inserts);
    return status;
}

static enum status run_any(const struct load_options *options, struct report *report)
{
    if (options->capture_file != NULL) {
        return mode_capture(options, serial_base());
    }
    if (options->idle_count > 0) {
        return mode_idle(options, report);
    }
    struct run run = {.options = options, .report = report};
    return run_load(&run);
}

/* Figures of an open loop that does not do what its plan says are figures of something else. */
static void warn(const struct report *report)
{
    if (report->options->rate <= 0) {
        return;
    }
    double share = report_busy_share(report);
    uint64_t unsent = report->counters.unsent;
    if (share > BUSY_SHARE_MAX) {
        fprintf(stderr,
                "bench_load: %.0f %% of the client's CPU is in use: it is the limit, and the "
                "latencies are its own; ask for a lower --rate or more --threads\n",
                share * 100);
    }
    if ((double)unsent > UNSENT_SHARE_MAX * (double)(report->latency_ns.count)) {
        fprintf(stderr,
                "bench_load: %llu operations were due and not sent when the time was over: this "
                "--rate is more than the server, or this program, can do\n",
                (unsigned long long)unsent);
    }
}

int main(int argc, char **argv)
{
    struct load_options options;
    enum status status = options_parse(argc, argv, &options);
    if (status != STATUS_OK) {
        if (status == STATUS_INVALID) {
            fprintf(stderr, "bench_load --help lists the options\n");
        }
        return status == STATUS_NOT_FOUND ? 0 : 2;
    }
    signal(SIGPIPE, SIG_IGN);
    struct report *report = (struct report *)malloc(sizeof(*report));
    if (report == NULL) {
        return 1;
    }
    report_init(report, &options, argc, argv);
    status = run_any(&options, report);
    if (status != STATUS_OK) {
        fprintf(stderr, "bench_load: %s\n", status_text(status));
    }
    if (options.capture_file == NULL) {
        report_print(report, stdout);
        warn(report);
    }
    const struct counters *counters = &report->counters;
    bool wrong = counters->errors + counters->timeouts + counters->unexpected + counters->wrong > 0;
    free(report);
    return status != STATUS_OK || wrong ? 1 : 0;
}
