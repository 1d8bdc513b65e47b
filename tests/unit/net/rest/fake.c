#include "fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/journal/position.h"
#include "protocol/base/assert.h"

struct fake fake;

/* Only where AddressSanitizer is linked. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

static uint8_t arena[256u << 10];
static size_t arena_used;
static char request_text[64u << 10];
static struct http_header headers[HTTP_HEADERS_MAX];
static struct journal journal;
static uint8_t *answer_room;
static size_t answer_room_size;

/* ---- net/http ---- */

uint8_t *http_allocate(struct http_exchange *exchange, size_t size)
{
    ASSERT(exchange == fake.exchange);
    if (fake.allocations_left == 0 || size > sizeof(arena) - arena_used) {
        return NULL;
    }
    fake.allocations_left--;
    uint8_t *at = arena + arena_used;
    arena_used += (size + 15) / 16 * 16;
    return at;
}

struct bytes http_keep(struct http_exchange *exchange, struct bytes bytes)
{
    uint8_t *copy = http_allocate(exchange, bytes.size);
    if (copy == NULL) {
        return BYTES_EMPTY;
    }
    memcpy(copy, bytes.data, bytes.size);
    return bytes_of(copy, bytes.size);
}

uint8_t *http_answer_begin(struct http_exchange *exchange, size_t size_max)
{
    ASSERT(exchange == fake.exchange);
    ASSERT(answer_room == NULL);
    if (fake.no_room) {
        return NULL;
    }
    /* Exactly as large as asked for, so that AddressSanitizer sees a byte too many. */
    answer_room = malloc(size_max);
    answer_room_size = size_max;
    return answer_room;
}

static void answer_keep(uint16_t status, struct bytes head, struct bytes body)
{
    ASSERT(head.size + body.size < sizeof(fake.sent));
    memcpy(fake.sent, head.data, head.size);
    if (body.size > 0) {
        memcpy(fake.sent + head.size, body.data, body.size);
    }
    fake.sent_size = head.size + body.size;
    fake.sent[fake.sent_size] = 0;
    fake.exchange->status = status;
    fake_exchange_end();
}

void fake_exchange_end(void)
{
    fake.exchange->answer_bytes = fake.sent_size;
    fake.answers++;
    fake.answered = *fake.exchange;
    memset(fake.exchange, 0xEE, sizeof(*fake.exchange));
    free(fake.exchange);
    fake.exchange = NULL;
}

void fake_memory_end(void)
{
    memset(arena, 0xEE, arena_used);
}

void http_answer_end(struct http_exchange *exchange, size_t size, uint16_t status)
{
    ASSERT(exchange == fake.exchange);
    ASSERT(answer_room != NULL);
    ASSERT(size <= answer_room_size);
    answer_keep(status, bytes_of(answer_room, size), BYTES_EMPTY);
    free(answer_room);
    answer_room = NULL;
}

void http_answer(struct http_exchange *exchange, struct bytes head, struct bytes body,
                 uint16_t status, void (*release)(void *owner), void *owner)
{
    ASSERT(exchange == fake.exchange);
    answer_keep(status, head, body);
    if (release != NULL) {
        fake.releases++;
        release(owner);
    }
}

bool http_has_memory(const struct http_exchange *exchange, size_t size)
{
    ASSERT(exchange == fake.exchange);
    return fake.memory_bytes_max == 0 || size <= fake.memory_bytes_max;
}

void http_close_after(struct http_exchange *exchange)
{
    ASSERT(exchange == fake.exchange);
    fake.closes = true;
}

bool http_closes(const struct http_exchange *exchange)
{
    ASSERT(exchange == fake.exchange);
    return fake.closes;
}

bool http_says_keep_alive(const struct http_exchange *exchange)
{
    ASSERT(exchange == fake.exchange);
    return fake.keep_alive;
}

/* ---- engine ---- */

uint64_t engine_hash(const struct collection *collection, struct bytes id)
{
    return collection->name.size * 1000 + id.size;
}

void engine_submit(struct engine_thread *thread, struct request *request)
{
    (void)thread;
    ASSERT(fake.submitted == NULL);
    fake.submitted = request;
    fake.submits++;
}

enum status engine_cache_get(struct engine_thread *thread, const struct collection *collection,
                             struct bytes id, uint64_t hash, enum record_form form, uint64_t now_ns,
                             uint8_t *copy_to, struct cache_body *out)
{
    (void)thread;
    (void)form;
    ASSERT(hash == engine_hash(collection, id));
    ASSERT(now_ns == FAKE_NOW_NS);
    fake.cache_gets++;
    *out = fake.cached;
    if (fake.cache_status == STATUS_OK && fake.cached.pin == NULL) {
        ASSERT(fake.cached.body.size <= CACHE_COPY_BYTES_MAX);
        memcpy(copy_to, fake.cached.body.data, fake.cached.body.size);
        out->body.data = copy_to;
    }
    return fake.cache_status;
}

void engine_cache_prefetch(struct engine_thread *thread, uint64_t hash)
{
    (void)thread;
    (void)hash;
    fake.prefetches++;
}

