"""Frames against a real server, byte by byte: what it refuses and how, frames in pieces, frames that never end."""

import json
import pathlib
import socket
import struct
import sys
import time
import unittest

import plain_client

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "integration"))
import frames  # noqa: E402
import support  # noqa: E402

HEADER = struct.Struct(">IBBHII")
HELLO_ID, PROBE_ID = 0x7FFFFFF0, 0x7FFFFFF1
PIECE_PAUSE_S = 0.0005
QUIET_S = 0.3


def load(name):
    return json.loads((FOLDER / "vectors" / f"{name}.json").read_text("utf-8"))


def frame(opcode, body, request):
    return HEADER.pack(len(body), opcode, 0, 0, request, 0) + body


HELLO = frame(plain_client.HELLO, plain_client.encode("Hello", versions=[1], features=["json", "invalidate"]), HELLO_ID)
PING = frame(plain_client.PING, b"still there", PROBE_ID)


class Raw:
    """A connection that sends what it is given and reads whole frames."""

    def __init__(self, port, hello=True):
        self.socket = socket.create_connection(("127.0.0.1", port), support.REQUEST_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""
        if hello:
            self.socket.sendall(HELLO)
            welcome = self.frame()
            assert welcome[1:4] == (plain_client.HELLO | 0x80, 0, 200), welcome

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # what was answered is still to be read

    def frame(self):
        """(length, opcode, flags, code, id, body); None at the end of the connection."""
        while len(self.received) < 16 or len(self.received) < 16 + HEADER.unpack_from(self.received)[0]:
            try:
                piece = self.socket.recv(65536)
            except ConnectionResetError:
                piece = b""
            if piece == b"":
                return None
            self.received += piece
        length, opcode, flags, code, request, _ = HEADER.unpack_from(self.received)
        body, self.received = self.received[16 : 16 + length], self.received[16 + length :]
        return length, opcode, flags, code, request, body

    def frame_of(self, request):
        while (found := self.frame()) is not None and found[4] != request:
            pass
        return found


class WireTest(support.ServerTest):
    @property
    def wire(self):
        return int(self.server.ready["wire"].rpartition(":")[2])


class TestRefused(WireTest):
    """vectors/refused.json"""

    def check(self, vector):
        with Raw(self.wire, not vector["first"]) as raw:
            data = bytes.fromhex(vector["hex"])
            raw.send(data)
            if not vector["closes"]:
                raw.send(PING)
            answer = raw.frame()
            self.assertIsNotNone(answer, "closed without a word")
            _, opcode, _, code, request, body = answer
            self.assertEqual(opcode, plain_client.ERROR)
            self.assertEqual(code, vector["status"])
            error = plain_client.decode("Error", body)
            self.assertEqual(error["status"], code)
            self.assertGreater(len(error["detail"]), 5)
            if vector["closes"]:
                # A frame that cannot be told from others is nobody's; a HELLO that can be read has its id.
                self.assertIn(request, (0, HEADER.unpack_from(data)[4]) if vector["first"] else (0,))
                self.assertIsNone(raw.frame(), "the connection goes on")
            else:
                self.assertEqual(request, HEADER.unpack_from(data)[4])
                self.assertEqual(raw.frame()[1], plain_client.PING | 0x80)

    def test_each_is_answered_with_its_code_and_the_connection_ends_or_goes_on(self):
        for vector in load("refused"):
            with self.subTest(vector["name"]):
                self.check(vector)

    def test_nothing_of_it_was_kept(self):
        self.assertEqual(self.request("GET", "/pets").json, [])

    def test_the_id_0_is_the_servers_own(self):
        with Raw(self.wire) as raw:
            raw.send(frame(plain_client.GET, plain_client.pack(["pets", "rex"]), 0))
            self.assertEqual(raw.frame()[3], 400)

    def test_a_second_hello_is_400(self):
        with Raw(self.wire) as raw:
            raw.send(HELLO)
            self.assertEqual(raw.frame()[3], 400)
            raw.send(PING)
            self.assertEqual(raw.frame()[1], plain_client.PING | 0x80)


class TestTaken(WireTest):
    """vectors/requests.json and control.json: every one is understood."""

    def test_each_request_is_answered_under_its_id(self):
        for vector in [*load("requests"), *load("control")]:
            if vector["from"] != "client" or vector["opcode_name"] in ("HELLO", "CREDIT"):
                continue
            with self.subTest(vector["name"]), Raw(self.wire) as raw:
                raw.send(bytes.fromhex(vector["hex"]))
                _, opcode, flags, code, _, body = raw.frame_of(vector["id"])
                if opcode == plain_client.ERROR:
                    # What it asks for may not be there, nor the position; that it was understood is all.
                    error = plain_client.decode("Error", body)
                    self.assertTrue(code in (404, 410, 412) or "position" in error["detail"], error)
                    continue
                self.assertEqual(opcode, vector["opcode"] | 0x80)
                self.assertIn(code, (200, 201, 304, 404))
                is_data = opcode & 0x7F <= plain_client.BATCH
                self.assertEqual(flags & plain_client.JSON, vector["flags"] & plain_client.JSON if is_data else 0)

    def test_hello_of_each_kind_is_welcomed(self):
        for vector in load("control"):
            if vector["opcode_name"] == "HELLO" and vector["from"] == "client" and "credentials" not in vector["name"]:
                with self.subTest(vector["name"]), Raw(self.wire, False) as raw:
                    raw.send(bytes.fromhex(vector["hex"]))
                    _, opcode, _, code, _, body = raw.frame()
                    self.assertEqual((opcode, code), (plain_client.HELLO | 0x80, 200))
                    welcome = plain_client.decode("Welcome", body)
                    self.assertEqual(welcome["version"], 1)
                    asked = vector["fields"].get("features", [])
                    self.assertEqual(set(welcome["features"]), {"checked", "json", "invalidate"} & set(asked))
                    self.assertEqual(len(welcome["store"]), 16)

    def test_with_checked_every_frame_after_welcome_has_a_checksum(self):
        client = plain_client.Client("127.0.0.1", self.wire, ["checked"])
        self.addCleanup(client.socket.close)
        client.data(plain_client.PUT, "pets", "checked", {"n": 1})
        client.send(plain_client.GET, plain_client.pack(["pets", "checked"]))
        while len(client.received) < 16:
            client.received += client.socket.recv(65536)
        self.assertEqual(client.received[5] & plain_client.CHECKED, plain_client.CHECKED)

    def test_who_waits_for_the_last_answer_first_gets_all_of_them(self):
        client = plain_client.Client("127.0.0.1", self.wire)
        self.addCleanup(client.socket.close)
        ids = [f"waited-{number}" for number in range(10)]
        sent = [client.send(plain_client.PUT, plain_client.pack(["pets", one, {}])) for one in ids]
        for request, one in reversed(list(zip(sent, ids))):
            code, body = client.wait(request, plain_client.PUT | 0x80, support.REQUEST_TIMEOUT_S)
            self.assertEqual((code, frames.unpack(body)[0][3]), (201, one))
        self.assertEqual(client.frames, [])


class TestPieces(WireTest):
    """Half frames at every byte."""

    FRAMES = ("GET", "PUT", "MGET", "LIST", "BATCH", "CREATE", "SUBSCRIBE to all", "PING", "CONSUMER: get")

    def vectors(self):
        found = {vector["name"]: vector for vector in [*load("requests"), *load("control")]}
        return [found[name] for name in self.FRAMES]

    def test_a_frame_cut_in_two_at_every_byte_is_answered_as_a_whole_one(self):
        for vector in self.vectors():
            data = bytes.fromhex(vector["hex"])
            with self.subTest(vector["name"]):
                for place in range(1, len(data)):
                    with Raw(self.wire) as raw:
                        raw.send(data[:place])
                        time.sleep(PIECE_PAUSE_S)  # pause between tries: two packets, not one
                        raw.send(data[place:])
                        answer = raw.frame_of(vector["id"])
                        self.assertIsNotNone(answer, f"cut at {place}")
                        self.assertIn(answer[3], (200, 201, 404), f"cut at {place}")

    def test_frames_that_come_byte_by_byte(self):
        data = b"".join(bytes.fromhex(vector["hex"]) for vector in self.vectors()[:2]) + PING
        with Raw(self.wire) as raw:
            for place in range(len(data)):
                raw.send(data[place : place + 1])
            self.assertIsNotNone(raw.frame_of(PROBE_ID))

    def test_who_goes_in_the_middle_of_a_frame_leaves_nothing_behind(self):
        for vector in self.vectors():
            data = bytes.fromhex(vector["hex"])
            for place in range(1, len(data)):
                with Raw(self.wire) as raw:
                    raw.send(data[:place])
        self.put("/pets/after", {"n": 1})
        with Raw(self.wire) as raw:
            raw.send(PING)
            self.assertEqual(raw.frame()[1], plain_client.PING | 0x80)

    def test_many_frames_in_one_send_are_all_answered(self):
        body = plain_client.pack(["pets", "many"])
        with Raw(self.wire) as raw:
            raw.send(b"".join(frame(plain_client.GET, body, request) for request in range(1, 3001)))
            answered = {raw.frame()[4] for _ in range(3000)}
        self.assertEqual(answered, set(range(1, 3001)))

    def test_a_body_of_the_longest_length_is_read_whole(self):
        filling = b"\xc0" * ((8 << 20) - 1)
        with Raw(self.wire) as raw:
            raw.send(frame(plain_client.GET, b"\x92" + filling, 9))
            raw.send(PING)
            self.assertEqual(raw.frame()[3:5], (400, 9))
            self.assertEqual(raw.frame()[1], plain_client.PING | 0x80)


class TestPings(WireTest):
    """429: a PING waits while the invalidations before it have no room, and no more than 16 of them do."""

    def pings(self):
        name = 'freshet_wire_requests_total{opcode="PING"} '
        lines = self.request("GET", "/metrics").text.splitlines()
        return sum(int(line[len(name) :]) for line in lines if line.startswith(name))

    def test_one_more_than_may_wait_is_429_and_the_others_are_answered(self):
        ids = range(100, 117)
        with Raw(self.wire) as raw:
            raw.send(frame(frames.SUBSCRIBE, frames.encode("Subscribe", collection="pets", credit=1000000), 1))
            raw.send(frame(frames.SUBSCRIBE, frames.encode("Subscribe", invalidate=True), 2))
            self.assertEqual(raw.frame_of(1)[3], 200)
            self.assertEqual(raw.frame_of(2)[3], 200)
            # 24 MB of changes, which nobody reads: more than what sockets hold, so that nothing goes out behind them.
            for n in range(24):
                self.put("/pets/large", {"n": n, "text": "x" * 500000})
            raw.send(b"".join(frame(frames.PING, b"", request) for request in ids))
            support.eventually(lambda: self.pings() == len(ids))
            answers = {}
            while len(answers) < len(ids):
                _, opcode, _, code, request, body = raw.frame()
                if request in ids:
                    answers[request] = (opcode, code, body)
        opcode, code, body = answers.pop(ids[-1])
        self.assertEqual((opcode, code), (frames.ERROR, 429))
        self.assertIn("16 PINGs", frames.decode("Error", body)["detail"])
        self.assertEqual(set(answers.values()), {(frames.PING | 0x80, 200, b"")})


class TestCredit(WireTest):
    """Credit exhaustion: no more comes than there is credit for, and then the rest."""

    def test_no_change_comes_without_credit(self):
        with frames.Wire(self.server) as wire:
            pets = wire.subscribe(collection="pets", credit=3)
            for number in range(10):
                self.put("/pets/credit", {"n": number})
            self.assertEqual(len(wire.changes(pets, 3)), 3)
            wire.quiet(pets, QUIET_S)
            wire.credit(pets, 4)
            self.assertEqual(len(wire.changes(pets, 4)), 4)
            wire.quiet(pets, QUIET_S)
            wire.credit(pets, 0xFFFFFFFF)
            self.assertEqual(len(wire.changes(pets, 3)), 3)
            wire.credit(pets, 0xFFFFFFFF)
            self.put("/pets/credit", {"n": -1})
            self.assertEqual(len(wire.changes(pets, 1)), 1)

    def test_credit_for_what_has_ended_is_passed_over(self):
        with Raw(self.wire) as raw:
            raw.send(frame(plain_client.CREDIT, plain_client.encode("Credit", changes=5), 77))
            raw.send(PING)
            self.assertEqual(raw.frame()[1], plain_client.PING | 0x80)


if __name__ == "__main__":
    unittest.main()
