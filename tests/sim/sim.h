/*
 * sim.h: a whole engine over a faulty disk and faulty stores, under a virtual clock, from one seed.
 *
 *     main.c    seeds and runs
 *     sim.c     the world: its parts, a turn of it, its lives and how they end
 *     load.c    which request comes next
 *     model.c   the history of every record as the journal has it, and whether an answer fits it
 *     check.c   what must hold after a start, and when everything is at rest
 *     follow.c  those who follow the journal from outside, through all lives
 *     slice.c   slices of shards, as snapshots read them
 *     subscribe.c  subscribers of the change stream, killed and resumed, through all lives
 *     disk.c    between the journal and the faulty disk: a process that is gone gets errors
 *     doc.c     the documents
 *
 * One life of the process is: start (journal, replay), turns, end (power loss, kill, or a clean
 * stop). At the end of a life that was no clean stop the disk is taken away first; then the old
 * engine is run until nothing is left in it, without anybody listening, so that its memory can be
 * freed and a leak be seen.
 *
 * Owner: one thread. Everything random comes from sim->random.
 */
#ifndef FRESHET_TESTS_SIM_SIM_H
#define FRESHET_TESTS_SIM_SIM_H

#include "engine/shard/engine.h"
#include "engine/shard/shard_internal.h"
#include "engine/shard/slice.h"
#include "protocol/base/dice.h"
#include "tests/sim/doc.h"

#define SIM_SHARDS           4
#define SIM_THREADS_MAX      3
#define SIM_OPS_MAX          64
#define SIM_JOBS_MAX         4096
#define SIM_KEYS_MAX         4096
#define SIM_IDEMPOTENCY_KEYS 6
#define SIM_NO_KEY           UINT32_MAX

/* To the model a user's event is a record of a collection of its own, which is written once. */
enum { SIM_PETS, SIM_PRODUCTS, SIM_COLLECTIONS, SIM_EVENTS = SIM_COLLECTIONS };

#define SIM_FOLLOWERS 3

/* ---- the model ---- */

/* One entry of the journal, as the model knows it; history[sequence - 1]. */
struct sim_change {
    uint64_t epoch;
    uint64_t sequence;
    uint64_t version;
    uint64_t time_ms;
    uint32_t key;
    bool deleted;
    struct doc doc;
    uint32_t idempotency; /* number of the idempotency key + 1; 0: none */
    uint8_t body;         /* of a creation with a key: which body */
    bool claimed;         /* a request was told that it made this change */
};

struct sim_key {
    char id[DOC_ID_MAX];
    uint32_t collection;
    uint64_t *changes; /* sequences, rising */
    uint32_t change_count;
    uint32_t change_capacity;
    uint64_t floor; /* whoever begins to read now sees the state as of this sequence or later */
};

/* What became of the request that first wrote a number n. */
enum token_fate { TOKEN_OPEN, TOKEN_WRITTEN, TOKEN_REFUSED };

struct sim_token {
    uint32_t key;
    enum token_fate fate;
};

struct model {
    struct sim_change *history;
    uint64_t count;
    uint64_t capacity;
    struct sim_key keys[SIM_KEYS_MAX];
    uint32_t key_count;
    struct sim_token *tokens;
    uint32_t token_count;
    uint32_t token_capacity;
    uint64_t epoch_max; /* the highest ever seen */
};

/* ---- requests ---- */

struct op {
    struct request request;
    bool busy;
    struct sim *sim;
    uint32_t number;
    uint64_t begun_step;
    uint64_t begun_ns;
    uint32_t collection;
    uint32_t key; /* SIM_NO_KEY: CREATE, LIST */
    uint32_t token;
    bool has_token;
    bool from_cache; /* answered by the hot path, on the spot */
    struct doc doc;
    struct doc_patch patch;
    uint64_t floor;
    uint64_t *floors; /* LIST: of every key */
    uint32_t floor_count;
    struct entity_tag tags[2];
    uint32_t idempotency; /* number + 1 */
    uint8_t body;
    char id[DOC_ID_MAX];
    char list_after[DOC_ID_MAX];
    char list_value[2];
    char idempotency_key[32];
    uint8_t document[4096];
    uint8_t answer[CACHE_COPY_BYTES_MAX];
    struct principal principal;
};

