#include "net/webhook/rule.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "engine/shard/collection.h"
#include "net/webhook/event_path.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"

#define HEADER_NAME_BYTES_MAX    128
#define PARAMETER_NAME_BYTES_MAX 64
#define MEMBER_BYTES_MAX         200 /* of a member's name in a message */
#define SHOWN_BYTES_MAX          60  /* of a value in a message */
#define MS_NS                    1000000ull
#define SECOND_NS                (1000 * MS_NS)

static const char *const method_names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
static const char *const format_names[] = {"freshet", "cloudevents-binary",
                                           "cloudevents-structured"};
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The parts of a rule, wherever in the document they stood. Empty: not given. */
struct target_parts {
    struct bytes url;
    struct bytes method;
    struct bytes headers;
    struct bytes path;
    struct bytes template;
    struct bytes format;
    struct bytes timeout;
    struct bytes concurrency;
    struct bytes rate;
};

struct retry_parts {
    struct bytes max_attempts;
    struct bytes max_age;
    struct bytes first;
};

struct rule_parts {
    struct bytes pattern;
    struct bytes collection;
    struct bytes target;
    struct bytes retry;
    struct bytes secret;
    struct bytes enabled;
};

struct part {
    const char *name;
    struct bytes *value;
};

struct rule_reader {
    struct rule *rule;
    struct writer names; /* rule->memory: the texts that the rule points to */
    struct rule_problem *problem;
    struct target_parts target;
};

__attribute__((format(printf, 3, 4))) static enum status
refuse(struct rule_problem *problem, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
    return status;
}

#define REFUSE(reader, ...) refuse((reader)->problem, STATUS_INVALID, __VA_ARGS__)

/* For printf's %.*s: the beginning of a text, in whole characters. */
static int shown_size(struct bytes text)
{
    return (int)utf8_valid_size(bytes_slice(text, 0, SHOWN_BYTES_MAX));
}

#define SHOWN(text) shown_size(text), (const char *)(text).data

static bool equal_ignoring_case(struct bytes a, const char *b)
{
    return a.size == strlen(b) && strncasecmp((const char *)a.data, b, a.size) == 0;
}

static bool begins_ignoring_case(struct bytes a, const char *b)
{
    return a.size >= strlen(b) && strncasecmp((const char *)a.data, b, strlen(b)) == 0;
}

/* ---- members ---- */

static void names_list(const struct part *parts, size_t count, char text_out[MEMBER_BYTES_MAX])
{
    size_t size = 0;
    text_out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        int added = snprintf(text_out + size, MEMBER_BYTES_MAX - size, "%s%s", i == 0 ? "" : ", ",
                             parts[i].name);
        ASSERT(added > 0 && size + (size_t)added < MEMBER_BYTES_MAX);
        size += (size_t)added;
    }
}

/* Shares an object out to its parts; base is "" or "target." */
static enum status parts_read(struct rule_reader *reader, struct bytes object, const char *what,
                              const char *base, const struct part *parts, size_t count)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    if (!document_cursor_open(object, &cursor) || !cursor.is_object) {
        return REFUSE(reader, "%s is not an object", what);
    }
    while (document_next_member(&cursor, &name, &value)) {
        size_t i = 0;
        while (i < count && !bytes_equal(name, bytes_of_text(parts[i].name))) {
            i++;
        }
        if (i == count) {
            char known[MEMBER_BYTES_MAX];
            names_list(parts, count, known);
            return REFUSE(reader, "%s%.*s: there is no such member; there are %s", base,
                          SHOWN(name), known);
        }
        *parts[i].value = value;
    }
    return STATUS_OK;
}

static enum status text_read(struct rule_reader *reader, const char *member, struct bytes value,
                             struct bytes *out)
{
    return document_string(value, out) ? STATUS_OK : REFUSE(reader, "%s: is not a string", member);
}

static struct bytes text_keep(struct rule_reader *reader, struct bytes text)
{
    size_t from = reader->names.size;
    writer_put(&reader->names, text);
    ASSERT(!reader->names.failed);
    return bytes_of(reader->names.data + from, text.size);
}

