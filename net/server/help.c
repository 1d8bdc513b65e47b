#include "net/server/help.h"

#include "net/server/settings.h"

static void setting_print(FILE *out, const struct setting *setting)
{
    char flag[SETTING_NAME_BYTES_MAX];
    char variable[SETTING_NAME_BYTES_MAX];
    setting_flag(setting, flag);
    setting_variable(setting, variable);
    const char *when = setting->time == SETTING_AT_RELOAD   ? "; SIGHUP applies it"
                       : setting->time == SETTING_AT_CREATE ? "; at creation only"
                                                            : "";
    fprintf(out, "  %s %s\n      %s\n      default %s; %s; %s in the file%s\n", flag,
            setting->argument, setting->help, setting->default_text, variable, setting->name, when);
}

void help_serve(FILE *out)
{
    fputs("usage: freshet serve [--config FILE] [--SETTING VALUE]...\n"
          "\n"
          "Serves until SIGTERM or SIGINT. Prints one line of JSON to stdout when it is ready; "
          "logs go to\n"
          "stderr. SIGHUP reads the configuration file again.\n"
          "\n"
          "Each setting may stand in the file (YAML), in the environment and on the command line; "
          "the later\n"
          "of these wins. Sizes: 256MiB, 64MB, bytes. Times: 500ms, 10s, 30m, 1h, 7d.\n"
          "\n"
          "  --config FILE\n"
          "      configuration file\n",
          out);
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        setting_print(out, settings_at(i));
    }
    fputs(
        "\n"
        "Collections are in the file only, rules may be; freshet.example.yaml shows all there is.\n"
        "Without any collections, pets and products are served.\n",
        out);
}

void help_check(FILE *out)
{
    fputs(
        "usage: freshet check [--data DIR]\n"
        "\n"
        "Reads every batch of the journal and every block of the records, compares checksums, "
        "positions and,\n"
        "when the journal reaches back to its first entry, the records with what the journal says "
        "they are.\n"
        "Changes nothing. The server must not be running.\n"
        "\n"
        "  --data DIR\n"
        "      the data folder; default ./data\n"
        "\n"
        "Prints lines of JSON, the last of them a summary. Exit codes: 0 whole, 1 not, 2 usage.\n",
        out);
}

void help_bench(FILE *out)
{
    fputs("usage: freshet bench filter --rules FILE --events FILE [--seconds N]\n"
          "\n"
          "Matches events against patterns, all patterns at once, and says how long it takes.\n"
          "\n"
          "  --rules FILE\n"
          "      patterns, one line of JSON each\n"
          "  --events FILE\n"
          "      events, one line of JSON each: changes as GET /changes shows them\n"
          "  --seconds N\n"
          "      how long to match them again and again; default 3; 0: twice\n"
          "\n"
          "Prints one line of JSON: rules, events, matches (pairs that match, all events once), "
          "seconds,\n"
          "events_per_s, us_per_event, us_per_rule_added, matcher_bytes. Exit codes: 0 clean, 1 "
          "failure (the\n"
          "message names file and line), 2 usage.\n",
          out);
}
