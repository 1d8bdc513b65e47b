"""A small key-value server that misbehaves on purpose, for the tests of the programs that load servers.

    def stall(server, request):
        if server.count == 300:
            server.pause(1)

    with Planted("http", stall) as server:
        …  # http://127.0.0.1:{server.port}/products/KEY, GET and PUT

It speaks HTTP/1.1, RESP, memcached's text or Freshet's frames on one thread, so what holds up one answer holds up all
behind it. It keeps what it is given, and is asked to plant something before each answer.
"""

import collections
import re
import selectors
import socket
import struct
import threading

from frames import HEADER, HELLO, encode, pack, unpack

Request = collections.namedtuple("Request", "method key value tag", defaults=(b"", None))

# What a plant may return instead of bytes: nothing is sent, ever; the whole server is gone, as after kill -9.
SILENCE = object()
DIE = object()


class Http:
    """GET, PUT and DELETE of /COLLECTION/KEY."""

    REASONS = {200: "OK", 201: "Created", 404: "Not Found", 500: "Internal Server Error"}

    @staticmethod
    def split(data):
        head, found, rest = data.partition(b"\r\n\r\n")
        if not found:
            return None, data
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return None, data
        method, path, _ = head.split(b"\r\n")[0].decode().split(" ")
        return Request(method, path.rpartition("/")[2], rest[:size]), rest[size:]

    @classmethod
    def answer(cls, request, status, body=b"", length=None):
        """length: what the head says of the body, when that is to be a lie."""
        size = len(body) if length is None else length
        head = f"HTTP/1.1 {status} {cls.REASONS[status]}\r\nContent-Length: {size}\r\n\r\n"
        return head.encode() + body


class Resp:
    """GET, SET and DEL of a key."""

    METHODS = {b"GET": "GET", b"SET": "PUT", b"DEL": "DELETE"}

    @classmethod
    def split(cls, data):
        first, found, rest = data.partition(b"\r\n")
        words = []
        while found and len(words) < int(first[1:]):
            size, found, rest = rest.partition(b"\r\n")
            end = int(size[1:]) if found else 0
            if not found or len(rest) < end + 2:
                return None, data
            words.append(rest[:end])
            rest = rest[end + 2 :]
        if not found:
            return None, data
        return Request(cls.METHODS[words[0]], words[1].decode(), b"".join(words[2:])), rest

    @staticmethod
    def answer(request, status, body=b"", length=None):
        if status == 500:
            return b"-ERR planted\r\n"
        if request.method == "GET":
            size = len(body) if length is None else length
            return b"$-1\r\n" if status == 404 else b"$%d\r\n%s\r\n" % (size, body)
        return b"+OK\r\n" if request.method == "PUT" else b":1\r\n"


class Memcached:
    """get, set and delete of a key."""

    METHODS = {b"get": "GET", b"set": "PUT", b"delete": "DELETE"}

    @classmethod
    def split(cls, data):
        line, found, rest = data.partition(b"\r\n")
        words = line.split(b" ")
        size = int(words[4]) if found and words[0] == b"set" else -2
        if not found or len(rest) < size + 2:
            return None, data
        return Request(cls.METHODS[words[0]], words[1].decode(), rest[: max(size, 0)]), rest[size + 2 :]

    @staticmethod
    def answer(request, status, body=b"", length=None):
        if status == 500:
            return b"SERVER_ERROR planted\r\n"
        if request.method == "GET":
            size = len(body) if length is None else length
            value = b"VALUE %s 0 %d\r\n%s\r\n" % (request.key.encode(), size, body)
            return (b"" if status == 404 else value) + b"END\r\n"
        return b"STORED\r\n" if request.method == "PUT" else b"DELETED\r\n"


