#include "net/server/settings.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/journal/disk.h"
#include "net/ring/listen.h"
#include "protocol/base/assert.h"
#include "protocol/base/bytes.h"

#define ENVIRONMENT_PREFIX "FRESHET_"

static const struct setting table[] = {
#define SETTING_ROW(place, member, name, kind, default_text, least, most, time, argument, help)    \
    {name,                                                                                         \
     SETTING_##kind,                                                                               \
     offsetof(struct settings, member),                                                            \
     default_text,                                                                                 \
     least,                                                                                        \
     most,                                                                                         \
     SETTING_AT_##time,                                                                            \
     argument,                                                                                     \
     help},
    SETTINGS_TABLE(SETTING_ROW)
#undef SETTING_ROW
};

static_assert(sizeof(table) / sizeof(table[0]) == SETTING_COUNT_ALL, "one row a setting");

const struct setting *settings_at(size_t index)
{
    ASSERT(index < SETTING_COUNT_ALL);
    return &table[index];
}

/* ---- numbers with units ---- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* Decimal digits, then the name of a unit up to the end of text. */
static bool quantity_read(const char *text, const struct unit *units, size_t unit_count,
                          uint64_t *value_out)
{
    uint64_t value;
    size_t digits = bytes_decimal(bytes_of_text(text), &value);
    if (digits == 0) {
        return false;
    }
    for (size_t i = 0; i < unit_count; i++) {
        if (strcasecmp(text + digits, units[i].name) == 0) {
            return !__builtin_mul_overflow(value, units[i].factor, value_out);
        }
    }
    return false;
}

bool settings_size_read(const char *text, uint64_t *bytes_out)
{
    static const struct unit units[] = {
        {"", 1},         {"B", 1},           {"KB", 1000},
        {"MB", 1000000}, {"GB", 1000000000}, {"TB", 1000000000000},
        {"KiB", KIB},    {"MiB", MIB},       {"GiB", GIB},
        {"TiB", TIB},
    };
    return quantity_read(text, units, sizeof(units) / sizeof(units[0]), bytes_out);
}

bool settings_duration_read(const char *text, uint64_t *ns_out)
{
    static const struct unit units[] = {
        {"us", SETTING_US},    {"ms", SETTING_MS}, {"s", SETTING_S},
        {"m", 60 * SETTING_S}, {"h", SETTING_H},   {"d", 24 * SETTING_H},
    };
    if (strcmp(text, "0") == 0) {
        *ns_out = 0;
        return true;
    }
    return quantity_read(text, units, sizeof(units) / sizeof(units[0]), ns_out);
}

bool settings_count_read(const char *text, uint64_t *value_out)
{
    static const struct unit none = {"", 1};
    return quantity_read(text, &none, 1, value_out);
}

