"""freshet bench: its figures against the server's own, its open loop against servers that stall, and its scenario files."""

import concurrent.futures
import json
import pathlib
import re
import signal
import subprocess
import tempfile
import unittest

import support
from cli import TIMEOUT_S, CliTest, environment, run
from planted import DIE, SILENCE, Planted

SCENARIOS = support.ROOT / "bench" / "load" / "scenarios"
STALL_S = 1
STALL_US = STALL_S * 1e6
PERCENTILES = ["p50", "p90", "p99", "p99.9", "p99.99", "max"]
COLLECTIONS = ["pets", *(f"pets{number}" for number in range(23))]
PARALLEL = 6
QUICK = ("--seconds", "1", "--connections", "4", "--records", "50")


def side_by_side(measure, *lists):
    """measure(item, ...) of all items at once; what they return, in order."""
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(measure, *lists))


class BenchTest(unittest.TestCase):
    def bench(self, target, *words, status=0):
        """The record that --json prints."""
        result = run("bench", *words, "--json", "--server", f"freshet://{target}")
        self.assertEqual(result.status, status, result)
        return result

    def planted(self, plant):
        server = Planted("wire", plant)
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def scenario(self, text):
        file = tempfile.NamedTemporaryFile("w", suffix=".yaml", prefix="freshet-test-")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name


class ServedTest(CliTest, BenchTest):
    """A server with collections enough to measure side by side: each deletes its records in the end."""

    config = f"collections: [{', '.join(f'{{ name: {name} }}' for name in COLLECTIONS)}]\n"

    def each(self, measure, items):
        """measure(collection, item) of all items at once; what they return, in order."""
        self.assertLessEqual(len(items), len(COLLECTIONS))
        return side_by_side(measure, COLLECTIONS, items)


