/*
 * records.c: the operations on records.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/drivers/c/driver.h"

static struct bytes record_text(const struct freshet_record *record)
{
    return record->data == NULL ? BYTES_EMPTY : bytes_of(record->data, record->size);
}

static void put_written(struct writer *out, const struct freshet_written *written)
{
    put_text(out, "id", written->id);
    put_number(out, "version", written->version);
    put_text(out, "etag", written->etag);
    put_text(out, "position", written->position);
    put_flag(out, "created", written->created);
    put_flag(out, "changed", written->changed);
}

static struct freshet_write_options write_options(struct driver *driver, struct bytes object)
{
    struct line *line = &driver->line;
    return (struct freshet_write_options){
        .if_match = line_text(line, object, "if_match"),
        .if_absent = line_flag(object, "if_absent"),
        .idempotency_key = line_text(line, object, "idempotency_key"),
    };
}

/* A document or a patch; empty where there is none. */
static const char *document_of(struct driver *driver, struct bytes object)
{
    const char *document = line_text(&driver->line, object, "document");
    if (document == NULL) {
        document = line_text(&driver->line, object, "patch");
    }
    return document == NULL ? "" : document;
}

/* ---- one record ---- */

static enum freshet_status get(struct driver *driver, struct bytes object, struct writer *out)
{
    const char *collection = line_text(&driver->line, object, "collection");
    const char *id = line_text(&driver->line, object, "id");
    struct freshet_read_options options = {
        .minimum_position = line_text(&driver->line, object, "minimum_position"),
        .fresh = line_flag(object, "fresh"),
    };
    bool is_plain = options.minimum_position == NULL && !options.fresh;
    struct freshet_record record = {0};
    driver->start_ns = driver_clock_ns();
    enum freshet_status status =
        is_plain ? freshet_get(driver->db, collection, id, &record)
                 : freshet_get_with(driver->db, collection, id, &options, &record);
    driver->end_ns = driver_clock_ns();
    /* An absence has its place in the order of changes; an unknown collection has none. */
    if (status == FRESHET_NOT_FOUND && record.epoch > 0) {
        status = FRESHET_OK;
        record.data = NULL;
    }
    if (status == FRESHET_OK) {
        put_bytes(out, "record", record_text(&record));
        put_number(out, "version", record.version);
        put_flag(out, "near", record.near);
    }
    return status;
}

typedef enum freshet_status write_call(struct driver *driver, struct bytes object,
                                       const struct freshet_write_options *options,
                                       struct freshet_written *written);

static enum freshet_status timed_write(struct driver *driver, struct bytes object,
                                       struct freshet_written *written, write_call *call)
{
    struct freshet_write_options options = write_options(driver, object);
    driver->start_ns = driver_clock_ns();
    enum freshet_status status = call(driver, object, &options, written);
    driver->end_ns = driver_clock_ns();
    return status;
}

static enum freshet_status call_put(struct driver *driver, struct bytes object,
                                    const struct freshet_write_options *options,
                                    struct freshet_written *written)
{
    const char *document = document_of(driver, object);
    return freshet_put(driver->db, line_text(&driver->line, object, "collection"),
                       line_text(&driver->line, object, "id"), document, strlen(document), options,
                       written);
}

static enum freshet_status call_patch(struct driver *driver, struct bytes object,
                                      const struct freshet_write_options *options,
                                      struct freshet_written *written)
{
    const char *document = document_of(driver, object);
    return freshet_patch(driver->db, line_text(&driver->line, object, "collection"),
                         line_text(&driver->line, object, "id"), document, strlen(document),
                         options, written);
}

static enum freshet_status call_create(struct driver *driver, struct bytes object,
                                       const struct freshet_write_options *options,
                                       struct freshet_written *written)
{
    const char *document = document_of(driver, object);
    return freshet_create(driver->db, line_text(&driver->line, object, "collection"), document,
                          strlen(document), options, written);
}

static enum freshet_status call_delete(struct driver *driver, struct bytes object,
                                       const struct freshet_write_options *options,
                                       struct freshet_written *written)
{
    return freshet_delete(driver->db, line_text(&driver->line, object, "collection"),
                          line_text(&driver->line, object, "id"), options, written);
}

static enum freshet_status answered_write(struct driver *driver, struct bytes object,
                                          struct writer *out, write_call *call)
{
    struct freshet_written written = {0};
    enum freshet_status status = timed_write(driver, object, &written, call);
    if (status == FRESHET_OK) {
        put_written(out, &written);
    }
    return status;
}

static enum freshet_status put(struct driver *driver, struct bytes object, struct writer *out)
{
    return answered_write(driver, object, out, call_put);
}

static enum freshet_status patch(struct driver *driver, struct bytes object, struct writer *out)
{
    return answered_write(driver, object, out, call_patch);
}

static enum freshet_status create(struct driver *driver, struct bytes object, struct writer *out)
{
    return answered_write(driver, object, out, call_create);
}

static enum freshet_status delete (struct driver *driver, struct bytes object, struct writer *out) {
    struct freshet_written written = {0};
    enum freshet_status status = timed_write(driver, object, &written, call_delete);
    if (status == FRESHET_OK){put_flag(out, "existed", written.changed);}
return status;
}

/* ---- many ---- */

