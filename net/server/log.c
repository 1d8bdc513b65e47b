#include "net/server/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/server/clock.h"
#include "protocol/base/assert.h"
#include "protocol/base/time_text.h"

/* How long the end of the process waits for whoever reads the lines. */
#define FLUSH_MS 1000

struct log {
    int file;
    _Atomic int level;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t filled;
    pthread_cond_t emptied;
    bool stopping;
    bool busy;   /* the thread is writing */
    size_t size; /* of filling */
    uint64_t dropped_lines;
    uint8_t *filling; /* where lines are added, while the thread writes the other one out */
    uint8_t *writing;
    pthread_t thread;
    bool started;
};

/* ---- lines ---- */

static void text_write(struct writer *out, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    writer_u8(out, '"');
    for (; *text != '\0' && writer_left(out) > 64; text++) {
        uint8_t at = (uint8_t)*text;
        if (at == '"' || at == '\\') {
            writer_u8(out, '\\');
            writer_u8(out, at);
        } else if (at < 0x20) {
            writer_text(out, "\\u00");
            writer_u8(out, (uint8_t)digits[at >> 4]);
            writer_u8(out, (uint8_t)digits[at & 15]);
        } else {
            writer_u8(out, at);
        }
    }
    writer_u8(out, '"');
}

static const char *level_name(enum log_level level)
{
    switch (level) {
    case LOG_ERROR:
        return "error";
    case LOG_WARNING:
        return "warning";
    case LOG_INFO:
        return "info";
    case LOG_DEBUG:
        return "debug";
    }
    UNREACHABLE();
}

static struct bytes line_write(struct writer *out, enum log_level level, const char *message,
                               const struct log_field *fields, size_t field_count)
{
    writer_text(out, "{\"time\":\"");
    time_text_write(out, clock_wall_ms());
    writer_text(out, "\",\"level\":\"");
    writer_text(out, level_name(level));
    writer_text(out, "\",\"message\":");
    text_write(out, message);
    /* A field that does not fit with the end of the line is left out, whole. */
    for (size_t i = 0; i < field_count && writer_left(out) > 192; i++) {
        writer_text(out, ",\"");
        writer_text(out, fields[i].name);
        writer_text(out, "\":");
        if (fields[i].text != NULL) {
            text_write(out, fields[i].text);
        } else {
            writer_decimal(out, fields[i].number);
        }
    }
    writer_text(out, "}\n");
    ASSERT(!out->failed);
    return writer_bytes(out);
}

/* ---- the thread ---- */

static void write_all(int file, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t written = write(file, data, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nobody reads: there is no one to tell */
        }
        data += written;
        size -= (size_t)written;
    }
}

static void dropped_report(struct log *log, uint64_t dropped_lines)
{
    uint8_t line[LOG_LINE_BYTES_MAX];
    struct writer writer = writer_of(line, sizeof(line));
    struct log_field field = LOG_NUMBER("writes", dropped_lines);
    struct bytes text =
        line_write(&writer, LOG_WARNING,
                   "lines of the log were dropped: stderr is not read fast enough", &field, 1);
    write_all(log->file, text.data, text.size);
}

static void *log_run(void *argument)
{
    struct log *log = argument;
    int before;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    pthread_mutex_lock(&log->mutex);
    for (;;) {
        if (log->size == 0) {
            pthread_cond_broadcast(&log->emptied);
        }
        while (log->size == 0 && !log->stopping) {
            pthread_cond_wait(&log->filled, &log->mutex);
        }
        if (log->size == 0) {
            break;
        }
        uint8_t *full = log->filling;
        size_t size = log->size;
        uint64_t dropped_lines = log->dropped_lines;
        log->filling = log->writing;
        log->writing = full;
        log->size = 0;
        log->dropped_lines = 0;
        log->busy = true;
        pthread_mutex_unlock(&log->mutex);
        /* Only here may it be cancelled: where a write can last for ever, and it holds nothing. */
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &before);
        write_all(log->file, full, size);
        if (dropped_lines > 0) {
            dropped_report(log, dropped_lines);
        }
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
        pthread_mutex_lock(&log->mutex);
        log->busy = false;
    }
    pthread_mutex_unlock(&log->mutex);
    return NULL;
}

