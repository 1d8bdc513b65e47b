/*
 * stream_check: writers, followers that are killed and go on, readers that read
 * behind what they are told, and snapshots, all against a real server;
 * afterwards what they saw is compared.
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "protocol/base/assert.h"
#include "tests/coherence/process.h"
#include "tests/stream/verdict.h"

#define SEED_DEFAULT 20260101
#define WRITER_COUNT 2
#define SHARDS       "4"

static const enum follower_kind followed[] = {FOLLOW_TAIL, FOLLOW_READER, FOLLOW_PAGES,
                                              FOLLOW_SNAPSHOT};
#define FOLLOWER_COUNT ((uint32_t)(sizeof(followed) / sizeof(followed[0])))

struct options {
    const char *server;
    uint64_t writes;
    uint64_t seed;
    const char *const *server_arguments;
};

struct run {
    const struct options *options;
    struct server server;
    _Atomic uint64_t last_sequence;
    _Atomic uint64_t end_sequence;
    struct stream_writer writers[WRITER_COUNT];
    struct follower *followers;
    double elapsed_s;
};

static bool options_read(int argc, char **argv, struct options *options)
{
    static const struct option names[] = {{"server", required_argument, NULL, 'p'},
                                          {"writes", required_argument, NULL, 'w'},
                                          {"seed", required_argument, NULL, 's'},
                                          {NULL, 0, NULL, 0}};
    *options =
        (struct options){.server = getenv("FRESHET_BIN"), .writes = 1000000, .seed = SEED_DEFAULT};
    int option;
    while ((option = getopt_long(argc, argv, "", names, NULL)) != -1) {
        if (option == 'p') {
            options->server = optarg;
        } else if (option == 'w') {
            options->writes = strtoull(optarg, NULL, 10);
        } else if (option == 's') {
            options->seed = strtoull(optarg, NULL, 10);
        } else {
            return false;
        }
    }
    options->server_arguments = (const char *const *)argv + optind;
    return options->server != NULL && options->writes >= WRITER_COUNT &&
           argc - optind < SERVER_ARGUMENTS_MAX / 2;
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void thread_start(pthread_t *thread, void *(*body)(void *argument), void *argument)
{
    int failed = pthread_create(thread, NULL, body, argument);
    ASSERT(failed == 0);
}

static void run_threads(struct run *run)
{
    pthread_t following[FOLLOWER_COUNT];
    pthread_t writing[WRITER_COUNT];
    double start_s = seconds_now();
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        run->followers[i].options = (struct follower_options){
            .port = run->server.port,
            .kind = followed[i],
            .seed = run->options->seed + 1000 + i,
            .changes_max = run->options->writes,
            .end_sequence = &run->end_sequence,
        };
        thread_start(&following[i], follower_run, &run->followers[i]);
    }
    for (uint32_t i = 0; i < WRITER_COUNT; i++) {
        run->writers[i].options = (struct writer_options){
            .port = run->server.port,
            .number = i,
            .writes = run->options->writes / WRITER_COUNT,
            .seed = run->options->seed + i,
            .last_sequence = &run->last_sequence,
        };
        thread_start(&writing[i], writer_run, &run->writers[i]);
    }
    for (uint32_t i = 0; i < WRITER_COUNT; i++) {
        pthread_join(writing[i], NULL);
    }
    atomic_store(&run->end_sequence, atomic_load(&run->last_sequence));
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        pthread_join(following[i], NULL);
    }
    run->elapsed_s = seconds_now() - start_s;
}

static bool run_judge(const struct run *run)
{
    uint64_t changes = 0;
    bool good = true;
    for (uint32_t i = 0; i < WRITER_COUNT; i++) {
        changes += run->writers[i].changes;
        good = good && run->writers[i].status == STATUS_OK;
    }
    uint64_t kills = 0;
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        kills += run->followers[i].kills;
        good = good && run->followers[i].status == STATUS_OK;
    }
    const struct follower *snapshots = &run->followers[FOLLOWER_COUNT - 1];
    printf("stream: %llu changes in %.1f s; %llu reads behind them; %llu kills; "
           "%u pictures of "
           "snapshots\n",
           (unsigned long long)changes, run->elapsed_s, (unsigned long long)run->followers[1].reads,
           (unsigned long long)kills, snapshots->picture_count);
    if (!good) {
        return false;
    }
    if (run->followers[0].seen_count != changes) {
        fprintf(stderr, "stream: %llu changes were written, %llu were seen\n",
                (unsigned long long)changes, (unsigned long long)run->followers[0].seen_count);
        return false;
    }
    return verdict_folds(run->followers, FOLLOWER_COUNT, run->writers, WRITER_COUNT) &&
           verdict_sequences(run->followers, FOLLOWER_COUNT) &&
           verdict_pictures(&run->followers[0], snapshots) && snapshots->picture_count >= 2 &&
           verdict_records(run->server.port, run->writers, WRITER_COUNT);
}

int main(int argc, char **argv)
{
    struct options options;
    if (!options_read(argc, argv, &options)) {
        fputs("usage: stream_check [--server PROGRAM] [--writes N] [--seed N] [-- "
              "MORE ARGUMENTS "
              "OF freshet serve]\nThe server is $FRESHET_BIN where --server is not "
              "given.\n",
              stderr);
        return 2;
    }
    printf("stream: seed %llu\n", (unsigned long long)options.seed);
    struct run *run = calloc(1, sizeof(*run));
    ASSERT(run != NULL);
    run->options = &options;
    run->followers = calloc(FOLLOWER_COUNT, sizeof(run->followers[0]));
    ASSERT(run->followers != NULL);
    const struct server_options server = {.program = options.server,
                                          .config = "shards: " SHARDS "\n",
                                          .arguments = options.server_arguments};
    bool good = false;
    if (server_start(&server, &run->server) == STATUS_OK) {
        run_threads(run);
        good = run_judge(run);
        good = server_stop(&run->server) == STATUS_OK && good;
    }
    for (uint32_t i = 0; i < FOLLOWER_COUNT; i++) {
        follower_free(&run->followers[i]);
    }
    free(run->followers);
    free(run);
    printf("stream: %s\n", good ? "all agree" : "FAILED");
    return good ? 0 : 1;
}
