/* rules list, get, put, delete, dead-letters, redrive. */
#include <stdlib.h>
#include <string.h>

#include "bindings/cli/cli_internal.h"
#include "bindings/cli/rest.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define NAME_COLUMNS 24
/* An event's id has letters, digits, - and _. */
#define BODY_BYTES_MAX 1024

typedef void row_printer(const struct cli *cli, struct bytes row);

static struct bytes text_of(struct bytes object, struct bytes name)
{
    struct bytes value;
    struct bytes text = BYTES_EMPTY;
    if (document_find(object, name, &value)) {
        (void)document_string(value, &text);
    }
    return text;
}

static uint64_t number_of(struct bytes object, struct bytes name)
{
    struct bytes value;
    uint64_t number = 0;
    if (document_find(object, name, &value)) {
        (void)document_u64(value, &number);
    }
    return number;
}

/* A row of a list as one line of JSON; rows are as large as the answer at most. */
static void row_json(struct bytes row)
{
    size_t capacity = 6 * row.size + DOCUMENT_NUMBER_TEXT_MAX;
    uint8_t *memory = malloc(capacity);
    struct writer json = writer_of(memory, memory == NULL ? 0 : capacity);
    if (document_to_json(row, &json) == STATUS_OK) {
        cli_json_print(stdout, writer_bytes(&json), false, false);
    }
    free(memory);
}

static void cell_print(struct bytes text, int columns)
{
    int left = text.size < (size_t)columns ? columns - (int)text.size : 0;
    cli_text_print(stdout, text);
    printf("%*s  ", left, "");
}

static void rule_row(const struct cli *cli, struct bytes row)
{
    struct bytes state = BYTES_EMPTY;
    struct bytes target = BYTES_EMPTY;
    if (cli->json) {
        row_json(row);
        return;
    }
    (void)document_find(row, BYTES_LITERAL("state"), &state);
    (void)document_find(row, BYTES_LITERAL("target"), &target);
    cell_print(text_of(row, BYTES_LITERAL("name")), NAME_COLUMNS);
    cell_print(text_of(state, BYTES_LITERAL("status")), 8);
    printf("%7llu  %9llu  %12llu  ",
           (unsigned long long)number_of(state, BYTES_LITERAL("lag_events")),
           (unsigned long long)number_of(state, BYTES_LITERAL("delivered")),
           (unsigned long long)number_of(state, BYTES_LITERAL("dead_letters")));
    cli_text_print(stdout, text_of(target, BYTES_LITERAL("url")));
    fputc('\n', stdout);
}

static void letter_row(const struct cli *cli, struct bytes row)
{
    if (cli->json) {
        row_json(row);
        return;
    }
    cell_print(text_of(row, BYTES_LITERAL("eventID")), NAME_COLUMNS);
    cell_print(text_of(row, BYTES_LITERAL("given_up")), 24);
    printf("%8llu  ", (unsigned long long)number_of(row, BYTES_LITERAL("attempts")));
    cli_text_print(stdout, text_of(row, BYTES_LITERAL("reason")));
    fputc('\n', stdout);
}

/* All pages of a list, row by row. */
static int list_print(const struct cli *cli, const char *path, const char *head, row_printer *print)
{
    struct rest rest;
    char at[REST_URL_MAX];
    int code = CLI_EXIT_FAILURE;
    bool first = true;
    if (!rest_open(&rest, cli)) {
        return code;
    }
    snprintf(at, sizeof(at), "%s", path);
    do {
        uint8_t *memory = NULL;
        struct bytes rows;
        struct bytes row;
        struct document_cursor cursor;
        code =
            rest_request(&rest, "GET", at, BYTES_EMPTY, cli->word_count > 0 ? cli->words[0] : NULL);
        if (code == CLI_EXIT_CLEAN &&
            (json_rendered_read(bytes_of(rest.answer, rest.size), &memory, &rows) != STATUS_OK ||
             !document_cursor_open(rows, &cursor))) {
            code = cli_fail_text(cli, rest.base, "the answer is no list; is this Freshet?");
        }
        while (code == CLI_EXIT_CLEAN && document_next_element(&cursor, &row)) {
            fputs(first && !cli->json ? head : "", stdout);
            first = false;
            print(cli, row);
        }
        free(memory);
        snprintf(at, sizeof(at), "%s", rest.next);
    } while (code == CLI_EXIT_CLEAN && at[0] != '\0');
    rest_close(&rest);
    return code;
}

