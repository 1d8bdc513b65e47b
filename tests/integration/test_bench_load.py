"""bench_load, the load generator, against servers that misbehave on purpose and against Freshet itself."""

import concurrent.futures
import json
import os
import pathlib
import re
import subprocess
import unittest

import support
from planted import DIE, PROTOCOLS, SILENCE, Planted

BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", support.ROOT / "build" / "release"))
PROGRAM = BUILD / "bench" / "bench_load"
TIMEOUT_S = 60
STALL_S = 1
STALL_US = STALL_S * 1e6


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


class TestStall(BenchTest):
    """A second in which the server does nothing."""

    def stalled(self, protocol, *words):
        def stall(server, _):
            if server.count == 301:
                server.pause(STALL_S)

        server = self.planted(protocol, stall)
        return self.load(server.target, "--keys", "100", "--seconds", "2", *words, protocol=protocol)

    def test_it_is_in_the_figures_of_an_open_loop(self):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            loads = list(pool.map(lambda protocol: self.stalled(protocol, "--rate", "1000", "--connections", "20"), PROTOCOLS))
        for load in loads:
            latency = load["latency_us"]
            # Of 2,000 that are due 1,000 are due while nothing happens, and wait for what is left of it: one in ten of
            # all waits for longer than 0.8 s, one in three for longer than 0.3 s. A slow machine makes it more.
            self.assertEqual(load["config"]["mode"], "open")
            self.assertGreaterEqual(latency["max"], 0.99 * STALL_US, load)
            self.assertGreaterEqual(latency["p90"], 0.5 * STALL_US, load)
            self.assertGreaterEqual(latency["p99"], 0.8 * STALL_US, load)
            self.assertGreaterEqual(load["behind_max"], 500, load)

    def test_a_closed_loop_hides_all_but_one_answer(self):
        load = self.stalled("http", "--connections", "1")
        latency = load["latency_us"]
        self.assertEqual(load["config"]["mode"], "closed")
        self.assertGreaterEqual(latency["max"], STALL_US, load)
        self.assertGreaterEqual(latency["count"], 300, load)
        self.assertLess(latency["p99"], 0.5 * STALL_US, load)


class TestFailures(BenchTest):
    """What goes wrong ends with 1, is counted, and is told."""

    def failed(self, plant, *words, protocol="http"):
        server = self.planted(protocol, plant)
        return self.load(server.target, "--keys", "100", "--connections", "4", *words, status=1, protocol=protocol)

    def test_one_wrong_status_among_many(self):
        def wrong(server, request):
            return server.protocol.answer(request, 500, b"{}") if server.count == 50 else None

        for protocol in PROTOCOLS:
            load = self.failed(wrong, "--seconds", "0.5", protocol=protocol)
            self.assertEqual((load["unexpected"], load["errors"], load["timeouts"]), (1, 0, 0), load)
            self.assertEqual([count for status, count in load["statuses"].items() if status >= "400"], [1], load)
            self.assertGreater(load["statuses"]["200"], 50, load)

    def test_a_server_that_dies_in_the_middle(self):
        for protocol in PROTOCOLS:
            for loop in ((), ("--rate", "1000")):
                load = self.failed(
                    lambda server, _: DIE if server.count == 200 else None, "--seconds", "600", *loop, protocol=protocol
                )
                self.assertGreaterEqual(load["errors"], 1, load)
                self.assertLess(load["elapsed_s"], 60, load)
                self.assertIn("Connection refused", load.err)

    def test_a_server_that_never_answers(self):
        for protocol in PROTOCOLS:
            for loop in (("--keys", "100"), ("--keys", "100", "--rate", "100"), ("--load", "--keys", "8")):
                server = self.planted(protocol, lambda *_: SILENCE)
                words = ("--connections", "4", "--seconds", "0.3", "--timeout-ms", "200", *loop)
                load = self.load(server.target, *words, status=1, protocol=protocol)
                self.assertGreaterEqual(load["timeouts"], 4, load)
                self.assertEqual(load["operations"], 0, load)

    def test_one_answer_that_never_comes(self):
        def once(server, _):
            return SILENCE if server.count == 50 else None

        load = self.failed(once, "--seconds", "1", "--timeout-ms", "200")
        self.assertEqual((load["timeouts"], load["errors"], load["unexpected"]), (1, 0, 0), load)

    def test_an_answer_that_cannot_be_read(self):
        for protocol, bytes_of in (("http", b"HTTP/1.1 2x0 OK\r\n\r\n"), ("redis", b"?what\r\n"), ("wire", b"\xff" * 16)):
            load = self.failed(
                lambda server, _: bytes_of if server.count == 50 else None, "--seconds", "0.5", protocol=protocol
            )
            self.assertGreaterEqual(load["errors"], 1, load)
            self.assertIn("cannot be read", load.err)

    def test_an_answer_that_ends_early(self):
        def half(server, request):
            return server.protocol.answer(request, 200, b"{}", length=100) if server.count == 50 else None

        for protocol in PROTOCOLS:
            # What follows counts as the rest of it, so it is a timeout, or an answer that cannot be read.
            load = self.failed(half, "--seconds", "1", "--timeout-ms", "300", protocol=protocol)
            self.assertGreaterEqual(load["timeouts"] + load["errors"], 1, load)

    def test_an_answer_that_nobody_asked_for(self):
        def twice(server, request):
            return 2 * server.right(request) if server.count == 50 else None

        load = self.failed(twice, "--seconds", "0.5", "--connections", "1")
        self.assertGreaterEqual(load["errors"], 1, load)
        self.assertIn("nothing asked for them", load.err)

    def test_nobody_is_there(self):
        port = support.free_ports(1)[0]
        load = self.load(f"127.0.0.1:{port}", "--seconds", "600", status=1)
        self.assertIn(f"127.0.0.1:{port}: Connection refused", load.err)


class TestCounts(support.ServerTest):
    """Figures against those of the server."""

    arguments = ("--threads", "1", "--durability", "none")

    def answered(self, protocol):
        """How many requests for records the server has answered, by its own count."""
        text = self.request("GET", "/metrics").text
        if protocol == "http":
            rows = re.findall(r'freshet_http_requests_total{route="/products/.*} (\d+)', text)
        else:
            rows = re.findall(r'freshet_wire_requests_total{opcode="(?:GET|PUT)"} (\d+)', text)
        return sum(map(int, rows))

    def test_they_are_equal(self):
        for protocol in ("http", "wire"):
            target = self.server.ready[protocol]
            before = self.answered(protocol)
            fill = Load(target, "--load", "--keys", "777", "--connections", "5", "--pipeline", "3", protocol=protocol)
            self.assertEqual((fill.status, fill["operations"]), (0, 777), fill)
            self.assertEqual(self.answered(protocol) - before, 777)


if __name__ == "__main__":
    unittest.main()
