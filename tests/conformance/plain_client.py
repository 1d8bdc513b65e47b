"""A client of Freshet's binary protocol, written from protocol/PROTOCOL.md and protocol/freshet.proto alone.

    client = Client("127.0.0.1", 7400)
    client.data(PUT, "products", "42", {"title": "Lamp", "price": decimal.Decimal("1.50")})
    code, (epoch, sequence, version, record) = client.data(GET, "products", "42")
"""

import decimal
import io
import itertools
import pathlib
import re
import socket
import struct
import zlib

GET, MGET, PUT, PATCH, DELETE, CREATE, LIST, BATCH = range(1, 9)
CHANGES, INVALIDATE, ERROR = 0x20, 0x21, 0xFF
HELLO, SUBSCRIBE, CREDIT, ACK, CONSUMER, STATS, UNSUBSCRIBE, PING, GOAWAY = range(0x40, 0x49)
JSON, CHECKED = 1, 2
# MessagePack: the form of what follows a tag: the number itself, or the length of a text, an array, a map.
FORMS = dict(zip([*range(0xC7, 0xD4), *range(0xD9, 0xE0)], "BHIfdBHIQbhiqBHIHIHI"))
CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
MESSAGES = {}  # protobuf: {message: {number: (name, type, repeated)}}
PROTO = re.sub("//.*", "", (pathlib.Path(__file__).parents[2] / "protocol" / "freshet.proto").read_text("utf-8"))
while message := re.search(r"message (\w+) {([^{}]*)}", PROTO):  # those within others come first
    fields = re.findall(r"(repeated )?(\w+) (\w+) = (\d+);", message[2])
    MESSAGES[message[1]] = {int(number): (name, kind, bool(many)) for many, kind, name, number in fields}
    PROTO = PROTO.replace(message[0], "")


def pack(value):
    """The longest form of everything: any form will do. A decimal that a double would not give back stays text."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, str):
        return struct.pack(">BI", 0xDB, len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return struct.pack(">BI", 0xDF, len(value)) + b"".join(map(pack, itertools.chain(*value.items())))
    if isinstance(value, (list, tuple)):
        return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return struct.pack(">BQ", 0xCF, value) if value >= 0 else struct.pack(">Bq", 0xD3, value)
    if repr(float(value)) == str(value):
        return struct.pack(">Bd", 0xCB, value)
    return struct.pack(">BBB", 0xC7, len(str(value)), 1) + str(value).encode()


def unpack(stream):
    """The next value, in any form. A kind has two ranges of tags: with the length inside, and before the length."""
    tag = stream.read(1)[0]
    if tag < 0x80 or tag >= 0xE0 or tag in CONSTANTS:
        return CONSTANTS.get(tag, tag if tag < 0x80 else tag - 256)
    if tag in FORMS:
        number = struct.unpack(">" + FORMS[tag], stream.read(struct.calcsize(">" + FORMS[tag])))[0]
    else:
        number = 1 << tag - 0xD4 if tag >= 0xD4 else tag & (31 if tag >= 0xA0 else 15)
    if 0xCA <= tag < 0xD4:
        return number
    if tag < 0x90 or tag >= 0xDE:
        return {unpack(stream): unpack(stream) for _ in range(number)}
    if tag < 0xA0 or tag >= 0xDC:
        return [unpack(stream) for _ in range(number)]
    if tag < 0xC0 or tag >= 0xD9:
        return stream.read(number).decode()
    return decimal.Decimal(stream.read(1 + number)[1:].decode())


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def read_varint(stream):
    byte = stream.read(1)[0]
    return byte if byte < 128 else byte & 127 | read_varint(stream) << 7


def encode(message, **values):
    out = b""
    for number, (name, _, many) in MESSAGES[message].items():
        for value in values.get(name, []) if many else [values.get(name, 0)]:
            if isinstance(value, str):
                out += varint(number << 3 | 2) + varint(len(value.encode())) + value.encode()
            elif value:
                out += varint(number << 3) + varint(int(value))
    return out


def decode(message, body):
    defaults = {"string": "", "bytes": b""}
    values = {name: [] if many else defaults.get(kind, 0) for name, kind, many in MESSAGES[message].values()}
    stream = io.BytesIO(body)
    while stream.tell() < len(body):
        number, wire = divmod(read_varint(stream), 8)
        name, kind, many = MESSAGES[message].get(number, (None, None, False))
        value = read_varint(stream) if wire == 0 else stream.read({1: 8, 5: 4}.get(wire) or read_varint(stream))
        if kind in MESSAGES:
            value = decode(kind, value)
        elif kind in ("string", "double"):
            value = value.decode() if kind == "string" else struct.unpack("<d", value)[0]
        if name is not None:
            values[name] = values[name] + [value] if many else value
    return values


class Refused(Exception):
    """An ERROR; its argument is the message, as a dictionary."""


class Client:
    def __init__(self, host, port, features=("json", "checked", "invalidate"), timeout_s=30):
        self.socket = socket.create_connection((host, port), timeout_s)
        self.timeout_s, self.ids, self.received, self.frames = timeout_s, itertools.count(1), b"", []
        self.call(HELLO, encode("Hello", versions=[1], features=features, client="plain/1"))

    def send(self, opcode, body, request=None):
        request = request or next(self.ids)
        self.socket.sendall(struct.pack(">IBBHII", len(body), opcode, CHECKED, 0, request, zlib.crc32(body)) + body)
        return request

    def receive(self):
        """One more frame, which is kept for who waits for it."""
        while len(self.received) < 16 + int.from_bytes(self.received[:4], "big"):
            if not (piece := self.socket.recv(1 << 16)):
                raise ConnectionError("the server has closed the connection")
            self.received += piece
        length, opcode, flags, code, request, check = struct.unpack_from(">IBBHII", self.received)
        body, self.received = self.received[16 : 16 + length], self.received[16 + length :]
        if flags & CHECKED and zlib.crc32(body) != check:
            raise ConnectionError("wrong checksum")
        self.frames.append((request, opcode, code, body))

    def wait(self, request, opcode, silence_s):
        """(code, body) of the next frame with this id and opcode. An ERROR of the id, or of none, is raised."""
        wanted = [(request, opcode), (request, ERROR), (0, ERROR)]
        self.socket.settimeout(silence_s)
        while not (found := next((frame for frame in self.frames if frame[:2] in wanted), None)):
            self.receive()
        self.frames.remove(found)
        if found[1] == ERROR:
            raise Refused(decode("Error", found[3]))
        return found[2:]

    def call(self, opcode, body, request=None):
        return self.wait(self.send(opcode, body, request), opcode | 0x80, self.timeout_s)

    def data(self, opcode, *elements):
        """(code, answer) of a request for data."""
        code, body = self.call(opcode, pack(elements))
        return code, unpack(io.BytesIO(body))
