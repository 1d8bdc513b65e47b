/* Results on stdout. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bindings/cli/cli_internal.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define INDENT       2
#define COLOUR_NAME  "\033[34m"
#define COLOUR_TEXT  "\033[32m"
#define COLOUR_VALUE "\033[36m"
#define COLOUR_END   "\033[0m"

/* How many bytes at `at` a terminal would take for a command; the character in *code_out. */
static size_t control_size(struct bytes text, size_t at, unsigned *code_out)
{
    uint8_t byte = text.data[at];
    *code_out = byte;
    if (byte < 0x20 || byte == 0x7F) {
        return 1;
    }
    if (byte != 0xC2 || at + 1 == text.size || text.data[at + 1] >= 0xA0) {
        return 0;
    }
    *code_out = text.data[at + 1];
    return 2;
}

void cli_text_print(FILE *out, struct bytes text)
{
    size_t from = 0;
    for (size_t at = 0; at < text.size;) {
        unsigned code;
        size_t size = control_size(text, at, &code);
        at += size == 0;
        if (size > 0) {
            fwrite(text.data + from, 1, at - from, out);
            fprintf(out, "\\u%04x", code);
            at += size;
            from = at;
        }
    }
    if (from < text.size) {
        fwrite(text.data + from, 1, text.size - from, out);
    }
}

/*
 * Walks over JSON and adds white space between its parts. A server's JSON is whole; what is not,
 * comes out as it is.
 */
struct pretty {
    FILE *out;
    struct bytes json;
    size_t at;
    size_t depth;
    bool colour;
    bool is_name; /* the next string is a member's name */
};

static void colour_begin(const struct pretty *pretty, const char *colour)
{
    fputs(pretty->colour ? colour : "", pretty->out);
}

static void line_begin(const struct pretty *pretty)
{
    size_t depth =
        pretty->depth < DOCUMENT_RENDER_DEPTH_MAX ? pretty->depth : DOCUMENT_RENDER_DEPTH_MAX;
    fprintf(pretty->out, "\n%*s", (int)(depth * INDENT), "");
}

/* Past the string that begins here. */
static size_t string_end(struct bytes json, size_t at)
{
    for (at++; at < json.size && json.data[at] != '"'; at++) {
        at += json.data[at] == '\\';
    }
    return at < json.size ? at + 1 : json.size;
}

static void pretty_string(struct pretty *pretty)
{
    size_t end = string_end(pretty->json, pretty->at);
    colour_begin(pretty, pretty->is_name ? COLOUR_NAME : COLOUR_TEXT);
    cli_text_print(pretty->out, bytes_slice(pretty->json, pretty->at, end - pretty->at));
    colour_begin(pretty, COLOUR_END);
    pretty->at = end;
}

static void pretty_value(struct pretty *pretty)
{
    size_t end = pretty->at;
    while (end < pretty->json.size && memchr(",]}", pretty->json.data[end], 3) == NULL) {
        end++;
    }
    colour_begin(pretty, COLOUR_VALUE);
    cli_text_print(pretty->out, bytes_slice(pretty->json, pretty->at, end - pretty->at));
    colour_begin(pretty, COLOUR_END);
    pretty->at = end;
}

static void pretty_open(struct pretty *pretty, uint8_t byte)
{
    fputc(byte, pretty->out);
    pretty->at++;
    uint8_t next = pretty->at < pretty->json.size ? pretty->json.data[pretty->at] : 0;
    if (next == '}' || next == ']') {
        fputc(next, pretty->out);
        pretty->at++;
        return;
    }
    pretty->depth++;
    line_begin(pretty);
}

static void pretty_close(struct pretty *pretty, uint8_t byte)
{
    pretty->depth -= pretty->depth > 0;
    line_begin(pretty);
    fputc(byte, pretty->out);
    pretty->at++;
}

/* Whether the string that begins here is followed by a colon. */
static bool name_begins(const struct pretty *pretty)
{
    size_t end = string_end(pretty->json, pretty->at);
    return end < pretty->json.size && pretty->json.data[end] == ':';
}

static void pretty_part(struct pretty *pretty)
{
    uint8_t byte = pretty->json.data[pretty->at];
    switch (byte) {
    case '{':
    case '[':
        pretty_open(pretty, byte);
        break;
    case '}':
    case ']':
        pretty_close(pretty, byte);
        break;
    case ',':
        fputc(',', pretty->out);
        line_begin(pretty);
        pretty->at++;
        break;
    case ':':
        fputs(": ", pretty->out);
        pretty->at++;
        break;
    case '"':
        pretty->is_name = name_begins(pretty);
        pretty_string(pretty);
        break;
    default:
        pretty_value(pretty);
        break;
    }
}

void cli_json_print(FILE *out, struct bytes json, bool pretty, bool colour)
{
    if (!pretty) {
        cli_text_print(out, json);
    }
    struct pretty state = {.out = out, .json = json, .colour = colour};
    while (pretty && state.at < json.size) {
        pretty_part(&state);
    }
    fputc('\n', out);
}

void cli_string_print(FILE *out, const char *text)
{
    struct bytes utf8 = bytes_of_text(text);
    size_t capacity = 6 * utf8.size + 2; /* each byte as an escape, and the quotes */
    uint8_t *memory = malloc(capacity);
    if (memory == NULL) {
        fputs("\"\"", out);
        return;
    }
    struct writer json = writer_of(memory, capacity);
    json_string_write(&json, utf8);
    ASSERT(!json.failed);
    fwrite(json.data, 1, json.size, out);
    free(memory);
}

const char *cli_count_text(uint64_t count, char out[CLI_COUNT_BYTES_MAX])
{
    char digits[CLI_COUNT_BYTES_MAX];
    int size = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)count);
    size_t end = 0;
    ASSERT(size > 0 && size <= 20);
    for (int at = 0; at < size; at++) {
        if (at > 0 && (size - at) % 3 == 0) {
            out[end++] = ',';
        }
        out[end++] = digits[at];
    }
    ASSERT(end < CLI_COUNT_BYTES_MAX);
    out[end] = '\0';
    return out;
}

int cli_finish(const struct cli *cli, int code)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return cli_fail_text(cli, "stdout", strerror(errno));
    }
    return code;
}
