#include "net/webhook/event_path.h"

#include "protocol/base/assert.h"
#include "protocol/document/document.h"

struct step {
    bool is_index;
    uint32_t index;
    struct bytes name;
};

static bool ends_name(uint8_t c)
{
    return c <= ' ' || c == 0x7F || strchr(".[]<>'\"", c) != NULL;
}

static uint8_t at_or_zero(struct bytes text, size_t at)
{
    return at < text.size ? text.data[at] : 0;
}

/* .name; *at is behind the dot. */
static const char *name_read(struct bytes text, size_t *at, struct step *out)
{
    size_t from = *at;
    while (*at < text.size && !ends_name(text.data[*at])) {
        (*at)++;
    }
    out->is_index = false;
    out->name = bytes_slice(text, from, *at - from);
    return *at > from ? NULL : "a name is missing after '.' (other names stand in ['quotes'])";
}

/* ['name'] or ["name"]; *at is at the quote. */
static const char *quoted_read(struct bytes text, size_t *at, struct step *out)
{
    uint8_t quote = text.data[*at];
    size_t from = ++*at;
    while (*at < text.size && text.data[*at] != quote) {
        (*at)++;
    }
    out->is_index = false;
    out->name = bytes_slice(text, from, *at - from);
    if (*at == text.size) {
        return "a name in quotes does not end";
    }
    ++*at;
    return NULL;
}

static const char *index_read(struct bytes text, size_t *at, struct step *out)
{
    uint32_t index = 0;
    size_t from = *at;
    while (at_or_zero(text, *at) >= '0' && at_or_zero(text, *at) <= '9') {
        index = 10 * index + (uint32_t)(text.data[*at] - '0');
        if (index > EVENT_PATH_INDEX_MAX) {
            return "an index is over 9999999";
        }
        ++*at;
    }
    out->is_index = true;
    out->index = index;
    return *at > from ? NULL : "an index like [0] or a name like ['a'] is missing after '['";
}

/* The step at *at, which is '.' or '['. NULL, or what is wrong with it. */
static const char *step_read(struct bytes text, size_t *at, struct step *out)
{
    ASSERT(*at < text.size);
    if (text.data[(*at)++] == '.') {
        return name_read(text, at, out);
    }
    uint8_t first = at_or_zero(text, *at);
    const char *reason =
        first == '\'' || first == '"' ? quoted_read(text, at, out) : index_read(text, at, out);
    if (reason == NULL && at_or_zero(text, *at) != ']') {
        return "a ']' is missing";
    }
    *at += reason == NULL;
    return reason;
}

static bool begins_step(struct bytes text, size_t at)
{
    uint8_t c = at_or_zero(text, at);
    return c == '.' || c == '[';
}

bool event_path_scan(struct bytes text, size_t *size_out, const char **reason_out)
{
    size_t at = 1;
    *size_out = 0;
    *reason_out = NULL;
    if (at_or_zero(text, 0) != '$') {
        *reason_out = "a path begins with '$', like $.keys.id";
        return false;
    }
    for (uint32_t steps = 0; *reason_out == NULL && begins_step(text, at); steps++) {
        struct step step;
        *reason_out =
            steps < EVENT_PATH_STEPS_MAX ? step_read(text, &at, &step) : "a path has over 32 steps";
    }
    ASSERT(at <= text.size);
    *size_out = at;
    return *reason_out == NULL;
}

static bool element_find(struct bytes array, uint32_t index, struct bytes *value_out)
{
    struct document_cursor cursor;
    if (!document_cursor_open(array, &cursor) || cursor.is_object || index >= cursor.left) {
        return false;
    }
    for (uint32_t i = 0; i <= index; i++) {
        if (!document_next_element(&cursor, value_out)) {
            return false;
        }
    }
    return true;
}

bool event_path_find(struct bytes path, struct bytes event, struct bytes *value_out)
{
    struct bytes value = event;
    size_t at = 1;
    ASSERT(at_or_zero(path, 0) == '$');
    while (at < path.size) {
        struct step step;
        const char *reason = step_read(path, &at, &step);
        ASSERT(reason == NULL);
        bool found = step.is_index ? element_find(value, step.index, &value)
                                   : document_find(value, step.name, &value);
        if (!found) {
            return false;
        }
    }
    *value_out = value;
    return true;
}
