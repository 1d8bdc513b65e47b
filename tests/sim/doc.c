#include "tests/sim/doc.h"

#include <stdio.h>
#include <string.h>

static const char *const names[DOC_MEMBER_COUNT] = {"category", "n", "title", "extra", "pad"};

bool doc_equal(const struct doc *a, const struct doc *b)
{
    for (int i = 0; i < DOC_MEMBER_COUNT; i++) {
        if (a->has[i] != b->has[i] || (a->has[i] && a->value[i] != b->value[i])) {
            return false;
        }
    }
    return true;
}

struct doc doc_stored(const struct doc *doc, bool title_default)
{
    struct doc stored = *doc;
    if (title_default && !stored.has[DOC_TITLE]) {
        stored.has[DOC_TITLE] = true;
        stored.value[DOC_TITLE] = 0;
    }
    return stored;
}

struct doc doc_patched(const struct doc *doc, const struct doc_patch *patch, bool title_default)
{
    struct doc result = *doc;
    for (int i = 0; i < DOC_MEMBER_COUNT; i++) {
        if (patch->clears[i]) {
            result.has[i] = false;
        } else if (patch->set.has[i]) {
            result.has[i] = true;
            result.value[i] = patch->set.value[i];
        }
    }
    return doc_stored(&result, title_default);
}

/* ---- writing ---- */

static size_t value_write(char *out, size_t room, int member, uint32_t value)
{
    int size = 0;
    switch ((enum doc_member)member) {
    case DOC_CATEGORY:
        size = snprintf(out, room, "\"%c\"", (char)('a' + value));
        break;
    case DOC_N:
    case DOC_EXTRA:
        size = snprintf(out, room, "%u", value);
        break;
    case DOC_TITLE:
        size = value == 0 ? snprintf(out, room, "\"\"") : snprintf(out, room, "\"t%u\"", value);
        break;
    case DOC_PAD:
        out[0] = '"';
        memset(out + 1, 'p', value);
        out[value + 1] = '"';
        size = (int)value + 2;
        break;
    }
    return (size_t)size;
}

size_t doc_to_json(const struct doc *doc, const struct doc_patch *patch, char out[DOC_JSON_MAX])
{
    const struct doc *set = patch == NULL ? doc : &patch->set;
    size_t at = 0;
    out[at++] = '{';
    for (int i = 0; i < DOC_MEMBER_COUNT; i++) {
        bool clears = patch != NULL && patch->clears[i];
        if (!clears && !set->has[i]) {
            continue;
        }
        at +=
            (size_t)snprintf(out + at, DOC_JSON_MAX - at, "%s\"%s\":", at > 1 ? "," : "", names[i]);
        at += clears ? (size_t)snprintf(out + at, DOC_JSON_MAX - at, "null")
                     : value_write(out + at, DOC_JSON_MAX - at, i, set->value[i]);
    }
    out[at++] = '}';
    out[at] = '\0';
    return at;
}

/* ---- reading ---- */

static bool take(const char **at, const char *end, char c)
{
    if (*at == end || **at != c) {
        return false;
    }
    (*at)++;
    return true;
}

/* The text between two quotes; nothing of ours is escaped. */
static bool string_read(const char **at, const char *end, const char **text_out, size_t *size_out)
{
    if (!take(at, end, '"')) {
        return false;
    }
    *text_out = *at;
    while (*at < end && **at != '"' && **at != '\\') {
        (*at)++;
    }
    *size_out = (size_t)(*at - *text_out);
    return take(at, end, '"');
}

static bool number_read(const char **at, const char *end, uint32_t *value_out)
{
    const char *from = *at;
    *value_out = 0;
    while (*at < end && **at >= '0' && **at <= '9') {
        *value_out = *value_out * 10 + (uint32_t)(**at - '0');
        (*at)++;
    }
    return *at > from;
}

static bool value_read(const char **at, const char *end, int member, uint32_t *value_out)
{
    if (member == DOC_N || member == DOC_EXTRA) {
        return number_read(at, end, value_out);
    }
    const char *text;
    size_t size;
    if (!string_read(at, end, &text, &size)) {
        return false;
    }
    const char *digits = text + 1;
    switch ((enum doc_member)member) {
    case DOC_CATEGORY:
        *value_out = (uint32_t)(text[0] - 'a');
        return size == 1;
    case DOC_TITLE:
        *value_out = 0;
        return size == 0 || (text[0] == 't' && number_read(&digits, text + size, value_out) &&
                             digits == text + size);
    case DOC_PAD:
        *value_out = (uint32_t)size;
        return true;
    case DOC_N:
    case DOC_EXTRA:
        break;
    }
    return false;
}

static bool member_read(const char **at, const char *end, char id_out[DOC_ID_MAX],
                        struct doc *doc_out)
{
    const char *name;
    size_t name_size;
    if (!string_read(at, end, &name, &name_size) || !take(at, end, ':')) {
        return false;
    }
    if (name_size == 2 && memcmp(name, "id", 2) == 0) {
        const char *id;
        size_t id_size;
        if (!string_read(at, end, &id, &id_size) || id_size >= DOC_ID_MAX) {
            return false;
        }
        memcpy(id_out, id, id_size);
        id_out[id_size] = '\0';
        return true;
    }
    for (int i = 0; i < DOC_MEMBER_COUNT; i++) {
        if (strlen(names[i]) == name_size && memcmp(names[i], name, name_size) == 0) {
            bool again = doc_out->has[i];
            doc_out->has[i] = true;
            return !again && value_read(at, end, i, &doc_out->value[i]);
        }
    }
    return false;
}

bool doc_read_record(const char **at, const char *end, char id_out[DOC_ID_MAX], struct doc *doc_out)
{
    *doc_out = (struct doc){.has = {false}};
    id_out[0] = '\0';
    if (!take(at, end, '{')) {
        return false;
    }
    do {
        if (!member_read(at, end, id_out, doc_out)) {
            return false;
        }
    } while (take(at, end, ','));
    return take(at, end, '}') && id_out[0] != '\0';
}
