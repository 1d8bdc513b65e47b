/*
 * consumers_internal.h: what the files of the consumers share.
 *
 *     consumers.c         life, turns, the table, requests on their way, reading and acknowledging
 *     consumers_change.c  PUT and DELETE, and every write of a record
 *     consumers_record.c  the record: written, read back, and loaded at start
 *     consumers_group.c   members, slots and leases
 *     consumers_lag.c     what is not acknowledged, and the list
 *
 * A request belongs to the thread that submitted it until it is posted to the owner of its
 * consumer, and to that one until it is posted back. All it finds there happens in the owner's
 * consumers_step: what arrives in between only gets into a list.
 */
#ifndef FRESHET_ENGINE_STREAM_CONSUMERS_INTERNAL_H
#define FRESHET_ENGINE_STREAM_CONSUMERS_INTERNAL_H

#include "engine/stream/consumers.h"
#include "protocol/base/assert.h"
#include "protocol/base/list.h"
#include "protocol/document/document.h"

#define CONSUMER_BUCKETS 4096
/* Entries that one look at the recent ones may walk: for the lag of one consumer, for a whole list,
 * and to see whether anything but internal ones was passed. */
#define CONSUMER_LAG_ENTRIES    4096
#define CONSUMER_LIST_ENTRIES   16384
#define CONSUMER_PASSED_ENTRIES 256
/* A load that failed is tried again after this long. */
#define CONSUMER_LOAD_RETRY_NS 1000000000ull
#define CONSUMER_LOAD_PAGE     100
/* What stands in a definition around collection and pattern, and in a record around the definition
 * and the positions, of CONSUMER_SEQUENCE_BYTES each. */
#define CONSUMER_SEQUENCE_BYTES         9
#define CONSUMER_DEFINITION_FIXED_BYTES 64
#define CONSUMER_RECORD_FIXED_BYTES     64

enum slot_state {
    SLOT_FREE,
    SLOT_HELD,
    SLOT_REVOKED, /* held still, and read; goes when its holder asks again */
    SLOT_DRAINING /* no longer read; goes when all that was given is acknowledged */
};

struct group_slot {
    enum slot_state state;
    struct group_member *holder; /* NULL: free */
    uint64_t since;              /* the generation in which its holder got it */
    uint64_t drained_in;         /* DRAINING: the generation in which its holder reads without it */
    uint64_t given_sequence;     /* DRAINING: up to here its holder was given changes */
};

struct group_member {
    struct link of_lease; /* in consumers->leases, the oldest first */
    struct link of_drain; /* in consumers->drains likewise, while a slot of it is draining */
    struct consumer *consumer;
    uint64_t renewed_ns;
    uint64_t drained_ns;
    uint64_t generation; /* of the last change of what it reads */
    uint32_t kept;       /* slots, while they are being shared out */
    uint32_t target;
    size_t name_size;
    uint8_t name[CONSUMER_MEMBER_BYTES_MAX];
};

struct group {
    struct group_slot slots[SLOT_COUNT];
    struct group_member *members[CONSUMER_MEMBERS_MAX]; /* in the order in which they came */
    uint32_t member_count;
};

/* What there is of a consumer that exists. A plain one is read as a whole and has one position. */
struct consumer_body {
    uint8_t *definition; /* MessagePack {"collection"?,"pattern"?,"group"} */
    size_t definition_size;
    struct bytes collection; /* in definition; empty: all */
    struct group *group;     /* NULL: it is none */
    uint64_t generation;     /* of its last change that readers must hear of */
    uint64_t time_ms;        /* nothing that is not acknowledged is older */
    uint32_t slot_count;     /* 1, or SLOT_COUNT */
    uint64_t *acked;         /* by slot: as acknowledged */
    uint64_t *writing;       /* as it is being written */
    uint64_t *written;       /* as it is recorded */
    uint64_t sequences[];    /* the memory of the three */
};

struct consumer {
    struct consumer *chain;
    struct consumers *consumers;
    uint64_t hash;
    struct consumer_body *body; /* NULL: there is none, or it has not been recorded yet */
    struct link of_written;     /* in consumers->written */
    struct link of_cooling;     /* in consumers->cooling */
    uint64_t cooling_since_ns;
    bool dirty;                      /* something is acknowledged and not being written */
    bool is_writing;                 /* the request is with the engine */
    struct link acks;                /* wait for the next write */
    struct link acks_writing;        /* wait for the one that runs */
    struct link changes;             /* PUT and DELETE that wait for their turn */
    struct consumer_request *change; /* the one that runs; also while its job does */
    struct consumer_body *body_next; /* PUT of a new one */
    uint8_t *definition_next;        /* PUT of another definition */
    size_t definition_next_size;
    struct request request;
    uint8_t *document; /* of the request */
    size_t name_size;
    uint8_t name[CONSUMER_NAME_BYTES_MAX];
};

enum load_state { LOAD_NEEDED, LOAD_RUNNING, LOAD_DONE };

