/*
 * bench_stream: from a write to the notice of it, on one clock, at a rate or as fast as it goes:
 * Freshet, and beside it what Redis and NATS have for this.
 */
#include <stdlib.h>

#include "bench/stream/run.h"

static void latency_print(const char *name, const struct histogram *histogram)
{
    static const struct {
        const char *name;
        uint32_t per_million;
    } percentiles[] = {
        {"p50", 500000}, {"p90", 900000}, {"p99", 990000}, {"p99.9", 999000}, {"p99.99", 999900}};
    double mean = histogram->count == 0 ? 0 : (double)histogram->sum / (double)histogram->count;
    printf("\"%s\":{\"count\":%llu,\"mean\":%.1f,", name, (unsigned long long)histogram->count,
           mean / 1e3);
    for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
        printf("\"%s\":%.1f,", percentiles[i].name,
               (double)histogram_percentile(histogram, percentiles[i].per_million) / 1e3);
    }
    printf("\"max\":%.1f},", (double)histogram->max / 1e3);
}

static double per(double value, double count)
{
    return count > 0 ? value / count : 0;
}

static void server_print(const struct stream_options *options, const struct run_report *report)
{
    double cpu_us = (double)(report->after.cpu_ns - report->before.cpu_ns) / 1e3;
    uint64_t operations = options->catch_up > 0 ? report->notices : report->writes;
    printf("\"server\":{\"cpu_us\":%.0f,\"cpu_us_per_op\":%.3f,\"cpu_us_per_notice\":%.3f,"
           "\"rss_at_start\":%llu,\"rss_before\":%llu,\"rss_after\":%llu}}\n",
           cpu_us, per(cpu_us, (double)operations), per(cpu_us, (double)report->notices_came),
           (unsigned long long)report->at_start.rss_bytes,
           (unsigned long long)report->before.rss_bytes,
           (unsigned long long)report->after.rss_bytes);
}

static void report_print(const struct stream_options *options, const struct run_report *report)
{
    printf("{\"kind\":\"%s\",\"writers\":%u,\"pipeline\":%u,\"subscribers\":%u,\"idle\":%u,"
           "\"stuck\":%u,\"value_bytes\":%u,\"rate\":%.0f,\"catch_up\":%llu,",
           server_kind_names[options->kind], options->writers, options->pipeline,
           options->subscribers, options->idle, options->stuck, options->value_bytes, options->rate,
           (unsigned long long)options->catch_up);
    printf("\"seconds\":%.3f,\"writes\":%llu,\"writes_per_s\":%.0f,", report->elapsed_s,
           (unsigned long long)report->writes, per((double)report->writes, report->elapsed_s));
    latency_print("write_us", &report->write_ns);
    printf("\"notices\":%llu,\"notices_expected\":%llu,\"notices_per_s\":%.0f,",
           (unsigned long long)report->notices, (unsigned long long)report->notices_expected,
           per((double)report->notices_came, report->elapsed_s));
    latency_print("notice_us", &report->notice_ns);
    printf("\"received_bytes\":%llu,\"client_cpu_share\":%.3f,",
           (unsigned long long)report->received_bytes,
           per((double)report->client_cpu_ns / 1e9, report->elapsed_s));
    server_print(options, report);
}

int main(int count, char **words)
{
    struct stream_options options;
    struct run_report *report = malloc(sizeof(*report));
    enum status status = stream_options_parse(count, words, &options);
    if (status != STATUS_OK || report == NULL) {
        free(report);
        return status == STATUS_NOT_FOUND ? 0 : 2;
    }
    bool good = run_measure(&options, report);
    if (good) {
        report_print(&options, report);
        /* Who catches up stops after so many, of which the last come together with some more. */
        good = options.catch_up > 0 ? report->notices >= report->notices_expected
                                    : report->notices == report->notices_expected;
        if (!good) {
            fprintf(stderr, "bench_stream: %llu of %llu notices came\n",
                    (unsigned long long)report->notices,
                    (unsigned long long)report->notices_expected);
        }
    }
    free(report);
    return good ? 0 : 1;
}
