"""What the integration tests share: a real server on a free port with a data folder of its own, and
two ways to talk to it.

    class TestPets(support.ServerTest):
        def test_something(self):
            answer = self.request("PUT", "/pets/1", {"message": "hi"})
            self.assertEqual(answer.status, 201)

request() speaks proper HTTP over one kept-alive connection per test; raw() sends the bytes it is given
and returns all that comes back. One server per class; it is ended by its process id and must end cleanly.
"""

import http.client
import json
import os
import pathlib
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("FRESHET_BIN", str(ROOT / "build" / "release" / "freshet"))
# Only what is broken takes so long; a machine whose processor or disk others use may stand still for many seconds.
READY_TIMEOUT_S = 60
STOP_TIMEOUT_S = 60
REQUEST_TIMEOUT_S = 60


class Answer:
    """One answer: status, headers (names in lower case; a repeated one as a list joined by ', '), body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {}
        for name, value in headers:
            name = name.lower()
            self.headers[name] = value if name not in self.headers else f"{self.headers[name]}, {value}"
        self.body = body

    @property
    def text(self):
        return self.body.decode("utf-8")

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def outcome(self):
        """Cache-Status without its ttl: 'hit', 'fwd=uri-miss; stored', …"""
        words = self.headers["cache-status"].split("; ")
        return "; ".join(word for word in words[1:] if not word.startswith("ttl="))

    def __repr__(self):
        return f"Answer({self.status}, {self.headers}, {self.body[:200]!r})"


class Server:
    """A process of its own. config is the text of a configuration file, arguments are added to the command."""

    def __init__(self, arguments=(), config=None, data=None):
        self.folder = tempfile.mkdtemp(prefix="freshet-test-")
        self.data = data or os.path.join(self.folder, "data")
        self.process = None
        self.port = None
        self.ready = None
        command = [BINARY, "serve", "--data", self.data, "--http", "127.0.0.1:0"]
        command += ["--wire", "127.0.0.1:0", "--s3", "127.0.0.1:0"]
        if config is not None:
            path = os.path.join(self.folder, "freshet.yaml")
            pathlib.Path(path).write_text(config, "utf-8")
            command += ["--config", path]
        self.command = [*command, *arguments]
        self.log_path = os.path.join(self.folder, "log")

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
            )
        line = self._read_line(READY_TIMEOUT_S)
        if not line:
            # One that has closed its output ends, a little later; one that says nothing in time does not.
            try:
                status = self.process.wait(1)
            except subprocess.TimeoutExpired:
                status = None
            self.kill()
            raise AssertionError(f"the server is not ready (exit {status}):\n{self.log()}")
        self.ready = json.loads(line)
        self.port = int(self.ready["http"].rpartition(":")[2])
        return self

    def _read_line(self, timeout_s):
        deadline = time.monotonic() + timeout_s
        line = b""
        output = self.process.stdout.fileno()
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                return b""
            byte = os.read(output, 1)
            if byte == b"":
                return b""
            line += byte
        return line

    def log(self):
        try:
            return pathlib.Path(self.log_path).read_text("utf-8", "replace")[-8000:]
        except FileNotFoundError:
            return ""

    def stop(self):
        """SIGTERM; the exit status, which is 0 when all is well."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        self.process.stdout.close()
        self.process = None
        return status

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def remove(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- a disk that fails ----

    def fail_writes(self, offset):
        """From now on every write of this process behind the offset of a file fails, as it does on a broken disk; until
        mend_writes, or the end of the process. No segment of the journal is being made meanwhile."""
        journal = pathlib.Path(self.data, "journal")
        eventually(lambda: len(list(journal.glob("*.seg"))) == 2)  # the one in use, and the next
        self._limit_files(offset)

    def mend_writes(self):
        self._limit_files(resource.RLIM_INFINITY)

    def _limit_files(self, size):
        status = self.process.poll()
        if status is not None:
            raise AssertionError(f"the server ended with {status}:\n{self.log()}")
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    # ---- talking ----

    def connect(self, timeout_s=REQUEST_TIMEOUT_S):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout_s)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def client(self):
        return Client(self.port)


