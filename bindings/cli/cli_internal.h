/*
 * cli_internal.h: what the commands share: one run of the program, its options, its two outputs.
 *
 * Owner:  cli_run; one thread.
 * Memory: the words belong to the caller; the handle is closed by cli_run.
 * Errors: a command returns the exit code and has printed why.
 */
#ifndef FRESHET_BINDINGS_CLI_CLI_INTERNAL_H
#define FRESHET_BINDINGS_CLI_CLI_INTERNAL_H

#include <stdio.h>

#include "bindings/c/include/freshet.h"
#include "bindings/cli/table.h"
#include "protocol/base/bytes.h"

enum { CLI_EXIT_CLEAN = 0, CLI_EXIT_FAILURE = 1, CLI_EXIT_USAGE = 2 };

/* What one file or stdin may hold as one document. */
#define CLI_INPUT_BYTES_MAX (16u << 20)
/* A handle's batch holds no more, and no answer names more records. */
#define CLI_BATCH_MAX 1000

struct cli {
    const struct cli_command *command;
    const char *texts[CLI_OPTION_TOTAL]; /* NULL: not given; a flag: empty */
    uint64_t numbers[CLI_OPTION_TOTAL];  /* of counts, and of times in ms */
    char *const *words;                  /* what is no option */
    size_t word_count;
    struct freshet *db; /* of commands that speak wire; or NULL */
    bool json;
    bool quiet;
    bool out_terminal;
    bool err_terminal;
    bool colour; /* on stdout */
};

/* ---- arguments.c ---- */

/* OK; else it was told on stderr, and the exit code is CLI_EXIT_USAGE. Reorders the words. */
MUST_USE enum status cli_arguments(struct cli *cli, int count, char **words);

#define CLI_NEED_BYTES_MAX 256
/* As if the option had been given. NULL, or what is needed instead, perhaps in need. */
const char *cli_option_set(struct cli *cli, enum cli_option_id index, const char *value,
                           char need[CLI_NEED_BYTES_MAX]);

static inline bool cli_has(const struct cli *cli, enum cli_option_id option)
{
    return cli->texts[option] != NULL;
}

static inline uint64_t cli_number(const struct cli *cli, enum cli_option_id option,
                                  uint64_t otherwise)
{
    return cli_has(cli, option) ? cli->numbers[option] : otherwise;
}

/* The option, else the variable when it is not empty, else the last. */
const char *cli_setting(const struct cli *cli, enum cli_option_id option, const char *variable,
                        const char *otherwise);

/* Of the server that speaks wire. */
const char *cli_url(const struct cli *cli);

/* ---- help.c, completion.c ---- */

void cli_help(FILE *out);
void cli_help_topic(const char *topic, FILE *out);
void cli_help_command(const struct cli_command *command, FILE *out);
int cli_completion(struct cli *cli);

/* ---- report.c: what went wrong, and where to look ---- */

struct cli_problem {
    int code;            /* as REST has it; 0: of this side */
    const char *type;    /* or empty */
    const char *subject; /* "products/42"; NULL: none */
    const char *detail;
    const char *advice; /* what to do; NULL: nothing to add */
};

/* Prints it and returns CLI_EXIT_FAILURE. */
int cli_fail(const struct cli *cli, const struct cli_problem *problem);
/* The same of the handle's last error, and of a record's. id may be NULL. */
int cli_fail_handle(const struct cli *cli, const char *subject);
int cli_fail_record(const struct cli *cli, const char *collection, const char *id);
int cli_fail_text(const struct cli *cli, const char *subject, const char *detail);
/* A line on stderr, unless --quiet or --json. */
void cli_notice(const struct cli *cli, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Prints it and returns CLI_EXIT_USAGE. */
int cli_usage(const struct cli_command *command, const char *word, const char *what);
const char *cli_advice(enum freshet_status status);

/* ---- print.c: results ---- */

/*
 * A text as it is, but for the control characters (U+0000 to U+001F, U+007F to U+009F): those are
 * escaped as JSON would, so that what was stored cannot command a terminal or begin a line.
 */
void cli_text_print(FILE *out, struct bytes text);
/* JSON in one piece, and a new line; indented if pretty. Control characters likewise. */
void cli_json_print(FILE *out, struct bytes json, bool pretty, bool colour);
/* A text as a JSON string. */
void cli_string_print(FILE *out, const char *text);

#define CLI_COUNT_BYTES_MAX 32
/* 1234567 as 1,234,567. */
const char *cli_count_text(uint64_t count, char out[CLI_COUNT_BYTES_MAX]);
/* Flushes stdout; the exit code, which is a failure when something could not be written. */
int cli_finish(const struct cli *cli, int code);

/* ---- input.c ---- */

/* Argument `index` as a document: itself, @FILE or - for stdin, which an absent one means. On
 * failure it was told. The caller frees *memory_out. */
MUST_USE enum status cli_document(const struct cli *cli, size_t index, char **memory_out,
                                  struct bytes *out);
/* @FILE or - as a stream; NULL: it was told. Close with cli_input_close. */
FILE *cli_input_open(const struct cli *cli, const char *word);
void cli_input_close(FILE *file);

uint64_t cli_now_ns(void);
/* Waits, unless SIGINT or SIGTERM is pending by then. */
void cli_pause(uint64_t ms);
/* From here on these signals only mark that the command is to end. */
void cli_signals_hold(void);
bool cli_signals_came(void);

/* ---- commands ---- */

int cli_get(struct cli *cli);
int cli_put(struct cli *cli);
int cli_put_lines(struct cli *cli);
int cli_create(struct cli *cli);
int cli_patch(struct cli *cli);
int cli_delete(struct cli *cli);
int cli_list(struct cli *cli);
int cli_watch(struct cli *cli);
int cli_consumers_list(struct cli *cli);
int cli_consumers_get(struct cli *cli);
int cli_consumers_put(struct cli *cli);
int cli_consumers_delete(struct cli *cli);
int cli_rules_list(struct cli *cli);
int cli_rules_get(struct cli *cli);
int cli_rules_put(struct cli *cli);
int cli_rules_delete(struct cli *cli);
int cli_rules_dead_letters(struct cli *cli);
int cli_rules_redrive(struct cli *cli);
int cli_bench(struct cli *cli);

#endif