class TestFigures(ServedTest):
    def counts(self):
        """{opcode: requests} that the server has counted."""
        text = self.request("GET", "/metrics").text
        return {name: int(count) for name, count in re.findall(r'freshet_wire_requests_total{opcode="(\w+)"} (\d+)', text)}

    def run_of(self, *words):
        record = self.bench(self.server.ready["wire"], *words).json
        self.assertEqual((record["schema"], record["failure"], len(record["runs"])), (1, None, 1), record)
        return record["runs"][0]

    def test_they_are_told_in_one_line_of_json(self):
        loads = ("get", "put", "mixed")
        results = self.each(lambda pets, load: self.run_of(load, *QUICK, "--pipeline", "4", "--collection", pets), loads)
        for load, result in zip(loads, results, strict=True):
            config, latency = result["config"], result["latency_us"]
            self.assertEqual((config["connections"], config["pipeline"], config["mode"]), (4, 4, "closed"))
            self.assertEqual((result["scenario"], result["label"], result["point"]), (load, "freshet wire", {}))
            self.assertGreater(result["operations"], 100)
            self.assertEqual(result["operations"], latency["count"])
            self.assertEqual(result["operations"], sum(result["statuses"].values()))
            figures = [latency[name] for name in ("min", *PERCENTILES)]
            self.assertEqual(figures, sorted(figures))
            self.assertAlmostEqual(
                result["rate_per_s"], result["operations"] / result["elapsed_s"], delta=result["rate_per_s"] / 50
            )
        self.assertEqual(self.cli("list", "pets").out, "", "its records are gone")

    def test_they_are_what_the_server_has_counted(self):
        for loop in ((), ("--rate", "2000")):
            before = self.counts()
            run_ = self.run_of("run", *QUICK, "--mix", "get=3,put=2,rmw=1,insert=1", "--distribution", "latest", *loop)
            done = {kind: latency["count"] for kind, latency in run_["latency_us_by_kind"].items()}
            after = self.counts()
            self.assertEqual(after["GET"] - before.get("GET", 0), done["get"] + done["rmw"])
            written = 50 + done["put"] + done["rmw"] + done["insert"]
            self.assertEqual(after["PUT"] - before.get("PUT", 0), written)
            self.assertEqual(after["DELETE"] - before.get("DELETE", 0), 50 + done["insert"])
            self.assertEqual(run_["statuses"]["201"], done["insert"])
        self.assertEqual(self.cli("list", "pets").out, "", "what was inserted is gone, too")

    def test_an_open_loop_sends_at_its_rate(self):
        run_ = self.run_of("get", *QUICK, "--rate", "500")
        self.assertEqual((run_["config"]["mode"], run_["config"]["rate"], run_["point"]), ("open", 500, {"rate": 500}))
        # All that were due in the second, and no other.
        self.assertIn(run_["operations"], (499, 500, 501))

    def test_each_distribution_finds_its_records(self):
        names = ("uniform", "zipfian:0.5", "scrambled", "latest", "sequential")

        def measure(collection, name):
            return self.run_of("mixed", *QUICK, "--records", "1", "--distribution", name, "--collection", collection)

        for name, run_ in zip(names, self.each(measure, names), strict=True):
            self.assertEqual(run_["config"]["distribution"], name.partition(":")[0])
            self.assertEqual(run_["config"]["theta"], 0.5 if ":" in name else 0.99)

    def test_they_stand_in_columns(self):
        out = self.cli("bench", "get", *QUICK, "--records", "1", "--value-bytes", "64").out
        for name in ("rate", *PERCENTILES):
            self.assertRegex(out, rf"(?m)^  {re.escape(name)} +[0-9,]+ ")
        self.assertIn("\nopen loop at 300/s, 1.", self.cli("bench", "get", *QUICK, "--rate", "300").out)

    def test_a_collection_that_is_not_there(self):
        self.assertIn("nowhere", self.cli("bench", "put", "--collection", "nowhere", "--seconds", "1", status=1).err)

    def test_what_is_not_right_fails(self):
        path = self.scenario("title: t\nmix: get=1\nexpect: 404\n")
        result = self.cli("bench", "run", path, *QUICK, status=1)
        self.assertEqual(result.out, "")
        self.assertRegex(result.err, r"a get of bench-\d+ was answered 200")
        result = self.cli("bench", "run", path, *QUICK, "--mix", "get=9,delete=1", status=1)
        self.assertIn("was answered 200", result.err)
        self.cli("bench", "run", *QUICK, "--mix", "get=9,delete=1")
        self.assertEqual(self.cli("list", "pets").out, "")

    def test_ctrl_c_ends_it_early_and_leaves_nothing_behind(self):
        for words in (("mixed",), ("mixed", "--rate", "5000")):
            process = subprocess.Popen(
                [support.BINARY, "bench", *words, "--seconds", "600", "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env=environment(self.server),
            )
            # Changed again after they were all made: it measures.
            record = support.eventually(self.one_measured, TIMEOUT_S)
            process.send_signal(signal.SIGINT)
            out = process.communicate(timeout=TIMEOUT_S)[0]
            self.assertEqual(process.returncode, 0)
            run_ = json.loads(out)["runs"][0]
            self.assertLess(run_["elapsed_s"], 600)
            self.assertGreater(run_["operations"], 0)
            self.assertEqual(self.cli("list", "pets").out, "")
            del record["id"]
            self.assertEqual(len(json.dumps(record, separators=(",", ":"))), 300, "--value-bytes is the record's size")

    def one_measured(self):
        return next((record for record in self.cli("list", "pets").lines if record["n"] > 1000001000), None)

    def test_the_matcher_is_measured_as_before(self):
        with tempfile.TemporaryDirectory() as folder:
            rules = pathlib.Path(folder, "rules")
            events = pathlib.Path(folder, "events")
            rules.write_text('{"collection":["pets"]}\n')
            events.write_text('{"collection":"pets"}\n')
            result = run("bench", "filter", "--rules", str(rules), "--events", str(events), "--seconds", "0")
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.json["matches"], 1)


