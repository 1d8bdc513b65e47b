"""Half frames for each client: the connection is cut at every byte of a request and of an answer; and servers that send what is none.

Cuts are tried in a random order (the seed is printed; FRESHET_SEED takes it back) for so long as BUDGET_S allows, at least LEAST of
them; a binding that connects again quickly is cut at every byte.
"""

import json
import os
import pathlib
import random
import socket
import struct
import threading
import time
import unittest

import run
from proxy import TO_CLIENT, TO_SERVER

FOLDER = pathlib.Path(__file__).resolve().parent
SEED = int(os.environ.get("FRESHET_SEED", "0")) or random.SystemRandom().randrange(1, 1 << 31)
BUDGET_S = float(os.environ.get("FRESHET_CUT_SECONDS", "6"))
LEAST = 10
TIMEOUT_MS = 45000  # less than the runner waits for an answer
HEADER = struct.Struct(">IBBHII")
HELLO, GET, SUBSCRIBE = 0x40, 0x01, 0x41


def load(name):
    return json.loads((FOLDER / "vectors" / f"{name}.json").read_text("utf-8"))


class Cuts:
    """The tests of one driver; subclasses name it."""

    driver = None

    @classmethod
    def setUpClass(cls):
        print(f"seed {SEED}")
        cls.world = run.World(cls.driver)

    @classmethod
    def tearDownClass(cls):
        cls.world.close()

    def setUp(self):
        self.world.begin()
        self.ok("connect", url=self.world.url, timeout_ms=TIMEOUT_MS)

    def ask(self, operation, **members):
        return self.world.driver.ask(operation, **members)

    def ok(self, operation, **members):
        answer = self.ask(operation, **members)
        self.assertIn("ok", answer, f"{operation} {members}")
        return answer["ok"]

    def bytes_of(self, direction, attempt):
        """How many bytes pass in this direction while it runs."""
        self.world.proxy.clear()
        before = self.world.proxy.passed[direction]
        attempt()
        return self.world.proxy.passed[direction] - before

    def cut_everywhere(self, direction, size, attempt):
        places = list(range(size + 1))
        random.Random(SEED).shuffle(places)
        until, done = time.monotonic() + BUDGET_S, 0
        for place in places:
            if time.monotonic() > until and done >= LEAST:
                break
            self.world.proxy.cut_after(direction, place)
            try:
                attempt(place)
            except AssertionError as error:
                raise AssertionError(f"cut after byte {place} of {size} {direction}: {error}") from error
            self.world.proxy.clear()
            done += 1
        print(f"{self.driver}: {done} of {size + 1} cuts {direction}")

    def test_a_get_that_is_cut_is_asked_again(self):
        self.ok("put", collection="pets", id="cut-get", document='{"n":1,"text":"abc"}')

        def get(_=None):
            record = self.ok("get", collection="pets", id="cut-get")["record"]
            self.assertEqual(json.loads(record), {"id": "cut-get", "n": 1, "text": "abc"})

        for direction in (TO_CLIENT, TO_SERVER):
            self.cut_everywhere(direction, self.bytes_of(direction, get), get)

    def test_a_put_that_is_cut_is_kept_or_not_and_said_to_be_only_when_it_is(self):
        state = {"n": 0}

        def put(number):
            return self.ask("put", collection="pets", id="cut-put", document=json.dumps({"n": number}))

        def attempt(_):
            before, wanted = state["n"], state["n"] + 1
            answer = put(wanted)
            if "ok" not in answer:
                error = answer["error"]
                self.assertTrue(error["code"] == 0 or error["type"] == "outcome-unknown", error)
            # The server may still be at it where the client was told nothing; a write behind it settles that.
            self.world.proxy.clear()
            record = json.loads(self.ok("get", collection="pets", id="cut-put")["record"])
            self.assertIn(record["n"], (wanted,) if "ok" in answer else (before, wanted))
            for _ in range(100):
                answer = put(wanted + 1)
                if "ok" in answer:
                    break
            self.assertIn("ok", answer)
            state["n"] = wanted + 1

        self.assertIn("ok", put(0))
        for direction in (TO_CLIENT, TO_SERVER):
            self.cut_everywhere(direction, self.bytes_of(direction, lambda: put(state["n"])), attempt)

    def test_changes_that_are_cut_come_once_and_in_order(self):
        self.ok("subscribe", name="s", collection="products")
        state = {"n": 0, "sequence": 0}

        def change(_=None):
            state["n"] += 1
            body = {"title": "cut", "price": state["n"]}
            self.assertIn(self.world.rest.request("PUT", "/products/cut", body).status, (200, 201))
            (found,) = self.ok("next", name="s", count=1, timeout_ms=TIMEOUT_MS)["changes"]
            self.assertEqual(json.loads(found["new_image"])["price"], state["n"])
            self.assertGreater(found["sequence"], state["sequence"])
            state["sequence"] = found["sequence"]

        change()
        self.cut_everywhere(TO_CLIENT, self.bytes_of(TO_CLIENT, change), change)
        self.assertEqual(self.ok("next", name="s", count=1, timeout_ms=300)["changes"], [])

    def test_a_subscribe_that_is_cut_is_made_again(self):
        def subscribe(_=None):
            self.ok("subscribe", name="again", collection="pets")
            self.world.proxy.clear()
            self.ok("unsubscribe", name="again")

        self.cut_everywhere(TO_CLIENT, 60, subscribe)