static enum freshet_status get_many(struct driver *driver, struct bytes object, struct writer *out)
{
    struct bytes elements[LINE_LIST_MAX];
    const char *ids[LINE_LIST_MAX];
    size_t count = line_list(object, "ids", elements);
    for (size_t i = 0; i < count; i++) {
        ids[i] = line_element_text(&driver->line, elements[i]);
    }
    struct freshet_record *records = calloc(count + 1, sizeof(*records));
    if (records == NULL) {
        return FRESHET_NO_MEMORY;
    }
    enum freshet_status status = freshet_get_many(
        driver->db, line_text(&driver->line, object, "collection"), ids, count, records);
    if (status == FRESHET_OK) {
        put_name(out, "records");
        put_begin(out, '[');
        for (size_t i = 0; i < count; i++) {
            put_element(out, record_text(&records[i]));
        }
        put_end(out, ']');
    }
    free(records);
    return status;
}

static enum freshet_status list(struct driver *driver, struct bytes object, struct writer *out)
{
    struct freshet_list_options options = {
        .index = line_text(&driver->line, object, "index"),
        .value = line_text(&driver->line, object, "value"),
        .page = (unsigned)line_number(object, "page", 0),
    };
    struct freshet_list *records = NULL;
    enum freshet_status status = freshet_list(
        driver->db, line_text(&driver->line, object, "collection"), &options, &records);
    put_name(out, "records");
    put_begin(out, '[');
    while (status == FRESHET_OK) {
        struct freshet_record record;
        status = freshet_list_next(records, &record);
        if (status == FRESHET_OK) {
            put_element(out, record_text(&record));
        }
    }
    put_end(out, ']');
    freshet_list_close(records);
    return status == FRESHET_END ? FRESHET_OK : status;
}

/* ---- batches ---- */

struct batch {
    struct freshet_operation operations[LINE_LIST_MAX];
    struct freshet_write_options options[LINE_LIST_MAX];
};

static enum freshet_operation_kind kind_of(const char *kind)
{
    static const char *const kinds[] = {"get", "put", "patch", "delete", "create"};
    static const enum freshet_operation_kind values[] = {FRESHET_BATCH_GET, FRESHET_BATCH_PUT,
                                                         FRESHET_BATCH_PATCH, FRESHET_BATCH_DELETE,
                                                         FRESHET_BATCH_CREATE};
    size_t i = 0;
    while (i < sizeof(kinds) / sizeof(kinds[0]) - 1 && strcmp(kinds[i], kind) != 0) {
        i++;
    }
    return values[i];
}

static void batch_fill(struct driver *driver, struct bytes object, struct batch *batch,
                       size_t place)
{
    struct freshet_operation *one = &batch->operations[place];
    batch->options[place] = write_options(driver, object);
    const char *kind = line_text(&driver->line, object, "kind");
    one->kind = kind_of(kind == NULL ? "" : kind);
    one->collection = line_text(&driver->line, object, "collection");
    one->id = line_text(&driver->line, object, "id");
    one->document = document_of(driver, object);
    one->size = strlen(one->document);
    one->options = &batch->options[place];
}

static void put_result(struct writer *out, const struct freshet_operation *one)
{
    bool is_get = one->kind == FRESHET_BATCH_GET;
    bool is_absent = is_get && one->status == FRESHET_NOT_FOUND && one->record.epoch > 0;
    put_begin(out, '{');
    if (one->status != FRESHET_OK && !is_absent) {
        const struct freshet_error error = {
            .status = one->status, .code = one->code, .type = one->type, .detail = one->detail};
        put_error(out, one->status, &error);
    } else {
        put_name(out, "ok");
        put_begin(out, '{');
        if (is_get) {
            put_bytes(out, "record", is_absent ? BYTES_EMPTY : record_text(&one->record));
        } else if (one->kind == FRESHET_BATCH_DELETE) {
            put_flag(out, "existed", one->written.changed);
        } else {
            put_written(out, &one->written);
        }
        put_end(out, '}');
    }
    put_end(out, '}');
}

static enum freshet_status batch(struct driver *driver, struct bytes object, struct writer *out)
{
    struct bytes elements[LINE_LIST_MAX];
    size_t count = line_list(object, "operations", elements);
    struct batch *batch = calloc(1, sizeof(*batch));
    if (batch == NULL) {
        return FRESHET_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        batch_fill(driver, elements[i], batch, i);
    }
    enum freshet_status status = freshet_batch(driver->db, batch->operations, count);
    if (status == FRESHET_OK) {
        put_name(out, "results");
        put_begin(out, '[');
        for (size_t i = 0; i < count; i++) {
            put_result(out, &batch->operations[i]);
        }
        put_end(out, ']');
    }
    free(batch);
    return status;
}

static enum freshet_status near_statistics(struct driver *driver, struct bytes object,
                                           struct writer *out)
{
    (void)object;
    struct freshet_near_statistics statistics;
    freshet_near_statistics(driver->db, &statistics);
    put_number(out, "hits", statistics.hits);
    put_number(out, "misses", statistics.misses);
    put_number(out, "passed", statistics.passed);
    put_number(out, "invalidations", statistics.invalidations);
    put_number(out, "dropped_fills", statistics.dropped_fills);
    put_number(out, "entries", statistics.entries);
    return FRESHET_OK;
}

const struct named_operation record_operations[] = {
    {"get", get},       {"put", put},       {"patch", patch},
    {"create", create}, {"delete", delete}, {"get_many", get_many},
    {"list", list},     {"batch", batch},   {"near_statistics", near_statistics},
    {NULL, NULL},
};
