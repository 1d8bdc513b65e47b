/* The command line: which command it is. */
#include <stdio.h>
#include <string.h>

#include "net/server/check.h"
#include "net/server/command_bench.h"
#include "net/server/help.h"
#include "net/server/serve.h"

#define EXIT_USAGE 2

static int command_version(void)
{
    printf("freshet %s\n", FRESHET_VERSION);
    return 0;
}

int main(int count, char **words)
{
    if (count < 2) {
        help_main(stderr);
        return EXIT_USAGE;
    }
    const char *command = words[1];
    if (strcmp(command, "serve") == 0) {
        return command_serve(count - 2, words + 2);
    }
    if (strcmp(command, "check") == 0) {
        return command_check(count - 2, words + 2);
    }
    if (strcmp(command, "bench") == 0) {
        return command_bench(count - 2, words + 2);
    }
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        return command_version();
    }
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 ||
        strcmp(command, "-h") == 0) {
        help_main(stdout);
        return 0;
    }
    fprintf(stderr, "freshet: there is no command '%s'\n\n", command);
    help_main(stderr);
    return EXIT_USAGE;
}
