#include "bench/load/modes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "bench/load/connect.h"
#include "bench/load/process.h"
#include "bench/load/request.h"
#include "bench/load/response.h"
#include "protocol/base/assert.h"

#define CAPTURE_BYTES_MAX (8u << 20)

static bool send_all(int fd, const uint8_t *data, size_t size)
{
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        size -= (size_t)sent;
    }
    return true;
}

static bool limit_waiting(int fd, uint32_t timeout_ms)
{
    struct timeval wait = {
        .tv_sec = timeout_ms / 1000,
        .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000,
    };
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) == 0;
}

/* One request and its whole answer in buffer; the status of the answer. */
static enum status exchange(int fd, bool to_head, struct bytes request, uint8_t *buffer,
                            size_t *size_out, uint16_t *http_status_out)
{
    if (!send_all(fd, request.data, request.size)) {
        return STATUS_CLOSED;
    }
    struct response response = {0};
    enum status status = STATUS_OK;
    size_t size = 0;
    bool done = false;
    while (status == STATUS_OK && !done) {
        ssize_t received =
            size == CAPTURE_BYTES_MAX ? 0 : recv(fd, buffer + size, CAPTURE_BYTES_MAX - size, 0);
        if (received <= 0) {
            status = received < 0 ? STATUS_TIMEOUT : STATUS_CLOSED;
            break;
        }
        size_t taken = 0;
        status = response_read(&response, bytes_of(buffer + size, (size_t)received), to_head,
                               &taken, &done);
        size += (size_t)received;
        if (done && taken != (size_t)received) {
            status = STATUS_INVALID; /* more than was asked for */
        }
    }
    *size_out = size;
    *http_status_out = response.status;
    response_reset(&response);
    return status;
}

static enum kind first_kind(const struct load_options *options)
{
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (options->mix[kind] > 0) {
            return (enum kind)kind;
        }
    }
    UNREACHABLE();
}

static enum status save(const char *path, const uint8_t *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    bool good = file != NULL && fwrite(data, 1, size, file) == size;
    good = file != NULL && fclose(file) == 0 && good;
    if (!good) {
        fprintf(stderr, "bench_load: %s: %s\n", path, strerror(errno));
    }
    return good ? STATUS_OK : STATUS_IO_ERROR;
}

/* The rounds on one open connection; out has room for a request of size_max bytes. */
static enum status capture_rounds(const struct load_options *options, struct requests *requests,
                                  int fd, uint8_t *out, uint8_t *buffer)
{
    enum kind kind = first_kind(options);
    size_t size = 0;
    for (uint32_t round = 0; round < options->capture_rounds; round++) {
        uint16_t http_status = 0;
        uint32_t request_size = requests_write(requests, kind, options->keys.from, 1, out);
        enum status status = exchange(fd, kind == KIND_HEAD, bytes_of(out, request_size), buffer,
                                      &size, &http_status);
        if (status != STATUS_OK) {
            fprintf(stderr, "bench_load: capture: %s\n", status_text(status));
            return status;
        }
        if (!options_expects(options, http_status)) {
            fprintf(stderr, "bench_load: capture: unexpected status %u\n", http_status);
            return STATUS_INVALID;
        }
    }
    return save(options->capture_file, buffer, size);
}

enum status mode_capture(const struct load_options *options, uint64_t serial_from)
{
    struct requests requests;
    int fd = -1;
    enum status status = requests_create(options, serial_from, &requests);
    if (status != STATUS_OK) {
        return status;
    }
    uint8_t *out = (uint8_t *)malloc(requests.size_max);
    uint8_t *buffer = (uint8_t *)malloc(CAPTURE_BYTES_MAX);
    if (out == NULL || buffer == NULL) {
        status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        status = connect_to(options->host, options->port, 0, &fd);
    }
    if (status == STATUS_OK && limit_waiting(fd, options->timeout_ms)) {
        status = capture_rounds(options, &requests, fd, out, buffer);
    }
    if (fd >= 0) {
        close(fd);
    }
    free(out);
    free(buffer);
    requests_destroy(&requests);
    return status;
}

/* Opens connections until one fails; each has had an answer where that is asked for. */
static enum status open_idle(const struct load_options *options, struct requests *requests,
                             int *fds, uint8_t *out, uint8_t *buffer, struct report *report)
{
    for (uint32_t i = 0; i < options->idle_count; i++) {
        enum status status = connect_to(options->host, options->port, i, &fds[i]);
        if (status == STATUS_OK && options->idle_touch) {
            uint16_t http_status = 0;
            size_t size = 0;
            uint32_t request_size =
                requests_write(requests, first_kind(options), options->keys.from, 1, out);
            bool limited = limit_waiting(fds[i], options->timeout_ms);
            status = !limited ? STATUS_IO_ERROR
                              : exchange(fds[i], first_kind(options) == KIND_HEAD,
                                         bytes_of(out, request_size), buffer, &size, &http_status);
            report->counters.unexpected += !options_expects(options, http_status);
        }
        if (status != STATUS_OK) {
            fprintf(stderr, "bench_load: idle connection %u: %s\n", i, status_text(status));
            return status;
        }
        report->idle_opened++;
    }
    return STATUS_OK;
}

static uint64_t count_alive(const int *fds, uint64_t count)
{
    uint64_t alive = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint8_t byte;
        ssize_t received = recv(fds[i], &byte, 1, MSG_DONTWAIT | MSG_PEEK);
        alive += received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    }
    return alive;
}

static enum status read_usage(const struct load_options *options, struct process_usage *usage)
{
    return options->pid == 0 ? STATUS_OK : process_read(options->pid, usage);
}

static enum status hold(const struct load_options *options, const int *fds, struct report *report)
{
    uint64_t start_ns = clock_now_ns();
    struct timespec wait = {
        .tv_sec = (time_t)options->seconds,
        .tv_nsec = (long)((options->seconds - (double)(time_t)options->seconds) * 1e9),
    };
    while (nanosleep(&wait, &wait) != 0 && errno == EINTR) {
    }
    report->elapsed_s = (double)(clock_now_ns() - start_ns) / 1e9;
    report->idle_alive = count_alive(fds, report->idle_opened);
    if (report->idle_alive != report->idle_opened) {
        report->counters.errors += report->idle_opened - report->idle_alive;
    }
    return read_usage(options, &report->after);
}

enum status mode_idle(const struct load_options *options, struct report *report)
{
    struct requests requests;
    enum status status = connect_raise_descriptors(options->idle_count);
    if (status != STATUS_OK) {
        return status;
    }
    status = requests_create(options, clock_now_ns(), &requests);
    if (status != STATUS_OK) {
        return status;
    }
    int *fds = (int *)malloc(options->idle_count * sizeof(int));
    uint8_t *out = (uint8_t *)malloc(requests.size_max);
    uint8_t *buffer = (uint8_t *)malloc(CAPTURE_BYTES_MAX);
    if (fds == NULL || out == NULL || buffer == NULL) {
        status = STATUS_NO_MEMORY;
    }
    if (status == STATUS_OK) {
        status = read_usage(options, &report->before);
    }
    if (status == STATUS_OK) {
        status = open_idle(options, &requests, fds, out, buffer, report);
    }
    if (status == STATUS_OK) {
        status = hold(options, fds, report);
    }
    for (uint64_t i = 0; i < report->idle_opened; i++) {
        close(fds[i]);
    }
    free(fds);
    free(out);
    free(buffer);
    requests_destroy(&requests);
    return status;
}
