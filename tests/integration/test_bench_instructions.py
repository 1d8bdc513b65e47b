"""Counts of instructions: the comparison with the baseline, the client in lockstep, a server whose clock goes by turns.

That the counts themselves are right is the part `instructions` of a test run, under valgrind.
"""

import contextlib
import io
import os
import pathlib
import sys
import unittest

import support

sys.path.insert(0, str(support.ROOT / "bench"))
from micro import callgrind, instructions, work  # noqa: E402
from micro.lockstep import Http, Wire  # noqa: E402
from harness.servers import BenchError  # noqa: E402

BUILD = pathlib.Path(os.environ.get("FRESHET_BUILD", support.ROOT / "build" / "release"))
TURNS = BUILD / "bench" / "bench_turns.so"


class TestComparison(unittest.TestCase):
    def wrong(self, counts, baseline, parts=("rest",)):
        self.printed = io.StringIO()
        with contextlib.redirect_stdout(self.printed):
            return instructions.compare(counts, baseline, parts)

    def test_a_rise_of_more_than_a_tenth_is_wrong(self):
        self.assertEqual(self.wrong({"rest: a": 110, "rest: b": 111}, {"rest: a": 100, "rest: b": 100}), ["rest: b"])
        self.assertIn("ROSE", self.printed.getvalue())

    def test_a_fall_is_not(self):
        self.assertEqual(self.wrong({"rest: a": 10}, {"rest: a": 100}), [])

    def test_what_only_one_side_has_is_wrong_but_not_what_was_not_asked_for(self):
        baseline = {"rest: gone": 1, "http: other": 1, "server, none: other": 1}
        self.assertEqual(self.wrong({"rest: new": 5}, baseline), ["rest: new", "rest: gone"])

    def test_the_baseline_has_each_part(self):
        record = instructions.json.loads(instructions.BASELINE.read_text("utf-8"))
        for part in work.PARTS:
            self.assertTrue(any(instructions.belongs(name, [part]) for name in record["counts"]), part)

    def test_the_line_of_a_series_is_read(self):
        line = "full, hit, in 16s, 300 bytes          best       2.1 ns  mean       2.4 ns  wall       4.3 ns  of 4096\n"
        self.assertEqual(work.SERIES.findall(f"a headline\n{line}result 12\n"), [("full, hit, in 16s, 300 bytes", "4096")])

    def test_what_is_no_dump_is_said(self):
        with self.assertRaisesRegex(BenchError, "no callgrind dump"):
            callgrind.total(__file__)

    def test_bad_lists_of_shards_are_refused(self):
        for text in ("", "0", "1,,2", "1,x", "257"):
            with self.assertRaises(instructions.argparse.ArgumentTypeError, msg=text):
                instructions.shard_list(text)
        self.assertEqual(instructions.shard_list("1,32"), [1, 32])


@unittest.skipUnless(BUILD.name == "release" and TURNS.exists(), "a library for the server as it is shipped")
class TestLockstep(unittest.TestCase):
    """Without valgrind: what is exchanged, and that a server with the preloaded library serves."""

    @classmethod
    def setUpClass(cls):
        cls.server = support.Server(["--durability", "none", "--threads", "1"])
        cls.server.command[:0] = ["env", f"LD_PRELOAD={TURNS}"]
        cls.server.start()
        cls.server.target, cls.server.wire = cls.server.ready["http"], cls.server.ready["wire"]

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"the server ended with {status}:\n{cls.server.log()}"

    def test_both_protocols_write_and_read_in_batches(self):
        for connect, target in ((Http, self.server.target), (Wire, self.server.wire)):
            with connect(target) as connection:
                connection.exchange([connection.put(number, number) for number in range(16)])
                connection.exchange([connection.get(number) for number in range(16)])
                self.assertEqual(connection.received, b"", "nothing is left over")

    def test_a_wrong_answer_ends_it(self):
        with Http(self.server.target) as connection, self.assertRaisesRegex(BenchError, "404"):
            connection.exchange([connection.get(999999)])
        with Wire(self.server.wire) as connection, self.assertRaisesRegex(BenchError, "404"):
            connection.exchange([connection.get(999999)])

    def test_a_subscriber_is_told_each_change_once(self):
        with Wire(self.server.wire) as writer, Wire(self.server.wire) as subscriber:
            subscriber.subscribe()
            for first in (100, 116):
                writer.exchange([writer.put(number, number) for number in range(first, first + 16)])
                subscriber.changes(16)
            self.assertEqual(subscriber.received.count(b"\xa9eventName"), 0, "no more than were written")


if __name__ == "__main__":
    unittest.main()
