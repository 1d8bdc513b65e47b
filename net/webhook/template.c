#include "net/webhook/template.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/webhook/event_path.h"
#include "net/webhook/url.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

/* What stands in a probe for a place between quotes: no digit or letter that could end an escape
 * before it or be ended by one after it, and another text in each place, so that no two names of
 * an object become the same by it. */
#define PROBE_FORM      "~place%u~"
#define PROBE_BYTES_MAX 16

enum place_context {
    PLACE_VALUE,  /* a whole JSON value */
    PLACE_STRING, /* inside a JSON string */
    PLACE_URL,
    PLACE_HEADER,
};

/* Text, and behind it a place, but for the last piece. */
struct piece {
    struct bytes text;
    struct bytes path;      /* empty: no place */
    struct bytes parameter; /* the name in {name}; empty: it is <path> */
    enum place_context context;
};

struct template
{
    enum template_kind kind;
    bool is_json;
    size_t piece_count;
    struct piece pieces[];
};

/* ---- parsing ---- */

struct parse {
    enum template_kind kind;
    struct bytes text;
    size_t at;
    const struct template_parameter *parameters;
    size_t parameter_count;
    struct template *template;
    struct writer copy; /* behind the pieces: what they point to */
    size_t piece_from;  /* of the piece's text, in copy */
    bool in_string;
    char *problem;
};

__attribute__((format(printf, 2, 3))) static enum status refuse(char *problem, const char *format,
                                                                ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem, TEMPLATE_PROBLEM_BYTES, format, arguments);
    va_end(arguments);
    return STATUS_INVALID;
}

/* At least as many places as text has. */
static size_t places_most(enum template_kind kind, struct bytes text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        count += text.data[i] == '<' || (kind == TEMPLATE_URL && text.data[i] == '{');
    }
    return count < TEMPLATE_PLACES_MAX ? count : TEMPLATE_PLACES_MAX;
}

static struct bytes copy_keep(struct parse *parse, struct bytes bytes)
{
    size_t from = parse->copy.size;
    writer_put(&parse->copy, bytes);
    ASSERT(!parse->copy.failed);
    return bytes_of(parse->copy.data + from, bytes.size);
}

static enum status place_add(struct parse *parse, struct bytes path, struct bytes parameter)
{
    struct template *template = parse->template;
    if (template->piece_count == TEMPLATE_PLACES_MAX) {
        (void)refuse(parse->problem, "there are over %d places", TEMPLATE_PLACES_MAX);
        return STATUS_UNPROCESSABLE;
    }
    struct piece *piece = &template->pieces[template->piece_count++];
    piece->text =
        bytes_of(parse->copy.data + parse->piece_from, parse->copy.size - parse->piece_from);
    piece->path = copy_keep(parse, path);
    piece->parameter = copy_keep(parse, parameter);
    parse->piece_from = parse->copy.size;
    switch (parse->kind) {
    case TEMPLATE_BODY:
        piece->context = parse->in_string ? PLACE_STRING : PLACE_VALUE;
        break;
    case TEMPLATE_URL:
        piece->context = PLACE_URL;
        break;
    case TEMPLATE_HEADER:
        piece->context = PLACE_HEADER;
        break;
    }
    return STATUS_OK;
}

/* <$.path> */
static enum status path_place_read(struct parse *parse)
{
    struct bytes rest = bytes_slice(parse->text, parse->at + 1, SIZE_MAX);
    size_t size;
    const char *reason;
    bool valid = event_path_scan(rest, &size, &reason);
    if (valid && (size == rest.size || rest.data[size] != '>')) {
        reason = size == rest.size ? "the place that began has no '>'"
                                   : "after a step comes '.', '[' or '>'";
        valid = false;
    }
    if (!valid) {
        return refuse(parse->problem, "at byte %zu: %s", parse->at + 1 + size + 1, reason);
    }
    struct bytes path = bytes_slice(rest, 0, size);
    parse->at += size + 2;
    return place_add(parse, path, BYTES_EMPTY);
}

