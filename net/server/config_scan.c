#include "net/server/config_scan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "protocol/base/assert.h"

/* "{ enabled: " and " }" around a word. */
#define REWRITE_BYTES 16
#define REWRITES_MAX  (COLLECTION_COUNT_MAX + 1)

/* A mapping or a list that is being read. */
struct frame {
    bool is_mapping;
    bool key_next;    /* a mapping: the next scalar is a key */
    uint32_t index;   /* a list: of the next element */
    size_t path_size; /* of the frame's own path */
};

/* Where a word stands that becomes a mapping; in characters, as libyaml counts. */
struct rewrite {
    size_t begin;
    size_t end;
};

struct scanner {
    struct config_scan *scan;
    const char *name;
    struct settings_problem *problem;
    struct frame frames[CONFIG_DEPTH_MAX];
    size_t depth;
    size_t documents;
    char path[CONFIG_PATH_BYTES_MAX];
    size_t path_size;
    struct rewrite rewrites[REWRITES_MAX];
    size_t rewrite_count;
};

static enum status refuse(struct scanner *scanner, yaml_mark_t mark, const char *what)
{
    settings_problem_set(scanner->problem, "%s:%zu: %s", scanner->name, mark.line + 1, what);
    return STATUS_INVALID;
}

/* ---- nodes ---- */

static enum status node_add(struct scanner *scanner, yaml_mark_t mark, bool is_key)
{
    struct config_scan *scan = scanner->scan;
    if (scan->count == CONFIG_NODES_MAX) {
        return refuse(scanner, mark, "is too long a file");
    }
    if (scan->count == scan->capacity) {
        size_t capacity = scan->capacity == 0 ? 64 : 2 * scan->capacity;
        struct config_node *nodes = realloc(scan->nodes, capacity * sizeof(*nodes));
        if (nodes == NULL) {
            return STATUS_NO_MEMORY;
        }
        scan->nodes = nodes;
        scan->capacity = capacity;
    }
    char *path = strdup(scanner->path);
    if (path == NULL) {
        return STATUS_NO_MEMORY;
    }
    scan->nodes[scan->count++] =
        (struct config_node){.path = path, .line = (uint32_t)mark.line + 1, .is_key = is_key};
    return STATUS_OK;
}

/* The path becomes that of the current frame and what is appended. */
static enum status path_append(struct scanner *scanner, yaml_mark_t mark, const char *separator,
                               const char *name)
{
    size_t base = scanner->depth == 0 ? 0 : scanner->frames[scanner->depth - 1].path_size;
    int size = snprintf(scanner->path + base, sizeof(scanner->path) - base, "%s%s",
                        base == 0 ? "" : separator, name);
    ASSERT(size >= 0);
    if ((size_t)size >= sizeof(scanner->path) - base) {
        return refuse(scanner, mark, "has a key that is too long");
    }
    scanner->path_size = base + (size_t)size;
    return STATUS_OK;
}

/* A value begins: in a list it is an element, which gets its path here; in a mapping its key has
 * given it. */
static enum status value_begin(struct scanner *scanner, yaml_mark_t mark)
{
    if (scanner->depth == 0) {
        return STATUS_OK;
    }
    struct frame *frame = &scanner->frames[scanner->depth - 1];
    if (frame->is_mapping) {
        if (frame->key_next) {
            return refuse(scanner, mark, "a key is a list or a mapping; keys are words");
        }
        frame->key_next = true;
        return STATUS_OK;
    }
    char element[16];
    snprintf(element, sizeof(element), "[%u]", frame->index++);
    enum status status = path_append(scanner, mark, "", element);
    return status == STATUS_OK ? node_add(scanner, mark, false) : status;
}

static enum status frame_push(struct scanner *scanner, yaml_mark_t mark, bool is_mapping)
{
    enum status status = value_begin(scanner, mark);
    if (status != STATUS_OK) {
        return status;
    }
    if (scanner->depth == CONFIG_DEPTH_MAX) {
        return refuse(scanner, mark, "is nested too deep");
    }
    scanner->frames[scanner->depth++] = (struct frame){
        .is_mapping = is_mapping, .key_next = is_mapping, .path_size = scanner->path_size};
    return STATUS_OK;
}

/* ---- words for mappings ---- */

static bool is_switch(const yaml_event_t *event)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp((const char *)event->data.scalar.value, words[i]) == 0) {
            return event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        }
    }
    return false;
}

static enum status switch_note(struct scanner *scanner, const yaml_event_t *event)
{
    static const char suffix[] = ".cache";
    size_t size = sizeof(suffix) - 1;
    bool is_cache = strcmp(scanner->path, "cache") == 0 ||
                    (scanner->path_size > size &&
                     strcmp(scanner->path + scanner->path_size - size, suffix) == 0);
    if (!is_cache || !is_switch(event) || scanner->rewrite_count == REWRITES_MAX) {
        return STATUS_OK;
    }
    scanner->rewrites[scanner->rewrite_count++] =
        (struct rewrite){event->start_mark.index, event->end_mark.index};
    /* The key that the rewritten text has more. */
    return node_add(scanner, event->start_mark, true);
}

