/*
 * cli.h: the commands that talk to a running server: `freshet get`, `put`, `watch` and the rest, on
 * top of libfreshet.
 *
 * Output:    results on stdout, all else on stderr. --json: one line of JSON per result, and errors
 *            as JSON too. Colours and progress bars are for terminals only.
 * Owner:     one thread; blocks.
 * Memory:    bounded by one batch, page or frame, whatever passes through.
 * Invariant: one table (table.h) feeds parsing, --help and completion; a test holds the man page
 *            against it.
 * Tests:     tests/integration/test_cli.py.
 */
#ifndef FRESHET_BINDINGS_CLI_CLI_H
#define FRESHET_BINDINGS_CLI_CLI_H

/*
 * words: the command and what follows it; they are put into another order. The process's exit code:
 * 0 clean, 1 failure with a message that says what to do, 2 usage.
 */
int cli_run(int count, char **words);

#endif