/* {name} */
static enum status parameter_place_read(struct parse *parse)
{
    struct bytes rest = bytes_slice(parse->text, parse->at + 1, SIZE_MAX);
    const uint8_t *end = rest.size == 0 ? NULL : memchr(rest.data, '}', rest.size);
    if (end == NULL) {
        return refuse(parse->problem, "at byte %zu: the '{' has no '}' (a brace itself is %%7B)",
                      parse->at + 1);
    }
    struct bytes name = bytes_slice(rest, 0, (size_t)(end - rest.data));
    for (size_t i = 0; i < parse->parameter_count; i++) {
        if (bytes_equal(parse->parameters[i].name, name)) {
            parse->at += name.size + 2;
            return place_add(parse, parse->parameters[i].path, name);
        }
    }
    struct bytes shown = bytes_slice(name, 0, 40);
    return refuse(parse->problem, "at byte %zu: `path` does not say what {%.*s} stands for",
                  parse->at + 1, (int)utf8_valid_size(shown), (const char *)shown.data);
}

/* One character, an escape, or a place. */
static enum status next_read(struct parse *parse)
{
    struct bytes text = parse->text;
    uint8_t c = text.data[parse->at];
    uint8_t next = parse->at + 1 < text.size ? text.data[parse->at + 1] : 0;
    if (c == '\\' && next == '<') {
        writer_u8(&parse->copy, next);
        parse->at += 2;
        return STATUS_OK;
    }
    if (c == '<' && next == '$') {
        return path_place_read(parse);
    }
    if (parse->kind == TEMPLATE_URL && c == '{') {
        return parameter_place_read(parse);
    }
    if (parse->kind == TEMPLATE_HEADER && (c < ' ' || c == 0x7F)) {
        return refuse(parse->problem, "at byte %zu: a header has no control characters",
                      parse->at + 1);
    }
    /* A JSON escape is passed over as a pair, so that \" ends no string and \\ escapes nothing. */
    size_t size = c == '\\' && parse->at + 1 < text.size ? 2 : 1;
    writer_put(&parse->copy, bytes_slice(text, parse->at, size));
    parse->in_string ^= c == '"';
    parse->at += size;
    return STATUS_OK;
}

static enum status pieces_read(struct parse *parse)
{
    enum status status = STATUS_OK;
    while (parse->at < parse->text.size && status == STATUS_OK) {
        status = next_read(parse);
    }
    if (status != STATUS_OK) {
        return status;
    }
    ASSERT(!parse->copy.failed);
    struct piece *last = &parse->template->pieces[parse->template->piece_count++];
    last->text =
        bytes_of(parse->copy.data + parse->piece_from, parse->copy.size - parse->piece_from);
    return STATUS_OK;
}

/* ---- what a template becomes, whatever the event ---- */

/* Every place filled with something harmless. */
static void probe_write(const struct template *template, struct writer *out)
{
    for (size_t i = 0; i < template->piece_count; i++) {
        const struct piece *piece = &template->pieces[i];
        writer_put(out, piece->text);
        if (piece->path.size == 0) {
            continue;
        }
        char text[PROBE_BYTES_MAX + 1];
        snprintf(text, sizeof(text), PROBE_FORM, (unsigned)i);
        switch (piece->context) {
        case PLACE_VALUE:
            writer_text(out, "null");
            break;
        case PLACE_STRING:
            writer_text(out, text);
            break;
        case PLACE_URL:
        case PLACE_HEADER:
            writer_text(out, "x");
            break;
        }
    }
}

/*
 * JSON with null for each place outside quotes and some text for each inside: then it is JSON with
 * any other value there, too. For null is a whole value by itself, wherever it is accepted; and the
 * text stands between two whole characters of its string.
 */
