/*
 * streams.c: the operations on subscriptions and consumers.
 */
#include <string.h>

#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "tests/conformance/drivers/c/driver.h"

#define CONSUMERS_MAX     1000
#define CHANGE_BYTES_MAX  (4u << 20)
#define CHANGED_BYTES_MAX (64u << 10)

static struct named_subscription *subscription_find(struct driver *driver, const char *name)
{
    for (size_t i = 0; i < SUBSCRIPTIONS_MAX; i++) {
        if (strcmp(driver->subscriptions[i].name, name) == 0) {
            return &driver->subscriptions[i];
        }
    }
    return NULL;
}

static struct named_subscription *subscription_of(struct driver *driver, struct bytes object)
{
    const char *name = line_text(&driver->line, object, "name");
    return name == NULL ? NULL : subscription_find(driver, name);
}

/* ---- changes ---- */

static enum freshet_view view_of(const char *view)
{
    static const char *const names[] = {"both", "keys", "new", "old"};
    static const enum freshet_view views[] = {FRESHET_VIEW_BOTH, FRESHET_VIEW_KEYS,
                                              FRESHET_VIEW_NEW, FRESHET_VIEW_OLD};
    for (size_t i = 0; view != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(view, names[i]) == 0) {
            return views[i];
        }
    }
    return FRESHET_VIEW_BOTH;
}

static enum freshet_status subscribe(struct driver *driver, struct bytes object, struct writer *out)
{
    (void)out;
    struct line *line = &driver->line;
    struct named_subscription *place = subscription_find(driver, "");
    const char *name = line_text(line, object, "name");
    if (place == NULL || name == NULL || strlen(name) >= NAME_BYTES_MAX) {
        return FRESHET_INVALID;
    }
    struct freshet_subscribe_options options = {
        .collection = line_text(line, object, "collection"),
        .pattern = line_text(line, object, "pattern"),
        .start = line_text(line, object, "start"),
        .view = view_of(line_text(line, object, "view")),
        .enter_leave = line_flag(object, "enter_leave"),
        .credit = (unsigned)line_number(object, "credit", 0),
        .consumer = line_text(line, object, "consumer"),
        .member = line_text(line, object, "member"),
    };
    enum freshet_status status = freshet_subscribe(driver->db, &options, &place->subscription);
    if (status == FRESHET_OK) {
        memcpy(place->name, name, strlen(name) + 1);
        place->db = driver->db;
    }
    return status;
}

static const char *event_name(enum freshet_event event)
{
    switch (event) {
    case FRESHET_INSERT:
        return "INSERT";
    case FRESHET_MODIFY:
        return "MODIFY";
    case FRESHET_REMOVE:
        return "REMOVE";
    case FRESHET_USER_EVENT:
        return "EVENT";
    case FRESHET_SNAPSHOT:
        return "SNAPSHOT";
    case FRESHET_SYNCED:
        return "SYNCED";
    case FRESHET_PROGRESS:
        return "PROGRESS";
    }
    return "?";
}

/* The member `changed` of a change, which the C API gives as a part of its text. */
static void put_changed(struct writer *out, struct bytes json)
{
    static uint8_t memory[CHANGE_BYTES_MAX];
    static uint8_t text[CHANGED_BYTES_MAX];
    struct writer document = writer_of(memory, sizeof(memory));
    struct writer names = writer_of(text, sizeof(text));
    struct bytes changed;
    if (json.size > 0 && json_rendered_to_document(json, &document) == STATUS_OK &&
        document_find(writer_bytes(&document), BYTES_LITERAL("changed"), &changed) &&
        document_to_json(changed, &names) == STATUS_OK) {
        put_name(out, "changed");
        writer_put(out, writer_bytes(&names));
    }
}

static struct bytes image(const char *data, size_t size)
{
    return data == NULL ? BYTES_EMPTY : bytes_of(data, size);
}

static void put_change(struct writer *out, const struct freshet_change *change)
{
    put_begin(out, '{');
    put_text(out, "event", event_name(change->event));
    put_text(out, "collection", change->collection);
    put_text(out, "id", change->id);
    put_number(out, "sequence", change->sequence);
    put_number(out, "version", change->version);
    put_text(out, "position", change->position);
    put_changed(out, image(change->data, change->data_size));
    put_bytes(out, "new_image", image(change->new_image, change->new_image_size));
    put_bytes(out, "old_image", image(change->old_image, change->old_image_size));
    put_end(out, '}');
}

