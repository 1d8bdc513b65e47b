/*
 * consumers.h: named consumers and consumer groups: whose position the server keeps.
 *
 * A consumer is a record of the internal collection _consumers. It belongs to the thread that owns
 * that record's shard, which keeps it in memory too; requests go there as messages and come back in
 * the same one, like requests on records.
 *
 *     {"collection":…,"pattern":…,"group":false,"time":ms,"positions":[sequence]}
 *     {"group":true,"time":ms,"positions":[sequence of slot 0, … of slot 255]}
 *
 * A recorded position is a bare sequence: the entry that records it comes later in the journal than
 * the entry it names, so wherever the record survived, what it names survived too.
 *
 * Acknowledging moves a position on, never back. Acknowledgements are written at most once per
 * CONSUMER_WRITE_NS for each consumer, the first at once; an acknowledgement is answered when it is
 * committed. No consumer moves on internal entries alone: an acknowledgement that passes nothing
 * else is answered and not written, or a consumer that follows an idle server would keep itself
 * busy with its own acknowledgements.
 *
 * Groups: each of the 256 slots has a position and at most one member that reads it. A member is
 * whoever has asked with ?member= within the lease. Slots are shared out evenly:
 *
 *     free --> held --> revoked --> draining --> free
 *                          |                      ^
 *                          +----------------------+
 *
 * A held slot is revoked when another member is to have it. Its holder is done with it when it asks
 * again from the start, or has acknowledged all that it was given; while it has not, the slot is
 * draining: it is no longer read, and not yet anyone else's. A lease that ends, of the member or of
 * the drain, frees it in any case. So the changes of a record are worked on by one member at a
 * time, in order.
 *
 * The generation counts such moves. A reader's tokens carry the one in which it began, and an
 * acknowledgement counts for the slots that the member has held since then: it says that all that
 * the member was given before it is done.
 *
 * Owner:   struct consumers belongs to one thread, with its engine_thread. The caller embeds a
 *          consumer_request and leaves it alone until done runs, once.
 * Shared:  the count of all consumers, an atomic in all[0]. All else crosses threads in messages.
 * Memory:  at most CONSUMERS_MAX consumers; CONSUMER_MEMBERS_MAX members of a group, and
 *          CONSUMER_MEMBERS_THREAD_MAX of a thread.
 * Time:    passed in.
 * Tests:   tests/unit/engine/stream/test_consumers.c, tests/integration/test_consumers.py.
 */
#ifndef FRESHET_ENGINE_STREAM_CONSUMERS_H
#define FRESHET_ENGINE_STREAM_CONSUMERS_H

#include "engine/shard/engine.h"
#include "engine/stream/stream.h"

#define CONSUMERS_MAX               10000 /* of all threads */
#define CONSUMER_NAME_BYTES_MAX     128   /* 1 to so many of [A-Za-z0-9._-] */
#define CONSUMER_MEMBER_BYTES_MAX   128   /* the same */
#define CONSUMER_MEMBERS_MAX        SLOT_COUNT
#define CONSUMER_MEMBERS_THREAD_MAX 16384
#define CONSUMER_WRITE_NS           100000000ull
#define CONSUMER_LEASE_NS           30000000000ull
/* A reader of a group asks again so often, or three times a lease. */
#define CONSUMER_RENEW_NS 1000000000ull
/* A pattern as MessagePack: what PATTERN_JSON_BYTES_MAX of JSON can become at most. */
#define CONSUMER_PATTERN_BYTES_MAX (3 * PATTERN_JSON_BYTES_MAX)
/* A page of a list ends at whichever comes first; the bytes are those of the definitions. */
#define CONSUMER_LIST_MAX       1000
#define CONSUMER_LIST_BYTES_MAX LIST_BYTES_MAX

enum consumer_request_kind {
    CONSUMER_PUT, /* create, or change pattern and collection; the position stays */
    CONSUMER_GET, /* as it is, with its lag */
    CONSUMER_DELETE,
    CONSUMER_READ, /* before reading, and while a stream goes on: where from, and for a member which
                    * slots; renews its lease */
    CONSUMER_ACK,
    CONSUMER_LEAVE, /* a member goes in order: its slots are free at once */
    CONSUMER_LIST   /* all consumers by name, those of all threads */
};

struct consumer_lag {
    /* Published changes of the consumer's collection that are not acknowledged, whatever its
     * pattern. Exact when they are few and recent; else entries of any kind are counted. */
    uint64_t events;
    uint64_t bytes;  /* of the journal */
    uint64_t age_ms; /* how old the first of them is, at most; 0: none */
};