static enum status json_check(struct template *template, struct bytes probe)
{
    size_t capacity = 3 * probe.size + 16;
    uint8_t *document = malloc(capacity);
    if (document == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer out = writer_of(document, capacity);
    enum status status = json_to_document(probe, &out, NULL);
    free(document);
    template->is_json = status == STATUS_OK;
    return status == STATUS_NO_MEMORY ? status : STATUS_OK;
}

static enum status url_template_check(const struct template *template, struct bytes probe,
                                      char *problem_out)
{
    size_t path_at;
    const char *reason;
    if (!url_check(probe, &path_at, &reason)) {
        return refuse(problem_out, "%s", reason);
    }
    if (template->piece_count > 1 && template->pieces[0].text.size < path_at) {
        return refuse(problem_out, "a place may stand behind the host and a '/' or '?' only, so "
                                   "that no value can lead the call elsewhere");
    }
    return STATUS_OK;
}

static enum status whole_check(struct template *template, size_t text_size, char *problem_out)
{
    if (template->kind == TEMPLATE_HEADER) {
        return STATUS_OK;
    }
    size_t capacity = text_size + template->piece_count * PROBE_BYTES_MAX;
    uint8_t *probe = malloc(capacity);
    if (probe == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer out = writer_of(probe, capacity);
    probe_write(template, &out);
    ASSERT(!out.failed);
    enum status status = template->kind == TEMPLATE_BODY
                             ? json_check(template, writer_bytes(&out))
                             : url_template_check(template, writer_bytes(&out), problem_out);
    free(probe);
    return status;
}

enum status template_parse(enum template_kind kind, struct bytes text,
                           const struct template_parameter *parameters, size_t parameter_count,
                           struct template **out, char *problem_out)
{
    *out = NULL;
    problem_out[0] = '\0';
    if (text.size > TEMPLATE_BYTES_MAX) {
        (void)refuse(problem_out, "is over %u KiB", TEMPLATE_BYTES_MAX >> 10);
        return STATUS_UNPROCESSABLE;
    }
    /* Each place copies its parameter's name and path, which are as long as they are. */
    size_t places = places_most(kind, text);
    size_t longest = 0;
    for (size_t i = 0; i < parameter_count; i++) {
        size_t size = parameters[i].name.size + parameters[i].path.size;
        longest = size > longest ? size : longest;
    }
    size_t pieces_size = (places + 1) * sizeof(struct piece);
    size_t copy_capacity = text.size + places * longest;
    struct template *template = calloc(1, sizeof(*template) + pieces_size + copy_capacity);
    if (template == NULL) {
        return STATUS_NO_MEMORY;
    }
    template->kind = kind;
    struct parse parse = {
        .kind = kind,
        .text = text,
        .parameters = parameters,
        .parameter_count = parameter_count,
        .template = template,
        .copy = writer_of((uint8_t *)template + sizeof(*template) + pieces_size, copy_capacity),
        .problem = problem_out,
    };
    enum status status = pieces_read(&parse);
    if (status == STATUS_OK) {
        status = whole_check(template, text.size, problem_out);
    }
    if (status != STATUS_OK) {
        free(template);
        return status;
    }
    *out = template;
    return STATUS_OK;
}

void template_destroy(struct template **template)
{
    free(*template);
    *template = NULL;
}

/* ---- rendering ---- */

/* The letter of JSON's short escape of a byte; 0: it has none. */
static uint8_t short_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
        return c;
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    default:
        return 0;
    }
}

static bool is_unreserved(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != 0 && strchr("-._~", c) != NULL);
}

/* How a byte is written; returns how many bytes of text_out that is. */
static size_t byte_encode(enum place_context context, uint8_t c, char text_out[8])
{
    static const char digits[] = "0123456789ABCDEF";
    uint8_t escape = context == PLACE_STRING ? short_escape(c) : 0;
    size_t size = 0;
    if (escape != 0) {
        text_out[size++] = '\\';
        text_out[size++] = (char)escape;
    } else if (context == PLACE_STRING && c < ' ') {
        memcpy(text_out, "\\u00", 4);
        size = 4;
        text_out[size++] = digits[c >> 4];
        text_out[size++] = digits[c & 15];
    } else if (context == PLACE_URL && !is_unreserved(c)) {
        text_out[size++] = '%';
        text_out[size++] = digits[c >> 4];
        text_out[size++] = digits[c & 15];
    } else {
        text_out[size++] = (char)c;
    }
    return size;
}

/* Encodes what stands in out from `from` on, in place: from its end, so that nothing is overwritten
 * before it is read. */
static void tail_encode(struct writer *out, size_t from, enum place_context context)
{
    char text[8];
    size_t end = out->size;
    size_t encoded = 0;
    for (size_t i = from; i < end; i++) {
        encoded += byte_encode(context, out->data[i], text);
    }
    ASSERT(encoded >= end - from);
    size_t extra = encoded - (end - from);
    if (extra == 0 || writer_reserve(out, extra) == NULL) {
        return;
    }
    size_t to = out->size;
    for (size_t i = end; i > from && to > i; i--) {
        size_t size = byte_encode(context, out->data[i - 1], text);
        to -= size;
        memcpy(out->data + to, text, size);
    }
    ASSERT(to >= from);
}

