/*
 * main.c: lines in, operations, lines out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/conformance/drivers/c/driver.h"

uint64_t driver_clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- errors ---- */

/* The contract's name of an error of the client's own. */
static const char *own_type(enum freshet_status status)
{
    static const struct {
        enum freshet_status status;
        const char *type;
    } types[] = {
        {FRESHET_DISCONNECTED, "disconnected"},
        {FRESHET_TIMEOUT, "timeout"},
        {FRESHET_PROTOCOL, "protocol"},
        {FRESHET_INVALID, "invalid"},
        {FRESHET_OUTCOME_UNKNOWN, "outcome-unknown"},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (types[i].status == status) {
            return types[i].type;
        }
    }
    return "";
}

void put_error(struct writer *out, enum freshet_status status, const struct freshet_error *error)
{
    put_name(out, "error");
    put_begin(out, '{');
    if (error == NULL || error->status != status) {
        put_number(out, "code", 0);
        put_text(out, "type", own_type(status));
        put_text(out, "detail", freshet_status_text(status));
    } else {
        bool is_own = error->code == 0;
        put_number(out, "code", (uint64_t)error->code);
        put_text(out, "type", is_own ? own_type(status) : error->type);
        put_text(out, "detail", error->detail);
        if (status == FRESHET_POSITION_EXPIRED) {
            put_text(out, "oldest", error->oldest);
            put_text(out, "newest", error->newest);
        }
    }
    put_end(out, '}');
}

/* ---- handles ---- */

static struct handle *handle_find(struct driver *driver, const char *name)
{
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (strcmp(driver->handles[i].name, name) == 0) {
            return &driver->handles[i];
        }
    }
    return NULL;
}

/* Subscriptions go before their handle. */
static void handle_close(struct driver *driver, struct handle *handle)
{
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        struct named_subscription *named = &driver->subscriptions[i];
        if (named->name[0] != '\0' && named->db == handle->db) {
            freshet_unsubscribe(named->subscription);
            *named = (struct named_subscription){0};
        }
    }
    freshet_close(handle->db);
    *handle = (struct handle){0};
}

static const char *handle_name(struct driver *driver, struct bytes object)
{
    const char *name = line_text(&driver->line, object, "db");
    return name == NULL || strlen(name) >= NAME_BYTES_MAX ? "main" : name;
}

static enum freshet_status connect_handle(struct driver *driver, struct bytes object,
                                          struct writer *out)
{
    (void)out;
    const char *name = handle_name(driver, object);
    struct handle *handle = handle_find(driver, name);
    if (handle != NULL) {
        handle_close(driver, handle);
    }
    handle = handle_find(driver, "");
    if (handle == NULL) {
        return FRESHET_INVALID;
    }
    struct freshet_options options = {
        .format = FRESHET_JSON,
        .near_cache_bytes = line_number(object, "near_cache_bytes", 0),
        .lease_ms = (int)line_number(object, "lease_ms", 0),
        .connect_timeout_ms = (int)line_number(object, "connect_timeout_ms", 0),
        .timeout_ms = (int)line_number(object, "timeout_ms", 0),
        .no_reconnect = line_flag(object, "no_reconnect"),
        .checked = line_flag(object, "checked"),
        .token = line_text(&driver->line, object, "token"),
    };
    const char *url = line_text(&driver->line, object, "url");
    enum freshet_status status = freshet_connect(url, &options, &handle->db);
    memcpy(handle->name, name, strlen(name) + 1);
    driver->db = handle->db;
    return status;
}

static enum freshet_status close_handle(struct driver *driver, struct bytes object,
                                        struct writer *out)
{
    (void)out;
    struct handle *handle = handle_find(driver, handle_name(driver, object));
    if (handle != NULL) {
        handle_close(driver, handle);
    }
    driver->db = NULL;
    return FRESHET_OK;
}

static const struct named_operation handle_operations[] = {
    {"connect", connect_handle},
    {"close", close_handle},
    {NULL, NULL},
};

/* ---- lines ---- */

static operation *operation_find(const char *name)
{
    const struct named_operation *const tables[] = {handle_operations, record_operations,
                                                    stream_operations};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        for (const struct named_operation *one = tables[i]; one->name != NULL; one++) {
            if (name != NULL && strcmp(one->name, name) == 0) {
                return one->function;
            }
        }
    }
    return NULL;
}

static void answer_operation(struct driver *driver, struct bytes object, operation *function)
{
    struct writer *out = &driver->line.answer;
    struct handle *handle = handle_find(driver, handle_name(driver, object));
    driver->db = handle == NULL ? NULL : handle->db;
    put_name(out, "ok");
    put_begin(out, '{');
    enum freshet_status status = function(driver, object, out);
    put_end(out, '}');
    if (status != FRESHET_OK) {
        out->size = 1; /* behind the line's first brace */
        put_error(out, status, driver->db == NULL ? NULL : freshet_error(driver->db));
    }
}

static void answer_line(struct driver *driver)
{
    struct writer *out = &driver->line.answer;
    struct bytes object = line_object(&driver->line);
    operation *function = operation_find(line_text(&driver->line, object, "op"));
    driver->start_ns = 0;
    put_begin(out, '{');
    if (function == NULL) {
        put_text(out, "unsupported", "there is no such operation in C");
    } else {
        answer_operation(driver, object, function);
    }
    if (driver->start_ns > 0) {
        put_number(out, "start_ns", driver->start_ns);
        put_number(out, "end_ns", driver->end_ns);
    }
    put_end(out, '}');
    writer_u8(out, '\n');
    if (out->failed) {
        fputs("conformance_driver: an answer that is too long\n", stderr);
        exit(1);
    }
    fwrite(out->data, 1, out->size, stdout);
    fflush(stdout);
}

int main(void)
{
    static struct driver driver;
    line_create(&driver.line);
    char *text = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&text, &capacity, stdin)) > 0) {
        line_read(&driver.line, bytes_of(text, (size_t)size));
        answer_line(&driver);
    }
    for (size_t i = 0; i < HANDLES_MAX; i++) {
        if (driver.handles[i].name[0] != '\0') {
            handle_close(&driver, &driver.handles[i]);
        }
    }
    free(text);
    line_destroy(&driver.line);
    return 0;
}
