/*
 * webhooks_internal.h: what the files of the worker share.
 *
 *     webhooks.c          life, the turn, drain
 *     webhooks_control.c  rules are put, changed and deleted
 *     webhooks_rules.c    a rule as it runs: its subscription, its position, its state
 *     webhooks_window.c   what its position waits for
 *     webhooks_items.c    a change on its way: order per record, parked, given up
 *     webhooks_calls.c    when a call may start, how it is rendered, what its end means
 *     webhooks_records.c  records of the internal collections: written, walked, read at start
 *     webhooks_redrive.c  dead letters that are to be tried again
 *     webhooks_metrics.c  what other threads may ask
 *
 * The life of an item:
 *
 *     deliver --> IDLE behind another of its record
 *                  | first of its record
 *                  v
 *                READY --> READING (parked: its change is read back) --> CALLING --> 2xx: removed
 *                  ^                                                       | else
 *                  |                          due                          v
 *                  +---------- TIMED <--------------------- WRITING (parked, or dead letter)
 *
 * Only the first item of a record is called. While it is parked, or being parked, those behind it
 * are parked as well, as they come.
 *
 * Owner: everything belongs to the worker's thread, but for what `shown_lock` guards.
 */
#ifndef FRESHET_NET_WEBHOOK_WEBHOOKS_INTERNAL_H
#define FRESHET_NET_WEBHOOK_WEBHOOKS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "net/webhook/webhook_calls.h"
#include "net/webhook/webhooks.h"
#include "protocol/base/assert.h"

/* A position is written at most so often, and that of a rule for which nothing comes, so often. */
#define STATE_WRITE_NS 100000000ull
#define STATE_IDLE_NS  60000000000ull
/* What the engine refused is submitted again after this. */
#define AGAIN_NS 1000000000ull
#define DRAIN_NS 1000000000ull
/* How long a target that cannot be reached, or asks for it, is left alone: doubled each time. */
#define PAUSE_NS_MIN 100000000ull
#define PAUSE_NS_MAX 30000000000ull
/* So much of a second a rule may be ahead of its rate. */
#define RATE_AHEAD_NS 100000000ull
/* Puts and deletes of rules that wait to be taken over. */
#define OPERATIONS_MAX 256
#define RECORD_BUCKETS 65536
#define RUNNER_BUCKETS 4096
#define WALK_ROWS_MAX  256
/* rule 01 record 01 event, where the record is 32 hexadecimal digits of its hash. */
#define PARKED_ID_BYTES_MAX (RULE_NAME_BYTES_MAX + 1 + 32 + 1 + CHANGE_ID_BYTES_MAX)
/* A parked change or a dead letter beyond the change itself. */
#define PARKED_FIXED_BYTES_MAX (512 + 6 * WEBHOOK_REASON_BYTES_MAX + 4 * WEBHOOK_ANSWER_BYTES_MAX)
/* A rule may always have so many items, whatever others have. */
#define ITEMS_LEAST 64
#define HEAP_NONE   UINT32_MAX

static_assert(PARKED_ID_BYTES_MAX <= ID_BYTES_MAX, "it is a record's id");

enum { SAY_ERROR, SAY_WARNING, SAY_INFO };

struct runner;
struct webhooks;

enum item_stage {
    ITEM_IDLE,
    ITEM_READY,
    ITEM_READING,
    ITEM_CALLING,
    ITEM_WRITING,
    ITEM_TIMED,
};

enum item_write {
    ITEM_WRITE_NONE,
    ITEM_WRITE_PARK,
    ITEM_WRITE_DEAD,
    ITEM_WRITE_REMOVE, /* delivered or a dead letter: the parked record goes */
};

/* The changes of one record that one rule has not dealt with. */
struct record {
    struct record *chain;
    struct runner *runner;
    uint64_t hash[2];
    struct link items; /* in the order of the journal */
};

