/*
 * settings.h: every setting, once: the table below makes the struct, the flags of `freshet serve`,
 * the names in the environment, the keys of the configuration file, the checks and the text of
 * --help.
 *
 * A setting named cache.unauthorized_invalidation is that key in the file,
 * FRESHET_CACHE_UNAUTHORIZED_INVALIDATION in the environment and --cache-unauthorized-invalidation
 * on the command line. The later of these three wins. Collections are in the file only
 * (config_file.h).
 *
 * Owner:  the main thread; values are copied to those who need them.
 * Errors: texts for people that name where the value stands, the setting, and what is wrong.
 * Tests:  tests/unit/net/server/test_settings.c, tests/integration/test_server_settings.py.
 */
#ifndef FRESHET_NET_SERVER_SETTINGS_H
#define FRESHET_NET_SERVER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/limits.h"
#include "protocol/base/status.h"

#define SETTING_TEXT_BYTES_MAX                                                                     \
    512 /* with its NUL; REST_CORS_ORIGIN_BYTES_MAX and its like are not less */
#define SETTING_NAME_BYTES_MAX 64
#define SETTING_OFF            "off"

/* SIZE is in bytes, DURATION in nanoseconds, CHOICE the place of the word in `argument`, BOOLEAN 0
 * or 1. An ADDRESS whose most is 1 may also be SETTING_OFF. */
enum setting_kind {
    SETTING_TEXT,
    SETTING_ADDRESS,
    SETTING_COUNT,
    SETTING_SIZE,
    SETTING_DURATION,
    SETTING_CHOICE,
    SETTING_BOOLEAN
};

/* START: needs a restart. RELOAD: SIGHUP applies it. CREATE: only when the data folder is made. */
enum setting_time { SETTING_AT_CREATE, SETTING_AT_START, SETTING_AT_RELOAD };

#define SETTING_US (1000ull)
#define SETTING_MS (1000 * SETTING_US)
#define SETTING_S  (1000 * SETTING_MS)
#define SETTING_H  (3600 * SETTING_S)
#define KIB        (1ull << 10)
#define MIB        (1ull << 20)
#define GIB        (1ull << 30)
#define TIB        (1ull << 40)

/* place in the file (TOP or in the mapping `cache`), member, name, kind, default, least, most,
 * when, argument, help */
