#include <stdarg.h>
#include <stdio.h>

#include "net/webhook/rule_internal.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"

#define KNOWN_BYTES_MAX 200 /* of names in a message */
#define SHOWN_BYTES_MAX 60  /* of a value in a message */
#define MS_NS           1000000ull
#define SECOND_NS       (1000 * MS_NS)

enum status rule_refuse(struct rule_problem *problem, enum status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
    return status;
}

int rule_shown_size(struct bytes text)
{
    return (int)utf8_valid_size(bytes_slice(text, 0, SHOWN_BYTES_MAX));
}

static void names_list(const struct part *parts, size_t count, char text_out[KNOWN_BYTES_MAX])
{
    size_t size = 0;
    text_out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        int added = snprintf(text_out + size, KNOWN_BYTES_MAX - size, "%s%s", i == 0 ? "" : ", ",
                             parts[i].name);
        ASSERT(added > 0 && size + (size_t)added < KNOWN_BYTES_MAX);
        size += (size_t)added;
    }
}

enum status rule_parts_read(struct rule_reader *reader, struct bytes object, const char *what,
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
            char known[KNOWN_BYTES_MAX];
            names_list(parts, count, known);
            return REFUSE(reader, "%s%.*s: there is no such member; there are %s", base,
                          SHOWN(name), known);
        }
        *parts[i].value = value;
    }
    return STATUS_OK;
}

enum status rule_text_read(struct rule_reader *reader, const char *member, struct bytes value,
                           struct bytes *out)
{
    return document_string(value, out) ? STATUS_OK : REFUSE(reader, "%s: is not a string", member);
}

struct bytes rule_text_keep(struct rule_reader *reader, struct bytes text)
{
    size_t from = reader->names.size;
    writer_put(&reader->names, text);
    ASSERT(!reader->names.failed);
    return bytes_of(reader->names.data + from, text.size);
}

enum status rule_choice_read(struct rule_reader *reader, const char *member, struct bytes value,
                             const char *const *names, uint32_t count, uint32_t *out)
{
    struct bytes text;
    if (value.size == 0) {
        return STATUS_OK;
    }
    enum status status = rule_text_read(reader, member, value, &text);
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        if (bytes_equal(text, bytes_of_text(names[i]))) {
            *out = i;
            return STATUS_OK;
        }
    }
    if (status != STATUS_OK) {
        return status;
    }
    char known[KNOWN_BYTES_MAX] = "";
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

enum status rule_count_read(struct rule_reader *reader, const char *member, struct bytes value,
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
    for (size_t i = 0; i < RULE_COUNT_OF(units) && at > 0; i++) {
        if (bytes_equal(bytes_slice(text, at, SIZE_MAX), bytes_of_text(units[i].name))) {
            return !__builtin_mul_overflow(number, units[i].ns, ns_out);
        }
    }
    return false;
}

enum status rule_duration_read(struct rule_reader *reader, const char *member, struct bytes value,
                               uint64_t least, uint64_t most, const char *range, uint64_t *out)
{
    struct bytes text;
    uint64_t ns;
    if (value.size == 0) {
        return STATUS_OK;
    }
    enum status status = rule_text_read(reader, member, value, &text);
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
