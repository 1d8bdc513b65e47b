"""What the tests of the Python client share: the package on the path, a server as integration tests have
it, a server that plays a script, and a proxy that cuts connections."""

import asyncio
import importlib.util
import inspect
import os
import pathlib
import random
import socket
import struct
import sys
import threading
import unittest
import zlib

PYTHON = pathlib.Path(__file__).resolve().parent.parent
ROOT = PYTHON.parent.parent
sys.path.insert(0, str(PYTHON / "src"))

import freshet  # noqa: E402
import freshet.aio  # noqa: E402
from freshet import _codec, _frames  # noqa: E402
from freshet import freshet_pb2 as pb  # noqa: E402

_spec = importlib.util.spec_from_file_location(
    "integration_support", ROOT / "tests" / "integration" / "support.py")
integration = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(integration)
eventually = integration.eventually

WELCOME = pb.Welcome(version=1, features=["invalidate", "checked"], server="scripted/1",
                     store=b"s" * 16, frame_bytes_max=8 << 20, requests_max=64,
                     subscriptions_max=64, position="p0")


def seed():
    """Of what is random; FRESHET_SEED gives one back."""
    return int(os.environ.get("FRESHET_SEED", random.SystemRandom().randrange(1 << 32)))


# ---- frames as a server makes them ----


def frame(opcode, id, body=b"", code=200, flags=0):
    check = zlib.crc32(body) if flags & _frames.FLAG_CHECKED else 0
    return struct.pack(">IBBHII", len(body), opcode, flags, code, id, check) + body


def answer(opcode, id, value, code=200):
    """An answer whose body is MessagePack."""
    return frame(opcode | 0x80, id, _codec.pack(value), code)


def control(opcode, id, message):
    """An answer whose body is protobuf."""
    return frame(opcode, id, message.SerializeToString())


def error(id, status, **fields):
    return frame(_frames.ERROR, id, pb.Error(status=status, **fields).SerializeToString(), status)


def welcome(id=1, **changes):
    message = pb.Welcome()
    message.CopyFrom(WELCOME)
    message.MergeFrom(pb.Welcome(**changes))
    return control(0xC0, id, message)


def change(sequence, id="a", name="MODIFY", **more):
    """A change as GET /changes has it."""
    return {"eventID": f"e{sequence}", "eventName": name, "eventSource": "freshet", "collection": "pets",
            "keys": {"id": id}, "sequence": sequence, "version": sequence,
            "time": "2026-01-01T00:00:00.000Z", "changed": [], "newImage": {"id": id, "n": sequence},
            "oldImage": None, **more}


def changes(id, *items):
    return frame(_frames.CHANGES, id, _codec.pack([list(item) for item in items]))


def invalidate(id, position, live, *keys):
    return frame(_frames.INVALIDATE, id, _codec.pack([position, live, [list(key) for key in keys]]))


def requests_in(data):
    """[(opcode, id, body)] of what a client sent; it must be whole frames."""
    found = []
    while data:
        length, opcode, flags, code, id, check = struct.unpack_from(">IBBHII", data)
        body = data[16 : 16 + length]
        assert len(body) == length and code == 0, data
        assert not flags & 2 or check == zlib.crc32(body)
        found.append((opcode, id, bytes(body)))
        data = data[16 + length :]
    return found


# ---- servers ----


class ScriptedServer:
    """Accepts connections one after the other and gives each to `script(connection)` on a thread."""

    def __init__(self, script):
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "freshet://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.accepted = 0
        self.failures = []
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            with connection:
                connection.settimeout(20)
                try:
                    self.script(ScriptedConnection(connection, self.accepted))
                except (ConnectionError, socket.timeout, EOFError):
                    pass
                except Exception as failure:  # told by close
                    self.failures.append(failure)

    def refuse(self):
        """Accepts no more connections."""
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it does not already
        self.listener.close()

    def close(self):
        self.refuse()
        self.thread.join(25)
        if self.failures:
            raise self.failures[0]


