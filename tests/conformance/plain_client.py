"""A client of Freshet's binary protocol, written from protocol/PROTOCOL.md and protocol/freshet.proto alone.

It shows that the page is enough: Python's standard library, no MessagePack or protobuf module, nothing of the bindings.

    client = Client("127.0.0.1", 7400)
    client.put("products", "42", {"title": "Lamp", "price": decimal.Decimal("1.50")})
    print(client.get("products", "42"))
"""

import decimal
import pathlib
import re
import socket
import struct
import time
import zlib

GET, MGET, PUT, PATCH, DELETE, CREATE, LIST, BATCH = range(1, 9)
CHANGES, INVALIDATE, ERROR = 0x20, 0x21, 0xFF
HELLO, SUBSCRIBE, CREDIT, ACK, CONSUMER, STATS, UNSUBSCRIBE, PING, GOAWAY = range(0x40, 0x49)
JSON, CHECKED = 1, 2
PROTO = pathlib.Path(__file__).resolve().parents[2] / "protocol" / "freshet.proto"

# ---- MessagePack: tag -> form of the number, or of the length and what it is the length of ----

NUMBERS = dict(zip(range(0xCA, 0xD4), [">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"]))
LENGTHS = {0xD9: ">Bs", 0xDA: ">Hs", 0xDB: ">Is", 0xDC: ">Ha", 0xDD: ">Ia", 0xDE: ">Hm", 0xDF: ">Im", 0xC7: ">Be"}


def pack(value):
    """The longest form of everything: any form is MessagePack. Decimals that a double would not give back stay text."""
    if value is None or isinstance(value, bool):
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    if isinstance(value, int) and -(1 << 63) <= value < 1 << 64:
        return struct.pack(">Bq", 0xD3, value) if value < 1 << 63 else struct.pack(">BQ", 0xCF, value)
    if isinstance(value, float) or isinstance(value, decimal.Decimal) and repr(float(value)) == str(value):
        return struct.pack(">Bd", 0xCB, value)
    if isinstance(value, (int, decimal.Decimal)):
        return struct.pack(">BBB", 0xC7, len(str(value)), 1) + str(value).encode()
    if isinstance(value, str):
        return struct.pack(">BI", 0xDB, len(value.encode())) + value.encode()
    items = [item for pair in value.items() for item in pair] if isinstance(value, dict) else value
    return struct.pack(">BI", 0xDF if isinstance(value, dict) else 0xDD, len(value)) + b"".join(map(pack, items))


def unpack(data, at=0):
    """(value, where it ends)"""
    tag, at = data[at], at + 1
    if tag < 0x80 or tag >= 0xE0 or tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}.get(tag, tag if tag < 0x80 else tag - 256), at
    if tag in NUMBERS:
        return struct.unpack_from(NUMBERS[tag], data, at)[0], at + struct.calcsize(NUMBERS[tag])
    if tag in LENGTHS:
        form, kind = LENGTHS[tag][:2], LENGTHS[tag][2]
        size, at = struct.unpack_from(form, data, at)[0], at + struct.calcsize(form)
    elif tag >= 0xD4:
        size, kind = 1 << tag - 0xD4, "e"
    else:
        size, kind = (tag & 31, "s") if tag >= 0xA0 else (tag & 15, "a" if tag >= 0x90 else "m")
    if kind == "s":
        return data[at : at + size].decode(), at + size
    if kind == "e":
        return decimal.Decimal(data[at + 1 : at + 1 + size].decode()), at + 1 + size
    items = []
    for _ in range(size if kind == "a" else 2 * size):
        item, at = unpack(data, at)
        items.append(item)
    return (items if kind == "a" else dict(zip(items[::2], items[1::2]))), at


# ---- protobuf: {message: {number: (name, type, repeated)}}, as freshet.proto has it ----


def read_proto(text):
    messages, nesting = {}, []
    for line in re.sub(r"//.*", "", text).splitlines():
        opened = re.match(r"\s*(?:message|enum)\s+(\w+)", line)
        field = re.match(r"\s*(repeated )?\s*(\w+) (\w+) = (\d+);", line)
        if opened:
            nesting.append(messages.setdefault(opened[1], {}))
        elif field:
            nesting[-1][int(field[4])] = (field[3], field[2], bool(field[1]))
        elif line.strip() == "}":
            nesting.pop()
    return messages


MESSAGES = read_proto(PROTO.read_text("utf-8"))


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def encode(message, **values):
    out = b""
    for number, (name, _, repeated) in MESSAGES[message].items():
        for value in values.get(name, []) if repeated else [values.get(name, 0)]:
            if isinstance(value, str):
                out += varint(number << 3 | 2) + varint(len(value.encode())) + value.encode()
            elif value:
                out += varint(number << 3) + varint(int(value))
    return out


