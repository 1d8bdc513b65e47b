/* A change as the application sees it: its members, and the whole as JSON text or MessagePack. */
#include "bindings/c/core_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/token.h"

/* JSON text against its MessagePack: a byte becomes six at most (an escaped control character). */
#define RENDER_GROWTH 6
#define RENDER_FIRST  2
#define RENDER_EXTRA  64
/* collection, id, position and the name of an event, each with its NUL. */
#define CHANGE_TEXTS (COLLECTION_NAME_BYTES_MAX + ID_BYTES_MAX + POSITION_TEXT_BYTES_MAX + 3)

bool change_item_read(struct reader *reader, struct change_item *out)
{
    uint32_t count;
    return answer_array(reader, 3, &count) && answer_u64(reader, &out->kind) &&
           answer_text_or_nil(reader, POSITION_TEXT_BYTES_MAX, &out->position) &&
           answer_value(reader, &out->change) && answer_skip(reader, count - 3);
}

static bool text_member(struct bytes map, const char *name, size_t bytes_max, struct bytes *out)
{
    struct bytes value;
    if (!document_find(map, bytes_of_text(name), &value)) {
        *out = BYTES_EMPTY;
        return true;
    }
    struct reader reader = reader_of(value);
    return answer_text(&reader, bytes_max, out);
}

bool change_key(struct bytes change, struct bytes *collection_out, struct bytes *id_out)
{
    struct bytes keys;
    return text_member(change, "collection", COLLECTION_NAME_BYTES_MAX, collection_out) &&
           document_find(change, BYTES_LITERAL("keys"), &keys) &&
           text_member(keys, "id", ID_BYTES_MAX, id_out) && id_out->size > 0;
}

static uint64_t number_member(struct bytes map, const char *name)
{
    struct bytes value;
    uint64_t number;
    return document_find(map, bytes_of_text(name), &value) && document_u64(value, &number) ? number
                                                                                           : 0;
}

static enum freshet_event event_of(uint64_t kind, struct bytes change)
{
    struct bytes name;
    if (kind == FRAME_SNAPSHOT) {
        return FRESHET_SNAPSHOT;
    }
    if (kind == FRAME_SYNCED) {
        return FRESHET_SYNCED;
    }
    if (kind != FRAME_CHANGE) {
        return FRESHET_PROGRESS;
    }
    if (!text_member(change, "eventName", ERROR_TYPE_MAX, &name)) {
        return FRESHET_USER_EVENT;
    }
    if (bytes_equal(name, BYTES_LITERAL("INSERT"))) {
        return FRESHET_INSERT;
    }
    if (bytes_equal(name, BYTES_LITERAL("MODIFY"))) {
        return FRESHET_MODIFY;
    }
    return bytes_equal(name, BYTES_LITERAL("REMOVE")) ? FRESHET_REMOVE : FRESHET_USER_EVENT;
}

/* ---- the whole ---- */

struct images {
    struct bytes whole;
    struct bytes new_image;
    struct bytes old_image;
};

/* Notes where an image stands; one that is null is none. */
static void image_note(struct images *images, struct bytes name, struct bytes text, bool is_null)
{
    if (is_null) {
        return;
    }
    if (bytes_equal(name, BYTES_LITERAL("newImage"))) {
        images->new_image = text;
    } else if (bytes_equal(name, BYTES_LITERAL("oldImage"))) {
        images->old_image = text;
    }
}

/* Each member is a whole document, and is looked through before anyone sees it. */
static enum status images_check(struct bytes change, struct images *images)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    images->whole = change;
    if (!document_cursor_open(change, &cursor) || !cursor.is_object) {
        return STATUS_DAMAGED;
    }
    while (document_next_member(&cursor, &name, &value)) {
        if (document_validate(value) != STATUS_OK) {
            return STATUS_DAMAGED;
        }
        image_note(images, name, value, document_is_null(value));
    }
    return cursor.reader.failed ? STATUS_DAMAGED : STATUS_OK;
}

/* The same as JSON. Rendered member by member, so that it is known where the images stand. */
static enum status images_render(struct bytes change, struct writer *out, struct images *images)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    const char *separator = "{";
    size_t from = out->size;
    bool is_map = document_cursor_open(change, &cursor) && cursor.is_object;
    ASSERT(is_map);
    while (document_next_member(&cursor, &name, &value)) {
        writer_text(out, separator);
        separator = ",";
        json_string_write(out, name);
        writer_u8(out, ':');
        size_t start = out->size;
        enum status status = document_to_json(value, out);
        if (status != STATUS_OK) {
            return status;
        }
        struct bytes text = bytes_of(out->data + start, out->size - start);
        image_note(images, name, text, document_is_null(value));
    }
    writer_text(out, *separator == '{' ? "{}" : "}");
    images->whole = bytes_of(out->data + from, out->size - from);
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

static const char *text_put(struct writer *out, struct bytes text)
{
    const char *at = (const char *)out->data + out->size;
    writer_put(out, text);
    writer_u8(out, '\0');
    return at;
}

/* All but the images. */
static bool members_put(const struct change_item *item, struct writer *out,
                        struct freshet_change *change)
{
    struct bytes collection;
    struct bytes id;
    if (!change_key(item->change, &collection, &id)) {
        /* A user's event, or a mark, has no key. */
        collection = BYTES_EMPTY;
        id = BYTES_EMPTY;
    }
    *change = (struct freshet_change){.event = event_of(item->kind, item->change),
                                      .position = text_put(out, item->position),
                                      .collection = text_put(out, collection),
                                      .id = text_put(out, id),
                                      .sequence = number_member(item->change, "sequence"),
                                      .version = number_member(item->change, "version")};
    return !out->failed;
}

static const char *data_of(struct bytes bytes)
{
    return (const char *)bytes.data;
}

static enum status show(const struct change_item *item, enum freshet_format format,
                        struct buffer *room, size_t growth, struct freshet_change *out)
{
    struct writer writer;
    struct images images = {0};
    bool has_change = item->kind == FRAME_CHANGE || item->kind == FRAME_SNAPSHOT;
    size_t size = CHANGE_TEXTS + growth * item->change.size + RENDER_EXTRA;
    enum status status = buffer_begin(room, size, &writer);
    if (status != STATUS_OK) {
        return STATUS_NO_MEMORY;
    }
    if (!members_put(item, &writer, out)) {
        return STATUS_DAMAGED;
    }
    if (!has_change) {
        return STATUS_OK;
    }
    status = images_check(item->change, &images);
    if (status == STATUS_OK && format == FRESHET_JSON) {
        status = images_render(item->change, &writer, &images);
    }
    out->data = data_of(images.whole);
    out->data_size = images.whole.size;
    out->new_image = data_of(images.new_image);
    out->new_image_size = images.new_image.size;
    out->old_image = data_of(images.old_image);
    out->old_image_size = images.old_image.size;
    return status;
}

enum freshet_status change_show(const struct change_item *item, enum freshet_format format,
                                struct buffer *room, struct freshet_change *out)
{
    /* Most text is little longer than its MessagePack. */
    enum status status = show(item, format, room, RENDER_FIRST, out);
    if (status == STATUS_TOO_LARGE) {
        status = show(item, format, room, RENDER_GROWTH, out);
    }
    if (status == STATUS_OK) {
        return FRESHET_OK;
    }
    return status == STATUS_NO_MEMORY ? FRESHET_NO_MEMORY : FRESHET_PROTOCOL;
}
