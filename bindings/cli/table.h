/*
 * table.h: every command and option of the command line, once.
 *
 * Adding a command: a row here, its function in cli_internal.h, and its part of man/freshet.1.
 * Adding an option: a row here, and a line in the man page. Parsing, --help and completion follow.
 *
 * Invariant: rows of one topic stand together; an option's row names every command that takes it.
 * Tests:     tests/integration/test_cli.py (help, completion and man page against each other).
 */
#ifndef FRESHET_BINDINGS_CLI_TABLE_H
#define FRESHET_BINDINGS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* group, name, summary: what `freshet help` lists. */
#define CLI_TOPICS(X)                                                                              \
    X("Server", "serve", "serve collections of records")                                           \
    X("Server", "check", "read a data folder through and say whether it is whole")                 \
    X("Records", "get", "print records")                                                           \
    X("Records", "put", "write a record, or many from lines of JSON")                              \
    X("Records", "create", "write a record whose id the server makes")                             \
    X("Records", "patch", "change members of a record")                                            \
    X("Records", "delete", "delete records")                                                       \
    X("Records", "list", "print all records of a collection, or those of an index value")          \
    X("Changes", "watch", "print changes as they happen")                                          \
    X("Changes", "consumers", "named positions in the changes: list, get, put, delete")            \
    X("Changes", "rules", "calls on changes: list, get, put, delete, dead-letters, redrive")       \
    X("Tools", "bench", "measure a server: get, put, mixed, run; or the matcher: filter")          \
    X("Tools", "completion", "print a shell's completion script: bash, zsh")                       \
    X("Tools", "version", "print the version")                                                     \
    X("Tools", "help", "print this text")

/*
 * id, topic, verb, arguments, fewest and most of them (CLI_MANY: no limit), function, what it does.
 * NULL for the function: the program has it elsewhere.
 */
