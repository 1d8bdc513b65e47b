/*
 * modes.h: the two modes of the load generator that are not load: holding idle connections, and
 * capturing one answer.
 *
 * Owner:     main's thread; blocking sockets, bounded by --timeout-ms.
 * Memory:    a descriptor per idle connection, or one buffer for the answer.
 */
#ifndef FRESHET_BENCH_LOAD_MODES_H
#define FRESHET_BENCH_LOAD_MODES_H

#include "bench/load/options.h"
#include "bench/load/report.h"
#include "protocol/base/status.h"

/* Opens, holds and closes options->idle_count connections; fills the report's usage and idle
 * counts. */
MUST_USE enum status mode_idle(const struct load_options *options, struct report *report);

/* Asks for the first key of the range and keeps the raw bytes of the last of several answers. */
MUST_USE enum status mode_capture(const struct load_options *options, uint64_t serial_from);

#endif
