#include "bindings/cli/cli.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* The command of the first word, or of the first two; NULL: there is none of ours. */
static const struct cli_command *command_find(const char *topic, const char *verb)
{
    const struct cli_command *command;
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++) {
        if (strcmp(command->topic, topic) == 0 && command->run != NULL &&
            (command->verb[0] == '\0' || strcmp(command->verb, verb) == 0)) {
            return command;
        }
    }
    return NULL;
}

static bool topic_exists(const char *name)
{
    const struct cli_topic *topic;
    for (size_t i = 0; (topic = cli_topic_at(i)) != NULL; i++) {
        if (strcmp(topic->name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* What has no command: help, or words that are none. */
static int command_missing(int count, char **words)
{
    const char *topic = count > 0 ? words[0] : "";
    if (count == 0) {
        cli_help(stderr);
        return CLI_EXIT_USAGE;
    }
    if (strcmp(topic, "help") == 0 || is_help(topic)) {
        cli_help(stdout);
        return CLI_EXIT_CLEAN;
    }
    if (!topic_exists(topic)) {
        fprintf(stderr, "freshet: there is no command '%s'; see freshet help\n", topic);
        return CLI_EXIT_USAGE;
    }
    if (count > 1 && is_help(words[1])) {
        cli_help_topic(topic, stdout);
        return CLI_EXIT_CLEAN;
    }
    if (count == 1) {
        cli_help_topic(topic, stderr);
        return CLI_EXIT_USAGE;
    }
    fprintf(stderr, "freshet: %s: there is no command '%s'; see freshet %s --help\n", topic,
            words[1], topic);
    return CLI_EXIT_USAGE;
}

static int connected_run(struct cli *cli)
{
    const char *url = cli_url(cli);
    const struct freshet_options options = {
        .timeout_ms = (int)cli_number(cli, CLI_OPTION_TIMEOUT, 0),
        .token = cli_setting(cli, CLI_OPTION_TOKEN, "FRESHET_TOKEN", NULL),
    };
    enum freshet_status status = freshet_connect(url, &options, &cli->db);
    int code;
    if (status == FRESHET_OK) {
        code = cli->command->run(cli);
    } else if (cli->db == NULL) {
        code = cli_fail_text(cli, NULL, freshet_status_text(status));
    } else {
        code = cli_fail_handle(cli, url);
    }
    freshet_close(cli->db);
    cli->db = NULL;
    return code;
}

static bool colours_wanted(void)
{
    const char *none = getenv("NO_COLOR");
    const char *terminal = getenv("TERM");
    return (none == NULL || none[0] == '\0') && (terminal == NULL || strcmp(terminal, "dumb") != 0);
}

int cli_run(int count, char **words)
{
    ASSERT(count >= 0);
    const struct cli_command *command =
        count > 0 ? command_find(words[0], count > 1 ? words[1] : "") : NULL;
    if (command == NULL) {
        return command_missing(count, words);
    }
    struct cli cli = {
        .command = command,
        .out_terminal = isatty(STDOUT_FILENO) == 1,
        .err_terminal = isatty(STDERR_FILENO) == 1,
    };
    int skipped = command->verb[0] == '\0' ? 1 : 2;
    if (cli_arguments(&cli, count - skipped, words + skipped) != STATUS_OK) {
        return CLI_EXIT_USAGE;
    }
    if (cli_has(&cli, CLI_OPTION_HELP_FLAG)) {
        cli_help_command(command, stdout);
        return cli_finish(&cli, CLI_EXIT_CLEAN);
    }
    cli.json = cli_has(&cli, CLI_OPTION_JSON);
    cli.quiet = cli_has(&cli, CLI_OPTION_QUIET);
    cli.colour = cli.out_terminal && colours_wanted();
    bool wire = cli_option_is_of(cli_option_at(CLI_OPTION_SERVER), command);
    return cli_finish(&cli, wire ? connected_run(&cli) : command->run(&cli));
}
