/*
 * GET and HEAD of a record. A cached one is answered on the spot: from the cache's bytes to the
 * send buffer, with a head made of constant pieces. Everything that is not there goes through the
 * engine as a request.
 */
#include <stdlib.h>

#include "net/rest/field.h"
#include "net/rest/rest_internal.h"

/* ---- fields ---- */

struct bytes rest_list_field(struct http_exchange *exchange, enum http_known known,
                             struct bytes name)
{
    const struct http_request *request = &exchange->request;
    if ((request->repeated >> known & 1) == 0) {
        return request->known[known];
    }
    size_t size = 0;
    for (uint32_t index = 0; index < request->header_count; index++) {
        if (field_equals(request->headers[index].name, name)) {
            size += request->headers[index].value.size + 1;
        }
    }
    uint8_t *memory = http_allocate(exchange, size);
    if (memory == NULL) {
        return request->known[known];
    }
    struct writer list = writer_of(memory, size);
    for (uint32_t index = 0; index < request->header_count; index++) {
        if (field_equals(request->headers[index].name, name)) {
            writer_put(&list, request->headers[index].value);
            writer_u8(&list, ',');
        }
    }
    ASSERT(!list.failed);
    return writer_bytes(&list);
}

/* One of If-Match and If-None-Match; false when answered. */
static bool precondition_read(struct rest *rest, struct http_exchange *exchange,
                              enum http_known known, struct entity_tag *tags,
                              struct precondition *out)
{
    *out = (struct precondition){.kind = PRECONDITION_NONE};
    if (exchange->request.known[known].data == NULL) {
        return true;
    }
    bool none_match = known == HTTP_IF_NONE_MATCH;
    struct bytes name = none_match ? BYTES_LITERAL("if-none-match") : BYTES_LITERAL("if-match");
    struct bytes value = rest_list_field(exchange, known, name);
    enum status status = field_precondition(value, none_match, tags, out);
    if (status == STATUS_OK) {
        return true;
    }
    struct bytes detail =
        status == STATUS_TOO_LARGE
            ? BYTES_LITERAL("A condition names at most 32 entity tags")
            : BYTES_LITERAL("If-Match and If-None-Match hold \"*\" or a list of entity tags, "
                            "each in double quotes");
    rest_answer_error(rest, exchange, 400, detail);
    return false;
}

bool rest_conditions_read(struct rest *rest, struct http_exchange *exchange,
                          struct entity_tag *tags, struct conditions *out)
{
    return precondition_read(rest, exchange, HTTP_IF_MATCH, tags, &out->if_match) &&
           precondition_read(rest, exchange, HTTP_IF_NONE_MATCH, tags + PRECONDITION_TAGS_MAX,
                             &out->if_none_match);
}

/* freshet-min-position; false when answered. */
static bool minimum_read(struct rest *rest, struct http_exchange *exchange, uint64_t *sequence_out)
{
    struct bytes text = exchange->request.known[HTTP_MIN_POSITION];
    if (text.data == NULL) {
        return true;
    }
    bool repeated = (exchange->request.repeated >> HTTP_MIN_POSITION & 1) != 0;
    struct position position;
    if (repeated || position_read(text, &position) != STATUS_OK) {
        rest_answer_error(rest, exchange, 400,
                          BYTES_LITERAL("freshet-min-position is not a position"));
        return false;
    }
    enum status status = journal_position_check(engine_journal(rest->options.engine), &position);
    if (status == STATUS_OK) {
        *sequence_out = position.sequence;
        return true;
    }
    const struct problem problem = {
        .status = 400,
        .type = "position-expired",
        .detail =
            BYTES_LITERAL("freshet-min-position is of another store, or of a tail of this one "
                          "that was lost"),
    };
    rest_answer_problem(rest, exchange, &problem, NULL);
    return false;
}

static bool refresh_is_asked(struct http_exchange *exchange)
{
    const struct bytes *known = exchange->request.known;
    if (known[HTTP_CACHE_CONTROL].data != NULL) {
        return field_asks_refresh(
            rest_list_field(exchange, HTTP_CACHE_CONTROL, BYTES_LITERAL("cache-control")));
    }
    /* Pragma is for clients that do not know Cache-Control. */
    return known[HTTP_PRAGMA].data != NULL &&
           field_has_token(rest_list_field(exchange, HTTP_PRAGMA, BYTES_LITERAL("pragma")),
                           BYTES_LITERAL("no-cache"));
}