static enum freshet_status next(struct driver *driver, struct bytes object, struct writer *out)
{
    struct named_subscription *named = subscription_of(driver, object);
    uint64_t count = line_number(object, "count", 1);
    int timeout_ms = (int)line_number(object, "timeout_ms", 10000);
    enum freshet_status status = named == NULL ? FRESHET_INVALID : FRESHET_OK;
    uint64_t taken = 0;
    put_name(out, "changes");
    put_begin(out, '[');
    while (status == FRESHET_OK && taken < count) {
        struct freshet_change change;
        status = freshet_next(named->subscription, timeout_ms, &change);
        if (status == FRESHET_OK) {
            put_change(out, &change);
            taken++;
        }
    }
    put_end(out, ']');
    bool is_open = status == FRESHET_OK || status == FRESHET_AGAIN;
    put_flag(out, "end", !is_open);
    if (named != NULL) {
        driver->db = named->db;
    }
    return is_open || taken > 0 ? FRESHET_OK : status;
}

static enum freshet_status acknowledge(struct driver *driver, struct bytes object,
                                       struct writer *out)
{
    (void)out;
    struct named_subscription *named = subscription_of(driver, object);
    return named == NULL ? FRESHET_INVALID : freshet_acknowledge(named->subscription);
}

static enum freshet_status unsubscribe(struct driver *driver, struct bytes object,
                                       struct writer *out)
{
    (void)out;
    struct named_subscription *named = subscription_of(driver, object);
    if (named == NULL) {
        return FRESHET_INVALID;
    }
    freshet_unsubscribe(named->subscription);
    *named = (struct named_subscription){0};
    return FRESHET_OK;
}

/* ---- consumers ---- */

static void put_consumer(struct writer *out, const struct freshet_consumer *consumer)
{
    put_text(out, "name", consumer->name);
    put_text(out, "collection", consumer->collection);
    put_text(out, "pattern", consumer->pattern);
    put_text(out, "position", consumer->position);
    put_flag(out, "group", consumer->group);
    put_number(out, "lag_events", consumer->lag_events);
}

static enum freshet_status consumer_put(struct driver *driver, struct bytes object,
                                        struct writer *out)
{
    struct line *line = &driver->line;
    struct freshet_consumer_options options = {
        .collection = line_text(line, object, "collection"),
        .pattern = line_text(line, object, "pattern"),
        .start = line_text(line, object, "start"),
        .group = line_flag(object, "group"),
    };
    struct freshet_consumer consumer;
    enum freshet_status status =
        freshet_consumer_put(driver->db, line_text(line, object, "consumer"), &options, &consumer);
    if (status == FRESHET_OK) {
        put_consumer(out, &consumer);
    }
    return status;
}

static enum freshet_status consumer_get(struct driver *driver, struct bytes object,
                                        struct writer *out)
{
    struct freshet_consumer consumer;
    enum freshet_status status =
        freshet_consumer_get(driver->db, line_text(&driver->line, object, "consumer"), &consumer);
    if (status == FRESHET_OK) {
        put_consumer(out, &consumer);
    } else if (status == FRESHET_NOT_FOUND) {
        put_text(out, "name", NULL);
        status = FRESHET_OK;
    }
    return status;
}

static enum freshet_status consumer_delete(struct driver *driver, struct bytes object,
                                           struct writer *out)
{
    enum freshet_status status =
        freshet_consumer_delete(driver->db, line_text(&driver->line, object, "consumer"));
    put_flag(out, "existed", status == FRESHET_OK);
    return status == FRESHET_NOT_FOUND ? FRESHET_OK : status;
}

static enum freshet_status consumer_list(struct driver *driver, struct bytes object,
                                         struct writer *out)
{
    static struct freshet_consumer consumers[CONSUMERS_MAX];
    size_t limit = line_number(object, "limit", CONSUMERS_MAX);
    size_t count = 0;
    enum freshet_status status =
        freshet_consumer_list(driver->db, line_text(&driver->line, object, "after"), consumers,
                              limit < CONSUMERS_MAX ? limit : CONSUMERS_MAX, &count);
    put_name(out, "consumers");
    put_begin(out, '[');
    for (size_t i = 0; status == FRESHET_OK && i < count; i++) {
        put_begin(out, '{');
        put_consumer(out, &consumers[i]);
        put_end(out, '}');
    }
    put_end(out, ']');
    return status;
}

const struct named_operation stream_operations[] = {
    {"subscribe", subscribe},
    {"next", next},
    {"acknowledge", acknowledge},
    {"unsubscribe", unsubscribe},
    {"consumer_put", consumer_put},
    {"consumer_get", consumer_get},
    {"consumer_delete", consumer_delete},
    {"consumer_list", consumer_list},
    {NULL, NULL},
};
