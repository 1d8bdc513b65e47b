/* log.h: each event is one line of JSON, whatever is in it, and no writer ever waits. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/server/log.h"

static size_t written(int file, char *text, size_t size)
{
    size_t at = 0;
    ssize_t count;
    while (at < size - 1 && (count = read(file, text + at, size - 1 - at)) > 0) {
        at += (size_t)count;
    }
    text[at] = '\0';
    return at;
}

Test(log, an_event_is_a_line_with_its_fields_escaped)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct log *log;
    cr_assert_eq(log_create(ends[1], LOG_INFO, &log), STATUS_OK);
    log_say(log, LOG_INFO, "a \"b\"\n", LOG_NUMBER("n", UINT64_MAX), LOG_TEXT("t", "\\\x01"));
    log_event(log, LOG_DEBUG, "not shown", NULL, 0);
    log_level_set(log, LOG_DEBUG);
    log_event(log, LOG_DEBUG, "shown", NULL, 0);
    log_lines(log, BYTES_LITERAL("as it is\n"));
    log_destroy(&log);
    cr_assert_eq(log, NULL);
    (void)close(ends[1]);
    char text[4096];
    written(ends[0], text, sizeof(text));
    cr_assert(strstr(text, "\"level\":\"info\",\"message\":\"a \\\"b\\\"\\u000a\","
                           "\"n\":18446744073709551615,\"t\":\"\\\\\\u0001\"}\n") != NULL,
              "%s", text);
    cr_assert(strstr(text, "not shown") == NULL);
    cr_assert(strstr(text, "\"level\":\"debug\",\"message\":\"shown\"}\nas it is\n") != NULL);
}

Test(log, a_text_of_any_length_is_cut_to_a_line)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct log *log;
    cr_assert_eq(log_create(ends[1], LOG_INFO, &log), STATUS_OK);
    static char large[100000];
    memset(large, '"', sizeof(large) - 1);
    log_say(log, LOG_INFO, large, LOG_TEXT("t", large));
    log_say(log, LOG_INFO, "m", LOG_TEXT("t", large), LOG_TEXT("u", large));
    log_destroy(&log);
    (void)close(ends[1]);
    char text[3 * LOG_LINE_BYTES_MAX];
    size_t size = written(ends[0], text, sizeof(text));
    cr_assert_leq(size, 2 * LOG_LINE_BYTES_MAX);
    cr_assert_eq(strcmp(text + size - 2, "}\n"), 0);
}

Test(log, what_nobody_reads_is_dropped_and_told, .timeout = 30)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct log *log;
    cr_assert_eq(log_create(ends[1], LOG_INFO, &log), STATUS_OK);
    static char line[64 * 1024];
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 64; i++) {
        log_lines(log, bytes_of(line, sizeof(line))); /* four times the buffer, and it returns */
    }
    /* Now somebody reads. */
    static char text[5 << 20];
    size_t size = 0;
    pid_t reader = fork();
    if (reader == 0) {
        (void)close(ends[1]);
        size = written(ends[0], text, sizeof(text));
        _exit(size < 4 << 20 && strstr(text, "lines of the log were dropped") != NULL ? 0 : 1);
    }
    log_destroy(&log);
    (void)close(ends[1]);
    int status;
    cr_assert_eq(waitpid(reader, &status, 0), reader);
    cr_assert_eq(status, 0);
}

Test(log, its_end_does_not_wait_for_ever_for_a_reader, .timeout = 30)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    struct log *log;
    cr_assert_eq(log_create(ends[1], LOG_INFO, &log), STATUS_OK);
    cr_assert(log_flush(log), "nothing is to be written");
    log_event(log, LOG_INFO, "short", NULL, 0);
    cr_assert(log_flush(log), "a pipe has room for it");
    static char line[256 * 1024]; /* more than a pipe holds */
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    log_lines(log, bytes_of(line, sizeof(line)));
    log_event(log, LOG_INFO, "behind it", NULL, 0);
    cr_assert_not(log_flush(log));
    log_destroy(&log); /* nobody ever reads, and it returns */
    cr_assert_null(log);
    (void)close(ends[0]);
    (void)close(ends[1]);
}
