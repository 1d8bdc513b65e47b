/* --help, made from the table; only the examples stand here. */
#include <string.h>

#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"

#define NAME_COLUMNS   12
#define OPTION_COLUMNS 25
#define LABEL_MAX      64

static const char *const examples[CLI_COMMAND_TOTAL] = {
    [CLI_GET] = "  freshet get products 42\n"
                "  freshet get products 42 43 44 | jq .price\n",
    [CLI_PUT] = "  freshet put products 42 '{\"title\":\"Lamp\",\"price\":29.99}'\n"
                "  freshet put products 42 @lamp.json --if-absent\n"
                "  freshet put products --lines @products.ndjson\n"
                "  freshet list pets | freshet put pets --lines --server freshet://other:7400\n",
    [CLI_CREATE] = "  freshet create products '{\"title\":\"Lamp\"}'\n"
                   "  freshet create products @lamp.json --key order-17\n",
    [CLI_PATCH] = "  freshet patch products 42 '{\"price\":24.99,\"old\":null}'\n",
    [CLI_DELETE] = "  freshet delete products 42 43\n",
    [CLI_LIST] = "  freshet list products --index category=lamps\n"
                 "  freshet list products --limit 10 | jq -c '[.id,.price]'\n",
    [CLI_WATCH] = "  freshet watch products\n"
                  "  freshet watch products --pattern '{\"changed\":[\"price\"]}'\n"
                  "  freshet watch --from 2026-01-01T00:00:00Z --json\n"
                  "  freshet watch --consumer mailer --ack\n",
    [CLI_CONSUMERS_LIST] = "  freshet consumers list\n",
    [CLI_CONSUMERS_GET] = "  freshet consumers get mailer\n",
    [CLI_CONSUMERS_PUT] = "  freshet consumers put mailer --collection products --from earliest\n"
                          "  freshet consumers put workers --group\n",
    [CLI_CONSUMERS_DELETE] = "  freshet consumers delete mailer\n",
    [CLI_RULES_LIST] = "  freshet rules list\n",
    [CLI_RULES_GET] = "  freshet rules get mail\n",
    [CLI_RULES_PUT] = "  freshet rules put mail '{\"collection\":\"pets\","
                      "\"target\":{\"url\":\"http://localhost/hook\"}}'\n"
                      "  freshet rules put mail @mail.json\n",
    [CLI_RULES_DELETE] = "  freshet rules delete mail\n",
    [CLI_RULES_DEAD_LETTERS] = "  freshet rules dead-letters mail\n",
    [CLI_RULES_REDRIVE] = "  freshet rules redrive mail\n",
    [CLI_BENCH_GET] = "  freshet bench get --connections 50 --pipeline 16\n",
    [CLI_BENCH_PUT] = "  freshet bench put --connections 50 --seconds 10\n",
    [CLI_BENCH_MIXED] = "  freshet bench mixed --records 100000 --distribution zipfian\n"
                        "  freshet bench mixed --rate 5000 --connections 50\n",
    [CLI_BENCH_RUN] = "  freshet bench run bench/load/scenarios/ycsb-a.yaml\n"
                      "  freshet bench run --mix get=50,rmw=50 --rate 5000 --json >now.json\n",
    [CLI_COMPLETION] = "  echo 'source <(freshet completion bash)' >>~/.bashrc\n"
                       "  echo 'source <(freshet completion zsh)' >>~/.zshrc\n",
};

void cli_help(FILE *out)
{
    const char *group = "";
    const struct cli_topic *topic;
    fputs("usage: freshet COMMAND [--help]\n", out);
    for (size_t i = 0; (topic = cli_topic_at(i)) != NULL; i++) {
        if (strcmp(group, topic->group) != 0) {
            group = topic->group;
            fprintf(out, "\n%s\n", group);
        }
        fprintf(out, "  %-*s%s\n", NAME_COLUMNS, topic->name, topic->summary);
    }
    fputs("\n"
          "Records and changes are those of the server at freshet://127.0.0.1:7400, at\n"
          "FRESHET_URL, or at --server URL. The man page freshet(1) tells it all.\n"
          "Exit codes: 0 clean, 1 failure (the message says what to do), 2 usage.\n",
          out);
}

void cli_help_topic(const char *topic, FILE *out)
{
    const struct cli_command *command;
    fprintf(out, "usage: freshet %s COMMAND [--help]\n\n", topic);
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++) {
        if (strcmp(command->topic, topic) == 0) {
            fprintf(out, "  %-*s  %.*s\n", NAME_COLUMNS, command->verb,
                    (int)strcspn(command->text, ".\n"), command->text);
        }
    }
}

static void option_print(const struct cli_option *option, FILE *out)
{
    char label[LABEL_MAX];
    int size = snprintf(label, sizeof(label), "--%s%s%s", option->name,
                        option->argument[0] != '\0' ? " " : "", option->argument);
    ASSERT(size > 0 && size < OPTION_COLUMNS);
    fprintf(out, "  %-*s%s\n", OPTION_COLUMNS, label, option->help);
}

static void options_print(const struct cli_command *command, size_t from, size_t to, FILE *out)
{
    bool first = true;
    for (size_t i = from; i < to; i++) {
        const struct cli_option *option = cli_option_at(i);
        if (cli_option_is_of(option, command)) {
            fputs(first ? "\n" : "", out);
            first = false;
            option_print(option, out);
        }
    }
}

void cli_help_command(const struct cli_command *command, FILE *out)
{
    size_t index = (size_t)(command - cli_command_at(0));
    ASSERT(command->run != NULL);
    ASSERT(examples[index] != NULL);
    fprintf(out, "usage: freshet %s%s%s [OPTION]...%s%s\n\n", command->topic,
            command->verb[0] != '\0' ? " " : "", command->verb,
            command->arguments[0] != '\0' ? " " : "", command->arguments);
    fputs(command->text, out);
    options_print(command, 0, CLI_COMMON_FIRST, out);
    options_print(command, CLI_COMMON_FIRST, CLI_OPTION_TOTAL, out);
    fprintf(out, "\nExamples\n%s", examples[index]);
}
