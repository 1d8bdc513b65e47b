/*
 * change.h: an entry of the journal as its consumers see it.
 *
 *     {"eventID":…,"eventName":"INSERT|MODIFY|REMOVE","eventSource":"freshet","collection":…,
 *      "keys":{"id":…},"sequence":…,"version":…,"time":…,"changed":[…],"newImage":{…},
 *      "oldImage":{…}}
 *
 * A user's own event has eventName EVENT and instead of collection, keys, version and images its
 * source, detail-type and detail. An image is the record as GET shows it, with its id.
 *
 * The change is built as MessagePack: patterns are matched on that, transports that speak
 * MessagePack send it, and JSON is rendered from it.
 *
 * Owner:   views point into the entry or row given; nothing is allocated.
 * Time:    of the entry; nothing here reads a clock.
 * Tests:   tests/unit/engine/stream/test_change.c.
 */
#ifndef FRESHET_ENGINE_STREAM_CHANGE_H
#define FRESHET_ENGINE_STREAM_CHANGE_H

#include "engine/journal/entry.h"
#include "engine/journal/position.h"
#include "engine/shard/slice.h"
#include "protocol/base/bytes.h"

enum change_kind { CHANGE_INSERT, CHANGE_MODIFY, CHANGE_REMOVE, CHANGE_EVENT };
enum change_view { CHANGE_VIEW_KEYS, CHANGE_VIEW_NEW, CHANGE_VIEW_OLD, CHANGE_VIEW_BOTH };
#define CHANGE_VIEW_COUNT 4
/* What the change did to a subscription's set of records (enter_leave). */
enum change_transition { CHANGE_STAYS, CHANGE_ENTERS, CHANGE_LEAVES };

/* Eight hexadecimal digits of the store id, the epoch, the sequence: "1f3a9c2e-1-123". */
#define CHANGE_ID_BYTES_MAX 64

struct change {
    struct store_id store_id;
    enum change_kind kind;
    uint64_t epoch;
    uint64_t sequence;
    uint64_t time_ms;
    uint64_t version;
    uint8_t slot;
    struct bytes collection;   /* empty: a user's own event */
    struct bytes id;           /* of the record, or of the user's event */
    struct bytes changed;      /* MessagePack array; empty: none */
    struct bytes new_document; /* as stored, without id; empty: none. EVENT: the event itself */
    struct bytes old_document;
};

/* False: the entry is no change (the journal's own). Whether its collection is internal is the
 * caller's to judge. */
bool change_of_entry(const struct store_id *store_id, const struct entry *entry,
                     struct change *out);
/* A record of a snapshot, as the INSERT of its newest state. */
void change_of_row(const struct store_id *store_id, const struct slice_row *row,
                   struct change *out);

struct bytes change_id(const struct change *change, uint8_t buffer[CHANGE_ID_BYTES_MAX]);
const char *change_name(enum change_kind kind); /* "INSERT" */

/*
 * The change as its view shows it. CHANGE_ENTERS leaves the old image out, and CHANGE_LEAVES the
 * new one, because the pattern excludes that side; both add the member `transition`. TOO_LARGE when
 * it does not fit.
 */
MUST_USE enum status change_write(const struct change *change, enum change_view view,
                                  enum change_transition transition, struct writer *msgpack_out);
/* What patterns are matched on: everything, and where there is no new image (a REMOVE) the old one
 * stands for it. */
MUST_USE enum status change_write_judged(const struct change *change, struct writer *msgpack_out);
/* The same with the old image in the new one's place: was the record in the pattern before? */
MUST_USE enum status change_write_judged_before(const struct change *change,
                                                struct writer *msgpack_out);

#endif
