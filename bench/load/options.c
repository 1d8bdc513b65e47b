#include "bench/load/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "protocol/base/assert.h"

const char *const kind_names[KIND_COUNT] = {"get",  "put",  "post",   "delete",
                                            "head", "list", "insert", "rmw"};
const char *const protocol_names[PROTOCOL_COUNT] = {"http", "wire", "redis", "memcached"};
const char *const check_names[CHECK_CONTENT + 1] = {"off", "length", "content"};

/* Long options have no letters; the first values are beyond any character. */
enum choice {
    CHOICE_TARGET = 256,
    CHOICE_PROTOCOL,
    CHOICE_PID,
    CHOICE_CONNECTIONS,
    CHOICE_PIPELINE,
    CHOICE_THREADS,
    CHOICE_SECONDS,
    CHOICE_WARMUP,
    CHOICE_RATE,
    CHOICE_ARRIVALS,
    CHOICE_PLAN,
    CHOICE_CHECK,
    CHOICE_LIST_LIMIT,
    CHOICE_METHOD,
    CHOICE_MIX,
    CHOICE_PATH,
    CHOICE_KEYS,
    CHOICE_KEY_FROM,
    CHOICE_KEY_DIGITS,
    CHOICE_DISTRIBUTION,
    CHOICE_VALUE_BYTES,
    CHOICE_SEED,
    CHOICE_HEADER,
    CHOICE_EXPECT,
    CHOICE_TIMEOUT,
    CHOICE_CAPTURE,
    CHOICE_CAPTURE_ROUNDS,
    CHOICE_LOAD,
    CHOICE_IDLE,
    CHOICE_IDLE_TOUCH,
    CHOICE_JSON,
    CHOICE_HELP,
};

static const struct option option_names[] = {
    {"target", required_argument, NULL, CHOICE_TARGET},
    {"protocol", required_argument, NULL, CHOICE_PROTOCOL},
    {"pid", required_argument, NULL, CHOICE_PID},
    {"connections", required_argument, NULL, CHOICE_CONNECTIONS},
    {"pipeline", required_argument, NULL, CHOICE_PIPELINE},
    {"threads", required_argument, NULL, CHOICE_THREADS},
    {"seconds", required_argument, NULL, CHOICE_SECONDS},
    {"warmup", required_argument, NULL, CHOICE_WARMUP},
    {"rate", required_argument, NULL, CHOICE_RATE},
    {"arrivals", required_argument, NULL, CHOICE_ARRIVALS},
    {"plan", required_argument, NULL, CHOICE_PLAN},
    {"check", optional_argument, NULL, CHOICE_CHECK},
    {"list-limit", required_argument, NULL, CHOICE_LIST_LIMIT},
    {"method", required_argument, NULL, CHOICE_METHOD},
    {"mix", required_argument, NULL, CHOICE_MIX},
    {"path", required_argument, NULL, CHOICE_PATH},
    {"keys", required_argument, NULL, CHOICE_KEYS},
    {"key-from", required_argument, NULL, CHOICE_KEY_FROM},
    {"key-digits", required_argument, NULL, CHOICE_KEY_DIGITS},
    {"distribution", required_argument, NULL, CHOICE_DISTRIBUTION},
    {"value-bytes", required_argument, NULL, CHOICE_VALUE_BYTES},
    {"seed", required_argument, NULL, CHOICE_SEED},
    {"header", required_argument, NULL, CHOICE_HEADER},
    {"expect-status", required_argument, NULL, CHOICE_EXPECT},
    {"timeout-ms", required_argument, NULL, CHOICE_TIMEOUT},
    {"capture", required_argument, NULL, CHOICE_CAPTURE},
    {"capture-rounds", required_argument, NULL, CHOICE_CAPTURE_ROUNDS},
    {"load", no_argument, NULL, CHOICE_LOAD},
    {"idle", required_argument, NULL, CHOICE_IDLE},
    {"idle-touch", no_argument, NULL, CHOICE_IDLE_TOUCH},
    {"json", no_argument, NULL, CHOICE_JSON},
    {"help", no_argument, NULL, CHOICE_HELP},
    {NULL, 0, NULL, 0},
};

static bool complain(const char *what, const char *text)
{
    fprintf(stderr, "bench_load: %s: '%s'\n", what, text);
    return false;
}

static bool parse_u64(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        return complain("not a number in range", text);
    }
    *out = value;
    return true;
}

static bool parse_u32(const char *text, uint32_t min, uint32_t max, uint32_t *out)
{
    uint64_t value = 0;
    if (!parse_u64(text, min, max, &value)) {
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_real(const char *text, double max, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0) || value > max) {
        return complain("not a number in range", text);
    }
    *out = value;
    return true;
}

