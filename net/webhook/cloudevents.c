#include "net/webhook/cloudevents.h"

#include <assert.h>

#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define SPECVERSION "1.0"

enum attribute {
    CE_SPECVERSION,
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_SUBJECT,
    CE_TIME,
    CE_SEQUENCE,
    CE_ATTRIBUTE_COUNT
};

static const char *const header_names[CE_ATTRIBUTE_COUNT] = {
    "ce-specversion", "ce-id",   "ce-source",          "ce-type",
    "ce-subject",     "ce-time", "ce-freshetsequence",
};

/* The value of an attribute in pieces; empty: the event has no such attribute. */
struct attribute_text {
    struct bytes prefix;
    struct bytes text;
    bool is_uri;    /* what no URI contains is percent-encoded */
    bool is_number; /* text is a MessagePack number */
};

struct attributes {
    struct attribute_text of[CE_ATTRIBUTE_COUNT];
};

static struct bytes member(struct bytes event, const char *name)
{
    struct bytes value;
    struct bytes text;
    return document_find(event, bytes_of_text(name), &value) && document_string(value, &text)
               ? text
               : BYTES_EMPTY;
}

static bool is_users_own(struct bytes event)
{
    return bytes_equal(member(event, "eventName"), BYTES_LITERAL("EVENT"));
}

struct bytes cloudevents_data(struct bytes event)
{
    struct bytes detail;
    bool found = is_users_own(event) && document_find(event, BYTES_LITERAL("detail"), &detail);
    return found ? detail : event;
}

/* The type of a change of a record; NULL: it is none. */
static const char *record_type(struct bytes event_name)
{
    static const char *const types[][2] = {
        {"INSERT", "freshet.record.insert"},
        {"MODIFY", "freshet.record.modify"},
        {"REMOVE", "freshet.record.remove"},
    };
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (bytes_equal(event_name, bytes_of_text(types[i][0]))) {
            return types[i][1];
        }
    }
    return NULL;
}

/* What a change and a user's own event do not have in common. */
static bool kind_gather(struct bytes event, struct attributes *out)
{
    static const struct bytes id_path[] = {BYTES_LITERAL("keys"), BYTES_LITERAL("id")};
    struct bytes id;
    if (is_users_own(event)) {
        out->of[CE_SOURCE].text = member(event, "source");
        out->of[CE_TYPE].text = member(event, "detail-type");
        return out->of[CE_SOURCE].text.size > 0 && out->of[CE_TYPE].text.size > 0;
    }
    const char *type = record_type(member(event, "eventName"));
    if (type == NULL || !document_find_path(event, id_path, 2, &id) ||
        !document_string(id, &out->of[CE_SUBJECT].text)) {
        return false;
    }
    out->of[CE_TYPE].text = bytes_of_text(type);
    out->of[CE_SOURCE].prefix = BYTES_LITERAL("/freshet/");
    out->of[CE_SOURCE].text = member(event, "collection");
    return out->of[CE_SOURCE].text.size > 0;
}

static bool attributes_gather(struct bytes event, struct attributes *out)
{
    memset(out, 0, sizeof(*out));
    out->of[CE_SPECVERSION].text = BYTES_LITERAL(SPECVERSION);
    out->of[CE_ID].text = member(event, "eventID");
    out->of[CE_TIME].text = member(event, "time");
    out->of[CE_SOURCE].is_uri = true;
    out->of[CE_SEQUENCE].is_number = true;
    return document_find(event, BYTES_LITERAL("sequence"), &out->of[CE_SEQUENCE].text) &&
           document_type_of(out->of[CE_SEQUENCE].text) == DOCUMENT_NUMBER &&
           out->of[CE_ID].text.size > 0 && out->of[CE_TIME].text.size > 0 &&
           kind_gather(event, out);
}

/* ---- writing ---- */

static void escape_write(struct writer *out, uint8_t c)
{
    static const char digits[] = "0123456789ABCDEF";
    const uint8_t text[3] = {'%', (uint8_t)digits[c >> 4], (uint8_t)digits[c & 15]};
    writer_put(out, bytes_of(text, sizeof(text)));
}

static bool fits_uri(uint8_t c)
{
    return c > ' ' && c < 0x7F && strchr("\"<>\\^`{|}", c) == NULL;
}

