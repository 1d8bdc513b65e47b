/* Lists: page after page, each record taken out of its page when it is asked for. */
#include <stdlib.h>

#include "bindings/c/client_internal.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* Pages without a record but with a next one, one after the other: more is no list. */
#define EMPTY_PAGES_MAX 16
/* JSON text against its MessagePack, as in core_change.c. */
#define RENDER_GROWTH 6
#define RENDER_EXTRA  64

struct freshet_list {
    struct freshet *db;
    struct freshet_list_options options; /* its texts are ours */
    char *collection;
    char *index;
    char *value;
    struct buffer cursor; /* empty: there is no next page */
    struct buffer page;
    struct buffer text; /* of the record that was handed out */
    struct reader reader;
    uint32_t left;
};

/* Takes the page that has come; the handle's body becomes the list's. */
static enum freshet_status take_page(struct freshet_list *list)
{
    struct freshet *db = list->db;
    struct buffer body = db->body;
    struct bytes cursor;
    uint32_t count;
    db->body = list->page;
    list->page = body;
    list->reader = reader_of(buffer_bytes(&list->page));
    bool is_sound = answer_array(&list->reader, 2, &count) &&
                    answer_text_or_nil(&list->reader, POSITION_TEXT_BYTES_MAX, &cursor) &&
                    answer_array(&list->reader, 0, &list->left);
    ASSERT(is_sound); /* the core has looked through it */
    buffer_clear(&list->cursor);
    if (buffer_append(&list->cursor, cursor, POSITION_TEXT_BYTES_MAX) != STATUS_OK) {
        list->left = 0;
        return client_fail(db, FRESHET_NO_MEMORY, NULL);
    }
    return FRESHET_OK;
}

static enum freshet_status fetch(struct freshet_list *list)
{
    struct freshet *db = list->db;
    struct client_call call = {.db = db};
    enum freshet_status status = client_await(
        &call, core_list(client_core(db), list->collection, &list->options,
                         buffer_bytes(&list->cursor), transport_now_ns(), client_done(&call)));
    return status == FRESHET_OK ? take_page(list) : status;
}

static struct freshet_list *list_new(struct freshet *db, const char *collection,
                                     const struct freshet_list_options *options)
{
    struct freshet_list *list = calloc(1, sizeof(*list));
    if (list == NULL) {
        return NULL;
    }
    list->db = db;
    list->collection = core_copy_text(collection == NULL ? "" : collection);
    list->index = core_copy_text(options->index);
    list->value = core_copy_text(options->value);
    list->options = (struct freshet_list_options){list->index, list->value, options->page};
    bool is_whole = list->collection != NULL && (list->index == NULL) == (options->index == NULL) &&
                    (list->value == NULL) == (options->value == NULL);
    if (!is_whole) {
        freshet_list_close(list);
        return NULL;
    }
    return list;
}

enum freshet_status freshet_list(struct freshet *db, const char *collection,
                                 const struct freshet_list_options *options,
                                 struct freshet_list **out)
{
    static const struct freshet_list_options DEFAULTS = {0};
    *out = NULL;
    if (!client_is_usable(db)) {
        return db->error.error.status;
    }
    struct freshet_list *list = list_new(db, collection, options == NULL ? &DEFAULTS : options);
    if (list == NULL) {
        return client_fail(db, FRESHET_NO_MEMORY, NULL);
    }
    enum freshet_status status = fetch(list);
    if (status != FRESHET_OK) {
        freshet_list_close(list);
        return status;
    }
    *out = list;
    return FRESHET_OK;
}

void freshet_list_close(struct freshet_list *list)
{
    if (list == NULL) {
        return;
    }
    buffer_deinit(&list->cursor);
    buffer_deinit(&list->page);
    buffer_deinit(&list->text);
    free(list->collection);
    free(list->index);
    free(list->value);
    free(list);
}

/* For the near cache: nothing older than what is handed out is shown from here on. */
static void note(const struct freshet_list *list, struct bytes record, struct bytes data)
{
    struct bytes value;
    struct bytes id;
    if (!document_find(record, BYTES_LITERAL("id"), &value)) {
        return;
    }
    struct reader reader = reader_of(value);
    if (answer_text(&reader, ID_BYTES_MAX, &id)) {
        near_listed(client_core(list->db), bytes_of_text(list->collection), id, data);
    }
}

static enum freshet_status show(struct freshet_list *list, struct bytes record,
                                struct freshet_record *out)
{
    struct freshet *db = list->db;
    struct writer writer;
    if (!document_is_object(record) || document_validate(record) != STATUS_OK) {
        return client_fail(db, FRESHET_PROTOCOL, "a page with something else than records");
    }
    *out = (struct freshet_record){.data = (const char *)record.data, .size = record.size};
    if (core_format(client_core(db)) == FRESHET_MSGPACK) {
        note(list, record, record);
        return FRESHET_OK;
    }
    size_t size = RENDER_GROWTH * record.size + RENDER_EXTRA;
    if (buffer_begin(&list->text, size, &writer) != STATUS_OK) {
        return client_fail(db, FRESHET_NO_MEMORY, NULL);
    }
    enum status status = document_to_json(record, &writer);
    ASSERT(status == STATUS_OK);
    out->data = (const char *)writer.data;
    out->size = writer.size;
    note(list, record, writer_bytes(&writer));
    return FRESHET_OK;
}

enum freshet_status freshet_list_next(struct freshet_list *list, struct freshet_record *out)
{
    *out = (struct freshet_record){0};
    for (unsigned pages = 0; list->left == 0; pages++) {
        if (buffer_left(&list->cursor) == 0) {
            return FRESHET_END;
        }
        if (pages == EMPTY_PAGES_MAX) {
            return client_fail(list->db, FRESHET_PROTOCOL, "page after page without a record");
        }
        enum freshet_status status = fetch(list);
        if (status != FRESHET_OK) {
            return status;
        }
    }
    struct bytes record;
    bool is_value = answer_value(&list->reader, &record);
    ASSERT(is_value);
    list->left--;
    return show(list, record, out);
}
