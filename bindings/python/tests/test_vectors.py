"""The vectors that all bindings run: tests/conformance/vectors."""

import json
import unittest
import warnings

import support

import freshet
from freshet import _codec, _core, _frames, freshet_pb2 as pb
from freshet import _operations as ops

FOLDER = support.ROOT / "tests" / "conformance" / "vectors"


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


class Vectors(unittest.TestCase):
    def test_what_a_server_sends_is_read_wherever_it_is_cut(self):
        for vector in load("answers") + [one for one in load("control") if one["from"] == "server"]:
            data = bytes.fromhex(vector["hex"])
            for cut in range(len(data)):
                reader = _frames.FrameReader()
                self.assertEqual(list(reader.feed(data[:cut])), [], vector["name"])
                [frame] = reader.feed(data[cut:])
            for name in ("opcode", "flags", "code", "id"):
                self.assertEqual(getattr(frame, name), vector[name], vector["name"])
            if "json" in vector:
                self.assertEqual(freshet.dumps(_codec.unpack(frame.body)), vector["json"], vector["name"])
            elif "message" in vector:
                message = _codec.parse(getattr(pb, vector["message"]), frame.body)
                for name in vector["fields"]:
                    self.assertTrue(hasattr(message, name), vector["name"])

    def test_requests_are_written_byte_for_byte(self):
        for vector in load("requests"):
            if "longest forms" in vector["name"]:
                continue  # right as well, but not what this client writes
            body = _codec.pack(freshet.loads(vector["json"]))
            data = _frames.encode(vector["opcode"], vector["id"], body, checked=bool(vector["flags"] & 2))
            expected = bytearray.fromhex(vector["hex"])
            expected[5] &= ~_frames.FLAG_JSON  # this client sends MessagePack
            self.assertEqual(data.hex(), expected.hex(), vector["name"])

    def test_what_is_hostile_is_a_protocol_error(self):
        warnings.simplefilter("ignore", RuntimeWarning)
        for vector in load("hostile"):
            with self.subTest(vector["name"]):
                core = _core.Core()
                core.connected(0.0)
                core.receive(support.welcome(1), 0.0)
                core._last_id = 0
                request = _core.Request(ops.Get("products", "42"))
                core.submit(request)
                self.assertEqual(request.id, 1)
                try:
                    core.receive(bytes.fromhex(vector["hex"]), 0.0)
                except freshet.ProtocolError:
                    continue
                self.assertIsInstance(request.error, freshet.ProtocolError)


if __name__ == "__main__":
    unittest.main()
