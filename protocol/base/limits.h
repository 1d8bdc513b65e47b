/*
 * limits.h: every bound that more than one module relies on, and how they relate.
 * A bound that only one module knows stands in that module, by the same naming.
 */
#ifndef FRESHET_PROTOCOL_BASE_LIMITS_H
#define FRESHET_PROTOCOL_BASE_LIMITS_H

#include <assert.h>

/* An id: 1 to 512 bytes of UTF-8 without control characters. */
#define ID_BYTES_MAX              512
#define COLLECTION_NAME_BYTES_MAX 64
#define COLLECTION_COUNT_MAX      256
#define FIELD_NAME_BYTES_MAX      128
/* Secondary indexes of one collection, and the bytes of one indexed value. */
#define INDEX_COUNT_MAX           16
#define INDEX_VALUE_BYTES_MAX     512
#define IDEMPOTENCY_KEY_BYTES_MAX 255

/* A document as JSON text, and nested containers in it. */
#define DOCUMENT_JSON_BYTES_MAX (1u << 20)
#define DOCUMENT_DEPTH_MAX      128
#define NUMBER_DIGITS_MAX       38
/* The same document as MessagePack: the worst growth is a three-byte float text, "0.5" with its
 * comma, to nine bytes. */
#define DOCUMENT_BYTES_MAX (3 * DOCUMENT_JSON_BYTES_MAX)

/* A page of a list ends at whichever comes first. */
#define LIST_RECORDS_MAX 1000
#define LIST_BYTES_MAX   (4u << 20)

#define SLOT_COUNT       256
#define SHARD_COUNT_MAX  SLOT_COUNT
#define THREAD_COUNT_MAX 64
/* Threads without shards that are clients of the engine: workers. */
#define CLIENT_COUNT_MAX 4

/* A journal entry holds a new and an old image, the key and an idempotency row. */
#define ENTRY_BYTES_MAX (2 * DOCUMENT_BYTES_MAX + 64 * 1024)

/* A position as clients see it: an opaque token. */
#define POSITION_TEXT_BYTES_MAX 4096

static_assert(DOCUMENT_JSON_BYTES_MAX <= LIST_BYTES_MAX, "a page holds at least one record");
static_assert(SHARD_COUNT_MAX <= SLOT_COUNT, "a shard owns at least one slot");

#define CACHE_LINE_BYTES 64 /* of the machines this runs on */

#endif
