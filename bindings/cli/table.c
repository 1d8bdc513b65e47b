#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"

#include <assert.h>

static const struct cli_topic topics[] = {
#define TOPIC_ROW(group, name, summary) {group, name, summary},
    CLI_TOPICS(TOPIC_ROW)
#undef TOPIC_ROW
};

static const struct cli_command commands[CLI_COMMAND_TOTAL] = {
#define COMMAND_ROW(id, topic, verb, arguments, least, most, run, text)                            \
    [CLI_##id] = {topic, verb, arguments, least, most, run, text},
    CLI_COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

static const struct cli_option options[CLI_OPTION_TOTAL] = {
#define OPTION_ROW(id, name, argument, kind, commands, values, least, most, help)                  \
    [CLI_OPTION_##id] = {name, argument, kind, commands, values, least, most, help},
    CLI_OPTIONS(OPTION_ROW)
#undef OPTION_ROW
};

static_assert(CLI_COMMAND_TOTAL <= 64, "an option's commands are the bits of one number");

const struct cli_topic *cli_topic_at(size_t index)
{
    return index < sizeof(topics) / sizeof(topics[0]) ? &topics[index] : NULL;
}

const struct cli_command *cli_command_at(size_t index)
{
    return index < CLI_COMMAND_TOTAL ? &commands[index] : NULL;
}

const struct cli_option *cli_option_at(size_t index)
{
    return index < CLI_OPTION_TOTAL ? &options[index] : NULL;
}

bool cli_option_is_of(const struct cli_option *option, const struct cli_command *command)
{
    size_t index = (size_t)(command - commands);
    ASSERT(index < CLI_COMMAND_TOTAL);
    return (option->commands >> index & 1) != 0;
}
