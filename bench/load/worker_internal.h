/*
 * worker_internal.h: what a worker is made of, for worker.c (its loop) and worker_create.c (its
 * beginning and end).
 *
 * Owner: see worker.h.
 */
#ifndef FRESHET_BENCH_LOAD_WORKER_INTERNAL_H
#define FRESHET_BENCH_LOAD_WORKER_INTERNAL_H

#include "bench/load/check.h"
#include "bench/load/request.h"
#include "bench/load/response.h"
#include "bench/load/schedule.h"
#include "bench/load/window.h"
#include "bench/load/worker.h"
#include "bench/uring/uring.h"

struct connection {
    int fd; /* -1: given up */
    uint32_t index;
    bool receiving;
    bool sending;
    bool dirty;
    bool ready; /* open loop: the schedule knows that it has room */
    bool closing;
    uint32_t send_size;
    uint32_t send_offset;
    uint64_t ready_ns; /* open loop: since when it has had room */
    /* since the last answer, or since the first request in flight was written */
    uint64_t waiting_since_ns;
    uint8_t *buffer; /* requests that are not sent; room for as many as may be in flight */
    struct window window;
    struct response response;
};

struct worker {
    const struct load_options *options;
    struct inserts *inserts;
    struct uring uring;
    struct keys keys;
    struct requests requests;
    struct check check;
    struct schedule schedule; /* open loop */
    struct counters counters;
    enum status status;
    enum phase seen_phase;
    uint64_t turn_ns;         /* when the completions of this turn were there */
    uint64_t send_ns;         /* when the requests of this turn were made */
    uint64_t gave_way_ns;     /* the last turn that slept, or may have */
    uint64_t measure_from_ns; /* operations that were to begin in this time are in the latencies */
    uint64_t measure_to_ns;
    uint64_t quota; /* operations still to begin; UINT64_MAX: no end */
    uint64_t in_flight;
    uint64_t connection_from; /* the number of its first connection among those of all threads */
    uint64_t start_offset_ns; /* open loop: threads take turns */
    uint32_t connection_count;
    uint32_t dirty_count;
    uint32_t alive_count;
    uint32_t complaint_count;
    bool open_loop;
    bool server_gone; /* a connection was refused: no more are tried */
    uint32_t *dirty;
    struct connection *connections;
    atomic_int phase;
    atomic_bool connected;
    atomic_bool finished;
    atomic_uint_fast64_t completed;
};

#endif