/* One of names, whose place is the value. */
static enum status choice_read(struct rule_reader *reader, const char *member, struct bytes value,
                               const char *const *names, uint32_t count, uint32_t *out)
{
    struct bytes text;
    if (value.size == 0) {
        return STATUS_OK;
    }
    enum status status = text_read(reader, member, value, &text);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        if (bytes_equal(text, bytes_of_text(names[i]))) {
            *out = i;
            return STATUS_OK;
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    char known[MEMBER_BYTES_MAX] = "";
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        size += (size_t)snprintf(known + size, sizeof(known) - size, "%s%s",
                                 i == 0           ? ""
                                 : i + 1 == count ? " or "
                                                  : ", ",
                                 names[i]);
        ASSERT(size < sizeof(known));
    }
    return REFUSE(reader, "%s: '%.*s' is not %s", member, SHOWN(text), known);
}

static enum status count_read(struct rule_reader *reader, const char *member, struct bytes value,
                              uint32_t least, uint32_t most, uint32_t *out)
{
    uint64_t number;
    if (value.size == 0) {
        return STATUS_OK;
    }
    if (!document_u64(value, &number) || number < least || number > most) {
        return REFUSE(reader, "%s: is not a whole number from %u to %u", member, least, most);
    }
    *out = (uint32_t)number;
    return STATUS_OK;
}

/* "15s", "500ms". */
static bool duration_parse(struct bytes text, uint64_t *ns_out)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ms", MS_NS},
                 {"s", SECOND_NS},
                 {"m", 60 * SECOND_NS},
                 {"h", 3600 * SECOND_NS},
                 {"d", 24 * 3600 * SECOND_NS}};
    uint64_t number = 0;
    size_t at = 0;
    while (at < text.size && text.data[at] >= '0' && text.data[at] <= '9') {
        number = 10 * number + (uint64_t)(text.data[at] - '0');
        if (++at > 9) {
            return false;
        }
    }
    for (size_t i = 0; i < COUNT_OF(units) && at > 0; i++) {
        if (bytes_equal(bytes_slice(text, at, SIZE_MAX), bytes_of_text(units[i].name))) {
            return !__builtin_mul_overflow(number, units[i].ns, ns_out);
        }
    }
    return false;
}

static enum status duration_read(struct rule_reader *reader, const char *member, struct bytes value,
                                 uint64_t least, uint64_t most, const char *range, uint64_t *out)
{
    struct bytes text;
    uint64_t ns;
    if (value.size == 0) {
        return STATUS_OK;
    }
    enum status status = text_read(reader, member, value, &text);
    if (status != STATUS_OK) {
        return status;
    }
    if (!duration_parse(text, &ns)) {
        return REFUSE(reader, "%s: '%.*s' is not a time like 500ms, 15s, 2m, 1h or 7d", member,
                      SHOWN(text));
    }
    if (ns < least || ns > most) {
        return REFUSE(reader, "%s: '%.*s' is not between %s", member, SHOWN(text), range);
    }
    *out = ns;
    return STATUS_OK;
}

/* ---- the target ---- */

static bool parameter_name_valid(struct bytes name)
{
    bool valid = name.size >= 1 && name.size <= PARAMETER_NAME_BYTES_MAX;
    for (size_t i = 0; i < name.size && valid; i++) {
        uint8_t c = name.data[i];
        valid = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                c == '_' || c == '-';
    }
    return valid;
}

static enum status parameter_read(struct rule_reader *reader, struct bytes name, struct bytes value,
                                  struct template_parameter *out)
{
    const char *reason;
    size_t size;
    if (!parameter_name_valid(name)) {
        return REFUSE(reader, "target.path.%.*s: a name has 1 to %d of A-Z a-z 0-9 _ -",
                      SHOWN(name), PARAMETER_NAME_BYTES_MAX);
    }
    out->name = name;
    if (!document_string(value, &out->path)) {
        return REFUSE(reader, "target.path.%.*s: is not a string like \"$.keys.id\"", SHOWN(name));
    }
    if (!event_path_scan(out->path, &size, &reason)) {
        return REFUSE(reader, "target.path.%.*s: at byte %zu: %s", SHOWN(name), size + 1, reason);
    }
    if (size != out->path.size) {
        return REFUSE(reader,
                      "target.path.%.*s: at byte %zu: after a step comes '.', '[' or the "
                      "end",
                      SHOWN(name), size + 1);
    }
    return STATUS_OK;
}

