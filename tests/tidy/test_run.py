#!/usr/bin/python3
"""The runner counts what the runners say, and takes silence for failure."""

import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import run  # noqa: E402  (the folder above has to be on the path first)


def counts(result):
    return result.passed, result.failed, result.skipped


class CriterionTest(unittest.TestCase):
    LINE = "\x1b[0;34m[====]\x1b[0m Synthesis: Tested: 7 | Passing: 5 | Failing: 1 | Crashing: 1 \n"

    def test_its_own_count_is_taken_colours_or_not(self):
        result = run.parse_criterion("a", self.LINE, False)
        self.assertEqual(counts(result), (5, 2, 0))
        self.assertEqual([name for name, _ in result.failures], ["a"])
        self.assertIn("Synthesis: Tested: 7", result.closing[0])

    def test_a_green_count_with_a_red_exit_is_a_failure(self):
        line = "[====] Synthesis: Tested: 1 | Passing: 1 | Failing: 0 | Crashing: 0 \n"
        self.assertEqual(counts(run.parse_criterion("a", line, True)), (1, 0, 0))
        self.assertEqual(counts(run.parse_criterion("a", line, False)), (1, 1, 0))

    def test_another_program_is_not_taken_for_criterion(self):
        self.assertIsNone(run.parse_criterion("a", "all is well\n", True))


class JunitTest(unittest.TestCase):
    def parse(self, cases, output=""):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write(f"<testsuite>{cases}</testsuite>")
            file.flush()
            return run.parse_junit(file.name, output)

    def test_each_kind_of_outcome_is_counted(self):
        result = self.parse(
            '<testcase name="a" status="run"><system-out>fine</system-out></testcase>'
            '<testcase name="b" status="fail"><failure message="Timeout"/><system-out>late</system-out></testcase>'
            '<testcase name="c" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
            '<testcase name="d" status="notrun"><skipped message="Unable to find executable: d"/></testcase>'
            '<testcase name="e" status="run"><system-out>'
            "[====] Synthesis: Tested: 3 | Passing: 3 | Failing: 0 | Crashing: 0</system-out></testcase>",
            "50% tests passed, 2 tests failed out of 5\n",
        )
        self.assertEqual(counts(result), (4, 2, 1))
        self.assertEqual([name for name, _ in result.failures], ["b", "d"])
        self.assertEqual(result.closing[-1], "50% tests passed, 2 tests failed out of 5")


class UnittestTest(unittest.TestCase):
    def test_the_closing_lines_are_counted(self):
        for verdict, succeeded, expected in [
            ("OK", True, (6, 0, 0)),
            ("OK (skipped=2)", True, (4, 0, 2)),
            ("FAILED (failures=1, errors=2, skipped=1)", False, (2, 3, 1)),
            ("OK", False, (6, 1, 0)),
        ]:
            output = f"...\nRan 6 tests in 0.1s\n\n{verdict}\n"
            self.assertEqual(counts(run.parse_unittest("a", output, succeeded)), expected, verdict)

    def test_a_run_without_closing_lines_is_a_failure(self):
        self.assertEqual(counts(run.parse_unittest("a", "Traceback …\n", True)), (0, 1, 0))


class InstructionsTest(unittest.TestCase):
    def test_each_count_is_a_test(self):
        good = run.parse_instructions("a", "a table\n78 counted, 0 wrong (…)\n", True)
        self.assertEqual(counts(good), (78, 0, 0))
        self.assertEqual(counts(run.parse_instructions("a", "78 counted, 3 wrong (…)\nadvice\n", False)), (75, 3, 0))

    def test_no_count_or_a_count_that_does_not_fit_the_exit_is_a_failure(self):
        for output, succeeded in (("bench: valgrind is not installed\n", False), ("7 counted, 0 wrong\n", False)):
            self.assertEqual(counts(run.parse_instructions("a", output, succeeded)), (0, 1, 0))


class RunTest(unittest.TestCase):
    def run_python(self, code, timeout_s=30):
        with tempfile.TemporaryDirectory() as folder:
            return run.run([sys.executable, "-c", code], pathlib.Path(folder, "log"), timeout_s=timeout_s)

    def test_the_status_and_all_output_come_back(self):
        self.assertEqual(self.run_python("print('hello'); raise SystemExit(3)"), (3, "hello\n"))

    def test_a_command_that_does_not_end_is_stopped(self):
        status, output = self.run_python("import threading; threading.Event().wait()", timeout_s=1)
        self.assertEqual(status, 1)
        self.assertIn("stopped after 1 s", output)

    def test_what_a_command_leaves_behind_does_not_hold_the_runner_up(self):
        code = "import subprocess; subprocess.Popen(['sleep', '600']); print('done')"
        self.assertEqual(self.run_python(code), (0, "done\n"))


class PlanTest(unittest.TestCase):
    def test_arguments_choose_parts(self):
        self.assertEqual(run.choose([]), run.PLAN)
        self.assertEqual(run.choose(["unit"]), [("release", "unit")])
        self.assertEqual(run.choose(["asan:unit", "tidy"]), [("asan", "unit"), ("tidy", "tidy")])
        self.assertTrue(all(preset == "tsan" for preset, _ in run.choose(["tsan"])))
        with self.assertRaises(KeyError):
            run.choose(["unti"])

    def test_instructions_are_counted_in_the_release_build_alone(self):
        self.assertEqual(run.choose(["instructions"]), [("release", "instructions")])
        with self.assertRaises(KeyError):
            run.choose(["asan:instructions"])


if __name__ == "__main__":
    unittest.main()
