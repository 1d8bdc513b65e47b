/*
 * freshet.h: libfreshet, the C client of Freshet: records, changes, and a cache that is never
 * stale.
 *
 *     struct freshet *db;
 *     if (freshet_connect("freshet://127.0.0.1:7400", NULL, &db) != FRESHET_OK) { … }
 *     struct freshet_record record;
 *     if (freshet_get(db, "products", "42", &record) == FRESHET_OK) {
 *         printf("%.*s\n", (int)record.size, record.data);
 *     }
 *     freshet_close(db);
 *
 * Threads:  a handle belongs to one thread at a time. Handles share nothing.
 * Memory:   what a call hands out (records, changes, texts) belongs to the handle and is valid
 *           until the next call with it, except where another lifetime is said; nothing needs to
 *           be freed but handles, lists and subscriptions, by their close; lists before their
 *           handle.
 * Documents: JSON text, unless options.format says MessagePack.
 * Blocking: the calls of this header wait, at most options.timeout_ms each. For event loops see
 *           freshet_async.h.
 */
#ifndef FRESHET_H
#define FRESHET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FRESHET_API __attribute__((visibility("default")))

enum freshet_status {
    FRESHET_OK = 0,
    FRESHET_END,                 /* of a list; a subscription has ended */
    FRESHET_AGAIN,               /* freshet_next: nothing came in time */
    FRESHET_NOT_MODIFIED,        /* 304 */
    FRESHET_INVALID,             /* 400, or an argument that cannot be sent */
    FRESHET_UNAUTHORIZED,        /* 401 */
    FRESHET_FORBIDDEN,           /* 403 */
    FRESHET_NOT_FOUND,           /* 404: no such record, collection or consumer */
    FRESHET_CONFLICT,            /* 409 */
    FRESHET_POSITION_EXPIRED,    /* 410; freshet_error has oldest and newest */
    FRESHET_PRECONDITION_FAILED, /* 412 */
    FRESHET_TOO_LARGE,           /* 413 */
    FRESHET_UNPROCESSABLE,       /* 422 */
    FRESHET_SERVER_ERROR,        /* 500, 501 and whatever else */
    FRESHET_BUSY,                /* 429, 503: nothing was changed; try again later */
    FRESHET_OUTCOME_UNKNOWN,     /* the write may or may not have been kept */
    FRESHET_DISCONNECTED,        /* no connection; reads may be tried again */
    FRESHET_TIMEOUT,             /* of this client; what was asked may still happen */
    FRESHET_PROTOCOL,            /* what came is not the protocol; the connection is closed */
    FRESHET_NO_MEMORY
};

/* What went wrong with the last call that did not return OK. Texts are never NULL. */
struct freshet_error {
    enum freshet_status status;
    int code;           /* as REST has it; 0: the client's own */
    const char *type;   /* "position-expired", "outcome-unknown", …; or empty */
    const char *detail; /* in plain words */
    int64_t retry_after_ms;
    const char *oldest; /* FRESHET_POSITION_EXPIRED */
    const char *newest;
};

enum freshet_format { FRESHET_JSON, FRESHET_MSGPACK };

struct freshet_options {
    enum freshet_format format;
    size_t near_cache_bytes;            /* 0: no near cache */
    const char *near_cache_collections; /* names with commas; NULL: all */
    int lease_ms;                       /* of the near cache; 0: 2000 */
    int connect_timeout_ms;             /* 0: 5000 */
    int timeout_ms;                     /* of a call; 0: 30000 */
    bool no_reconnect;                  /* a lost connection stays lost */
    bool checked;                       /* checksums in both directions */
    const char *token;                  /* credentials; NULL: anonymous */
};

struct freshet;

/* url: "freshet://HOST[:PORT]"; port 7400 by default. options NULL: all defaults. On failure *out
 * is still a handle if there was memory, so that freshet_error can be asked; close it. */
FRESHET_API enum freshet_status
freshet_connect(const char *url, const struct freshet_options *options, struct freshet **out);
FRESHET_API void freshet_close(struct freshet *db); /* accepts NULL */
FRESHET_API const struct freshet_error *freshet_error(const struct freshet *db);
FRESHET_API const char *freshet_status_text(enum freshet_status status);

/* ---- records ---- */

