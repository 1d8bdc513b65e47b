#include "bindings/cli/bench_figures.h"

#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define PARTS           (1u << BENCH_PART_BITS)
#define LINE_BYTES_MAX  256
#define TIME_TEXT_BYTES 32
#define LABEL           "freshet wire" /* as ./dev bench calls what was measured */
#define SHARE_HIGH      0.9

static const struct percentile {
    const char *name;
    double part;
} percentiles[] = {{"p50", 0.5},     {"p90", 0.9},       {"p99", 0.99},
                   {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}};
#define PERCENTILE_COUNT (sizeof(percentiles) / sizeof(percentiles[0]))

/* ---- times ---- */

static size_t bucket_of(uint64_t ns)
{
    if (ns < PARTS) {
        return ns;
    }
    unsigned power = 63u - (unsigned)__builtin_clzll(ns);
    return (size_t)(power - BENCH_PART_BITS + 1) * PARTS +
           (ns >> (power - BENCH_PART_BITS) & (PARTS - 1));
}

/* The greatest time of the bucket. */
static uint64_t bucket_last(size_t bucket)
{
    size_t next = bucket + 1;
    if (next < PARTS) {
        return bucket;
    }
    if (next == BENCH_BUCKETS) {
        return UINT64_MAX;
    }
    return ((uint64_t)(PARTS + next % PARTS) << (next / PARTS - 1)) - 1;
}

void bench_times_record(struct bench_times *times, uint64_t ns)
{
    size_t bucket = bucket_of(ns);
    ASSERT(bucket < BENCH_BUCKETS);
    ASSERT(ns <= bucket_last(bucket));
    times->min_ns = times->count == 0 || ns < times->min_ns ? ns : times->min_ns;
    times->max_ns = ns > times->max_ns ? ns : times->max_ns;
    times->sum_ns += ns;
    times->count++;
    times->buckets[bucket]++;
}

void bench_times_add(struct bench_times *times, const struct bench_times *more)
{
    if (more->count == 0) {
        return;
    }
    times->min_ns =
        times->count == 0 || more->min_ns < times->min_ns ? more->min_ns : times->min_ns;
    times->max_ns = more->max_ns > times->max_ns ? more->max_ns : times->max_ns;
    times->sum_ns += more->sum_ns;
    times->count += more->count;
    for (size_t i = 0; i < BENCH_BUCKETS; i++) {
        times->buckets[i] += more->buckets[i];
    }
}

double bench_times_us(const struct bench_times *times, double part)
{
    uint64_t seen = 0;
    for (size_t i = 0; i < BENCH_BUCKETS && times->count > 0; i++) {
        seen += times->buckets[i];
        if (seen > 0 && (double)seen >= part * (double)times->count) {
            uint64_t last_ns = bucket_last(i);
            return (double)(last_ns < times->max_ns ? last_ns : times->max_ns) / 1e3;
        }
    }
    return 0;
}

void bench_run_sum(struct bench_run *run)
{
    memset(&run->all, 0, sizeof(run->all));
    for (enum bench_kind kind = 0; kind < BENCH_KIND_TOTAL; kind++) {
        bench_times_add(&run->all, &run->times[kind]);
    }
}

double bench_run_rate(const struct bench_run *run)
{
    return run->elapsed_s > 0 ? (double)run->all.count / run->elapsed_s : 0;
}

/* ---- JSON ---- */

static void member_print(const char *before, const char *text)
{
    fputs(before, stdout);
    cli_string_print(stdout, text);
}

static void time_print(const char *before, time_t at)
{
    char text[TIME_TEXT_BYTES];
    struct tm parts;
    gmtime_r(&at, &parts);
    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S+00:00", &parts);
    member_print(before, text);
}