/* One of a list; views live until done returns. */
struct consumer_row {
    struct bytes name;
    struct bytes definition; /* as in consumer_request */
    uint64_t sequence;       /* of its position, or of its lowest */
    bool is_group;
    uint32_t member_count;
    struct consumer_lag lag;
    /* the module's */
    struct consumer *consumer;
    uint8_t *memory;
};

struct consumer_listing;

struct consumer_request {
    struct message message; /* the module's */
    struct link link;       /* the module's */

    /* ---- in; views live until done ---- */
    enum consumer_request_kind kind;
    struct bytes name;
    struct bytes member;         /* READ, ACK, LEAVE of a group */
    struct bytes collection;     /* PUT; empty: all */
    struct bytes pattern;        /* PUT: MessagePack; empty: none. Checked by the caller */
    bool group;                  /* PUT */
    enum subscription_from from; /* PUT of a new one: LATEST, EARLIEST, TOKEN or TIME */
    uint64_t time_ms;            /* PUT with TIME */
    /* PUT with TOKEN; ACK: up to here all is done. READ: where the reader stands, if has_token,
     * with the generation in which it began; else it begins at what is acknowledged. */
    struct token token;
    bool has_token;
    uint64_t given_sequence;   /* READ with has_token: of the last change that the reader was given;
                                * 0: none */
    uint64_t known_generation; /* READ: what a reader that goes on has; 0: it begins */
    struct bytes after;        /* LIST: begins after this name */
    uint32_t limit;            /* LIST: 1 to CONSUMER_LIST_MAX */
    void (*done)(struct consumer_request *request);

    /* ---- out ---- */
    /* NOT_FOUND; CONFLICT: a group where none is meant, or the other way round, or a member's slots
     * have moved; INVALID; POSITION_EXPIRED; BUSY: too many; what a write can end with */
    enum status status;
    struct detail detail; /* empty: the status says all */
    bool created;
    bool is_group;
    /* PUT, GET, ACK: of a group the lowest of its slots. READ: where the reader begins. LIST: the
     * store and epoch of all rows. */
    struct token position;
    /* READ. The reader's: another one than known_generation means that it is to begin anew, with
     * the definition and slots given here; else these are not filled in. Tokens of a group carry
     * it. */
    uint64_t generation;
    struct slot_set slots;               /* READ of a member */
    uint64_t slot_sequences[SLOT_COUNT]; /* READ of a member: it begins after these */
    uint32_t member_count;               /* PUT, GET, READ */
    struct consumer_lag lag;             /* PUT, GET */
    /* PUT, GET, READ: MessagePack {"collection"?,"pattern"?,"group"}; valid until done returns */
    struct bytes definition;
    const struct consumer_row *rows; /* LIST; valid until done returns */
    uint32_t row_count;
    bool more; /* LIST: there are others after the last row */

    /* ---- the module's ---- */
    struct store_job job;
    struct consumers *home;
    struct consumers *owner;
    uint8_t *memory;
    struct consumer_listing *listing;
    enum status found_status; /* of the job */
    uint64_t found_sequence;
    uint64_t found_time_ms;
    bool was_found;
};

struct consumers;

struct consumers_options {
    struct engine *engine;
    struct engine_thread *engine_thread; /* of this thread, which runs shards */
    uint32_t thread_index;
    struct executor *executor;
    const struct collection *collection; /* COLLECTION_CONSUMERS */
    /* All threads' consumers, by thread; filled before any thread runs. */
    struct consumers **all;
    uint32_t thread_count;
    uint64_t lease_ns; /* 0: CONSUMER_LEASE_NS */
};

MUST_USE enum status consumers_create(const struct consumers_options *options,
                                      struct consumers **out);
void consumers_destroy(struct consumers **consumers); /* idle; accepts NULL */

/* On the thread of `consumers`, at any time. Never calls done. */
void consumers_submit(struct consumers *consumers, struct consumer_request *request);

/* After engine_thread_step. The first steps load what is recorded; requests wait for that. Returns
 * when it wants to run again though nothing happens (0: at once). */
uint64_t consumers_step(struct consumers *consumers, uint64_t now_ns, uint64_t wall_ms);
/* Nothing submitted here is without its answer, and nothing is being written or read. */
bool consumers_idle(const struct consumers *consumers);
/* How often a member's reader is to ask again (CONSUMER_READ), so that it keeps its lease and
 * learns soon that its slots have moved. */
uint64_t consumers_renew_ns(const struct consumers *consumers);
uint64_t consumers_lease_ns(const struct consumers *consumers);

bool consumer_name_valid(struct bytes name);

#endif
