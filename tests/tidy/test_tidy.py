#!/usr/bin/python3
"""Each rule of tidy.py fires on a bad snippet, and stays silent on the good one beside it."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import tidy  # noqa: E402  (the folder of this file has to be on the path first)

HEADER = """/*
 * thing.h: a thing.
 */
#ifndef FRESHET_ENGINE_CACHE_THING_H
#define FRESHET_ENGINE_CACHE_THING_H
#endif
"""


def rules_of(path, text):
    return sorted({finding.rule for finding in tidy.check_source(path, text)})


class IncludeTest(unittest.TestCase):
    def test_the_layers_below_may_be_included(self):
        for path, header in [
            ("net/http/a.c", "engine/cache/cache.h"),
            ("net/http/a.c", "protocol/base/status.h"),
            ("engine/cache/a.c", "engine/shard/mailbox.h"),
            ("protocol/document/a.c", "protocol/base/bytes.h"),
            ("protocol/frame/a.c", "protocol/document/json.h"),
            ("bindings/c/a.c", "protocol/frame/frame.h"),
            ("bindings/c/a.c", "freshet.pb-c.h"),
            ("net/wire/a.c", "freshet.pb-c.h"),
            ("tests/unit/engine/cache/test_a.c", "engine/cache/cache_internal.h"),
        ]:
            self.assertEqual(rules_of(path, f'#include "{header}"\n'), [], header)

    def test_an_upward_include_is_found(self):
        for path, header in [
            ("engine/cache/a.c", "net/http/http.h"),
            ("protocol/document/a.c", "engine/cache/cache.h"),
            ("protocol/base/a.c", "protocol/document/json.h"),
            ("bindings/c/a.c", "engine/cache/cache.h"),
            ("net/http/a.c", "tests/help/help.h"),
        ]:
            self.assertEqual(rules_of(path, f'#include "{header}"\n'), ["layer"], header)

    def test_the_program_alone_may_include_the_command_line(self):
        for path, header, expected in [
            ("net/server/main.c", "bindings/cli/cli.h", []),
            ("net/server/main.c", "bindings/cli/table.h", ["layer"]),
            ("net/server/serve.c", "bindings/cli/cli.h", ["layer"]),
            ("bindings/cli/cli.c", "net/server/serve.h", ["layer"]),
        ]:
            self.assertEqual(rules_of(path, f'#include "{header}"\n'), expected, (path, header))

    def test_an_include_that_does_not_start_at_the_root_is_found(self):
        for header in ["cache.h", "../cache/cache.h", "cache/cache.h"]:
            self.assertIn("include-root", rules_of("engine/cache/a.c", f'#include "{header}"\n'), header)

    def test_a_private_header_of_another_folder_is_found(self):
        text = '#include "engine/cache/cache_internal.h"\n'
        self.assertEqual(rules_of("engine/cache/a.c", text), [])
        self.assertEqual(rules_of("engine/shard/a.c", text), ["internal-header"])

    def test_foreign_libraries_stay_in_their_module(self):
        for header, home, other in [
            ("liburing.h", "net/ring/a.c", "net/http/a.c"),
            ("rocksdb/c.h", "engine/store/a.c", "engine/shard/a.c"),
            ("rapidjson/reader.h", "protocol/document/json_parse.cc", "protocol/document/a.c"),
            ("llhttp.h", "net/http/a.c", "net/rest/a.c"),
            ("cyaml/cyaml.h", "net/server/a.c", "net/rest/a.c"),
        ]:
            self.assertEqual(rules_of(home, f"#include <{header}>\n"), [], header)
            self.assertEqual(rules_of(other, f"#include <{header}>\n"), ["confined-header"], header)

    def test_an_include_in_a_comment_counts_for_nothing(self):
        self.assertEqual(rules_of("engine/cache/a.c", '/*\n#include "net/http/http.h"\n*/\n'), [])


class PureLayerTest(unittest.TestCase):
    def test_engine_and_protocol_have_no_threads_and_no_clock(self):
        for line in ["#include <sys/socket.h>", "#include <threads.h>", "#include <sys/time.h>"]:
            self.assertEqual(rules_of("engine/cache/a.c", line + "\n"), ["pure-layer"], line)
        for call in ["clock_gettime(CLOCK_REALTIME, &t)", "time(NULL)", "gettimeofday(&t, NULL)", "pthread_self()"]:
            text = f"void cache_a(void)\n{{\n    {call};\n}}\n"
            self.assertEqual(rules_of("engine/cache/a.c", text), ["pure-layer"], call)
            self.assertEqual(rules_of("protocol/document/a.c", text), ["pure-layer"], call)
            self.assertEqual(rules_of("net/server/a.c", text), [], call)

    def test_the_engine_may_lock_but_not_wait_and_protocol_may_do_neither(self):
        lock = "#include <pthread.h>\nvoid cache_a(void)\n{\n    pthread_mutex_lock(&lock);\n}\n"
        self.assertEqual(rules_of("engine/cache/a.c", lock), [])
        self.assertEqual(rules_of("protocol/document/a.c", lock), ["pure-layer"])
        for call in ["pthread_cond_wait(&a, &b)", "pthread_create(&a)", "pthread_mutex_timedlock(&a, &b)"]:
            text = f"void cache_a(void)\n{{\n    {call};\n}}\n"
            self.assertEqual(rules_of("engine/cache/a.c", text), ["pure-layer"], call)

    def test_the_list_of_allowed_calls_names_file_and_call(self):
        for path, calls in tidy.IMPURE_ALLOWED.items():
            for call in calls:
                text = f"void cache_a(void)\n{{\n    {call}(1);\n}}\n"
                self.assertEqual(rules_of(path, text), [], call)
                self.assertEqual(rules_of("engine/cache/a.c", text), ["pure-layer"], call)

    def test_names_that_contain_time_are_no_clock(self):
        text = "void cache_a(void)\n{\n    entry_time(1);\n    cache->time_ms = 1;\n    runtime(2);\n}\n"
        self.assertEqual(rules_of("engine/cache/a.c", text), [])


class CallTest(unittest.TestCase):
    def test_each_banned_call_is_found(self):
        for name in tidy.BANNED_CALLS:
            text = f"void cache_a(void)\n{{\n    {name}(x);\n}}\n"
            self.assertEqual(rules_of("net/http/a.c", text), ["banned-call"], name)

    def test_a_longer_name_a_member_a_comment_or_a_literal_is_no_call(self):
        text = 'void cache_a(void)\n{\n    my_strcpy(x);\n    it->rand(x); /* strcpy(x) */\n    say("gets(x)");\n}\n'
        self.assertEqual(rules_of("net/http/a.c", text), [])

    def test_a_sleep_in_a_test_is_found_unless_it_is_a_pause_between_tries(self):
        self.assertEqual(rules_of("tests/integration/test_a.py", "time.sleep(1)\n"), ["sleep"])
        self.assertEqual(rules_of("tests/threads/a.c", "void a(void)\n{\n    usleep(1);\n}\n"), ["sleep"])
        self.assertEqual(rules_of("tests/integration/test_a.py", "time.sleep(0.01)  # pause between tries\n"), [])


class ShapeTest(unittest.TestCase):
    @staticmethod
    def function(lines):
        return "static int a(int b)\n{\n" + "    b++;\n" * (lines - 3) + "}\n"

    def test_a_function_of_70_lines_is_accepted_and_one_of_71_is_not(self):
        self.assertEqual(rules_of("net/http/a.c", self.function(70)), [])
        self.assertEqual(rules_of("net/http/a.c", self.function(71)), ["function-length"])

    def test_a_long_function_after_others_is_reported_where_it_starts(self):
        text = "struct a {\n    int b;\n};\n\n" + self.function(10) + "\n" + self.function(71)
        found = [finding for finding in tidy.check_source("net/http/a.c", text)]
        self.assertEqual([(finding.rule, finding.line) for finding in found], [("function-length", 16)])

    def test_a_long_table_is_no_function(self):
        text = "static const int table[] = {\n" + "    1,\n" * 100 + "};\n"
        self.assertEqual(rules_of("net/http/a.c", text), [])

    def test_braces_in_literals_and_comments_do_not_confuse(self):
        text = "static char a(void)\n{\n    /* { */\n    return '{';\n}\n\n" + self.function(70)
        self.assertEqual(rules_of("net/http/a.c", text), [])

    def test_functions_inside_a_namespace_a_class_or_extern_c_are_measured(self):
        for opening in ['extern "C" {', "namespace {", "namespace a {", "struct handler : base {"]:
            for lines, expected in [(70, []), (71, ["function-length"])]:
                text = f"{opening}\n{self.function(30)}{self.function(lines)}{self.function(30)}}};\n"
                self.assertEqual(rules_of("protocol/document/json_parse.cc", text), expected, opening)

    def test_a_file_of_800_lines_is_accepted_and_one_of_801_is_not(self):
        self.assertEqual(rules_of("net/http/a.c", "\n" * 800), [])
        self.assertEqual(rules_of("net/http/a.c", "\n" * 801), ["file-length"])

    def test_a_line_of_100_columns_is_accepted_and_one_of_101_is_not(self):
        self.assertEqual(rules_of("net/http/a.c", "/* " + "x" * 94 + " */\n"), [])
        self.assertEqual(rules_of("net/http/a.c", "/* " + "x" * 95 + " */\n"), ["line-length"])


class StateTest(unittest.TestCase):
    def test_mutable_statics_and_globals_are_found(self):
        for text in [
            "static int counter;\n",
            "static int counter = 1;\n",
            "int counter;\n",
            "struct cache *the_cache;\n",
            "static const char *name;\n",
            "static struct cache cache = {.a = 1, .b = {2}};\n",
            "static void (*handler)(int);\n",
            "_Thread_local int counter;\n",
            "static char buffer[100];\n",
            "int a(void)\n{\n    static int counter = 0;\n    return counter++;\n}\n",
        ]:
            self.assertEqual(rules_of("net/http/a.c", text), ["mutable-static"], text)

    def test_constants_types_and_functions_are_not_state(self):
        for text in [
            "static const int table[] = {1, 2};\n",
            "static const char *const names[] = {\"a\"};\n",
            "static const struct operations operations = {.open = open_it};\n",
            "struct cache;\n",
            "struct cache {\n    int size;\n};\n",
            "enum color { RED, GREEN };\n",
            "typedef void (*handler)(int);\n",
            "extern const int limit;\n",
            "static int a(struct b *c, void (*d)(int));\n",
            "static inline int a(void)\n{\n    return 1;\n}\n",
            'static_assert(sizeof(int) == 4, "an int");\n',
            "MUST_USE enum status a(struct b *c);\n",
            "int a(void)\n{\n    static const int table[2] = {1, 2};\n    return table[0];\n}\n",
        ]:
            self.assertEqual(rules_of("net/http/a.c", text), [], text)

    def test_the_allow_list_names_file_and_variable(self):
        path, names = next(iter(tidy.MUTABLE_STATICS_ALLOWED.items()))
        text = f"static int {next(iter(names))};\n"
        self.assertEqual(rules_of(path, text), [])
        self.assertEqual(rules_of("net/http/a.c", text), ["mutable-static"])


class TextTest(unittest.TestCase):
    def test_a_header_says_what_it_is(self):
        self.assertEqual(rules_of("engine/cache/thing.h", HEADER), [])
        self.assertEqual(rules_of("engine/cache/other.h", HEADER), ["head-comment"])
        unguarded = "/*\n * thing.h: a thing.\n */\nstruct thing;\n"
        self.assertEqual(rules_of("engine/cache/thing.h", unguarded), ["include-guard"])

    def test_unfinished_work_is_found(self):
        for word in ["TO" + "DO", "FIX" + "ME"]:
            self.assertEqual(rules_of("net/http/a.c", f"/* {word}: later */\n"), ["unfinished"])
            self.assertEqual(rules_of("README.md", f"{word}\n"), ["unfinished"])

    def test_a_path_of_one_machine_is_found(self):
        for folder in ["work", "home", "root"]:
            self.assertEqual(rules_of("README.md", f"see /{folder}/somebody/file\n"), ["workplace-path"])
        self.assertEqual(rules_of("README.md", "see net/work/file and ./home/a\n"), [])

    def test_white_space_at_the_end_is_found(self):
        self.assertEqual(rules_of("net/http/a.c", "int a(void); \n"), ["white-space"])
        self.assertEqual(rules_of("net/http/a.c", "int a(void);"), ["white-space"])


class CommandTest(unittest.TestCase):
    def run_in(self, files):
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                place = pathlib.Path(folder, path)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                status = tidy.main(["--root", folder])
            return status, output.getvalue()

    def test_a_clean_tree_passes(self):
        status, output = self.run_in({"engine/cache/thing.h": HEADER})
        self.assertEqual((status, output), (0, "1 files, 0 findings\n"))

    def test_a_header_that_needs_another_first_is_found(self):
        text = HEADER.replace("#endif", "static inline size_t thing(void)\n{\n    return 1;\n}\n#endif")
        status, output = self.run_in({"engine/cache/thing.h": text})
        self.assertEqual(status, 1)
        self.assertIn("engine/cache/thing.h:1: header-alone: ", output)

    def test_findings_name_file_line_rule_and_remedy(self):
        status, output = self.run_in({"net/http/a.c": "\nint a(void);\nint b; \n"})
        self.assertEqual(status, 1)
        self.assertIn("net/http/a.c:3: white-space: remove it from the end of the line\n", output)


if __name__ == "__main__":
    unittest.main()
