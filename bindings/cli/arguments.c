/* The words of the command line, by the table. */
#include <stdlib.h>
#include <string.h>

#include "bindings/cli/bench_plan.h"
#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"

#define URL_DEFAULT "freshet://127.0.0.1:7400"

/* The option called so; NULL: the command has none. */
static const struct cli_option *option_find(const struct cli_command *command, const char *name,
                                            size_t size, size_t *index_out)
{
    for (size_t i = 0; i < CLI_OPTION_TOTAL; i++) {
        const struct cli_option *option = cli_option_at(i);
        if (strlen(option->name) == size && memcmp(option->name, name, size) == 0 &&
            cli_option_is_of(option, command)) {
            *index_out = i;
            return option;
        }
    }
    return NULL;
}

static bool count_read(const char *text, uint64_t *out)
{
    size_t digits = bytes_decimal(bytes_of_text(text), out);
    return digits > 0 && text[digits] == '\0';
}

static bool time_read(const char *text, uint64_t *ms_out)
{
    static const struct {
        const char *name;
        uint64_t ms;
    } units[] = {{"", 1000}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    uint64_t value;
    size_t digits = bytes_decimal(bytes_of_text(text), &value);
    if (digits == 0) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + digits, units[i].name) == 0) {
            return !__builtin_mul_overflow(value, units[i].ms, ms_out);
        }
    }
    return false;
}

/* Whether the text is one of the words that spaces separate. */
static bool choice_has(const char *values, const char *text)
{
    size_t size = strlen(text);
    for (const char *at = values; at != NULL && size > 0; at = strchr(at, ' ')) {
        at += *at == ' ';
        if (strncmp(at, text, size) == 0 && (at[size] == ' ' || at[size] == '\0')) {
            return true;
        }
    }
    return false;
}

const char *cli_option_set(struct cli *cli, enum cli_option_id index, const char *value,
                           char need[CLI_NEED_BYTES_MAX])
{
    const struct cli_option *option = cli_option_at(index);
    uint64_t *number = &cli->numbers[index];
    bool good = true;
    need[0] = '\0';
    cli->texts[index] = value;
    switch (option->kind) {
    case CLI_FLAG:
        break;
    case CLI_TEXT:
        good = value[0] != '\0';
        snprintf(need, CLI_NEED_BYTES_MAX, "%s is needed", option->argument);
        break;
    case CLI_CHOICE:
        good = choice_has(option->values, value);
        snprintf(need, CLI_NEED_BYTES_MAX, "one of these is needed: %s", option->values);
        break;
    case CLI_COUNT:
        good = count_read(value, number) && *number >= option->least && *number <= option->most;
        snprintf(need, CLI_NEED_BYTES_MAX, "a number from %llu to %llu is needed",
                 (unsigned long long)option->least, (unsigned long long)option->most);
        break;
    case CLI_TIME:
        good = time_read(value, number) && *number >= option->least && *number <= option->most;
        snprintf(need, CLI_NEED_BYTES_MAX, "a time from 1ms to 24h is needed, such as 10s");
        break;
    }
    return good ? NULL : need;
}