#define CLI_COMMANDS(X)                                                                            \
    X(SERVE, "serve", "", "", 0, 0, NULL, "")                                                      \
    X(CHECK, "check", "", "", 0, 0, NULL, "")                                                      \
    X(GET, "get", "", "COLLECTION ID...", 2, CLI_MANY, cli_get,                                    \
      "Prints records: indented on a terminal, else one line of JSON each.\n"                      \
      "A missing record is told on stderr; the exit code is then 1.\n")                            \
    X(PUT, "put", "",                                                                              \
      "COLLECTION ID [DOCUMENT | @FILE | -]\n"                                                     \
      "       freshet put [OPTION]... COLLECTION --lines [@FILE | -]",                             \
      1, 3, cli_put,                                                                               \
      "Writes a record in place of the one there, or a new one. The document is\n"                 \
      "the argument, a file's content, or what stdin says (-, the default).\n"                     \
      "With --lines each line is a record with its id.\n")                                         \
    X(CREATE, "create", "", "COLLECTION [DOCUMENT | @FILE | -]", 1, 2, cli_create,                 \
      "Writes a new record; the server makes its id, which is printed.\n")                         \
    X(PATCH, "patch", "", "COLLECTION ID [PATCH | @FILE | -]", 2, 3, cli_patch,                    \
      "Changes members of a record by a merge patch (RFC 7396); null removes one.\n")              \
    X(DELETE, "delete", "", "COLLECTION ID...", 2, CLI_MANY, cli_delete,                           \
      "Deletes records. A record that is not there is no failure.\n")                              \
    X(LIST, "list", "", "COLLECTION", 1, 1, cli_list,                                              \
      "Prints records in the order of their ids, one line of JSON each.\n")                        \
    X(WATCH, "watch", "", "[COLLECTION]", 0, 1, cli_watch,                                         \
      "Prints changes as they happen, one line each; goes on by itself when the\n"                 \
      "server restarts. Ctrl-C ends it and prints the position to go on --from.\n")                \
    X(CONSUMERS_LIST, "consumers", "list", "", 0, 0, cli_consumers_list,                           \
      "Prints the named consumers, each with how far it is behind.\n")                             \
    X(CONSUMERS_GET, "consumers", "get", "NAME", 1, 1, cli_consumers_get,                          \
      "Prints one consumer.\n")                                                                    \
    X(CONSUMERS_PUT, "consumers", "put", "NAME", 1, 1, cli_consumers_put,                          \
      "Makes a consumer, or changes what it reads.\n")                                             \
    X(CONSUMERS_DELETE, "consumers", "delete", "NAME", 1, 1, cli_consumers_delete,                 \
      "Deletes a consumer and its position.\n")                                                    \
    X(RULES_LIST, "rules", "list", "", 0, 0, cli_rules_list,                                       \
      "Prints the rules, each with how it runs.\n" CLI_RULES_HTTP)                                 \
    X(RULES_GET, "rules", "get", "NAME", 1, 1, cli_rules_get,                                      \
      "Prints one rule, with how it runs; secrets are masked.\n" CLI_RULES_HTTP)                   \
    X(RULES_PUT, "rules", "put", "NAME [RULE | @FILE | -]", 1, 2, cli_rules_put,                   \
      "Makes a rule, or changes it.\n" CLI_RULES_HTTP)                                             \
    X(RULES_DELETE, "rules", "delete", "NAME", 1, 1, cli_rules_delete,                             \
      "Deletes a rule with its dead letters.\n" CLI_RULES_HTTP)                                    \
    X(RULES_DEAD_LETTERS, "rules", "dead-letters", "NAME", 1, 1, cli_rules_dead_letters,           \
      "Prints what a rule could not deliver, and why.\n" CLI_RULES_HTTP)                           \
    X(RULES_REDRIVE, "rules", "redrive", "NAME [EVENT_ID]", 1, 2, cli_rules_redrive,               \
      "Delivers dead letters again: all of a rule's, or one.\n" CLI_RULES_HTTP)                    \
    X(BENCH_GET, "bench", "get", "", 0, 0, cli_bench,                                              \
      "Measures reads of random records.\n" CLI_BENCH_HOW)                                         \
    X(BENCH_PUT, "bench", "put", "", 0, 0, cli_bench,                                              \
      "Measures writes of random records.\n" CLI_BENCH_HOW)                                        \
    X(BENCH_MIXED, "bench", "mixed", "", 0, 0, cli_bench,                                          \
      "Measures reads of random records with one write in ten.\n" CLI_BENCH_HOW)                   \
    X(BENCH_RUN, "bench", "run", "[FILE]", 0, 1, cli_bench,                                        \
      "Measures a scenario: a file as in bench/load/scenarios, and options over it.\n"             \
      "The closed loop finds the capacity, open loops load shares of it "                          \
      "(load_percent).\n" CLI_BENCH_HOW)                                                           \
    X(BENCH_FILTER, "bench", "filter", "", 0, 0, NULL,                                             \
      "Measures how fast patterns are matched, without a server.\n")                               \
    X(COMPLETION, "completion", "", "bash | zsh", 1, 1, cli_completion,                            \
      "Prints a completion script. Load it from the shell's start-up file.\n")                     \
    X(VERSION, "version", "", "", 0, 0, NULL, "")                                                  \
    X(HELP, "help", "", "", 0, 0, NULL, "")

#define CLI_RULES_HTTP "Rules have no message in the wire protocol: this command speaks HTTP.\n"
#define CLI_BENCH_HOW                                                                              \
    "Closed loop: each connection keeps so many requests in flight and sends the next\n"           \
    "when one is answered. Open loop, --rate: requests are due at fixed times, and a\n"            \
    "latency counts from then. The records are written first, and deleted in the end.\n"           \
    "\n"                                                                                           \
    "These are the client's figures alone. For CPU and memory of the server, and other\n"          \
    "servers beside it, ./dev bench of the source tree; --json is for its report.\n"

#define CLI_MANY SIZE_MAX

enum cli_command_id {
#define CLI_ID(id, ...) CLI_##id,
    CLI_COMMANDS(CLI_ID)
#undef CLI_ID
        CLI_COMMAND_TOTAL
};

#define CLI_BIT(id) (UINT64_C(1) << CLI_##id)

#define CLI_OF_BENCH                                                                               \
    (CLI_BIT(BENCH_GET) | CLI_BIT(BENCH_PUT) | CLI_BIT(BENCH_MIXED) | CLI_BIT(BENCH_RUN))
#define CLI_OF_RECORDS                                                                             \
    (CLI_BIT(GET) | CLI_BIT(PUT) | CLI_BIT(CREATE) | CLI_BIT(PATCH) | CLI_BIT(DELETE) |            \
     CLI_BIT(LIST))
#define CLI_OF_CONSUMERS                                                                           \
    (CLI_BIT(CONSUMERS_LIST) | CLI_BIT(CONSUMERS_GET) | CLI_BIT(CONSUMERS_PUT) |                   \
     CLI_BIT(CONSUMERS_DELETE))
