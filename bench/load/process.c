#include "bench/load/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 96
#define TEXT_BYTES 4096

/* The first TEXT_BYTES - 1 bytes of a file of /proc, with a NUL. */
static enum status read_text(const char *path, char text[TEXT_BYTES])
{
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return STATUS_NOT_FOUND;
    }
    size_t size = fread(text, 1, TEXT_BYTES - 1, file);
    fclose(file);
    text[size] = '\0';
    return size > 0 ? STATUS_OK : STATUS_NOT_FOUND;
}

static enum status read_threads(pid_t pid, struct process_usage *usage)
{
    char path[PATH_BYTES];
    char text[TEXT_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        return STATUS_NOT_FOUND;
    }
    struct dirent *entry;
    while ((entry = readdir(threads)) != NULL) {
        int thread = (int)strtol(entry->d_name, NULL, 10);
        if (thread <= 0) {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", (int)pid, thread);
        if (read_text(path, text) == STATUS_OK) {
            usage->cpu_ns += strtoull(text, NULL, 10);
            usage->thread_count++;
        }
    }
    closedir(threads);
    return STATUS_OK;
}

/* utime and stime are the 14th and 15th field of stat; the 2nd is a name in parentheses that may
 * hold anything. */
static enum status read_stat(pid_t pid, struct process_usage *usage)
{
    char path[PATH_BYTES];
    char text[TEXT_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (read_text(path, text) != STATUS_OK) {
        return STATUS_NOT_FOUND;
    }
    const char *at = strrchr(text, ')');
    uint64_t user_ticks = 0;
    uint64_t system_ticks = 0;
    if (at == NULL ||
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64,
               &user_ticks, &system_ticks) != 2) {
        return STATUS_INVALID;
    }
    uint64_t tick_ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK);
    usage->cpu_tick_ns = (user_ticks + system_ticks) * tick_ns;
    return STATUS_OK;
}

static uint64_t number_after(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

enum status process_read(pid_t pid, struct process_usage *usage_out)
{
    char path[PATH_BYTES];
    char text[TEXT_BYTES];
    *usage_out = (struct process_usage){0};
    enum status status = read_threads(pid, usage_out);
    if (status == STATUS_OK) {
        status = read_stat(pid, usage_out);
    }
    if (status != STATUS_OK) {
        return status;
    }
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    if (read_text(path, text) == STATUS_OK) {
        usage_out->rss_bytes = number_after(text, "\nVmRSS:") * 1024;
    }
    snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
    if (read_text(path, text) == STATUS_OK) {
        usage_out->read_bytes = number_after(text, "\nread_bytes: ");
        usage_out->write_bytes = number_after(text, "\nwrite_bytes: ");
    }
    return STATUS_OK;
}
