/*
 * Several threads write lines while another changes the level and flushes: every line comes out
 * whole, each thread's in order, and what did not come out is counted in a line that says so. First
 * with somebody who reads, then with nobody who reads until all is written, so that lines must be
 * dropped. Also under TSan.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/server/log.h"
#include "protocol/base/assert.h"

#define WRITER_COUNT 4
#define LINE_COUNT   20000u /* of each writer; together more than the buffers and the pipe hold */

/* What a reader has seen, all of it its own. */
struct seen {
    uint64_t next[WRITER_COUNT]; /* the least number that may come from that writer */
    uint64_t lines;
    uint64_t dropped;
    uint64_t debug_lines;
    uint64_t heard;
};

struct scene {
    struct log *log;
    int pipe_end;
    pthread_mutex_t held; /* the reader reads when it can have it */
    atomic_bool done;
    struct seen seen;
};

struct writer_thread {
    pthread_t thread;
    struct scene *scene;
    uint64_t number;
};

static void *write_lines(void *argument)
{
    const struct writer_thread *writer = argument;
    struct log *log = writer->scene->log;
    for (uint64_t i = 0; i < LINE_COUNT; i++) {
        /* Errors come out at every level; of the others it depends. */
        log_say(log, LOG_ERROR, "counted", LOG_NUMBER("writer", writer->number),
                LOG_NUMBER("line", i), LOG_TEXT("text", "\"quoted\"\n"));
        log_say(log, LOG_DEBUG, "not counted", LOG_NUMBER("line", i));
    }
    return NULL;
}

static void *disturb(void *argument)
{
    const struct scene *scene = argument;
    for (unsigned i = 0; !atomic_load(&scene->done); i++) {
        log_level_set(scene->log, i % 2 == 0 ? LOG_DEBUG : LOG_ERROR);
        if (i % 64 == 0) {
            (void)log_flush(scene->log);
        }
    }
    return NULL;
}

/* The number behind the name, which must be there. */
static uint64_t number_of(const char *line, const char *name)
{
    const char *at = strstr(line, name);
    ASSERT(at != NULL);
    char *end;
    uint64_t number = strtoull(at + strlen(name), &end, 10);
    ASSERT(end > at + strlen(name));
    return number;
}

static void line_check(struct seen *seen, const char *line)
{
    size_t size = strlen(line);
    ASSERT(strncmp(line, "{\"time\":\"", 9) == 0);
    ASSERT(line[size - 1] == '}');
    ASSERT(strstr(line + 1, "{\"time\"") == NULL);
    if (strstr(line, "\"message\":\"counted\"") != NULL) {
        uint64_t writer = number_of(line, "\"writer\":");
        uint64_t number = number_of(line, "\"line\":");
        ASSERT(strstr(line, "\"level\":\"error\"") != NULL);
        ASSERT(strstr(line, "\"text\":\"\\\"quoted\\\"\\u000a\"}") != NULL);
        ASSERT(writer < WRITER_COUNT);
        ASSERT(number >= seen->next[writer]);
        ASSERT(number < LINE_COUNT);
        seen->next[writer] = number + 1;
        seen->lines++;
    } else if (strstr(line, "\"message\":\"not counted\"") != NULL) {
        seen->debug_lines++;
    } else if (strstr(line, "\"message\":\"at the level\"") != NULL) {
        seen->heard++;
    } else {
        ASSERT(strstr(line, "lines of the log were dropped") != NULL);
        seen->dropped += number_of(line, "\"writes\":");
    }
}

static void *read_lines(void *argument)
{
    struct scene *scene = argument;
    pthread_mutex_lock(&scene->held);
    pthread_mutex_unlock(&scene->held);
    FILE *file = fdopen(scene->pipe_end, "r");
    ASSERT(file != NULL);
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    while ((size = getline(&line, &room, file)) > 0) {
        ASSERT(line[size - 1] == '\n');
        line[size - 1] = '\0';
        line_check(&scene->seen, line);
    }
    free(line);
    fclose(file);
    return NULL;
}

static void thread_start(pthread_t *thread, void *(*run)(void *), void *argument)
{
    int result = pthread_create(thread, NULL, run, argument);
    ASSERT(result == 0);
}

/* The level that was set last is the one that counts. */
static void levels_check(struct log *log)
{
    while (!log_flush(log)) {
        /* There is a reader now, and with all flushed there is room for a line. */
    }
    log_level_set(log, LOG_INFO);
    log_say(log, LOG_DEBUG, "below the level", LOG_NUMBER("line", 0));
    log_say(log, LOG_INFO, "at the level", LOG_NUMBER("line", 0));
    log_level_set(log, LOG_DEBUG);
    log_say(log, LOG_DEBUG, "at the level", LOG_NUMBER("line", 1));
}

/* read_late: nobody reads until all lines are written. */
static void play(bool read_late)
{
    struct scene scene = {.held = PTHREAD_MUTEX_INITIALIZER};
    struct writer_thread writers[WRITER_COUNT];
    pthread_t reader;
    pthread_t disturber;
    int ends[2];
    int result = pipe(ends);
    ASSERT(result == 0);
    scene.pipe_end = ends[0];
    enum status status = log_create(ends[1], LOG_INFO, &scene.log);
    ASSERT(status == STATUS_OK);
    if (read_late) {
        pthread_mutex_lock(&scene.held);
    }
    thread_start(&reader, read_lines, &scene);
    thread_start(&disturber, disturb, &scene);
    for (uint64_t i = 0; i < WRITER_COUNT; i++) {
        writers[i] = (struct writer_thread){.scene = &scene, .number = i};
        thread_start(&writers[i].thread, write_lines, &writers[i]);
    }
    for (unsigned i = 0; i < WRITER_COUNT; i++) {
        pthread_join(writers[i].thread, NULL);
    }
    if (read_late) {
        pthread_mutex_unlock(&scene.held);
    }
    atomic_store(&scene.done, true);
    pthread_join(disturber, NULL);
    levels_check(scene.log);
    log_destroy(&scene.log);
    close(ends[1]);
    pthread_join(reader, NULL);
    /* Dropped lines of debugging are counted too. */
    uint64_t all = WRITER_COUNT * (uint64_t)LINE_COUNT;
    ASSERT(scene.seen.lines <= all);
    ASSERT(scene.seen.lines + scene.seen.dropped >= all);
    ASSERT(scene.seen.lines + scene.seen.debug_lines + scene.seen.dropped <= 2 * all);
    ASSERT(scene.seen.heard == 2);
    ASSERT(scene.seen.dropped > 0 || !read_late);
    printf("log: %llu lines, %llu of debugging, %llu dropped\n",
           (unsigned long long)scene.seen.lines, (unsigned long long)scene.seen.debug_lines,
           (unsigned long long)scene.seen.dropped);
}

int main(void)
{
    play(false);
    play(true);
    return 0;
}
