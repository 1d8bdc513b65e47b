/*
 * connection.h: a connection's first words: opened, asked on and waited on, one at a time, before
 * anything is measured.
 *
 * Owner:   the caller has the descriptor.
 * Errors:  false, when the reason has been said on stderr.
 */
#ifndef FRESHET_BENCH_STREAM_CONNECTION_H
#define FRESHET_BENCH_STREAM_CONNECTION_H

#include "bench/stream/dialect.h"
#include "bench/stream/options.h"

#define CONNECTION_FIRST_BYTES_MAX 8192

/* The reason on stderr, with what errno says if that is not 0. Always false. */
bool connection_complain(const char *what);

/* receive_bytes: of the socket's buffer; 0: as the system has it. */
bool connection_open(const struct stream_options *options, int receive_bytes, int *fd_out);

/* Sends what `ask` writes for this index and waits until `begun` says that it has been done;
 * buffer holds CONNECTION_FIRST_BYTES_MAX, rest_out is what came behind the answer in it. */
bool connection_ask(const struct stream_options *options, int fd, uint32_t index,
                    dialect_request *ask, dialect_begun *begun, uint8_t *buffer,
                    struct bytes *rest_out);

#endif