/* words[*at] begins with "--"; *at moves on when the value is a word of its own. */
static enum status option_take(struct cli *cli, int count, char *const *words, int *at)
{
    const char *word = words[*at];
    char need[CLI_NEED_BYTES_MAX];
    size_t size = strcspn(word + 2, "=");
    size_t index;
    bool inlined = word[2 + size] == '=';
    const struct cli_option *option = option_find(cli->command, word + 2, size, &index);
    const char *value = inlined ? word + 2 + size + 1 : "";
    const char *wrong = NULL;
    if (option == NULL) {
        wrong = "there is no such option";
    } else if (option->kind == CLI_FLAG && inlined) {
        wrong = "it takes no value";
    } else if (option->kind != CLI_FLAG && !inlined && *at + 1 < count) {
        *at += 1;
        value = words[*at];
    }
    wrong = wrong != NULL ? wrong : cli_option_set(cli, (enum cli_option_id)index, value, need);
    if (wrong != NULL) {
        cli_usage(cli->command, word, wrong);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

static const char *put_check(const struct cli *cli)
{
    bool lines = cli_has(cli, CLI_OPTION_LINES);
    const char *input = cli->word_count > 1 ? cli->words[1] : "-";
    if (!lines && cli->word_count < 2) {
        return "it needs an ID, or --lines";
    }
    if (lines && (cli->word_count > 2 || (input[0] != '@' && strcmp(input, "-") != 0))) {
        return "--lines takes @FILE or - alone";
    }
    if (lines && cli_has(cli, CLI_OPTION_IF_MATCH)) {
        return "--if-match is for one record, not for --lines";
    }
    if (cli_has(cli, CLI_OPTION_IF_MATCH) && cli_has(cli, CLI_OPTION_IF_ABSENT)) {
        return "--if-match and --if-absent contradict each other";
    }
    return NULL;
}

static const char *watch_check(const struct cli *cli)
{
    bool consumer = cli_has(cli, CLI_OPTION_CONSUMER);
    if (!consumer && (cli_has(cli, CLI_OPTION_ACK) || cli_has(cli, CLI_OPTION_MEMBER))) {
        return "--ack and --member need --consumer";
    }
    if (consumer && (cli->word_count > 0 || cli_has(cli, CLI_OPTION_PATTERN) ||
                     cli_has(cli, CLI_OPTION_FROM))) {
        return "a consumer has its own collection, pattern and position";
    }
    return NULL;
}

static const char *list_check(const struct cli *cli)
{
    const char *index = cli->texts[CLI_OPTION_INDEX];
    bool good = index == NULL || (index[0] != '=' && strchr(index, '=') != NULL);
    return good ? NULL : "--index: FIELD=VALUE is needed";
}

/* What the table cannot say. NULL, or what is wrong. */
static const char *together_check(const struct cli *cli)
{
    if (cli->command == cli_command_at(CLI_PUT)) {
        return put_check(cli);
    }
    if (cli->command == cli_command_at(CLI_WATCH)) {
        return watch_check(cli);
    }
    if (cli_option_is_of(cli_option_at(CLI_OPTION_RATE), cli->command)) {
        return bench_options_check(cli);
    }
    return cli->command == cli_command_at(CLI_LIST) ? list_check(cli) : NULL;
}

static enum status words_check(const struct cli *cli)
{
    const struct cli_command *command = cli->command;
    const char *word = NULL;
    const char *wrong = NULL;
    char need[CLI_NEED_BYTES_MAX];
    if (cli_has(cli, CLI_OPTION_HELP_FLAG)) {
        return STATUS_OK;
    }
    if (cli->word_count > command->words_max) {
        word = cli->words[command->words_max];
        wrong = "that is one word too many";
    } else if (cli->word_count < command->words_min) {
        /* The first form of the arguments stands on a line of its own. */
        snprintf(need, sizeof(need), "it needs %.*s", (int)strcspn(command->arguments, "\n"),
                 command->arguments);
        wrong = need;
    } else {
        wrong = together_check(cli);
    }
    if (wrong != NULL) {
        cli_usage(command, word, wrong);
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

enum status cli_arguments(struct cli *cli, int count, char **words)
{
    bool only_words = false;
    ASSERT(cli->command != NULL);
    ASSERT(cli->word_count == 0);
    cli->words = words;
    for (int at = 0; at < count; at++) {
        char *word = words[at];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (!only_words && strcmp(word, "-h") == 0) {
            cli->texts[CLI_OPTION_HELP_FLAG] = "";
        } else if (!only_words && word[0] == '-' && word[1] == '-') {
            enum status status = option_take(cli, count, words, &at);
            if (status != STATUS_OK) {
                return status;
            }
        } else if (!only_words && word[0] == '-' && word[1] != '\0') {
            cli_usage(cli->command, word, "there is no such option");
            return STATUS_INVALID;
        } else {
            words[cli->word_count++] = word;
        }
    }
    ASSERT(cli->word_count <= (size_t)count);
    return words_check(cli);
}

const char *cli_setting(const struct cli *cli, enum cli_option_id option, const char *variable,
                        const char *otherwise)
{
    const char *value = cli->texts[option];
    if (value == NULL) {
        value = getenv(variable);
    }
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

const char *cli_url(const struct cli *cli)
{
    return cli_setting(cli, CLI_OPTION_SERVER, "FRESHET_URL", URL_DEFAULT);
}
