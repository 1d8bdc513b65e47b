/*
 * options.h: what the command line of bench_stream says.
 *
 * Owner:   main; constant afterwards. Strings point into argv.
 */
#ifndef FRESHET_BENCH_STREAM_OPTIONS_H
#define FRESHET_BENCH_STREAM_OPTIONS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "protocol/base/status.h"

#define STREAM_WRITERS_MAX          1024
#define STREAM_SUBSCRIBERS_MAX      20000
#define STREAM_VALUE_BYTES_MAX      16384
#define STREAM_PIPELINE_MAX         4096
#define STREAM_COLLECTION_BYTES_MAX 64
/* Writes in flight, of all writers. */
#define STREAM_IN_FLIGHT_MAX (1u << 16)
/* Entries that Redis keeps of its stream, roughly: it keeps them in memory. */
#define STREAM_REDIS_KEPT "500000"

enum server_kind {
    SERVER_FRESHET,         /* PUT; server-sent events */
    SERVER_WIRE,            /* Freshet's binary protocol: PUT; SUBSCRIBE */
    SERVER_WIRE_INVALIDATE, /* the same; SUBSCRIBE to invalidations */
    SERVER_REDIS_PUBSUB,    /* PUBLISH; SUBSCRIBE */
    SERVER_REDIS_TRACKING,  /* SET; CLIENT TRACKING ON BCAST */
    SERVER_REDIS_STREAMS,   /* XADD; XREAD BLOCK */
    SERVER_NATS,            /* PUB; SUB */
    SERVER_NATS_JETSTREAM   /* PUB into a stream in files, acknowledged; an ordered consumer */
};

extern const char *const server_kind_names[];

struct stream_options {
    enum server_kind kind;
    struct sockaddr_in target;
    pid_t pid;   /* 0: no server is measured */
    double rate; /* writes a second, in open loop; 0: closed loop */
    double seconds;
    double warmup_seconds;
    uint32_t writers;
    uint32_t pipeline; /* writes in flight of each */
    uint32_t keys;
    uint32_t value_bytes;
    uint32_t subscribers; /* that read */
    uint32_t stuck;       /* that never do */
    uint32_t idle;        /* whose pattern no write matches */
    /* each subscriber has a pattern of its own; a write matches one of them */
    bool distinct;
    uint64_t catch_up; /* no writes: how long does one subscriber take for so many changes? */
    uint32_t self;     /* this process, for names that two of them must not share */
    const char *collection;
    const char *view;
};

/* NOT_FOUND: help was asked for and printed; INVALID: what is wrong has been said on stderr. */
MUST_USE enum status stream_options_parse(int count, char **words,
                                          struct stream_options *options_out);

#endif