bool rest_freshness_read(struct rest *rest, struct http_exchange *exchange, struct conditions *out)
{
    if (!minimum_read(rest, exchange, &out->minimum_sequence)) {
        return false;
    }
    if (!refresh_is_asked(exchange)) {
        return true;
    }
    if (rest_allowed(rest, PRINCIPAL_INVALIDATE)) {
        out->refresh = true;
        return true;
    }
    switch (rest->options.unauthorized_invalidation) {
    case REST_FAIL_WITH_403:
        rest_answer_error(rest, exchange, 403,
                          BYTES_LITERAL("You may read this, but not refresh the cache; ask again "
                                        "without Cache-Control"));
        return false;
    case REST_SUCCEED_WITH_RESPONSE_HEADER:
        rest_state_of(exchange)->warn = true;
        return true;
    case REST_SUCCEED_WITHOUT_RESPONSE_HEADER:
        return true;
    }
    UNREACHABLE();
}

/* ---- conditions ---- */

/* What a GET of a record in this state is answered with: 200, 304 or 412. */
static uint16_t conditions_judge(const struct precondition *if_match,
                                 const struct precondition *if_none_match, uint64_t epoch,
                                 uint64_t sequence)
{
    if (if_match->kind != PRECONDITION_NONE &&
        !field_precondition_names(if_match, epoch, sequence)) {
        return 412;
    }
    if (if_none_match->kind != PRECONDITION_NONE &&
        field_precondition_names(if_none_match, epoch, sequence)) {
        return 304;
    }
    return 200;
}

static void answer_failed_condition(struct rest *rest, struct http_exchange *exchange)
{
    rest_answer_error(rest, exchange, 412,
                      BYTES_LITERAL("The record is not in the state that If-Match asks for"));
}

static void answer_not_modified(struct rest *rest, struct http_exchange *exchange, uint64_t epoch,
                                uint64_t sequence, const struct head_cache *cache)
{
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin(&rest->heads, 304, &head);
    rest_head_tag(epoch, sequence, &head);
    head_line(&head, "Cache-Control", rest->heads.cache_control);
    head_cache_write(&rest->heads, cache, rest->wall_ms, &head);
    rest_answer_body(exchange, &head, BYTES_EMPTY, 304, NULL, NULL);
}

/* ---- from the cache ---- */

static void hit_head_write(struct rest *rest, struct http_exchange *exchange,
                           const struct cache_body *body, const struct head_cache *cache,
                           struct writer *head)
{
    head_begin_record(&rest->heads, body->body.size, head);
    rest_head_tag(body->meta.epoch, body->meta.sequence, head);
    head_cache_write(&rest->heads, cache, rest->wall_ms, head);
    head_end(exchange, rest_state_of(exchange)->expose, head);
    ASSERT(!head->failed);
}

/* A body that is too large for the send buffer, or for which there is no room: it leaves the cache
 * in a block of its own, because a pin must not last as long as a slow client takes. */
static void answer_hit_large(struct rest *rest, struct http_exchange *exchange,
                             const struct cache_body *body, const struct head_cache *cache)
{
    uint8_t *block = NULL;
    if (http_has_memory(exchange, body->body.size)) {
        block = malloc(body->body.size + 1);
    }
    if (block == NULL) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    memcpy(block, body->body.data, body->body.size);
    uint8_t head_bytes[HEAD_BYTES_MAX];
    struct writer head = writer_of(head_bytes, sizeof(head_bytes));
    head_begin_record(&rest->heads, body->body.size, &head);
    rest_head_tag(body->meta.epoch, body->meta.sequence, &head);
    head_cache_write(&rest->heads, cache, rest->wall_ms, &head);
    rest_answer_body(exchange, &head, bytes_of(block, body->body.size), 200, free, block);
}

static void answer_hit(struct rest *rest, struct http_exchange *exchange,
                       const struct cache_body *body, const struct head_cache *cache)
{
    bool with_body = exchange->request.method != HTTP_HEAD;
    size_t body_size = with_body ? body->body.size : 0;
    bool plain = body_size <= COPY_BODY_BYTES_MAX && !rest_state_of(exchange)->warn;
    size_t room = rest->heads.record_size + HEAD_RECORD_REST_BYTES_MAX + body_size;
    uint8_t *at = plain ? http_answer_begin(exchange, room) : NULL;
    if (at == NULL) {
        answer_hit_large(rest, exchange, body, cache);
        return;
    }
    struct writer answer = writer_of(at, room);
    hit_head_write(rest, exchange, body, cache, &answer);
    writer_put(&answer, bytes_slice(body->body, 0, body_size));
    ASSERT(!answer.failed);
    http_answer_end(exchange, answer.size, 200);
}

