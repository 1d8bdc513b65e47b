#include <strings.h>

#include "net/webhook/event_path.h"
#include "net/webhook/rule_internal.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"

#define HEADER_NAME_BYTES_MAX    128
#define PARAMETER_NAME_BYTES_MAX 64

static const char *const method_names[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
static const char *const format_names[] = {"freshet", "cloudevents-binary",
                                           "cloudevents-structured"};

/* The members of a target. */
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

static bool equal_ignoring_case(struct bytes a, const char *b)
{
    return a.size == strlen(b) && strncasecmp((const char *)a.data, b, a.size) == 0;
}

static bool begins_ignoring_case(struct bytes a, const char *b)
{
    return a.size >= strlen(b) && strncasecmp((const char *)a.data, b, strlen(b)) == 0;
}

/* ---- the URL ---- */

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

static enum status parameters_read(struct rule_reader *reader, struct bytes path, struct bytes url,
                                   struct template_parameter *parameters, size_t *count_out)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    *count_out = 0;
    if (path.size == 0) {
        return STATUS_OK;
    }
    if (!document_cursor_open(path, &cursor) || !cursor.is_object) {
        return REFUSE(reader, "target.path: is not an object like {\"id\":\"$.keys.id\"}");
    }
    if (cursor.left > RULE_PATH_PARAMETERS_MAX) {
        return rule_refuse(reader->problem, STATUS_UNPROCESSABLE,
                           "target.path: has over %d parameters", RULE_PATH_PARAMETERS_MAX);
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

static enum status url_read(struct rule_reader *reader, const struct target_parts *given)
{
    struct template_parameter parameters[RULE_PATH_PARAMETERS_MAX];
    size_t count;
    struct bytes url;
    char problem[TEMPLATE_PROBLEM_BYTES];
    if (given->url.size == 0) {
        return REFUSE(reader, "target.url: is missing");
    }
    enum status status = rule_text_read(reader, "target.url", given->url, &url);
    if (status == STATUS_OK && url.size > RULE_URL_BYTES_MAX) {
        return rule_refuse(reader->problem, STATUS_UNPROCESSABLE, "target.url: is over %d bytes",
                           RULE_URL_BYTES_MAX);
    }
    if (status == STATUS_OK) {
        status = parameters_read(reader, given->path, url, parameters, &count);
    }
    if (status != STATUS_OK) {
        return status;
    }
    status = template_parse(TEMPLATE_URL, url, parameters, count, &reader->rule->url, problem);
    return status == STATUS_OK ? status
                               : rule_refuse(reader->problem, status, "target.url: %s", problem);
}

/* ---- headers ---- */

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
    for (size_t i = 0; i < RULE_COUNT_OF(own); i++) {
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
        return rule_refuse(reader->problem, STATUS_UNPROCESSABLE,
                           "target.headers.%.*s: is over %d bytes", SHOWN(name),
                           RULE_HEADER_BYTES_MAX);
    }
    struct rule_header *header = &rule->headers[rule->header_count];
    enum status status = template_parse(TEMPLATE_HEADER, text, NULL, 0, &header->value, problem);
    if (status != STATUS_OK) {
        return rule_refuse(reader->problem, status, "target.headers.%.*s: %s", SHOWN(name),
                           problem);
    }
    header->name = rule_text_keep(reader, name);
    rule->header_count++;
    rule->has_content_type = rule->has_content_type || equal_ignoring_case(name, "content-type");
    return STATUS_OK;
}

static enum status headers_read(struct rule_reader *reader, struct bytes headers)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    if (headers.size == 0) {
        return STATUS_OK;
    }
    if (!document_cursor_open(headers, &cursor) || !cursor.is_object) {
        return REFUSE(reader, "target.headers: is not an object like "
                              "{\"Cache-Control\":\"max-age=0\"}");
    }
    if (cursor.left > RULE_HEADERS_MAX) {
        return rule_refuse(reader->problem, STATUS_UNPROCESSABLE, "target.headers: has over %d",
                           RULE_HEADERS_MAX);
    }
    enum status status = STATUS_OK;
    while (status == STATUS_OK && document_next_member(&cursor, &name, &value)) {
        status = header_read(reader, name, value);
    }
    return status;
}

