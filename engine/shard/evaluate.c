#include "engine/shard/evaluate.h"

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"
#include "protocol/document/merge_patch.h"

/* One MessagePack byte becomes at most six of JSON (a control character's \u00XX) and a comma. */
#define JSON_BYTES_PER_DOCUMENT_BYTE_MAX 8

static bool precondition_matches(const struct precondition *precondition, bool exists, bool tagged,
                                 struct entity_tag tag)
{
    if (precondition->kind == PRECONDITION_ANY) {
        return exists;
    }
    for (uint32_t i = 0; exists && tagged && i < precondition->tag_count; i++) {
        if (precondition->tags[i].epoch == tag.epoch &&
            precondition->tags[i].sequence == tag.sequence) {
            return true;
        }
    }
    return false;
}

/* RFC 9110, 13.2.2: If-Match first, then If-None-Match. */
static bool preconditions_hold(const struct request *request, bool exists, bool tagged,
                               struct entity_tag tag)
{
    if (request->if_match.kind != PRECONDITION_NONE &&
        !precondition_matches(&request->if_match, exists, tagged, tag)) {
        return false;
    }
    return request->if_none_match.kind == PRECONDITION_NONE ||
           !precondition_matches(&request->if_none_match, exists, tagged, tag);
}

static void refuse(struct evaluate_result *result, enum status status)
{
    ASSERT(status != STATUS_OK);
    result->verdict = EVALUATE_REFUSE;
    result->status = status;
}

/* A client can make a document grow by patches, never past what it could have PUT. */
static enum status json_size_check(struct bytes document, struct writer json)
{
    if (document.size <= DOCUMENT_JSON_BYTES_MAX / JSON_BYTES_PER_DOCUMENT_BYTE_MAX) {
        return STATUS_OK;
    }
    if (json.capacity > DOCUMENT_JSON_BYTES_MAX) {
        json.capacity = DOCUMENT_JSON_BYTES_MAX;
    }
    return document_to_json(document, &json);
}

static enum status patch(struct request *request, const struct evaluate_state *state,
                         struct evaluate_scratch *scratch, struct bytes *document_out)
{
    enum status status =
        document_merge_patch(state->document, request->document, &scratch->patched);
    *document_out = writer_bytes(&scratch->patched);
    if (status == STATUS_OK) {
        status = json_size_check(*document_out, scratch->json);
    }
    if (status == STATUS_TOO_LARGE) {
        detail_set(&request->detail, "the patched record is over the limit of 1 MiB");
    }
    return status;
}

static void evaluate_document(struct request *request, const struct evaluate_state *state,
                              struct bytes document, struct evaluate_scratch *scratch,
                              struct evaluate_result *result)
{
    struct bytes old = state->exists ? state->document : BYTES_EMPTY;
    enum status status = collection_conform(request->collection, document, old, &scratch->document,
                                            &result->document, &request->detail);
    if (status != STATUS_OK) {
        refuse(result, status);
        return;
    }
    result->verdict = EVALUATE_PUT;
    if (!state->exists) {
        return;
    }
    size_t from = scratch->document.size;
    uint32_t count;
    status = document_changed(old, result->document, &scratch->document, &count);
    if (status != STATUS_OK) {
        refuse(result, status);
        return;
    }
    if (count == 0) {
        result->verdict = EVALUATE_EQUAL;
        return;
    }
    result->changed = bytes_slice(writer_bytes(&scratch->document), from, scratch->document.size);
}

void evaluate_write(struct request *request, const struct evaluate_state *state,
                    struct evaluate_scratch *scratch, struct evaluate_result *result)
{
    *result = (struct evaluate_result){.status = STATUS_OK};
    struct entity_tag tag = {state->epoch, state->sequence};
    if (!preconditions_hold(request, state->exists, !state->pending, tag)) {
        refuse(result, STATUS_PRECONDITION_FAILED);
        return;
    }
    enum status status;
    struct bytes document = request->document;
    switch (request->kind) {
    case REQUEST_DELETE:
        result->verdict = state->exists ? EVALUATE_DELETE : EVALUATE_ABSENT;
        return;
    case REQUEST_PATCH:
        if (!state->exists) {
            refuse(result, STATUS_NOT_FOUND);
            return;
        }
        status = patch(request, state, scratch, &document);
        if (status != STATUS_OK) {
            refuse(result, status);
            return;
        }
        break;
    case REQUEST_PUT:
    case REQUEST_CREATE:
        /* No client's document comes this large; of the server's own some could. */
        if (document.size > DOCUMENT_BYTES_MAX) {
            refuse(result, STATUS_TOO_LARGE);
            return;
        }
        break;
    case REQUEST_GET:
    case REQUEST_LIST:
    case REQUEST_EVENT:
        UNREACHABLE();
    }
    evaluate_document(request, state, document, scratch, result);
}