/* ---- for everyone ---- */

enum status log_create(int file, enum log_level level, struct log **out)
{
    *out = NULL;
    struct log *log = calloc(1, sizeof(*log));
    if (log == NULL) {
        return STATUS_NO_MEMORY;
    }
    log->file = file;
    atomic_store(&log->level, (int)level);
    pthread_mutex_init(&log->mutex, NULL);
    pthread_cond_init(&log->filled, NULL);
    pthread_cond_init(&log->emptied, NULL);
    log->filling = malloc(LOG_BUFFER_BYTES);
    log->writing = malloc(LOG_BUFFER_BYTES);
    if (log->filling == NULL || log->writing == NULL ||
        pthread_create(&log->thread, NULL, log_run, log) != 0) {
        log_destroy(&log);
        return STATUS_NO_MEMORY;
    }
    log->started = true;
    pthread_setname_np(log->thread, "log");
    *out = log;
    return STATUS_OK;
}

bool log_flush(struct log *log)
{
    /* Conditions wait by the wall clock. */
    uint64_t deadline_ms = clock_wall_ms() + FLUSH_MS;
    const struct timespec deadline = {.tv_sec = (time_t)(deadline_ms / 1000),
                                      .tv_nsec = (long)(deadline_ms % 1000) * 1000000};
    int error = 0;
    pthread_mutex_lock(&log->mutex);
    while ((log->size > 0 || log->busy) && error == 0) {
        error = pthread_cond_timedwait(&log->emptied, &log->mutex, &deadline);
    }
    bool flushed = log->size == 0 && !log->busy;
    pthread_mutex_unlock(&log->mutex);
    return flushed;
}

void log_destroy(struct log **log_at)
{
    struct log *log = *log_at;
    *log_at = NULL;
    if (log == NULL) {
        return;
    }
    if (log->started) {
        bool flushed = log_flush(log);
        pthread_mutex_lock(&log->mutex);
        log->stopping = true;
        pthread_cond_signal(&log->filled);
        pthread_mutex_unlock(&log->mutex);
        if (!flushed) {
            pthread_cancel(log->thread);
        }
        pthread_join(log->thread, NULL);
        ASSERT(!flushed || log->size == 0);
    }
    pthread_cond_destroy(&log->filled);
    pthread_cond_destroy(&log->emptied);
    pthread_mutex_destroy(&log->mutex);
    free(log->filling);
    free(log->writing);
    free(log);
}

void log_level_set(struct log *log, enum log_level level)
{
    atomic_store_explicit(&log->level, (int)level, memory_order_relaxed);
}

void log_lines(struct log *log, struct bytes lines)
{
    pthread_mutex_lock(&log->mutex);
    ASSERT(!log->stopping);
    if (lines.size > LOG_BUFFER_BYTES - log->size) {
        log->dropped_lines++;
    } else {
        memcpy(log->filling + log->size, lines.data, lines.size);
        log->size += lines.size;
    }
    bool first = log->size == lines.size;
    pthread_mutex_unlock(&log->mutex);
    if (first) {
        pthread_cond_signal(&log->filled);
    }
}

void log_event(struct log *log, enum log_level level, const char *message,
               const struct log_field *fields, size_t field_count)
{
    if ((int)level > atomic_load_explicit(&log->level, memory_order_relaxed)) {
        return;
    }
    uint8_t line[LOG_LINE_BYTES_MAX];
    struct writer writer = writer_of(line, sizeof(line));
    log_lines(log, line_write(&writer, level, message, fields, field_count));
}