#define SETTINGS_TABLE(X)                                                                          \
    X(TOP, data, "data", TEXT, "./data", 1, SETTING_TEXT_BYTES_MAX - 1, START, "DIR",              \
      "folder of journal and records; made when it is not there")                                  \
    X(TOP, http, "http", ADDRESS, "127.0.0.1:8080", 0, 0, START, "ADDR:PORT",                      \
      "where HTTP is served; port 0 takes a free one")                                             \
    X(TOP, wire, "wire", ADDRESS, "127.0.0.1:7400", 0, 1, START, "ADDR:PORT|off",                  \
      "where the binary protocol is served")                                                       \
    X(TOP, s3, "s3", ADDRESS, "127.0.0.1:9000", 0, 0, START, "ADDR:PORT",                          \
      "the S3 gateway; accepted, not served by this version")                                      \
    X(TOP, threads, "threads", COUNT, "0", 0, THREAD_COUNT_MAX, START, "N",                        \
      "threads that serve; 0: one a core; may differ at each start")                               \
    X(TOP, poll, "poll", DURATION, "0", 0, 10 * SETTING_MS, START, "TIME",                         \
      "a thread looks for work for so long before it sleeps: less latency, for CPU while idle")    \
    X(TOP, shards, "shards", COUNT, "0", 0, SHARD_COUNT_MAX, CREATE, "N",                          \
      "parts of the records; fixed when the data folder is made; 0: one a core, at least 4")       \
    X(TOP, cache_bytes, "cache_bytes", SIZE, "256MiB", 0, TIB, START, "SIZE",                      \
      "memory of the cache; 0 turns it off")                                                       \
    X(CACHE, cache, "cache", BOOLEAN, "on", 0, 1, START, "on|off", "off: nothing is cached")       \
    X(CACHE, unauthorized_invalidation, "cache.unauthorized_invalidation", CHOICE,                 \
      "fail_with_403", 0, 0, RELOAD,                                                               \
      "fail_with_403|succeed_with_response_header|succeed_without_response_header",                \
      "answer to Cache-Control: no-cache from those who have no right to refresh")                 \
    X(TOP, block_cache_bytes, "block_cache_bytes", SIZE, "256MiB", MIB, TIB, START, "SIZE",        \
      "memory of RocksDB's block cache")                                                           \
    X(TOP, memtable_bytes, "memtable_bytes", SIZE, "32MiB", MIB, GIB, START, "SIZE",               \
      "records of one shard that are not yet in its files")                                        \
    X(TOP, durability, "durability", CHOICE, "sync", 0, 0, START, "sync|interval|none",            \
      "a write is answered when it is on stable storage; or synced each sync_interval; or by the " \
      "system")                                                                                    \
    X(TOP, sync_interval, "sync_interval", DURATION, "1s", SETTING_MS, SETTING_H, START, "TIME",   \
      "durability interval: how often the journal is synced")                                      \
    X(TOP, segment_bytes, "segment_bytes", SIZE, "64MiB", 16 * MIB, 4 * GIB, START, "SIZE",        \
      "size of a file of the journal")                                                             \
    X(TOP, retention, "retention", DURATION, "24h", 0, 24 * 366 * SETTING_H, START, "TIME",        \
      "how long the journal is kept")                                                              \
    X(TOP, retention_bytes, "retention_bytes", SIZE, "8GiB", 0, 1024 * TIB, START, "SIZE",         \
      "how much of the journal is kept, at most")                                                  \
    X(TOP, journal_tail_max, "journal_tail_max", SIZE, "256MiB", MIB, 64 * GIB, START, "SIZE",     \
      "how much of the journal may wait to be in the records' files: a start replays that much")   \
    X(TOP, disk_reserve, "disk_reserve", SIZE, "0", 0, 1024 * TIB, START, "SIZE",                  \
      "with less free space writes are refused; 0: two segments and all memtables")                \
    X(TOP, queued_bytes, "queued_bytes", SIZE, "64MiB", 8 * MIB, 16 * GIB, START, "SIZE",          \
      "writes under way; more are answered 503")                                                   \
    X(TOP, recent_bytes, "recent_bytes", SIZE, "64MiB", MIB, TIB, START, "SIZE",                   \
      "newest changes kept in memory for those who follow them; older ones are read from files")   \
    X(TOP, subscriptions_max, "subscriptions_max", COUNT, "20000", 1, 10000000, START, "N",        \
      "subscriptions of all threads; one more is answered 503")                                    \
    X(TOP, consumer_lease, "consumer_lease", DURATION, "30s", 100 * SETTING_MS, 24 * SETTING_H,    \
      START, "TIME", "a member of a consumer group that asks no more loses its share after this")  \
    X(TOP, webhook_allow, "webhook_allow", TEXT, "127.0.0.0/8,::1/128", 1,                         \
      SETTING_TEXT_BYTES_MAX - 1, START, "NETWORKS",                                               \
      "private and other special networks that rules may call; none: none")                        \
    X(TOP, connections_max, "connections_max", COUNT, "20000", 1, 10000000, START, "N",            \
      "connections of all threads; one more is answered 503")                                      \
    X(TOP, head_bytes_max, "head_bytes_max", SIZE, "16KiB", KIB, MIB, START, "SIZE",               \
      "head of a request; more is answered 431")                                                   \
    X(TOP, head_timeout, "head_timeout", DURATION, "10s", SETTING_MS, SETTING_H, RELOAD, "TIME",   \
      "from the first byte of a request to the end of its head")                                   \
    X(TOP, body_timeout, "body_timeout", DURATION, "30s", SETTING_MS, SETTING_H, RELOAD, "TIME",   \
      "between two pieces of a body, or of a frame of wire")                                       \
    X(TOP, idle_timeout, "idle_timeout", DURATION, "75s", SETTING_MS, 24 * SETTING_H, RELOAD,      \
      "TIME", "a kept-alive connection without a request")                                         \
    X(TOP, send_timeout, "send_timeout", DURATION, "30s", SETTING_MS, SETTING_H, RELOAD, "TIME",   \
      "a client that does not read its answer")                                                    \
    X(TOP, shutdown_timeout, "shutdown_timeout", DURATION, "10s", SETTING_MS, SETTING_H, RELOAD,   \
      "TIME", "from SIGTERM to the end, at most")                                                  \
    X(TOP, cors_origin, "cors_origin", TEXT, "*", 1, SETTING_TEXT_BYTES_MAX - 1, RELOAD, "ORIGIN", \
      "Access-Control-Allow-Origin of every answer")                                               \
    X(TOP, cache_control, "cache_control", TEXT, "no-cache", 1, SETTING_TEXT_BYTES_MAX - 1,        \
      RELOAD, "VALUE", "Cache-Control of a record, to those downstream")                           \
    X(TOP, log_level, "log_level", CHOICE, "info", 0, 0, RELOAD, "error|warning|info|debug",       \
      "what is written to stderr, as lines of JSON")                                               \
    X(TOP, access_log, "access_log", BOOLEAN, "off", 0, 1, RELOAD, "on|off",                       \
      "a line of JSON to stderr for each request")