class Client:
    """Requests over one connection that is opened again when it was closed."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def request(self, method, path, body=None, headers=None, content_type="application/json"):
        """body: bytes as they are, str as UTF-8, anything else as JSON; None: no body."""
        fields = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if isinstance(body, str):
            body = body.encode("utf-8")
        if body is not None and content_type is not None:
            fields.setdefault("Content-Type", content_type)
        if self.connection is None:
            self.connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=REQUEST_TIMEOUT_S
            )
        self.connection.request(method, path, body, fields)
        response = self.connection.getresponse()
        answer = Answer(response.status, response.getheaders(), response.read())
        if response.will_close:
            self.close()
        return answer


def eventually(attempt, timeout_s=REQUEST_TIMEOUT_S):
    """Tries until the attempt gives something true, which it returns; fails when time is over."""
    deadline = time.monotonic() + timeout_s
    while True:
        result = attempt()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s")
        time.sleep(0.02)  # pause between tries


def free_ports(count):
    """Free now: for a foreign server that cannot take port 0. Somebody else may be quicker; then start it again."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def read_answers(data, methods=None):
    """All whole answers in the bytes, and what is left. methods: of the requests, for HEAD."""
    answers = []
    while b"\r\n\r\n" in data:
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        length = int(dict((name.lower(), value) for name, value in headers).get("content-length", 0))
        method = methods[len(answers)] if methods and len(answers) < len(methods) else "GET"
        if status < 200 or status == 304 or method == "HEAD":
            length = 0
        if len(rest) < length:
            break
        answers.append(Answer(status, headers, rest[:length]))
        data = rest[length:]
    return answers, data


def read_until_closed(connection, timeout_s=REQUEST_TIMEOUT_S):
    """(bytes, closed): what comes until the other side closes, or until timeout_s passes in silence."""
    data = b""
    connection.settimeout(timeout_s)
    while True:
        try:
            piece = connection.recv(65536)
        except socket.timeout:
            return data, False
        except ConnectionResetError:
            return data, True
        if piece == b"":
            return data, True
        data += piece


class ServerTest(unittest.TestCase):
    """One server for all tests of the class."""

    arguments = ()
    config = None
    server = None
    clean_exit = True

    @classmethod
    def setUpClass(cls):
        cls.server = Server(cls.arguments, cls.config).start()

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        log = cls.server.log()
        cls.server.remove()
        if cls.clean_exit and status != 0:
            raise AssertionError(f"the server ended with {status}:\n{log}")

    def setUp(self):
        self.client = self.server.client()
        self.addCleanup(self.client.close)

    def request(self, method, path, body=None, headers=None, content_type="application/json"):
        return self.client.request(method, path, body, headers, content_type)

    def put(self, path, body):
        answer = self.request("PUT", path, body)
        self.assertIn(answer.status, (200, 201), answer)
        return answer

    def raw(self, data, timeout_s=REQUEST_TIMEOUT_S):
        """Sends the bytes on a connection of its own; (answers, closed). Waits until the server closes."""
        with self.server.connect() as connection:
            try:
                connection.sendall(data)
            except (ConnectionResetError, BrokenPipeError):
                pass
            received, closed = read_until_closed(connection, timeout_s)
        answers, left = read_answers(received)
        self.assertEqual(left, b"", "bytes after the last answer")
        return answers, closed

    def problem(self, answer, status, words=None):
        """Checks that it is a problem of that status, whose detail has these words."""
        self.assertEqual(answer.status, status, answer)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        self.assertEqual(answer.headers.get("access-control-allow-origin"), "*")
        problem = answer.json
        self.assertEqual(problem["status"], status)
        self.assertEqual(problem["message"], problem["detail"])
        self.assertTrue(problem["title"])
        self.assertTrue(problem["request_id"])
        self.assertTrue(problem["type"])
        if words is not None:
            self.assertIn(words, problem["detail"])
        return problem