struct item {
    struct link link;       /* record->items */
    struct link link_ready; /* runner->ready */
    struct record *record;
    struct runner *runner;
    enum item_stage stage;
    enum item_write write; /* under way (WRITING), or to be tried again (TIMED) */
    bool is_parked;        /* there is a record of it */
    bool is_marked;        /* the rule's position waits for it */
    uint64_t mark;         /* its number in the window */
    uint64_t epoch;
    uint64_t sequence;
    uint64_t since_ms; /* the first attempt; 0: none yet */
    uint64_t tried_ms; /* the last one */
    uint64_t due_ns;   /* of now_ns */
    uint32_t heap_index;
    uint32_t attempts;
    uint32_t http_status; /* of the last one; 0: there was no answer */
    uint8_t event_id_size;
    uint8_t event_id[CHANGE_ID_BYTES_MAX];
    uint8_t *change; /* MessagePack; NULL: in its record */
    size_t change_size;
    struct failure *failure; /* of the last attempt; NULL: none */
};

/* Why an attempt failed, until it is written. */
struct failure {
    char reason[WEBHOOK_REASON_BYTES_MAX];
    size_t answer_size;
    uint8_t answer[WEBHOOK_ANSWER_BYTES_MAX];
};

/* A change that was delivered to the rule and is not yet passed by its position. */
struct mark {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t time_ms;
    bool is_settled;
};

/* A rule as it runs. */
struct runner {
    struct link link;         /* webhooks->runners */
    struct link link_active;  /* webhooks->active: something is ready */
    struct link link_touched; /* webhooks->touched: something is to be done for it */
    struct runner *chain;
    struct webhooks *webhooks;
    size_t name_size;
    uint8_t name[RULE_NAME_BYTES_MAX];

    /* ---- webhooks_rules.c ---- */
    struct rule *rule; /* NULL: only its records are known */
    uint8_t *document; /* the rule as it was put */
    size_t document_size;
    struct position put; /* the entry of its newest put */
    bool is_seen;        /* among those of the snapshot that is under way */
    bool is_removing;
    struct removal *removal; /* goes through its records; NULL: not yet */
    enum webhooks_rule_status status;
    char reason[WEBHOOK_REASON_BYTES_MAX];
    uint64_t disabled_put; /* the sequence of the put that 410 disabled; 0: none */
    struct subscription subscription;
    bool is_subscribed;
    bool is_stuck; /* its subscription waits for room */
    bool has_ended;
    enum status ended;
    struct position from; /* where its subscription goes on */
    bool from_earliest;   /* because that is no longer there */
    uint64_t again_ns;    /* when subscribing, or removing, is tried again */

    bool has_position;
    bool state_due; /* the state is to be written */
    bool state_writing;
    uint64_t state_written_ns;
    struct position written; /* by the state that was written last */
    struct position settled; /* everything up to it is dealt with */
    struct mark *marks;      /* a ring */
    uint32_t mark_capacity;
    uint64_t mark_first; /* number of the oldest */
    uint64_t mark_next;
    uint64_t window_bytes; /* of changes in memory */

    /* ---- webhooks_items.c, webhooks_calls.c ---- */
    struct link ready;
    uint32_t items;
    uint32_t busy;      /* requests and calls under way */
    uint32_t slots;     /* of the target that are taken: items READING and CALLING */
    uint32_t slots_now; /* that it may take: fewer than rule->concurrency while it is slowed down */
    uint64_t rate_ns;   /* when the next call is due by its rate */
    uint64_t pause_until_ns;
    uint64_t pause_ns;
    bool is_down; /* it could not be reached when it was last tried */

    struct webhooks_rule counts; /* the counters in it */
    bool is_shown;               /* shown_lock guards both */
    struct webhooks_rule shown;
};

/* What was delivered of the rules and is not yet taken over. SYNCED: the snapshot is whole. */
enum operation_kind { OPERATION_PUT, OPERATION_DELETE, OPERATION_SYNCED };
struct operation {
    struct link link;
    enum operation_kind kind;
    struct position at;
    uint64_t version;
    size_t name_size;
    uint8_t name[RULE_NAME_BYTES_MAX];
    size_t document_size;
    uint8_t document[];
};

