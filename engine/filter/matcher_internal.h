/*
 * matcher_internal.h: the parts of a matcher. Internal to engine/filter.
 *
 *     event --> walk --> field --> index: which tests does this value pass?
 *                                   |
 *                         rack of hooks --> condition (fired) --> postings --> candidates
 *
 * Fields form a tree of names, like the events. Equal conditions of all patterns are one. An
 * alternative is posted at one of its conditions, the one that will be met most rarely by the
 * estimate of matcher_choose; only conditions with postings are hooked into their field's index. A
 * posting repeats the rarest of the alternative's other conditions as guards, in a form that is
 * judged without leaving the list; a condition that has one posting repeats the first of them at
 * its hooks. What passes is confirmed condition by condition, each judged once an event.
 *
 * Everything is named by its number in a pool, so that pools may move as they grow.
 */
#ifndef FRESHET_ENGINE_FILTER_MATCHER_INTERNAL_H
#define FRESHET_ENGINE_FILTER_MATCHER_INTERNAL_H

#include "engine/filter/matcher.h"
#include "engine/filter/pattern_internal.h"

#define NONE UINT32_MAX

/* Items of one size; those given back are taken again first. */
struct pool {
    uint8_t *items;
    size_t item_bytes;
    uint32_t count; /* items ever taken */
    uint32_t capacity;
    uint32_t free_first; /* the first four bytes of a free item name the next */
    uint32_t free_count;
};

struct bucket {
    uint32_t first;
    uint32_t present; /* a bit for each hash in the chain, and perhaps for some that were */
};

static inline uint32_t bucket_bit(uint64_t hash)
{
    return UINT32_C(1) << (hash >> 27 & 31);
}

/* A hash table of chains; what it holds has the links. */
struct buckets {
    struct bucket *heads;
    uint32_t mask; /* one less than their number */
    uint32_t count;
};

/* ---- fields ---- */

/* Prefixes and suffixes are told apart by so many bytes; longer ones are compared behind that. */
#define AFFIX_BYTES_MAX 63
/* Wildcards without a fixed beginning or end are found by a part of a piece: 1, 2, 4 or 8 bytes. */
#define GRAM_BYTES_MAX 8
/* Counters by which a field's different exact values are estimated. */
#define FIELD_VALUES_SKETCH 512

enum hook_class {
    HOOK_EXACT,
    HOOK_FOLDED,
    HOOK_PREFIX,
    HOOK_SUFFIX,
    HOOK_PREFIX_FOLDED,
    HOOK_SUFFIX_FOLDED,
    HOOK_GRAM,
    HOOK_BLOCK_V4,
    HOOK_BLOCK_V6,
    HOOK_RANGE,
    HOOK_ANY, /* any value may pass: exists, anything-but, a lone star */
};
#define HOOK_CLASS_COUNT (HOOK_ANY + 1)
/* Affix, gram and block sizes: 0 to 128. */
#define HOOK_SIZE_COUNT 129

/* What is hooked at a field. */
struct field_index {
    uint32_t counts[HOOK_CLASS_COUNT];
    uint32_t sizes[HOOK_CLASS_COUNT][HOOK_SIZE_COUNT]; /* hooks of that class and size */
    uint32_t size_max[HOOK_CLASS_COUNT];               /* never falls while there are hooks */
    uint32_t range_root;
};

struct field {
    uint32_t parent; /* or the link of a free item */
    uint32_t chain_next;
    uint64_t hash;
    uint8_t *name;
    uint32_t name_size;
    uint32_t references; /* conditions and children */
    uint32_t child_count;
    uint32_t condition_count;  /* different conditions here */
    uint32_t condition_uses;   /* alternatives that have one of them */
    uint32_t exact_conditions; /* that guards compare by hash */
    uint32_t sketch_used;      /* counters that are not zero */
    uint16_t *sketch;          /* uses of exact values, by hash; NULL: none yet */
    struct field_index *index; /* NULL: no hook */
};

/* What the event that is being matched has at a field. */
struct slot {
    uint32_t epoch; /* else nothing */
    uint32_t value_count;
    uint32_t value_first; /* in matcher->values, linked */
    uint32_t hash;        /* of its only value */
    double number;        /* its only value, or NaN */
    bool is_structured;   /* a value lies in an object within an array */
};

