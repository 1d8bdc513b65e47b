"""./dev bench peers: what is compared with what, what happens without a peer, and that a peer answers with as many bytes."""

import argparse
import contextlib
import io
import os
import pathlib
import shutil
import sys
import tempfile
import unittest
import unittest.mock

import support

sys.path.insert(0, str(support.ROOT / "bench"))

from harness.bench import Bench  # noqa: E402
from harness.servers import BenchError  # noqa: E402
from peers import changes, peers, writes  # noqa: E402
from peers.common import Windows, Work  # noqa: E402
from peers.comparison import CPU, NOTICE_P50, RATE, Comparison, Contestant  # noqa: E402
from suites import peers as suite  # noqa: E402

CORE = min(os.sched_getaffinity(0))


def a_report(cpu, rate=1000):
    return {"server": {"cpu_us_per_op": cpu}, "rate_per_s": rate, "latency_us": {"p50": 1, "p99": 2, "p99.9": 3}}


class PlantedBench:
    """The part of a Bench that a comparison uses: loads that give what was planted, or go wrong."""

    seconds, leave_out = Bench.seconds, Bench.leave_out

    def __init__(self, planted, **options):
        self.options = argparse.Namespace(**{"runs": None, "seconds": None, "only": None, **options})
        self.planted = planted
        self.asked = []
        self.arguments = []
        self.checks = []
        self.left_out = []
        self.titles = {}

    def load(self, label, _server, *arguments, scenario):
        self.asked.append((scenario, label))
        self.arguments.append(arguments)
        report = self.planted[label].pop(0)
        if isinstance(report, Exception):
            raise report
        return report

    def keep(self, report, label, _server, scenario):
        self.asked.append((scenario, label))
        return report

    def stream(self, label, server, *_arguments, scenario):
        return self.load(label, server, scenario=scenario)

    def check(self, what, value, limit, *, at_least=False, unit=""):
        self.checks.append({"what": what, "value": value, "limit": limit, "unit": unit,
                            "pass": value >= limit if at_least else value <= limit})


class PeersCase(unittest.TestCase):
    def setUp(self):
        self.said = io.StringIO()
        self.enterContext(contextlib.redirect_stdout(self.said))

    def comparison(self, **planted):
        self.bench = PlantedBench({label.replace("_", " "): reports for label, reports in planted.items()})
        comparison = Comparison(self.bench, 1)
        comparison.title = "GET"
        return comparison

    def rounds(self, comparison, runs, **every):
        field = {label: Contestant(None) for label in self.bench.planted}
        every = {label: every.get(label.replace(" ", "_"), 1) for label in field}
        return comparison.rounds(field, [], Windows(runs, 1, 0), every, scenario="get")