class HostileServer:
    """Welcomes, answers the first request with the frame it was given, and later ones that there is no such record."""

    def __init__(self, frame):
        self.frame = frame
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        welcome = next(vector for vector in load("control") if vector["name"] == "WELCOME")
        self.welcome = bytes.fromhex(welcome["hex"])
        self.absent = bytes.fromhex(next(one for one in load("answers") if one["name"] == "GET: 404")["hex"])
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _read(connection, size):
        data = b""
        while len(data) < size:
            piece = connection.recv(size - len(data))
            if not piece:
                raise ConnectionError
            data += piece
        return data

    def _serve(self, connection):
        with connection:
            try:
                while True:
                    header = self._read(connection, 16)
                    length, opcode = struct.unpack_from(">IB", header)
                    self._read(connection, length)
                    if opcode == HELLO:
                        self._answer(connection, self.welcome, header)
                    elif opcode == GET:
                        frame, self.frame = self.frame, None
                        self._answer(connection, frame or self.absent, header)
            except OSError:
                pass

    @staticmethod
    def _answer(connection, frame, request):
        connection.sendall(frame[:8] + request[8:12] + frame[12:])

    def close(self):
        self.listener.close()


class Hostile:
    """vectors/hostile.json: the driver lives, and no record comes of it."""

    driver = None

    def test_what_is_no_frame_is_an_error_of_the_clients_own(self):
        driver = run.Driver(self.driver)
        self.addCleanup(driver.close)
        for vector in load("hostile"):
            with self.subTest(vector["name"]):
                server = HostileServer(bytes.fromhex(vector["hex"]))
                self.addCleanup(server.close)
                connected = driver.ask("connect", url=f"freshet://127.0.0.1:{server.port}", timeout_ms=1500)
                self.assertEqual(connected, {"ok": {}})
                answer = driver.ask("get", collection="pets", id="rex")
                if "ok" in answer:
                    self.assertIsNone(answer["ok"]["record"], "a record out of nothing")
                else:
                    self.assertIn(answer["error"]["code"], (0, 400), answer)
                # The next one is answered as it should be: over another connection, if need be.
                self.assertIsNone(driver.ask("get", collection="pets", id="rex")["ok"]["record"])


for name in ("c", "python", "node"):
    globals()[f"Cuts_{name}"] = type(f"Cuts_{name}", (Cuts, unittest.TestCase), {"driver": name})
    globals()[f"Hostile_{name}"] = type(f"Hostile_{name}", (Hostile, unittest.TestCase), {"driver": name})
del name

if __name__ == "__main__":
    unittest.main()
