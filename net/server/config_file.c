#include "net/server/config_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/server/config_scan.h"
#include "net/server/config_schema.h"
#include "net/webhook/rule.h"
#include "protocol/base/assert.h"
#include "protocol/document/document.h"
#include "protocol/document/json.h"

#define DEFAULT_VALUE_BYTES_MAX 4096
#define TTL_DEFAULT_NS          SETTING_H
#define TTL_NS_MAX              (366 * 24 * SETTING_H)
#define POPULAR_HITS_DEFAULT    100
#define POPULAR_HITS_MAX        1000000000u
#define SINGULAR_BYTES_MAX      COLLECTION_NAME_BYTES_MAX

/* What is served when the file names no collections. */
static const char default_text[] =
    "collections:\n"
    "  - { name: pets, cache: { ttl: 1h } }\n"
    "  - { name: products, images: true, indexes: [category],\n"
    "      cache: { ttl: 1h, popular_ttl: 1h, popular_hits: 100, list_ttl: 30m, index_ttl: 2h },\n"
    "      fields: [ { name: title, type: string, default: \"\" },\n"
    "                { name: description, type: string, default: \"\" },\n"
    "                { name: price, type: number, default: 0 },\n"
    "                { name: category, type: string, default: \"\" } ] }\n";

/* Bytes that collections point to besides the document's texts. */
struct block {
    struct block *next;
    size_t size;
    uint8_t bytes[];
};

/* Collections point into it. */
struct memory {
    struct config_document *document;
    struct config_document *builtin; /* where document names no collections */
    struct block *blocks;
};

struct config_reader {
    const char *name; /* of the file */
    struct config_scan scan;
    struct config *config;
    struct memory *memory;
    struct settings_problem *problem;
};

/* "freshet.yaml:3: collections[0].name: …" */
#define REFUSE(reader, path, format, ...)                                                          \
    (settings_problem_set((reader)->problem, "%s:%u: %s: " format, (reader)->name,                 \
                          config_scan_line(&(reader)->scan, path), path, __VA_ARGS__),             \
     STATUS_INVALID)

static void path_set(char path[CONFIG_PATH_BYTES_MAX], const char *base, const char *name)
{
    int size =
        snprintf(path, CONFIG_PATH_BYTES_MAX, "%s%s%s", base, base[0] == '\0' ? "" : ".", name);
    ASSERT(size > 0 && size < CONFIG_PATH_BYTES_MAX);
}

static enum status block_keep(struct config_reader *reader, struct bytes bytes, struct bytes *out)
{
    struct block *block = malloc(sizeof(*block) + bytes.size + 1);
    if (block == NULL) {
        return STATUS_NO_MEMORY;
    }
    block->size = bytes.size;
    memcpy(block->bytes, bytes.data, bytes.size);
    block->next = reader->memory->blocks;
    reader->memory->blocks = block;
    *out = bytes_of(block->bytes, block->size);
    return STATUS_OK;
}

/* ---- values ---- */

static enum status switch_read(struct config_reader *reader, const char *base, const char *name,
                               const char *text, bool *out)
{
    if (text == NULL) {
        return STATUS_OK;
    }
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, name);
    if (!settings_boolean_read(text, out)) {
        return REFUSE(reader, path, "'%.200s' is not on or off", text);
    }
    return STATUS_OK;
}

static enum status ttl_read(struct config_reader *reader, const char *base, const char *name,
                            const char *text, uint64_t default_ns, _Atomic uint64_t *out)
{
    uint64_t value = default_ns;
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, name);
    if (text != NULL && !settings_duration_read(text, &value)) {
        return REFUSE(reader, path, "'%.200s' is not a time like 500ms, 10s, 30m or 1h", text);
    }
    if (text != NULL && (value < SETTING_MS || value > TTL_NS_MAX)) {
        return REFUSE(reader, path,
                      "'%.200s' is not between 1ms and 366d (to cache nothing: "
                      "cache: off)",
                      text);
    }
    atomic_init(out, value);
    return STATUS_OK;
}

static enum status hits_read(struct config_reader *reader, const char *base, const char *text,
                             _Atomic uint32_t *out)
{
    uint64_t value = POPULAR_HITS_DEFAULT;
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, "popular_hits");
    if (text != NULL &&
        (!settings_count_read(text, &value) || value < 1 || value > POPULAR_HITS_MAX)) {
        return REFUSE(reader, path, "'%.200s' is not a whole number between 1 and %u", text,
                      POPULAR_HITS_MAX);
    }
    atomic_init(out, (uint32_t)value);
    return STATUS_OK;
}

