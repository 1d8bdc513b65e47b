/*
 * Rules and dead letters as JSON, as their readers see them: without secrets, with how they run.
 */
#include "net/rest/field.h"
#include "net/rest/rules_internal.h"
#include "protocol/base/time_text.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* Headers that carry credentials; their values are not shown. */
static const char *const hidden_headers[] = {"authorization", "proxy-authorization", "cookie",
                                             "x-api-key"};

static bool header_is_hidden(struct bytes name)
{
    for (size_t index = 0; index < sizeof(hidden_headers) / sizeof(hidden_headers[0]); index++) {
        if (field_equals(name, bytes_of_text(hidden_headers[index]))) {
            return true;
        }
    }
    return false;
}

static void value_write(struct writer *json, struct bytes value)
{
    if (document_to_json(value, json) != STATUS_OK) {
        json->failed = true;
    }
}

/* ---- rules ---- */

typedef void member_writer(struct writer *json, struct bytes name, struct bytes value);

/* The members of an object; `before` stands before the first. */
static void members_write(struct writer *json, struct bytes object, const char *before,
                          member_writer *value_as)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    document_cursor_open(object, &cursor);
    while (document_next_member(&cursor, &name, &value)) {
        writer_text(json, before);
        before = ",";
        json_string_write(json, name);
        writer_u8(json, ':');
        value_as(json, name, value);
    }
}

static void header_write(struct writer *json, struct bytes name, struct bytes value)
{
    if (header_is_hidden(name)) {
        json_string_write(json, BYTES_LITERAL(RULES_MASK));
    } else {
        value_write(json, value);
    }
}

static void target_member_write(struct writer *json, struct bytes name, struct bytes value)
{
    if (bytes_equal(name, BYTES_LITERAL("headers")) && document_is_object(value)) {
        writer_u8(json, '{');
        members_write(json, value, "", header_write);
        writer_u8(json, '}');
    } else {
        value_write(json, value);
    }
}

static void secret_write(struct writer *json, struct bytes secret)
{
    if (document_type_of(secret) != DOCUMENT_ARRAY) {
        json_string_write(json, BYTES_LITERAL(RULES_SECRET_MASK));
        return;
    }
    writer_u8(json, '[');
    for (uint32_t index = 0; index < document_count(secret); index++) {
        writer_text(json, index == 0 ? "" : ",");
        json_string_write(json, BYTES_LITERAL(RULES_SECRET_MASK));
    }
    writer_u8(json, ']');
}

static void number_write(struct writer *json, const char *name, uint64_t value)
{
    writer_text(json, ",\"");
    writer_text(json, name);
    writer_text(json, "\":");
    writer_decimal(json, value);
}

static void state_write(const struct rest *rest, struct bytes name, struct writer *json)
{
    static const char *const words[] = {
        [WEBHOOKS_RULE_ACTIVE] = "active",
        [WEBHOOKS_RULE_OFF] = "off",
        [WEBHOOKS_RULE_DISABLED] = "disabled",
        [WEBHOOKS_RULE_FAILING] = "failing",
    };
    struct webhooks_rule rule;
    if (!webhooks_rule_find(rest->options.webhooks, name, &rule)) {
        writer_text(json, "{\"status\":\"starting\"}");
        return;
    }
    uint64_t oldest_ms = rule.oldest_ms;
    uint64_t lag_ms = oldest_ms > 0 && rest->wall_ms > oldest_ms ? rest->wall_ms - oldest_ms : 0;
    writer_text(json, "{\"status\":\"");
    writer_text(json, words[rule.status]);
    writer_text(json, "\"");
    if (rule.reason[0] != '\0') {
        writer_text(json, ",\"reason\":");
        json_string_write(json, bytes_of_text(rule.reason));
    }
    writer_text(json, ",\"position\":\"");
    position_write(&rule.position, json);
    writer_text(json, "\"");
    number_write(json, "lag_events",
                 webhooks_rule_lag(&rule, engine_published(rest->options.engine)));
    number_write(json, "lag_ms", lag_ms);
    number_write(json, "in_flight", rule.in_flight);
    number_write(json, "waiting", rule.waiting);
    number_write(json, "parked", rule.parked);
    number_write(json, "dead_letters", rule.dead_letters);
    number_write(json, "matched", rule.matched);
    number_write(json, "attempts", rule.attempts);
    number_write(json, "delivered", rule.delivered);
    number_write(json, "failed", rule.failed);
    writer_u8(json, '}');
}