/* ---- conditions ---- */

enum guard_kind {
    GUARD_NONE,
    GUARD_HASH,
    GUARD_RANGE,
    GUARD_PIECE, /* a probe with that hash, in this event; of hooks only */
};

/* Says no only where the condition is not met. */
struct guard {
    uint32_t kind : 2;
    uint32_t field : 30;
    union {
        uint32_t hash;
        float low; /* rounded down, and high up */
    };
    float high;
};

#define POSTING_GUARDS 2

struct posting {
    uint32_t alternative;
    uint32_t condition; /* the rarest that no guard stands for; or NONE */
    struct guard guards[POSTING_GUARDS];
};

/* Most conditions have one posting only. */
struct postings {
    uint32_t count;
    uint32_t capacity; /* of more */
    struct posting first;
    struct posting *more;
};

struct shared_condition {
    uint32_t field;      /* or the link of a free item */
    uint32_t memo;       /* epoch << 2 | judgement */
    uint32_t references; /* alternatives that have it */
    uint32_t hook_first;
    struct postings postings;
    struct test *tests; /* one block: tests, parts, texts */
    struct test *parts;
    uint64_t hash;
    size_t block_bytes;
    uint32_t chain_next;
    uint32_t test_count;
    uint32_t part_count;
    bool accepts_absent;
};

/* What a condition's judgement in this event is. */
enum judgement {
    JUDGED_NO = 0,
    JUDGED_YES = 1,
    JUDGED_UNSURE = 2 /* met, but perhaps not together with others in one element */
};

/* What one test of a condition is found by. */
struct hook {
    uint32_t condition; /* or the link of a free item */
    uint32_t own_next;  /* of the same condition */
    union {
        uint32_t rack;
        uint32_t block; /* HOOK_RANGE */
    };
    uint32_t item;       /* its place there */
    uint32_t other_hash; /* of another piece that the value has; only if other_size > 0 */
    uint8_t class;
    uint8_t size;
    uint8_t other_class;
    uint8_t other_size;
};

/* What is looked at of a hook when its hash, or a range around it, is found. */
struct hooked {
    uint32_t condition;
    struct guard guard;
};

/* All hooks of one hash. */
struct rack {
    uint32_t hash; /* or the link of a free item */
    uint32_t chain_next;
    uint32_t count;
    union {
        uint32_t capacity; /* of many */
        uint32_t hook;
    };
    union {
        struct hooked only; /* count == 1 */
        struct hooked *many;
    };
};

#define BLOCK_ITEMS 32

/* Ranges that begin near each other; bounds are closed, and rounded outwards. */
struct range_block {
    uint32_t parent; /* or the link of a free item */
    uint32_t left;
    uint32_t right;
    uint32_t count;
    float low; /* no item of this block, or of those to its right, is less than (low, high) */
    float high;
    float high_own; /* the greatest upper bound in it */
    float high_max; /* and in all blocks below */
    float lows[BLOCK_ITEMS];
    float highs[BLOCK_ITEMS];
    struct hooked hooked[BLOCK_ITEMS];
    uint32_t hooks[BLOCK_ITEMS];
};

/* ---- patterns ---- */

/* So many conditions are named in the alternative itself. */
#define ALTERNATIVE_FEW 10

struct posted_alternative {
    uint32_t rule;    /* or the link of a free item */
    uint32_t number;  /* in its pattern */
    uint32_t key;     /* the condition it is posted at; NONE: at matcher->always */
    uint32_t posting; /* its place there */
    uint32_t condition_count;
    union {
        uint32_t few[ALTERNATIVE_FEW];
        uint32_t *many;
    };
};

struct rule {
    uint32_t alternative_count; /* or the link of a free item */
    uint32_t matched_epoch;
    uint32_t *alternatives;
    const struct pattern *pattern; /* NULL: free */
    void *user;
};

struct seen_value {
    uint32_t offset; /* in the event */
    uint32_t next;
};

/* Looked for together, so that their misses of the cache overlap. */
#define PROBES_MAX 256
/* Which hashes were looked for in this event; several share a bit. */
#define PIECE_BITS_LOG2 12
#define PIECE_WORDS     (1u << (PIECE_BITS_LOG2 - 6))

