"""bench_load, the load generator, against servers that misbehave on purpose and against Freshet itself."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import unittest

import support
from frames import pack, unpack
from planted import DIE, PROTOCOLS, SILENCE, Planted

BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", support.ROOT / "build" / "release"))
PROGRAM = BUILD / "bench" / "bench_load"
TIMEOUT_S = 60
STALL_S = 1
STALL_US = STALL_S * 1e6
SLOW_S = 0.1


class Load:
    """One run: its exit code, its report, and what it complained of."""

    def __init__(self, target, *words, protocol="http"):
        command = [PROGRAM, "--json", "--target", target, "--protocol", protocol, "--warmup", "0", *words]
        ended = subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        self.status = ended.returncode
        self.err = ended.stderr
        self.report = json.loads(ended.stdout)

    def __getitem__(self, name):
        return self.report[name]

    def __repr__(self):
        return f"Load({self.status}, {self.report}, {self.err!r})"


class BenchTest(unittest.TestCase):
    def load(self, target, *words, status=0, protocol="http"):
        load = Load(target, *words, protocol=protocol)
        self.assertEqual(load.status, status, load)
        return load

    def planted(self, protocol="http", plant=None):
        server = Planted(protocol, plant)
        for number in range(100):
            server.values[f"{number:010}"] = b"\x81\xa1a\x01" if protocol == "wire" else b'{"a":1}'
        server.__enter__()
        self.addCleanup(server.__exit__)
        return server

    def each(self, measure, items=PROTOCOLS):
        """measure(item) of all items side by side; what they return, in order."""
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return list(pool.map(measure, items))


class TestStall(BenchTest):
    """A second in which the server does nothing."""

    def stalled(self, protocol, *words, at=301):
        def stall(server, _):
            if server.count == at:
                server.pause(STALL_S)

        server = self.planted(protocol, stall)
        return self.load(server.target, "--keys", "100", "--seconds", "2", *words, protocol=protocol)

    def test_it_is_in_the_figures_of_an_open_loop(self):
        for load in self.each(lambda protocol: self.stalled(protocol, "--rate", "1000", "--connections", "20")):
            latency = load["latency_us"]
            # Of 2,000 that are due 1,000 are due while nothing happens, and wait for what is left of it: one in ten of
            # all waits for longer than 0.8 s, one in three for longer than 0.3 s. A slow machine makes it more.
            self.assertEqual(load["config"]["mode"], "open")
            self.assertGreaterEqual(latency["max"], 0.99 * STALL_US, load)
            self.assertGreaterEqual(latency["p90"], 0.5 * STALL_US, load)
            self.assertGreaterEqual(latency["p99"], 0.8 * STALL_US, load)
            self.assertGreaterEqual(load["behind_max"], 500, load)

    def test_it_is_in_them_at_the_end_too(self):
        """Half a second is left when it begins: the 500 that were due then count, sent or not."""
        load = self.stalled("http", "--rate", "1000", "--connections", "20", at=1501)
        latency = load["latency_us"]
        self.assertGreaterEqual(latency["count"], 1900, load)
        self.assertGreaterEqual(latency["p90"], 0.1 * STALL_US, load)
        self.assertGreaterEqual(latency["p99"], 0.4 * STALL_US, load)
        self.assertIn("were due and not sent", load.err)

    def test_a_closed_loop_hides_all_but_one_answer(self):
        load = self.stalled("http", "--connections", "1", at=31)
        latency = load["latency_us"]
        self.assertEqual(load["config"]["mode"], "closed")
        self.assertGreaterEqual(latency["max"], STALL_US, load)
        self.assertGreaterEqual(latency["count"], 31, load)
        self.assertLess(latency["p90"], 0.5 * STALL_US, load)


class TestKinds(BenchTest):
    """The latency of each kind of a mix, where one of them is slow."""

    def test_a_slow_write_is_in_the_writes_latency_and_not_in_the_reads(self):
        def slow(server, request):
            if request.method == "PUT":
                server.pause(SLOW_S)

        def measure(protocol):
            server = self.planted(protocol)
            # One request at a time: none waits behind another.
            shape = ("--keys", "20", "--connections", "1", "--timeout-ms", "60000")
            self.load(server.target, "--load", *shape, protocol=protocol)
            server.plant = slow
            return self.load(server.target, *shape, "--seconds", "1", "--mix", "get=9,put=1", protocol=protocol)

        for load in self.each(measure):
            kinds = load["latency_us_by_kind"]
            self.assertEqual(list(kinds), ["get", "put"])
            self.assertGreaterEqual(kinds["put"]["min"], SLOW_S * 1e6, load)
            self.assertLess(kinds["get"]["p50"], kinds["put"]["min"], load)
            self.assertEqual(sum(kind["count"] for kind in kinds.values()), load["latency_us"]["count"])
            self.assertEqual(max(kind["max"] for kind in kinds.values()), load["latency_us"]["max"])

    def test_one_kind_alone_is_not_told_twice(self):
        self.assertNotIn("latency_us_by_kind", self.load(self.planted().target, "--keys", "100", "--seconds", "0.1").report)


class TestFailures(BenchTest):
    """What goes wrong ends with 1, is counted, and is told."""

    def failed(self, plant, *words, protocol="http"):
        server = self.planted(protocol, plant)
        return self.load(server.target, "--keys", "100", "--connections", "4", *words, status=1, protocol=protocol)

    def test_one_wrong_status_among_many(self):
        def wrong(server, request):
            return server.protocol.answer(request, 500, b"{}") if server.count == 5 else None

        for load in self.each(lambda protocol: self.failed(wrong, "--seconds", "0.5", protocol=protocol)):
            self.assertEqual((load["unexpected"], load["errors"], load["timeouts"]), (1, 0, 0), load)
            self.assertEqual([count for status, count in load["statuses"].items() if status >= "400"], [1], load)
            self.assertGreaterEqual(load["statuses"]["200"], 4, load)

    def test_a_server_that_dies_in_the_middle(self):
        def die(server, _):
            return DIE if server.count == 200 else None

        for loop in ((), ("--rate", "1000")):
            for load in self.each(lambda protocol: self.failed(die, "--seconds", "600", *loop, protocol=protocol)):
                self.assertGreaterEqual(load["errors"], 1, load)
                self.assertLess(load["elapsed_s"], 60, load)
                self.assertIn("Connection refused", load.err)

    def test_a_server_that_never_answers(self):
        shape = ("--connections", "4", "--seconds", "0.3", "--timeout-ms", "200")
        for loop in (("--keys", "100"), ("--keys", "100", "--rate", "100"), ("--load", "--keys", "8")):

            def measure(protocol):
                server = self.planted(protocol, lambda *_: SILENCE)
                return self.load(server.target, *shape, *loop, status=1, protocol=protocol)

            for load in self.each(measure):
                self.assertGreaterEqual(load["timeouts"], 4, load)
                self.assertEqual(load["operations"], 0, load)

    def test_one_answer_that_never_comes(self):
        def once(server, _):
            return SILENCE if server.count == 5 else None

        load = self.failed(once, "--seconds", "1", "--timeout-ms", "200")
        self.assertEqual((load["timeouts"], load["errors"], load["unexpected"]), (1, 0, 0), load)

    def test_an_answer_that_cannot_be_read(self):
        garbage = {"http": b"HTTP/1.1 2x0\r\n\r\n", "redis": b"?\r\n", "memcached": b"VALUE\r\n", "wire": b"\xff" * 16}

        def measure(protocol):
            def plant(server, _):
                return garbage[protocol] if server.count == 5 else None

            return self.failed(plant, "--seconds", "0.5", protocol=protocol)

        for load in self.each(measure):
            self.assertGreaterEqual(load["errors"], 1, load)
            self.assertIn("cannot be read", load.err)

    def test_an_answer_that_ends_early(self):
        def half(server, request):
            return server.protocol.answer(request, 200, b"{}", length=100) if server.count == 5 else None

        # What follows counts as the rest of it, so it is a timeout, or an answer that cannot be read.
        words = ("--seconds", "1", "--timeout-ms", "300")
        for load in self.each(lambda protocol: self.failed(half, *words, protocol=protocol)):
            self.assertGreaterEqual(load["timeouts"] + load["errors"], 1, load)

    def test_an_answer_that_nobody_asked_for(self):
        def twice(server, request):
            return 2 * server.right(request) if server.count == 5 else None

        load = self.failed(twice, "--seconds", "0.5", "--connections", "1")
        self.assertGreaterEqual(load["errors"], 1, load)
        self.assertIn("nothing asked for them", load.err)

    def test_nobody_is_there(self):
        port = support.free_ports(1)[0]
        load = self.load(f"127.0.0.1:{port}", "--seconds", "600", status=1)
        self.assertIn(f"127.0.0.1:{port}: Connection refused", load.err)


class TestAnswers(BenchTest):
    """A right status over the wrong body, among many answers that are right, with --check."""

    def checked(self, plant, status=1, words=("--check",)):
        """The run over each protocol, of records that a fill has written before."""
        shape = ("--keys", "50", "--connections", "2")

        def measure(protocol):
            server = self.planted(protocol)
            self.load(server.target, "--load", *shape, protocol=protocol)
            filled = server.count
            server.plant = lambda server, request: plant(server, request) if server.count == filled + 5 else None
            return self.load(server.target, *shape, "--seconds", "0.5", *words, status=status, protocol=protocol)

        return self.each(measure)

    def wrong(self, plant, says, words=("--check",)):
        for load in self.checked(plant, words=words):
            self.assertEqual((load["wrong"], load["unexpected"], load["errors"], load["timeouts"]), (1, 0, 0, 0), load)
            self.assertRegex(load.err, rf"bench_load: a wrong answer to get of key \d+: .*{says}")

    def test_all_right(self):
        for load in self.checked(lambda *_: None, status=0):
            self.assertEqual((load["wrong"], load["config"]["check"], load.err), (0, "content", ""), load)

    def test_the_body_of_another_record(self):
        def other(server, request):
            return server.found(request, next(value for key, value in server.values.items() if key != request.key))

        self.wrong(other, "contents that were not sent for this key")

    def test_one_letter_is_another(self):
        def letter(server, request):
            value = server.values[request.key]
            at = len(value) - 5
            return server.found(request, value[:at] + (b"x" if value[at : at + 1] != b"x" else b"y") + value[at + 1 :])

        self.wrong(letter, "contents that were not sent for this key")

    def test_half_a_body_that_is_whole_to_its_protocol(self):
        def half(server, request):
            value = server.values[request.key]
            if server.protocol is PROTOCOLS["wire"]:
                title = pack(unpack(value)[0]["title"])
                return server.found(request, b"\x81" + pack("title") + title)
            return server.found(request, value[:-100] + b'"}')

        self.wrong(half, "")
        self.wrong(half, "another length than the first", words=("--check=length",))
        self.wrong(half, "another length than the first", words=())

    def test_a_record_where_there_should_be_none(self):
        """Keys that were never written: 404 is right, and a 200 is wrong whatever it shows."""
        shape = ("--key-from", "1000", "--keys", "50", "--connections", "2", "--seconds", "0.5", "--check")

        def measure(item):
            protocol, right = item
            server = self.planted(protocol)
            self.load(server.target, "--load", "--keys", "1", "--connections", "1", protocol=protocol)
            (value,) = [value for key, value in server.values.items() if key == f"{0:010}"]
            server.values.clear()
            server.plant = lambda server, request: server.found(request, value) if server.count == 6 else None
            return self.load(server.target, *shape, "--expect-status", right, status=1, protocol=protocol)

        for load in self.each(measure, [(protocol, "404") for protocol in PROTOCOLS]):
            self.assertEqual((load["unexpected"], load["statuses"]["200"]), (1, 1), load)
        for load in self.each(measure, [(protocol, "200,404") for protocol in PROTOCOLS]):
            self.assertEqual((load["unexpected"], load["wrong"]), (0, 1), load)


class TestCounts(support.ServerTest):
    """Figures against those of the server."""

    arguments = ("--threads", "1", "--durability", "none")

    def answered(self, protocol):
        """How many requests for records the server has answered, by its own count."""
        text = self.request("GET", "/metrics").text
        if protocol == "http":
            rows = re.findall(r'freshet_http_requests_total{route="/products.*} (\d+)', text)
        else:
            rows = re.findall(r'freshet_wire_requests_total{opcode="(?!HELLO)\w+"} (\d+)', text)
        return sum(map(int, rows))

    def test_they_are_equal(self):
        mix = "get=50,put=20,rmw=10,insert=10,list=2,delete=3"
        shape = ("--keys", "300", "--connections", "5", "--pipeline", "3", "--expect-status", "200,201,204,404",
                 "--timeout-ms", "60000")
        for protocol in ("http", "wire"):
            target = self.server.ready[protocol]
            for words in (
                ("--load",),
                ("--seconds", "0.5", "--warmup", "0.2", "--mix", mix),
                ("--seconds", "0.5", "--warmup", "0.2", "--mix", mix, "--rate", "2000", "--threads", "2"),
            ):
                before = self.answered(protocol)
                load = Load(target, *shape, *words, protocol=protocol)
                # A machine that does much else may be late, which is told, and nothing else is.
                self.assertEqual((load.status, load.report["errors"] + load.report["wrong"]), (0, 0), load)
                self.assertEqual(self.answered(protocol) - before, load["answered"], load)
                self.assertGreaterEqual(load["answered"], sum(load["statuses"].values()), load)
            self.assertGreater(load["operations"], 0, load)


if __name__ == "__main__":
    unittest.main()
