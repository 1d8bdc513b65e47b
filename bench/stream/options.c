#include "bench/stream/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: bench_stream --target ADDR:PORT [OPTION]...\n"
    "\n"
    "Writes to a server and follows the changes in the same process, so that the time from a write "
    "to\n"
    "the notice of it has one clock. Prints one line of JSON.\n"
    "\n"
    "  --server KIND      freshet (default): PUT and server-sent events; redis-pubsub: PUBLISH "
    "and\n"
    "                     SUBSCRIBE; redis-tracking: SET and CLIENT TRACKING ON BCAST; wire: PUT "
    "and\n"
    "                     SUBSCRIBE of Freshet's binary protocol; wire-invalidate: to "
    "invalidations\n"
    "  --pid PID          of the server, whose CPU and memory are told\n"
    "  --rate N           writes a second, due at fixed times whatever the server does; latency "
    "counts\n"
    "                     from then. 0: each writer writes again when it is answered (default "
    "5000)\n"
    "  --seconds N        measured (default 5), after --warmup N (default 1)\n"
    "  --writers N        connections that write, one write at a time each (default 16)\n"
    "  --keys N           records (default 10000)\n"
    "  --value-bytes N    of a document, roughly (default 300)\n"
    "  --subscribers N    that read (default 1)\n"
    "  --stuck N          that never read (default 0)\n"
    "  --distinct         each subscriber has a pattern of its own, and each write matches one\n"
    "  --catch-up N       no writes: one subscriber reads N changes from the earliest on\n"
    "  --collection NAME  that is written and followed (default pets)\n"
    "  --view VIEW        keys, new (default), old or both\n";

enum {
    OPTION_SERVER = 256,
    OPTION_TARGET,
    OPTION_PID,
    OPTION_RATE,
    OPTION_SECONDS,
    OPTION_WARMUP,
    OPTION_WRITERS,
    OPTION_KEYS,
    OPTION_VALUE_BYTES,
    OPTION_SUBSCRIBERS,
    OPTION_STUCK,
    OPTION_DISTINCT,
    OPTION_CATCH_UP,
    OPTION_COLLECTION,
    OPTION_VIEW,
    OPTION_HELP
};

static const struct option long_options[] = {
    {"server", required_argument, NULL, OPTION_SERVER},
    {"target", required_argument, NULL, OPTION_TARGET},
    {"pid", required_argument, NULL, OPTION_PID},
    {"rate", required_argument, NULL, OPTION_RATE},
    {"seconds", required_argument, NULL, OPTION_SECONDS},
    {"warmup", required_argument, NULL, OPTION_WARMUP},
    {"writers", required_argument, NULL, OPTION_WRITERS},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"value-bytes", required_argument, NULL, OPTION_VALUE_BYTES},
    {"subscribers", required_argument, NULL, OPTION_SUBSCRIBERS},
    {"stuck", required_argument, NULL, OPTION_STUCK},
    {"distinct", no_argument, NULL, OPTION_DISTINCT},
    {"catch-up", required_argument, NULL, OPTION_CATCH_UP},
    {"collection", required_argument, NULL, OPTION_COLLECTION},
    {"view", required_argument, NULL, OPTION_VIEW},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

static bool number_read(const char *text, double least, double most, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= least && value <= most)) {
        return false;
    }
    *out = value;
    return true;
}

static bool count_read(const char *text, uint32_t least, uint32_t most, uint32_t *out)
{
    double value;
    if (!number_read(text, least, most, &value)) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool target_read(const char *text, struct sockaddr_in *out)
{
    char host[64];
    double port;
    const char *colon = strrchr(text, ':');
    if (colon == NULL || (size_t)(colon - text) >= sizeof(host) ||
        !number_read(colon + 1, 1, 65535, &port)) {
        return false;
    }
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    *out = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    return inet_pton(AF_INET, host, &out->sin_addr) == 1;
}

static bool kind_read(const char *text, enum server_kind *out)
{
    static const char *const names[] = {"freshet", "redis-pubsub", "redis-tracking", "wire",
                                        "wire-invalidate"};
    for (size_t kind = 0; kind < sizeof(names) / sizeof(names[0]); kind++) {
        if (strcmp(text, names[kind]) == 0) {
            *out = (enum server_kind)kind;
            return true;
        }
    }
    return false;
}

static bool whole_read(const char *text, double most, uint64_t *out)
{
    double value;
    if (!number_read(text, 0, most, &value)) {
        return false;
    }
    *out = (uint64_t)value;
    return true;
}

static bool option_set(int option, const char *text, struct stream_options *options)
{
    uint64_t whole;
    switch (option) {
    case OPTION_SERVER:
        return kind_read(text, &options->kind);
    case OPTION_TARGET:
        return target_read(text, &options->target);
    case OPTION_PID:
        if (!whole_read(text, 1 << 30, &whole)) {
            return false;
        }
        options->pid = (pid_t)whole;
        return true;
    case OPTION_RATE:
        return number_read(text, 0, 1e6, &options->rate);
    case OPTION_SECONDS:
        return number_read(text, 0.01, 3600, &options->seconds);
    case OPTION_WARMUP:
        return number_read(text, 0, 3600, &options->warmup_seconds);
    case OPTION_WRITERS:
        return count_read(text, 1, STREAM_WRITERS_MAX, &options->writers);
    case OPTION_KEYS:
        return count_read(text, 1, 100000000, &options->keys);
    case OPTION_VALUE_BYTES:
        return count_read(text, 1, STREAM_VALUE_BYTES_MAX, &options->value_bytes);
    case OPTION_SUBSCRIBERS:
        return count_read(text, 0, STREAM_SUBSCRIBERS_MAX, &options->subscribers);
    case OPTION_STUCK:
        return count_read(text, 0, STREAM_SUBSCRIBERS_MAX, &options->stuck);
    case OPTION_DISTINCT:
        options->distinct = true;
        return true;
    case OPTION_CATCH_UP:
        return whole_read(text, 1e12, &options->catch_up);
    case OPTION_COLLECTION:
        options->collection = text;
        return true;
    case OPTION_VIEW:
        options->view = text;
        return true;
    default:
        return false;
    }
}

enum status stream_options_parse(int count, char **words, struct stream_options *options_out)
{
    *options_out = (struct stream_options){.rate = 5000,
                                           .seconds = 5,
                                           .warmup_seconds = 1,
                                           .writers = 16,
                                           .keys = 10000,
                                           .value_bytes = 300,
                                           .subscribers = 1,
                                           .collection = "pets",
                                           .view = "new"};
    int option;
    while ((option = getopt_long(count, words, "", long_options, NULL)) != -1) {
        if (option == OPTION_HELP) {
            fputs(usage, stdout);
            return STATUS_NOT_FOUND;
        }
        if (!option_set(option, optarg, options_out)) {
            fprintf(stderr, "bench_stream: %s: not an option with such a value\n",
                    words[optind - 1]);
            return STATUS_INVALID;
        }
    }
    if (options_out->target.sin_port == 0 || optind != count) {
        fputs("bench_stream: --target ADDR:PORT is needed, and nothing but options\n", stderr);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}