static bool parse_target(const char *text, struct load_options *options)
{
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    uint32_t port = 0;
    if (size == 0 || size >= sizeof(options->host)) {
        return complain("a target is ADDRESS:PORT", text);
    }
    memcpy(options->host, text, size);
    options->host[size] = '\0';
    if (!parse_u32(colon + 1, 1, 65535, &port)) {
        return false;
    }
    options->port = (uint16_t)port;
    return true;
}

static bool parse_weight(struct load_options *options, const char *name, size_t size,
                         uint32_t weight)
{
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (strlen(kind_names[kind]) == size && strncasecmp(kind_names[kind], name, size) == 0) {
            options->mix[kind] = weight;
            options->mix_sum += weight;
            return true;
        }
    }
    return complain("no such method", name);
}

/* name=weight, ... */
static bool parse_mix(const char *text, struct load_options *options)
{
    memset(options->mix, 0, sizeof(options->mix));
    options->mix_sum = 0;
    while (*text != '\0') {
        size_t name_size = strcspn(text, "=");
        char *end = NULL;
        unsigned long weight = text[name_size] == '=' ? strtoul(text + name_size + 1, &end, 10) : 0;
        if (end == NULL || end == text + name_size + 1 || weight > 1000000 ||
            (*end != '\0' && *end != ',')) {
            return complain("a mix is name=weight,...", text);
        }
        if (!parse_weight(options, text, name_size, (uint32_t)weight)) {
            return false;
        }
        text = *end == ',' ? end + 1 : end;
    }
    return options->mix_sum > 0 || complain("a mix needs a weight above 0", text);
}

static bool parse_method(const char *text, struct load_options *options)
{
    memset(options->mix, 0, sizeof(options->mix));
    options->mix_sum = 0;
    return parse_weight(options, text, strlen(text), 1);
}

/* Which of the names text is, or count. */
static uint32_t find_name(const char *const *names, uint32_t count, const char *text, size_t size)
{
    uint32_t index = 0;
    while (index < count &&
           (strlen(names[index]) != size || strncmp(names[index], text, size) != 0)) {
        index++;
    }
    return index;
}

static bool parse_distribution(const char *text, struct keys_options *keys)
{
    size_t size = strcspn(text, ":");
    uint32_t index = find_name(distribution_names, DISTRIBUTION_COUNT, text, size);
    if (index == DISTRIBUTION_COUNT) {
        return complain("a distribution is uniform, zipfian, scrambled, sequential or latest",
                        text);
    }
    keys->distribution = (enum distribution)index;
    if (text[size] == '\0') {
        return true;
    }
    return parse_real(text + size + 1, 0.9999, &keys->theta) &&
           (keys->theta > 0 || complain("theta is above 0 and below 1", text));
}

static bool parse_protocol(const char *text, struct load_options *options)
{
    uint32_t index = find_name(protocol_names, PROTOCOL_COUNT, text, strlen(text));
    if (index == PROTOCOL_COUNT) {
        return complain("a protocol is http, wire, redis or memcached", text);
    }
    options->protocol = (enum protocol)index;
    return true;
}

static bool parse_arrivals(const char *text, struct load_options *options)
{
    uint32_t index = find_name(arrivals_names, ARRIVALS_COUNT, text, strlen(text));
    if (index == ARRIVALS_COUNT) {
        return complain("arrivals are even or poisson", text);
    }
    options->arrivals = (enum arrivals)index;
    return true;
}

static bool parse_plan(const char *text, struct load_options *options)
{
    uint32_t index = find_name(plan_names, PLAN_COUNT, text, strlen(text));
    if (index == PLAN_COUNT) {
        return complain("plans are shared or connection", text);
    }
    options->plan = (enum plan)index;
    return true;
}

/* Without a word: all of it. */
static bool parse_check(const char *text, struct load_options *options)
{
    uint32_t count = CHECK_CONTENT + 1;
    uint32_t index =
        text == NULL ? CHECK_CONTENT : find_name(check_names, count, text, strlen(text));
    if (index == count) {
        return complain("--check is --check=off, --check=length or --check=content", text);
    }
    options->check = (enum check_level)index;
    return true;
}

static bool parse_header(const char *text, struct load_options *options)
{
    size_t size = strlen(text);
    if (strchr(text, ':') == NULL || strpbrk(text, "\r\n") != NULL) {
        return complain("a header is 'Name: value'", text);
    }
    if (size + 3 > sizeof(options->headers) - options->headers_size) {
        return complain("the headers are too long", text);
    }
    int printed = snprintf(options->headers + options->headers_size,
                           sizeof(options->headers) - options->headers_size, "%s\r\n", text);
    ASSERT(printed == (int)size + 2);
    options->headers_size += (uint32_t)printed;
    return true;
}

