#include "bench/load/report.h"

#include <inttypes.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "protocol/base/assert.h"

#define TEXT_BYTES_MAX 256

struct percentile {
    const char *name;
    uint32_t per_million;
};

static const struct percentile percentiles[] = {
    {"p50", 500000},   {"p90", 900000},    {"p99", 990000},
    {"p99.9", 999000}, {"p99.99", 999900}, {"max", 1000000},
};
#define PERCENTILE_COUNT (sizeof(percentiles) / sizeof(percentiles[0]))

void report_init(struct report *report, const struct load_options *options, int argc, char **argv)
{
    memset(report, 0, sizeof(*report));
    report->options = options;
    report->argc = argc;
    report->argv = argv;
    histogram_reset(&report->latency_ns);
    histogram_reset(&report->counters.late_ns);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        histogram_reset(&report->counters.latency_ns[kind]);
    }
}

void report_add(struct report *report, const struct counters *counters)
{
    struct counters *to = &report->counters;
    ASSERT(to != counters);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        to->done[kind] += counters->done[kind];
        if (counters->latency_ns[kind].count > 0) {
            histogram_add(&to->latency_ns[kind], &counters->latency_ns[kind]);
            histogram_add(&report->latency_ns, &counters->latency_ns[kind]);
        }
    }
    for (uint32_t status = 0; status < HTTP_STATUS_END; status++) {
        to->statuses[status] += counters->statuses[status];
    }
    histogram_add(&to->late_ns, &counters->late_ns);
    to->unexpected += counters->unexpected;
    to->wrong += counters->wrong;
    to->errors += counters->errors;
    to->timeouts += counters->timeouts;
    to->answered += counters->answered;
    to->reconnects += counters->reconnects;
    to->received_bytes += counters->received_bytes;
    to->sent_bytes += counters->sent_bytes;
    to->logical_bytes_written += counters->logical_bytes_written;
    to->behind_max += counters->behind_max;
    to->unsent += counters->unsent;
    to->poll_ns += counters->poll_ns;
}

double report_busy_share(const struct report *report)
{
    if (report->elapsed_s <= 0) {
        return 0;
    }
    double poll_share = (double)report->counters.poll_ns / 1e9 / report->elapsed_s;
    double share = (report->client_cpu_share - poll_share) / report->options->thread_count;
    return share > 0 ? share : 0;
}

/* The first line a command prints, without its end; empty where there is none. */
static void first_line_of(const char *command, char text[TEXT_BYTES_MAX])
{
    text[0] = '\0';
    FILE *pipe = popen(command, "r");
    if (pipe == NULL) {
        return;
    }
    if (fgets(text, TEXT_BYTES_MAX, pipe) == NULL) {
        text[0] = '\0';
    }
    pclose(pipe);
    text[strcspn(text, "\n")] = '\0';
}

static void cpu_model(char text[TEXT_BYTES_MAX])
{
    snprintf(text, TEXT_BYTES_MAX, "unknown");
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file == NULL) {
        return;
    }
    char line[TEXT_BYTES_MAX];
    while (fgets(line, sizeof(line), file) != NULL) {
        const char *value = strstr(line, ": ");
        if (strncmp(line, "model name", 10) == 0 && value != NULL) {
            snprintf(text, TEXT_BYTES_MAX, "%.*s", (int)strcspn(value + 2, "\n"), value + 2);
            break;
        }
    }
    fclose(file);
}

static void print_json_text(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            fprintf(to, "\\%c", c);
        } else if (c < 0x20) {
            fprintf(to, "\\u%04x", c);
        } else {
            fputc(c, to);
        }
    }
    fputc('"', to);
}

static double per_operation_us(const struct report *report, uint64_t ns)
{
    return report->operations == 0 ? 0 : (double)ns / 1000 / (double)report->operations;
}

static double rate_of(const struct report *report)
{
    return report->elapsed_s > 0 ? (double)report->operations / report->elapsed_s : 0;
}

static void print_json_latency(FILE *to, const struct histogram *histogram)
{
    double count = histogram->count == 0 ? 1 : (double)histogram->count;
    fprintf(to, "{\"count\":%" PRIu64 ",\"min\":%.3f,\"mean\":%.3f", histogram->count,
            histogram->count == 0 ? 0 : (double)histogram->min / 1000,
            (double)histogram->sum / count / 1000);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        fprintf(to, ",\"%s\":%.3f", percentiles[i].name,
                (double)histogram_percentile(histogram, percentiles[i].per_million) / 1000);
    }
    fputc('}', to);
}

static void print_json_machine(const struct report *report, FILE *to)
{
    char text[TEXT_BYTES_MAX];
    struct utsname system;
    fprintf(to, "{\"command\":[");
    for (int i = 0; i < report->argc; i++) {
        fputs(i == 0 ? "" : ",", to);
        print_json_text(to, report->argv[i]);
    }
    fprintf(to, "],\"commit\":");
    first_line_of("git describe --always --dirty --tags 2>/dev/null", text);
    print_json_text(to, text);
    if (uname(&system) == 0) {
        fprintf(to, ",\"kernel\":");
        print_json_text(to, system.release);
    }
    cpu_model(text);
    fprintf(to, ",\"cpu\":");
    print_json_text(to, text);
    fprintf(to, ",\"cpus\":%ld", sysconf(_SC_NPROCESSORS_ONLN));
}

