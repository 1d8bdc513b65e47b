#include "net/rest/follow.h"

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

const struct collection *follow_collection_find(const struct collection_names *names,
                                                struct bytes name)
{
    const struct collection *collection = collection_names_find(names, name);
    return collection == NULL || collection->internal ? NULL : collection;
}

/* ---- patterns ---- */

enum status follow_pattern_read(struct bytes json, struct writer *document_out,
                                struct pattern **out, struct detail *detail_out)
{
    *out = NULL;
    detail_out->text[0] = '\0';
    if (json.size > PATTERN_JSON_BYTES_MAX) {
        detail_set(detail_out, "The pattern is too large: at most 64 KiB of JSON");
        return STATUS_TOO_LARGE;
    }
    struct json_error error;
    enum status status = json_to_document(json, document_out, &error);
    if (status != STATUS_OK) {
        if (status != STATUS_NO_MEMORY) {
            detail_set(detail_out, "pattern is not JSON: line %u, column %u: %s", error.line,
                       error.column, error.text);
        }
        return status;
    }
    struct pattern_problem problem;
    status = pattern_parse(writer_bytes(document_out), out, &problem);
    if (status != STATUS_OK && status != STATUS_NO_MEMORY) {
        detail_set(detail_out, "%s", problem.text);
    }
    return status;
}

static bool old_images_are_dropped(const struct collection_names *names, struct bytes name)
{
    for (uint32_t i = 0; i < names->count; i++) {
        const struct collection *collection = &names->collections[i];
        bool covered = name.size == 0 || bytes_equal(collection->name, name);
        if (covered && !collection->internal && !collection->old_images) {
            return true;
        }
    }
    return false;
}

enum status follow_consumer_pattern_check(const struct collection_names *names,
                                          struct bytes collection, struct bytes pattern,
                                          struct detail *detail_out)
{
    detail_out->text[0] = '\0';
    if (pattern.size > CONSUMER_PATTERN_BYTES_MAX) {
        detail_set(detail_out, "The pattern is too large: at most 64 KiB of JSON");
        return STATUS_TOO_LARGE;
    }
    struct pattern_problem problem;
    struct pattern *parsed;
    enum status status = pattern_parse(pattern, &parsed, &problem);
    if (status != STATUS_OK) {
        if (status != STATUS_NO_MEMORY) {
            detail_set(detail_out, "%s", problem.text);
        }
        return status;
    }
    bool judges_images = pattern_mentions(parsed, BYTES_LITERAL("newImage")) ||
                         pattern_mentions(parsed, BYTES_LITERAL("oldImage"));
    pattern_destroy(&parsed);
    if (judges_images && old_images_are_dropped(names, collection)) {
        detail_set(detail_out,
                   "The pattern asks for an image, and a REMOVE is judged by the old one, which a "
                   "collection that it covers does not keep (old_images)");
        return STATUS_INVALID;
    }
    return STATUS_OK;
}

/* ---- consumers ---- */

enum status follow_definition_read(const struct collection_names *names, struct bytes definition,
                                   struct subscription_options *out, struct detail *detail_out)
{
    struct bytes value;
    struct bytes name;
    out->collection = NULL;
    out->pattern = NULL;
    if (document_find(definition, BYTES_LITERAL("collection"), &value) &&
        document_string(value, &name)) {
        out->collection = follow_collection_find(names, name);
        if (out->collection == NULL) {
            detail_set(detail_out, "The consumer's collection '%.*s' is no longer there",
                       (int)name.size, (const char *)name.data);
            return STATUS_CONFLICT;
        }
    }
    if (!document_find(definition, BYTES_LITERAL("pattern"), &value)) {
        return STATUS_OK;
    }
    struct pattern_problem problem;
    enum status status = pattern_parse(value, &out->pattern, &problem);
    if (status == STATUS_INVALID || status == STATUS_UNPROCESSABLE) {
        detail_set(detail_out, "The consumer's pattern is no longer valid: %.160s", problem.text);
        return STATUS_CONFLICT;
    }
    return status;
}

/* ---- refusals ---- */

struct problem follow_problem(enum status status, enum subscription_from from)
{
    ASSERT(status != STATUS_OK);
    struct bytes words = BYTES_EMPTY;
    if (status == STATUS_POSITION_EXPIRED) {
        words = BYTES_LITERAL("The changes after this position are not there any more, or never "
                              "were in this journal: begin again with a snapshot, or go on from "
                              "oldest");
    } else if (status == STATUS_INVALID && from == SUBSCRIBE_TIME) {
        words = BYTES_LITERAL("from is a time in the future; latest begins now");
    } else if (status == STATUS_INVALID) {
        words =
            BYTES_LITERAL("The position is not one that this server has given for these changes");
    } else if (status == STATUS_UNSUPPORTED) {
        words = BYTES_LITERAL("The collection keeps no old images (old_images), which view=old, "
                              "enter_leave and patterns on images need");
    } else if (status == STATUS_BUSY) {
        words = BYTES_LITERAL("There are too many subscriptions; try again later");
    }
    struct problem problem = problem_of(status, words);
    /* It is the request that asks for what cannot be, not a feature that is missing. */
    problem.status = status == STATUS_UNSUPPORTED ? 400 : problem.status;
    return problem;
}

struct problem follow_consumer_problem(enum status status, const struct detail *words)
{
    ASSERT(status != STATUS_OK);
    if (status == STATUS_POSITION_EXPIRED) {
        return follow_problem(status, SUBSCRIBE_TOKEN);
    }
    if (status == STATUS_NOT_FOUND) {
        return problem_of(status,
                          BYTES_LITERAL("There is no consumer of that name; PUT creates one"));
    }
    return problem_of(status, bytes_of_text(words->text));
}