/* Answers from a cache entry, which may say that the record is absent. */
static void answer_cached(struct rest *rest, struct http_exchange *exchange,
                          const struct collection *collection, const struct cache_body *body,
                          const struct conditions *conditions)
{
    const struct cache_meta *meta = &body->meta;
    bool popular = meta->popular_expires_at_ns != 0 && meta->hits >= meta->popular_hits;
    uint64_t expires_at_ns = popular ? meta->popular_expires_at_ns : meta->expires_at_ns;
    struct head_cache cache = {
        .outcome = CACHE_HIT, .made_at_ms = meta->made_at_ms, .ttl_ns = UINT64_MAX};
    if (expires_at_ns != UINT64_MAX) {
        cache.ttl_ns = expires_at_ns > rest->now_ns ? expires_at_ns - rest->now_ns : 0;
    }
    rest_state_of(exchange)->outcome = 1 + CACHE_HIT;
    if (meta->absent) {
        rest_answer_singular(rest, exchange, 404, collection, "not found", &cache);
        return;
    }
    uint16_t status = conditions_judge(&conditions->if_match, &conditions->if_none_match,
                                       meta->epoch, meta->sequence);
    if (status == 200) {
        answer_hit(rest, exchange, body, &cache);
    } else if (status == 304) {
        answer_not_modified(rest, exchange, meta->epoch, meta->sequence, &cache);
    } else {
        answer_failed_condition(rest, exchange);
    }
}

/* ---- through the engine ---- */

static void read_done(struct request *request)
{
    struct rest *rest = rest_request_done(request);
    struct http_exchange *exchange = rest_exchange_of(request);
    const struct head_cache cache = {
        .outcome = request->cache, .made_at_ms = request->made_at_ms, .ttl_ns = request->ttl_ns};
    rest_state_of(exchange)->outcome = (uint8_t)(1 + request->cache);
    uint16_t status = 0;
    if (request->status == STATUS_OK) {
        status = conditions_judge(&request->if_match, &request->if_none_match, request->epoch,
                                  request->sequence);
    } else if (request->status == STATUS_NOT_MODIFIED) {
        status = 304;
    }
    bool fits = http_has_memory(exchange, request->answer.size);
    if (status != 200 || !fits) {
        request_release(request);
    }
    if (status == 200 && !fits) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
    } else if (status == 200) {
        uint8_t head_bytes[HEAD_BYTES_MAX];
        struct writer head = writer_of(head_bytes, sizeof(head_bytes));
        head_begin_record(&rest->heads, request->answer.size, &head);
        rest_head_tag(request->epoch, request->sequence, &head);
        head_cache_write(&rest->heads, &cache, rest->wall_ms, &head);
        rest_answer_request(exchange, &head, 200);
    } else if (status == 304) {
        answer_not_modified(rest, exchange, request->epoch, request->sequence, &cache);
    } else if (status == 412) {
        answer_failed_condition(rest, exchange);
    } else if (request->status == STATUS_NOT_FOUND) {
        rest_answer_singular(rest, exchange, 404, request->collection, "not found", &cache);
    } else {
        rest_answer_failure(rest, exchange, request);
    }
}

static struct precondition precondition_keep(struct http_exchange *exchange,
                                             const struct precondition *condition)
{
    struct precondition kept = *condition;
    if (condition->tag_count > 0) {
        struct bytes tags =
            bytes_of(condition->tags, condition->tag_count * sizeof(condition->tags[0]));
        kept.tags = (const struct entity_tag *)(const void *)http_keep(exchange, tags).data;
    }
    return kept;
}

static void read_submit(struct rest *rest, struct http_exchange *exchange,
                        const struct collection *collection, struct bytes id, uint64_t hash,
                        const struct conditions *conditions)
{
    struct request *request = rest_request_begin(rest, exchange, REQUEST_GET, collection, id);
    if (request == NULL) {
        return;
    }
    request->hash = hash;
    request->refresh = conditions->refresh;
    request->minimum_sequence = conditions->minimum_sequence;
    request->if_match = precondition_keep(exchange, &conditions->if_match);
    request->if_none_match = precondition_keep(exchange, &conditions->if_none_match);
    bool kept = (request->if_match.tag_count == 0 || request->if_match.tags != NULL) &&
                (request->if_none_match.tag_count == 0 || request->if_none_match.tags != NULL);
    if (!kept) {
        rest_answer_status(rest, exchange, STATUS_NO_MEMORY, BYTES_EMPTY);
        return;
    }
    rest_request_submit(rest, request, read_done);
}