static void print_json_config(const struct report *report, FILE *to)
{
    const struct load_options *options = report->options;
    fprintf(to,
            ",\"config\":{\"target\":\"%s:%u\",\"protocol\":\"%s\",\"connections\":%u,\"pipeline\":"
            "%u,\"threads\":%u,"
            "\"seconds\":%g,\"warmup\":%g,\"rate\":%g,\"mix\":{",
            options->host, options->port, protocol_names[options->protocol],
            options->connection_count, options->pipeline, options->thread_count, options->seconds,
            options->warmup_seconds, options->rate);
    const char *comma = "";
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (options->mix[kind] > 0) {
            fprintf(to, "%s\"%s\":%u", comma, kind_names[kind], options->mix[kind]);
            comma = ",";
        }
    }
    fprintf(to, "},\"path\":");
    print_json_text(to, options->path);
    fprintf(to,
            ",\"keys\":%" PRIu64 ",\"key_from\":%" PRIu64 ",\"distribution\":\"%s\",\"theta\":%g,"
            "\"value_bytes\":%u,\"list_limit\":%u,\"seed\":%" PRIu64
            ",\"check\":\"%s\",\"arrivals\":\"%s\",\"plan\":\"%s\",\"mode\":\"%s\"}",
            options->keys.count, options->keys.from, distribution_names[options->keys.distribution],
            options->keys.theta, options->value_bytes, options->list_limit, options->keys.seed,
            check_names[options->check], arrivals_names[options->arrivals],
            plan_names[options->plan],
            options->idle_count > 0 ? "idle"
            : options->fill         ? "load"
            : options->rate > 0     ? "open"
                                    : "closed");
}

static void print_json_server(const struct report *report, FILE *to)
{
    const struct process_usage *before = &report->before;
    const struct process_usage *after = &report->after;
    if (report->options->pid == 0) {
        return;
    }
    fprintf(to,
            ",\"server\":{\"pid\":%d,\"threads\":%u,\"cpu_us_per_op\":%.4f,"
            "\"cpu_us_per_op_by_ticks\":%.4f,\"cpu_s\":%.6f,\"rss_before_bytes\":%" PRIu64
            ",\"rss_after_bytes\":%" PRIu64 ",\"read_bytes\":%" PRIu64 ",\"write_bytes\":%" PRIu64
            "}",
            (int)report->options->pid, after->thread_count,
            per_operation_us(report, after->cpu_ns - before->cpu_ns),
            per_operation_us(report, after->cpu_tick_ns - before->cpu_tick_ns),
            (double)(after->cpu_ns - before->cpu_ns) / 1e9, before->rss_bytes, after->rss_bytes,
            after->read_bytes - before->read_bytes, after->write_bytes - before->write_bytes);
}

static uint32_t kinds_in(const struct load_options *options)
{
    uint32_t count = 0;
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        count += options->mix[kind] > 0;
    }
    return count;
}

static void print_json_latency_by_kind(const struct report *report, FILE *to)
{
    fprintf(to, ",\"latency_us_by_kind\":{");
    const char *comma = "";
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (report->options->mix[kind] > 0) {
            fprintf(to, "%s\"%s\":", comma, kind_names[kind]);
            print_json_latency(to, &report->counters.latency_ns[kind]);
            comma = ",";
        }
    }
    fputc('}', to);
}

static void print_json(const struct report *report, FILE *to)
{
    const struct counters *counters = &report->counters;
    print_json_machine(report, to);
    print_json_config(report, to);
    fprintf(to,
            ",\"operations\":%" PRIu64 ",\"elapsed_s\":%.6f,\"rate_per_s\":%.1f,"
            "\"client_cpu_share\":%.4f,\"client_busy_share\":%.4f,\"errors\":%" PRIu64
            ",\"timeouts\":%" PRIu64 ",\"unexpected\":%" PRIu64 ",\"wrong\":%" PRIu64
            ",\"reconnects\":%" PRIu64 ",\"behind_max\":%" PRIu64 ",\"unsent\":%" PRIu64
            ",\"sent_bytes\":%" PRIu64 ",\"received_bytes\":%" PRIu64
            ",\"logical_bytes_written\":%" PRIu64 ",\"keys_end\":%" PRIu64,
            report->operations, report->elapsed_s, rate_of(report), report->client_cpu_share,
            report_busy_share(report), counters->errors, counters->timeouts, counters->unexpected,
            counters->wrong, counters->reconnects, counters->behind_max, counters->unsent,
            counters->sent_bytes, counters->received_bytes, counters->logical_bytes_written,
            report->keys_end);
    if (report->options->idle_count == 0) {
        fprintf(to, ",\"answered\":%" PRIu64, counters->answered);
    } else {
        fprintf(to, ",\"idle_opened\":%" PRIu64 ",\"idle_alive\":%" PRIu64, report->idle_opened,
                report->idle_alive);
    }
    fprintf(to, ",\"statuses\":{");
    const char *comma = "";
    for (uint32_t status = 0; status < HTTP_STATUS_END; status++) {
        if (counters->statuses[status] > 0) {
            fprintf(to, "%s\"%u\":%" PRIu64, comma, status, counters->statuses[status]);
            comma = ",";
        }
    }
    if (report->options->rate > 0) {
        fprintf(to, "},\"send_late_us\":");
        print_json_latency(to, &counters->late_ns);
        fprintf(to, ",\"latency_us\":");
    } else {
        fprintf(to, "},\"latency_us\":");
    }
    print_json_latency(to, &report->latency_ns);
    if (kinds_in(report->options) > 1) {
        print_json_latency_by_kind(report, to);
    }
    print_json_server(report, to);
    fprintf(to, "}\n");
}

