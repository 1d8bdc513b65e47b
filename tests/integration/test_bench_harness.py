"""The harness of the benchmarks: what is no measurement ends in no figures, whoever is to blame."""

import argparse
import contextlib
import dataclasses
import errno
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import unittest.mock

import support
from planted import DIE, Planted

sys.path.insert(0, str(support.ROOT / "bench"))

import run as bench_run  # noqa: E402
from harness import results, scenario  # noqa: E402
from harness.bench import Bench  # noqa: E402
from harness.servers import BenchError, Freshet, Process  # noqa: E402
from report import measured, report  # noqa: E402
from suites import scenarios  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", support.ROOT / "build" / "release"))
CORES = sorted(os.sched_getaffinity(0))
SCENARIO = """title: writes for a test
records: 50
mix: put=1
connections: 2
durability: none
protocols: http
loop: closed
expect: {expect}
"""


class Served:
    """A planted server as the harness knows servers. miscounts: how many requests it says it had beyond those it had."""

    protocol = "http"
    command = ["planted"]
    log = os.devnull
    pid = os.getpid()

    def __init__(self, server, miscounts=0):
        self.server = server
        self.target = server.target
        self.miscounts = miscounts
        self.asked = 0

    def answered(self, _protocol):
        self.asked += 1
        return self.server.count + self.miscounts * self.asked

    def about(self):
        return {"version": "planted", "command": self.command, "config": "", "does_not": None}


class HarnessTest(unittest.TestCase):
    def setUp(self):
        (support.ROOT / "build").mkdir(exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix="test-", dir=support.ROOT / "build")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def options(self, **more):
        usual = {"build": BUILD, "server_core": CORES[0], "load_core": CORES[-1], "runs": 1, "seconds": 0.3, "check": False}
        return argparse.Namespace(**usual, **more)


@unittest.skipIf(shutil.which("taskset") is None, "taskset is not installed")
class TestLoads(HarnessTest):
    shape = ("--keys", "50", "--connections", "2", "--seconds", "0.3", "--warmup", "0.1")

    def load(self, plant=None, miscounts=0, words=()):
        """(the benchmark, the report of one run)"""
        bench = Bench(self.options(), self.folder)
        with Planted("http", plant) as server:
            server.values.update((f"{number:010}", b'{"a":1}') for number in range(50))
            found = bench.load("planted", Served(server, miscounts), *self.shape, *words, scenario="get")
        return bench, found

    def refused(self, says, **how):
        bench = Bench(self.options(), self.folder)
        with unittest.mock.patch(f"{__name__}.Bench", return_value=bench):
            with self.assertRaisesRegex(BenchError, says), contextlib.redirect_stderr(io.StringIO()):
                self.load(**how)
        self.assertEqual((bench.runs, bench.servers), ([], {}), "nothing of it is kept")

    def test_a_run_is_kept_with_its_server(self):
        bench, found = self.load()
        self.assertEqual(bench.runs, [found])
        self.assertEqual((found["label"], found["scenario"], found["point"]), ("planted", "get", {}))
        self.assertEqual(bench.servers["planted"]["version"], "planted")
        self.assertGreater(found["operations"], 0)
        self.assertGreaterEqual(found["answered"], found["operations"])

    def test_a_server_that_counted_more_or_less(self):
        self.refused("by its own count, but the load counted", miscounts=1)
        self.refused("by its own count, but the load counted", miscounts=-1)

    def test_one_wrong_answer(self):
        def wrong(server, request):
            return server.protocol.answer(request, 500) if server.count == 9 else None

        self.refused("'unexpected': 1", plant=wrong)

    def test_one_wrong_body(self):
        def longer(server, request):
            return server.found(request, b'{"a":10}') if server.count == 9 else None

        self.refused("went wrong", plant=longer)

    def test_a_server_that_dies_in_the_middle(self):
        self.refused("went wrong", plant=lambda server, _: DIE if server.count == 9 else None)

    def test_no_answer_in_the_measured_time(self):
        self.refused("had no answer", plant=lambda server, _: server.pause(1), words=("--warmup", "0", "--seconds", "0.2"))

    def test_a_load_that_hangs_is_killed(self):
        with unittest.mock.patch("harness.bench.HANG_S", 0.5):
            self.refused("did not end 0.5 s after its time; killed", plant=lambda server, _: server.pause(20))

    def test_all_records_are_read_before_a_run(self):
        asked = set()
        bench = Bench(self.options(), self.folder)
        with Planted("http", lambda server, request: asked.add(request.key)) as server:
            server.values.update((f"{number:010}", b'{"a":1}') for number in range(50))
            bench.warm(Served(server), 50, "--connections", "2", "--expect-status", "200")
        self.assertEqual(len(asked), 50)

    def test_a_program_that_is_not_there(self):
        bench = Bench(self.options(), self.folder)
        bench.programs = self.folder
        with self.assertRaisesRegex(BenchError, "bench_load is missing; ./dev build"):
            bench.program("bench_load")