void engine_cache_prefetch_entry(struct engine_thread *thread, uint64_t hash)
{
    (void)thread;
    (void)hash;
    ASSERT(fake.prefetches > 0);
}

void engine_cache_release(struct engine_thread *thread, uint64_t hash, struct cache_body *body)
{
    (void)thread;
    (void)hash;
    ASSERT(body->pin != NULL);
    fake.cache_releases++;
}

struct journal *engine_journal(const struct engine *engine)
{
    (void)engine;
    return &journal;
}

uint64_t engine_published(struct engine *engine)
{
    (void)engine;
    return fake.published;
}

void engine_statistics_read(struct engine *engine, struct engine_statistics *out)
{
    (void)engine;
    *out = (struct engine_statistics){.cache = {.hits = 7}, .published_sequence = 12};
}

void request_release(struct request *request)
{
    free(request->answer_memory);
    request->answer_memory = NULL;
}

static enum status position_check(const struct journal *of, const struct position *position)
{
    (void)of;
    (void)position;
    return fake.position_status;
}

static const struct journal_vtable journal_table = {.position_check = position_check};

/* ---- the server around it ---- */

static bool probe_ready(void *context)
{
    (void)context;
    return fake.ready;
}

static bool probe_draining(void *context)
{
    (void)context;
    return fake.draining;
}

static void probe_metrics(void *context, struct writer *out)
{
    (void)context;
    writer_text(out, "freshet_of_the_server 1\n");
}

static void probe_log(void *context, struct bytes lines)
{
    (void)context;
    ASSERT(fake.log_size + lines.size < sizeof(fake.log));
    memcpy(fake.log + fake.log_size, lines.data, lines.size);
    fake.log_size += lines.size;
}

void fake_init(void)
{
    fake.collections[0] = (struct collection){
        .number = 0,
        .name = BYTES_LITERAL("products"),
        .singular = BYTES_LITERAL("Product"),
        .cached = true,
        .indexes = {BYTES_LITERAL("category")},
        .index_count = 1,
    };
    fake.collections[1] = (struct collection){
        .number = 1,
        .name = BYTES_LITERAL("pets"),
        .singular = BYTES_LITERAL("Pet"),
        .cached = true,
    };
    journal.vtable = &journal_table;
    journal.epoch = 3;
    fake.cache_status = STATUS_NOT_FOUND;
    fake.published = 100;
    fake.ready = true;
    fake.allocations_left = UINT32_MAX;
    fake.options = (struct rest_options){
        .engine = (struct engine *)(void *)&fake, /* never looked into */
        .collections = fake.collections,
        .collection_count = 2,
        .seed = 0xABCDEF,
        .probe = {.ready = probe_ready,
                  .draining = probe_draining,
                  .metrics = probe_metrics,
                  .log = probe_log},
    };
}

void fake_start(void)
{
    const struct metrics_options options = {.thread_count = 1,
                                            .collections = fake.collections,
                                            .collection_count = 2,
                                            .started_wall_ms = FAKE_WALL_MS - 1500};
    enum status status = metrics_create(&options, &fake.metrics);
    ASSERT(status == STATUS_OK);
    fake.options.metrics = fake.metrics;
    status = rest_create(&fake.options, &fake.rest);
    ASSERT(status == STATUS_OK);
    rest_turn(fake.rest, FAKE_NOW_NS, FAKE_WALL_MS);
    rest_dispatched(fake.rest);
}

void fake_end(void)
{
    rest_destroy(&fake.rest);
    metrics_destroy(&fake.metrics);
    /* Criterion ends its processes in a way that passes the check at exit by. */
    if (__lsan_do_recoverable_leak_check != NULL) {
        ASSERT(__lsan_do_recoverable_leak_check() == 0);
    }
}

/* ---- requests ---- */

static enum http_method method_of(struct bytes text)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"};
    for (size_t index = 0; index < 7; index++) {
        if (bytes_equal(text, bytes_of_text(names[index]))) {
            return (enum http_method)index;
        }
    }
    return HTTP_OTHER;
}

static void known_set(struct http_request *request, struct bytes name, struct bytes value)
{
    static const char *const names[HTTP_KNOWN_COUNT] = {"host",
                                                        "content-type",
                                                        "content-encoding",
                                                        "origin",
                                                        "cache-control",
                                                        "pragma",
                                                        "if-match",
                                                        "if-none-match",
                                                        "idempotency-key",
                                                        "freshet-min-position",
                                                        "accept",
                                                        "authorization",
                                                        "last-event-id",
                                                        "access-control-request-method"};
    for (uint32_t known = 0; known < HTTP_KNOWN_COUNT; known++) {
        if (strlen(names[known]) != name.size ||
            strncasecmp(names[known], (const char *)name.data, name.size) != 0) {
            continue;
        }
        if (request->known[known].data != NULL) {
            request->repeated |= 1u << known;
        } else {
            request->known[known] = value;
        }
    }
}

