#include "bench/stream/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: bench_stream --target ADDR:PORT [OPTION]...\n"
    "\n"
    "Writes to a server and follows the changes in the same process, so that the time from a write "
    "to\n"
    "the notice of it has one clock. Prints one line of JSON; exit 1 when a notice did not come.\n"
    "\n"
    "  --server KIND      who is spoken to, and how:\n"
    "      freshet        (default) PUT; server-sent events\n"
    "      wire           Freshet's binary protocol: PUT; SUBSCRIBE\n"
    "      wire-invalidate  the same; SUBSCRIBE to invalidations\n"
    "      redis-pubsub   PUBLISH; SUBSCRIBE. Nothing is kept\n"
    "      redis-tracking SET; CLIENT TRACKING ON BCAST. A notice is a key\n"
    "      redis-streams  XADD MAXLEN ~ " STREAM_REDIS_KEPT "; XREAD COUNT 1000 BLOCK 0\n"
    "      nats           PUB; SUB. Nothing is kept. What is published in one go is followed by "
    "a PING,\n"
    "                     whose PONG is the answer to all of it: NATS has no other\n"
    "      nats-jetstream PUB with a reply subject into a stream with file storage, answered when "
    "it is\n"
    "                     stored (not synced); an ordered consumer: pushed, flow control, no "
    "acknowledgements\n"
    "  --pid PID          of the server, whose CPU and memory are told\n"
    "  --rate N           writes a second, due at fixed times whatever the server does; latency "
    "counts\n"
    "                     from then (default 5000). 0: full rate: a writer writes again as soon as "
    "it is\n"
    "                     answered, and no more than 65536 writes (16 MiB) are ahead of their "
    "notices, so\n"
    "                     that what is measured is what a subscriber can follow\n"
    "  --seconds N        measured (default 5), after --warmup N (default 1)\n"
    "  --writers N        connections that write (default 16)\n"
    "  --pipeline N       writes in flight on each (default 1)\n"
    "  --keys N           records (default 10000)\n"
    "  --value-bytes N    of a document, roughly (default 300)\n"
    "  --subscribers N    that read every change (default 1)\n"
    "  --distinct         each of them has a pattern of its own, and each write matches one "
    "(Freshet)\n"
    "  --idle N           besides, that have patterns which no write matches (default 0; Freshet)\n"
    "  --stuck N          besides, that never read (default 0)\n"
    "  --catch-up N       no writes: one subscriber reads N changes from the earliest on. Not for\n"
    "                     redis-pubsub, redis-tracking, nats and wire-invalidate, which keep none\n"
    "  --collection NAME  that is written and followed (default pets)\n"
    "  --view VIEW        keys, new (default), old or both\n"
    "\n"
    "What is counted, all of it between the end of the warm-up and the end of the run:\n"
    "  writes_per_s       writes answered; notices_per_s: notices that came, of all subscribers\n"
    "  write_us, notice_us  from the time a write was due to its answer, and to each notice of it\n"
    "  server.cpu_us_per_op  CPU of all the server's threads, writing and telling, for each write "
    "that was\n"
    "                     answered; with --catch-up, where nothing is written, for each change "
    "told\n"
    "  server.cpu_us_per_notice  the same CPU for each notice that came\n"
    "  client_cpu_share   of one core, of this program: near 1 it is the limit, not the server\n"
    "The cost of telling alone at full rate is that of a run less one with --subscribers 0, or "
    "--catch-up's.\n";

