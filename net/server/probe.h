/*
 * probe.h: what the metrics of net/rest ask of the process around it: subscriptions of all threads,
 * and the rules of the worker.
 *
 * Owner:   any thread may write; the streams and the worker outlive the threads that do.
 * Tests:   tests/integration/test_stream_metrics.py.
 */
#ifndef FRESHET_NET_SERVER_PROBE_H
#define FRESHET_NET_SERVER_PROBE_H

#include <stdint.h>

#include "engine/stream/stream.h"
#include "protocol/base/bytes.h"

/* In Prometheus' text format: the sums over the streams. */
void probe_streams_write(const struct stream_statistics *const *streams, uint32_t count,
                         struct writer *text_out);

#endif