/* ---- a collection's cache ---- */

static enum status cache_read(struct config_reader *reader, const char *base,
                              const struct config_cache *given, struct collection *out)
{
    static const struct config_cache nothing = {.enabled = NULL};
    const struct config_cache *cache = given == NULL ? &nothing : given;
    struct collection_ttl *ttl = &out->ttl;
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, "cache");
    out->cached = true;
    enum status status = switch_read(reader, path, "enabled", cache->enabled, &out->cached);
    if (status == STATUS_OK) {
        status = ttl_read(reader, path, "ttl", cache->ttl, TTL_DEFAULT_NS, &ttl->record_ns);
    }
    if (status == STATUS_OK) {
        status = ttl_read(reader, path, "popular_ttl", cache->popular_ttl, 0, &ttl->popular_ns);
    }
    if (status == STATUS_OK) {
        status = hits_read(reader, path, cache->popular_hits, &ttl->popular_hits);
    }
    /* Lists and index pages live as long as records where nothing else is said. */
    uint64_t record_ns = status == STATUS_OK ? atomic_load(&ttl->record_ns) : 0;
    if (status == STATUS_OK) {
        status = ttl_read(reader, path, "list_ttl", cache->list_ttl, record_ns, &ttl->list_ns);
    }
    if (status == STATUS_OK) {
        status = ttl_read(reader, path, "index_ttl", cache->index_ttl, record_ns, &ttl->index_ns);
    }
    return status;
}

/* ---- fields and indexes ---- */

/* A member of a document that the server does not make itself. */
static enum status member_name_read(struct config_reader *reader, const char *path,
                                    const char *text, struct bytes *out)
{
    if (text == NULL || text[0] == '\0') {
        return REFUSE(reader, path, "%s", "needs a name");
    }
    *out = bytes_of_text(text);
    if (out->size > FIELD_NAME_BYTES_MAX) {
        return REFUSE(reader, path, "a name has at most %d bytes", FIELD_NAME_BYTES_MAX);
    }
    if (strcmp(text, "id") == 0) {
        return REFUSE(reader, path, "%s", "'id' is the server's");
    }
    for (size_t i = 0; i < out->size; i++) {
        if (out->data[i] < 0x20 || out->data[i] == 0x7f) {
            return REFUSE(reader, path, "%s", "a name has a control character");
        }
    }
    return STATUS_OK;
}

static enum status indexes_read(struct config_reader *reader, const char *base,
                                const struct config_collection *given, struct collection *out)
{
    for (uint32_t i = 0; i < given->indexes_count; i++) {
        char name[32];
        char path[CONFIG_PATH_BYTES_MAX];
        snprintf(name, sizeof(name), "indexes[%u]", i);
        path_set(path, base, name);
        enum status status = member_name_read(reader, path, given->indexes[i], &out->indexes[i]);
        if (status != STATUS_OK) {
            return status;
        }
        if (bytes_equal(out->indexes[i], BYTES_LITERAL("limit")) ||
            bytes_equal(out->indexes[i], BYTES_LITERAL("cursor"))) {
            return REFUSE(reader, path,
                          "'%s' is a parameter of every list, so it could not be asked for",
                          given->indexes[i]);
        }
        if (collection_index_find(out, out->indexes[i]) >= 0) {
            return REFUSE(reader, path, "'%s' is there twice", given->indexes[i]);
        }
        out->index_count = i + 1;
    }
    return STATUS_OK;
}

struct type_name {
    const char *name;
    enum field_type type;
    enum document_type document;
};

static const struct type_name type_names[] = {
    {"any", FIELD_ANY, DOCUMENT_NONE},         {"string", FIELD_STRING, DOCUMENT_STRING},
    {"number", FIELD_NUMBER, DOCUMENT_NUMBER}, {"boolean", FIELD_BOOLEAN, DOCUMENT_BOOL},
    {"object", FIELD_OBJECT, DOCUMENT_OBJECT}, {"array", FIELD_ARRAY, DOCUMENT_ARRAY},
};