struct freshet_record {
    const char *data; /* the record with its id, in the handle's format; not NUL-terminated */
    size_t size;
    uint64_t epoch; /* a later state of the record has a greater (epoch, sequence) */
    uint64_t sequence;
    uint64_t version;
    bool near; /* from the near cache */
};

struct freshet_read_options {
    const char *minimum_position; /* wait for it on the server */
    bool fresh;                   /* past every cache */
};

/*
 * NOT_FOUND: there is no such record, and out has no data but the epoch and sequence of a moment at
 * which there was none; or no such collection: then out->epoch is 0, and freshet_error says so.
 */
FRESHET_API enum freshet_status freshet_get(struct freshet *db, const char *collection,
                                            const char *id, struct freshet_record *out);
FRESHET_API enum freshet_status freshet_get_with(struct freshet *db, const char *collection,
                                                 const char *id,
                                                 const struct freshet_read_options *options,
                                                 struct freshet_record *out);
/* out has `count` places; one with data NULL is not there. */
FRESHET_API enum freshet_status freshet_get_many(struct freshet *db, const char *collection,
                                                 const char *const *ids, size_t count,
                                                 struct freshet_record *out);

struct freshet_write_options {
    const char *if_match;        /* an etag, or "*" */
    bool if_absent;              /* PUT: only if there is none */
    const char *idempotency_key; /* CREATE */
};

struct freshet_written {
    const char *id;
    const char *etag;     /* empty after a delete */
    const char *position; /* of this write in the journal */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t version;
    bool created;
    bool changed; /* false: it was equal already, or was not there to be deleted */
};

/* options and out may be NULL. */
FRESHET_API enum freshet_status freshet_put(struct freshet *db, const char *collection,
                                            const char *id, const char *document, size_t size,
                                            const struct freshet_write_options *options,
                                            struct freshet_written *out);
FRESHET_API enum freshet_status freshet_create(struct freshet *db, const char *collection,
                                               const char *document, size_t size,
                                               const struct freshet_write_options *options,
                                               struct freshet_written *out);
FRESHET_API enum freshet_status freshet_patch(struct freshet *db, const char *collection,
                                              const char *id, const char *patch, size_t size,
                                              const struct freshet_write_options *options,
                                              struct freshet_written *out);
/* OK also when there was none; out->changed tells. */
FRESHET_API enum freshet_status freshet_delete(struct freshet *db, const char *collection,
                                               const char *id,
                                               const struct freshet_write_options *options,
                                               struct freshet_written *out);

/* ---- lists ---- */

struct freshet_list;

struct freshet_list_options {
    const char *index; /* a declared index field and its value; NULL: all records */
    const char *value;
    unsigned page; /* records asked for at a time; 0: 1000 */
};

/* Records in id order. Writes in between are seen or not; no record comes twice. For the near cache
 * what a list shows counts as read; that a record is missing in it does not. */
FRESHET_API enum freshet_status freshet_list(struct freshet *db, const char *collection,
                                             const struct freshet_list_options *options,
                                             struct freshet_list **out);
/* FRESHET_END after the last one. out is valid until the next call with the list. */
FRESHET_API enum freshet_status freshet_list_next(struct freshet_list *list,
                                                  struct freshet_record *out);
FRESHET_API void freshet_list_close(struct freshet_list *list); /* accepts NULL */

/* ---- batches: many operations in one round trip; each stands for itself ---- */

enum freshet_operation_kind {
    FRESHET_BATCH_GET,
    FRESHET_BATCH_PUT,
    FRESHET_BATCH_PATCH,
    FRESHET_BATCH_DELETE,
    FRESHET_BATCH_CREATE
};

struct freshet_operation {
    /* in */
    enum freshet_operation_kind kind;
    const char *collection;
    const char *id;
    const char *document;
    size_t size;
    const struct freshet_write_options *options; /* or NULL */
    /* out */
    enum freshet_status status; /* NOT_FOUND of GET as of freshet_get */
    int code;                   /* when status is not OK these are as in freshet_error */
    const char *type;
    const char *detail;
    struct freshet_record record;   /* GET */
    struct freshet_written written; /* the others */
};

/*
 * Up to 1000; reads in it are not answered by the near cache. OK: all were carried out, each with a
 * status of its own; else all have that one.
 */
FRESHET_API enum freshet_status freshet_batch(struct freshet *db,
                                              struct freshet_operation *operations, size_t count);