/* A walk over the records of an internal collection, page by page. */
struct walk {
    struct request request;
    struct webhooks *webhooks;
    enum collection_internal collection;
    size_t prefix_size;
    uint8_t prefix[RULE_NAME_BYTES_MAX + 1];
    /* document: the record with its id in front. False: enough. */
    bool (*row)(struct walk *walk, struct bytes id, struct bytes document);
    void (*end)(struct walk *walk); /* the last that is called; status says how it went */
    void *context;
    enum status status;
    uint32_t writes; /* that rows have started; the next page waits for them */
    bool is_over;    /* no further page */
    size_t after_size;
    uint8_t after[ID_BYTES_MAX];
};

/* A put or delete of an internal record. */
struct write {
    struct request request;
    struct webhooks *webhooks;
    void (*done)(struct write *write); /* request.status; then it is freed */
    void *context;
    size_t id_size;
    uint8_t id[PARKED_ID_BYTES_MAX];
    uint8_t document[];
};

enum load_stage { LOAD_STATES, LOAD_PARKED, LOAD_DEAD_LETTERS, LOAD_DONE };

struct webhooks {
    struct webhooks_options options;
    struct store_id store_id;
    uint64_t now_ns;
    uint64_t wall_ms;
    uint64_t random;
    bool draining;
    uint64_t cut_ns;
    uint32_t requests; /* under way */

    enum load_stage loading;
    bool is_loading; /* a walk is under way */
    uint64_t load_again_ns;
    struct walk load_walk;

    struct subscription control; /* of the rules */
    bool is_controlled;
    bool has_rules; /* all that were there when it began */
    bool control_stuck;
    bool control_ended;
    uint64_t control_again_ns;
    struct link operations;
    uint32_t operation_count;

    struct link runners;
    struct link active;
    struct link touched;
    uint32_t runner_count;
    uint64_t rules_deadline_ns;
    bool stream_waits; /* a subscription has begun: the stream is to be stepped */
    struct runner *runner_buckets[RUNNER_BUCKETS];
    struct record *record_buckets[RECORD_BUCKETS];
    uint32_t item_count;
    uint32_t stuck_count; /* runners that wait for room */
    uint64_t windows_bytes;
    uint32_t calls; /* in flight, or about to be */
    bool room_made; /* someone who was stuck may go on */
    uint64_t stuck_look_ns;

    struct item **heap; /* by due_ns */
    uint32_t heap_count;
    uint32_t heap_capacity;

    struct webhooks_redrive *redrive; /* under way */
    struct walk redrive_walk;
    uint8_t *scratch; /* where calls are rendered */

    pthread_mutex_t shown_lock; /* the list of runners, as far as other threads walk it; shown */
};

#define CALL_SCRATCH_BYTES (2 * WEBHOOK_BODY_BYTES_MAX + (1u << 20))

/* ---- webhooks.c ---- */

