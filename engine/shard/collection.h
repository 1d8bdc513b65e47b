/*
 * collection.h: the settings of a named set of records, and what a document must be to belong to
 * it.
 *
 * Owner:  made at start-up, constant afterwards; any thread reads. Replaced values of a reload are
 *         atomics of their own.
 * Tests:  tests/unit/engine/shard/test_collection.c.
 */
#ifndef FRESHET_ENGINE_SHARD_COLLECTION_H
#define FRESHET_ENGINE_SHARD_COLLECTION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "protocol/base/bytes.h"
#include "protocol/base/limits.h"
#include "protocol/base/status.h"

#define COLLECTION_FIELD_COUNT_MAX 64
#define DETAIL_BYTES_MAX           256

enum field_type { FIELD_ANY, FIELD_STRING, FIELD_NUMBER, FIELD_BOOLEAN, FIELD_OBJECT, FIELD_ARRAY };

struct collection_field {
    struct bytes name;
    enum field_type type;
    struct bytes default_value; /* MessagePack; empty: none */
};

/* Durations of the cache classes; a reload (SIGHUP) may change them, hence atomic. */
struct collection_ttl {
    _Atomic uint64_t record_ns;
    _Atomic uint64_t popular_ns; /* 0: no such class */
    _Atomic uint32_t popular_hits;
    _Atomic uint64_t list_ns;
    _Atomic uint64_t index_ns;
};

struct collection {
    uint16_t number;       /* place in the engine's table */
    struct bytes name;     /* "products" */
    struct bytes singular; /* "Product", for messages */
    bool cached;           /* cache: off makes it false */
    bool old_images;       /* entries carry the old document */
    bool internal;         /* the server's own: no route leads to it, no subscriber sees it */
    struct collection_ttl ttl;
    struct bytes indexes[INDEX_COUNT_MAX]; /* names of indexed top-level fields */
    uint32_t index_count;
    struct collection_field fields[COLLECTION_FIELD_COUNT_MAX];
    uint32_t field_count;
    struct bytes
        kept[4]; /* server-kept members: a PUT cannot set them and does not lose them ("images") */
    uint32_t kept_count;
};

/*
 * The server's own records, in the journal like any other: they survive what records survive. Their
 * names begin with '_', which no name of a user's does; they stand behind the user's collections in
 * the engine's table.
 */
enum collection_internal {
    COLLECTION_RULES,        /* by name: the rule as it was put */
    COLLECTION_RULE_STATES,  /* by the rule's name: how far it is, whether it is disabled */
    COLLECTION_PARKED,       /* rule 01 record 01 event: changes that wait for another try */
    COLLECTION_DEAD_LETTERS, /* the same: changes that were given up, and why */
    COLLECTION_CONSUMERS,    /* by name: the consumer and its acknowledged positions */
    COLLECTION_INTERNAL_COUNT
};

/* The user's and the server's own, in one engine. */
#define COLLECTION_ALL_COUNT_MAX (COLLECTION_COUNT_MAX + COLLECTION_INTERNAL_COUNT)

/* Fills COLLECTION_INTERNAL_COUNT collections whose numbers begin at first_number. */
void collection_internal_fill(struct collection *out, uint16_t first_number);

/* Why a document is refused, in plain words, for the problem's detail. */
struct detail {
    char text[DETAIL_BYTES_MAX];
};

/* True for 1 to 64 of [A-Za-z0-9_-], not starting with '-' or '_', not one of the reserved words of
 * the API. */
bool collection_name_valid(struct bytes name);
/* 1 to 512 bytes of UTF-8 without control characters. */
bool record_id_valid(struct bytes id);

/* Collections by name, for a look-up with each request. The table is borrowed and constant. */
struct collection_names {
    const struct collection *collections;
    uint32_t count;
    uint32_t sorted[COLLECTION_COUNT_MAX]; /* places in the table, by name */
};
void collection_names_init(struct collection_names *names, const struct collection *collections,
                           uint32_t count);
/* NULL: there is none. */
const struct collection *collection_names_find(const struct collection_names *names,
                                               struct bytes name);

/* The index of a declared field, or -1. */
int collection_index_find(const struct collection *collection, struct bytes field);

/*
 * Checks document (a MessagePack map without "id") against fields, fills in defaults, carries over
 * the members that the server keeps from old_document (empty: there is none), and checks indexed
 * values. *document_out is document itself when there is nothing to alter, else bytes in scratch,
 * which is at least DOCUMENT_BYTES_MAX + 64 KiB. UNPROCESSABLE with the field named; TOO_LARGE.
 */
MUST_USE enum status collection_conform(const struct collection *collection, struct bytes document,
                                        struct bytes old_document, struct writer *scratch,
                                        struct bytes *document_out, struct detail *detail_out);

/* The value by which document stands in the index, written to out; false: it does not stand in
 * it. */
bool collection_index_value(const struct collection *collection, uint32_t index,
                            struct bytes document, struct writer *out);

/* For messages: printf's %.*s of at most 64 bytes of a name. */
void detail_set(struct detail *detail, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