/* True when any field was sent that can change the answer of a GET. */
static bool has_conditions(const struct http_request *request)
{
    const struct bytes *known = request->known;
    return known[HTTP_CACHE_CONTROL].data != NULL || known[HTTP_PRAGMA].data != NULL ||
           known[HTTP_IF_MATCH].data != NULL || known[HTTP_IF_NONE_MATCH].data != NULL ||
           known[HTTP_MIN_POSITION].data != NULL;
}

static void read_with(struct rest *rest, struct http_exchange *exchange,
                      const struct collection *collection, struct bytes id, uint64_t hash,
                      const struct conditions *conditions)
{
    /* A position that is published is in every cache entry too. */
    bool reached = conditions->minimum_sequence == 0 ||
                   engine_published(rest->options.engine) >= conditions->minimum_sequence;
    if (collection->cached && !conditions->refresh && reached) {
        struct cache_body body;
        enum status status = engine_cache_get(rest->options.engine_thread, collection, id, hash,
                                              RECORD_JSON, rest->now_ns, rest->copy, &body);
        if (status == STATUS_OK) {
            answer_cached(rest, exchange, collection, &body, conditions);
            if (body.pin != NULL) {
                engine_cache_release(rest->options.engine_thread, hash, &body);
            }
            return;
        }
    }
    read_submit(rest, exchange, collection, id, hash, conditions);
}

/* The fields, when there are any: apart, so that the common request does not pay for the room of
 * their tags. */
static __attribute__((noinline)) void read_conditional(struct rest *rest,
                                                       struct http_exchange *exchange,
                                                       const struct collection *collection,
                                                       struct bytes id)
{
    struct entity_tag tags[2 * PRECONDITION_TAGS_MAX];
    struct conditions conditions = {0};
    if (rest_conditions_read(rest, exchange, tags, &conditions) &&
        rest_freshness_read(rest, exchange, &conditions)) {
        read_with(rest, exchange, collection, id, engine_hash(collection, id), &conditions);
    }
}

/* ---- reads held back ---- */

/* False when there is no memory to keep the id in. */
static bool read_hold(struct rest *rest, struct http_exchange *exchange,
                      const struct collection *collection, struct bytes id)
{
    ASSERT(rest->held_count < HELD_READS_MAX);
    struct bytes kept = http_keep(exchange, id);
    if (kept.data == NULL) {
        return false;
    }
    uint64_t hash = engine_hash(collection, kept);
    engine_cache_prefetch(rest->options.engine_thread, hash);
    rest->held[rest->held_count++] = (struct held_read){exchange, collection, kept, hash};
    if (rest->held_count == HELD_READS_MAX) {
        rest_held_run(rest);
    }
    return true;
}

void rest_held_run(struct rest *rest)
{
    const struct conditions none = {0};
    uint32_t count = rest->held_count;
    bool holding = rest->holding;
    /* Should an answer let the next request in, that one is not held back. */
    rest->holding = false;
    for (uint32_t index = 0; index < count; index++) {
        engine_cache_prefetch_entry(rest->options.engine_thread, rest->held[index].hash);
    }
    for (uint32_t index = 0; index < count; index++) {
        const struct held_read *read = &rest->held[index];
        read_with(rest, read->exchange, read->collection, read->id, read->hash, &none);
    }
    ASSERT(rest->held_count == count);
    rest->held_count = 0;
    rest->holding = holding;
}

void rest_read(struct rest *rest, struct http_exchange *exchange,
               const struct collection *collection, struct bytes id)
{
    ASSERT(id.size > 0);
    ASSERT(id.size <= ID_BYTES_MAX);
    if (!rest_allowed(rest, PRINCIPAL_READ)) {
        rest_answer_error(rest, exchange, 403, BYTES_LITERAL("You may not read this"));
        return;
    }
    if (has_conditions(&exchange->request)) {
        read_conditional(rest, exchange, collection, id);
        return;
    }
    if (rest->holding && collection->cached && read_hold(rest, exchange, collection, id)) {
        return;
    }
    const struct conditions none = {0};
    read_with(rest, exchange, collection, id, engine_hash(collection, id), &none);
}