static const struct type_name *type_find(const char *text)
{
    for (size_t i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++) {
        if (strcmp(text, type_names[i].name) == 0) {
            return &type_names[i];
        }
    }
    return NULL;
}

/* A string is what it says; anything else is JSON. Without a type: JSON where it is that, else a
 * string. */
static enum status default_read(struct config_reader *reader, const char *base, const char *text,
                                const struct type_name *type, struct bytes *out)
{
    uint8_t bytes[DEFAULT_VALUE_BYTES_MAX + 16];
    struct writer writer = writer_of(bytes, sizeof(bytes));
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, "default");
    enum status status = STATUS_INVALID;
    if (type->type != FIELD_STRING) {
        status = json_to_document(bytes_of_text(text), &writer, NULL);
    }
    if (type->type == FIELD_STRING || (type->type == FIELD_ANY && status != STATUS_OK)) {
        writer = writer_of(bytes, sizeof(bytes));
        document_write_string(&writer, bytes_of_text(text));
        status = writer.failed ? STATUS_INVALID : STATUS_OK;
    }
    if (status != STATUS_OK ||
        (type->type != FIELD_ANY && document_type_of(writer_bytes(&writer)) != type->document)) {
        return REFUSE(reader, path, "'%.200s' is not of type %s", text, type->name);
    }
    return block_keep(reader, writer_bytes(&writer), out);
}

static enum status field_read(struct config_reader *reader, const char *base,
                              const struct config_field *given, struct collection *out)
{
    struct collection_field *field = &out->fields[out->field_count];
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, "name");
    enum status status = member_name_read(reader, path, given->name, &field->name);
    if (status != STATUS_OK) {
        return status;
    }
    for (uint32_t i = 0; i < out->field_count; i++) {
        if (bytes_equal(out->fields[i].name, field->name)) {
            return REFUSE(reader, path, "'%s' is there twice", given->name);
        }
    }
    for (uint32_t i = 0; i < out->kept_count; i++) {
        if (bytes_equal(out->kept[i], field->name)) {
            return REFUSE(reader, path, "'%s' is kept by the server, because of `images: true`",
                          given->name);
        }
    }
    path_set(path, base, "type");
    const struct type_name *type = type_find(given->type == NULL ? "any" : given->type);
    if (type == NULL) {
        return REFUSE(reader, path, "'%.200s' is not any, string, number, boolean, object or array",
                      given->type);
    }
    field->type = type->type;
    field->default_value = BYTES_EMPTY;
    out->field_count++;
    return given->default_value == NULL
               ? STATUS_OK
               : default_read(reader, base, given->default_value, type, &field->default_value);
}

static enum status fields_read(struct config_reader *reader, const char *base,
                               const struct config_collection *given, struct collection *out)
{
    ASSERT(given->fields_count <= COLLECTION_FIELD_COUNT_MAX);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < given->fields_count && status == STATUS_OK; i++) {
        char name[32];
        char path[CONFIG_PATH_BYTES_MAX];
        snprintf(name, sizeof(name), "fields[%u]", i);
        path_set(path, base, name);
        status = field_read(reader, path, &given->fields[i], out);
    }
    return status;
}

/* ---- a collection ---- */

/* "products" -> "Product", "categories" -> "Category", "data" -> "Data". */
static enum status singular_read(struct config_reader *reader, const char *base,
                                 const struct config_collection *given, struct collection *out)
{
    if (given->singular != NULL) {
        char path[CONFIG_PATH_BYTES_MAX];
        path_set(path, base, "singular");
        out->singular = bytes_of_text(given->singular);
        if (out->singular.size < 1 || out->singular.size > SINGULAR_BYTES_MAX) {
            return REFUSE(reader, path, "has 1 to %d bytes", SINGULAR_BYTES_MAX);
        }
        return STATUS_OK;
    }
    char word[COLLECTION_NAME_BYTES_MAX + 1];
    size_t size = out->name.size;
    memcpy(word, out->name.data, size);
    if (size > 3 && memcmp(word + size - 3, "ies", 3) == 0) {
        size -= 2;
        word[size - 1] = 'y';
    } else if (size > 1 && word[size - 1] == 's') {
        size--;
    }
    word[0] = (char)toupper((unsigned char)word[0]);
    return block_keep(reader, bytes_of(word, size), &out->singular);
}

