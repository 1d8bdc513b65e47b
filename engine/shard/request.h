/*
 * request.h: one operation on the engine, from whichever transport it came.
 *
 * Owner:     the caller embeds it and leaves it alone from engine_submit until done runs, exactly
 *            once, on the thread that submitted, from engine_thread_step, never inside
 *            engine_submit. It crosses to the owner's thread and back as a message.
 * Memory:    all views given in must live until done. The answer's body is in `answer`: the
 *            caller's buffer when it fits, else memory of the engine's that request_release gives
 *            back.
 * Tests:     tests/unit/engine/shard/.
 */
#ifndef FRESHET_ENGINE_SHARD_REQUEST_H
#define FRESHET_ENGINE_SHARD_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/collection.h"
#include "engine/shard/mailbox.h"
#include "engine/shard/principal.h"
#include "protocol/base/bytes.h"
#include "protocol/base/list.h"
#include "protocol/base/status.h"

enum request_kind {
    REQUEST_GET,
    REQUEST_CREATE, /* the engine makes the id */
    REQUEST_PUT,
    REQUEST_PATCH,
    REQUEST_DELETE,
    REQUEST_LIST,
    /* A user's own event into the journal: `document` is it; collection is NULL. The engine makes
     * its id (new_id). */
    REQUEST_EVENT
};

/* One entity tag that this server could have made. */
struct entity_tag {
    uint64_t epoch;
    uint64_t sequence;
};

#define PRECONDITION_TAGS_MAX 32

enum precondition_kind {
    PRECONDITION_NONE,
    PRECONDITION_ANY,  /* "*" */
    PRECONDITION_TAGS, /* a list; tags that are not ours can never match and are left out */
};

struct precondition {
    enum precondition_kind kind;
    const struct entity_tag *tags;
    uint32_t tag_count;
};

/* How a read was answered, for Cache-Status. */
enum cache_outcome {
    CACHE_HIT,
    CACHE_MISS_STORED,    /* fwd=uri-miss; stored */
    CACHE_MISS_UNSTORED,  /* fwd=uri-miss */
    CACHE_REFRESH_STORED, /* fwd=request; stored */
    CACHE_REFRESH_UNSTORED,
    CACHE_COLLAPSED, /* fwd=uri-miss; collapsed: shared another request's fill */
    CACHE_OFF        /* fwd=bypass */
};

/* How a record is shown: with its id, as JSON or as MessagePack. */
enum record_form { RECORD_JSON, RECORD_MSGPACK };
#define RECORD_FORM_COUNT 2

struct request {
    struct message message; /* the engine's */
    struct link link;       /* the engine's: waiting lists */

    /* ---- in ---- */
    enum request_kind kind;
    const struct collection *collection;
    const struct principal *principal;
    struct bytes id;       /* not for CREATE and LIST */
    uint64_t hash;         /* engine_hash(collection, id), when kind has an id */
    struct bytes document; /* MessagePack map: the new document, or the patch; without "id" */
    struct precondition if_match; /* of a write; who reads judges a GET's by the answer */
    struct precondition if_none_match;
    bool refresh;                 /* Cache-Control: no-cache */
    enum record_form form;        /* of the answer; a page is JSON in any case */
    bool without_record;          /* a write's answer needs no body */
    uint64_t minimum_sequence;    /* wait until this is published, up to 1 s; 0: do not wait */
    struct bytes idempotency_key; /* CREATE, EVENT: principal, path and key; empty: none */
    uint8_t body_hash[16];        /* of the request's body, with a key */
    struct bytes list_field;      /* LIST: empty for all records, else a declared index */
    struct bytes list_value;
    struct bytes list_after; /* LIST: the page begins after this id; empty: at the start */
    uint32_t list_limit;     /* 1 to LIST_RECORDS_MAX */
    uint8_t *answer_buffer;  /* for small bodies; may be NULL */
    size_t answer_buffer_size;
    void (*done)(struct request *request);

    /* ---- out ---- */
    enum status status;
    /* set when status is not OK and there is more to say than the status does; else empty */
    struct detail detail;
    bool created; /* PUT: the record did not exist */
    bool changed; /* a write made an entry */
    enum cache_outcome cache;
    /* Of the record's, or the page's newest, state: the entity tag. Of a GET that finds nothing: of
     * a moment at which there was no such record. */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t version;
    uint64_t made_at_ms; /* when the cached answer was made (wall clock) */
    uint64_t ttl_ns;     /* left in the cache; 0 when not cached */
    /* The record in its form, or JSON of the page. GET of an internal collection: the same. */
    struct bytes answer;
    /* the last id of a page after which there is more; empty: no more; inside answer's memory */
    struct bytes list_next;
    struct bytes new_id; /* CREATE: 36 characters, in new_id_text */
    char new_id_text[36];

    /* ---- the engine's ---- */
    void *answer_memory;   /* to be freed */
    size_t answer_counted; /* of it, in the engine's answer_bytes */
    uint32_t shard;
    uint32_t home; /* the thread that submitted */
    uint64_t deadline_ns;
    uint64_t list_arrived; /* LIST: how many gathers its thread had begun before it came */
    struct link followers; /* requests whose answer depends on the same pending write */
    void *engine_private;
};

/* Gives the answer's memory back; the request may then be used again. */
void request_release(struct request *request);

#endif
