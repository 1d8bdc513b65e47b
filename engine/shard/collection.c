#include "engine/shard/collection.h"

#include <stdarg.h>
#include <stdio.h>

#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"

void detail_set(struct detail *detail, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail->text, sizeof(detail->text), format, arguments);
    va_end(arguments);
}

/* ---- names and ids ---- */

static bool name_is_reserved(struct bytes name)
{
    static const char *const reserved[] = {
        "healthz", "readyz",   "metrics", "openapi.json", "ui",     "dashboard",
        "changes", "patterns", "rules",   "consumers",    "events", "objects",
    };
    for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
        if (bytes_equal(name, bytes_of_text(reserved[i]))) {
            return true;
        }
    }
    return false;
}

bool collection_name_valid(struct bytes name)
{
    if (name.size < 1 || name.size > COLLECTION_NAME_BYTES_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (i == 0 || (c != '-' && c != '_'))) {
            return false;
        }
    }
    return !name_is_reserved(name);
}

bool record_id_valid(struct bytes id)
{
    if (id.size < 1 || id.size > ID_BYTES_MAX) {
        return false;
    }
    for (size_t at = 0; at < id.size;) {
        size_t length = utf8_sequence_size(id.data + at, id.size - at);
        uint8_t c = id.data[at];
        /* C0, DEL, and C1, which is two bytes: c2 80 to c2 9f. */
        bool control =
            c < 0x20 || c == 0x7f || (length == 2 && c == 0xc2 && id.data[at + 1] < 0xa0);
        if (length == 0 || control) {
            return false;
        }
        at += length;
    }
    return true;
}

void collection_names_init(struct collection_names *names, const struct collection *collections,
                           uint32_t count)
{
    ASSERT(count <= COLLECTION_COUNT_MAX);
    names->collections = collections;
    names->count = count;
    for (uint32_t index = 0; index < count; index++) {
        uint32_t place = index;
        while (place > 0 && bytes_compare(collections[names->sorted[place - 1]].name,
                                          collections[index].name) > 0) {
            names->sorted[place] = names->sorted[place - 1];
            place--;
        }
        names->sorted[place] = index;
    }
}

