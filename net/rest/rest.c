#include "net/rest/rest.h"

#include <stdlib.h>

#include "net/rest/rest_internal.h"
#include "net/rest/target.h"

#define LIST_METHODS   "GET, HEAD, POST, OPTIONS"
#define RECORD_METHODS "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"

static const char allow_methods[] = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
static const char allow_fields[] =
    "Content-Type, Authorization, X-Requested-With, If-Match, If-None-Match, Idempotency-Key, "
    "Cache-Control, Last-Event-ID, freshet-min-position";

/* A path of the access log is at most this long, so that a line has room for its escapes. */
#define LOG_PATH_BYTES_MAX 1500

static_assert(LOG_PATH_BYTES_MAX * 6 + 512 <= LOG_LINE_BYTES_MAX, "a path of escapes fits");

/* ---- life ---- */

enum status rest_headers_set(struct rest *rest, struct bytes cors_origin,
                             struct bytes cache_control,
                             enum rest_invalidation unauthorized_invalidation)
{
    if (cors_origin.size > REST_CORS_ORIGIN_BYTES_MAX ||
        cache_control.size > REST_CACHE_CONTROL_BYTES_MAX) {
        return STATUS_TOO_LARGE;
    }
    rest->options.unauthorized_invalidation = unauthorized_invalidation;
    heads_init(&rest->heads, cors_origin.size > 0 ? cors_origin : BYTES_LITERAL("*"),
               cache_control.size > 0 ? cache_control : BYTES_LITERAL("no-cache"));
    heads_turn(&rest->heads, rest->wall_ms);
    return STATUS_OK;
}

static enum status options_set(struct rest *rest, const struct rest_options *options)
{
    rest->options = *options;
    /* heads keeps copies; the caller's may end. */
    rest->options.cors_origin = BYTES_EMPTY;
    rest->options.cache_control = BYTES_EMPTY;
    if (options->principal.name.size == 0) {
        rest->options.principal = PRINCIPAL_ANONYMOUS;
    }
    rest->access_log = options->access_log;
    collection_names_init(&rest->collections, options->collections, options->collection_count);
    changes_lists_init(&rest->changes);
    link_init(&rest->readers);
    return rest_headers_set(rest, options->cors_origin, options->cache_control,
                            options->unauthorized_invalidation);
}

enum status rest_create(const struct rest_options *options, struct rest **out)
{
    ASSERT(options->collection_count > 0);
    ASSERT(options->collection_count <= COLLECTION_COUNT_MAX);
    *out = NULL;
    struct rest *rest = aligned_alloc(64, (sizeof(*rest) + 63) / 64 * 64);
    if (rest == NULL) {
        return STATUS_NO_MEMORY;
    }
    memset(rest, 0, sizeof(*rest));
    rest->log = malloc(LOG_BYTES_MAX);
    rest->document = malloc(DOCUMENT_BYTES_MAX);
    enum status status = STATUS_NO_MEMORY;
    if (rest->log != NULL && rest->document != NULL) {
        status = options_set(rest, options);
    }
    if (status != STATUS_OK) {
        rest_destroy(&rest);
        return status;
    }
    if (options->metrics != NULL) {
        rest->metrics = metrics_thread_at(options->metrics, options->thread_index);
    }
    *out = rest;
    return STATUS_OK;
}

void rest_destroy(struct rest **rest)
{
    if (*rest == NULL) {
        return;
    }
    ASSERT((*rest)->pending == 0);
    ASSERT((*rest)->held_count == 0);
    rest_log_flush(*rest);
    free((*rest)->log);
    free((*rest)->document);
    free(*rest);
    *rest = NULL;
}

void rest_turn(struct rest *rest, uint64_t now_ns, uint64_t wall_ms)
{
    ASSERT(now_ns >= rest->now_ns);
    rest->now_ns = now_ns;
    rest->wall_ms = wall_ms;
    heads_turn(&rest->heads, wall_ms);
    rest->holding = true;
}

void rest_dispatched(struct rest *rest)
{
    rest_held_run(rest);
    rest->holding = false;
}

uint64_t rest_step(struct rest *rest)
{
    ASSERT(rest->held_count == 0);
    ASSERT(!rest->holding);
    if (rest->options.stream == NULL) {
        return UINT64_MAX;
    }
    uint64_t ask_at_ns = rest_consumers_step(rest);
    uint64_t due_ns = changes_step(rest);
    return ask_at_ns < due_ns ? ask_at_ns : due_ns;
}

void rest_turn_end(struct rest *rest)
{
    ASSERT(rest->held_count == 0);
    rest_log_flush(rest);
}

void rest_access_log_set(struct rest *rest, bool on)
{
    rest->access_log = on;
}

/* ---- routes ---- */

/* A segment in which something is encoded that need not be: decoded into buffer. */
static struct bytes segment_name(struct bytes segment, uint8_t buffer[COLLECTION_NAME_BYTES_MAX])
{
    struct writer name = writer_of(buffer, COLLECTION_NAME_BYTES_MAX);
    if (segment.size == 0 || memchr(segment.data, '%', segment.size) == NULL ||
        target_decode(segment, false, &name) != STATUS_OK) {
        return segment;
    }
    return writer_bytes(&name);
}