static enum status name_read(struct config_reader *reader, const char *base,
                             const struct config_collection *given, struct collection *out)
{
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, "name");
    if (given->name == NULL) {
        return REFUSE(reader, base, "%s", "needs a name");
    }
    out->name = bytes_of_text(given->name);
    if (!collection_name_valid(out->name)) {
        return REFUSE(reader, path,
                      "'%.200s' cannot be a collection's name: 1 to 64 of A-Z a-z 0-9 _ -, no word "
                      "of the API's own",
                      given->name);
    }
    for (uint32_t i = 0; i < out->number; i++) {
        if (bytes_equal(reader->config->collections[i].name, out->name)) {
            return REFUSE(reader, path, "'%s' is there twice", given->name);
        }
    }
    return STATUS_OK;
}

static enum status collection_read(struct config_reader *reader, uint32_t number,
                                   const struct config_collection *given)
{
    struct collection *out = &reader->config->collections[number];
    char base[CONFIG_PATH_BYTES_MAX];
    snprintf(base, sizeof(base), "collections[%u]", number);
    out->number = (uint16_t)number;
    out->old_images = true;
    bool images = false;
    enum status status = name_read(reader, base, given, out);
    if (status == STATUS_OK) {
        status = singular_read(reader, base, given, out);
    }
    if (status == STATUS_OK) {
        status = switch_read(reader, base, "old_images", given->old_images, &out->old_images);
    }
    if (status == STATUS_OK) {
        status = switch_read(reader, base, "images", given->images, &images);
    }
    if (images) {
        out->kept[out->kept_count++] = BYTES_LITERAL("images");
    }
    if (status == STATUS_OK) {
        status = cache_read(reader, base, given->cache, out);
    }
    if (status == STATUS_OK) {
        status = indexes_read(reader, base, given, out);
    }
    return status == STATUS_OK ? fields_read(reader, base, given, out) : status;
}

static enum status collections_read(struct config_reader *reader,
                                    const struct config_document *document)
{
    uint32_t count = document->collections_count;
    reader->config->collections =
        calloc(count + COLLECTION_INTERNAL_COUNT, sizeof(struct collection));
    if (reader->config->collections == NULL) {
        return STATUS_NO_MEMORY;
    }
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < count && status == STATUS_OK; i++) {
        status = collection_read(reader, i, &document->collections[i]);
    }
    reader->config->collection_count = count;
    collection_internal_fill(reader->config->collections + count, (uint16_t)count);
    return status;
}

static enum status builtin_read(struct config_reader *reader)
{
    struct config_refusal refusal;
    enum status status =
        config_schema_load(BYTES_LITERAL(default_text), &reader->memory->builtin, &refusal);
    ASSERT(status != STATUS_INVALID);
    return status == STATUS_OK ? collections_read(reader, reader->memory->builtin) : status;
}

/* ---- rules ---- */

static enum status rule_name_read(struct config_reader *reader, const char *base, const char *text,
                                  struct config_rule *out)
{
    char path[CONFIG_PATH_BYTES_MAX];
    path_set(path, base, "name");
    if (text == NULL) {
        return REFUSE(reader, base, "%s", "needs a name");
    }
    out->name = bytes_of_text(text);
    if (!rule_name_valid(out->name)) {
        return REFUSE(reader, path, "'%.200s' is not 1 to %d of A-Z a-z 0-9 . _ -", text,
                      RULE_NAME_BYTES_MAX);
    }
    for (uint32_t i = 0; i < reader->config->rule_count; i++) {
        if (bytes_equal(reader->config->rules[i].name, out->name)) {
            return REFUSE(reader, path, "'%s' is there twice", text);
        }
    }
    return STATUS_OK;
}

/* JSON to MessagePack. In a block the message names the line of the mistake itself. */
static enum status rule_document_read(struct config_reader *reader, const char *path,
                                      const char *text, struct bytes *out)
{
    size_t capacity = 3 * strlen(text) + 16;
    uint8_t *buffer = malloc(capacity);
    if (buffer == NULL) {
        return STATUS_NO_MEMORY;
    }
    struct writer writer = writer_of(buffer, capacity);
    struct json_error error;
    enum status status = json_to_document(bytes_of_text(text), &writer, &error);
    if (status == STATUS_OK) {
        status = block_keep(reader, writer_bytes(&writer), out);
    } else if (status != STATUS_NO_MEMORY) {
        uint32_t block = config_scan_block(&reader->scan, path);
        uint32_t line = block == 0 ? config_scan_line(&reader->scan, path) : block + error.line - 1;
        settings_problem_set(reader->problem, "%s:%u: %s: is not JSON: %s", reader->name, line,
                             path, error.text);
        status = STATUS_INVALID;
    }
    free(buffer);
    return status;
}

