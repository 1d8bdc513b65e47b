/* Batches: one answer with an outcome for each operation. */
#include <stdlib.h>

#include "bindings/c/client_internal.h"

#define NOTHING_WRITTEN ((struct freshet_written){.id = "", .etag = "", .position = ""})

static const char *text_put(struct writer *out, struct bytes text)
{
    const char *at = (const char *)out->data + out->size;
    writer_put(out, text);
    writer_u8(out, '\0');
    return at;
}

static void take_failure(const struct answer_operation *answer, struct writer *texts,
                         struct freshet_operation *operation)
{
    operation->code = (int)answer->code;
    operation->type = text_put(texts, answer->type);
    operation->status = core_status_of_code(answer->code, operation->type);
    operation->detail = text_put(texts, answer->detail);
    if (*operation->detail == '\0') {
        operation->detail = freshet_status_text(operation->status);
    }
}

static void take_written(const struct answer_operation *answer, struct writer *texts,
                         struct freshet_operation *operation)
{
    operation->written =
        (struct freshet_written){.id = text_put(texts, answer->written.id),
                                 .etag = text_put(texts, answer->written.etag),
                                 .position = text_put(texts, answer->written.position),
                                 .epoch = answer->written.pair.epoch,
                                 .sequence = answer->written.pair.sequence,
                                 .version = answer->written.version,
                                 .created = answer->code == 201,
                                 .changed = answer->written.is_changed};
}

static void take_state(const struct answer_operation *answer, struct freshet_operation *operation)
{
    const struct answer_state *state = &answer->state;
    operation->record =
        (struct freshet_record){.data = state->is_there ? (const char *)state->data.data : NULL,
                                .size = state->data.size,
                                .epoch = state->pair.epoch,
                                .sequence = state->pair.sequence,
                                .version = state->version};
    if (!state->is_there) {
        operation->status = FRESHET_NOT_FOUND;
        operation->code = (int)answer->code;
        operation->detail = CORE_NO_RECORD;
    }
}

static void take_operation(const struct answer_operation *answer, struct writer *texts,
                           struct freshet_operation *operation)
{
    bool is_get = operation->kind == FRESHET_BATCH_GET;
    bool is_state = is_get && (answer->code == 200 || answer->state.is_known);
    operation->status = FRESHET_OK;
    operation->code = 0;
    operation->type = "";
    operation->detail = "";
    operation->record = (struct freshet_record){0};
    operation->written = NOTHING_WRITTEN;
    if (is_state) {
        take_state(answer, operation);
    } else if (answer->code < 300) {
        take_written(answer, texts, operation);
    } else {
        take_failure(answer, texts, operation);
    }
}

static enum freshet_status take_answers(struct freshet *db, struct freshet_operation *operations,
                                        size_t count)
{
    struct bytes body = buffer_bytes(&db->body);
    struct reader reader = reader_of(body);
    bool is_json = core_format(client_core(db)) == FRESHET_JSON;
    struct writer texts;
    uint32_t answers;
    /* Each text of the body once, with a NUL; five in an operation at most. */
    if (buffer_begin(&db->data, body.size + 5 * count, &texts) != STATUS_OK) {
        return client_fail(db, FRESHET_NO_MEMORY, NULL);
    }
    bool is_sound = answer_array(&reader, (uint32_t)count, &answers) && answers == count;
    for (size_t index = 0; index < count && is_sound; index++) {
        struct answer_operation answer;
        bool is_get = operations[index].kind == FRESHET_BATCH_GET;
        is_sound = answer_operation_read(&reader, is_json, is_get, &answer);
        if (is_sound) {
            take_operation(&answer, &texts, &operations[index]);
        }
    }
    ASSERT(!texts.failed);
    return is_sound ? FRESHET_OK
                    : client_fail(db, FRESHET_PROTOCOL, "an answer to BATCH that cannot be read");
}

enum freshet_status freshet_batch(struct freshet *db, struct freshet_operation *operations,
                                  size_t count)
{
    if (!client_is_usable(db)) {
        return db->error.error.status;
    }
    if (count > CORE_BATCH_MAX) {
        return client_fail(db, FRESHET_INVALID, "a batch has at most 1000 operations");
    }
    if (count == 0) {
        return FRESHET_OK;
    }
    struct client_call call = {.db = db};
    enum freshet_status status =
        client_await(&call, core_batch(client_core(db), operations, count, transport_now_ns(),
                                       client_done(&call)));
    if (status == FRESHET_OK) {
        status = take_answers(db, operations, count);
    }
    for (size_t index = 0; index < count && status != FRESHET_OK; index++) {
        operations[index].status = status;
        operations[index].code = db->error.error.code;
        operations[index].type = db->error.error.type;
        operations[index].detail = db->error.error.detail;
        operations[index].record = (struct freshet_record){0};
        operations[index].written = NOTHING_WRITTEN;
    }
    return status;
}