static void target_set(struct http_request *request, struct bytes target)
{
    request->target = target;
    const uint8_t *question = memchr(target.data, '?', target.size);
    size_t size = question == NULL ? target.size : (size_t)(question - target.data);
    request->path = bytes_slice(target, 0, size);
    request->query = bytes_slice(target, size + 1, target.size);
}

/* The head: "GET /pets/1\nName: value\n…". */
static void head_read(struct http_request *request, char *head)
{
    char *save = NULL;
    for (char *line = strtok_r(head, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (request->target.data == NULL) {
            char *space = strchr(line, ' ');
            ASSERT(space != NULL);
            request->method_text = bytes_of(line, (size_t)(space - line));
            request->method = method_of(request->method_text);
            target_set(request, bytes_of_text(space + 1));
            continue;
        }
        char *colon = strchr(line, ':');
        ASSERT(colon != NULL);
        struct bytes name = bytes_of(line, (size_t)(colon - line));
        struct bytes value = bytes_of_text(colon + 1 + strspn(colon + 1, " "));
        headers[request->header_count++] = (struct http_header){name, value};
        known_set(request, name, value);
    }
}

void fake_exchange_begin(void)
{
    fake.answers = 0;
    fake.sent_size = 0;
    fake.submitted = NULL;
    ASSERT(fake.exchange == NULL);
    size_t size = (sizeof(*fake.exchange) + 15) / 16 * 16;
    fake.exchange = aligned_alloc(16, size);
    ASSERT(fake.exchange != NULL);
    memset(fake.exchange, 0, sizeof(*fake.exchange));
}

void fake_send_bytes(const char *head, struct bytes body)
{
    ASSERT(strlen(head) < sizeof(request_text));
    fake_exchange_begin();
    memcpy(request_text, head, strlen(head) + 1);
    arena_used = 0;
    fake.exchange->number = 0x42;
    fake.exchange->started_ns = FAKE_NOW_NS - 5000;
    fake.exchange->request.headers = headers;
    fake.exchange->request.minor = fake.is_http_1_0 ? 0 : 1;
    fake.exchange->request.body = body;
    fake.exchange->request.has_body = body.size > 0;
    head_read(&fake.exchange->request, request_text);
    rest_handle(fake.rest, fake.exchange);
    if (fake.answers == 0) {
        /* Views of the request end with the handler; what was kept stays. */
        memset(request_text, '!', sizeof(request_text));
        memset(headers, 0, sizeof(headers));
        enum http_method method = fake.exchange->request.method;
        uint8_t minor = fake.exchange->request.minor;
        memset(&fake.exchange->request, 0, sizeof(fake.exchange->request));
        fake.exchange->request.method = method;
        fake.exchange->request.minor = minor;
    }
}

void fake_send(const char *head, const char *body)
{
    fake_send_bytes(head, body == NULL ? BYTES_EMPTY : bytes_of_text(body));
}

void fake_done(enum status status, const char *answer)
{
    struct request *request = fake.submitted;
    ASSERT(request != NULL);
    request->status = status;
    if (answer != NULL && strlen(answer) <= request->answer_buffer_size) {
        memcpy(request->answer_buffer, answer, strlen(answer));
        request->answer = bytes_of(request->answer_buffer, strlen(answer));
    } else if (answer != NULL) {
        request->answer_memory = strdup(answer);
        request->answer = bytes_of_text(request->answer_memory);
    }
    fake.submitted = NULL;
    request->done(request);
}

/* ---- the answer ---- */

uint16_t fake_status(void)
{
    ASSERT(fake.answers <= 1);
    if (fake.answers == 0) {
        return 0;
    }
    int status = 0;
    int found = sscanf(fake.sent, "HTTP/1.1 %d ", &status);
    ASSERT(found == 1);
    ASSERT(status == fake.answered.status);
    return (uint16_t)status;
}

const char *fake_header(const char *name)
{
    static char value[8192];
    const char *end = strstr(fake.sent, "\r\n\r\n");
    ASSERT(end != NULL);
    for (const char *at = strstr(fake.sent, "\r\n"); at < end; at = strstr(at + 2, "\r\n")) {
        const char *line = at + 2;
        if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':') {
            const char *from = line + strlen(name) + 2;
            size_t size = (size_t)(strstr(from, "\r\n") - from);
            ASSERT(size < sizeof(value));
            memcpy(value, from, size);
            value[size] = 0;
            return value;
        }
    }
    return NULL;
}

const char *fake_body(void)
{
    const char *end = strstr(fake.sent, "\r\n\r\n");
    ASSERT(end != NULL);
    return end + 4;
}

bool fake_body_has(const char *text)
{
    return strstr(fake_body(), text) != NULL;
}

void fake_cache(const char *body)
{
    fake.cache_status = STATUS_OK;
    fake.cached = (struct cache_body){
        .meta = {.epoch = 2,
                 .sequence = 0x1f,
                 .made_at_ms = FAKE_WALL_MS - 10000,
                 .expires_at_ns = FAKE_NOW_NS + UINT64_C(3590500000000)},
        .body = bytes_of_text(body),
    };
}
