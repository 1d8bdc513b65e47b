/*
 * check.h: `freshet check`: reads a data folder through and says whether it is whole. Changes
 * nothing.
 *
 *     {"event":"journal",…}    command_check.h
 *     {"event":"check","ok":true,"shards":4,"records":1000,"compared":true,…}
 *
 * Owner:  the main thread. The server is not running: the folder's lock is taken.
 * Tests:  tests/integration/test_server_lifecycle.py.
 */
#ifndef FRESHET_NET_SERVER_CHECK_H
#define FRESHET_NET_SERVER_CHECK_H

/* words: what follows `check` on the command line. The process's exit code: 0 whole, 1 not, 2
 * usage. */
int command_check(int count, char *const *words);

#endif
