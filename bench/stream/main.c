/*
 * bench_stream: from a write to the notice of it, on one clock: Freshet's server-sent events, Redis
 * Pub/Sub, Redis client tracking.
 */
#include <stdlib.h>

#include "bench/stream/run.h"

static void latency_print(const char *name, const struct histogram *histogram)
{
    printf("\"%s\":{\"p50\":%.1f,\"p99\":%.1f,\"p99.9\":%.1f,\"max\":%.1f}", name,
           (double)histogram_percentile(histogram, 500000) / 1e3,
           (double)histogram_percentile(histogram, 990000) / 1e3,
           (double)histogram_percentile(histogram, 999000) / 1e3, (double)histogram->max / 1e3);
}

static void report_print(const struct stream_options *options, const struct run_report *report)
{
    double cpu_us = (double)(report->after.cpu_ns - report->before.cpu_ns) / 1e3;
    uint64_t operations = options->catch_up > 0 ? report->notices : report->writes;
    printf("{\"writers\":%u,\"subscribers\":%u,\"stuck\":%u,\"rate\":%.0f,\"seconds\":%.3f,"
           "\"writes\":%llu,\"writes_per_s\":%.0f,",
           options->writers, options->subscribers, options->stuck, options->rate, report->elapsed_s,
           (unsigned long long)report->writes, (double)report->writes / report->elapsed_s);
    latency_print("write_us", &report->write_ns);
    printf(",\"notices\":%llu,\"notices_expected\":%llu,\"notices_per_s\":%.0f,",
           (unsigned long long)report->notices, (unsigned long long)report->notices_expected,
           (double)report->notices / report->elapsed_s);
    latency_print("notice_us", &report->notice_ns);
    printf(",\"received_bytes\":%llu,\"server\":{\"cpu_us\":%.0f,\"cpu_us_per_op\":%.3f,"
           "\"rss_at_start\":%llu,\"rss_before\":%llu,\"rss_after\":%llu}}\n",
           (unsigned long long)report->received_bytes, cpu_us,
           operations == 0 ? 0 : cpu_us / (double)operations,
           (unsigned long long)report->at_start.rss_bytes,
           (unsigned long long)report->before.rss_bytes,
           (unsigned long long)report->after.rss_bytes);
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
        good = report->notices == report->notices_expected;
        if (!good) {
            fprintf(stderr, "bench_stream: %llu of %llu notices came\n",
                    (unsigned long long)report->notices,
                    (unsigned long long)report->notices_expected);
        }
    }
    free(report);
    return good ? 0 : 1;
}
