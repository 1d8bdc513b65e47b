#include "tests/coherence/process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define READY_BYTES_MAX  4096
#define READY_WAIT_MS    60000
#define STOP_WAIT_MS     60000
#define STOP_POLL_MS     10
#define FOLDER_DEPTH_MAX 16

extern char **environ;

static int removed(const char *path, const struct stat *about, int type, struct FTW *place)
{
    (void)about;
    (void)type;
    (void)place;
    return remove(path);
}

static void folder_remove(const char *folder)
{
    if (folder[0] != '\0' && nftw(folder, removed, FOLDER_DEPTH_MAX, FTW_DEPTH | FTW_PHYS) != 0) {
        fprintf(stderr, "coherence: %s was not removed: %s\n", folder, strerror(errno));
    }
}

static enum status config_write(const struct server *server, const char *contents)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/freshet.yaml", server->folder);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return STATUS_IO_ERROR;
    }
    bool written = fputs(contents, file) >= 0;
    return fclose(file) == 0 && written ? STATUS_OK : STATUS_IO_ERROR;
}

/* The line that says where it serves; the port in it, 0 when none came. */
static uint16_t ready_wait(int fd)
{
    char line[READY_BYTES_MAX];
    size_t size = 0;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    while (size < sizeof(line) - 1 && poll(&wait, 1, READY_WAIT_MS) == 1) {
        ssize_t got = read(fd, line + size, sizeof(line) - 1 - size);
        if (got <= 0) {
            break;
        }
        size += (size_t)got;
        line[size] = '\0';
        if (line[size - 1] == '\n') {
            const char *at = strstr(line, "\"http\":\"127.0.0.1:");
            return at == NULL ? 0 : (uint16_t)strtoul(at + 18, NULL, 10);
        }
    }
    return 0;
}

static enum status process_start(const struct server_options *options, struct server *server)
{
    char config[128];
    char data[128];
    snprintf(config, sizeof(config), "%s/freshet.yaml", server->folder);
    snprintf(data, sizeof(data), "%s/data", server->folder);
    const char *command[SERVER_ARGUMENTS_MAX] = {
        options->program, "serve",       "--config", config,        "--data",      data,
        "--http",         "127.0.0.1:0", "--wire",   "127.0.0.1:0", "--log-level", "warning"};
    size_t count = 12;
    for (size_t i = 0; options->arguments[i] != NULL; i++) {
        ASSERT(count + 1 < SERVER_ARGUMENTS_MAX);
        command[count++] = options->arguments[i];
    }
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return STATUS_IO_ERROR;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    int failed = posix_spawn(&server->pid, options->program, &actions, NULL,
                             (char *const *)(uintptr_t)command, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    server->output_fd = ends[0];
    if (failed != 0) {
        server->pid = 0;
        fprintf(stderr, "coherence: %s does not start: %s\n", options->program, strerror(failed));
        return STATUS_IO_ERROR;
    }
    return STATUS_OK;
}

enum status server_start(const struct server_options *options, struct server *out)
{
    *out = (struct server){.output_fd = -1, .folder = "coherence-XXXXXX"};
    if (mkdtemp(out->folder) == NULL) {
        out->folder[0] = '\0';
        fprintf(stderr, "coherence: no folder can be made here: %s\n", strerror(errno));
        return STATUS_IO_ERROR;
    }
    enum status status = config_write(out, options->config);
    if (status == STATUS_OK) {
        status = process_start(options, out);
    }
    if (status == STATUS_OK) {
        out->port = ready_wait(out->output_fd);
        status = out->port == 0 ? STATUS_TIMEOUT : STATUS_OK;
    }
    if (status != STATUS_OK) {
        fputs("coherence: the server did not get ready\n", stderr);
        enum status stopped = server_stop(out);
        (void)stopped;
    }
    return status;
}

/* Its exit status as waitpid gives it; killed when it takes too long. */
static int ended_wait(pid_t pid)
{
    int status = -1;
    for (uint32_t waited_ms = 0; waited_ms < STOP_WAIT_MS; waited_ms += STOP_POLL_MS) {
        if (waitpid(pid, &status, WNOHANG) != 0) {
            return status;
        }
        const struct timespec pause = {.tv_nsec = STOP_POLL_MS * 1000000};
        nanosleep(&pause, NULL); /* pause between tries */
    }
    fputs("coherence: the server did not end after SIGTERM\n", stderr);
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
    return status;
}

enum status server_stop(struct server *server)
{
    enum status status = STATUS_OK;
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        int ended = ended_wait(server->pid);
        if (!WIFEXITED(ended) || WEXITSTATUS(ended) != 0) {
            fprintf(stderr, "coherence: the server ended with status %#x\n", (unsigned)ended);
            status = STATUS_CLOSED;
        }
    }
    if (server->output_fd >= 0) {
        close(server->output_fd);
    }
    folder_remove(server->folder);
    *server = (struct server){.output_fd = -1};
    return status;
}