/* ---- the body ---- */

/* Whether a header of the rule's own says that the body is JSON: one value, a JSON. */
static bool says_json(struct bytes headers)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    struct bytes text;
    bool opened = document_cursor_open(headers, &cursor);
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

static enum status body_read(struct rule_reader *reader, const struct target_parts *given)
{
    struct rule *rule = reader->rule;
    struct bytes text;
    char problem[TEMPLATE_PROBLEM_BYTES];
    if (given->template.size == 0) {
        return rule->format != RULE_FORMAT_CLOUDEVENTS || rule_method_has_body(rule->method)
                   ? STATUS_OK
                   : REFUSE(reader,
                            "target.format: cloudevents-structured is a body, which a %s "
                            "has only with a template",
                            rule_method_name(rule->method));
    }
    enum status status = rule_text_read(reader, "target.template", given->template, &text);
    if (status != STATUS_OK) {
        return status;
    }
    status = template_parse(TEMPLATE_BODY, text, NULL, 0, &rule->body, problem);
    if (status != STATUS_OK) {
        return rule_refuse(reader->problem, status, "target.template: %s", problem);
    }
    if (!template_is_json(rule->body) && says_json(given->headers)) {
        return REFUSE(reader, "target.template: is not JSON, which the header Content-Type says "
                              "it is");
    }
    return STATUS_OK;
}

/* ---- all of it ---- */

enum status rule_target_read(struct rule_reader *reader, struct bytes target)
{
    struct rule *rule = reader->rule;
    struct target_parts given = {.url = BYTES_EMPTY};
    const struct part parts[] = {
        {"url", &given.url},           {"method", &given.method},
        {"headers", &given.headers},   {"path", &given.path},
        {"template", &given.template}, {"format", &given.format},
        {"timeout", &given.timeout},   {"concurrency", &given.concurrency},
        {"rate", &given.rate},
    };
    if (target.size == 0) {
        return REFUSE(reader, "target: is missing");
    }
    enum status status =
        rule_parts_read(reader, target, "target:", "target.", parts, RULE_COUNT_OF(parts));
    uint32_t method = RULE_POST;
    uint32_t format = RULE_FORMAT_FRESHET;
    if (status == STATUS_OK) {
        status = rule_choice_read(reader, "target.method", given.method, method_names,
                                  RULE_COUNT_OF(method_names), &method);
    }
    if (status == STATUS_OK) {
        status = rule_choice_read(reader, "target.format", given.format, format_names,
                                  RULE_COUNT_OF(format_names), &format);
    }
    rule->method = (enum rule_method)method;
    rule->format = (enum rule_format)format;
    if (status == STATUS_OK) {
        status = url_read(reader, &given);
    }
    if (status == STATUS_OK) {
        status = headers_read(reader, given.headers);
    }
    if (status == STATUS_OK) {
        status = body_read(reader, &given);
    }
    if (status == STATUS_OK) {
        status = rule_duration_read(reader, "target.timeout", given.timeout, RULE_TIMEOUT_NS_MIN,
                                    RULE_TIMEOUT_NS_MAX, "10ms and 5m", &rule->timeout_ns);
    }
    if (status == STATUS_OK) {
        status = rule_count_read(reader, "target.concurrency", given.concurrency, 1,
                                 RULE_CONCURRENCY_MAX, &rule->concurrency);
    }
    return status == STATUS_OK ? rule_count_read(reader, "target.rate", given.rate, 0,
                                                 RULE_RATE_MAX, &rule->rate_per_second)
                               : status;
}

const char *rule_method_name(enum rule_method method)
{
    ASSERT(method < RULE_COUNT_OF(method_names));
    return method_names[method];
}

bool rule_method_has_body(enum rule_method method)
{
    return method == RULE_POST || method == RULE_PUT || method == RULE_PATCH;
}
