#include <stdio.h>
#include <stdlib.h>

#include "engine/shard/collection.h"
#include "net/webhook/rule_internal.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

/* The members of a rule, wherever in the document they stood. */
struct rule_parts {
    struct bytes pattern;
    struct bytes collection;
    struct bytes target;
    struct bytes retry;
    struct bytes secret;
    struct bytes enabled;
};

struct retry_parts {
    struct bytes max_attempts;
    struct bytes max_age;
    struct bytes first;
};

static enum status retry_read(struct rule_reader *reader, struct bytes retry)
{
    struct rule *rule = reader->rule;
    struct retry_parts given = {.first = BYTES_EMPTY};
    const struct part parts[] = {
        {"max_attempts", &given.max_attempts},
        {"max_age", &given.max_age},
        {"first", &given.first},
    };
    if (retry.size == 0) {
        return STATUS_OK;
    }
    enum status status =
        rule_parts_read(reader, retry, "retry:", "retry.", parts, RULE_COUNT_OF(parts));
    if (status == STATUS_OK) {
        status = rule_count_read(reader, "retry.max_attempts", given.max_attempts, 1,
                                 RULE_MAX_ATTEMPTS_MAX, &rule->attempts_max);
    }
    if (status == STATUS_OK) {
        status = rule_duration_read(reader, "retry.max_age", given.max_age, RULE_MAX_AGE_NS_MIN,
                                    RULE_MAX_AGE_NS_MAX, "1ms and 30d", &rule->age_ns_max);
    }
    return status == STATUS_OK
               ? rule_duration_read(reader, "retry.first", given.first, RULE_FIRST_NS_MIN,
                                    RULE_FIRST_NS_MAX, "1ms and 24h", &rule->retry_first_ns)
               : status;
}

static enum status secret_read(struct rule_reader *reader, const char *member, struct bytes value)
{
    struct rule *rule = reader->rule;
    struct bytes text;
    const char *reason;
    enum status status = rule_text_read(reader, member, value, &text);
    if (status != STATUS_OK) {
        return status;
    }
    if (signature_secret_parse(text, &rule->secrets[rule->secret_count], &reason) != STATUS_OK) {
        return REFUSE(reader, "%s: %s", member, reason);
    }
    rule->secret_count++;
    return STATUS_OK;
}

static enum status secrets_read(struct rule_reader *reader, struct bytes secret)
{
    struct document_cursor cursor;
    struct bytes value;
    if (secret.size == 0) {
        return STATUS_OK;
    }
    if (document_type_of(secret) != DOCUMENT_ARRAY) {
        return secret_read(reader, "secret", secret);
    }
    bool opened = document_cursor_open(secret, &cursor);
    ASSERT(opened);
    if (cursor.left < 1 || cursor.left > RULE_SECRETS_MAX) {
        return REFUSE(reader, "secret: is one text, or a list of one or two");
    }
    enum status status = STATUS_OK;
    while (status == STATUS_OK && document_next_element(&cursor, &value)) {
        char member[32];
        snprintf(member, sizeof(member), "secret[%u]", reader->rule->secret_count);
        status = secret_read(reader, member, value);
    }
    return status;
}

static enum status pattern_read(struct rule_reader *reader, struct bytes document)
{
    struct pattern_problem problem;
    if (document.size == 0) {
        return STATUS_OK;
    }
    enum status status = pattern_parse(document, &reader->rule->pattern, &problem);
    if (status == STATUS_INVALID || status == STATUS_UNPROCESSABLE) {
        return rule_refuse(reader->problem, status, "pattern: %s", problem.text);
    }
    return status;
}

static enum status collection_read(struct rule_reader *reader, struct bytes value)
{
    struct bytes name;
    if (value.size == 0) {
        return STATUS_OK;
    }
    enum status status = rule_text_read(reader, "collection", value, &name);
    if (status == STATUS_OK && !collection_name_valid(name)) {
        return REFUSE(reader, "collection: '%.*s' cannot be a collection's name", SHOWN(name));
    }
    if (status == STATUS_OK) {
        reader->rule->collection = rule_text_keep(reader, name);
    }
    return status;
}

