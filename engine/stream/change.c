#include "engine/stream/change.h"

#include <xxhash.h>

#include "protocol/base/assert.h"
#include "protocol/base/time_text.h"
#include "protocol/document/document.h"

#define EPOCH_DIGITS_BYTES 4 /* of the store id, as eight hexadecimal digits */

/* Which member is written from which image. */
struct images {
    bool has_new;
    bool has_old;
    struct bytes new_document;
    struct bytes old_document;
};

/* ---- what it is ---- */

bool change_of_entry(const struct store_id *store_id, const struct entry *entry, struct change *out)
{
    *out = (struct change){
        .store_id = *store_id,
        .epoch = entry->epoch,
        .sequence = entry->sequence,
        .time_ms = entry->time_ms,
        .version = entry->version,
        .slot = entry->slot,
        .collection = entry->collection,
        .id = entry->id,
        .changed = entry->changed,
        .new_document = entry->new_document,
        .old_document = entry->old_document,
    };
    switch (entry->kind) {
    case ENTRY_PUT:
        out->kind = entry->has_old ? CHANGE_MODIFY : CHANGE_INSERT;
        return true;
    case ENTRY_DELETE:
        out->kind = CHANGE_REMOVE;
        out->new_document = BYTES_EMPTY;
        return true;
    case ENTRY_EVENT:
        out->kind = CHANGE_EVENT;
        out->collection = BYTES_EMPTY;
        out->old_document = BYTES_EMPTY;
        return true;
    case ENTRY_INTERNAL:
        return false;
    }
    UNREACHABLE();
}

/* The low byte of the hash over collection, a zero byte, id: as for ever. */
static uint8_t slot_of(struct bytes collection, struct bytes id)
{
    uint8_t key[COLLECTION_NAME_BYTES_MAX + 1 + ID_BYTES_MAX];
    struct writer writer = writer_of(key, sizeof(key));
    writer_put(&writer, collection);
    writer_u8(&writer, 0);
    writer_put(&writer, id);
    ASSERT(!writer.failed);
    return (uint8_t)XXH3_64bits(writer.data, writer.size);
}

void change_of_row(const struct store_id *store_id, const struct slice_row *row, struct change *out)
{
    *out = (struct change){
        .store_id = *store_id,
        .kind = CHANGE_INSERT,
        .epoch = row->epoch,
        .sequence = row->sequence,
        .time_ms = row->time_ms,
        .version = row->version,
        .slot = slot_of(row->collection, row->id),
        .collection = row->collection,
        .id = row->id,
        .new_document = row->document,
    };
}

/* ---- texts ---- */

struct bytes change_id(const struct change *change, uint8_t buffer[CHANGE_ID_BYTES_MAX])
{
    static const char hexadecimal[] = "0123456789abcdef";
    struct writer writer = writer_of(buffer, CHANGE_ID_BYTES_MAX);
    for (size_t i = 0; i < EPOCH_DIGITS_BYTES; i++) {
        uint8_t byte = change->store_id.bytes[i];
        writer_u8(&writer, (uint8_t)hexadecimal[byte >> 4]);
        writer_u8(&writer, (uint8_t)hexadecimal[byte & 15]);
    }
    writer_u8(&writer, '-');
    writer_decimal(&writer, change->epoch);
    writer_u8(&writer, '-');
    writer_decimal(&writer, change->sequence);
    ASSERT(!writer.failed);
    return writer_bytes(&writer);
}

const char *change_name(enum change_kind kind)
{
    switch (kind) {
    case CHANGE_INSERT:
        return "INSERT";
    case CHANGE_MODIFY:
        return "MODIFY";
    case CHANGE_REMOVE:
        return "REMOVE";
    case CHANGE_EVENT:
        return "EVENT";
    }
    UNREACHABLE();
}

/* ---- MessagePack ---- */

#define WRITE_NAME(out, name) document_write_string((out), BYTES_LITERAL(name))

static void member_text(struct writer *out, struct bytes name, struct bytes text)
{
    document_write_string(out, name);
    document_write_string(out, text);
}

static void write_head(const struct change *change, uint32_t member_count, struct writer *out)
{
    uint8_t id[CHANGE_ID_BYTES_MAX];
    document_write_map(out, member_count);
    member_text(out, BYTES_LITERAL("eventID"), change_id(change, id));
    member_text(out, BYTES_LITERAL("eventName"), bytes_of_text(change_name(change->kind)));
    member_text(out, BYTES_LITERAL("eventSource"), BYTES_LITERAL("freshet"));
}

