/* completion: the table as two arrays of the shell, and completion/freshet.bash behind them. */
#include <string.h>

#include "bindings/cli/cli_internal.h"

/* Made from completion/freshet.bash at build time. */
extern const uint8_t freshet_bash[];
extern const size_t freshet_bash_size;

static void commands_print(void)
{
    const struct cli_command *command;
    fputs("_freshet_commands=(", stdout);
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++) {
        printf("\n    \"%s:%s\"", command->topic, command->verb);
    }
    fputs("\n)\n", stdout);
}

static void option_print(const struct cli_option *option)
{
    const struct cli_command *command;
    printf("\n    \"--%s:%s:", option->name, option->kind == CLI_FLAG ? "=" : option->values);
    const char *before = "";
    for (size_t i = 0; (command = cli_command_at(i)) != NULL; i++) {
        if (command->run != NULL && cli_option_is_of(option, command)) {
            printf("%s%s%s%s", before, command->topic, command->verb[0] != '\0' ? "/" : "",
                   command->verb);
            before = " ";
        }
    }
    fputc('"', stdout);
}

int cli_completion(struct cli *cli)
{
    const char *shell = cli->words[0];
    if (strcmp(shell, "zsh") == 0) {
        fputs("autoload -U +X bashcompinit && bashcompinit\n", stdout);
    } else if (strcmp(shell, "bash") != 0) {
        return cli_usage(cli->command, shell, "there are scripts for bash and zsh");
    }
    commands_print();
    fputs("_freshet_options=(", stdout);
    for (size_t i = 0; i < CLI_OPTION_TOTAL; i++) {
        option_print(cli_option_at(i));
    }
    fputs("\n)\n\n", stdout);
    fwrite(freshet_bash, 1, freshet_bash_size, stdout);
    return CLI_EXIT_CLEAN;
}