class ScriptedConnection:
    """One accepted connection; number counts from 1."""

    def __init__(self, connection, number):
        self.connection = connection
        self.number = number
        self.buffer = b""

    def read(self):
        """(opcode, id, body) of the next frame; EOFError at the end."""
        while len(self.buffer) < 16 or len(self.buffer) < 16 + int.from_bytes(self.buffer[:4], "big"):
            piece = self.connection.recv(65536)
            if not piece:
                raise EOFError
            self.buffer += piece
        length = 16 + int.from_bytes(self.buffer[:4], "big")
        data, self.buffer = self.buffer[:length], self.buffer[length:]
        return requests_in(data)[0]

    def expect(self, opcode):
        """The next frame but for PINGs, which are answered."""
        while True:
            got, id, body = self.read()
            if got == _frames.PING and opcode != _frames.PING:
                self.send(frame(_frames.PING | 0x80, id, body))
                continue
            assert got == opcode, f"{got:#x} came instead of {opcode:#x}"
            return id, body

    def greet(self, **changes):
        id, body = self.expect(_frames.HELLO)
        self.send(welcome(id, **changes))
        return pb.Hello.FromString(body)

    def send(self, data):
        self.connection.sendall(data)

    def drain(self):
        """Reads until the client closes, answering PINGs."""
        while True:
            opcode, id, body = self.read()
            if opcode == _frames.PING:
                self.send(frame(_frames.PING | 0x80, id, body))


class Proxy:
    """Passes bytes between clients and a server; can cut all connections, and hold back what the server sends."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "freshet://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.pairs = []
        self.flowing = threading.Event()
        self.flowing.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            with self.lock:
                self.pairs.append((client, server))
            pair = [threading.Thread(target=self._pump, args=(client, server, False, ()), daemon=True)]
            pair[0].start()
            threading.Thread(target=self._pump, args=(server, client, True, pair), daemon=True).start()

    def _pump(self, source, sink, held, pair):
        try:
            while data := source.recv(65536):
                if held:
                    self.flowing.wait()
                sink.sendall(data)
        except OSError:
            pass
        for one in (source, sink):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        if held:  # one of the two pumps closes both, when the other has ended
            pair[0].join()
            source.close()
            sink.close()

    def cut(self):
        """Ends all connections that there are."""
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for one in pair:
                try:
                    one.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.flowing.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


def wire_url(server):
    return "freshet://" + server.ready["wire"]


class RealTest(unittest.TestCase):
    """One real server for all tests of the class; its port stays the same when it is started again."""

    config = None
    arguments = ()
    connector = staticmethod(freshet.connect)

    @classmethod
    def setUpClass(cls):
        cls.server = integration.Server(cls.arguments, cls.config)
        cls.server.start()
        # A server that is started again must be found where it was.
        wire = cls.server.ready["wire"]
        cls.server.command[cls.server.command.index("--wire") + 1] = wire

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        log = cls.server.log()
        cls.server.remove()
        if status != 0:
            raise AssertionError(f"the server ended with {status}:\n{log}")

    def setUp(self):
        self.url = wire_url(self.server)
        self.rest = self.server.client()
        self.addCleanup(lambda: self.rest.close())

    def connect(self, url=None, **options):
        client = self.connector(url or self.url, **options)
        self.addCleanup(client.close)
        return client

    def restart(self):
        """kill -9, and start again on the same port."""
        self.server.kill()
        self.server.start()
        self.rest.close()
        self.rest = self.server.client()


# ---- the asyncio client with the blocking client's face, so that one test is for both ----


class _Loop:
    """An event loop on a thread of its own, for the whole process."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(60)


class Facade:
    """An object of freshet.aio whose coroutines are carried out when they are called."""

    shared = None

    def __init__(self, target):
        self.target = target

    @classmethod
    def loop(cls):
        if cls.shared is None:
            cls.shared = _Loop()
        return cls.shared

    @classmethod
    def connect(cls, *arguments, **options):
        return cls(cls.loop().run(freshet.aio.connect(*arguments, **options)))

    def __getattr__(self, name):
        value = getattr(self.target, name)
        if inspect.iscoroutinefunction(value):
            return lambda *arguments, **options: self.shown(self.loop().run(value(*arguments, **options)))
        if inspect.isasyncgenfunction(value):
            return lambda *arguments, **options: self.iterate(value(*arguments, **options))
        return self.shown(value)

    @staticmethod
    def shown(value):
        return Facade(value) if type(value).__module__ == "freshet.aio" else value

    def iterate(self, iterator):
        while True:
            try:
                yield self.loop().run(iterator.__anext__())
            except StopAsyncIteration:
                return

    def __iter__(self):
        return self.iterate(self.target.__aiter__())


def for_both(mixin, base):
    """Two test classes of one: against the blocking client, and against asyncio's."""
    kinds = {"Blocking": freshet.connect, "Asyncio": Facade.connect}
    module = sys.modules[mixin.__module__]
    for suffix, connector in kinds.items():
        members = {"connector": staticmethod(connector), "__module__": mixin.__module__}
        name = mixin.__name__ + suffix
        setattr(module, name, type(name, (mixin, base), members))