/* ---- changes ---- */

enum freshet_event {
    FRESHET_INSERT,
    FRESHET_MODIFY,
    FRESHET_REMOVE,
    FRESHET_USER_EVENT, /* POST /events; data is all of it */
    FRESHET_SNAPSHOT,   /* a record as it is */
    FRESHET_SYNCED,     /* the snapshot is whole */
    FRESHET_PROGRESS    /* nothing matched up to position */
};

struct freshet_change {
    enum freshet_event event;
    const char *position; /* goes on after this change */
    const char *collection;
    const char *id;
    uint64_t sequence;
    uint64_t version;
    const char *new_image; /* in the handle's format; NULL: none, or not in the view */
    size_t new_image_size;
    const char *old_image;
    size_t old_image_size;
    const char *data; /* the whole change */
    size_t data_size;
};

enum freshet_view { FRESHET_VIEW_BOTH, FRESHET_VIEW_KEYS, FRESHET_VIEW_NEW, FRESHET_VIEW_OLD };

struct freshet_subscribe_options {
    const char *collection; /* NULL: all */
    const char *pattern;    /* JSON; NULL: every change */
    /* "latest" (also NULL), "earliest", "snapshot", a position, or a time as RFC 3339 has it */
    const char *start;
    enum freshet_view view;
    bool enter_leave;
    bool wants_progress;
    unsigned credit;      /* changes under way at most; 0: 4096 */
    const char *consumer; /* a named consumer: collection, pattern and start are its own */
    const char *member;   /* of a group */
};

struct freshet_subscription;

FRESHET_API enum freshet_status freshet_subscribe(struct freshet *db,
                                                  const struct freshet_subscribe_options *options,
                                                  struct freshet_subscription **out);
/*
 * The next change, in order, each once; after a lost connection it goes on where it was. AGAIN when
 * none came within timeout_ms (0: only looks; -1: waits for ever). POSITION_EXPIRED and others end
 * the subscription. Of a named consumer, what was not acknowledged comes again after a lost
 * connection. out is valid until the next call with the subscription.
 */
FRESHET_API enum freshet_status freshet_next(struct freshet_subscription *subscription,
                                             int timeout_ms, struct freshet_change *out);
/* From which a new subscription goes on after the last change that was handed out. */
FRESHET_API const char *freshet_position(const struct freshet_subscription *subscription);
/* All up to the last change that was handed out is done with (a named consumer's). */
FRESHET_API enum freshet_status freshet_acknowledge(struct freshet_subscription *subscription);
FRESHET_API void freshet_unsubscribe(struct freshet_subscription *subscription); /* accepts NULL */

/* ---- named consumers ---- */

struct freshet_consumer {
    const char *name;
    const char *collection;
    const char *pattern;
    const char *position;
    bool group;
    unsigned members;
    uint64_t lag_events;
    uint64_t lag_bytes;
    double lag_seconds;
};

struct freshet_consumer_options {
    const char *collection;
    const char *pattern;
    const char *start; /* as of a subscription, but "snapshot" */
    bool group;
};

FRESHET_API enum freshet_status freshet_consumer_put(struct freshet *db, const char *name,
                                                     const struct freshet_consumer_options *options,
                                                     struct freshet_consumer *out);
FRESHET_API enum freshet_status freshet_consumer_get(struct freshet *db, const char *name,
                                                     struct freshet_consumer *out);
FRESHET_API enum freshet_status freshet_consumer_delete(struct freshet *db, const char *name);
/* Up to `count` consumers by name, after the one called `after` (NULL: from the first). */
FRESHET_API enum freshet_status freshet_consumer_list(struct freshet *db, const char *after,
                                                      struct freshet_consumer *out, size_t count,
                                                      size_t *count_out);

/* ---- the near cache ---- */

struct freshet_near_statistics {
    uint64_t hits;
    uint64_t misses;
    uint64_t passed;        /* reads that went to the server because the lease was over */
    uint64_t invalidations; /* keys told by the server */
    uint64_t dropped_fills; /* answers that were older than an invalidation */
    uint64_t evictions;
    uint64_t entries;
    uint64_t bytes;
};

FRESHET_API void freshet_near_statistics(const struct freshet *db,
                                         struct freshet_near_statistics *out);

#ifdef __cplusplus
}
#endif

#endif
