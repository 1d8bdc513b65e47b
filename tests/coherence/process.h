/*
 * process.h: a real server as a child process, on a data folder of its own and a free port.
 *
 * Owner:     main's thread.
 * Memory:    server_stop frees everything and removes the folder, whatever happened before.
 */
#ifndef FRESHET_TESTS_COHERENCE_PROCESS_H
#define FRESHET_TESTS_COHERENCE_PROCESS_H

#include <stdint.h>
#include <sys/types.h>

#include "protocol/base/status.h"

#define SERVER_ARGUMENTS_MAX 64

struct server_options {
    const char *program;
    const char *config;           /* contents of its configuration file */
    const char *const *arguments; /* more of `freshet serve`, NULL at the end */
};

struct server {
    pid_t pid;
    uint16_t port;
    int output_fd; /* its stdout, and never read after the ready line: it writes nothing more */
    char folder[64];
};

/* On failure, which has been said on stderr, nothing is left behind. */
MUST_USE enum status server_start(const struct server_options *options, struct server *out);

/* SIGTERM. OK: it ended by itself, with 0. */
MUST_USE enum status server_stop(struct server *server);

#endif
