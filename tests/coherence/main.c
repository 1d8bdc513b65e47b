/*
 * coherence_check: many connections read and write a few keys of a real server; afterwards the
 * recorded history is judged. No read may show a state that was over when it began.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/base/assert.h"
#include "tests/coherence/client.h"
#include "tests/coherence/process.h"

#define THREADS_MAX     8
#define CONFIG_BYTES    1024
#define CACHE_EVICTIONS "freshet_cache_evictions_total"
#define SEED_DEFAULT    20260101
#define OPERATIONS_MAX  100000000
#define TTL_MS_DEFAULT  50
#define FILLER_DEFAULT  24
#define SHARDS_DEFAULT  4

struct options {
    const char *server;
    const char *expect; /* "hits", "misses" or "evictions": what shows that the setting works */
    const char *const *server_arguments;
    uint64_t operations;
    uint64_t seed;
    uint32_t connections;
    uint32_t threads;
    uint32_t shards;
    uint32_t filler_bytes;
    uint32_t ttl_ms; /* of records; pages live ten times as long */
    uint16_t keys;
};

struct run {
    const struct options *options;
    struct server server;
    struct client *clients[THREADS_MAX];
    double elapsed_s;
};

static void usage(FILE *to)
{
    fputs(
        "usage: coherence_check [--server PROGRAM] [--operations N] [--connections N]\n"
        "         [--threads N] [--keys N] [--filler BYTES] [--shards N] [--ttl-ms N] [--seed N]\n"
        "         [--expect hits|misses|evictions] [-- MORE ARGUMENTS OF freshet serve]\n"
        "The server is $FRESHET_BIN where --server is not given. Threads are the clients'.\n",
        to);
}

/* ---- options ---- */

static bool number_set(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number < least || number > most) {
        return false;
    }
    *out = number;
    return true;
}

static bool option_set(struct options *options, int option, const char *text)
{
    uint64_t number = 0;
    switch (option) {
    case 'p':
        options->server = text;
        return true;
    case 'e':
        options->expect = text;
        return strcmp(text, "hits") == 0 || strcmp(text, "misses") == 0 ||
               strcmp(text, "evictions") == 0;
    case 'o':
        return number_set(text, 1, OPERATIONS_MAX, &options->operations);
    case 's':
        return number_set(text, 0, UINT64_MAX, &options->seed);
    default:
        break;
    }
    uint64_t most = option == 'c'   ? CLIENT_CONNECTIONS_MAX
                    : option == 't' ? THREADS_MAX
                    : option == 'k' ? HISTORY_KEYS_MAX
                    : option == 'h' ? 256
                    : option == 'f' ? CLIENT_FILLER_BYTES_MAX
                                    : 3600000;
    if (strchr("ctkhlf", option) == NULL || !number_set(text, 1, most, &number)) {
        return false;
    }
    options->connections = option == 'c' ? (uint32_t)number : options->connections;
    options->threads = option == 't' ? (uint32_t)number : options->threads;
    options->keys = option == 'k' ? (uint16_t)number : options->keys;
    options->shards = option == 'h' ? (uint32_t)number : options->shards;
    options->filler_bytes = option == 'f' ? (uint32_t)number : options->filler_bytes;
    options->ttl_ms = option == 'l' ? (uint32_t)number : options->ttl_ms;
    return true;
}

static bool options_read(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"server", required_argument, NULL, 'p'},
                                          {"expect", required_argument, NULL, 'e'},
                                          {"operations", required_argument, NULL, 'o'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"connections", required_argument, NULL, 'c'},
                                          {"threads", required_argument, NULL, 't'},
                                          {"keys", required_argument, NULL, 'k'},
                                          {"shards", required_argument, NULL, 'h'},
                                          {"ttl-ms", required_argument, NULL, 'l'},
                                          {"filler", required_argument, NULL, 'f'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct options){
        .server = getenv("FRESHET_BIN"),
        .operations = 1000000,
        .seed = SEED_DEFAULT,
        .connections = 64,
        .threads = 2,
        .shards = SHARDS_DEFAULT,
        .filler_bytes = FILLER_DEFAULT,
        .ttl_ms = TTL_MS_DEFAULT,
        .keys = 100,
    };
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == '?' || !option_set(options, option, optarg)) {
            return false;
        }
    }
    options->server_arguments = (const char *const *)argv + optind;
    return options->server != NULL && options->connections >= options->threads &&
           argc - optind < SERVER_ARGUMENTS_MAX / 2;
}

/* ---- a run ---- */