class TestScenarios(ServedTest):
    def test_a_file_is_carried_out(self):
        text = """# a comment
            |title: all: that is in a file # and another
            |
            |records: 40
            |value_bytes: 100
            |mix: get=50,insert=50
            |distribution: latest
            |connections: 3
            |pipeline: 2
            |durability: none
            |cache_bytes: default
            |protocols: http, wire
            |loop: closed, open
            |load_percent: 20
            |seconds: 1
            |expect: 200,201""".replace(" " * 12 + "|", "")
        path = self.scenario(text)
        record = self.bench(self.server.ready["wire"], "run", path).json
        self.assertEqual(record["bench"], pathlib.Path(path).stem)
        capacity, opened = record["runs"]
        config = capacity["config"]
        self.assertEqual((config["keys"], config["value_bytes"], config["mix"]), (40, 100, {"get": 50, "insert": 50}))
        self.assertEqual((config["distribution"], config["connections"], config["pipeline"]), ("latest", 3, 2))
        self.assertEqual(opened["config"]["mode"], "open")
        self.assertAlmostEqual(opened["point"]["rate"], 0.2 * capacity["rate_per_s"], delta=2)
        words = ("--records", "7", "--mix", "get=1", "--distribution", "uniform", "--rate", "100")
        record = self.bench(self.server.ready["wire"], "run", path, *words).json
        config = record["runs"][0]["config"]
        self.assertEqual((len(record["runs"]), config["rate"], config["keys"]), (1, 100, 7), "options outrank the file")
        self.assertEqual((config["mix"], config["distribution"], config["connections"]), ({"get": 1}, "uniform", 3))

    def test_those_of_the_tree_are_carried_out_or_refused_with_a_reason(self):
        paths = sorted(SCENARIOS.glob("*.yaml"))
        self.assertGreater(len(paths), 10)

        def measure(collection, path):
            small = ("--seconds", "1", "--records", "10", "--rate", "50", "--collection", collection)
            return run("bench", "run", str(path), *small, server=self.server)

        done = []
        for path, result in zip(paths, self.each(measure, paths), strict=True):
            cannot = re.search(rf"{path.name}:\d+: .*\./dev bench scenario", result.err)
            self.assertEqual(result.status, 1 if cannot else 0, (path.stem, result))
            done += [] if cannot else [path.stem]
        for name in ("ycsb-a", "ycsb-d", "ycsb-f", "get-cached", "put-sync"):
            self.assertIn(name, done)

    def test_what_is_wrong_in_a_file_is_told_with_its_line(self):
        for text, line, says in (
            ("title: t\nrecrods: 5\n", 2, "recrods: there is no such key"),
            ("title: t\n\n# c\nrecords: many\n", 4, "records: a number from 1 to 100000000 is needed"),
            ("records: 0\n", 1, "records: a number from 1"),
            ("records: 5\nseconds: 1\nrecords: 6\n", 3, "records: it is there twice, first in line 1"),
            ("mix:\n", 1, "one 'key: value' a line"),
            ("mix\n", 1, "one 'key: value' a line"),
            ("mix:\n  get: 50\n", 1, "one 'key: value' a line"),
            (" records: 5\n", 1, "nothing nested"),
            ("mix: get=50,list=50\n", 1, "of get, put, delete, rmw and insert"),
            ("mix: get\n", 1, "shares such as get=50,put=50"),
            ("distribution: zipfian:2\n", 1, "THETA above 0"),
            ("loop: half\n", 1, "closed, open or both"),
            ("load_percent: 0\n", 1, "percents"),
            ("load_percent: 30,,50\n", 1, "percents"),
            ("expect: ok\n", 1, "codes such as 200,201,404"),
            ("protocols: http\n", 1, "wire alone"),
            ("path: /products\n", 1, "for HTTP"),
            ("kind: stream\n", 1, "./dev bench scenario"),
            ("title: " + "x" * 70000, None, "too large"),
            ("title: \0\n", None, "no text"),
        ):
            path = self.scenario(text)
            result = self.cli("bench", "run", path, status=1)
            self.assertEqual(result.out, "")
            self.assertIn(f"freshet: bench run: {path}{'' if line is None else f':{line}'}: ", result.err)
            self.assertIn(says, result.err, text[:100])
        self.assertIn("No such file", self.cli("bench", "run", "/nowhere.yaml", status=1).err)
        self.assertIn("directory", self.cli("bench", "run", "/", status=1).err)
        # One of the command line does not make a wrong one in the file right.
        path = self.scenario("records: x\n")
        self.assertIn(":1: records", self.cli("bench", "run", path, "--records", "5", status=1).err)