#define CLI_OF_RULES                                                                               \
    (CLI_BIT(RULES_LIST) | CLI_BIT(RULES_GET) | CLI_BIT(RULES_PUT) | CLI_BIT(RULES_DELETE) |       \
     CLI_BIT(RULES_DEAD_LETTERS) | CLI_BIT(RULES_REDRIVE))
#define CLI_OF_WIRE   (CLI_OF_RECORDS | CLI_BIT(WATCH) | CLI_OF_CONSUMERS | CLI_OF_BENCH)
#define CLI_OF_SERVER (CLI_OF_WIRE | CLI_OF_RULES)

enum cli_option_kind {
    CLI_FLAG,
    CLI_TEXT,
    CLI_CHOICE, /* one of values */
    CLI_COUNT,  /* a number within the bounds */
    CLI_TIME,   /* 500ms, 10s, 5m, 1h; a bare number is seconds */
};

/* id, name, argument, kind, commands, words to complete it with, least and most, help. */
#define CLI_OPTIONS(X)                                                                             \
    X(FRESH, "fresh", "", CLI_FLAG, CLI_BIT(GET), "", 0, 0, "read past every cache")               \
    X(MIN_POSITION, "min-position", "POSITION", CLI_TEXT, CLI_BIT(GET), "", 0, 0,                  \
      "wait, at most 1 s, until the server has come this far")                                     \
    X(IF_MATCH, "if-match", "ETAG", CLI_TEXT, CLI_BIT(PUT) | CLI_BIT(PATCH) | CLI_BIT(DELETE), "", \
      0, 0, "only if the record still has this etag; * for any")                                   \
    X(IF_ABSENT, "if-absent", "", CLI_FLAG, CLI_BIT(PUT), "", 0, 0,                                \
      "only if there is no such record")                                                           \
    X(LINES, "lines", "", CLI_FLAG, CLI_BIT(PUT), "", 0, 0,                                        \
      "read many records, one line of JSON each")                                                  \
    X(KEY, "key", "KEY", CLI_TEXT, CLI_BIT(CREATE), "", 0, 0,                                      \
      "idempotency key: the same key makes one record in 24 h")                                    \
    X(INDEX, "index", "FIELD=VALUE", CLI_TEXT, CLI_BIT(LIST), "", 0, 0,                            \
      "only records whose declared index field has this value")                                    \
    X(LIMIT, "limit", "N", CLI_COUNT, CLI_BIT(LIST), "", 1, UINT32_MAX, "at most so many")         \
    X(COLLECTION, "collection", "NAME", CLI_TEXT, CLI_BIT(CONSUMERS_PUT), "", 0, 0,                \
      "changes of this collection only")                                                           \
    X(PATTERN, "pattern", "JSON", CLI_TEXT, CLI_BIT(WATCH) | CLI_BIT(CONSUMERS_PUT), "", 0, 0,     \
      "only changes that match this event pattern")                                                \
    X(FROM, "from", "START", CLI_TEXT, CLI_BIT(WATCH) | CLI_BIT(CONSUMERS_PUT),                    \
      "latest earliest snapshot", 0, 0,                                                            \
      "latest (default), earliest, snapshot, a position, or a time")                               \
    X(VIEW, "view", "VIEW", CLI_CHOICE, CLI_BIT(WATCH), "both keys new old", 0, 0,                 \
      "the images in a change: both (default), keys, new or old")                                  \
    X(ENTER_LEAVE, "enter-leave", "", CLI_FLAG, CLI_BIT(WATCH), "", 0, 0,                          \
      "tell also which records enter and leave the pattern")                                       \
    X(CONSUMER, "consumer", "NAME", CLI_TEXT, CLI_BIT(WATCH), "", 0, 0,                            \
      "read as this named consumer, from where it stands")                                         \
    X(MEMBER, "member", "NAME", CLI_TEXT, CLI_BIT(WATCH), "", 0, 0,                                \
      "read this member's share of a consumer that is a group")                                    \
    X(ACK, "ack", "", CLI_FLAG, CLI_BIT(WATCH), "", 0, 0,                                          \
      "move the consumer on past what was printed")                                                \
    X(COUNT, "count", "N", CLI_COUNT, CLI_BIT(WATCH), "", 1, UINT32_MAX,                           \
      "end after so many changes")                                                                 \
    X(GROUP, "group", "", CLI_FLAG, CLI_BIT(CONSUMERS_PUT), "", 0, 0,                              \
      "members share the changes, in order per record")                                            \
    X(BENCH_COLLECTION, "collection", "NAME", CLI_TEXT, CLI_OF_BENCH, "", 0, 0,                    \
      "where the records are; default pets")                                                       \
    X(CONNECTIONS, "connections", "N", CLI_COUNT, CLI_OF_BENCH, "", 1, 1000,                       \
      "how many; default 8")                                                                       \
    X(PIPELINE, "pipeline", "N", CLI_COUNT, CLI_OF_BENCH, "", 1, 1000,                             \
      "requests in flight per connection; default 1")                                              \
    X(SECONDS, "seconds", "N", CLI_COUNT, CLI_OF_BENCH, "", 1, 86400,                              \
      "how long to measure; default 5")                                                            \
    X(RECORDS, "records", "N", CLI_COUNT, CLI_OF_BENCH, "", 1, 100000000,                          \
      "how many, called bench-0 and so on; default 1000")                                          \
    X(VALUE_BYTES, "value-bytes", "N", CLI_COUNT, CLI_OF_BENCH, "", 64, 1000000,                   \
      "size of each record as JSON; default 300")                                                  \
    X(MIX, "mix", "KIND=N", CLI_TEXT, CLI_BIT(BENCH_RUN), "", 0, 0,                                \
      "get=95,put=5 of get, put, delete, rmw, insert; default get=1")                              \
    X(DISTRIBUTION, "distribution", "NAME", CLI_TEXT, CLI_OF_BENCH,                                \
      "uniform zipfian scrambled latest sequential", 0, 0,                                         \
      "which records; default uniform; zipfian:0.9 takes a theta")                                 \
    X(RATE, "rate", "N", CLI_COUNT, CLI_OF_BENCH, "", 1, 10000000,                                 \
      "open loop: so many requests a second in all")                                               \
    X(HTTP, "http", "URL", CLI_TEXT, CLI_OF_RULES, "", 0, 0,                                       \
      "default http://127.0.0.1:8080, or FRESHET_HTTP_URL")                                        \
    X(SERVER, "server", "URL", CLI_TEXT, CLI_OF_WIRE, "", 0, 0,                                    \
      "default freshet://127.0.0.1:7400, or FRESHET_URL")                                          \
    X(TOKEN, "token", "TOKEN", CLI_TEXT, CLI_OF_SERVER, "", 0, 0,                                  \
      "credentials; default none, or FRESHET_TOKEN")                                               \
    X(TIMEOUT, "timeout", "TIME", CLI_TIME, CLI_OF_SERVER, "", 1, 86400000,                        \
      "for each request; default 30s")                                                             \
    X(JSON, "json", "", CLI_FLAG, CLI_OF_SERVER, "", 0, 0,                                         \
      "one line of JSON per result; errors as JSON too")                                           \
    X(QUIET, "quiet", "", CLI_FLAG, CLI_OF_SERVER, "", 0, 0, "no progress, no notices")            \
    X(HELP_FLAG, "help", "", CLI_FLAG, UINT64_MAX, "", 0, 0, "this text; also -h")

/* From here on they are the same for all: --help sets them apart. */
#define CLI_COMMON_FIRST CLI_OPTION_HTTP

enum cli_option_id {
#define CLI_ID(id, ...) CLI_OPTION_##id,
    CLI_OPTIONS(CLI_ID)
#undef CLI_ID
        CLI_OPTION_TOTAL
};

struct cli;

struct cli_command {
    const char *topic;
    const char *verb; /* empty: the topic is the command */
    const char *arguments;
    size_t words_min;
    size_t words_max;
    int (*run)(struct cli *cli); /* NULL: not a command of ours */
    const char *text;
};

struct cli_option {
    const char *name;
    const char *argument; /* empty: a flag */
    enum cli_option_kind kind;
    uint64_t commands; /* bits */
    const char *values;
    uint64_t least;
    uint64_t most;
    const char *help;
};

struct cli_topic {
    const char *group;
    const char *name;
    const char *summary;
};

const struct cli_topic *cli_topic_at(size_t index);     /* NULL behind the last */
const struct cli_command *cli_command_at(size_t index); /* likewise */
const struct cli_option *cli_option_at(size_t index);

bool cli_option_is_of(const struct cli_option *option, const struct cli_command *command);

#endif