/* The HTTP binding, 3.1.3.2: what is not printable ASCII, and space, '"' and '%'. */
static bool fits_header(uint8_t c)
{
    return c > ' ' && c < 0x7F && c != '"' && c != '%';
}

/* A URI-reference keeps the escapes that it has. */
static void uri_write(struct bytes text, struct writer *out)
{
    for (size_t i = 0; i < text.size; i++) {
        if (fits_uri(text.data[i])) {
            writer_u8(out, text.data[i]);
        } else {
            escape_write(out, text.data[i]);
        }
    }
}

static void text_write(const struct attribute_text *attribute, struct writer *out)
{
    writer_put(out, attribute->prefix);
    if (attribute->is_number) {
        (void)document_number_text(attribute->text, out);
    } else if (attribute->is_uri) {
        uri_write(attribute->text, out);
    } else {
        writer_put(out, attribute->text);
    }
}

/* Escapes what stands in out from `from` on, in place, from its end. */
static void header_escape(struct writer *out, size_t from)
{
    size_t end = out->size;
    size_t escapes = 0;
    for (size_t i = from; i < end; i++) {
        escapes += !fits_header(out->data[i]);
    }
    if (escapes == 0 || writer_reserve(out, 2 * escapes) == NULL) {
        return;
    }
    size_t to = out->size;
    for (size_t i = end; i > from; i--) {
        uint8_t c = out->data[i - 1];
        size_t size = fits_header(c) ? 1 : 3;
        to -= size;
        struct writer place = writer_of(out->data + to, size);
        if (size == 1) {
            writer_u8(&place, c);
        } else {
            escape_write(&place, c);
        }
    }
    ASSERT(to == from);
}

enum status cloudevents_headers(struct bytes event, struct writer *out,
                                struct cloudevents_header *headers_out, size_t *count_out)
{
    static_assert(CE_ATTRIBUTE_COUNT <= CLOUDEVENTS_HEADERS_MAX, "all have room");
    struct attributes attributes;
    *count_out = 0;
    if (!attributes_gather(event, &attributes)) {
        return STATUS_INVALID;
    }
    for (size_t i = 0; i < CE_ATTRIBUTE_COUNT; i++) {
        if (attributes.of[i].text.size == 0) {
            continue;
        }
        size_t from = out->size;
        text_write(&attributes.of[i], out);
        if (!out->failed) {
            header_escape(out, from);
        }
        if (out->failed) {
            return STATUS_TOO_LARGE;
        }
        headers_out[(*count_out)++] = (struct cloudevents_header){
            header_names[i], bytes_of(out->data + from, out->size - from)};
    }
    ASSERT(*count_out >= CE_ATTRIBUTE_COUNT - 1);
    return STATUS_OK;
}

/* "name":"value" with no comma. */
static void member_write(size_t index, const struct attribute_text *attribute,
                         struct writer *json_out)
{
    writer_u8(json_out, '"');
    writer_text(json_out, header_names[index] + strlen("ce-"));
    writer_text(json_out, "\":");
    if (attribute->prefix.size == 0 && !attribute->is_uri && !attribute->is_number) {
        json_string_write(json_out, attribute->text);
        return;
    }
    /* Numbers and URIs have nothing that JSON escapes. */
    writer_u8(json_out, '"');
    text_write(attribute, json_out);
    writer_u8(json_out, '"');
}

enum status cloudevents_structured(struct bytes event, struct bytes data, bool data_is_json,
                                   struct writer *json_out)
{
    struct attributes attributes;
    if (!attributes_gather(event, &attributes)) {
        return STATUS_INVALID;
    }
    writer_u8(json_out, '{');
    for (size_t i = 0; i < CE_ATTRIBUTE_COUNT; i++) {
        if (attributes.of[i].text.size > 0) {
            member_write(i, &attributes.of[i], json_out);
            writer_u8(json_out, ',');
        }
    }
    if (data_is_json) {
        writer_text(json_out, "\"datacontenttype\":\"application/json\",\"data\":");
        writer_put(json_out, data);
    } else {
        writer_text(json_out, "\"datacontenttype\":\"text/plain; charset=utf-8\",\"data\":");
        json_string_write(json_out, data);
    }
    writer_u8(json_out, '}');
    return json_out->failed ? STATUS_TOO_LARGE : STATUS_OK;
}