/* Whether the URL has {name}. */
static bool parameter_used(struct bytes url, struct bytes name)
{
    for (size_t at = 0; at + name.size + 2 <= url.size; at++) {
        if (url.data[at] == '{' && url.data[at + 1 + name.size] == '}' &&
            bytes_equal(bytes_slice(url, at + 1, name.size), name)) {
            return true;
        }
    }
    return false;
}

static enum status parameters_read(struct rule_reader *reader, struct bytes url,
                                   struct template_parameter *parameters, size_t *count_out)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    *count_out = 0;
    if (reader->target.path.size == 0) {
        return STATUS_OK;
    }
    if (!document_cursor_open(reader->target.path, &cursor) || !cursor.is_object) {
        return REFUSE(reader, "target.path: is not an object like {\"id\":\"$.keys.id\"}");
    }
    if (cursor.left > RULE_PATH_PARAMETERS_MAX) {
        return refuse(reader->problem, STATUS_UNPROCESSABLE, "target.path: has over %d parameters",
                      RULE_PATH_PARAMETERS_MAX);
    }
    while (document_next_member(&cursor, &name, &value)) {
        enum status status = parameter_read(reader, name, value, &parameters[*count_out]);
        if (status != STATUS_OK) {
            return status;
        }
        if (!parameter_used(url, name)) {
            return REFUSE(reader, "target.path.%.*s: the URL has no {%.*s}", SHOWN(name),
                          SHOWN(name));
        }
        ++*count_out;
    }
    return STATUS_OK;
}

static enum status url_read(struct rule_reader *reader)
{
    struct template_parameter parameters[RULE_PATH_PARAMETERS_MAX];
    size_t count;
    struct bytes url;
    char problem[TEMPLATE_PROBLEM_BYTES];
    if (reader->target.url.size == 0) {
        return REFUSE(reader, "target.url: is missing");
    }
    enum status status = text_read(reader, "target.url", reader->target.url, &url);
    if (status == STATUS_OK && url.size > RULE_URL_BYTES_MAX) {
        return refuse(reader->problem, STATUS_UNPROCESSABLE, "target.url: is over %d bytes",
                      RULE_URL_BYTES_MAX);
    }
    if (status == STATUS_OK) {
        status = parameters_read(reader, url, parameters, &count);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = template_parse(TEMPLATE_URL, url, parameters, count, &reader->rule->url, problem);
    return status == STATUS_OK ? status
                               : refuse(reader->problem, status, "target.url: %s", problem);
}

/* A token of RFC 9110. */
static bool header_name_valid(struct bytes name)
{
    bool valid = name.size >= 1 && name.size <= HEADER_NAME_BYTES_MAX;
    for (size_t i = 0; i < name.size && valid; i++) {
        uint8_t c = name.data[i];
        valid = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
    }
    return valid;
}

/* Why a header cannot be a rule's; NULL: it can. */
static const char *header_reserved(const struct rule *rule, struct bytes name)
{
    static const char *const own[] = {"host",       "content-length", "transfer-encoding",
                                      "connection", "keep-alive",     "proxy-connection",
                                      "te",         "trailer",        "upgrade",
                                      "expect"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (equal_ignoring_case(name, own[i])) {
            return "belongs to the connection, and is set by the server";
        }
    }
    if (begins_ignoring_case(name, "webhook-")) {
        return "belongs to Standard Webhooks, and is set by the server";
    }
    if (rule->format != RULE_FORMAT_FRESHET && begins_ignoring_case(name, "ce-")) {
        return "belongs to CloudEvents, and is set by the server";
    }
    if (rule->format == RULE_FORMAT_CLOUDEVENTS && equal_ignoring_case(name, "content-type")) {
        return "is application/cloudevents+json in this format";
    }
    return NULL;
}

static enum status header_read(struct rule_reader *reader, struct bytes name, struct bytes value)
{
    struct rule *rule = reader->rule;
    struct bytes text;
    char problem[TEMPLATE_PROBLEM_BYTES];
    if (!header_name_valid(name)) {
        return REFUSE(reader, "target.headers.%.*s: this cannot be a header's name", SHOWN(name));
    }
    const char *reserved = header_reserved(rule, name);
    if (reserved != NULL) {
        return REFUSE(reader, "target.headers.%.*s: %s", SHOWN(name), reserved);
    }
    for (uint32_t i = 0; i < rule->header_count; i++) {
        struct bytes other = rule->headers[i].name;
        if (other.size == name.size &&
            strncasecmp((const char *)other.data, (const char *)name.data, name.size) == 0) {
            return REFUSE(reader, "target.headers.%.*s: is there twice", SHOWN(name));
        }
    }
    if (!document_string(value, &text)) {
        return REFUSE(reader, "target.headers.%.*s: is not a string", SHOWN(name));
    }
    if (text.size > RULE_HEADER_BYTES_MAX) {
        return refuse(reader->problem, STATUS_UNPROCESSABLE,
                      "target.headers.%.*s: is over %d bytes", SHOWN(name), RULE_HEADER_BYTES_MAX);
    }
    struct rule_header *header = &rule->headers[rule->header_count];
    enum status status = template_parse(TEMPLATE_HEADER, text, NULL, 0, &header->value, problem);
    if (status != STATUS_OK) {
        return refuse(reader->problem, status, "target.headers.%.*s: %s", SHOWN(name), problem);
    }
    header->name = text_keep(reader, name);
    rule->header_count++;
    rule->has_content_type = rule->has_content_type || equal_ignoring_case(name, "content-type");
    return STATUS_OK;
}

static enum status headers_read(struct rule_reader *reader)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    if (reader->target.headers.size == 0) {
        return STATUS_OK;
    }
    if (!document_cursor_open(reader->target.headers, &cursor) || !cursor.is_object) {
        return REFUSE(reader, "target.headers: is not an object like "
                              "{\"Cache-Control\":\"max-age=0\"}");
    }
    if (cursor.left > RULE_HEADERS_MAX) {
        return refuse(reader->problem, STATUS_UNPROCESSABLE, "target.headers: has over %d",
                      RULE_HEADERS_MAX);
    }
    enum status status = STATUS_OK;
    while (status == STATUS_OK && document_next_member(&cursor, &name, &value)) {
        status = header_read(reader, name, value);
    }
    return status;
}