static bool parse_expect(const char *text, struct load_options *options)
{
    options->expect_count = 0;
    while (*text != '\0') {
        char *end = NULL;
        unsigned long status = strtoul(text, &end, 10);
        if (status < 100 || status > 599 || (*end != '\0' && *end != ',') ||
            options->expect_count == LOAD_EXPECT_COUNT_MAX) {
            return complain("statuses are at most 8 numbers, as 200,404", text);
        }
        options->expect[options->expect_count++] = (uint16_t)status;
        text = *end == ',' ? end + 1 : end;
    }
    return true;
}

static bool parse_path(const char *text, struct load_options *options)
{
    if (text[0] != '/' || strlen(text) > LOAD_PATH_BYTES_MAX || strpbrk(text, " \r\n") != NULL) {
        return complain("a path begins with / and has no spaces", text);
    }
    options->path = text;
    return true;
}

/* What says how much and how long. */
static bool parse_shape(enum choice choice, const char *text, struct load_options *options)
{
    uint32_t number = 0;
    switch ((int)choice) {
    case CHOICE_PID:
        if (!parse_u32(text, 1, INT32_MAX, &number)) {
            return false;
        }
        options->pid = (pid_t)number;
        return true;
    case CHOICE_CONNECTIONS:
        return parse_u32(text, 1, LOAD_CONNECTIONS_MAX, &options->connection_count);
    case CHOICE_PIPELINE:
        return parse_u32(text, 1, LOAD_PIPELINE_MAX, &options->pipeline);
    case CHOICE_THREADS:
        return parse_u32(text, 1, LOAD_THREADS_MAX, &options->thread_count);
    case CHOICE_SECONDS:
        return parse_real(text, LOAD_SECONDS_MAX, &options->seconds);
    case CHOICE_WARMUP:
        return parse_real(text, LOAD_SECONDS_MAX, &options->warmup_seconds);
    case CHOICE_RATE:
        return parse_real(text, LOAD_RATE_MAX, &options->rate);
    case CHOICE_KEYS:
        return parse_u64(text, 1, 1ull << 40, &options->keys.count);
    case CHOICE_KEY_FROM:
        return parse_u64(text, 0, 1ull << 40, &options->keys.from);
    case CHOICE_KEY_DIGITS:
        return parse_u32(text, 1, LOAD_KEY_DIGITS_MAX, &options->key_digits);
    case CHOICE_VALUE_BYTES:
        return parse_u32(text, LOAD_VALUE_BYTES_MIN, LOAD_VALUE_BYTES_MAX, &options->value_bytes);
    case CHOICE_SEED:
        return parse_u64(text, 0, UINT64_MAX, &options->keys.seed);
    case CHOICE_TIMEOUT:
        return parse_u32(text, 1, 3600000, &options->timeout_ms);
    case CHOICE_CAPTURE_ROUNDS:
        return parse_u32(text, 1, LOAD_CAPTURE_ROUNDS_MAX, &options->capture_rounds);
    case CHOICE_LIST_LIMIT:
        return parse_u32(text, 1, LOAD_LIST_LIMIT_MAX, &options->list_limit);
    case CHOICE_IDLE:
        return parse_u32(text, 1, LOAD_IDLE_MAX, &options->idle_count);
    default:
        return false;
    }
}

static bool parse_one(int choice, const char *text, struct load_options *options)
{
    switch (choice) {
    case CHOICE_TARGET:
        return parse_target(text, options);
    case CHOICE_PROTOCOL:
        return parse_protocol(text, options);
    case CHOICE_ARRIVALS:
        return parse_arrivals(text, options);
    case CHOICE_PLAN:
        return parse_plan(text, options);
    case CHOICE_CHECK:
        return parse_check(text, options);
    case CHOICE_METHOD:
        return parse_method(text, options);
    case CHOICE_MIX:
        return parse_mix(text, options);
    case CHOICE_PATH:
        return parse_path(text, options);
    case CHOICE_DISTRIBUTION:
        return parse_distribution(text, &options->keys);
    case CHOICE_HEADER:
        return parse_header(text, options);
    case CHOICE_EXPECT:
        return parse_expect(text, options);
    case CHOICE_CAPTURE:
        options->capture_file = text;
        return true;
    case CHOICE_LOAD:
        options->fill = true;
        return true;
    case CHOICE_IDLE_TOUCH:
        options->idle_touch = true;
        return true;
    case CHOICE_JSON:
        options->json = true;
        return true;
    default:
        return parse_shape((enum choice)choice, text, options);
    }
}

/* How many keys --key-digits has numbers for; UINT64_MAX: more than are counted. */
static uint64_t keys_end(const struct load_options *options)
{
    uint64_t end = 1;
    for (uint32_t digit = 0; digit < options->key_digits; digit++) {
        if (__builtin_mul_overflow(end, (uint64_t)10, &end)) {
            return UINT64_MAX;
        }
    }
    return end;
}

