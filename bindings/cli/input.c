/* What comes in: documents, the clock, and the wish to end. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"

#define READ_BYTES_FIRST 65536

FILE *cli_input_open(const struct cli *cli, const char *word)
{
    if (word[0] != '@') {
        return stdin;
    }
    FILE *file = fopen(word + 1, "re");
    if (file == NULL) {
        cli_fail_text(cli, word + 1, strerror(errno));
    }
    return file;
}

void cli_input_close(FILE *file)
{
    if (file != NULL && file != stdin) {
        fclose(file);
    }
}

/* All of the stream; the words of what went wrong, or NULL. */
static const char *stream_read(FILE *file, char **memory_out, size_t *size_out)
{
    size_t capacity = 0;
    size_t size = 0;
    do {
        if (size == capacity) {
            capacity = capacity == 0 ? READ_BYTES_FIRST : capacity * 2;
            char *moved =
                capacity > 2 * CLI_INPUT_BYTES_MAX ? NULL : realloc(*memory_out, capacity);
            if (moved == NULL) {
                return "there is no memory for so much";
            }
            *memory_out = moved;
        }
        size += fread(*memory_out + size, 1, capacity - size, file);
    } while (!feof(file) && !ferror(file) && size <= CLI_INPUT_BYTES_MAX);
    *size_out = size;
    if (ferror(file)) {
        return strerror(errno);
    }
    return size > CLI_INPUT_BYTES_MAX ? "it is larger than a document may be (1 MiB)" : NULL;
}

enum status cli_document(const struct cli *cli, size_t index, char **memory_out, struct bytes *out)
{
    const char *word = index < cli->word_count ? cli->words[index] : "-";
    *memory_out = NULL;
    if (word[0] != '@' && strcmp(word, "-") != 0) {
        *out = bytes_of_text(word);
        return STATUS_OK;
    }
    FILE *file = cli_input_open(cli, word);
    if (file == NULL) {
        return STATUS_IO_ERROR;
    }
    size_t size = 0;
    if (file == stdin && isatty(STDIN_FILENO) == 1) {
        cli_notice(cli, "type the document; Ctrl-D ends it");
    }
    const char *wrong = stream_read(file, memory_out, &size);
    cli_input_close(file);
    if (wrong != NULL) {
        free(*memory_out);
        *memory_out = NULL;
        cli_fail_text(cli, word[0] == '@' ? word + 1 : "stdin", wrong);
        return STATUS_IO_ERROR;
    }
    *out = bytes_of(*memory_out, size);
    return STATUS_OK;
}

uint64_t cli_now_ns(void)
{
    struct timespec now;
    int result = clock_gettime(CLOCK_MONOTONIC, &now);
    ASSERT(result == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static sigset_t ending_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

void cli_signals_hold(void)
{
    sigset_t set = ending_signals();
    sigprocmask(SIG_BLOCK, &set, NULL);
}

bool cli_signals_came(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigpending(&set);
    return sigismember(&set, SIGINT) == 1 || sigismember(&set, SIGTERM) == 1;
}

void cli_pause(uint64_t ms)
{
    uint64_t end_ns = cli_now_ns() + ms * 1000000u;
    while (!cli_signals_came() && cli_now_ns() < end_ns) {
        const struct timespec step = {.tv_nsec = 20 * 1000 * 1000};
        nanosleep(&step, NULL);
    }
}