/* ---- the world ---- */

struct sim_job {
    struct store_job *job;
    uint64_t due_ns;
    bool ran; /* its message is still on its way */
};

struct sim_disk;

/* Drawn once a run. */
struct sim_setup {
    uint32_t thread_count;
    enum journal_durability durability;
    uint64_t cache_bytes;
    uint64_t step_ns_max;
    uint64_t job_delay_ns_max;
    uint64_t disk_latency_ns_max;
    uint64_t memtable_bytes_max;
    uint64_t journal_tail_max;
    uint64_t segment_bytes;
    uint64_t retention_bytes;
    uint64_t disk_reserve_bytes;
    uint64_t idempotency_ms;
    uint32_t keys; /* that clients name, a collection */
    uint32_t ops;  /* in flight at most */
    uint32_t rate; /* of 100 turns bring a request */
    uint32_t pad_max;
    uint32_t buffer_rows_max; /* by the seed, without a draw */
    /* Events, pins and slices. Not in every run: a seed keeps its meaning by what it draws. */
    bool extras;
    /* Subscribers of the change stream. Likewise. */
    bool subscribers;
};

/* Lives outside the process: it keeps its position and what it has seen when that dies. */
struct sim_follower {
    uint32_t pace;               /* of 1000 turns it takes part in so many */
    bool holds;                  /* its cursor stays open between turns */
    struct position position;    /* of what it saw last; epoch 0: nothing yet */
    struct sim_change last;      /* what that was */
    uint64_t next;               /* in this life */
    uint64_t since;              /* before that it saw nothing, or forgot it */
    uint64_t seen[SIM_KEYS_MAX]; /* by key: the sequence of the last change; 0: none */
    struct recent_cursor cursor;
    struct journal_pin pin;
    bool is_pinned;
    uint64_t from_memory;
    uint64_t from_files;
    uint64_t resets;
};

/* A snapshot of one shard, slice by slice. */
struct sim_slice {
    struct slice_request request;
    struct sim *sim;
    bool busy;
    bool nobody_asks; /* its life is over */
    uint8_t after[RECORD_KEY_BYTES_MAX];
    size_t after_size;
    uint64_t count;
};

enum sim_fault {
    FAULT_NONE,
    FAULT_WRITE, /* of the journal fails */
    FAULT_SYNC,  /* likewise */
    FAULT_FULL,  /* the disk, for a while */
    FAULT_DIE,   /* the disk, at some write */
    FAULT_READS, /* of the stores find damage now and then */
    FAULT_FLUSH, /* of a store fails, and all that comes after it */
    FAULT_COUNT
};
enum sim_end { END_POWER_LOSS, END_KILL, END_CLEAN };

struct sim {
    uint64_t seed;
    bool verbose;
    uint64_t random;
    struct sim_setup setup;
    uint64_t step;
    uint64_t now_ns;
    uint64_t wall_ms;

    struct disk *faulty;
    struct sim_disk *disk; /* of this life */
    struct store *stores[SIM_SHARDS];
    struct journal *journal;
    struct journal_reader *tap; /* shows the model what is committed */
    struct engine *engine;
    struct collection collections[SIM_COLLECTIONS];
    uint8_t shard_of_slot[SLOT_COUNT];
    struct executor executor;
    struct waker waker;
    struct sim_job jobs[SIM_JOBS_MAX];
    uint32_t job_count;

    bool nobody_listens; /* the process is gone; its answers are thrown away */
    uint64_t ttl_ns_max; /* of all that were ever set in this life */
    enum sim_fault fault;
    bool disk_is_full;
    bool reads_fail; /* FAULT_READS has begun */

    struct op ops[SIM_OPS_MAX];
    uint32_t op_count;  /* busy */
    uint32_t op_number; /* given out */
    struct model model;