struct consumers {
    struct consumers_options options;
    struct journal *journal;
    struct principal principal;
    struct link arrived;  /* requests to look at, as their owner */
    struct link finished; /* requests to call done for, as their home */
    struct link written;  /* consumers whose write is done */
    struct link cooling;  /* consumers that wrote lately; the oldest first */
    struct link leases;   /* members, the oldest renewal first */
    struct link drains;   /* members with a draining slot, the oldest first */
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t generation;   /* the last that was given */
    uint64_t pending;      /* requests submitted here and not done */
    uint64_t writes;       /* with the engine */
    uint32_t member_count; /* of all groups here */
    enum load_state load_state;
    uint64_t load_at_ns; /* NEEDED: not before */
    struct request load;
    uint8_t load_after[ID_BYTES_MAX];
    struct consumer *buckets[CONSUMER_BUCKETS];
    /* Shared by all threads: how many consumers there are; all[0]'s counts. */
    _Atomic uint32_t total;
};

static inline struct bytes consumer_name(const struct consumer *consumer)
{
    return bytes_of(consumer->name, consumer->name_size);
}

/* ---- consumers.c ---- */

struct consumer *consumer_find(struct consumers *consumers, struct bytes name);
/* Finds or makes the shell, which has no body yet; NULL when out of memory. */
struct consumer *consumer_get(struct consumers *consumers, struct bytes name);
/* Frees the shell when there is nothing in it any more. */
void consumer_settle(struct consumer *consumer);
/* Posts the request back to the thread that submitted it. */
void consumer_finish(struct consumers *consumers, struct consumer_request *request,
                     enum status status);
/* Fills in what PUT, GET and READ tell of a consumer. */
void consumer_describe(const struct consumer *consumer, struct consumer_request *request);
/* The same with the definition, or NO_MEMORY. */
MUST_USE enum status consumer_define(const struct consumer *consumer,
                                     struct consumer_request *request);
/* A number that no reader has been given before, not by an earlier process either. */
uint64_t consumers_generation_next(struct consumers *consumers);
struct token consumers_token(const struct consumers *consumers, uint64_t sequence);
uint64_t sequences_lowest(const uint64_t *sequences, uint32_t count);

/* ---- consumers_change.c ---- */

/* A PUT or a DELETE comes, or comes back from its job. */
void consumer_change(struct consumers *consumers, struct consumer_request *request);
/* Starts what can be started: a change, or the acknowledgements that wait. May free the
 * consumer. */
void consumer_advance(struct consumer *consumer);
/* A write is done. May free the consumer. */
void consumer_written(struct consumer *consumer);

/* ---- consumers_record.c ---- */

/* Takes the definition over, also when it fails: NULL when out of memory. */
struct consumer_body *consumer_body_create(uint8_t *definition, size_t definition_size, bool group);
void consumer_body_destroy(struct consumer_body **body); /* no members; accepts NULL */
/* Replaces the definition, and takes it over. */
void consumer_body_define(struct consumer_body *body, uint8_t *definition, size_t definition_size);
/* malloc; NULL when out of memory. */
uint8_t *consumer_definition_create(struct bytes collection, struct bytes pattern, bool group,
                                    size_t *size_out);
/* The record as it would be written now, with a definition that may not be the body's yet. */
void consumer_record_write(const struct consumer_body *body, struct bytes definition,
                           const uint64_t *sequences, struct writer *out);
/* DAMAGED when it is not one; NO_MEMORY. */
MUST_USE enum status consumer_record_read(struct bytes record, struct consumer_body **out);
/* Begins the load or goes on with it. */
void consumers_load(struct consumers *consumers);

/* ---- consumers_group.c ---- */

void group_read(struct consumer *consumer, struct consumer_request *request);
/* How far a member's acknowledgement moves each slot of the body; the number of slots that it
 * counts for. raised_out[s] is 0 where it moves nothing. */
uint32_t group_ack(struct consumer *consumer, const struct consumer_request *request,
                   uint64_t raised_out[SLOT_COUNT]);
/* Slots whose drain has ended go to others. */
void group_acked(struct consumer *consumer);
void group_leave(struct consumer *consumer, struct bytes member);
/* All readers are to begin anew. */
void group_refresh(struct consumer *consumer);
/* No member is left. */
void group_empty(struct consumer *consumer);
/* Ends leases and drains; returns when the next ends. */
uint64_t groups_step(struct consumers *consumers);

/* ---- consumers_lag.c ---- */

/* Whether an entry that is not internal stands after `after`, up to `through`. */
bool consumers_passed(struct consumers *consumers, uint64_t after, uint64_t through);
/* The time of a recent entry; false when it is not one. */
bool consumers_time_of(struct consumers *consumers, uint64_t sequence, uint64_t *time_ms_out);
/*
 * At most *budget entries are looked at, which count down. False: the age is a bound only, and the
 * exact one is a store thread's to find (consumers_find_first).
 */
bool consumer_lag_read(const struct consumer *consumer, uint64_t *budget,
                       struct consumer_lag *lag_out);
/* Starts a job; the request arrives again with found_status. */
void consumers_find_time(struct consumers *consumers, struct consumer_request *request);
void consumers_find_first(struct consumers *consumers, struct consumer_request *request,
                          uint64_t after);
/* Adds this thread's consumers, then goes on to the next thread, or home. */
void consumers_list(struct consumers *consumers, struct consumer_request *request);
void consumer_listing_destroy(struct consumer_listing **listing); /* accepts NULL */

#endif
