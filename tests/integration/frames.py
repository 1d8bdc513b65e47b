"""The binary protocol for the integration tests: frames one by one, nothing hidden.

    with frames.Wire(self.server) as wire:
        pets = wire.subscribe(collection="pets", credit=10)
        wire.changes(pets, 1)

MessagePack and protobuf are those of tests/conformance/plain_client.py.
"""

import collections
import io
import pathlib
import socket
import struct
import sys
import time
import zlib

import support

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
import plain_client  # noqa: E402
from plain_client import decode, encode, pack  # noqa: E402,F401

HEADER = struct.Struct(">IBBHII")
HELLO, SUBSCRIBE, CREDIT, ACK, CONSUMER, STATS, UNSUBSCRIBE, PING, GOAWAY = range(0x40, 0x49)
GET, PUT, DELETE = plain_client.GET, plain_client.PUT, plain_client.DELETE
CHANGES, INVALIDATE, ERROR = 0x20, 0x21, 0xFF
JSON, CHECKED = 1, 2
CHANGE, SNAPSHOT, SYNCED, PROGRESS, CAUGHT_UP = range(5)
LATEST, EARLIEST, POSITION, TIME, FROM_SNAPSHOT = range(5)
BOTH, KEYS, NEW, OLD = range(4)
CONSUMER_GET, CONSUMER_PUT, CONSUMER_DELETE, CONSUMER_LIST = range(4)

Frame = collections.namedtuple("Frame", "opcode flags code id body")
Invalidation = collections.namedtuple("Invalidation", "position live keys")


def unpack(data, at=0):
    """(value, where it ends)"""
    stream = io.BytesIO(data)
    stream.seek(at)
    return plain_client.unpack(stream), stream.tell()


class Wire:
    """One connection. receive_bytes: of its socket's buffer, for one that is slow."""

    def __init__(self, server, features=("json", "checked", "invalidate"), receive_bytes=None):
        host, _, port = server.ready["wire"].rpartition(":")
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(support.REQUEST_TIMEOUT_S)
        self.socket.connect((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = bytearray()
        self.kept = collections.deque()  # frames that somebody else waits for
        self.last_id = 0
        answer = self.call(HELLO, encode("Hello", versions=[1], features=list(features)))
        assert answer.opcode == HELLO | 0x80, answer
        self.welcome = decode("Welcome", answer.body)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    # ---- frames ----

    def send(self, opcode, body=b"", request=None, flags=0):
        if request is None:
            self.last_id += 1
            request = self.last_id
        self.socket.sendall(HEADER.pack(len(body), opcode, flags, 0, request, 0) + body)
        return request

    def frame(self, timeout_s=support.REQUEST_TIMEOUT_S):
        """The next frame from the socket; None: the server has closed. TimeoutError."""
        deadline = time.monotonic() + timeout_s
        while True:
            if len(self.data) >= HEADER.size:
                length, opcode, flags, code, request, check = HEADER.unpack_from(self.data)
                if len(self.data) >= HEADER.size + length:
                    body = bytes(self.data[HEADER.size : HEADER.size + length])
                    del self.data[: HEADER.size + length]
                    assert not flags & CHECKED or zlib.crc32(body) == check, "checksum"
                    return Frame(opcode, flags & ~CHECKED, code, request, body)
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            piece = self.socket.recv(1 << 20)
            if piece == b"":
                return None
            self.data += piece

    def find(self, request, *opcodes, timeout_s=support.REQUEST_TIMEOUT_S):
        """The next frame of that id (and of one of these opcodes); others are kept for later."""
        deadline = time.monotonic() + timeout_s
        for frame in self.kept:
            if frame.id == request and (not opcodes or frame.opcode in opcodes):
                self.kept.remove(frame)
                return frame
        while True:
            frame = self.frame(deadline - time.monotonic())
            assert frame is not None, "the server has closed"
            if frame.id == request and (not opcodes or frame.opcode in opcodes):
                return frame
            self.kept.append(frame)

    def call(self, opcode, body=b"", request=None, flags=0):
        """The answer, or ERROR."""
        request = self.send(opcode, body, request, flags)
        return self.find(request, opcode | 0x80, ERROR)

    def quiet(self, request, seconds):
        """Nothing of that id comes for so long."""
        try:
            frame = self.find(request, timeout_s=seconds)
        except (TimeoutError, socket.timeout):
            return
        raise AssertionError(f"there is {frame}")

    # ---- what tests say with them ----

    def subscribe_frame(self, request=None, flags=0, **fields):
        return self.call(SUBSCRIBE, encode("Subscribe", **fields), request, flags)

    def subscribe(self, flags=0, **fields):
        answer = self.subscribe_frame(flags=flags, **fields)
        assert answer.opcode == SUBSCRIBE | 0x80, decode("Error", answer.body)
        self.position = decode("Subscribed", answer.body)["position"]
        return answer.id

    def credit(self, request, count):
        self.send(CREDIT, encode("Credit", changes=count), request)

    def items(self, request, timeout_s=support.REQUEST_TIMEOUT_S):
        """The items of the next CHANGES."""
        frame = self.find(request, CHANGES, ERROR, timeout_s=timeout_s)
        assert frame.opcode == CHANGES, decode("Error", frame.body)
        items, end = unpack(frame.body)
        assert end == len(frame.body)
        assert frame.code == 0
        return items

    def until(self, request, enough, timeout_s=support.REQUEST_TIMEOUT_S):
        """Items, up to the frame with which there is enough of them."""
        items = []
        deadline = time.monotonic() + timeout_s
        while not enough(items):
            items += self.items(request, deadline - time.monotonic())
        return items

    def changes(self, request, count, timeout_s=support.REQUEST_TIMEOUT_S):
        """So many items of changes and records, without marks."""
        items = self.until(request, lambda all: sum(is_change(item) for item in all) >= count, timeout_s)
        return [item for item in items if is_change(item)]

    def invalidation(self, request, timeout_s=support.REQUEST_TIMEOUT_S):
        frame = self.find(request, INVALIDATE, ERROR, timeout_s=timeout_s)
        assert frame.opcode == INVALIDATE, decode("Error", frame.body)
        return Invalidation(*unpack(frame.body)[0])

    def keys(self, request, count):
        """So many keys of invalidations."""
        keys = []
        while len(keys) < count:
            keys += self.invalidation(request).keys
        return keys

    def consumer(self, action, **fields):
        """(code, Consumers) or (status, Error)"""
        answer = self.call(CONSUMER, encode("Consumer", action=action, **fields))
        return answer.code, decode("Error" if answer.opcode == ERROR else "Consumers", answer.body)

    def ack(self, consumer, position, member=""):
        answer = self.call(ACK, encode("Ack", consumer=consumer, position=position, member=member))
        return decode("Error", answer.body) if answer.opcode == ERROR else None


def is_change(item):
    return item[0] in (CHANGE, SNAPSHOT)


def shown(item):
    """"INSERT rex" of an item."""
    return f"{item[2]['eventName']} {item[2]['keys']['id']}"