bool settings_boolean_read(const char *text, bool *value_out)
{
    static const char *const words[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i]) == 0) {
            *value_out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

static bool number_of_boolean(const char *text, uint64_t *value_out)
{
    bool value;
    bool valid = settings_boolean_read(text, &value);
    *value_out = valid && value;
    return valid;
}

static bool choice_read(const char *text, const char *words, uint64_t *value_out)
{
    size_t size = strlen(text);
    uint64_t place = 0;
    for (const char *at = words; at != NULL; place++) {
        const char *end = strchr(at, '|');
        size_t word_size = end == NULL ? strlen(at) : (size_t)(end - at);
        if (word_size == size && memcmp(at, text, size) == 0) {
            *value_out = place;
            return true;
        }
        at = end == NULL ? NULL : end + 1;
    }
    return false;
}

/* ---- one value ---- */

void settings_problem_set(struct settings_problem *problem, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
}

#define INVALID(problem, ...) (settings_problem_set(problem, __VA_ARGS__), STATUS_INVALID)

static const char *kind_words(enum setting_kind kind)
{
    switch (kind) {
    case SETTING_TEXT:
        return "1 to 511 printable characters";
    case SETTING_ADDRESS:
        return "an address like 127.0.0.1:8080 or [::1]:8080";
    case SETTING_COUNT:
        return "a whole number";
    case SETTING_SIZE:
        return "a size like 256MiB, 64MB, or a number of bytes";
    case SETTING_DURATION:
        return "a time like 500ms, 10s, 30m or 1h";
    case SETTING_CHOICE:
        return "one of";
    case SETTING_BOOLEAN:
        return "on or off";
    }
    UNREACHABLE();
}

/* Texts become lines of HTTP heads, names of files and lines of the log. */
static bool text_read(const char *text, uint64_t most, struct setting_text *out)
{
    size_t size = strlen(text);
    if (size == 0 || size > most || size >= sizeof(out->text)) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    memcpy(out->text, text, size + 1);
    return true;
}

static bool address_read(const char *text, bool may_be_off, struct setting_text *out)
{
    struct listen_address address;
    struct ring_failure failure;
    bool off = may_be_off && strcmp(text, SETTING_OFF) == 0;
    return (off || listen_parse(text, &address, &failure) == STATUS_OK) &&
           text_read(text, sizeof(out->text) - 1, out);
}

static bool value_read(const struct setting *setting, const char *text, void *out)
{
    switch (setting->kind) {
    case SETTING_TEXT:
        return text_read(text, setting->most, out);
    case SETTING_ADDRESS:
        return address_read(text, setting->most == 1, out);
    case SETTING_COUNT:
        return settings_count_read(text, out);
    case SETTING_SIZE:
        return settings_size_read(text, out);
    case SETTING_DURATION:
        return settings_duration_read(text, out);
    case SETTING_CHOICE:
        return choice_read(text, setting->argument, out);
    case SETTING_BOOLEAN:
        return number_of_boolean(text, out);
    }
    UNREACHABLE();
}

/* A limit as people write it. */
static const char *limit_text(const struct setting *setting, uint64_t value, char out[32])
{
    static const struct unit sizes[] = {{"TiB", TIB}, {"GiB", GIB}, {"MiB", MIB}, {"KiB", KIB}};
    static const struct unit times[] = {{"h", SETTING_H}, {"s", SETTING_S}, {"ms", SETTING_MS}};
    const struct unit *units = setting->kind == SETTING_SIZE ? sizes : times;
    size_t count = setting->kind == SETTING_SIZE ? 4 : setting->kind == SETTING_DURATION ? 3 : 0;
    for (size_t i = 0; i < count; i++) {
        if (value >= units[i].factor && value % units[i].factor == 0) {
            snprintf(out, 32, "%llu%s", (unsigned long long)(value / units[i].factor),
                     units[i].name);
            return out;
        }
    }
    snprintf(out, 32, "%llu", (unsigned long long)value);
    return out;
}

static bool is_ranged(const struct setting *setting)
{
    return setting->kind == SETTING_COUNT || setting->kind == SETTING_SIZE ||
           setting->kind == SETTING_DURATION;
}

enum status settings_set(struct settings *settings, const struct setting *setting, const char *text,
                         const char *where, struct settings_problem *problem_out)
{
    void *at = (char *)settings + setting->offset;
    union {
        struct setting_text text;
        uint64_t number;
    } value;
    if (!value_read(setting, text, &value)) {
        bool choice = setting->kind == SETTING_CHOICE;
        return INVALID(problem_out, "%s: '%.200s' is not %s%s%s", where, text,
                       kind_words(setting->kind), choice ? " " : "",
                       choice ? setting->argument : "");
    }
    if (is_ranged(setting) && (value.number < setting->least || value.number > setting->most)) {
        char least[32];
        char most[32];
        return INVALID(problem_out, "%s: '%.200s' is not between %s and %s", where, text,
                       limit_text(setting, setting->least, least),
                       limit_text(setting, setting->most, most));
    }
    if (setting->kind == SETTING_TEXT || setting->kind == SETTING_ADDRESS) {
        memcpy(at, &value.text, sizeof(value.text));
    } else {
        memcpy(at, &value.number, sizeof(value.number));
    }
    settings->said[setting - table] = true;
    return STATUS_OK;
}

const struct setting *settings_of_offset(size_t offset)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        if (table[i].offset == offset) {
            return &table[i];
        }
    }
    UNREACHABLE();
}

bool setting_is_said(const struct settings *settings, const struct setting *setting)
{
    ASSERT(setting >= table && setting < table + SETTING_COUNT_ALL);
    return settings->said[setting - table];
}

void settings_defaults(struct settings *out)
{
    memset(out, 0, sizeof(*out));
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        struct settings_problem problem;
        enum status status =
            settings_set(out, &table[i], table[i].default_text, "default", &problem);
        ASSERT(status == STATUS_OK);
    }
    memset(out->said, 0, sizeof(out->said));
}

bool setting_equal(const struct setting *setting, const struct settings *a,
                   const struct settings *b)
{
    const char *at_a = (const char *)a + setting->offset;
    const char *at_b = (const char *)b + setting->offset;
    if (setting->kind == SETTING_TEXT || setting->kind == SETTING_ADDRESS) {
        return strcmp(at_a, at_b) == 0;
    }
    return memcmp(at_a, at_b, sizeof(uint64_t)) == 0;
}

void setting_copy(const struct setting *setting, struct settings *to, const struct settings *from)
{
    bool is_text = setting->kind == SETTING_TEXT || setting->kind == SETTING_ADDRESS;
    size_t size = is_text ? sizeof(struct setting_text) : sizeof(uint64_t);
    ASSERT(setting->offset + size <= sizeof(*to));
    memcpy((char *)to + setting->offset, (const char *)from + setting->offset, size);
}

/* ---- names ---- */

