/*
 * serve.h: `freshet serve`: from the command line to the ready line, and from SIGTERM to the end.
 *
 *     settings -> data folder locked -> stores, journal, engine -> replay -> threads -> ready line
 *     SIGTERM -> new clients are refused, connections end -> all is applied and flushed
 *             -> threads end -> journal closed -> exit 0
 *
 * Owner:  the main thread, which then only waits for signals: TERM and INT end (a second one at
 *         once), HUP reads the configuration again.
 * Tests:  tests/integration/test_server_*.py.
 */
#ifndef FRESHET_NET_SERVER_SERVE_H
#define FRESHET_NET_SERVER_SERVE_H

/* words: what follows `serve` on the command line. The process's exit code: 0 clean, 1 failure, 2
 * usage. */
int command_serve(int count, char *const *words);

#endif