def read_varint(data, at):
    size = next(i for i in range(1, 11) if data[at + i - 1] < 128)
    return sum((byte & 127) << 7 * i for i, byte in enumerate(data[at : at + size])), at + size


def decode(message, data):
    defaults = {"string": "", "bytes": b""}
    values = {name: [] if many else defaults.get(kind, 0) for name, kind, many in MESSAGES[message].values()}
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        name, kind, many = MESSAGES[message].get(key >> 3, (None, None, False))
        if key & 7 == 0:
            value, at = read_varint(data, at)
        else:
            size, at = read_varint(data, at) if key & 7 == 2 else (8 if key & 7 == 1 else 4, at)
            value, at = data[at : at + size], at + size
        if kind == "string":
            value = value.decode()
        elif kind == "double":
            value = struct.unpack("<d", value)[0]
        elif kind in MESSAGES and isinstance(value, bytes):
            value = decode(kind, value)
        if name:
            values[name] = values[name] + [value] if many else value
    return values


# ---- the connection ----


class Refused(Exception):
    """An ERROR; `error` has the members of the message."""

    def __init__(self, body):
        self.error = decode("Error", body)
        super().__init__(f"{self.error['status']} {self.error['type']} {self.error['detail']}")


class Client:
    def __init__(self, host, port, features=("json", "checked", "invalidate"), token="", timeout_s=30):
        self.socket = socket.create_connection((host, port), timeout_s)
        self.timeout_s, self.received, self.last_id = timeout_s, b"", 0
        self.answers, self.streams = {}, {}
        hello = encode("Hello", versions=[1], features=features, token=token, client="plain/1")
        self.welcome = decode("Welcome", self.call(HELLO, hello)[1])

    def close(self):
        self.socket.close()

    def send(self, opcode, body, request=None, flags=CHECKED):
        if request is None:
            self.last_id = request = self.last_id + 1
        check = zlib.crc32(body) if flags & CHECKED else 0
        self.socket.sendall(struct.pack(">IBBHII", len(body), opcode, flags, 0, request, check) + body)
        return request

    def receive(self, deadline):
        """One frame goes where it belongs: to who waits for the answer, or to the subscription."""
        while len(self.received) < 16 or len(self.received) < 16 + struct.unpack_from(">I", self.received)[0]:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            piece = self.socket.recv(1 << 16)
            if not piece:
                raise ConnectionError("the server has closed the connection")
            self.received += piece
        length, opcode, flags, code, request, check = struct.unpack_from(">IBBHII", self.received)
        body, self.received = self.received[16 : 16 + length], self.received[16 + length :]
        if flags & CHECKED and zlib.crc32(body) != check:
            raise ConnectionError("wrong checksum")
        if request == 0 and opcode == ERROR:
            raise Refused(body)
        if request in self.streams and opcode in (CHANGES, INVALIDATE, ERROR):
            self.streams[request].append((opcode, body))
        else:
            self.answers[request] = (opcode, code, body)

    def wait(self, request):
        deadline = time.monotonic() + self.timeout_s
        while request not in self.answers:
            self.receive(deadline)
        opcode, code, body = self.answers.pop(request)
        if opcode == ERROR:
            raise Refused(body)
        return code, body

    def call(self, opcode, body, request=None):
        return self.wait(self.send(opcode, body, request))

    def data(self, opcode, *elements):
        """(code, answer) of one of the requests for data, whose body is an array."""
        code, body = self.call(opcode, pack(elements))
        return code, unpack(body)[0]

    def get(self, collection, key, **options):
        return self.data(GET, collection, key, options)[1][3]

    def put(self, collection, key, document, **options):
        return self.data(PUT, collection, key, document, options)[1]

    def list(self, collection, **options):
        while True:
            options["cursor"], records = self.data(LIST, collection, options)[1]
            yield from records
            if options["cursor"] is None:
                return

    def subscribe(self, **fields):
        request = self.send(SUBSCRIBE, encode("Subscribe", **fields))
        self.wait(request)
        self.streams[request] = []
        return request

    def next(self, request, timeout_s):
        """The body of the next CHANGES (whose credit is given back) or INVALIDATE; TimeoutError when none comes."""
        deadline = time.monotonic() + timeout_s
        while not self.streams[request]:
            self.receive(deadline)
        opcode, body = self.streams[request].pop(0)
        if opcode == ERROR:
            raise Refused(body)
        items = unpack(body)[0]
        taken = sum(item[0] in (0, 1) for item in items) if opcode == CHANGES else 0
        if taken > 0:
            self.send(CREDIT, encode("Credit", changes=taken), request)
        return items