static void print_table_latency(FILE *to, const char *name, const struct histogram *histogram)
{
    fprintf(to, "  %-8s %12" PRIu64, name, histogram->count);
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        fprintf(to, " %10.1f",
                (double)histogram_percentile(histogram, percentiles[i].per_million) / 1000);
    }
    fputc('\n', to);
}

static void print_table_server(const struct report *report, FILE *to)
{
    const struct process_usage *before = &report->before;
    const struct process_usage *after = &report->after;
    if (report->options->pid == 0) {
        return;
    }
    fprintf(to, "server     %.3f us CPU each (%.0f %% of a core, %u threads)\n",
            per_operation_us(report, after->cpu_ns - before->cpu_ns),
            report->elapsed_s > 0
                ? (double)(after->cpu_ns - before->cpu_ns) / report->elapsed_s / 1e7
                : 0,
            after->thread_count);
    fprintf(
        to,
        "           RSS %.1f MiB before, %.1f MiB after; disk %.1f MiB read, %.1f MiB written\n",
        (double)before->rss_bytes / 0x1p20, (double)after->rss_bytes / 0x1p20,
        (double)(after->read_bytes - before->read_bytes) / 0x1p20,
        (double)(after->write_bytes - before->write_bytes) / 0x1p20);
    uint64_t logical = report->counters.logical_bytes_written;
    if (logical > 0) {
        fprintf(to, "           %.2f bytes written to disk for one of a key or a value\n",
                (double)(after->write_bytes - before->write_bytes) / (double)logical);
    }
}

static void print_table(const struct report *report, FILE *to)
{
    const struct load_options *options = report->options;
    const struct counters *counters = &report->counters;
    if (options->idle_count > 0) {
        fprintf(to,
                "idle       %" PRIu64 " connections opened, %" PRIu64 " still open after %.1f s\n",
                report->idle_opened, report->idle_alive, report->elapsed_s);
        print_table_server(report, to);
        return;
    }
    fprintf(to, "load       %u connections, %u in flight each, %u threads, seed %" PRIu64 "\n",
            options->connection_count, options->pipeline, options->thread_count,
            options->keys.seed);
    fprintf(to, "done       %" PRIu64 " in %.2f s: %.0f a second (%.0f %% of the client's core)\n",
            report->operations, report->elapsed_s, rate_of(report), report->client_cpu_share * 100);
    fprintf(to, "statuses  ");
    for (uint32_t status = 0; status < HTTP_STATUS_END; status++) {
        if (counters->statuses[status] > 0) {
            fprintf(to, " %u: %" PRIu64, status, counters->statuses[status]);
        }
    }
    fprintf(to,
            "\nwrong      %" PRIu64 " errors, %" PRIu64 " timeouts, %" PRIu64
            " unexpected statuses, %" PRIu64 " wrong answers, %" PRIu64 " reconnects\n",
            counters->errors, counters->timeouts, counters->unexpected, counters->wrong,
            counters->reconnects);
    print_table_server(report, to);
    fprintf(to, "latency us        count");
    for (size_t i = 0; i < PERCENTILE_COUNT; i++) {
        fprintf(to, " %10s", percentiles[i].name);
    }
    fputc('\n', to);
    for (uint32_t kind = 0; kind < KIND_COUNT; kind++) {
        if (counters->done[kind] > 0) {
            print_table_latency(to, kind_names[kind], &counters->latency_ns[kind]);
        }
    }
    if (options->rate > 0) {
        fprintf(to,
                "open loop  %.0f a second wanted; at most %" PRIu64 " due and not sent, %" PRIu64
                " in the end; the client busy for %.0f %%, late by %.1f us (p99)\n",
                options->rate, counters->behind_max, counters->unsent,
                report_busy_share(report) * 100,
                (double)histogram_percentile(&counters->late_ns, 990000) / 1000);
    }
}

void report_print(const struct report *report, FILE *to)
{
    if (report->options->json) {
        print_json(report, to);
    } else {
        print_table(report, to);
    }
    fflush(to);
}
