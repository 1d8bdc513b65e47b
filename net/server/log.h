/*
 * log.h: what the process says: one line of JSON to stderr for each event, and the access log's
 * lines.
 *
 *     {"time":"2026-01-01T00:00:00.000Z","level":"info","message":"ready","threads":2}
 *
 * A thread that serves must not wait for whoever reads stderr, so lines go through a buffer of
 * LOG_BUFFER_BYTES to a thread of the log's own. What does not fit is dropped, and a line says how
 * much was.
 *
 * Owner:   any thread writes; the main thread creates and destroys.
 * Memory:  the buffer, taken by log_create.
 * Tests:   tests/unit/net/server/test_log.c, tests/threads/log.c (TSan).
 */
#ifndef FRESHET_NET_SERVER_LOG_H
#define FRESHET_NET_SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/status.h"

#define LOG_BUFFER_BYTES   (1u << 20)
#define LOG_LINE_BYTES_MAX 2048 /* of an event; a longer text is cut */

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

struct log_field {
    const char *name;
    const char *text; /* NULL: the number */
    uint64_t number;
};

struct log;

/* Lines go to file, which stays the caller's. */
MUST_USE enum status log_create(int file, enum log_level level, struct log **out);
/* Waits until all lines are written; false when nobody has read them for a second. Others may go
 * on writing lines. */
bool log_flush(struct log *log);
/* Everything is written, as far as log_flush waits for it. No other thread may use it any more.
 * Accepts NULL; sets *log to NULL. */
void log_destroy(struct log **log);

void log_level_set(struct log *log, enum log_level level);
void log_event(struct log *log, enum log_level level, const char *message,
               const struct log_field *fields, size_t field_count);
/* Whole lines, ended by '\n', as they are. */
void log_lines(struct log *log, struct bytes lines);

#define LOG_TEXT(name, text)     ((struct log_field){name, text, 0})
#define LOG_NUMBER(name, number) ((struct log_field){name, NULL, number})

/* log_say(log, LOG_INFO, "ready", LOG_NUMBER("threads", 2)); at least one field. */
#define log_say(log, level, message, ...)                                                          \
    log_event(log, level, message, (const struct log_field[]){__VA_ARGS__},                        \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
