"""kill -9 at random instants, again and again on one data folder: nothing acknowledged is lost.

Clients write over several connections, many requests at a time, until the server is killed under them. It is started
again, with other threads, durability and sizes, and everything it has is compared with what it had acknowledged: records
and ETags, lists, index pages, positions, and creations that are repeated under their Idempotency-Key. What was under way
may have happened or not, but only whole.

FRESHET_CRASH_SEED and FRESHET_CRASH_ROUNDS repeat or lengthen a run.
"""

import dataclasses
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import support  # noqa: E402

ROUNDS = int(os.environ.get("FRESHET_CRASH_ROUNDS", "50"))
SEED = int(os.environ.get("FRESHET_CRASH_SEED", str(random.SystemRandom().randrange(1 << 32))))
CLIENTS = 4
BATCH_MAX = 12
KEYS_EACH = 60
RECORDS_EACH_MAX = 150
CHECK_EVERY = 5
REPEATED_KEYS = 8
LIFE_S = (0.02, 0.7)
STARTUP_KILL_S = 0.12
CATEGORIES = [f"shelf {number}" for number in range(6)]


@dataclasses.dataclass
class Operation:
    """A write that was sent. `after` is the document that it leaves (None: no record)."""

    method: str
    key: str = None  # None: a creation
    body: dict = None
    after: dict = None
    idempotency_key: str = None

    def request(self):
        path = "/products" if self.key is None else f"/products/{self.key}"
        head = f"{self.method} {path} HTTP/1.1\r\nHost: localhost\r\n"
        if self.idempotency_key:
            head += f"Idempotency-Key: {self.idempotency_key}\r\n"
        if self.body is None:
            return (head + "\r\n").encode()
        body = json.dumps(self.body).encode()
        return (head + f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode() + body


@dataclasses.dataclass
class State:
    """What is known of one key: the document (None: no record) and its ETag."""

    document: dict = None
    etag: str = None


class Writer:
    """One connection, its keys, and what it was told. Lives through all rounds."""

    def __init__(self, number, seed):
        self.number = number
        self.random = random.Random(seed)
        self.states = {f"{number}-{key}": State() for key in range(KEYS_EACH)}
        self.serial = 0
        self.under_way = []
        self.created = {}  # Idempotency-Key -> (body, first answer's id and ETag)
        self.position = None
        self.epochs = set()  # of this life's ETags
        self.faults = []
        self.acknowledged = 0
        self.refused = 0

    # ---- writing ----

    def document(self):
        self.serial += 1
        filler = "x" * self.random.choice([0, 10, 300, 3000])
        return {"title": f"{self.number}/{self.serial}", "description": filler, "price": self.serial,
                "category": self.random.choice(CATEGORIES)}

    def creation(self):
        document = self.document()
        key = f"key-{self.number}-{self.serial}" if self.random.random() < 0.6 else None
        return Operation("POST", None, document, document, key)

    def change(self, key):
        state = self.states[key]
        roll = self.random.random()
        if roll < 0.25 and state.document is not None:
            patch = {"title": self.document()["title"]}
            if self.random.random() < 0.5:
                patch["category"] = self.random.choice(CATEGORIES)
            return Operation("PATCH", key, patch, {**state.document, **patch})
        if roll < (0.6 if len(self.states) > RECORDS_EACH_MAX else 0.4):
            return Operation("DELETE", key)
        document = self.document()
        return Operation("PUT", key, document, document)

    def batch(self):
        """Writes of different keys: then each has one outcome that can be told."""
        count = self.random.randint(1, BATCH_MAX)
        keys = self.random.sample(sorted(self.states), count)
        return [self.creation() if self.random.random() < 0.2 else self.change(key) for key in keys]

    def run(self, port):
        try:
            with socket.create_connection(("127.0.0.1", port), support.REQUEST_TIMEOUT_S) as connection:
                while not self.faults:
                    self.under_way = self.batch()
                    connection.sendall(b"".join(operation.request() for operation in self.under_way))
                    if not self.read_answers(connection):
                        return
        except (ConnectionError, BrokenPipeError):
            return
        except Exception as error:  # pylint: disable=broad-except
            self.faults.append(f"writer {self.number}: {error!r}")

    def read_answers(self, connection):
        """False when the server went away; what was answered by then is no longer under way."""
        data = b""
        while self.under_way:
            try:
                piece = connection.recv(1 << 18)
            except ConnectionResetError:
                return False
            if piece == b"":
                return False
            answers, data = support.read_answers(data + piece)
            for answer in answers:
                self.answered(self.under_way.pop(0), answer)
        return True

    def answered(self, operation, answer):
        if answer.status == 503:
            self.refused += 1
            if b"outcome-unknown" in answer.body:
                self.faults.append(f"{operation}: {answer}")
            return
        before = None if operation.key is None else self.states[operation.key].document
        expected = {"POST": 201, "PUT": 200 if before is not None else 201}.get(operation.method, 200)
        if answer.status != expected:
            self.faults.append(f"{operation} on {before}: {answer}")
            return
        self.acknowledged += 1
        self.position = answer.headers["freshet-position"]
        if operation.method == "DELETE":
            self.states[operation.key] = State()
            return
        self.epochs.add(int(answer.headers["etag"].strip('"').split("-")[1], 16))
        record = answer.json
        key = record.pop("id")
        if operation.key not in (None, key) or record != operation.after:
            self.faults.append(f"{operation}: {answer}")
        self.states[key] = State(record, answer.headers["etag"])
        if operation.idempotency_key:
            self.created[operation.idempotency_key] = (operation.body, key, answer.headers["etag"])


class Reader:
    """Everything that a server has, over one connection."""

    def __init__(self, server):
        self.client = server.client()
        self.connection = server.connect()

    def close(self):
        self.client.close()
        self.connection.close()

    def pages(self, path):
        """All records of a list, through its pages."""
        records = []
        while path:
            answer = self.client.request("GET", path)
            assert answer.status == 200, answer
            records += answer.json
            link = answer.headers.get("link", "")
            path = link[1 : link.index(">")] if link else None
        return records

    def states(self, keys):
        """key -> State, by GETs that are sent many at a time."""
        result = {}
        keys = sorted(keys)
        for at in range(0, len(keys), 50):
            some = keys[at : at + 50]
            self.connection.sendall(
                b"".join(f"GET /products/{key} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode() for key in some)
            )
            answers, data = [], b""
            while len(answers) < len(some):
                piece = self.connection.recv(1 << 18)
                assert piece != b"", "the server closed the connection"
                more, data = support.read_answers(data + piece)
                answers += more
            for key, answer in zip(some, answers):
                assert answer.status in (200, 404), (key, answer)
                result[key] = State()
                if answer.status == 200:
                    record = answer.json
                    assert record.pop("id") == key, (key, answer)
                    result[key] = State(record, answer.headers["etag"])
        return result


class TestKill(unittest.TestCase):
    """One data folder, many violent ends."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="freshet-crash-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.data = os.path.join(self.folder, "data")
        self.random = random.Random(SEED)
        self.writers = [Writer(number, SEED * 1000 + number) for number in range(CLIENTS)]
        self.last = "nothing yet"
        self.epoch = 0

    def arguments(self, number):
        """Other settings in each round, on the same data."""
        durability = ["sync", "interval", "none"][number % 3]
        words = ["--threads", str(1 + number // 3 % 2), "--durability", durability, "--segment-bytes", "16MiB"]
        words += ["--log-level", "warning"]
        if self.random.random() < 0.6:
            # Flushes, and segments that are used again, while it writes.
            words += ["--memtable-bytes", "1MiB", "--journal-tail-max", "1MiB", "--retention-bytes", "0"]
        if self.random.random() < 0.3:
            words += ["--cache-bytes", self.random.choice(["0", "64KiB"])]
        return words

    def start(self, number):
        """A running server; now and then after one that was killed before it was ready."""
        arguments = self.arguments(number)
        self.last = " ".join(arguments)
        server = support.Server(arguments, data=self.data)
        self.addCleanup(server.remove)
        if number > 0 and self.random.random() < 0.25:
            early = subprocess.Popen(server.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            try:
                early.wait(self.random.uniform(0, STARTUP_KILL_S))
            except subprocess.TimeoutExpired:
                pass
            early.send_signal(signal.SIGKILL)
            early.wait()
        return server.start()

    def life(self, server):
        """Clients write until the server is killed."""
        threads = [threading.Thread(target=writer.run, args=(server.port,)) for writer in self.writers]
        for thread in threads:
            thread.start()
        killed_at = time.monotonic() + self.random.uniform(*LIFE_S)
        while time.monotonic() < killed_at:
            time.sleep(0.002)  # pause between tries
        server.process.send_signal(signal.SIGKILL)
        server.kill()
        for thread in threads:
            thread.join()
        epochs = set()
        for writer in self.writers:
            self.assertEqual(writer.faults, [])
            epochs |= writer.epochs
            writer.epochs = set()
        if epochs:
            self.assertEqual(len(epochs), 1, epochs)
            self.assertGreater(min(epochs), self.epoch, "an epoch was given again after an unclean end")
            self.epoch = max(epochs)

    # ---- what must be there ----

    def settle_creations(self, writer, unknown, reader):
        """Creations that were under way: repeated under their key, or found by what they wrote."""
        for operation in writer.under_way:
            if operation.method != "POST":
                continue
            found = [key for key in unknown if unknown[key].document == operation.after]
            self.assertLessEqual(len(found), 1, f"created more than once: {operation}")
            if operation.idempotency_key:
                key, etag = self.repeat(reader, operation.idempotency_key, operation.body)
                if found:
                    self.assertEqual(key, found[0], "an Idempotency-Key made a second record")
                writer.states[key] = State(operation.after, etag)
                writer.created[operation.idempotency_key] = (operation.body, key, etag)
                unknown.pop(key, None)
            elif found:
                writer.states[found[0]] = unknown.pop(found[0])

    def repeat(self, reader, idempotency_key, body):
        answer = reader.client.request("POST", "/products", body, {"Idempotency-Key": idempotency_key})
        self.assertEqual(answer.status, 201, answer)
        return answer.json["id"], answer.headers["etag"]

    def settle(self, writer, observed):
        """Each key shows what was acknowledged last, or what was under way."""
        under_way = {operation.key: operation for operation in writer.under_way if operation.key is not None}
        for key, state in writer.states.items():
            seen = observed[key]
            if seen == state:
                continue
            operation = under_way.get(key)
            self.assertIsNotNone(operation, f"{key}: acknowledged {state}, found {seen}")
            self.assertEqual(seen.document, operation.after, f"{key}: acknowledged {state}, under way {operation}")
            writer.states[key] = seen

    def compare_lists(self, reader):
        """Lists and index pages are what the records are."""
        states = {key: state for writer in self.writers for key, state in writer.states.items() if state.document}
        expected = [{"id": key, **states[key].document} for key in sorted(states, key=str.encode)]
        self.assertEqual(reader.pages("/products?limit=100"), expected)
        for category in CATEGORIES:
            path = f"/products?category={category.replace(' ', '%20')}&limit=70"
            self.assertEqual(reader.pages(path), [one for one in expected if one["category"] == category])

    def verify(self, server):
        reader = Reader(server)
        self.addCleanup(reader.close)
        for writer in self.writers:
            if writer.position is not None:
                answer = reader.client.request("GET", "/products/none", None, {"freshet-min-position": writer.position})
                self.assertEqual(answer.status, 404, answer)
        known = {key for writer in self.writers for key in writer.states}
        listed = {record["id"] for record in reader.pages("/products?limit=1000")}
        observed = reader.states(known | listed)
        unknown = {key: observed[key] for key in listed - known}
        for writer in self.writers:
            self.settle(writer, observed)
            self.settle_creations(writer, unknown, reader)
            writer.under_way = []
            for key in self.random.sample(sorted(writer.created), min(REPEATED_KEYS, len(writer.created))):
                body, record, etag = writer.created[key]
                self.assertEqual(self.repeat(reader, key, body), (record, etag), "an Idempotency-Key was forgotten")
        self.assertEqual(unknown, {}, "records that nobody wrote")
        self.compare_lists(reader)
        reader.close()

    def check(self):
        """freshet check reads all of the folder, as the kill left it."""
        result = subprocess.run([support.BINARY, "check", "--data", self.data], check=False, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_nothing_acknowledged_is_lost(self):
        print(f"seed {SEED}, {ROUNDS} rounds", flush=True)
        for number in range(ROUNDS):
            server = self.start(number)
            try:
                self.verify(server)
                self.life(server)
            except BaseException as error:
                print(f"round {number} of seed {SEED} ({self.last}): {error}\n{server.log()}", flush=True)
                raise
            finally:
                server.remove()
            if number % CHECK_EVERY == CHECK_EVERY - 1:
                self.check()
        server = self.start(ROUNDS)
        self.verify(server)
        self.assertEqual(server.stop(), 0)
        self.check()
        acknowledged = sum(writer.acknowledged for writer in self.writers)
        refused = sum(writer.refused for writer in self.writers)
        print(f"seed {SEED}: {ROUNDS} kills, {acknowledged} writes acknowledged, {refused} refused", flush=True)


if __name__ == "__main__":
    unittest.main()
