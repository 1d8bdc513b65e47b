/*
 * options.h: what the command line of the load generator says.
 *
 * Owner:     main; read only after options_parse.
 * Memory:    strings point into argv, but for the headers, which are copied into the structure.
 */
#ifndef FRESHET_BENCH_LOAD_OPTIONS_H
#define FRESHET_BENCH_LOAD_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "bench/load/keys.h"
#include "bench/load/schedule.h"
#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define LOAD_THREADS_MAX        64
#define LOAD_CONNECTIONS_MAX    32768
#define LOAD_PIPELINE_MAX       1024
#define LOAD_VALUE_BYTES_MIN    100
#define LOAD_VALUE_BYTES_MAX    (1u << 20)
#define LOAD_HEADERS_BYTES_MAX  4096
#define LOAD_PATH_BYTES_MAX     1024
#define LOAD_EXPECT_COUNT_MAX   8
#define LOAD_KEY_DIGITS_MAX     20
#define LOAD_SECONDS_MAX        86400
#define LOAD_IDLE_MAX           1000000
#define LOAD_HOST_BYTES_MAX     64
#define LOAD_RATE_MAX           100000000
#define LOAD_CAPTURE_ROUNDS_MAX 1000
#define LOAD_LIST_LIMIT_MAX     1000
/* Keys that must be left for inserts under the highest of --key-digits: no run adds as many. */
#define LOAD_INSERT_ROOM 5000000000u

enum protocol { PROTOCOL_HTTP, PROTOCOL_WIRE, PROTOCOL_REDIS, PROTOCOL_MEMCACHED, PROTOCOL_COUNT };

enum kind {
    KIND_GET,
    KIND_PUT,
    KIND_POST,
    KIND_DELETE,
    KIND_HEAD,
    KIND_LIST,   /* a page from a random key, YCSB's scan */
    KIND_INSERT, /* a put of a key that is new */
    KIND_RMW,    /* a get and, behind its answer, a put of the same key: one operation */
    KIND_COUNT
};

/* How closely answers are looked at, besides their status. */
enum check_level {
    CHECK_OFF,
    CHECK_LENGTH,  /* reads: as long as the first one */
    CHECK_CONTENT, /* byte by byte, see check.h */
};

struct load_options {
    char host[LOAD_HOST_BYTES_MAX]; /* an IPv4 address */
    uint16_t port;
    enum protocol protocol;
    pid_t pid; /* 0: no server is measured */
    uint32_t connection_count;
    uint32_t pipeline;
    uint32_t thread_count;
    double seconds;
    double warmup_seconds;
    double rate; /* requests a second in open loop; 0: closed loop */
    enum arrivals arrivals;
    enum plan plan;
    enum check_level check;
    uint32_t list_limit; /* records in a page */
    uint32_t mix[KIND_COUNT];
    uint32_t mix_sum;
    const char *path;
    struct keys_options keys;
    uint32_t key_digits;
    uint32_t value_bytes;
    char headers[LOAD_HEADERS_BYTES_MAX]; /* each with its CRLF */
    uint32_t headers_size;
    uint16_t expect[LOAD_EXPECT_COUNT_MAX];
    uint32_t expect_count; /* 0: any 2xx */
    uint32_t timeout_ms;
    const char *capture_file; /* one answer goes here, and nothing else is done */
    uint32_t capture_rounds;
    bool fill; /* writes every key once */
    uint32_t idle_count;
    bool idle_touch; /* each idle connection has had one answer */
    bool json;
};

extern const char *const kind_names[KIND_COUNT];
extern const char *const protocol_names[PROTOCOL_COUNT];
extern const char *const check_names[CHECK_CONTENT + 1];

/* STATUS_NOT_FOUND: help was asked for and printed; STATUS_INVALID: what is wrong has been said on
 * stderr. */
MUST_USE enum status options_parse(int argc, char **argv, struct load_options *options_out);

void options_usage(FILE *to);

/* The collection that the path names: "/products/{key}" is products. It points into the path. */
struct bytes options_collection(const struct load_options *options);

bool options_expects(const struct load_options *options, uint16_t status);

#endif