static void rule_member_write(struct writer *json, struct bytes name, struct bytes value)
{
    if (bytes_equal(name, BYTES_LITERAL("secret"))) {
        secret_write(json, value);
    } else if (bytes_equal(name, BYTES_LITERAL("target")) && document_is_object(value)) {
        writer_u8(json, '{');
        members_write(json, value, "", target_member_write);
        writer_u8(json, '}');
    } else {
        value_write(json, value);
    }
}

void rules_rule_write(const struct rest *rest, struct bytes name, struct bytes rule,
                      struct writer *json)
{
    writer_text(json, "{\"name\":");
    json_string_write(json, name);
    members_write(json, rule, ",", rule_member_write);
    writer_text(json, ",\"state\":");
    state_write(rest, name, json);
    writer_u8(json, '}');
}

static bool is_mask(struct bytes value)
{
    struct bytes text;
    return document_string(value, &text) && (bytes_equal(text, BYTES_LITERAL(RULES_MASK)) ||
                                             bytes_equal(text, BYTES_LITERAL(RULES_SECRET_MASK)));
}

static bool any_is_mask(struct bytes container)
{
    struct document_cursor cursor;
    struct bytes name;
    struct bytes value;
    bool found = false;
    if (!document_cursor_open(container, &cursor)) {
        return is_mask(container);
    }
    while (!found && (cursor.is_object ? document_next_member(&cursor, &name, &value)
                                       : document_next_element(&cursor, &value))) {
        found = is_mask(value);
    }
    return found;
}

const char *rules_masked_member(struct bytes rule)
{
    static const struct bytes path[] = {{(const uint8_t *)"target", 6},
                                        {(const uint8_t *)"headers", 7}};
    struct bytes value;
    if (document_find(rule, BYTES_LITERAL("secret"), &value) && any_is_mask(value)) {
        return "secret";
    }
    if (document_find_path(rule, path, 2, &value) && any_is_mask(value)) {
        return "target.headers";
    }
    return NULL;
}

/* ---- dead letters ---- */

static uint64_t member_number(struct bytes row, struct bytes name)
{
    struct bytes value;
    uint64_t number = 0;
    if (!document_find(row, name, &value) || !document_u64(value, &number)) {
        return 0;
    }
    return number;
}

static void member_time(struct writer *json, const char *name, uint64_t time_ms)
{
    writer_text(json, ",\"");
    writer_text(json, name);
    writer_text(json, "\":");
    if (time_ms == 0) {
        writer_text(json, "null");
        return;
    }
    writer_u8(json, '"');
    time_text_write(json, time_ms);
    writer_u8(json, '"');
}

static void member_copy(struct writer *json, struct bytes row, struct bytes name)
{
    struct bytes value;
    writer_u8(json, ',');
    json_string_write(json, name);
    writer_u8(json, ':');
    if (document_find(row, name, &value)) {
        value_write(json, value);
    } else {
        writer_text(json, "null");
    }
}

void rules_dead_letter_write(struct bytes row, struct writer *json)
{
    struct bytes change;
    struct bytes value;
    uint64_t status = member_number(row, BYTES_LITERAL("status"));
    writer_text(json, "{\"eventID\":");
    if (document_find(row, BYTES_LITERAL("change"), &change) &&
        document_find(change, BYTES_LITERAL("eventID"), &value)) {
        value_write(json, value);
    } else {
        writer_text(json, "null");
    }
    member_copy(json, row, BYTES_LITERAL("reason"));
    if (status == 0) {
        writer_text(json, ",\"status\":null"); /* there was no answer */
    } else {
        number_write(json, "status", status);
    }
    member_copy(json, row, BYTES_LITERAL("answer"));
    number_write(json, "attempts", member_number(row, BYTES_LITERAL("attempts")));
    member_time(json, "first_attempt", member_number(row, BYTES_LITERAL("since")));
    member_time(json, "last_attempt", member_number(row, BYTES_LITERAL("tried")));
    member_time(json, "given_up", member_number(row, BYTES_LITERAL("ended")));
    member_copy(json, row, BYTES_LITERAL("change"));
    writer_u8(json, '}');
}