struct setting_text {
    char text[SETTING_TEXT_BYTES_MAX];
};

#define SETTING_TYPE_TEXT     struct setting_text
#define SETTING_TYPE_ADDRESS  struct setting_text
#define SETTING_TYPE_COUNT    uint64_t
#define SETTING_TYPE_SIZE     uint64_t
#define SETTING_TYPE_DURATION uint64_t
#define SETTING_TYPE_CHOICE   uint64_t
#define SETTING_TYPE_BOOLEAN  uint64_t

#define SETTING_ONE(...) +1
enum { SETTING_COUNT_ALL = 0 SETTINGS_TABLE(SETTING_ONE) };
#undef SETTING_ONE

/* Sizes in bytes, durations in nanoseconds. */
struct settings {
#define SETTING_MEMBER(place, member, name, kind, ...) SETTING_TYPE_##kind member;
    SETTINGS_TABLE(SETTING_MEMBER)
#undef SETTING_MEMBER
    bool said[SETTING_COUNT_ALL]; /* by the file, the environment or a flag; else the default */
};

struct setting {
    const char *name;
    enum setting_kind kind;
    size_t offset; /* in struct settings */
    const char *default_text;
    uint64_t least;
    uint64_t most;
    enum setting_time time;
    const char *argument;
    const char *help;
};

struct settings_problem {
    char text[1024];
};

/* Fills the text, cut at its end; printf's arguments. */
void settings_problem_set(struct settings_problem *problem, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* In the order of the table. */
const struct setting *settings_at(size_t index);

/* The setting whose place in struct settings that is. */
const struct setting *settings_of_offset(size_t offset);
#define SETTING_OF(member) settings_of_offset(offsetof(struct settings, member))
/* Whether it has another value than its default's, or was at least said to be that. */
bool setting_is_said(const struct settings *settings, const struct setting *setting);

void settings_defaults(struct settings *out);
/* INVALID, with problem_out naming `where`, the text and what would be right. */
MUST_USE enum status settings_set(struct settings *settings, const struct setting *setting,
                                  const char *text, const char *where,
                                  struct settings_problem *problem_out);
/* All FRESHET_ names of environment that are settings; others are left alone. */
MUST_USE enum status settings_environment(struct settings *settings, char *const *environment,
                                          struct settings_problem *problem_out);

/* What the command line says besides settings. */
struct settings_arguments {
    const char *config; /* --config FILE; NULL: none */
    bool help;
};

/* --name VALUE, --name=VALUE; --name alone for a BOOLEAN. settings NULL: only looks for
 * arguments_out. */
MUST_USE enum status settings_flags(struct settings *settings, int count, char *const *words,
                                    struct settings_arguments *arguments_out,
                                    struct settings_problem *problem_out);
/* What only shows when all are known. */
MUST_USE enum status settings_check(const struct settings *settings,
                                    struct settings_problem *problem_out);

/* The names of a setting as flag ("--cache-bytes") and in the environment
 * ("FRESHET_CACHE_BYTES"). */
void setting_flag(const struct setting *setting, char out[SETTING_NAME_BYTES_MAX]);
void setting_variable(const struct setting *setting, char out[SETTING_NAME_BYTES_MAX]);
/* True when both have the same value. */
bool setting_equal(const struct setting *setting, const struct settings *a,
                   const struct settings *b);

void setting_copy(const struct setting *setting, struct settings *to, const struct settings *from);

/* "256MiB", "64MB", "100"; "1h", "30m", "500ms", "50us". False when it is not one. */
bool settings_size_read(const char *text, uint64_t *bytes_out);
bool settings_duration_read(const char *text, uint64_t *ns_out);
bool settings_count_read(const char *text, uint64_t *value_out);
bool settings_boolean_read(const char *text, bool *value_out);

#endif