/* The words of this program's command line, as an array. */
static void command_print(void)
{
    char word[LINE_BYTES_MAX];
    size_t size = 0;
    bool first = true;
    FILE *file = fopen("/proc/self/cmdline", "re");
    fputs(",\"command\":[", stdout);
    for (int byte = 0; file != NULL && (byte = fgetc(file)) != EOF;) {
        word[size] = (char)byte;
        size += byte != '\0' && size < sizeof(word) - 1;
        if (byte == '\0') {
            word[size] = '\0';
            member_print(first ? "" : ",", word);
            first = false;
            size = 0;
        }
    }
    fputs("]", stdout);
    if (file != NULL) {
        fclose(file);
    }
}

static void machine_print(void)
{
    char line[LINE_BYTES_MAX];
    struct utsname system;
    long pages = sysconf(_SC_PHYS_PAGES);
    printf(",\"machine\":{\"cpus\":%ld,\"memory_bytes\":%lld", sysconf(_SC_NPROCESSORS_ONLN),
           (long long)pages * sysconf(_SC_PAGESIZE));
    if (uname(&system) == 0) {
        member_print(",\"kernel\":", system.release);
    }
    FILE *file = fopen("/proc/cpuinfo", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        const char *value = strstr(line, ": ");
        if (strncmp(line, "model name", strlen("model name")) == 0 && value != NULL) {
            line[strcspn(line, "\n")] = '\0';
            member_print(",\"cpu\":", value + 2);
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    fputs("}", stdout);
}

static void latency_print(const struct bench_times *times)
{
    printf("{\"count\":%" PRIu64 ",\"min\":%.3f,\"mean\":%.3f", times->count,
           (double)times->min_ns / 1e3,
           times->count == 0 ? 0 : (double)times->sum_ns / (double)times->count / 1e3);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        printf(",\"%s\":%.3f", percentiles[i].name, bench_times_us(times, percentiles[i].part));
    }
    fputs("}", stdout);
}

static void config_print(const struct bench_output *output, const struct bench_run *run)
{
    const struct bench_plan *plan = output->plan;
    member_print(",\"config\":{\"target\":", output->url);
    printf(",\"connections\":%" PRIu64 ",\"pipeline\":%" PRIu64
           ",\"threads\":1,\"seconds\":%" PRIu64 ",\"warmup\":0,\"rate\":%" PRIu64 ",\"mix\":{",
           plan->connections, plan->pipeline, plan->seconds, run->rate);
    const char *comma = "";
    for (enum bench_kind kind = 0; kind < BENCH_KIND_TOTAL; kind++) {
        if (plan->weights[kind] > 0) {
            printf("%s\"%s\":%" PRIu64, comma, bench_kind_name(kind), plan->weights[kind]);
            comma = ",";
        }
    }
    member_print("},\"collection\":", plan->collection);
    printf(",\"keys\":%" PRIu64 ",\"distribution\":\"%s\",\"theta\":%g,\"value_bytes\":%" PRIu64
           ",\"mode\":\"%s\"}",
           plan->records, distribution_names[plan->distribution], plan->theta, plan->value_bytes,
           run->rate > 0 ? "open" : "closed");
}

static void run_print_json(const struct bench_output *output, const struct bench_run *run)
{
    member_print("\"scenario\":", output->plan->name);
    printf(",\"label\":\"" LABEL "\",\"point\":{");
    if (run->rate > 0) {
        printf("\"rate\":%" PRIu64, run->rate);
    }
    fputs("}", stdout);
    config_print(output, run);
    /* A run in which something went wrong is not printed. */
    printf(",\"operations\":%" PRIu64 ",\"elapsed_s\":%.6f,\"rate_per_s\":%.1f,"
           "\"client_cpu_share\":%.4f,\"errors\":0,\"timeouts\":0,\"unexpected\":0,"
           "\"behind_max\":%" PRIu64 ",\"statuses\":{",
           run->all.count, run->elapsed_s, bench_run_rate(run), run->client_cpu_share,
           run->behind_max);
    const char *comma = "";
    for (size_t code = 0; code < BENCH_CODE_END; code++) {
        if (run->codes[code] > 0) {
            printf("%s\"%zu\":%" PRIu64, comma, code, run->codes[code]);
            comma = ",";
        }
    }
    fputs("},\"latency_us\":", stdout);
    latency_print(&run->all);
    fputs(",\"latency_us_by_kind\":{", stdout);
    comma = "";
    for (enum bench_kind kind = 0; kind < BENCH_KIND_TOTAL; kind++) {
        if (run->times[kind].count > 0) {
            printf("%s\"%s\":", comma, bench_kind_name(kind));
            latency_print(&run->times[kind]);
            comma = ",";
        }
    }
    fputs("}}", stdout);
}

/* What comes before the runs. */
static void begin_json(const struct bench_output *output)
{
    member_print("{\"schema\":1,\"bench\":", output->plan->name);
    time_print(",\"started_at\":", output->started_at);
    command_print();
    fputs(",\"commit\":\"" FRESHET_VERSION "\"", stdout);
    machine_print();
    fputs(",\"servers\":{},\"checks\":[],\"runs\":[", stdout);
}

/* ---- for people ---- */

static void line_print(const char *name, double value, const char *unit)
{
    char text[CLI_COUNT_BYTES_MAX];
    printf("  %-7s %12s %s\n", name, cli_count_text((uint64_t)(value + 0.5), text), unit);
}

static void head_print(const struct bench_output *output)
{
    const struct bench_plan *plan = output->plan;
    char text[CLI_COUNT_BYTES_MAX];
    printf("%s  %" PRIu64 " connection%s, %" PRIu64 " in flight each; ", plan->name,
           plan->connections, plan->connections == 1 ? "" : "s", plan->pipeline);
    printf("%s records ", cli_count_text(plan->records, text));
    printf("of %s bytes, %s;", cli_count_text(plan->value_bytes, text),
           distribution_names[plan->distribution]);
    for (enum bench_kind kind = 0; kind < BENCH_KIND_TOTAL; kind++) {
        if (plan->weights[kind] > 0) {
            printf(" %.3g %% %s", 100 * (double)plan->weights[kind] / (double)plan->weight_sum,
                   bench_kind_name(kind));
        }
    }
    fputc('\n', stdout);
}

static void run_print_text(const struct bench_output *output, const struct bench_run *run)
{
    char text[CLI_COUNT_BYTES_MAX];
    if (output->count == 0) {
        head_print(output);
    }
    if (run->rate > 0) {
        printf("\nopen loop at %s/s, %.1f s\n", cli_count_text(run->rate, text), run->elapsed_s);
    } else {
        printf("\nclosed loop, %.1f s\n", run->elapsed_s);
    }
    line_print("rate", bench_run_rate(run), "/s");
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        line_print(percentiles[i].name, bench_times_us(&run->all, percentiles[i].part), "us");
    }
}

/* ---- the whole ---- */

void bench_run_print(struct bench_output *output, const struct bench_run *run)
{
    if (!output->cli->json) {
        run_print_text(output, run);
    } else {
        if (output->count == 0) {
            begin_json(output);
        }
        fputs(output->count == 0 ? "{" : ",{", stdout);
        run_print_json(output, run);
    }
    output->count++;
    fflush(stdout);
    if (run->client_cpu_share > SHARE_HIGH) {
        cli_notice(output->cli,
                   "this program used %.0f %% of a core: it may be the limit, not the server",
                   100 * run->client_cpu_share);
    }
}

void bench_output_end(struct bench_output *output, const char *failure)
{
    if (!output->cli->json || output->count == 0) {
        return;
    }
    time_print("],\"ended_at\":", time(NULL));
    if (failure == NULL) {
        fputs(",\"failure\":null}\n", stdout);
    } else {
        member_print(",\"failure\":", failure);
        fputs("}\n", stdout);
    }
}