/* Whether a header of the rule's own says that the body is JSON: one value, a JSON. */
static bool says_json(struct rule_reader *reader)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    struct bytes text;
    bool opened = document_cursor_open(reader->target.headers, &cursor);
    while (opened && document_next_member(&cursor, &name, &value)) {
        if (!equal_ignoring_case(name, "content-type") || !document_string(value, &text)) {
            continue;
        }
        size_t end = 0;
        while (end < text.size && text.data[end] != ';' && text.data[end] != ' ') {
            end++;
        }
        struct bytes tail = bytes_slice(text, end < 5 ? 0 : end - 5, end < 5 ? end : 5);
        return equal_ignoring_case(tail, "/json") || equal_ignoring_case(tail, "+json");
    }
    return false;
}

static enum status body_read(struct rule_reader *reader)
{
    struct rule *rule = reader->rule;
    struct bytes text;
    char problem[TEMPLATE_PROBLEM_BYTES];
    if (reader->target.template.size == 0) {
        return rule->format != RULE_FORMAT_CLOUDEVENTS || rule_method_has_body(rule->method)
                   ? STATUS_OK
                   : REFUSE(reader,
                            "target.format: cloudevents-structured is a body, which a %s "
                            "has only with a template",
                            rule_method_name(rule->method));
    }
    enum status status = text_read(reader, "target.template", reader->target.template, &text);
    if (status != STATUS_OK) {
        return status;
    }
    status = template_parse(TEMPLATE_BODY, text, NULL, 0, &rule->body, problem);
    if (status != STATUS_OK) {
        return refuse(reader->problem, status, "target.template: %s", problem);
    }
    if (!template_is_json(rule->body) && says_json(reader)) {
        return REFUSE(reader, "target.template: is not JSON, which the header Content-Type says "
                              "it is");
    }
    return STATUS_OK;
}

