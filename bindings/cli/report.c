/* What went wrong: one line that says what to do, or one line of JSON. */
#include <stdarg.h>
#include <string.h>

#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"

#define SUBJECT_BYTES_MAX 700

static void command_print(const struct cli_command *command)
{
    fprintf(stderr, "freshet: %s%s%s: ", command->topic, command->verb[0] != '\0' ? " " : "",
            command->verb);
}

int cli_usage(const struct cli_command *command, const char *word, const char *what)
{
    command_print(command);
    if (word != NULL) {
        fprintf(stderr, "%s: ", word);
    }
    fprintf(stderr, "%s; see freshet %s%s%s --help\n", what, command->topic,
            command->verb[0] != '\0' ? " " : "", command->verb);
    return CLI_EXIT_USAGE;
}

static void member_print(const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0') {
        fprintf(stderr, ",\"%s\":", name);
        cli_string_print(stderr, value);
    }
}

static void text_print(const char *before, const char *text)
{
    if (text != NULL && text[0] != '\0') {
        fprintf(stderr, "%s%s", before, text);
    }
}

int cli_fail(const struct cli *cli, const struct cli_problem *problem)
{
    ASSERT(problem->detail != NULL);
    fflush(stdout);
    if (cli->json) {
        fprintf(stderr, "{\"status\":%d", problem->code);
        member_print("type", problem->type);
        member_print("subject", problem->subject);
        member_print("detail", problem->detail);
        member_print("advice", problem->advice);
        fputs("}\n", stderr);
        return CLI_EXIT_FAILURE;
    }
    command_print(cli->command);
    if (problem->subject != NULL) {
        cli_text_print(stderr, bytes_of_text(problem->subject));
        fputs(": ", stderr);
    }
    /* A detail is a sentence of the server's; what follows it begins anew. */
    size_t size = strlen(problem->detail);
    while (size > 0 && problem->detail[size - 1] == '.') {
        size--;
    }
    cli_text_print(stderr, bytes_of(problem->detail, size));
    text_print("; ", problem->advice);
    fputc('\n', stderr);
    return CLI_EXIT_FAILURE;
}

int cli_fail_text(const struct cli *cli, const char *subject, const char *detail)
{
    const struct cli_problem problem = {.subject = subject, .detail = detail};
    return cli_fail(cli, &problem);
}

const char *cli_advice(enum freshet_status status)
{
    switch (status) {
    case FRESHET_DISCONNECTED:
        return "start one with `freshet serve`, or name it with --server";
    case FRESHET_TIMEOUT:
        return "--timeout gives it longer";
    case FRESHET_UNAUTHORIZED:
        return "give credentials with --token";
    case FRESHET_POSITION_EXPIRED:
        return "go on with --from earliest, or begin anew with --from snapshot";
    case FRESHET_PRECONDITION_FAILED:
        return "get the record, and decide again";
    case FRESHET_BUSY:
        return "nothing was changed; try again later";
    case FRESHET_OUTCOME_UNKNOWN:
        return "get the record before you write again";
    case FRESHET_PROTOCOL:
        return "is this the address after \"wire\" in the server's ready line?";
    case FRESHET_OK:
    case FRESHET_END:
    case FRESHET_AGAIN:
    case FRESHET_NOT_MODIFIED:
    case FRESHET_INVALID:
    case FRESHET_FORBIDDEN:
    case FRESHET_NOT_FOUND:
    case FRESHET_CONFLICT:
    case FRESHET_TOO_LARGE:
    case FRESHET_UNPROCESSABLE:
    case FRESHET_SERVER_ERROR:
    case FRESHET_NO_MEMORY:
        return NULL;
    }
    return NULL;
}

int cli_fail_handle(const struct cli *cli, const char *subject)
{
    const struct freshet_error *error = freshet_error(cli->db);
    const struct cli_problem problem = {
        .code = error->code,
        .type = error->type,
        .subject = subject,
        .detail = error->detail[0] != '\0' ? error->detail : freshet_status_text(error->status),
        .advice = cli_advice(error->status),
    };
    return cli_fail(cli, &problem);
}

int cli_fail_record(const struct cli *cli, const char *collection, const char *id)
{
    char subject[SUBJECT_BYTES_MAX];
    enum freshet_status status = freshet_error(cli->db)->status;
    if (status == FRESHET_DISCONNECTED || status == FRESHET_TIMEOUT) {
        return cli_fail_handle(cli, NULL); /* it is not about the record */
    }
    snprintf(subject, sizeof(subject), "%s%s%s", collection, id == NULL ? "" : "/",
             id == NULL ? "" : id);
    return cli_fail_handle(cli, subject);
}

void cli_notice(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    if (cli->quiet || cli->json) {
        return;
    }
    command_print(cli->command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