static enum status run_start(struct run *run)
{
    const struct options *options = run->options;
    char config[CONFIG_BYTES];
    uint32_t page_ms = 10 * options->ttl_ms;
    snprintf(config, sizeof(config),
             "shards: %u\n"
             "collections:\n"
             "  - { name: products, cache: { ttl: %ums, popular_ttl: %ums, popular_hits: 100, "
             "list_ttl: %ums, index_ttl: %ums }, indexes: [category] }\n",
             options->shards, options->ttl_ms, 2 * options->ttl_ms, page_ms, page_ms);
    const struct server_options server = {
        .program = options->server, .config = config, .arguments = options->server_arguments};
    enum status status = server_start(&server, &run->server);
    uint32_t each = options->connections / options->threads;
    for (uint32_t i = 0; i < options->threads && status == STATUS_OK; i++) {
        uint32_t count =
            i + 1 < options->threads ? each : options->connections - each * (options->threads - 1);
        const struct client_options client = {
            .port = run->server.port,
            .key_count = options->keys,
            .filler_bytes = options->filler_bytes,
            /* A page of large records would be most of the traffic. */
            .page_limit_max = options->filler_bytes > FILLER_DEFAULT ? 20 : 1000,
            .connection_first = 1 + i * each,
            .connection_count = count,
            .operations = (options->operations + options->connections - 1) / options->connections,
            .seed = options->seed * THREADS_MAX + i,
        };
        status = client_create(&client, &run->clients[i]);
    }
    return status;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static enum status run_clients(struct run *run)
{
    pthread_t threads[THREADS_MAX];
    double start_s = seconds_now();
    for (uint32_t i = 0; i < run->options->threads; i++) {
        int failed = pthread_create(&threads[i], NULL, client_run, run->clients[i]);
        ASSERT(failed == 0);
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < run->options->threads; i++) {
        pthread_join(threads[i], NULL);
        if (client_status(run->clients[i]) != STATUS_OK) {
            status = client_status(run->clients[i]);
        }
    }
    run->elapsed_s = seconds_now() - start_s;
    if (status == STATUS_OK) {
        client_sweep(run->clients[0]);
        status = client_status(run->clients[0]);
    }
    return status;
}

/* ---- what came of it ---- */

static struct client_counts counts_of(const struct run *run)
{
    struct client_counts sum = {0};
    for (uint32_t i = 0; i < run->options->threads; i++) {
        const struct client_counts *one = client_counts(run->clients[i]);
        sum.operations += one->operations;
        sum.hits += one->hits;
        sum.gets += one->gets;
        sum.page_hits += one->page_hits;
        sum.pages += one->pages;
        sum.not_modified += one->not_modified;
        sum.conflicts += one->conflicts;
        sum.refused += one->refused;
    }
    return sum;
}

/* The sum of the samples of one metric; 0 where there are none. */
static double metric_of(const char *metrics, const char *name)
{
    double sum = 0;
    for (const char *at = metrics; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
        at += *at == '\n' ? 1 : 0;
        size_t size = strlen(name);
        if (strncmp(at, name, size) == 0 && (at[size] == ' ' || at[size] == '{')) {
            sum += strtod(at + strcspn(at, " \n"), NULL);
        }
    }
    return sum;
}

/* A setting that has no effect would prove nothing. */
static bool setting_works(const struct run *run, const struct client_counts *counts)
{
    const char *expect = run->options->expect;
    if (expect == NULL) {
        return true;
    }
    bool works = false;
    if (strcmp(expect, "hits") == 0) {
        works = counts->hits > counts->gets / 20 && counts->page_hits > 0;
    } else if (strcmp(expect, "misses") == 0) {
        works = counts->hits == 0 && counts->page_hits == 0;
    } else {
        char *metrics = client_fetch(run->server.port, "/metrics");
        double evictions = metrics == NULL ? 0 : metric_of(metrics, CACHE_EVICTIONS);
        printf("coherence: %.0f evictions\n", evictions);
        works = evictions > 1000;
        free(metrics);
    }
    if (!works) {
        printf("coherence: this run was to see %s, and saw none or too few\n", expect);
    }
    return works;
}

static bool run_judge(const struct run *run)
{
    const struct history *histories[THREADS_MAX];
    for (uint32_t i = 0; i < run->options->threads; i++) {
        histories[i] = client_history(run->clients[i]);
    }
    struct verdict verdict;
    judge_run(histories, run->options->threads, run->options->keys, stdout, &verdict);
    struct client_counts counts = counts_of(run);
    printf("coherence: %" PRIu64 " operations in %.1f s (%.0f a second): %" PRIu64
           " writes, %" PRIu64 " refused, %" PRIu64 " If-Match failed\n",
           counts.operations, run->elapsed_s, (double)counts.operations / run->elapsed_s,
           verdict.writes, counts.refused, counts.conflicts);
    printf("coherence: %" PRIu64 " of %" PRIu64 " GETs and %" PRIu64 " of %" PRIu64
           " pages were hits, %" PRIu64 " not modified\ncoherence: states seen:",
           counts.hits, counts.gets, counts.page_hits, counts.pages, counts.not_modified);
    for (uint32_t i = 0; i < SOURCE_COUNT; i++) {
        printf(" %s %" PRIu64 "%s", source_name((enum source)i), verdict.reads[i],
               i + 1 < SOURCE_COUNT ? "," : "\n");
    }
    for (uint32_t i = 0; i < FINDING_COUNT; i++) {
        if (verdict.findings[i] > 0) {
            printf("coherence: FOUND %" PRIu64 " x %s\n", verdict.findings[i],
                   finding_name((enum finding)i));
        }
    }
    bool works = setting_works(run, &counts);
    printf("coherence: seed %" PRIu64 ": %" PRIu64 " violations\n", run->options->seed,
           verdict.finding_count);
    return works && verdict.finding_count == 0;
}

int main(int argc, char **argv)
{
    struct options options;
    if (!options_read(argc, argv, &options)) {
        usage(stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("coherence: seed %" PRIu64 "\n", options.seed);
    struct run run = {.options = &options};
    bool good = false;
    if (run_start(&run) == STATUS_OK) {
        enum status status = run_clients(&run);
        /* What was recorded before something went wrong may say why. */
        good = run_judge(&run) && status == STATUS_OK;
        if (status != STATUS_OK) {
            printf("coherence: FOUND an answer that no server may give; see above\n");
        }
    }
    for (uint32_t i = 0; i < options.threads; i++) {
        client_destroy(&run.clients[i]);
    }
    if (run.server.pid > 0 && server_stop(&run.server) != STATUS_OK) {
        good = false;
    }
    return good ? 0 : 1;
}
