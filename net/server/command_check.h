/*
 * command_check.h: `freshet check`: whether a data directory is whole. Changes nothing.
 *
 * The journal's part: every batch is verified, and one line of JSON says what is there:
 *
 *     {"event":"journal","ok":true,"segments":3,"entries":1200,"first_sequence":801,
 *      "last_sequence":2000,"epochs":2,"tail":"clean"}
 *
 * tail is new, clean, unclean (not closed in order) or torn (and what was being written then will
 * be dropped); with ok false there are also file, offset and problem. The server must not be
 * running: its tail would look torn.
 *
 * Owner:  one thread; blocks.
 * Tests:  tests/unit/net/server/test_command_check.c.
 */
#ifndef FRESHET_NET_SERVER_COMMAND_CHECK_H
#define FRESHET_NET_SERVER_COMMAND_CHECK_H

#include <stdio.h>

#include "engine/journal/journal.h"

/* The folder of the journal inside of a data directory. */
#define COMMAND_CHECK_JOURNAL "journal"

/* Called for each entry from the oldest one on, verified; may be NULL. */
struct command_check_visitor {
    enum status (*visit)(void *context, const struct entry *entry);
    void *context;
};

/* The process's exit code: 0 whole, 1 not. Prints the line to out. */
int command_check_journal(const char *data_folder, const struct command_check_visitor *visitor,
                          FILE *out);

#endif