class Compared(PeersCase):
    def test_the_ratio_is_the_median_of_neighbouring_rounds(self):
        # The machine slows down by half in the middle: a ratio of medians would be 6 / 4.
        comparison = self.comparison(freshet_http=[a_report(2), a_report(6), a_report(7)],
                                     redis=[a_report(4), a_report(12), a_report(4)])
        comparison.against(self.rounds(comparison, 3), "freshet http", "redis", CPU, 1)
        self.assertEqual(self.bench.checks[0]["value"], 0.5)
        self.assertEqual((comparison.rows[0].ratio, comparison.rows[0].verdict), ("0.5", "pass"))

    def test_a_missed_limit_is_shown_as_one(self):
        comparison = self.comparison(freshet_http=[a_report(2)], redis=[a_report(4)])
        reports = self.rounds(comparison, 1)
        comparison.against(reports, "freshet http", "redis", CPU, 0.4)
        comparison.against(reports, "freshet http", "redis", RATE, 1.1, at_least=True)
        comparison.bound(reports, "freshet http", CPU, 1.5)
        self.assertEqual([row.verdict for row in comparison.rows], ["FAIL"] * 3)
        self.assertEqual([row.target for row in comparison.rows], ["<= 0.4", ">= 1.1", "<= 1.5 us"])

    def test_one_that_runs_in_every_second_round_is_compared_in_those(self):
        comparison = self.comparison(freshet_http=[a_report(1), a_report(100), a_report(3)],
                                     varnish=[a_report(10), a_report(10)])
        reports = self.rounds(comparison, 3, varnish=2)
        comparison.against(reports, "freshet http", "varnish", CPU, 1)
        self.assertAlmostEqual(self.bench.checks[0]["value"], 0.2)
        self.assertEqual([label for _, label in self.bench.asked].count("varnish"), 2)

    def test_a_peer_with_wrong_answers_is_left_out_and_named(self):
        comparison = self.comparison(freshet_http=[a_report(1)] * 2, redis=[BenchError("redis gave 3 wrong answers")],
                                     memcached=[a_report(2)] * 2)
        reports = self.rounds(comparison, 2)
        comparison.against(reports, "freshet http", "redis", CPU, 1)
        comparison.against(reports, "freshet http", "memcached", CPU, 1)
        self.assertEqual([row.verdict for row in comparison.rows], ["skipped: redis gave 3 wrong answers", "pass"])
        comparison.print_rows()
        self.assertIn("skipped: redis gave 3 wrong answers", self.said.getvalue())
        self.assertEqual(self.bench.left_out, ["GET: redis: redis gave 3 wrong answers"])

    def test_a_peer_that_is_left_out_of_one_work_takes_part_in_the_next(self):
        comparison = self.comparison(freshet_http=[a_report(1)] * 2, redis=[BenchError("no memory"), a_report(2)])

        def measure(comparison):
            comparison.against(self.rounds(comparison, 1), "freshet http", "redis", CPU, 1)

        for name in ("GET", "PUT"):
            comparison.do(Work(name, name, lambda _: 1, measure))
        self.assertEqual([(row.work, row.verdict) for row in comparison.rows],
                         [("GET", "skipped: no memory"), ("PUT", "pass")])

    def test_a_subscriber_that_fails_in_one_round_has_the_others(self):
        notice = {"notice_us": {"p50": 5}}
        comparison = self.comparison(freshet_wire=[notice] * 3, redis=[notice, BenchError("gone"), notice])
        kinds = {label: (lambda: contextlib.nullcontext(None), label) for label in self.bench.planted}
        reports = changes.stream_rounds(comparison, kinds, "notice")
        comparison.against(reports, "freshet wire", "redis", NOTICE_P50, 1)
        self.assertEqual(comparison.rows[0].verdict, "pass")
        self.assertEqual(reports["redis"], [notice, None, None])

    def test_without_ours_the_work_is_left_out_and_the_next_goes_on(self):
        comparison = self.comparison(freshet_http=[BenchError("no answer"), a_report(2)])
        for name in ("GET", "PUT"):
            comparison.do(Work(name, name, lambda _: 1, lambda comparison: self.rounds(comparison, 1)))
        self.assertEqual(self.bench.asked, [("get", "freshet http")] * 2)
        self.assertEqual(self.bench.left_out, ["GET: no answer"])
        self.assertEqual([row.verdict for row in comparison.rows], ["left out: no answer"])

    def test_a_program_that_is_not_installed_is_named_with_its_package(self):
        comparison = self.comparison(freshet_http=[a_report(1)])
        with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory() as folder, \
                unittest.mock.patch.object(shutil, "which", return_value=None):
            self.assertIsNone(comparison.start(stack, "memcached", lambda: peers.Memcached(folder, CORE)))
        comparison.against(self.rounds(comparison, 1), "freshet http", "memcached", CPU, 1)
        self.assertEqual(comparison.rows[0].verdict, "skipped: memcached is not installed: apt-get install memcached")

    def test_units_are_readable(self):
        texts = [NOTICE_P50.text([{"notice_us": {"p50": value}}]) for value in (4.194, 999, 26123, 6.43e7)]
        self.assertEqual(texts, ["4.19 us", "999 us", "26.1 ms", "64.3 s"])