int cli_rules_list(struct cli *cli)
{
    return list_print(cli, "/rules",
                      "NAME                      STATUS     BEHIND  DELIVERED  DEAD LETTERS  URL\n",
                      rule_row);
}

int cli_rules_dead_letters(struct cli *cli)
{
    struct rest rest;
    char path[REST_URL_MAX];
    if (!rest_open(&rest, cli)) {
        return CLI_EXIT_FAILURE;
    }
    rest_path(&rest, cli->words[0], "/dead-letters", path);
    rest_close(&rest);
    return list_print(cli, path,
                      "EVENT                     GIVEN UP                  ATTEMPTS  REASON\n",
                      letter_row);
}

typedef void answer_printer(const struct cli *cli, struct bytes answer);

/* The answer as it came. */
static void answer_print(const struct cli *cli, struct bytes answer)
{
    cli_json_print(stdout, answer, cli->out_terminal && !cli->json, cli->colour);
}

/* One request about the rule that the first word names; NULL: nothing is printed. */
static int rule_request(struct cli *cli, const char *method, const char *suffix, struct bytes body,
                        answer_printer *print)
{
    struct rest rest;
    char path[REST_URL_MAX];
    ASSERT(cli->word_count > 0);
    if (!rest_open(&rest, cli)) {
        return CLI_EXIT_FAILURE;
    }
    rest_path(&rest, cli->words[0], suffix, path);
    int code = rest_request(&rest, method, path, body, cli->words[0]);
    if (code == CLI_EXIT_CLEAN && print != NULL) {
        print(cli, bytes_of(rest.answer, rest.size));
    }
    rest_close(&rest);
    return code;
}

static int outcome_print(const struct cli *cli, int code, const char *outcome)
{
    if (code == CLI_EXIT_CLEAN && cli->json) {
        fputs("{\"name\":", stdout);
        cli_string_print(stdout, cli->words[0]);
        printf(",\"outcome\":\"%s\"}\n", outcome);
    } else if (code == CLI_EXIT_CLEAN && !cli->quiet) {
        printf("%s  %s\n", cli->words[0], outcome);
    }
    return code;
}

int cli_rules_get(struct cli *cli)
{
    return rule_request(cli, "GET", "", BYTES_EMPTY, answer_print);
}

int cli_rules_put(struct cli *cli)
{
    struct bytes rule;
    char *memory;
    if (cli_document(cli, 1, &memory, &rule) != STATUS_OK) {
        return CLI_EXIT_FAILURE;
    }
    int code = rule_request(cli, "PUT", "", rule, NULL);
    free(memory);
    return outcome_print(cli, code, "put");
}

int cli_rules_delete(struct cli *cli)
{
    return outcome_print(cli, rule_request(cli, "DELETE", "", BYTES_EMPTY, NULL), "deleted");
}

static void redriven_print(const struct cli *cli, struct bytes answer)
{
    uint8_t *memory;
    struct bytes object;
    if (cli->json) {
        answer_print(cli, answer);
    } else if (!cli->quiet && json_rendered_read(answer, &memory, &object) == STATUS_OK) {
        printf("%s  %llu redriven\n", cli->words[0],
               (unsigned long long)number_of(object, BYTES_LITERAL("redriven")));
        free(memory);
    }
}

int cli_rules_redrive(struct cli *cli)
{
    uint8_t memory[BODY_BYTES_MAX];
    struct writer body = writer_of(memory, sizeof(memory));
    writer_u8(&body, '{');
    if (cli->word_count > 1) {
        writer_text(&body, "\"eventID\":");
        json_string_write(&body, bytes_of_text(cli->words[1]));
    }
    writer_u8(&body, '}');
    if (body.failed) {
        return cli_usage(cli->command, NULL, "the id of the event is too long");
    }
    return rule_request(cli, "POST", "/redrive", writer_bytes(&body), redriven_print);
}