void setting_flag(const struct setting *setting, char out[SETTING_NAME_BYTES_MAX])
{
    int size = snprintf(out, SETTING_NAME_BYTES_MAX, "--%s", setting->name);
    ASSERT(size > 0 && size < SETTING_NAME_BYTES_MAX);
    for (char *at = out; *at != '\0'; at++) {
        *at = *at == '_' || *at == '.' ? '-' : *at;
    }
}

void setting_variable(const struct setting *setting, char out[SETTING_NAME_BYTES_MAX])
{
    int size = snprintf(out, SETTING_NAME_BYTES_MAX, ENVIRONMENT_PREFIX "%s", setting->name);
    ASSERT(size > 0 && size < SETTING_NAME_BYTES_MAX);
    for (char *at = out; *at != '\0'; at++) {
        *at = *at == '.' ? '_' : (char)toupper((unsigned char)*at);
    }
}

enum status settings_environment(struct settings *settings, char *const *environment,
                                 struct settings_problem *problem_out)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        char name[SETTING_NAME_BYTES_MAX];
        setting_variable(&table[i], name);
        size_t size = strlen(name);
        for (char *const *at = environment; at != NULL && *at != NULL; at++) {
            if (strncmp(*at, name, size) != 0 || (*at)[size] != '=') {
                continue;
            }
            enum status status =
                settings_set(settings, &table[i], *at + size + 1, name, problem_out);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

/* ---- the command line ---- */

/* The value of the flag at words[*at]; *at moves on when it is a word of its own. */
static const char *flag_value(int count, char *const *words, int *at, const char *inlined)
{
    if (inlined != NULL) {
        return inlined;
    }
    if (*at + 1 >= count) {
        return NULL;
    }
    (*at)++;
    return words[*at];
}

static const struct setting *setting_of_flag(const char *word, size_t size)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        char flag[SETTING_NAME_BYTES_MAX];
        setting_flag(&table[i], flag);
        if (strlen(flag) == size && memcmp(flag, word, size) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static bool is_boolean_word(int count, char *const *words, int at)
{
    bool value;
    return at < count && settings_boolean_read(words[at], &value);
}

static enum status flag_set(struct settings *settings, const struct setting *setting, int count,
                            char *const *words, int *at, struct settings_problem *problem_out)
{
    char flag[SETTING_NAME_BYTES_MAX];
    setting_flag(setting, flag);
    const char *inlined = words[*at][strlen(flag)] == '=' ? words[*at] + strlen(flag) + 1 : NULL;
    const char *value = "on";
    if (setting->kind != SETTING_BOOLEAN || inlined != NULL ||
        is_boolean_word(count, words, *at + 1)) {
        value = flag_value(count, words, at, inlined);
    }
    if (value == NULL) {
        return INVALID(problem_out, "%s: needs a value: %s", flag, setting->argument);
    }
    return settings == NULL ? STATUS_OK : settings_set(settings, setting, value, flag, problem_out);
}

enum status settings_flags(struct settings *settings, int count, char *const *words,
                           struct settings_arguments *arguments_out,
                           struct settings_problem *problem_out)
{
    *arguments_out = (struct settings_arguments){.config = NULL};
    for (int at = 0; at < count; at++) {
        const char *word = words[at];
        const char *equals = strchr(word, '=');
        size_t size = equals == NULL ? strlen(word) : (size_t)(equals - word);
        const struct setting *setting = setting_of_flag(word, size);
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            arguments_out->help = true;
        } else if (size == 8 && memcmp(word, "--config", 8) == 0) {
            arguments_out->config =
                flag_value(count, words, &at, equals == NULL ? NULL : equals + 1);
            if (arguments_out->config == NULL) {
                return INVALID(problem_out, "--config: needs a file");
            }
        } else if (setting == NULL) {
            return INVALID(problem_out, "%.200s: there is no such flag", word);
        } else {
            enum status status = flag_set(settings, setting, count, words, &at, problem_out);
            if (status != STATUS_OK) {
                return status;
            }
        }
    }
    return STATUS_OK;
}

enum status settings_check(const struct settings *settings, struct settings_problem *problem_out)
{
    if (settings->segment_bytes % 4096 != 0) {
        return INVALID(problem_out, "segment_bytes: is not a multiple of 4096 bytes");
    }
    /* Half of what the journal can have, because those that a store still needs stay as well, and
     * those of an earlier size. At the end of the table it would become read-only. */
    uint64_t segments = settings->retention_bytes / settings->segment_bytes +
                        settings->journal_tail_max / settings->segment_bytes;
    if (segments > DISK_FILES_MAX / 2) {
        return INVALID(problem_out,
                       "retention_bytes and journal_tail_max: are over %d segments of "
                       "segment_bytes; make the segments larger",
                       DISK_FILES_MAX / 2);
    }
    return STATUS_OK;
}