const struct collection *collection_names_find(const struct collection_names *names,
                                               struct bytes name)
{
    uint32_t low = 0;
    uint32_t high = names->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        const struct collection *collection = &names->collections[names->sorted[middle]];
        int order = bytes_compare(name, collection->name);
        if (order == 0) {
            return collection;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* ---- documents ---- */

int collection_index_find(const struct collection *collection, struct bytes field)
{
    for (uint32_t i = 0; i < collection->index_count; i++) {
        if (bytes_equal(collection->indexes[i], field)) {
            return (int)i;
        }
    }
    return -1;
}

static bool field_type_matches(enum field_type type, struct bytes value)
{
    switch (type) {
    case FIELD_ANY:
        return true;
    case FIELD_STRING:
        return document_type_of(value) == DOCUMENT_STRING;
    case FIELD_NUMBER:
        return document_type_of(value) == DOCUMENT_NUMBER;
    case FIELD_BOOLEAN:
        return document_type_of(value) == DOCUMENT_BOOL;
    case FIELD_OBJECT:
        return document_type_of(value) == DOCUMENT_OBJECT;
    case FIELD_ARRAY:
        return document_type_of(value) == DOCUMENT_ARRAY;
    }
    UNREACHABLE();
}

static const char *field_type_text(enum field_type type)
{
    static const char *const texts[] = {"anything",  "a string",  "a number",
                                        "a boolean", "an object", "an array"};
    return texts[type];
}

static bool kept_contains(const struct collection *collection, struct bytes name)
{
    for (uint32_t i = 0; i < collection->kept_count; i++) {
        if (bytes_equal(collection->kept[i], name)) {
            return true;
        }
    }
    return false;
}

static enum status field_check(const struct collection *collection, struct bytes name,
                               struct bytes value, uint32_t *missing, struct detail *detail)
{
    for (uint32_t i = 0; i < collection->field_count; i++) {
        const struct collection_field *field = &collection->fields[i];
        if (!bytes_equal(field->name, name)) {
            continue;
        }
        if (!field_type_matches(field->type, value)) {
            detail_set(detail, "the field \"%.*s\" must be %s", (int)field->name.size,
                       (const char *)field->name.data, field_type_text(field->type));
            return STATUS_UNPROCESSABLE;
        }
        *missing -= field->default_value.size > 0 ? 1 : 0;
        break;
    }
    return STATUS_OK;
}

static enum status index_check(const struct collection *collection, struct bytes name,
                               struct bytes value, struct detail *detail)
{
    uint8_t text[INDEX_VALUE_BYTES_MAX];
    struct writer out = writer_of(text, sizeof(text));
    if (collection_index_find(collection, name) >= 0 && !document_index_text(value, &out) &&
        out.failed) {
        detail_set(detail, "the indexed field \"%.*s\" is over %d bytes", (int)name.size,
                   (const char *)name.data, INDEX_VALUE_BYTES_MAX);
        return STATUS_UNPROCESSABLE;
    }
    return STATUS_OK;
}

/* One walk over the document, for it is longer than the declarations as a rule. *missing_out: how
 * many fields with a default it lacks. */
static enum status members_check(const struct collection *collection, struct bytes document,
                                 uint32_t *missing_out, struct detail *detail)
{
    uint32_t missing = 0;
    for (uint32_t i = 0; i < collection->field_count; i++) {
        missing += collection->fields[i].default_value.size > 0 ? 1 : 0;
    }
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    document_cursor_open(document, &cursor);
    enum status status = STATUS_OK;
    while (status == STATUS_OK && document_next_member(&cursor, &name, &value)) {
        status = field_check(collection, name, value, &missing, detail);
        if (status == STATUS_OK) {
            status = index_check(collection, name, value, detail);
        }
    }
    *missing_out = missing;
    return status;
}

/* Members of document that the client may set, then what is kept of the old one, then defaults. */
static enum status document_complete(const struct collection *collection, struct bytes document,
                                     struct bytes old_document, struct writer *out)
{
    uint32_t count = 0;
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    /* Counted first, because a map's header says how many follow; written in the same order. */
    for (int pass = 0; pass < 2; pass++) {
        if (pass == 1) {
            document_write_map(out, count);
        }
        document_cursor_open(document, &cursor);
        while (document_next_member(&cursor, &name, &value)) {
            if (kept_contains(collection, name)) {
                continue;
            }
            count++;
            if (pass == 1) {
                document_write_string(out, name);
                document_write_raw(out, value);
            }
        }
        for (uint32_t i = 0; i < collection->kept_count; i++) {
            if (old_document.size > 0 && document_find(old_document, collection->kept[i], &value)) {
                count++;
                if (pass == 1) {
                    document_write_string(out, collection->kept[i]);
                    document_write_raw(out, value);
                }
            }
        }
        for (uint32_t i = 0; i < collection->field_count; i++) {
            const struct collection_field *field = &collection->fields[i];
            if (field->default_value.size > 0 && !document_find(document, field->name, &value)) {
                count++;
                if (pass == 1) {
                    document_write_string(out, field->name);
                    document_write_raw(out, field->default_value);
                }
            }
        }
    }
    return out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}

enum status collection_conform(const struct collection *collection, struct bytes document,
                               struct bytes old_document, struct writer *scratch,
                               struct bytes *document_out, struct detail *detail_out)
{
    ASSERT(document_is_object(document));
    uint32_t missing;
    enum status status = members_check(collection, document, &missing, detail_out);
    if (status != STATUS_OK) {
        return status;
    }
    *document_out = document;
    if (missing == 0 && collection->kept_count == 0) {
        return STATUS_OK;
    }
    bool kept = false;
    for (uint32_t i = 0; i < collection->kept_count; i++) {
        struct bytes value;
        kept = kept || document_find(document, collection->kept[i], &value) ||
               (old_document.size > 0 && document_find(old_document, collection->kept[i], &value));
    }
    if (missing == 0 && !kept) {
        return STATUS_OK;
    }
    size_t from = scratch->size;
    status = document_complete(collection, document, old_document, scratch);
    *document_out = bytes_slice(writer_bytes(scratch), from, scratch->size - from);
    if (status == STATUS_OK && document_out->size > DOCUMENT_BYTES_MAX) {
        status = STATUS_TOO_LARGE;
    }
    if (status == STATUS_TOO_LARGE) {
        detail_set(detail_out, "the record is over the limit of 1 MiB");
    }
    return status;
}

bool collection_index_value(const struct collection *collection, uint32_t index,
                            struct bytes document, struct writer *out)
{
    ASSERT(index < collection->index_count);
    struct bytes value;
    return document.size > 0 && document_find(document, collection->indexes[index], &value) &&
           document_index_text(value, out);
}

/* ---- the server's own ---- */

void collection_internal_fill(struct collection *out, uint16_t first_number)
{
    static const char *const names[COLLECTION_INTERNAL_COUNT] = {
        [COLLECTION_RULES] = "_rules",         [COLLECTION_RULE_STATES] = "_rule_states",
        [COLLECTION_PARKED] = "_parked",       [COLLECTION_DEAD_LETTERS] = "_dead_letters",
        [COLLECTION_CONSUMERS] = "_consumers",
    };
    ASSERT(out != NULL);
    ASSERT(first_number <= COLLECTION_COUNT_MAX);
    for (uint32_t i = 0; i < COLLECTION_INTERNAL_COUNT; i++) {
        ASSERT(!collection_name_valid(bytes_of_text(names[i])));
        out[i] = (struct collection){
            .number = (uint16_t)(first_number + i),
            .name = bytes_of_text(names[i]),
            .singular = bytes_of_text(names[i]),
            /* Who follows the rules must learn which rule went. */
            .old_images = i == COLLECTION_RULES,
            .internal = true,
        };
    }
}