static bool check_keys(const struct load_options *options)
{
    uint64_t end = options->keys.from + options->keys.count;
    if (end > keys_end(options)) {
        return complain("the last key has more digits than", "--key-digits");
    }
    if (options->mix[KIND_INSERT] > 0 && keys_end(options) - end < LOAD_INSERT_ROOM) {
        return complain("insert needs 5,000,000,000 keys behind the last of --keys; give more",
                        "--key-digits");
    }
    return true;
}

/* Where the key stands, right behind the collection. */
static bool path_is_plain(const struct load_options *options)
{
    struct bytes collection = options_collection(options);
    return strncmp(options->path + 1 + collection.size, "/{key}", sizeof("/{key}") - 1) == 0;
}

static bool check_kinds(const struct load_options *options)
{
    const uint32_t *mix = options->mix;
    bool plain_values =
        options->protocol == PROTOCOL_REDIS || options->protocol == PROTOCOL_MEMCACHED;
    if (mix[KIND_LIST] > 0 && plain_values) {
        return complain("list is of http and wire; keys have no order over",
                        protocol_names[options->protocol]);
    }
    if (mix[KIND_LIST] > 0 && !path_is_plain(options)) {
        return complain("list needs a path that begins with /COLLECTION/{key}", options->path);
    }
    if ((mix[KIND_INSERT] > 0 || mix[KIND_RMW] > 0) && strstr(options->path, "{key}") == NULL) {
        return complain("insert and rmw need a path with {key}", options->path);
    }
    if (options->check == CHECK_CONTENT && mix[KIND_LIST] > 0 && mix[KIND_POST] > 0) {
        return complain("the check of a list knows no records of", "post");
    }
    if (options->check == CHECK_CONTENT && !path_is_plain(options)) {
        return complain("--check needs a path that begins with /COLLECTION/{key}", options->path);
    }
    return true;
}

static bool check_modes(const struct load_options *options)
{
    bool other = options->capture_file != NULL || options->idle_count > 0;
    if (other && options->protocol != PROTOCOL_HTTP) {
        return complain("--capture and --idle are not for --protocol",
                        protocol_names[options->protocol]);
    }
    bool moving = options->mix[KIND_INSERT] + options->mix[KIND_RMW] > 0;
    if (other && moving) {
        return complain("--capture and --idle are not for", "insert and rmw");
    }
    return true;
}

static bool check(struct load_options *options)
{
    if (options->port == 0) {
        return complain("needed is", "--target ADDRESS:PORT");
    }
    if (options->thread_count > options->connection_count) {
        return complain("more threads than connections", "--threads");
    }
    if (options->fill) {
        bool posts = options->mix[KIND_POST] > 0;
        (void)parse_method(posts ? "post" : "put", options);
        options->keys.distribution = DISTRIBUTION_SEQUENTIAL;
        options->warmup_seconds = 0;
        options->rate = 0;
        if (options->keys.count < options->thread_count) {
            return complain("fewer keys than threads", "--keys");
        }
    }
    return check_keys(options) && check_kinds(options) && check_modes(options);
}

enum status options_parse(int argc, char **argv, struct load_options *options_out)
{
    *options_out = (struct load_options){
        .connection_count = 50,
        .pipeline = 1,
        .thread_count = 1,
        .seconds = 5,
        .warmup_seconds = 1,
        .path = "/products/{key}",
        .keys = {.theta = ZIPFIAN_THETA_DEFAULT, .count = 10000, .seed = 1},
        .key_digits = 10,
        .value_bytes = 300,
        .timeout_ms = 10000,
        .capture_rounds = 3,
        .check = CHECK_LENGTH,
        .list_limit = 100,
    };
    options_out->mix[KIND_GET] = 1;
    options_out->mix_sum = 1;
    int choice;
    while ((choice = getopt_long(argc, argv, "", option_names, NULL)) != -1) {
        if (choice == CHOICE_HELP) {
            options_usage(stdout);
            return STATUS_NOT_FOUND;
        }
        if (!parse_one(choice, optarg, options_out)) {
            return STATUS_INVALID;
        }
    }
    if (optind != argc) {
        (void)complain("not an option", argv[optind]);
        return STATUS_INVALID;
    }
    return check(options_out) ? STATUS_OK : STATUS_INVALID;
}

struct bytes options_collection(const struct load_options *options)
{
    const char *name = options->path + 1;
    return bytes_of(name, strcspn(name, "/?"));
}

bool options_expects(const struct load_options *options, uint16_t status)
{
    if (options->expect_count == 0) {
        return status >= 200 && status < 300;
    }
    for (uint32_t i = 0; i < options->expect_count; i++) {
        if (options->expect[i] == status) {
            return true;
        }
    }
    return false;
}