    /* They draw from a generator of their own, so that without extras they change nothing. */
    uint64_t other_random;
    struct sim_follower followers[SIM_FOLLOWERS];
    struct sim_slice slice;
    struct sim_subscribers *subscribers; /* NULL: not in this run */

    /* What the last end of a life allows the next start to have lost: nothing up to here. */
    uint64_t must_survive;
    uint64_t durable_at_end;
    enum sim_end end;
    uint64_t epoch_before;

    uint64_t hash; /* of all that was answered */
    uint64_t answers;
    uint64_t lives;
    uint64_t status_counts[32];
};

/* Prints seed, step and what is wrong; ends the process with 1. */
_Noreturn void sim_fail(const struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

uint64_t sim_random(struct sim *sim, uint64_t below);
/* True in `percent` of 100 cases. */
bool sim_chance(struct sim *sim, uint32_t percent);

/* sim.c */
void sim_run(struct sim *sim, uint64_t seed, uint32_t steps);
void sim_turn(struct sim *sim, uint64_t passed_ns); /* of everybody but the load */

/* load.c */
void load_submit(struct sim *sim);
void load_ttls(struct sim *sim);

/* model.c */
void model_deinit(struct model *model);
uint32_t model_key(struct sim *sim, uint32_t collection, const char *id); /* finds or makes */
uint32_t model_key_find(const struct sim *sim, uint32_t collection, const char *id);
/* Index in key->changes of the last change up to sequence, + 1; 0: there is none. */
uint32_t model_change_at(const struct sim_key *key, uint64_t sequence);
const struct sim_change *model_state(const struct model *model, const struct sim_key *key,
                                     uint32_t index); /* NULL: never written, or deleted */
/* Takes a committed entry into the history, or compares it with what is there. */
void model_take(struct sim *sim, const struct entry *entry);
/* All that is committed by now. */
void model_follow(struct sim *sim);
/* Forgets what comes after the sequence: it was lost. */
void model_truncate(struct sim *sim, uint64_t sequence);
void model_answer(struct sim *sim, struct op *op);

/* Compares it with the history, whose entry it must be. */
bool change_equal(const struct sim_change *a, const struct sim_change *b);

/* follow.c */
void follow_init(struct sim *sim);
void follow_start(struct sim *sim); /* of a life: who goes on, and who must begin again? */
void follow_step(struct sim *sim);
void follow_settled(struct sim *sim); /* all is published: they have seen the fold of it */
void follow_end(struct sim *sim);     /* of a life: before the journal goes */

/* slice.c */
void slice_step(struct sim *sim);
void slice_end(struct sim *sim); /* of a life */

/* subscribe.c */
void subscribe_init(struct sim *sim);
void subscribe_deinit(struct sim *sim);
void subscribe_start(struct sim *sim); /* of a life */
void subscribe_end(struct sim *sim);   /* of a life: all connections are cut */
bool subscribe_is_idle(const struct sim *sim);
void subscribe_destroy(struct sim *sim); /* idle, before the engine goes */
void subscribe_thread_step(struct sim *sim, uint32_t thread);
void subscribe_step(struct sim *sim);    /* who comes, who goes, who has room? */
void subscribe_settled(struct sim *sim); /* all is published: they are told all of it */

/* check.c */
uint32_t check_shard_of(const struct sim *sim, const struct sim_key *key);
uint64_t check_store_applied(struct sim *sim, uint32_t shard);
void check_journal(struct sim *sim); /* after it was opened */
void check_stores(struct sim *sim);  /* with nothing on its way: they are the fold of the history */
void check_published(struct sim *sim); /* at any time */

/* disk.c */
struct sim_disk *sim_disk_create(struct disk *under);
struct disk *sim_disk_base(struct sim_disk *disk);
/* From now on everything fails, and nothing reaches the disk under it. */
void sim_disk_cut(struct sim_disk *disk);
/* Completes what was in flight when it was cut. */
void sim_disk_step(struct sim_disk *disk);
void sim_disk_destroy(struct sim_disk *disk);

#endif