enum {
    OPTION_SERVER = 256,
    OPTION_TARGET,
    OPTION_PID,
    OPTION_RATE,
    OPTION_SECONDS,
    OPTION_WARMUP,
    OPTION_WRITERS,
    OPTION_PIPELINE,
    OPTION_KEYS,
    OPTION_VALUE_BYTES,
    OPTION_SUBSCRIBERS,
    OPTION_STUCK,
    OPTION_IDLE,
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
    {"pipeline", required_argument, NULL, OPTION_PIPELINE},
    {"keys", required_argument, NULL, OPTION_KEYS},
    {"value-bytes", required_argument, NULL, OPTION_VALUE_BYTES},
    {"subscribers", required_argument, NULL, OPTION_SUBSCRIBERS},
    {"stuck", required_argument, NULL, OPTION_STUCK},
    {"idle", required_argument, NULL, OPTION_IDLE},
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

const char *const server_kind_names[] = {
    [SERVER_FRESHET] = "freshet",
    [SERVER_WIRE] = "wire",
    [SERVER_WIRE_INVALIDATE] = "wire-invalidate",
    [SERVER_REDIS_PUBSUB] = "redis-pubsub",
    [SERVER_REDIS_TRACKING] = "redis-tracking",
    [SERVER_REDIS_STREAMS] = "redis-streams",
    [SERVER_NATS] = "nats",
    [SERVER_NATS_JETSTREAM] = "nats-jetstream",
};
#define SERVER_KIND_COUNT (sizeof(server_kind_names) / sizeof(server_kind_names[0]))

static bool kind_read(const char *text, enum server_kind *out)
{
    for (size_t kind = 0; kind < SERVER_KIND_COUNT; kind++) {
        if (strcmp(text, server_kind_names[kind]) == 0) {
            *out = (enum server_kind)kind;
            return true;
        }
    }
    return false;
}

static bool view_read(const char *text, const char **out)
{
    *out = text;
    return strcmp(text, "keys") == 0 || strcmp(text, "new") == 0 || strcmp(text, "old") == 0 ||
           strcmp(text, "both") == 0;
}

static bool collection_read(const char *text, const char **out)
{
    size_t size = strlen(text);
    *out = text;
    return size > 0 && size <= STREAM_COLLECTION_BYTES_MAX && strpbrk(text, " /?&\r\n") == NULL;
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
    case OPTION_PIPELINE:
        return count_read(text, 1, STREAM_PIPELINE_MAX, &options->pipeline);
    case OPTION_KEYS:
        return count_read(text, 1, 100000000, &options->keys);
    case OPTION_VALUE_BYTES:
        return count_read(text, 1, STREAM_VALUE_BYTES_MAX, &options->value_bytes);
    case OPTION_SUBSCRIBERS:
        return count_read(text, 0, STREAM_SUBSCRIBERS_MAX, &options->subscribers);
    case OPTION_STUCK:
        return count_read(text, 0, STREAM_SUBSCRIBERS_MAX, &options->stuck);
    case OPTION_IDLE:
        return count_read(text, 0, STREAM_SUBSCRIBERS_MAX, &options->idle);
    case OPTION_DISTINCT:
        options->distinct = true;
        return true;
    case OPTION_CATCH_UP:
        return whole_read(text, 1e12, &options->catch_up);
    case OPTION_COLLECTION:
        return collection_read(text, &options->collection);
    case OPTION_VIEW:
        return view_read(text, &options->view);
    default:
        return false;
    }
}

static bool has_patterns(enum server_kind kind)
{
    return kind == SERVER_FRESHET || kind == SERVER_WIRE;
}

static bool keeps_changes(enum server_kind kind)
{
    return has_patterns(kind) || kind == SERVER_REDIS_STREAMS || kind == SERVER_NATS_JETSTREAM;
}

/* What does not go together; NULL: all does. */
static const char *wrong(const struct stream_options *options)
{
    if (options->target.sin_port == 0) {
        return "--target ADDR:PORT is needed";
    }
    if ((options->distinct || options->idle > 0) && !has_patterns(options->kind)) {
        return "--distinct and --idle are for --server freshet and wire: others have no patterns";
    }
    if (options->catch_up > 0 && !keeps_changes(options->kind)) {
        return "--catch-up is not for this --server: it keeps no changes";
    }
    if ((uint64_t)options->writers * options->pipeline > STREAM_IN_FLIGHT_MAX) {
        return "--writers times --pipeline is over 65536";
    }
    return NULL;
}

enum status stream_options_parse(int count, char **words, struct stream_options *options_out)
{
    *options_out = (struct stream_options){.rate = 5000,
                                           .seconds = 5,
                                           .warmup_seconds = 1,
                                           .writers = 16,
                                           .pipeline = 1,
                                           .keys = 10000,
                                           .value_bytes = 300,
                                           .subscribers = 1,
                                           .self = (uint32_t)getpid(),
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
    if (optind != count) {
        fprintf(stderr, "bench_stream: %s: only options are expected\n", words[optind]);
        return STATUS_INVALID;
    }
    const char *reason = wrong(options_out);
    if (reason != NULL) {
        fprintf(stderr, "bench_stream: %s\n", reason);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}