class Planned(PeersCase):
    """What is measured for how long."""

    def test_all_of_it_takes_less_than_eighteen_minutes_with_writes_of_half_a_minute(self):
        self.assertLess(suite.plan_s(PlantedBench({}), suite.WORK.values()), 18 * 60)
        for name in ("put-sync", "put-sync-500", "put-none", "zipfian-99"):
            self.assertGreaterEqual(suite.WORK[name].takes_s(PlantedBench({})), 4 * 30)

    def test_what_was_asked_for_holds_for_every_server(self):
        bench = PlantedBench({label: [a_report(1)] * 3 for label in writes.NONE}, runs=3, seconds=60.0)
        comparison = Comparison(bench, 1)
        field = {label: Contestant(None) for label in writes.NONE}
        writes.put_rounds(comparison, field, 50, writes.NONE, "put-none")
        self.assertEqual([label for _, label in bench.asked].count("redis"), 3)
        self.assertEqual({arguments[-4:] for arguments in bench.arguments}, {("--seconds", 60.0, "--warmup", 1)})

    def test_rows_run_alone_and_leave_the_record_of_the_whole(self):
        done = []
        bench = PlantedBench({}, only=suite.row_names("memory, get"))
        with unittest.mock.patch.object(Comparison, "do", lambda _, work: done.append(work.name)):
            suite.bench_peers(bench)
        self.assertEqual((done, bench.record_name), (["get", "memory"], "peers-only"))
        self.assertIn("about 2.7 min in all", self.said.getvalue())

    def test_an_unknown_row_is_told_with_those_that_there_are(self):
        for text in ("put", "get,", "", "get,GET"):
            with self.assertRaisesRegex(argparse.ArgumentTypeError, "is no row; there are get, .*, put-none, .*memory$"):
                suite.row_names(text)


class Configured(unittest.TestCase):
    def test_comments_are_no_options(self):
        self.assertEqual(peers.options_in("# why\n-t 1\n-o 'a b'\n"), ["-t", "1", "-o", "a b"])

    def test_every_file_is_filled_in_without_a_gap(self):
        values = dict.fromkeys(("port", "folder", "user", "body", "path", "origin_host", "origin_port", "seconds", "key_bytes",
                                "value_bytes"), "x")
        for template in sorted(peers.HERE.glob("*.*")):
            if template.suffix in (".conf", ".options", ".vcl"):
                self.assertNotRegex(peers.filled(template.name, values), "@[A-Z]")

    def test_an_answer_is_whole_when_its_body_is(self):
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
        self.assertEqual([peers.whole_answer(answer[:size]) for size in (0, 30, len(answer) - 1)], [0, 0, 0])
        self.assertEqual(peers.whole_answer(answer + b"HTTP"), len(answer))


class Answers(unittest.TestCase):
    """Of those that are installed: the tests need nginx, the others come with the benchmark."""

    def served(self, kind):
        """A peer that runs; a captured answer of 593 bytes, as ours has it, is to be matched."""
        folder = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        head, body = b"HTTP/1.1 200 OK\r\nX: " + b"y" * 230 + b"\r\n\r\n", b'{"id":"0000000000","title":"Lamp"}'
        answer = folder / "answer"
        answer.write_bytes(head + body.ljust(593 - len(head)))
        if shutil.which(kind.program) is None:
            self.skipTest(f"{kind.program} is not installed")
        return self.enterContext(kind(folder, CORE, answer))

    def test_nginx_answers_with_as_many_bytes(self):
        self.assertEqual(self.served(peers.NginxFixed).asked(), 593)

    def test_h2o_answers_with_as_many_bytes(self):
        self.assertEqual(self.served(peers.H2o).asked(), 593)

    def test_a_peer_with_longer_answers_does_not_begin(self):
        with unittest.mock.patch.object(peers.NginxFixed, "head_bytes", 100), \
                self.assertRaisesRegex(BenchError, "nginx answers with 641 bytes, and 593 were asked for"):
            self.served(peers.NginxFixed)


if __name__ == "__main__":
    unittest.main()