class TestOptions(unittest.TestCase):
    def ended_by(self, error):
        """(exit code, standard error) of a benchmark that an exception ended."""
        with (
            unittest.mock.patch.object(bench_run, "measure", side_effect=error),
            contextlib.redirect_stderr(io.StringIO()) as told,
        ):
            return bench_run.main(), told.getvalue()

    def test_an_interruption_and_a_full_disk_are_told_without_a_traceback(self):
        code, told = self.ended_by(KeyboardInterrupt())
        self.assertEqual((code, told.count("\n")), (130, 1))
        self.assertIn("bench: interrupted", told)
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "build/bench/x")
        self.assertEqual(self.ended_by(full), (1, "bench: build/bench/x: No space left on device\n"))

    def test_what_is_usual_for_one_benchmark_is_not_for_another(self):
        parser = bench_run.make_parser(bench_run.register())
        runs = {name: parser.parse_args([name]).runs for name in ("get", "peers", "scaling")}
        self.assertEqual(runs, {"get": 5, "peers": None, "scaling": 3})


@unittest.skipIf(shutil.which("taskset") is None, "taskset is not installed")
class TestRecords(HarnessTest):
    """A whole benchmark against a real server, and the record that it leaves."""

    def scenario(self, name="writes", expect="200,201"):
        path = self.folder / f"{name}.yaml"
        path.write_text(SCENARIO.format(expect=expect), "utf-8")
        return scenario.read(path)

    def bench(self, *some, expect="200,201", **asked):
        """(whether it passed, its record's path, what it printed)"""
        asked = {"protocol": None, "loop": None, **asked}
        options = self.options(name="scenario", scenarios=some or [self.scenario(expect=expect)], **asked)
        out = io.StringIO()
        with (
            unittest.mock.patch.object(results, "FOLDER", self.folder),
            unittest.mock.patch.object(scenarios, "WARMUP_S", 0.1),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(out),
        ):
            passed = bench_run.run_one(scenarios.bench_scenario, options)
        return passed, self.folder / "scenario.json", out.getvalue()

    def test_a_record_says_what_ran_where(self):
        passed, path, out = self.bench()
        self.assertTrue(passed, out)
        self.assertIn("writes for a test", out)
        record = json.loads(path.read_text("utf-8"))
        self.assertEqual((record["schema"], record["failure"], record["bench"]), (1, None, "scenario"))
        self.assertEqual(record["machine"]["cpus"], os.cpu_count())
        run = record["runs"][-1]
        self.assertEqual(run["title"], "writes for a test")
        self.assertEqual((run["scenario"], run["label"]), ("writes", "freshet http"))
        self.assertGreater(run["server"]["cpu_us_per_op"], 0)
        self.assertIn("freshet", record["servers"]["freshet http"]["version"])
        self.assertEqual([group.scenario for group in measured.read(path).groups], ["writes"])
        kept = list((self.folder / "results").glob("*-scenario.json"))
        self.assertEqual([one.read_text("utf-8") for one in kept], [path.read_text("utf-8")])

    def test_a_benchmark_that_failed_prints_and_reports_no_table(self):
        passed, path, out = self.bench(expect="404")
        self.assertFalse(passed)
        self.assertIn("went wrong", out)
        self.assertNotIn("closed loop", out, "no table")
        self.assertIn("went wrong", json.loads(path.read_text("utf-8"))["failure"])
        for words in (["--markdown", "-"], ["--plots", str(self.folder)]):
            with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as told:
                self.assertEqual(report.main([str(path), *words]), 1)
            self.assertEqual(printed.getvalue(), "")
            self.assertIn(path.name, told.getvalue())

    def test_runs_before_a_failure_become_no_table_of_their_own(self):
        _, path, _ = self.bench()
        record = json.loads(path.read_text("utf-8"))
        path.write_text(json.dumps({**record, "failure": "the second server died"}), "utf-8")
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()) as told:
            self.assertEqual(report.main([str(path), "--markdown", "-"]), 1)
        self.assertEqual(printed.getvalue(), "")
        self.assertIn("did not finish: the second server died", told.getvalue())

    def test_what_was_measured_before_an_interruption_is_kept(self):
        whole = scenarios.bench_scenario

        def interrupted(bench):
            whole(bench)
            raise KeyboardInterrupt

        with unittest.mock.patch.object(scenarios, "bench_scenario", interrupted), self.assertRaises(KeyboardInterrupt):
            self.bench()
        record = json.loads((self.folder / "scenario.json").read_text("utf-8"))
        self.assertEqual(record["failure"], "it was ended by an interruption")
        self.assertEqual([run["scenario"] for run in record["runs"]], ["fill", "writes"])

    def test_one_that_fails_does_not_stop_the_others(self):
        passed, path, out = self.bench(self.scenario("bad", expect="404"), self.scenario("good"))
        self.assertFalse(passed)
        self.assertIn("left out: bad: the load on freshet http went wrong", out)
        record = json.loads(path.read_text("utf-8"))
        self.assertIn("bad: the load", record["failure"])
        self.assertEqual([run["scenario"] for run in record["runs"]], ["fill", "fill", "good"])

    def test_two_of_one_name_are_no_repetitions(self):
        passed, path, out = self.bench(self.scenario(), self.scenario())
        self.assertFalse(passed)
        self.assertIn("two of these scenarios are called writes", out)
        self.assertFalse(path.exists(), "nothing was measured")

    def test_what_no_scenario_has_is_not_measured(self):
        for asked, says in (({"protocol": "wire"}, "not over wire"), ({"loop": "open"}, "not in open loop")):
            passed, path, out = self.bench(**asked)
            self.assertFalse(passed)
            self.assertIn(f"writes: {says}", out)
            self.assertIn("nothing was measured", out)
            self.assertFalse(path.exists())

    def test_no_room_for_a_record_keeps_the_one_before(self):
        _, path, _ = self.bench()
        before = path.read_text("utf-8")
        whole = pathlib.Path.write_text

        def full(file, text, *more, **named):
            if file.suffix != ".new":
                return whole(file, text, *more, **named)
            whole(file, text[:100], *more, **named)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file))

        with unittest.mock.patch.object(pathlib.Path, "write_text", full), self.assertRaises(OSError):
            self.bench()
        self.assertEqual(path.read_text("utf-8"), before)
        self.assertEqual(list(self.folder.rglob("*.new")), [])

    def test_a_server_that_does_not_start_says_why(self):
        bench = Bench(self.options(), self.folder)
        with self.assertRaisesRegex(BenchError, "did not get ready(.|\n)*--no-such-option"):
            bench.freshet(more=("--no-such-option",)).__enter__()

    def test_pages_are_read_once_before_they_are_measured(self):
        pages = dataclasses.replace(self.scenario(), mix={"list": 1})
        bench = Bench(self.options(), self.folder)
        with scenarios.filled(bench, pages, "http"):
            warmed = [run for run in bench.runs if run["label"] == "warm"]
        self.assertEqual(warmed[0]["config"]["mix"], {"list": 1})
        self.assertGreaterEqual(sum(run["operations"] for run in warmed), pages.records)

    def test_a_server_whose_count_is_another_fails_it(self):
        counted = Freshet.answered
        asked = iter(range(1000))
        with unittest.mock.patch.object(Freshet, "answered", lambda self, protocol: counted(self, protocol) + next(asked)):
            passed, path, out = self.bench()
        self.assertFalse(passed)
        self.assertIn("by its own count", out)
        self.assertFalse(path.exists(), "nothing was measured")

    def test_what_does_not_count_is_not_compared(self):
        self.assertIsNone(Process.answered(None, "http"))


class TestClient(HarnessTest):
    """What `freshet bench --json` prints is such a record, too."""

    def test_the_report_takes_it(self):
        server = support.Server(("--durability", "none")).start()
        self.addCleanup(server.remove)
        words = ("--seconds", "1", "--records", "20", "--json", "--server", f"freshet://{server.ready['wire']}")
        path = self.folder / "get.json"
        path.write_bytes(subprocess.check_output([support.BINARY, "bench", "get", *words]))
        with contextlib.redirect_stdout(io.StringIO()) as printed, contextlib.redirect_stderr(io.StringIO()):
            self.assertEqual(report.main([str(path), "--markdown", "-"]), 0)
        for says in ("freshet wire", "p99", "Measured on"):
            self.assertIn(says, printed.getvalue())


if __name__ == "__main__":
    unittest.main()
