/*
 * process.h: what another process has used so far, from /proc: CPU of all its threads, memory, disk
 * traffic.
 *
 * Owner:     nobody; a function of the pid.
 * Time:      reads files of /proc, some microseconds a thread.
 */
#ifndef FRESHET_BENCH_LOAD_PROCESS_H
#define FRESHET_BENCH_LOAD_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "protocol/base/status.h"

struct process_usage {
    uint64_t cpu_ns; /* on a CPU, all threads that live now, from schedstat */
    uint64_t
        cpu_tick_ns; /* the same from /proc/PID/stat: ended threads too, in steps of a clock tick */
    uint64_t rss_bytes;
    uint64_t read_bytes;  /* from the storage layer; 0 where /proc/PID/io may not be read */
    uint64_t write_bytes; /* to the storage layer */
    uint32_t thread_count;
};

/* STATUS_NOT_FOUND: there is no such process. */
MUST_USE enum status process_read(pid_t pid, struct process_usage *usage_out);

#endif
