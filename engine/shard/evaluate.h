/*
 * evaluate.h: what a write means, given the newest state of its record. Pure: no journal, no store,
 * no cache.
 *
 * Owner:  one shard's thread; results may point into the scratch buffers given.
 * Tests:  tests/unit/engine/shard/test_engine.c.
 */
#ifndef FRESHET_ENGINE_SHARD_EVALUATE_H
#define FRESHET_ENGINE_SHARD_EVALUATE_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/shard/request.h"
#include "protocol/base/bytes.h"

/* The newest state of a record: the last pending write's, or the store's. */
struct evaluate_state {
    bool exists;
    /* not yet committed: it has no entity tag, and what depends on it must wait for it */
    bool pending;
    uint64_t version;
    uint64_t epoch;
    uint64_t sequence;
    struct bytes document;
};

enum evaluate_verdict {
    EVALUATE_REFUSE, /* status says why; nothing changes */
    EVALUATE_EQUAL,  /* nothing to change; the answer is the state itself */
    EVALUATE_ABSENT, /* a DELETE of what is not there */
    EVALUATE_PUT,    /* document is the record from now on */
    EVALUATE_DELETE
};

struct evaluate_result {
    enum evaluate_verdict verdict;
    enum status status;
    struct bytes document; /* PUT: the new document */
    struct bytes changed;  /* PUT over an existing record: MessagePack array of names, else empty */
};

struct evaluate_scratch {
    /* DOCUMENT_BYTES_MAX + 64 KiB: the document with defaults, then the changed names */
    struct writer document;
    struct writer patched; /* as much: the result of a patch */
    struct writer json;    /* to measure the JSON of a patch's result */
};

/* request->detail is filled where there is more to say than the status does. */
void evaluate_write(struct request *request, const struct evaluate_state *state,
                    struct evaluate_scratch *scratch, struct evaluate_result *result_out);

#endif