void webhooks_say(const struct webhooks *webhooks, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t webhooks_random(struct webhooks *webhooks);

/* ---- webhooks_rules.c ---- */

static inline struct bytes runner_name(const struct runner *runner)
{
    return bytes_of(runner->name, runner->name_size);
}
struct runner *runner_find(struct webhooks *webhooks, struct bytes name);
/* Finds or makes; NULL when out of memory, or over RULES_MAX. */
struct runner *runner_get(struct webhooks *webhooks, struct bytes name);
void runner_free(struct runner *runner);
void runner_touch(struct runner *runner);
/* Of COLLECTION_RULE_STATES, at start. */
void runner_state_load(struct runner *runner, struct bytes document);
/* Its target wants no more. */
void runner_disable(struct runner *runner);
/* It cannot run: what and which say why. */
void runner_fail(struct runner *runner, const char *what, struct bytes which);
/* It goes on later from where it stands now. */
void runner_unsubscribe(struct runner *runner);
/* The rules that were put and deleted, subscriptions, states; true when there is more at once. */
bool rules_step(struct webhooks *webhooks);
void rules_drain(struct webhooks *webhooks);
/* Those that wait for room and have it now. */
void rules_resume(struct webhooks *webhooks);
/* Room for one more change of so many bytes. */
bool runner_has_room(const struct runner *runner, size_t size);

/* ---- webhooks_control.c ---- */

/* Follows the rules; when it wants to try again. */
uint64_t control_step(struct webhooks *webhooks);
void control_close(struct webhooks *webhooks);
/* Takes over what was put and deleted; true when it was anything. */
bool operations_step(struct webhooks *webhooks);
/* A rule that is deleted goes with all its records, and in the end it is freed; when it wants to be
 * looked at again. */
uint64_t removal_step(struct runner *runner, bool *freed_out);

/* ---- webhooks_window.c ---- */

/* False: no memory. */
bool window_add(struct runner *runner, uint64_t epoch, uint64_t sequence, uint64_t time_ms,
                uint64_t *mark_out);
void window_settle(struct runner *runner, uint64_t mark);
uint64_t window_count(const struct runner *runner);
/* The time of the oldest change in it; 0: it is empty. */
uint64_t window_oldest_ms(const struct runner *runner);
/* What the state says: the place after which nothing is dealt with for certain. */
struct position window_position(const struct runner *runner);

/* ---- webhooks_items.c ---- */

/* From a subscription; false: no room. */
bool item_deliver(struct runner *runner, const struct delivery *delivery);
/* A parked change, from its record; false: no memory. */
bool item_load(struct runner *runner, struct bytes id, struct bytes document, bool is_due);
/* Of the event of a parked id; NULL: the rule does not know it. */
struct item *item_find(struct runner *runner, struct bytes id);
/* It failed for this time, or for good. */
void item_retry(struct item *item, uint64_t delay_ns);
void item_give_up(struct item *item);
void item_delivered(struct item *item);
/* What the call says of it stands in item->failure from here on. */
void item_fail(struct item *item, const char *reason, struct bytes answer);
/* It is not tried now after all (drained, disabled, no memory): as it was before, and not for so
 * long. */
void item_shelve(struct item *item, uint64_t delay_ns);
/* Puts it where it belongs: ready, timed, or behind others. */
void item_place(struct item *item);
void item_change_drop(struct item *item);
/* Those that are timed are due now; only_unanswered: those whose last call had no answer. */
void items_hurry(struct runner *runner, bool only_unanswered);
void items_free(struct runner *runner);
/* What is due becomes ready; the time of the next. */
uint64_t items_due(struct webhooks *webhooks);
/* Writes its id among the parked changes and dead letters. */
void item_id_write(const struct item *item, struct writer *out);
/* Stands in the ready list no more. */
void item_unready(struct item *item);

/* ---- webhooks_calls.c ---- */

/* Starts what may start; true when anything was. */
bool calls_dispatch(struct webhooks *webhooks);
/* When a rule that is held back may go on. */
uint64_t calls_deadline(const struct webhooks *webhooks);

/* ---- webhooks_records.c ---- */

/* id and document are copied. False: no memory, nothing was begun. */
bool write_begin(struct webhooks *webhooks, enum request_kind kind,
                 enum collection_internal collection, struct bytes id, struct bytes document,
                 void (*done)(struct write *write), void *context);
void walk_begin(struct walk *walk, struct webhooks *webhooks, enum collection_internal collection,
                struct bytes prefix);
/* A write that a row has started is done. */
void walk_written(struct walk *walk, enum status status);
/* The rule's name in the id of a parked change, and its event; false: it is none. */
bool parked_id_read(struct bytes id, struct bytes *rule_out, uint64_t hash_out[2],
                    struct bytes *event_out);
/* States, parked changes and dead letters, one after the other; when to go on. */
uint64_t load_step(struct webhooks *webhooks);

/* ---- webhooks_metrics.c ---- */

/* Makes what other threads see of it. */
void runner_show(struct runner *runner);

#endif