static void answer_nothing_there(struct rest *rest, struct http_exchange *exchange)
{
    exchange->route = METRICS_ROUTE_NONE;
    rest_answer_error(rest, exchange, 404,
                      BYTES_LITERAL("There is nothing at this path. Records are at "
                                    "/COLLECTION/ID, and a '/' inside an id is written %2F"));
}

static void answer_options(struct rest *rest, struct http_exchange *exchange)
{
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 200, &head);
    head_line(&head, "Allow", bytes_of_text(allow_methods));
    head_line(&head, "Access-Control-Allow-Methods", bytes_of_text(allow_methods));
    head_line(&head, "Access-Control-Allow-Headers", bytes_of_text(allow_fields));
    head_line(&head, "Access-Control-Max-Age", BYTES_LITERAL("86400"));
    head_line(&head, "Content-Length", BYTES_LITERAL("0"));
    rest_answer_body(exchange, &head, BYTES_EMPTY, 200, NULL, NULL);
}

static void route_list(struct rest *rest, struct http_exchange *exchange,
                       const struct collection *collection)
{
    switch (exchange->request.method) {
    case HTTP_GET:
    case HTTP_HEAD:
        rest_list(rest, exchange, collection);
        return;
    case HTTP_POST:
        rest_create_record(rest, exchange, collection);
        return;
    case HTTP_PUT:
    case HTTP_PATCH:
    case HTTP_DELETE:
        rest_answer_no_method(rest, exchange, LIST_METHODS);
        return;
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        break;
    }
    UNREACHABLE();
}

static void route_record(struct rest *rest, struct http_exchange *exchange,
                         const struct collection *collection, struct bytes segment)
{
    uint8_t buffer[ID_BYTES_MAX];
    struct bytes id;
    const char *reason;
    enum http_method method = exchange->request.method;
    if (method == HTTP_POST) {
        rest_answer_no_method(rest, exchange, RECORD_METHODS);
        return;
    }
    if (segment.size == 0) {
        rest_answer_singular(rest, exchange, 400, collection, "id is required", NULL);
        return;
    }
    if (target_id(segment, buffer, &id, &reason) != STATUS_OK) {
        rest_answer_error(rest, exchange, 400, bytes_of_text(reason));
        return;
    }
    if (method == HTTP_GET || method == HTTP_HEAD) {
        rest_read(rest, exchange, collection, id);
    } else if (method == HTTP_PUT) {
        rest_put(rest, exchange, collection, id);
    } else if (method == HTTP_PATCH) {
        rest_patch(rest, exchange, collection, id);
    } else {
        ASSERT(method == HTTP_DELETE);
        rest_delete(rest, exchange, collection, id);
    }
}

/* One to three segments, of which the first names a collection, a part of the change stream, or a
 * page of the operators. */
static void route(struct rest *rest, struct http_exchange *exchange, const struct target *target)
{
    uint8_t buffer[COLLECTION_NAME_BYTES_MAX];
    const struct collection *collection = collection_names_find(&rest->collections, target->first);
    if (collection == NULL) {
        collection = collection_names_find(&rest->collections, segment_name(target->first, buffer));
    }
    if (collection != NULL && target->shape == TARGET_THREE) {
        answer_nothing_there(rest, exchange);
    } else if (collection != NULL && target->shape == TARGET_TWO) {
        exchange->route = metrics_route_record(collection);
        route_record(rest, exchange, collection, target->second);
    } else if (collection != NULL) {
        exchange->route = metrics_route_list(collection);
        route_list(rest, exchange, collection);
    } else if (!rest_stream_route(rest, exchange, target) &&
               (target->shape != TARGET_ONE || !rest_operation(rest, exchange, target->first))) {
        answer_nothing_there(rest, exchange);
    }
}

static struct rest_state *state_begin(struct rest *rest, struct http_exchange *exchange)
{
    struct rest_state *state = rest_state_of(exchange);
    ASSERT(state->rest == NULL);
    state->rest = rest;
    state->expose = exchange->request.known[HTTP_ORIGIN].data != NULL;
    if (rest->access_log) {
        exchange->log_path =
            http_keep(exchange, bytes_slice(exchange->request.path, 0, LOG_PATH_BYTES_MAX));
    }
    return state;
}

void rest_handle(void *context, struct http_exchange *exchange)
{
    struct rest *rest = context;
    state_begin(rest, exchange);
    exchange->route = METRICS_ROUTE_NONE;
    if (exchange->request.method == HTTP_OPTIONS) {
        answer_options(rest, exchange);
        return;
    }
    if (exchange->request.method == HTTP_OTHER) {
        rest_answer_error(rest, exchange, 501,
                          BYTES_LITERAL("This server does not know that method"));
        return;
    }
    struct target target;
    target_split(exchange->request.path, &target);
    if (target.shape != TARGET_ROOT && target.shape != TARGET_DEEPER) {
        route(rest, exchange, &target);
    } else {
        answer_nothing_there(rest, exchange);
    }
}

void rest_refuse(void *context, struct http_exchange *exchange, uint16_t status, const char *detail)
{
    struct rest *rest = context;
    ASSERT(status >= 400);
    state_begin(rest, exchange);
    exchange->route = METRICS_ROUTE_NONE;
    rest_answer_error(rest, exchange, status, detail == NULL ? BYTES_EMPTY : bytes_of_text(detail));
}