/* Copies text, with each noted word as a mapping. */
static enum status text_rewrite(struct scanner *scanner, struct bytes text)
{
    struct config_scan *scan = scanner->scan;
    scan->text = malloc(text.size + scanner->rewrite_count * REWRITE_BYTES + 1);
    if (scan->text == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer out = writer_of(scan->text, text.size + scanner->rewrite_count * REWRITE_BYTES);
    size_t character = 0;
    size_t next = 0;
    for (size_t i = 0; i <= text.size; i++) {
        /* Bytes that go on with a character of UTF-8 count for nothing. */
        bool begins = i == text.size || (text.data[i] & 0xc0) != 0x80;
        if (begins && next < scanner->rewrite_count) {
            if (character == scanner->rewrites[next].begin) {
                writer_text(&out, "{ enabled: ");
            } else if (character == scanner->rewrites[next].end) {
                writer_text(&out, " }");
                next++;
            }
        }
        if (i < text.size) {
            writer_u8(&out, text.data[i]);
        }
        character += begins;
    }
    ASSERT(!out.failed);
    scan->text_size = out.size;
    return STATUS_OK;
}

/* ---- events ---- */

static enum status scalar_read(struct scanner *scanner, const yaml_event_t *event)
{
    struct frame *frame = scanner->depth == 0 ? NULL : &scanner->frames[scanner->depth - 1];
    if (event->data.scalar.anchor != NULL) {
        return refuse(scanner, event->start_mark, "anchors (&name) are not known here");
    }
    if (frame != NULL && frame->is_mapping && frame->key_next) {
        const char *key = (const char *)event->data.scalar.value;
        if (strlen(key) != event->data.scalar.length) {
            return refuse(scanner, event->start_mark, "a key has a zero byte");
        }
        frame->key_next = false;
        enum status status = path_append(scanner, event->start_mark, ".", key);
        return status == STATUS_OK ? node_add(scanner, event->start_mark, true) : status;
    }
    enum status status = value_begin(scanner, event->start_mark);
    if (status == STATUS_OK && event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE &&
        scanner->scan->count > 0) {
        /* The mark is that of the '|', counted from 0; the block begins on the next line. */
        scanner->scan->nodes[scanner->scan->count - 1].block_line =
            (uint32_t)event->start_mark.line + 2;
    }
    return status == STATUS_OK ? switch_note(scanner, event) : status;
}

static enum status event_read(struct scanner *scanner, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return scalar_read(scanner, event);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return frame_push(scanner, event->start_mark, event->type == YAML_MAPPING_START_EVENT);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        ASSERT(scanner->depth > 0);
        scanner->depth--;
        return STATUS_OK;
    case YAML_ALIAS_EVENT:
        return refuse(scanner, event->start_mark, "aliases (*name) are not known here");
    case YAML_DOCUMENT_START_EVENT:
        return ++scanner->documents <= 1
                   ? STATUS_OK
                   : refuse(scanner, event->start_mark, "there is a second document (---)");
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return STATUS_OK;
    }
    UNREACHABLE();
}

static enum status events_read(struct scanner *scanner, yaml_parser_t *parser)
{
    enum status status = STATUS_OK;
    bool ended = false;
    while (status == STATUS_OK && !ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            yaml_mark_t mark = parser->problem_mark;
            settings_problem_set(scanner->problem, "%s:%zu: is not YAML: %s", scanner->name,
                                 mark.line + 1,
                                 parser->problem == NULL ? "no memory" : parser->problem);
            return STATUS_INVALID;
        }
        ended = event.type == YAML_STREAM_END_EVENT;
        status = event_read(scanner, &event);
        yaml_event_delete(&event);
    }
    return status;
}

enum status config_scan_init(struct bytes text, const char *name, struct config_scan *out,
                             struct settings_problem *problem_out)
{
    memset(out, 0, sizeof(*out));
    struct scanner *scanner = calloc(1, sizeof(*scanner));
    yaml_parser_t parser;
    if (scanner == NULL || !yaml_parser_initialize(&parser)) {
        free(scanner);
        return STATUS_NO_MEMORY;
    }
    scanner->scan = out;
    scanner->name = name;
    scanner->problem = problem_out;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.data, text.size);
    enum status status = events_read(scanner, &parser);
    if (status == STATUS_OK) {
        status = text_rewrite(scanner, text);
    }
    yaml_parser_delete(&parser);
    free(scanner);
    if (status != STATUS_OK) {
        config_scan_deinit(out);
    }
    return status;
}

void config_scan_deinit(struct config_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++) {
        free(scan->nodes[i].path);
    }
    free(scan->nodes);
    free(scan->text);
    memset(scan, 0, sizeof(*scan));
}

/* ---- asking ---- */

bool config_scan_has(const struct config_scan *scan, const char *path)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->nodes[i].path, path) == 0) {
            return true;
        }
    }
    return false;
}

uint32_t config_scan_line(const struct config_scan *scan, const char *path)
{
    char part[CONFIG_PATH_BYTES_MAX];
    int size = snprintf(part, sizeof(part), "%s", path);
    ASSERT(size >= 0 && (size_t)size < sizeof(part));
    while (part[0] != '\0') {
        for (size_t i = 0; i < scan->count; i++) {
            if (strcmp(scan->nodes[i].path, part) == 0) {
                return scan->nodes[i].line;
            }
        }
        char *end = part + strlen(part) - 1;
        while (end > part && *end != '.' && *end != '[') {
            end--;
        }
        *end = '\0';
    }
    return 1;
}

uint32_t config_scan_block(const struct config_scan *scan, const char *path)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (strcmp(scan->nodes[i].path, path) == 0) {
            return scan->nodes[i].block_line;
        }
    }
    return 0;
}

const struct config_node *config_scan_key(const struct config_scan *scan, size_t count)
{
    for (size_t i = 0; i < scan->count; i++) {
        if (scan->nodes[i].is_key && --count == 0) {
            return &scan->nodes[i];
        }
    }
    return NULL;
}