static enum status rule_check(struct config_reader *reader, const char *path,
                              const struct config_rule *given)
{
    struct rule *rule;
    struct rule_problem problem;
    enum status status = rule_parse(given->name, given->document, &rule, &problem);
    if (status == STATUS_NO_MEMORY) {
        return status;
    }
    if (status != STATUS_OK) {
        return REFUSE(reader, path, "%s", problem.text);
    }
    bool known = rule->collection.size == 0;
    for (uint32_t i = 0; i < reader->config->collection_count && !known; i++) {
        known = bytes_equal(reader->config->collections[i].name, rule->collection);
    }
    if (!known) {
        status = REFUSE(reader, path, "collection: there is no collection '%.*s'",
                        (int)rule->collection.size, (const char *)rule->collection.data);
    }
    rule_destroy(&rule);
    return status;
}

static enum status rule_entry_read(struct config_reader *reader, uint32_t number,
                                   const struct config_rule_entry *given)
{
    struct config_rule *out = &reader->config->rules[number];
    char base[CONFIG_PATH_BYTES_MAX];
    char path[CONFIG_PATH_BYTES_MAX];
    snprintf(base, sizeof(base), "rules[%u]", number);
    path_set(path, base, "rule");
    enum status status = rule_name_read(reader, base, given->name, out);
    if (status == STATUS_OK && given->rule == NULL) {
        return REFUSE(reader, base, "%s", "needs a rule (JSON)");
    }
    if (status == STATUS_OK) {
        status = rule_document_read(reader, path, given->rule, &out->document);
    }
    return status == STATUS_OK ? rule_check(reader, path, out) : status;
}

static enum status rules_read(struct config_reader *reader, const struct config_document *document)
{
    struct config *config = reader->config;
    enum status status = STATUS_OK;
    if (document->rules_count == 0) {
        return STATUS_OK;
    }
    config->rules = calloc(document->rules_count, sizeof(struct config_rule));
    if (config->rules == NULL) {
        return STATUS_NO_MEMORY;
    }
    for (uint32_t i = 0; i < document->rules_count && status == STATUS_OK; i++) {
        status = rule_entry_read(reader, i, &document->rules[i]);
        config->rule_count = i + 1;
    }
    return status;
}

/* ---- settings ---- */

static enum status setting_read(struct config_reader *reader, struct settings *settings,
                                size_t index, const char *text)
{
    const struct setting *setting = settings_at(index);
    if (text == NULL) {
        return STATUS_OK;
    }
    char where[1024];
    snprintf(where, sizeof(where), "%.900s:%u: %s", reader->name,
             config_scan_line(&reader->scan, setting->name), setting->name);
    return settings_set(settings, setting, text, where, reader->problem);
}

static enum status settings_read(struct config_reader *reader, struct settings *settings)
{
    const struct config_document *document = reader->memory->document;
    static const struct config_cache_settings nothing = {.enabled = NULL};
    const struct config_cache_settings *cache =
        document->cache == NULL ? &nothing : document->cache;
#define TEXT_TOP(member)                     document->member
#define TEXT_CACHE_cache                     cache->enabled
#define TEXT_CACHE_unauthorized_invalidation cache->unauthorized_invalidation
#define TEXT_CACHE(member)                   TEXT_CACHE_##member
#define TEXT_OF(place, member, ...)          TEXT_##place(member),
    const char *const texts[] = {SETTINGS_TABLE(TEXT_OF)};
#undef TEXT_OF
    static_assert(sizeof(texts) / sizeof(texts[0]) == SETTING_COUNT_ALL, "one text a setting");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < SETTING_COUNT_ALL && status == STATUS_OK; i++) {
        status = setting_read(reader, settings, i, texts[i]);
    }
    return status;
}

/* ---- the file ---- */

