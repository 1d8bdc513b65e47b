#include "engine/store/background.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "protocol/base/bytes.h"

static bool is_background(const char *task)
{
    char path[64];
    char name[32];
    int size = snprintf(path, sizeof(path), "/proc/self/task/%s/comm", task);
    int file = size > 0 && (size_t)size < sizeof(path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) {
        return false;
    }
    ssize_t got = read(file, name, sizeof(name));
    close(file);
    return got > 0 && bytes_starts_with(bytes_of(name, (size_t)got), BYTES_LITERAL("rocksdb:"));
}

void background_be_nice(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (tasks == NULL) {
        return;
    }
    for (const struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        uint64_t id;
        if (bytes_decimal(bytes_of_text(task->d_name), &id) > 0 && is_background(task->d_name)) {
            (void)setpriority(PRIO_PROCESS, (id_t)id, BACKGROUND_NICE);
        }
    }
    closedir(tasks);
}

bool background_turn_over(struct background_work *work, uint64_t row_bytes)
{
    uint64_t before = atomic_fetch_add_explicit(&work->bytes, row_bytes, memory_order_relaxed);
    return before / BACKGROUND_TURN_BYTES != (before + row_bytes) / BACKGROUND_TURN_BYTES;
}