class TestPlanted(BenchTest):
    """Against a server that misbehaves on purpose. The first 50 requests write the records."""

    def stalled(self, at, *words):
        def stall(server, _):
            if server.count == 50 + at:
                server.pause(STALL_S)

        server = self.planted(stall)
        return self.bench(server.target, "get", "--records", "50", "--seconds", "2", *words).json["runs"][0]

    def test_an_open_loop_shows_a_stall(self):
        # Of 2,000 that are due 1,000 are due while nothing happens, or 500 when it is at the end.
        for run_ in side_by_side(lambda at: self.stalled(at, "--rate", "1000"), (301, 1501)):
            latency = run_["latency_us"]
            self.assertIn(latency["count"], range(1998, 2003), "nothing that was due is left out")
            self.assertGreaterEqual(latency["max"], 0.99 * STALL_US)
            self.assertGreaterEqual(latency["p99"], 0.8 * STALL_US)
            self.assertGreaterEqual(latency["p90"], 0.5 * STALL_US)
            self.assertGreaterEqual(run_["behind_max"], 400)

    def test_a_closed_loop_hides_all_but_one_answer(self):
        latency = self.stalled(31, "--connections", "1")["latency_us"]
        self.assertGreaterEqual(latency["max"], STALL_US)
        self.assertGreaterEqual(latency["count"], 31)
        self.assertLess(latency["p90"], 0.5 * STALL_US)

    def test_what_was_inserted_is_read(self):
        read = set()

        def note(_, request):
            if request.method == "GET":
                read.add(int(request.key.partition("-")[2]))

        server = self.planted(note)
        words = ("--records", "50", "--seconds", "1", "--mix", "get=9,insert=1", "--distribution", "latest")
        run_ = self.bench(server.target, "run", *words).json["runs"][0]
        inserted = run_["latency_us_by_kind"]["insert"]["count"]
        self.assertGreater(max(read), 50)
        self.assertLess(max(read), 50 + inserted)

    def failed(self, plant, *words):
        result = self.bench(self.planted(plant).target, *words, "--records", "50", status=1)
        return result, json.loads(result.err.splitlines()[-1])["detail"]

    def test_one_wrong_answer_fails_it(self):
        def wrong(server, request):
            return server.protocol.answer(request, 404) if server.count == 100 else None

        result, detail = self.failed(wrong, "get")
        self.assertEqual(result.out, "", "no figures")
        self.assertRegex(detail, r"a get of bench-\d+ was answered 404")

    def test_a_server_that_dies_in_the_middle(self):
        for loop in ((), ("--rate", "1000")):
            result, detail = self.failed(lambda server, _: DIE if server.count == 200 else None, "get", *loop)
            self.assertEqual(result.out, "")
            self.assertTrue(detail)

    def test_a_server_that_no_longer_answers(self):
        def silent(server, _):
            return SILENCE if server.count > 100 else None

        words = ("get", "--timeout", "500ms")
        for result, detail in side_by_side(lambda loop: self.failed(silent, *words, *loop), ((), ("--rate", "1000"))):
            self.assertEqual(result.out, "")
            self.assertTrue(detail)

    def test_loops_before_a_failure_are_kept_and_the_failure_is_told(self):
        def later(server, _):
            return DIE if server.opened else None

        server = self.planted(later)
        server.opened = False
        path = self.scenario("title: t\nloop: closed,open\nload_percent: 10\nseconds: 1\n")
        process = subprocess.Popen(
            [support.BINARY, "bench", "run", path, "--records", "50", "--json", "--server", f"freshet://{server.target}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env=environment(),
        )
        first = process.stdout.read(10)  # it is printed when the closed loop has ended
        server.opened = True
        rest, _ = process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(process.returncode, 1)
        record = json.loads(first + rest)
        self.assertEqual([run_["config"]["mode"] for run_ in record["runs"]], ["closed"])
        self.assertTrue(record["failure"])


if __name__ == "__main__":
    unittest.main()