static enum status rule_read(struct rule_reader *reader, struct bytes document)
{
    struct rule_parts given = {.enabled = BYTES_EMPTY};
    const struct part parts[] = {
        {"pattern", &given.pattern}, {"collection", &given.collection}, {"target", &given.target},
        {"retry", &given.retry},     {"secret", &given.secret},         {"enabled", &given.enabled},
    };
    enum status status =
        rule_parts_read(reader, document, "a rule", "", parts, RULE_COUNT_OF(parts));
    if (status == STATUS_OK) {
        status = collection_read(reader, given.collection);
    }
    if (status == STATUS_OK) {
        status = pattern_read(reader, given.pattern);
    }
    if (status == STATUS_OK) {
        status = rule_target_read(reader, given.target);
    }
    if (status == STATUS_OK) {
        status = retry_read(reader, given.retry);
    }
    if (status == STATUS_OK) {
        status = secrets_read(reader, given.secret);
    }
    if (status == STATUS_OK && given.enabled.size > 0 &&
        !document_bool(given.enabled, &reader->rule->enabled)) {
        return REFUSE(reader, "enabled: is not true or false");
    }
    return status;
}

/* Room for the texts that a rule keeps: its name, its collection's and its headers' names. */
static size_t names_size(struct bytes name, struct bytes document)
{
    static const struct bytes path[] = {BYTES_LITERAL("target"), BYTES_LITERAL("headers")};
    struct document_cursor cursor;
    struct bytes headers;
    struct bytes header;
    struct bytes value;
    size_t size = name.size + COLLECTION_NAME_BYTES_MAX;
    if (document_find_path(document, path, RULE_COUNT_OF(path), &headers) &&
        document_cursor_open(headers, &cursor) && cursor.is_object &&
        cursor.left <= RULE_HEADERS_MAX) {
        while (document_next_member(&cursor, &header, &value)) {
            size += header.size;
        }
    }
    return size;
}

enum status rule_parse(struct bytes name, struct bytes document, struct rule **out,
                       struct rule_problem *problem_out)
{
    *out = NULL;
    problem_out->text[0] = '\0';
    if (!rule_name_valid(name)) {
        return rule_refuse(problem_out, STATUS_INVALID,
                           "a rule's name has 1 to %d of A-Z a-z 0-9 . _ -, and is not . or ..",
                           RULE_NAME_BYTES_MAX);
    }
    size_t size = names_size(name, document);
    struct rule *rule = calloc(1, sizeof(*rule));
    uint8_t *memory = rule == NULL ? NULL : malloc(size);
    if (memory == NULL) {
        free(rule);
        return STATUS_NO_MEMORY;
    }
    rule->memory = memory;
    rule->enabled = true;
    rule->concurrency = RULE_CONCURRENCY_DEFAULT;
    rule->timeout_ns = RULE_TIMEOUT_NS_DEFAULT;
    rule->attempts_max = RULE_MAX_ATTEMPTS_DEFAULT;
    rule->age_ns_max = RULE_MAX_AGE_NS_DEFAULT;
    rule->retry_first_ns = RULE_FIRST_NS_DEFAULT;
    struct rule_reader reader = {
        .rule = rule, .names = writer_of(memory, size), .problem = problem_out};
    rule->name = rule_text_keep(&reader, name);
    enum status status = rule_read(&reader, document);
    if (status != STATUS_OK) {
        rule_destroy(&rule);
        return status;
    }
    ASSERT(rule->url != NULL);
    *out = rule;
    return STATUS_OK;
}

void rule_destroy(struct rule **rule)
{
    if (*rule == NULL) {
        return;
    }
    struct rule *gone = *rule;
    pattern_destroy(&gone->pattern);
    template_destroy(&gone->url);
    template_destroy(&gone->body);
    for (uint32_t i = 0; i < RULE_HEADERS_MAX; i++) {
        template_destroy(&gone->headers[i].value);
    }
    free(gone->memory);
    explicit_bzero(gone->secrets, sizeof(gone->secrets));
    free(gone);
    *rule = NULL;
}

bool rule_name_valid(struct bytes name)
{
    bool valid = name.size >= 1 && name.size <= RULE_NAME_BYTES_MAX;
    bool all_dots = true;
    for (size_t i = 0; i < name.size && valid; i++) {
        uint8_t c = name.data[i];
        valid = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                c == '.' || c == '_' || c == '-';
        all_dots = all_dots && c == '.';
    }
    return valid && !(all_dots && name.size <= 2);
}
