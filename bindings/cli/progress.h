/*
 * progress.h: a line on a terminal that says how far long work has come, drawn over itself.
 *
 *     put  ██████████░░░░░░░░░░  48 %  48,000 records  52,100/s  ETA 0:01
 *
 * Owner:  the command that works; plain values.
 * Time:   reads the monotonic clock; draws at most ten times a second.
 * Invariant: nothing is drawn where stderr is no terminal, with --quiet or --json.
 * Tests:  tests/integration/test_cli.py, through a pseudo-terminal.
 */
#ifndef FRESHET_BINDINGS_CLI_PROGRESS_H
#define FRESHET_BINDINGS_CLI_PROGRESS_H

#include "bindings/cli/cli_internal.h"

struct progress {
    bool shown;
    bool wide_characters; /* the terminal knows blocks */
    const char *title;
    const char *unit; /* of count: "records" */
    uint64_t total;   /* of done; 0: it is not known */
    uint64_t started_ns;
    uint64_t drawn_ns;
};

void progress_begin(struct progress *progress, const struct cli *cli, const char *title,
                    const char *unit, uint64_t total);
/* done: of total, in whatever unit that is; count: of what the rate is told. */
void progress_update(struct progress *progress, uint64_t done, uint64_t count);
/* Takes the line away. */
void progress_end(struct progress *progress);

#endif
