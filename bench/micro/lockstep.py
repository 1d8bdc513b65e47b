"""A client that sends so many requests in one piece and reads all their answers before it sends more.

What a server does then depends on nothing but the requests: each turn of its loop finds the same.
"""

import re
import socket
import struct

from harness.servers import BenchError

TIMEOUT_S = 60
RECEIVE_BYTES = 1 << 18
COLLECTION = b"products"
VALUE_BYTES = 300

HEADER = struct.Struct(">IBBHII")
ANSWER = 0x80
GET, PUT, CHANGES, HELLO, SUBSCRIBE = 0x01, 0x03, 0x20, 0x40, 0x41
# Fields of Hello and Subscribe in protocol/freshet.proto.
HELLO_BODY = b"\x0a\x01\x01"
SUBSCRIBE_BODY = b"\x0a" + bytes([len(COLLECTION)]) + COLLECTION + b"\x30\x02" + b"\x40\xff\xff\xff\xff\x0f"

# A member that each change has once, and no document of ours.
EVENT_NAME = b"\xa9eventName"

HTTP_HEAD = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r]*\r\n(?:[^\r]+\r\n)*?Content-Length: (\d+)\r\n(?:[^\r]+\r\n)*\r\n",
                       re.IGNORECASE)


def key_of(number):
    return b"%010d" % number


def parts_of(number, serial):
    """Title, price and category of a product: no two serials make an equal one, and a record's category never changes."""
    return (b"Lamp %016x" % serial, 1000.01 + serial % 500, b"shelf-%02d" % (number % 32))


class Connection:
    """One connection to a server, of either protocol."""

    def __init__(self, target):
        host, _, port = target.rpartition(":")
        self.socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.target = target
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def receive(self):
        try:
            more = self.socket.recv(RECEIVE_BYTES)
        except TimeoutError:
            more = b""
        if not more:
            raise BenchError(f"the server at {self.target} does not answer")
        self.received += more

    def answers(self, count):
        """Reads so many answers."""
        for _ in range(count):
            while not self.taken():
                self.receive()

    def exchange(self, requests):
        self.socket.sendall(b"".join(requests))
        self.answers(len(requests))

    def taken(self):
        raise NotImplementedError


class Http(Connection):
    """HTTP/1.1."""

    def get(self, number):
        return b"GET /%s/%s HTTP/1.1\r\nHost: %s\r\n\r\n" % (COLLECTION, key_of(number), self.target.encode())

    def page(self):
        """A page of one record."""
        return b"GET /%s?limit=1 HTTP/1.1\r\nHost: %s\r\n\r\n" % (COLLECTION, self.target.encode())

    def put(self, number, serial):
        title, price, category = parts_of(number, serial)
        body = b'{"title":"%s","price":%.2f,"category":"%s","description":"' % (title, price, category)
        body += b"x" * (VALUE_BYTES - len(body) - 2) + b'"}'
        return (b"PUT /%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                % (COLLECTION, key_of(number), self.target.encode(), len(body)) + body)

    def taken(self):
        head = HTTP_HEAD.match(self.received)
        if head is None or len(self.received) < head.end() + int(head[2]):
            return False
        if not head[1].startswith(b"2"):
            raise BenchError(f"an answer is {head[0].decode()}")
        self.received = self.received[head.end() + int(head[2]):]
        return True


class Wire(Connection):
    """The binary protocol."""

    def __init__(self, target):
        super().__init__(target)
        self.exchange([self.frame(HELLO, HELLO_BODY)])

    def frame(self, opcode, body):
        return HEADER.pack(len(body), opcode, 0, 0, 1, 0) + body

    def named(self, opcode, number, document=b""):
        """The request for a record: an array of collection, id and perhaps document."""
        key = key_of(number)
        return self.frame(opcode, b"%c%c%s%c%s%s" % (0x93 if document else 0x92, 0xA0 | len(COLLECTION), COLLECTION,
                                                     0xA0 | len(key), key, document))

    def get(self, number):
        return self.named(GET, number)

    def put(self, number, serial):
        title, price, category = parts_of(number, serial)
        body = b"\x84\xa5title%c%s\xa5price\xcb%s" % (0xA0 | len(title), title, struct.pack(">d", price))
        body += b"\xa8category%c%s\xabdescription\xdb" % (0xA0 | len(category), category)
        filler = b"x" * (VALUE_BYTES - len(body))
        return self.named(PUT, number, body + struct.pack(">I", len(filler)) + filler)

    def subscribe(self):
        """To all later changes of the collection, with the new images, and credit for more than anybody writes."""
        self.exchange([self.frame(SUBSCRIBE, SUBSCRIBE_BODY)])

    def taken(self):
        frame = self.next_frame()
        if frame is not None and frame[0] & ANSWER == 0:
            raise BenchError(f"a frame of opcode {frame[0]:#x} where an answer was due")
        return frame is not None

    def changes(self, count):
        """Reads so many changes of the subscription."""
        while count > 0:
            frame = self.next_frame()
            if frame is None:
                self.receive()
            elif frame[0] == CHANGES:
                count -= frame[1].count(EVENT_NAME)

    def next_frame(self):
        """(opcode, body), or None: there is no whole one yet."""
        if len(self.received) < HEADER.size:
            return None
        length, opcode, _, code, _, _ = HEADER.unpack_from(self.received)
        if len(self.received) < HEADER.size + length:
            return None
        body = self.received[HEADER.size:HEADER.size + length]
        self.received = self.received[HEADER.size + length:]
        if code >= 300:
            raise BenchError(f"the answer to a frame is {code}: {body!r}")
        return opcode, body
