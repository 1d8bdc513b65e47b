/*
 * serve_internal.h: what the files of `freshet serve` share: the process as one struct.
 *
 *     serve.c        the command: settings, signals, reload, the wait for the end
 *     serve_open.c   opening all of it, in order, and closing it
 *     serve_stop.c   draining: from SIGTERM to the end
 *
 * Owner: the main thread.
 */
#ifndef FRESHET_NET_SERVER_SERVE_INTERNAL_H
#define FRESHET_NET_SERVER_SERVE_INTERNAL_H

#include "net/ring/listen.h"
#include "net/server/config_file.h"
#include "net/server/log.h"
#include "net/server/loop.h"
#include "net/server/settings.h"
#include "net/server/storage.h"
#include "net/server/store_pool.h"
#include "net/server/worker.h"

#define EXIT_CLEAN  0
#define EXIT_FAILED 1
#define EXIT_USAGE  2

#define LOOPS_MAX (THREAD_COUNT_MAX + 1)

/* Rings the thread that writes the journal. */
struct journal_bell {
    struct waker waker;
    struct ring *ring;
};

struct server {
    int argument_count;
    char *const *arguments;
    struct settings_arguments said;
    struct settings settings;
    struct config config;
    struct log *log;
    struct data_folder folder;
    struct storage storage;
    struct store_pool *pool;
    struct disk *disk;
    struct metrics *metrics;
    struct worker *worker;
    struct consumers *consumers[THREAD_COUNT_MAX]; /* each of its loop */
    struct journal_bell journal_bell;
    struct ring *rings[LOOPS_MAX];
    struct loop *loops[LOOPS_MAX];
    int sockets[THREAD_COUNT_MAX];
    int wire_sockets[THREAD_COUNT_MAX]; /* -1: the binary protocol is not served */
    struct listen_address address;
    struct listen_address wire_address;
    uint32_t thread_count; /* that serve */
    uint32_t loop_count;   /* with the journal's own, when there is one */
    int signals;           /* a descriptor */
    uint64_t seed;
    _Atomic bool ready;
    _Atomic bool draining;
};

/* ---- serve.c ---- */

/* The next signal, or 0 when none has come within timeout_ms. */
int serve_signal_wait(const struct server *server, int timeout_ms);
void serve_loops_command(struct server *server, enum loop_command command);
/* What is in the journal is safe; whatever else there was can be given up. The threads still run,
 * and may write to the log. */
_Noreturn void serve_end_at_once(struct server *server, const char *why);

/* ---- serve_open.c ---- */

/* On failure what was opened is left for server_close. */
MUST_USE enum status server_open(struct server *server, struct settings_problem *problem);
/* No thread runs, or all is drained and they have been told to stop: nothing is in flight on any
 * ring. */
void server_close(struct server *server);

/* ---- serve_stop.c ---- */

/* SIGTERM has come. The exit code. */
int server_stop(struct server *server);

#endif
