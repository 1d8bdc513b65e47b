/*
 * fuzz_template.c: a template (the first byte is its kind, 'b', 'u' or 'h', and it ends at the
 * first NUL) and an event (JSON, behind the NUL). What is accepted never renders to what its kind
 * must not: a JSON template to what is no JSON, a URL to another host, a header to a second line.
 */
#include <stdint.h>
#include <stdlib.h>

#include "net/webhook/event_path.h"
#include "net/webhook/template.h"
#include "net/webhook/url.h"
#include "protocol/base/assert.h"
#include "protocol/base/utf8.h"
#include "protocol/document/json.h"

#define INPUT_BYTES_MAX (16u << 10)
/* Each of 256 places may hold the whole event, and each of its bytes become six. */
#define OUTPUT_BYTES_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct writer new_writer(size_t capacity)
{
    void *memory = malloc(capacity);
    ASSERT(memory != NULL);
    return writer_of(memory, capacity);
}

static enum template_kind kind_of(uint8_t byte)
{
    return byte == 'u' ? TEMPLATE_URL : byte == 'h' ? TEMPLATE_HEADER : TEMPLATE_BODY;
}

/* Names made of values may be there twice, and values nest deeper than we parse; all else is the
 * grammar's. */
static void check_json(struct bytes text)
{
    struct json_error error = {.line = 0};
    struct writer document = new_writer(3 * text.size + 16);
    if (json_to_document(text, &document, &error) != STATUS_OK) {
        ASSERT(strstr(error.text, "twice") != NULL || strstr(error.text, "deep") != NULL);
    }
    free(document.data);
}

static void check_rendered(enum template_kind kind, const struct template *template,
                           struct bytes text)
{
    size_t path_at;
    const char *reason;
    ASSERT(utf8_is_valid(text));
    switch (kind) {
    case TEMPLATE_BODY:
        if (template_is_json(template)) {
            check_json(text);
        }
        break;
    case TEMPLATE_URL:
        ASSERT(url_check(text, &path_at, &reason));
        break;
    case TEMPLATE_HEADER:
        for (size_t i = 0; i < text.size; i++) {
            ASSERT(text.data[i] >= ' ' && text.data[i] != 0x7F);
        }
        break;
    }
}

/* A URL's scheme, host and port are the same for every event. */
static void check_same_host(const struct template *template, struct bytes url, struct bytes other)
{
    struct writer out = new_writer(OUTPUT_BYTES_MAX);
    if (template_render(template, other, &out) == STATUS_OK) {
        size_t path_at;
        size_t other_path_at;
        const char *reason;
        ASSERT(url_check(url, &path_at, &reason));
        ASSERT(url_check(writer_bytes(&out), &other_path_at, &reason));
        ASSERT(path_at == other_path_at && memcmp(url.data, out.data, path_at) == 0);
    }
    free(out.data);
}

static void try_event(enum template_kind kind, const struct template *template, struct bytes event)
{
    static const uint8_t plain[] = "\x81\xA1"
                                   "a\xA1"
                                   "b"; /* {"a":"b"} */
    struct writer out = new_writer(OUTPUT_BYTES_MAX);
    enum status status = template_render(template, event, &out);
    ASSERT(status == STATUS_OK || status == STATUS_TOO_LARGE || status == STATUS_UNPROCESSABLE);
    if (status == STATUS_UNPROCESSABLE) {
        char text[TEMPLATE_PROBLEM_BYTES] = "";
        template_explain(template, event, text);
        ASSERT(text[0] != '\0' && utf8_is_valid(bytes_of_text(text)));
    }
    if (status == STATUS_OK) {
        check_rendered(kind, template, writer_bytes(&out));
        if (kind == TEMPLATE_URL) {
            check_same_host(template, writer_bytes(&out), bytes_of(plain, sizeof(plain) - 1));
        }
        if (out.size > 0) {
            struct writer small = new_writer(out.size - 1);
            ASSERT(template_render(template, event, &small) == STATUS_TOO_LARGE);
            free(small.data);
        }
    }
    free(out.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct template_parameter parameters[] = {
        {{(const uint8_t *)"id", 2}, {(const uint8_t *)"$.keys.id", 9}},
        {{(const uint8_t *)"a", 1}, {(const uint8_t *)"$.a", 3}},
    };
    if (size < 1 || size > INPUT_BYTES_MAX) {
        return 0;
    }
    enum template_kind kind = kind_of(data[0]);
    struct bytes text = bytes_of(data + 1, size - 1);
    const uint8_t *end = text.size == 0 ? NULL : memchr(text.data, 0, text.size);
    struct bytes json = BYTES_EMPTY;
    if (end != NULL) {
        json = bytes_slice(text, (size_t)(end - text.data) + 1, SIZE_MAX);
        text = bytes_slice(text, 0, (size_t)(end - text.data));
    }
    if (!utf8_is_valid(text)) {
        return 0; /* a rule is a document: its texts are valid */
    }
    struct template *template;
    char problem[TEMPLATE_PROBLEM_BYTES];
    enum status status = template_parse(kind, text, parameters, 2, &template, problem);
    if (status != STATUS_OK) {
        ASSERT(status == STATUS_INVALID || status == STATUS_UNPROCESSABLE);
        ASSERT(template == NULL && problem[0] != '\0' && utf8_is_valid(bytes_of_text(problem)));
        return 0;
    }
    struct writer event = new_writer(3 * json.size + 16);
    if (json_to_document(json, &event, NULL) == STATUS_OK) {
        try_event(kind, template, writer_bytes(&event));
    }
    free(event.data);
    template_destroy(&template);
    return 0;
}