static void write_time(const struct change *change, struct writer *out)
{
    uint8_t time[TIME_TEXT_BYTES];
    struct writer text = writer_of(time, sizeof(time));
    time_text_write(&text, change->time_ms);
    member_text(out, BYTES_LITERAL("time"), writer_bytes(&text));
}

/* A user's own event: its three members between ours. It has no images, so no view leaves anything
 * out. */
static void write_event(const struct change *change, struct writer *out)
{
    static const struct bytes names[] = {BYTES_LITERAL("source"), BYTES_LITERAL("detail-type"),
                                         BYTES_LITERAL("detail")};
    const size_t name_count = sizeof(names) / sizeof(names[0]);
    struct bytes values[sizeof(names) / sizeof(names[0])];
    uint32_t found = 0;
    for (size_t i = 0; i < name_count; i++) {
        values[i] = BYTES_EMPTY;
        found += document_find(change->new_document, names[i], &values[i]) ? 1 : 0;
    }
    write_head(change, 5 + found, out);
    for (size_t i = 0; i < name_count; i++) {
        if (values[i].size > 0) {
            document_write_string(out, names[i]);
            document_write_raw(out, values[i]);
        }
    }
    WRITE_NAME(out, "sequence");
    document_write_u64(out, change->sequence);
    write_time(change, out);
}

static void write_record(const struct change *change, const struct images *images,
                         const char *transition, struct writer *out)
{
    uint32_t member_count = 9;
    member_count += images->has_new ? 1 : 0;
    member_count += images->has_old ? 1 : 0;
    member_count += transition != NULL ? 1 : 0;
    write_head(change, member_count, out);
    member_text(out, BYTES_LITERAL("collection"), change->collection);
    WRITE_NAME(out, "keys");
    document_write_map(out, 1);
    member_text(out, BYTES_LITERAL("id"), change->id);
    WRITE_NAME(out, "sequence");
    document_write_u64(out, change->sequence);
    WRITE_NAME(out, "version");
    document_write_u64(out, change->version);
    write_time(change, out);
    WRITE_NAME(out, "changed");
    if (change->changed.size > 0) {
        document_write_raw(out, change->changed);
    } else {
        document_write_array(out, 0);
    }
    if (transition != NULL) {
        member_text(out, BYTES_LITERAL("transition"), bytes_of_text(transition));
    }
    if (images->has_new) {
        WRITE_NAME(out, "newImage");
        document_write_record(out, change->id, images->new_document);
    }
    if (images->has_old) {
        WRITE_NAME(out, "oldImage");
        document_write_record(out, change->id, images->old_document);
    }
}

static enum status write_change(const struct change *change, const struct images *images,
                                const char *transition, struct writer *out)
{
    ASSERT(change->sequence > 0);
    if (change->kind == CHANGE_EVENT) {
        write_event(change, out);
    } else {
        ASSERT(change->collection.size > 0);
        write_record(change, images, transition, out);
    }
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

static const char *transition_name(enum change_transition transition)
{
    switch (transition) {
    case CHANGE_STAYS:
        return NULL;
    case CHANGE_ENTERS:
        return "enter";
    case CHANGE_LEAVES:
        return "leave";
    }
    UNREACHABLE();
}

enum status change_write(const struct change *change, enum change_view view,
                         enum change_transition transition, struct writer *msgpack_out)
{
    bool shows_new = view == CHANGE_VIEW_NEW || view == CHANGE_VIEW_BOTH;
    bool shows_old = view == CHANGE_VIEW_OLD || view == CHANGE_VIEW_BOTH;
    const struct images images = {
        .has_new = shows_new && transition != CHANGE_LEAVES && change->new_document.size > 0,
        .has_old = shows_old && transition != CHANGE_ENTERS && change->old_document.size > 0,
        .new_document = change->new_document,
        .old_document = change->old_document,
    };
    return write_change(change, &images, transition_name(transition), msgpack_out);
}

/* Both images, the given one as the new one. */
static enum status write_judged(const struct change *change, struct bytes new_document,
                                struct writer *out)
{
    const struct images images = {
        .has_new = new_document.size > 0,
        .has_old = change->old_document.size > 0,
        .new_document = new_document,
        .old_document = change->old_document,
    };
    return write_change(change, &images, NULL, out);
}

enum status change_write_judged(const struct change *change, struct writer *msgpack_out)
{
    bool is_remove = change->kind == CHANGE_REMOVE;
    return write_judged(change, is_remove ? change->old_document : change->new_document,
                        msgpack_out);
}

enum status change_write_judged_before(const struct change *change, struct writer *msgpack_out)
{
    return write_judged(change, change->old_document, msgpack_out);
}