struct range_probe {
    uint32_t field;
    float number;
};

struct matcher {
    struct pool fields;
    struct pool conditions;
    struct pool hooks;
    struct pool racks;
    struct pool blocks;
    struct pool alternatives;
    struct pool rules;
    struct buckets field_buckets;
    struct buckets condition_buckets;
    struct buckets rack_buckets;
    struct postings always; /* alternatives that nothing needs to bring up */
    size_t bytes;
    uint32_t rule_count;
    uint32_t root; /* the event itself */

    /* For the event that is being matched; each has room for all there are. */
    struct bytes event;
    uint32_t epoch;
    bool has_structure; /* an object within an array, at a field that is asked for */
    bool is_unwalkable; /* no memory: every pattern is judged alone */
    struct slot *slots; /* by field */
    uint32_t slot_capacity;
    uint32_t probes[PROBES_MAX]; /* hashes to look for among the racks */
    uint32_t probe_count;
    struct range_probe range_probes[PROBES_MAX];
    uint32_t range_probe_count;
    uint64_t pieces[PIECE_WORDS];
    uint32_t *fired_epoch; /* by condition: small enough to stay in the cache */
    uint32_t fired_epoch_capacity;
    uint32_t *fired; /* conditions */
    uint32_t fired_capacity;
    uint32_t fired_count;
    uint32_t *candidates; /* alternatives */
    uint32_t candidate_capacity;
    uint32_t candidate_count;
    struct seen_value *values;
    uint32_t value_count;
    uint32_t value_capacity;
    void **users;
    uint32_t user_capacity;
    uint32_t user_count;
    uint8_t folded[8 * PATTERN_VALUE_BYTES_MAX];
};

static inline struct field *field_at(const struct matcher *matcher, uint32_t id)
{
    return (struct field *)(void *)(matcher->fields.items + id * sizeof(struct field));
}

static inline struct shared_condition *condition_at(const struct matcher *matcher, uint32_t id)
{
    return (struct shared_condition *)(void *)(matcher->conditions.items +
                                               id * sizeof(struct shared_condition));
}

static inline struct hook *hook_at(const struct matcher *matcher, uint32_t id)
{
    return (struct hook *)(void *)(matcher->hooks.items + id * sizeof(struct hook));
}

static inline struct rack *rack_at(const struct matcher *matcher, uint32_t id)
{
    return (struct rack *)(void *)(matcher->racks.items + id * sizeof(struct rack));
}

static inline struct range_block *block_at(const struct matcher *matcher, uint32_t id)
{
    return (struct range_block *)(void *)(matcher->blocks.items + id * sizeof(struct range_block));
}

static inline struct posted_alternative *alternative_at(const struct matcher *matcher, uint32_t id)
{
    return (struct posted_alternative *)(void *)(matcher->alternatives.items +
                                                 id * sizeof(struct posted_alternative));
}

static inline uint32_t *conditions_of(struct posted_alternative *alternative)
{
    return alternative->condition_count <= ALTERNATIVE_FEW ? alternative->few : alternative->many;
}

static inline struct rule *rule_at(const struct matcher *matcher, uint32_t id)
{
    return (struct rule *)(void *)(matcher->rules.items + id * sizeof(struct rule));
}

static inline struct posting *posting_at(struct postings *postings, uint32_t index)
{
    return index == 0 ? &postings->first : &postings->more[index - 1];
}

