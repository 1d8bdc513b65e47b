/* The command line: what serves is here; the commands that ask a server are in bindings/cli. */
#include <stdio.h>
#include <string.h>

#include "bindings/cli/cli.h"
#include "net/server/check.h"
#include "net/server/command_bench.h"
#include "net/server/serve.h"

static int command_version(void)
{
    printf("freshet %s\n", FRESHET_VERSION);
    return 0;
}

int main(int count, char **words)
{
    char help[] = "--help";
    if (count > 2 && strcmp(words[1], "help") == 0) {
        memmove(words + 1, words + 2, (size_t)(count - 2) * sizeof(*words));
        words[count - 1] = help; /* `help get` is `get --help` */
    }
    const char *command = count > 1 ? words[1] : "";
    if (strcmp(command, "serve") == 0) {
        return command_serve(count - 2, words + 2);
    }
    if (strcmp(command, "check") == 0) {
        return command_check(count - 2, words + 2);
    }
    if (strcmp(command, "bench") == 0 && count > 2 && strcmp(words[2], "filter") == 0) {
        return command_bench(count - 2, words + 2);
    }
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        return command_version();
    }
    return cli_run(count - 1, words + 1);
}