static enum status target_read(struct rule_reader *reader, struct bytes target)
{
    struct rule *rule = reader->rule;
    struct target_parts *given = &reader->target;
    const struct part parts[] = {
        {"url", &given->url},           {"method", &given->method},
        {"headers", &given->headers},   {"path", &given->path},
        {"template", &given->template}, {"format", &given->format},
        {"timeout", &given->timeout},   {"concurrency", &given->concurrency},
        {"rate", &given->rate},
    };
    if (target.size == 0) {
        return REFUSE(reader, "target: is missing");
    }
    enum status status = parts_read(reader, target, "target:", "target.", parts, COUNT_OF(parts));
    uint32_t method = RULE_POST;
    uint32_t format = RULE_FORMAT_FRESHET;
    if (status == STATUS_OK) {
        status = choice_read(reader, "target.method", given->method, method_names,
                             COUNT_OF(method_names), &method);
    }
    if (status == STATUS_OK) {
        status = choice_read(reader, "target.format", given->format, format_names,
                             COUNT_OF(format_names), &format);
    }
    rule->method = (enum rule_method)method;
    rule->format = (enum rule_format)format;
    if (status == STATUS_OK) {
        status = url_read(reader);
    }
    if (status == STATUS_OK) {
        status = headers_read(reader);
    }
    if (status == STATUS_OK) {
        status = body_read(reader);
    }
    if (status == STATUS_OK) {
        status = duration_read(reader, "target.timeout", given->timeout, RULE_TIMEOUT_NS_MIN,
                               RULE_TIMEOUT_NS_MAX, "10ms and 5m", &rule->timeout_ns);
    }
    if (status == STATUS_OK) {
        status = count_read(reader, "target.concurrency", given->concurrency, 1,
                            RULE_CONCURRENCY_MAX, &rule->concurrency);
    }
    return status == STATUS_OK ? count_read(reader, "target.rate", given->rate, 0, RULE_RATE_MAX,
                                            &rule->rate_per_second)
                               : status;
}

/* ---- the rest ---- */

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
    enum status status = parts_read(reader, retry, "retry:", "retry.", parts, COUNT_OF(parts));
    if (status == STATUS_OK) {
        status = count_read(reader, "retry.max_attempts", given.max_attempts, 1,
                            RULE_MAX_ATTEMPTS_MAX, &rule->attempts_max);
    }
    if (status == STATUS_OK) {
        status = duration_read(reader, "retry.max_age", given.max_age, RULE_MAX_AGE_NS_MIN,
                               RULE_MAX_AGE_NS_MAX, "1ms and 30d", &rule->age_ns_max);
    }
    return status == STATUS_OK
               ? duration_read(reader, "retry.first", given.first, RULE_FIRST_NS_MIN,
                               RULE_FIRST_NS_MAX, "1ms and 24h", &rule->retry_first_ns)
               : status;
}

static enum status secret_read(struct rule_reader *reader, const char *member, struct bytes value)
{
    struct rule *rule = reader->rule;
    struct bytes text;
    const char *reason;
    enum status status = text_read(reader, member, value, &text);
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
        return refuse(reader->problem, status, "pattern: %s", problem.text);
    }
    return status;
}

static enum status collection_read(struct rule_reader *reader, struct bytes value)
{
    struct bytes name;
    if (value.size == 0) {
        return STATUS_OK;
    }
    enum status status = text_read(reader, "collection", value, &name);
    if (status == STATUS_OK && !collection_name_valid(name)) {
        return REFUSE(reader, "collection: '%.*s' cannot be a collection's name", SHOWN(name));
    }
    if (status == STATUS_OK) {
        reader->rule->collection = text_keep(reader, name);
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
    enum status status = parts_read(reader, document, "a rule", "", parts, COUNT_OF(parts));
    if (status == STATUS_OK) {
        status = collection_read(reader, given.collection);
    }
    if (status == STATUS_OK) {
        status = pattern_read(reader, given.pattern);
    }
    if (status == STATUS_OK) {
        status = target_read(reader, given.target);
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
    if (document_find_path(document, path, COUNT_OF(path), &headers) &&
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
        return refuse(problem_out, STATUS_INVALID,
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
    rule->name = text_keep(&reader, name);
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

const char *rule_method_name(enum rule_method method)
{
    ASSERT(method < COUNT_OF(method_names));
    return method_names[method];
}

bool rule_method_has_body(enum rule_method method)
{
    return method == RULE_POST || method == RULE_PUT || method == RULE_PATCH;
}
