"""What tests over the binary protocol share: a connection for each, what an ERROR must say, a metric, a position."""

import re
import time

import frames
import support
from frames import decode


class WireTest(support.ServerTest):
    def setUp(self):
        super().setUp()
        self.wire = self.open()

    def open(self, **options):
        wire = frames.Wire(self.server, **options)
        self.addCleanup(wire.close)
        return wire

    def error(self, frame, status, words=""):
        self.assertEqual(frame.opcode, frames.ERROR, frame)
        error = decode("Error", frame.body)
        self.assertEqual(frame.code, status, error)
        self.assertEqual(error["status"], status, error)
        self.assertIn(words, error["detail"])
        return error

    def metric(self, name):
        found = re.search(rf"(?m)^{re.escape(name)} (\S+)$", self.request("GET", "/metrics").text)
        return 0 if found is None else float(found.group(1))

    def position(self):
        """Of all that has been written."""
        return self.put("/pets/position", {"n": time.monotonic_ns()}).headers["freshet-position"]