/* Why a value, NULL where the event has none, cannot stand in a place; NULL: it can. */
static const char *value_problem(enum place_context context, const struct bytes *value)
{
    enum document_type type = value == NULL ? DOCUMENT_NULL : document_type_of(*value);
    struct bytes text = BYTES_EMPTY;
    switch (context) {
    case PLACE_VALUE:
    case PLACE_STRING:
        return NULL;
    case PLACE_URL:
        if (type == DOCUMENT_NULL) {
            return "the change has no value there, and a URL needs one";
        }
        if (type == DOCUMENT_OBJECT || type == DOCUMENT_ARRAY) {
            return "an object or array does not fit into a URL";
        }
        return type == DOCUMENT_STRING && document_string(*value, &text) && text.size == 0
                   ? "the value is empty, and a URL needs one"
                   : NULL;
    case PLACE_HEADER:
        if (type == DOCUMENT_STRING && document_string(*value, &text)) {
            for (size_t i = 0; i < text.size; i++) {
                if (text.data[i] < ' ' || text.data[i] == 0x7F) {
                    return "the value has a control character, which would break the header";
                }
            }
        }
        return NULL;
    }
    UNREACHABLE();
}

static enum status value_write(struct bytes value, enum place_context context, struct writer *out)
{
    struct bytes text;
    size_t from = out->size;
    if (context != PLACE_VALUE && document_string(value, &text)) {
        writer_put(out, text);
    } else {
        enum status status = document_to_json(value, out);
        if (status == STATUS_DAMAGED) {
            return STATUS_UNPROCESSABLE; /* nested deeper than JSON may be */
        }
        if (status != STATUS_OK) {
            return status;
        }
    }
    if ((context == PLACE_STRING || context == PLACE_URL) && !out->failed) {
        tail_encode(out, from, context);
    }
    return STATUS_OK;
}

static enum status place_render(const struct piece *piece, struct bytes event, struct writer *out)
{
    struct bytes value;
    bool found = event_path_find(piece->path, event, &value);
    if (value_problem(piece->context, found ? &value : NULL) != NULL) {
        return STATUS_UNPROCESSABLE;
    }
    if (found && (piece->context == PLACE_VALUE || !document_is_null(value))) {
        return value_write(value, piece->context, out);
    }
    if (piece->context == PLACE_VALUE) {
        writer_text(out, "null");
    }
    return STATUS_OK;
}

enum status template_render(const struct template *template, struct bytes event, struct writer *out)
{
    size_t from = out->size;
    ASSERT(template->piece_count >= 1);
    for (size_t i = 0; i < template->piece_count; i++) {
        const struct piece *piece = &template->pieces[i];
        writer_put(out, piece->text);
        enum status status = piece->path.size == 0 ? STATUS_OK : place_render(piece, event, out);
        if (status != STATUS_OK) {
            return status;
        }
    }
    if (out->failed) {
        return STATUS_TOO_LARGE;
    }
    if (template->kind == TEMPLATE_URL) {
        struct bytes url = bytes_slice(writer_bytes(out), from, SIZE_MAX);
        size_t path_at;
        const char *reason;
        if (!url_check(url, &path_at, &reason)) {
            return STATUS_UNPROCESSABLE;
        }
    }
    return STATUS_OK;
}

void template_explain(const struct template *template, struct bytes event, char *text_out)
{
    for (size_t i = 0; i < template->piece_count; i++) {
        const struct piece *piece = &template->pieces[i];
        struct bytes value;
        bool found = piece->path.size > 0 && event_path_find(piece->path, event, &value);
        const char *problem =
            piece->path.size == 0 ? NULL : value_problem(piece->context, found ? &value : NULL);
        if (problem == NULL) {
            continue;
        }
        struct bytes name = piece->parameter.size > 0 ? piece->parameter : piece->path;
        struct bytes shown = bytes_slice(name, 0, 60);
        (void)refuse(text_out, piece->parameter.size > 0 ? "{%.*s}: %s" : "<%.*s>: %s",
                     (int)utf8_valid_size(shown), (const char *)shown.data, problem);
        return;
    }
    (void)refuse(text_out, "%s",
                 template->kind == TEMPLATE_URL
                     ? "the URL would have a path segment . or .., which servers take for a step"
                     : "a value is nested too deeply");
}

bool template_is_json(const struct template *template)
{
    return template->is_json;
}

bool template_is_constant(const struct template *template)
{
    return template->piece_count == 1;
}