/* libcyaml's words in ours. */
static const char *shape_words(const char *text)
{
    static const char *const words[][2] = {
        {"Expecting MAPPING", "is not a mapping (key: value)"},
        {"Expecting SEQUENCE", "is not a list"},
        {"Expecting STRING", "is not a single value"},
        {"Mapping field already seen", "is there twice"},
        {"Excessive entries", "has too many elements"},
        {"String length too long", "is too long"},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strstr(text, words[i][0]) != NULL) {
            return words[i][1];
        }
    }
    return text;
}

static enum status schema_refuse(struct config_reader *reader, const struct config_refusal *refusal)
{
    const struct config_node *key = config_scan_key(&reader->scan, refusal->keys);
    if (key == NULL) {
        settings_problem_set(reader->problem, "%s:1: the file is not a mapping of settings",
                             reader->name);
        return STATUS_INVALID;
    }
    settings_problem_set(reader->problem, "%s:%u: %s: %s", reader->name, key->line, key->path,
                         refusal->unknown_key ? "there is no such key"
                                              : shape_words(refusal->text));
    return STATUS_INVALID;
}

static enum status document_read(struct config_reader *reader, struct bytes text,
                                 struct settings *settings)
{
    enum status status = config_scan_init(text, reader->name, &reader->scan, reader->problem);
    if (status != STATUS_OK) {
        return status;
    }
    struct config_refusal refusal;
    status = config_schema_load(bytes_of(reader->scan.text, reader->scan.text_size),
                                &reader->memory->document, &refusal);
    if (status == STATUS_INVALID) {
        return schema_refuse(reader, &refusal);
    }
    const struct config_document *document = reader->memory->document;
    if (status != STATUS_OK || document == NULL) {
        return status == STATUS_OK ? builtin_read(reader) : status;
    }
    status = settings_read(reader, settings);
    if (status != STATUS_OK) {
        return status;
    }
    if (document->collections_count > 0) {
        status = collections_read(reader, document);
    } else if (config_scan_has(&reader->scan, "collections")) {
        return REFUSE(reader, "collections", "%s", "names none");
    } else {
        status = builtin_read(reader);
    }
    return status == STATUS_OK ? rules_read(reader, document) : status;
}

enum status config_read(struct bytes text, const char *name, struct settings *settings,
                        struct config *out, struct settings_problem *problem_out)
{
    memset(out, 0, sizeof(*out));
    problem_out->text[0] = '\0';
    struct memory *memory = calloc(1, sizeof(*memory));
    if (memory == NULL) {
        return STATUS_NO_MEMORY;
    }
    out->memory = memory;
    struct config_reader reader = {
        .name = name, .config = out, .memory = memory, .problem = problem_out};
    enum status status = document_read(&reader, text, settings);
    config_scan_deinit(&reader.scan);
    if (status != STATUS_OK) {
        config_deinit(out);
        if (problem_out->text[0] == '\0') {
            settings_problem_set(problem_out, "%s: %s", name, status_text(status));
        }
    }
    return status;
}

enum status config_load(const char *path, struct settings *settings, struct config *out,
                        struct settings_problem *problem_out)
{
    memset(out, 0, sizeof(*out));
    if (path == NULL) {
        return config_read(BYTES_LITERAL(""), "built-in", settings, out, problem_out);
    }
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        settings_problem_set(problem_out, "%s: cannot be read: %s", path, strerror(errno));
        return STATUS_INVALID;
    }
    uint8_t *text = malloc(CONFIG_BYTES_MAX + 1);
    size_t size = text == NULL ? 0 : fread(text, 1, CONFIG_BYTES_MAX + 1, file);
    bool failed = text == NULL || ferror(file) != 0;
    (void)fclose(file);
    enum status status = STATUS_INVALID;
    if (failed || size > CONFIG_BYTES_MAX) {
        settings_problem_set(problem_out, "%s: %s", path,
                             failed ? "cannot be read" : "is over 1 MiB");
    } else {
        status = config_read(bytes_of(text, size), path, settings, out, problem_out);
    }
    free(text);
    return status;
}

void config_deinit(struct config *config)
{
    struct memory *memory = config->memory;
    if (memory != NULL) {
        config_schema_free(memory->document);
        config_schema_free(memory->builtin);
        while (memory->blocks != NULL) {
            struct block *block = memory->blocks;
            memory->blocks = block->next;
            free(block);
        }
        free(memory);
    }
    free(config->collections);
    free(config->rules);
    memset(config, 0, sizeof(*config));
}