class Wire:
    """HELLO, GET, PUT and DELETE of Freshet's binary protocol; a value is the MessagePack of a document."""

    METHODS = {1: "GET", 3: "PUT", 5: "DELETE", HELLO: "HELLO"}

    @classmethod
    def split(cls, data):
        if len(data) < HEADER.size:
            return None, data
        length, opcode, _, _, number, _ = HEADER.unpack_from(data)
        body, rest = data[HEADER.size : HEADER.size + length], data[HEADER.size + length :]
        if len(body) < length:
            return None, data
        tag = (opcode, number)
        method = cls.METHODS.get(opcode)
        if method in (None, "HELLO"):
            return Request(method, "", b"", tag), rest
        at = unpack(body, 1)[1]
        key, at = unpack(body, at)
        value = body[at : unpack(body, at)[1]] if method == "PUT" else b""
        return Request(method, key, value, tag), rest

    @classmethod
    def answer(cls, request, status, body=b"", length=None):
        opcode, number = request.tag
        if opcode == HELLO:
            body = encode("Welcome", version=1, features=["json"], frame_bytes_max=8 << 20, requests_max=1024)
        elif opcode == 1:
            body = b"\x94" + pack(0) + pack(1) + pack(1) + cls.record(request.key, body if status == 200 else b"")
        else:
            body = pack([0, 1, 1, request.key, '"0-0-1"', "", True])
        size = len(body) if length is None else length
        return HEADER.pack(size, opcode | 0x80, 0, status, number, 0) + body

    @staticmethod
    def record(key, document):
        """A document as a record: one member more, the id, and that first. Documents of tests have few members."""
        if document == b"":
            return b"\xc0"
        return bytes([document[0] + 1]) + pack("id") + pack(key) + document[1:]


PROTOCOLS = {"http": Http, "redis": Resp, "memcached": Memcached, "wire": Wire}


class Planted:
    """plant(server, request): None for the answer that is right, bytes for another, SILENCE or DIE."""

    def __init__(self, protocol="http", plant=None):
        self.protocol = PROTOCOLS[protocol]
        self.plant = plant or (lambda server, request: None)
        self.values = {}
        self.count = 0  # of requests, the one that is being answered included
        self.ended = threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.target = f"127.0.0.1:{self.port}"
        self.data = {}  # connection -> what it has sent and is no whole request yet
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def pause(self, seconds):
        """Nothing happens for so long: the fault that is planted."""
        self.ended.wait(seconds)

    # ---- answers ----

    def right(self, request):
        """What a server that is well answers."""
        if request.method == "PUT":
            status = 200 if request.key in self.values else 201
            self.values[request.key] = request.value
            return self.protocol.answer(request, status)
        if request.method == "DELETE":
            self.values.pop(request.key, None)
            return self.protocol.answer(request, 200)
        value = self.values.get(request.key)
        return self.protocol.answer(request, 404) if value is None else self.found(request, value)

    def found(self, request, value, key=None):
        """The answer to a GET that this value is there, as the record of that key."""
        if self.protocol is Http:
            value = b'{"id":"%s",%s' % ((key or request.key).encode(), value[1:])
        return self.protocol.answer(request if key is None else request._replace(key=key), 200, value)

    # ---- the loop ----

    def _run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self.listener, selectors.EVENT_READ)
            alive = True
            while alive and not self.ended.is_set():
                for ready, _ in selector.select(0.05):
                    alive = alive and self._serve(selector, ready.fileobj)
            for connection in [self.listener, *self.data]:
                # Reset, not closed in good order.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()

    def _serve(self, selector, ready):
        """False: the server is to die."""
        if ready is self.listener:
            connection = self.listener.accept()[0]
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.data[connection] = b""
            selector.register(connection, selectors.EVENT_READ)
            return True
        try:
            piece = ready.recv(1 << 18)
            answers = self._answers(ready, piece)
            if answers:
                ready.sendall(answers)
        except ConnectionError:
            piece, answers = b"", b""
        if not piece:
            selector.unregister(ready)
            del self.data[ready]
            ready.close()
        return answers is not None

    def _answers(self, connection, piece):
        """To all whole requests; None: the server is to die."""
        data = self.data[connection] + piece
        out = b""
        while True:
            request, data = self.protocol.split(data)
            if request is None:
                self.data[connection] = data
                return out
            if request.method is None:
                continue  # a frame that is nothing for a test, such as PING
            planted = None
            if request.method != "HELLO":
                self.count += 1
                planted = self.plant(self, request)
            if planted is DIE:
                return None
            if planted is not SILENCE:
                out += self.right(request) if planted is None else planted