static inline uint64_t hash_mix(uint64_t hash, uint64_t more)
{
    hash = (hash ^ more) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

uint64_t value_hash(const struct value *value);

/* ---- matcher_memory.c: pools, buckets, counted memory ---- */

void *matcher_allocate(struct matcher *matcher, size_t size);
void matcher_free(struct matcher *matcher, void *memory, size_t size);
/* array: the address of a pointer to items. Only ever grows. */
MUST_USE bool matcher_reserve(struct matcher *matcher, void *array, uint32_t count,
                              uint32_t *capacity, size_t item_bytes);
MUST_USE bool pool_take(struct matcher *matcher, struct pool *pool, uint32_t *id_out);
void pool_give(struct pool *pool, uint32_t id);
/* Before one more is put in: false without memory for the first heads. next_at finds the link of an
 * item, and its hash. */
typedef uint32_t *(*bucket_link)(const struct matcher *matcher, uint32_t id, uint64_t *hash_out);
MUST_USE bool buckets_reserve(struct matcher *matcher, struct buckets *buckets, bucket_link link);

/* ---- matcher_index.c: hooks, and what a value passes ---- */

/* All tests of a condition, or none. */
MUST_USE bool index_add(struct matcher *matcher, uint32_t condition);
void index_remove(struct matcher *matcher, uint32_t condition);
/* After a condition has got its only posting, or is about to have others: what its hooks repeat. */
void index_guard(struct matcher *matcher, uint32_t condition);
/* Gathers, as probes, what the conditions of which value seems to pass a test are found by: a hash,
 * or a part of the test. */
void index_probe(struct matcher *matcher, const struct field_index *index, uint32_t field,
                 const struct value *value, uint64_t hash);
/* Looks for all that was gathered, and fires what is found. is_whole: the event has no more values,
 * so that guards can be asked. */
void index_flush(struct matcher *matcher, bool is_whole);

/* ---- matcher_racks.c: hooks by their hash ---- */

MUST_USE bool racks_insert(struct matcher *matcher, uint32_t hash, uint32_t hook);
void racks_remove(struct matcher *matcher, uint32_t hook);
struct guard *racks_guard(struct matcher *matcher, const struct hook *hook);
void racks_flush(struct matcher *matcher, bool is_whole);

/* ---- matcher_ranges.c: which ranges hold a number ---- */

/* The next float below or above, so that rounding never shuts out what belongs in. */
float float_below(double number);
float float_above(double number);

MUST_USE bool ranges_insert(struct matcher *matcher, uint32_t *root, uint32_t hook,
                            const struct range *range);
void ranges_remove(struct matcher *matcher, uint32_t *root, uint32_t hook);
struct guard *ranges_guard(struct matcher *matcher, const struct hook *hook);
/* The nearest float: bounds have moved outwards by a float at least, so that it will do. */
float float_near(double number);
/* Fires the conditions of ranges that seem to hold the number: bounds are rounded outwards. */
void ranges_probe(struct matcher *matcher, uint32_t root, float number, bool is_whole);

static inline uint32_t piece_word(uint32_t hash)
{
    return hash >> (32 - PIECE_BITS_LOG2 + 6);
}

static inline uint32_t piece_bit(uint32_t hash)
{
    return hash >> (32 - PIECE_BITS_LOG2) & 63;
}

static inline bool guard_passes(const struct matcher *matcher, const struct guard *guard)
{
    if (guard->kind == GUARD_NONE) {
        return true;
    }
    if (guard->kind == GUARD_PIECE) {
        return (matcher->pieces[piece_word(guard->hash)] >> piece_bit(guard->hash) & 1) != 0;
    }
    const struct slot *slot = &matcher->slots[guard->field];
    if (slot->epoch != matcher->epoch) {
        return false;
    }
    if (slot->value_count != 1) {
        return true;
    }
    if (guard->kind == GUARD_HASH) {
        return slot->hash == guard->hash;
    }
    return slot->number >= (double)guard->low && slot->number <= (double)guard->high;
}

static inline void matcher_fire(struct matcher *matcher, uint32_t id)
{
    if (matcher->fired_epoch[id] != matcher->epoch) {
        matcher->fired_epoch[id] = matcher->epoch;
        matcher->fired[matcher->fired_count++] = id;
    }
}

/* ---- matcher_conditions.c: fields, shared conditions, the choice of a key ---- */

/* The child of that name, made when it is not there; NONE without memory. */
uint32_t field_acquire(struct matcher *matcher, uint32_t parent, struct bytes name);
void field_release(struct matcher *matcher, uint32_t id);
uint32_t field_find(const struct matcher *matcher, uint32_t parent, struct bytes name);
/* NONE without memory. */
uint32_t condition_acquire(struct matcher *matcher, const struct pattern *pattern,
                           const struct condition *condition);
void condition_release(struct matcher *matcher, uint32_t id);
/* Puts the conditions that are expected to be met most rarely first. */
void conditions_order(const struct matcher *matcher, uint32_t *conditions, uint32_t count);
/* GUARD_NONE: no guard can stand for it. */
struct guard condition_guard(const struct matcher *matcher, uint32_t id);

#endif
