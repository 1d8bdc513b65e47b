#include "tests/conformance/drivers/c/line.h"

#include <stdio.h>
#include <stdlib.h>

#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define READ_BYTES_MAX   (32u << 20)
#define ANSWER_BYTES_MAX (128u << 20)

static struct writer block(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL) {
        fputs("conformance_driver: no memory\n", stderr);
        exit(1);
    }
    return writer_of(memory, size);
}

void line_create(struct line *line)
{
    line->document = block(READ_BYTES_MAX);
    line->texts = block(READ_BYTES_MAX);
    line->answer = block(ANSWER_BYTES_MAX);
}

void line_destroy(struct line *line)
{
    free(line->document.data);
    free(line->texts.data);
    free(line->answer.data);
}

static void restart(struct writer *writer)
{
    *writer = writer_of(writer->data, writer->capacity);
}

void line_read(struct line *line, struct bytes json)
{
    restart(&line->document);
    restart(&line->texts);
    restart(&line->answer);
    struct json_error error;
    if (json_to_document(json, &line->document, &error) != STATUS_OK ||
        !document_is_object(line_object(line))) {
        fprintf(stderr, "conformance_driver: not a line of the contract: %.*s\n",
                (int)(json.size < 200 ? json.size : 200), (const char *)json.data);
        exit(1);
    }
}

struct bytes line_object(const struct line *line)
{
    return writer_bytes(&line->document);
}

/* ---- reading ---- */

const char *line_element_text(struct line *line, struct bytes element)
{
    struct bytes text;
    if (!document_string(element, &text)) {
        return NULL;
    }
    char *copy = (char *)writer_reserve(&line->texts, text.size + 1);
    if (copy == NULL) {
        fputs("conformance_driver: a line with too much text\n", stderr);
        exit(1);
    }
    if (text.size > 0) {
        memcpy(copy, text.data, text.size);
    }
    copy[text.size] = '\0';
    return copy;
}

const char *line_text(struct line *line, struct bytes object, const char *name)
{
    struct bytes value;
    if (!document_find(object, bytes_of_text(name), &value)) {
        return NULL;
    }
    return line_element_text(line, value);
}

bool line_flag(struct bytes object, const char *name)
{
    struct bytes value;
    bool flag = false;
    return document_find(object, bytes_of_text(name), &value) && document_bool(value, &flag) &&
           flag;
}

uint64_t line_number(struct bytes object, const char *name, uint64_t otherwise)
{
    struct bytes value;
    uint64_t number;
    if (document_find(object, bytes_of_text(name), &value) && document_u64(value, &number)) {
        return number;
    }
    return otherwise;
}

size_t line_list(struct bytes object, const char *name, struct bytes elements[LINE_LIST_MAX])
{
    struct bytes value;
    struct document_cursor cursor;
    size_t count = 0;
    if (!document_find(object, bytes_of_text(name), &value) ||
        !document_cursor_open(value, &cursor)) {
        return 0;
    }
    while (count < LINE_LIST_MAX && document_next_element(&cursor, &elements[count])) {
        count++;
    }
    return count;
}

/* ---- writing ---- */

static void put_comma(struct writer *out)
{
    char last = out->size == 0 ? '{' : (char)out->data[out->size - 1];
    if (last != '{' && last != '[' && last != ':') {
        writer_u8(out, ',');
    }
}

void put_begin(struct writer *out, char bracket)
{
    put_comma(out);
    writer_u8(out, (uint8_t)bracket);
}

void put_end(struct writer *out, char bracket)
{
    writer_u8(out, (uint8_t)bracket);
}

void put_name(struct writer *out, const char *name)
{
    put_comma(out);
    json_string_write(out, bytes_of_text(name));
    writer_u8(out, ':');
}

void put_element(struct writer *out, struct bytes text)
{
    put_comma(out);
    if (text.data == NULL) {
        writer_text(out, "null");
    } else {
        json_string_write(out, text);
    }
}

void put_bytes(struct writer *out, const char *name, struct bytes text)
{
    put_name(out, name);
    put_element(out, text);
}

void put_text(struct writer *out, const char *name, const char *text)
{
    put_bytes(out, name, text == NULL ? BYTES_EMPTY : bytes_of_text(text));
}

void put_number(struct writer *out, const char *name, uint64_t number)
{
    put_name(out, name);
    writer_decimal(out, number);
}

void put_flag(struct writer *out, const char *name, bool flag)
{
    put_name(out, name);
    writer_text(out, flag ? "true" : "false");
}
