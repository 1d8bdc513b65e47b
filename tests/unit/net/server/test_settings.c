/* settings.h: sizes, durations, names, and the edges of each setting's range. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "net/server/settings.h"

static const struct setting *named(const char *name)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        if (strcmp(settings_at(i)->name, name) == 0) {
            return settings_at(i);
        }
    }
    cr_assert_fail("%s", name);
    return NULL;
}

static bool takes(const char *name, const char *text)
{
    struct settings settings;
    struct settings_problem problem;
    settings_defaults(&settings);
    enum status status = settings_set(&settings, named(name), text, "here", &problem);
    cr_assert(status == STATUS_OK || strncmp(problem.text, "here: '", 7) == 0, "%s", problem.text);
    return status == STATUS_OK;
}

Test(settings, sizes_have_binary_and_decimal_units_and_none)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } good[] = {
        {"0", 0},
        {"1", 1},
        {"1B", 1},
        {"7KB", 7000},
        {"7KiB", 7168},
        {"64mb", 64000000},
        {"64MiB", 64 * MIB},
        {"2GiB", 2 * GIB},
        {"3GB", 3000000000},
        {"1TiB", TIB},
        {"18446744073709551615", UINT64_MAX},
    };
    uint64_t bytes;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        cr_assert(settings_size_read(good[i].text, &bytes), "%s", good[i].text);
        cr_assert_eq(bytes, good[i].bytes, "%s", good[i].text);
    }
    static const char *const bad[] = {"",
                                      "B",
                                      "-1",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.5",
                                      "1 MB",
                                      "1XB",
                                      "0x10",
                                      "18446744073709551616",
                                      "16777216TiB"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert(!settings_size_read(bad[i], &bytes), "%s", bad[i]);
    }
}

Test(settings, durations_need_a_unit_unless_they_are_zero)
{
    uint64_t ns;
    cr_assert(settings_duration_read("0", &ns));
    cr_assert_eq(ns, 0);
    cr_assert(settings_duration_read("500ms", &ns));
    cr_assert_eq(ns, 500 * SETTING_MS);
    cr_assert(settings_duration_read("30m", &ns));
    cr_assert_eq(ns, 1800 * SETTING_S);
    cr_assert(settings_duration_read("7d", &ns));
    cr_assert_eq(ns, 7 * 24 * SETTING_H);
    static const char *const bad[] = {"", "1", "s", "1h30m", "-1s", "1.5s", "99999999999d"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_assert(!settings_duration_read(bad[i], &ns), "%s", bad[i]);
    }
}

Test(settings, ranges_hold_at_their_edges)
{
    cr_assert(takes("threads", "0") && takes("threads", "64") && !takes("threads", "65"));
    cr_assert(takes("segment_bytes", "16MiB") && !takes("segment_bytes", "16777215"));
    cr_assert(takes("segment_bytes", "4GiB") && !takes("segment_bytes", "4294967297"));
    cr_assert(takes("idle_timeout", "1ms") && !takes("idle_timeout", "0"));
    cr_assert(takes("http", "[::1]:0") && !takes("http", "127.0.0.1:65536"));
    cr_assert(takes("durability", "none") && !takes("durability", "non") &&
              !takes("durability", ""));
    cr_assert(takes("access_log", "YES") && !takes("access_log", "2"));
    cr_assert(takes("cors_origin", "*") && !takes("cors_origin", "") &&
              !takes("cors_origin", "a\r\nb"));
    char text[SETTING_TEXT_BYTES_MAX + 1];
    memset(text, 'a', sizeof(text));
    text[SETTING_TEXT_BYTES_MAX] = '\0';
    cr_assert(!takes("data", text));
    text[SETTING_TEXT_BYTES_MAX - 1] = '\0';
    cr_assert(takes("data", text));
}

Test(settings, a_refused_value_leaves_what_was)
{
    struct settings settings;
    struct settings_problem problem;
    settings_defaults(&settings);
    const struct settings before = settings;
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        cr_assert_eq(settings_set(&settings, settings_at(i), "\x01", "here", &problem),
                     STATUS_INVALID);
        cr_assert(setting_equal(settings_at(i), &settings, &before));
    }
}

Test(settings, names_of_flags_and_variables_are_distinct)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        char flag[SETTING_NAME_BYTES_MAX];
        char variable[SETTING_NAME_BYTES_MAX];
        setting_flag(settings_at(i), flag);
        setting_variable(settings_at(i), variable);
        for (size_t j = 0; j < i; j++) {
            char other[SETTING_NAME_BYTES_MAX];
            setting_flag(settings_at(j), other);
            cr_assert_neq(strcmp(flag, other), 0);
            setting_variable(settings_at(j), other);
            cr_assert_neq(strcmp(variable, other), 0);
        }
    }
}

Test(settings, the_environment_sets_what_it_names_and_nothing_longer)
{
    struct settings settings;
    struct settings_problem problem;
    settings_defaults(&settings);
    char *const environment[] = {"FRESHET_THREADS=3", "FRESHET_CACHE_BYTES=1KiB",
                                 "FRESHET_THREADS_X=9", "THREADS=7", NULL};
    cr_assert_eq(settings_environment(&settings, environment, &problem), STATUS_OK);
    cr_assert_eq(settings.threads, 3);
    cr_assert_eq(settings.cache_bytes, KIB);
    cr_assert_eq(settings.cache, 1);
}

Test(settings, flags_take_the_next_word_or_what_is_behind_the_equals_sign)
{
    struct settings settings;
    struct settings_arguments arguments;
    struct settings_problem problem;
    settings_defaults(&settings);
    char *const words[] = {"--threads=2", "--data", "x",          "--access-log",
                           "--cache",     "off",    "--config=f", "--help"};
    cr_assert_eq(settings_flags(&settings, 8, words, &arguments, &problem), STATUS_OK, "%s",
                 problem.text);
    cr_assert_eq(settings.threads, 2);
    cr_assert_str_eq(settings.data.text, "x");
    cr_assert_eq(settings.access_log, 1);
    cr_assert_eq(settings.cache, 0);
    cr_assert_str_eq(arguments.config, "f");
    cr_assert(arguments.help);
    char *const missing[] = {"--data"};
    cr_assert_eq(settings_flags(&settings, 1, missing, &arguments, &problem), STATUS_INVALID);
    char *const stray[] = {"data"};
    cr_assert_eq(settings_flags(&settings, 1, stray, &arguments, &problem), STATUS_INVALID);
}

Test(settings, segments_are_whole_pages)
{
    struct settings settings;
    struct settings_problem problem;
    settings_defaults(&settings);
    cr_assert_eq(settings_check(&settings, &problem), STATUS_OK);
    settings.segment_bytes++;
    cr_assert_eq(settings_check(&settings, &problem), STATUS_INVALID);
}

Test(settings, what_is_kept_fits_the_journals_table_of_segments)
{
    struct settings settings;
    struct settings_problem problem;
    settings_defaults(&settings);
    settings.retention_bytes = 4096 * settings.segment_bytes - settings.journal_tail_max;
    cr_assert_eq(settings_check(&settings, &problem), STATUS_OK);
    settings.retention_bytes += settings.segment_bytes;
    cr_assert_eq(settings_check(&settings, &problem), STATUS_INVALID);
    settings.segment_bytes *= 2;
    cr_assert_eq(settings_check(&settings, &problem), STATUS_OK);
}
