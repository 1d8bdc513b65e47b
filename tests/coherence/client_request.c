/*
 * What a connection does next, and the bytes that ask for it.
 *
 * The load goes through phases. While many write, records change under their readers; while few do,
 * records and pages stay in the cache long enough to be stale.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "protocol/base/assert.h"
#include "tests/coherence/client_internal.h"

#define SHARE_SUM 1000
/* A phase lasts 2^27 ns, an eighth of a second. */
#define PHASE_BITS     27
#define BODY_BYTES_MAX (16u << 10)

/* In thousandths, in the order of the actions. */
static const uint32_t share_busy[ACTION_COUNT] = {400, 20, 80, 50, 200, 30, 80, 80, 30, 30};
static const uint32_t share_calm[ACTION_COUNT] = {722, 20, 100, 50, 3, 1, 2, 2, 50, 50};
static const uint32_t page_limits[] = {1000, 1000, 30, 7};

/* ---- choosing ---- */

static uint32_t value_next(struct connection *connection)
{
    connection->counter++;
    ASSERT(connection->counter < 1u << CLIENT_COUNTER_BITS);
    return connection->number << CLIENT_COUNTER_BITS | connection->counter;
}

static enum action action_choose(struct client *client)
{
    bool calm = (client_now_ns() >> PHASE_BITS & 1) != 0;
    const uint32_t *share = calm ? share_calm : share_busy;
    uint32_t roll = client_random_below(client, SHARE_SUM);
    uint32_t action = 0;
    while (roll >= share[action]) {
        roll -= share[action];
        action++;
        ASSERT(action < ACTION_COUNT);
    }
    return (enum action)action;
}

/* Readers look everywhere alike; writers prefer low keys, so that high ones stay as they are for a
 * while and something stale has the time to be seen. */
static uint16_t key_choose(struct client *client, bool to_write)
{
    uint32_t count = client->options.key_count;
    uint32_t key = client_random_below(client, count);
    return (uint16_t)(to_write ? client_random_below(client, key + 1) : key);
}

void operation_choose(struct client *client, struct connection *connection,
                      struct operation *operation)
{
    enum action action = action_choose(client);
    *operation = (struct operation){.key = key_choose(client, action_is_write(action)),
                                    .after = CLIENT_KEY_NONE};
    uint32_t category = 1 + client_random_below(client, CLIENT_CATEGORIES);
    bool needs_tag = action == ACTION_CONDITIONAL || action == ACTION_PUT_MATCH;
    operation->sequence = needs_tag ? client->tags[operation->key] : 0;
    if (needs_tag && operation->sequence == 0) {
        action = action == ACTION_PUT_MATCH ? ACTION_PUT : ACTION_GET;
    }
    if (action == ACTION_PATCH && client_random_below(client, 2) == 0) {
        category = HISTORY_NO_CATEGORY;
    }
    operation->action = (uint8_t)action;
    operation->category = action == ACTION_LIST ? HISTORY_NO_CATEGORY : (uint8_t)category;
    if (action_is_write(action) && action != ACTION_DELETE) {
        operation->value = value_next(connection);
    }
    bool follows = action_is_page(action) && connection->next_size > 0;
    if (follows) {
        operation->action =
            connection->next_category == HISTORY_NO_CATEGORY ? ACTION_LIST : ACTION_INDEX;
        operation->after = connection->next_after;
        operation->category = connection->next_category;
    }
}
/* ---- requests ---- */

__attribute__((format(printf, 2, 3))) static void print(struct writer *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *at = (char *)out->data + out->size;
    int size = vsnprintf(at, writer_left(out), format, arguments);
    va_end(arguments);
    ASSERT(size >= 0 && (size_t)size < writer_left(out));
    out->size += (size_t)size;
}

static void document_write(const struct client *client, const struct operation *operation,
                           struct writer *body)
{
    uint32_t bytes = client_filler_bytes(client, operation->key);
    print(body,
          "{\"value\":%" PRIu32 ",\"category\":\"" ANSWER_CATEGORY_FORMAT "\",\"base\":%" PRIu32
          ",\"filler\":\"",
          operation->value, operation->category, operation->value);
    uint8_t *filler = writer_reserve(body, bytes);
    ASSERT(filler != NULL);
    memset(filler, answer_filler_letter(operation->value), bytes);
    print(body, "\"}");
}

static void body_write(const struct client *client, const struct operation *operation,
                       struct writer *body)
{
    if (operation->action != ACTION_PATCH) {
        document_write(client, operation, body);
    } else if (operation->category == HISTORY_NO_CATEGORY) {
        print(body, "{\"value\":%" PRIu32 "}", operation->value);
    } else {
        print(body, "{\"value\":%" PRIu32 ",\"category\":\"" ANSWER_CATEGORY_FORMAT "\"}",
              operation->value, operation->category);
    }
}

static void page_request_write(struct client *client, struct connection *connection,
                               const struct operation *operation, struct writer *out)
{
    uint32_t limit = page_limits[client_random_below(client, 4)];
    if (limit > client->options.page_limit_max) {
        limit = client->options.page_limit_max;
    }
    if (operation->after != CLIENT_KEY_NONE) {
        print(out, "GET %.*s", (int)connection->next_size, connection->next);
        connection->next_size = 0;
    } else if (operation->action == ACTION_INDEX) {
        print(out, "GET /products?category=" ANSWER_CATEGORY_FORMAT "&limit=%" PRIu32,
              operation->category, limit);
    } else {
        print(out, "GET /products?limit=%" PRIu32, limit);
    }
    print(out, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

static void record_request_write(const struct client *client, const struct operation *operation,
                                 struct writer *out)
{
    static const char *const methods[ACTION_COUNT] = {
        [ACTION_GET] = "GET",     [ACTION_REFRESH] = "GET",  [ACTION_CONDITIONAL] = "GET",
        [ACTION_HEAD] = "HEAD",   [ACTION_PUT] = "PUT",      [ACTION_PUT_MATCH] = "PUT",
        [ACTION_PATCH] = "PATCH", [ACTION_DELETE] = "DELETE"};
    print(out, "%s /products/" ANSWER_KEY_FORMAT " HTTP/1.1\r\nHost: localhost\r\n",
          methods[operation->action], operation->key);
    if (operation->action == ACTION_REFRESH) {
        print(out, "Cache-Control: no-cache\r\n");
    } else if (operation->action == ACTION_CONDITIONAL) {
        print(out, "If-None-Match: \"0-%" PRIx64 "-%" PRIx64 "\"\r\n", client->epoch,
              operation->sequence);
    } else if (operation->action == ACTION_PUT_MATCH) {
        print(out, "If-Match: \"0-%" PRIx64 "-%" PRIx64 "\"\r\n", client->epoch,
              operation->sequence);
    } else if (operation->action == ACTION_DELETE) {
        /* 200 means then that there was something to delete. */
        print(out, "If-Match: *\r\n");
    }
    if (operation->value == 0) {
        print(out, "\r\n");
        return;
    }
    uint8_t body_bytes[BODY_BYTES_MAX];
    struct writer body = writer_of(body_bytes, sizeof(body_bytes));
    body_write(client, operation, &body);
    print(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n", body.size);
    writer_put(out, writer_bytes(&body));
    ASSERT(!out->failed);
}

void request_write(struct client *client, struct connection *connection,
                   const struct operation *operation, struct writer *out)
{
    if (action_is_page((enum action)operation->action)) {
        page_request_write(client, connection, operation, out);
    } else {
        record_request_write(client, operation, out);
    }
}
