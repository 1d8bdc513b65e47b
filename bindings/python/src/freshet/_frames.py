"""Frames: 16 bytes of header, and a body. No sockets.

    0        4        5        6        8        12       16
    | length | opcode | flags  | code   | id     | check  | body …
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from ._errors import ProtocolError

HEADER = struct.Struct(">IBBHII")
ANSWER_BYTES_MAX = 16 << 20
REQUEST_BYTES_MAX = 8 << 20

GET = 0x01
MGET = 0x02
PUT = 0x03
PATCH = 0x04
DELETE = 0x05
CREATE = 0x06
LIST = 0x07
BATCH = 0x08
CHANGES = 0x20
INVALIDATE = 0x21
HELLO = 0x40
SUBSCRIBE = 0x41
CREDIT = 0x42
ACK = 0x43
CONSUMER = 0x44
STATS = 0x45
UNSUBSCRIBE = 0x46
PING = 0x47
GOAWAY = 0x48
ERROR = 0xFF

ANSWER = 0x80
ANSWERED = (GET, MGET, PUT, PATCH, DELETE, CREATE, LIST, BATCH, HELLO, SUBSCRIBE, ACK, CONSUMER,
            STATS, UNSUBSCRIBE, PING)
FLAG_JSON = 0x01
FLAG_CHECKED = 0x02
FLAGS_KNOWN = FLAG_JSON | FLAG_CHECKED


class Frame(NamedTuple):
    """One frame as it came."""

    opcode: int
    flags: int
    code: int
    id: int
    body: bytes


def encode(opcode: int, id: int, body: bytes, *, checked: bool = False) -> bytes:
    """The bytes of a request."""
    flags, check = (FLAG_CHECKED, zlib.crc32(body)) if checked else (0, 0)
    return HEADER.pack(len(body), opcode, flags, 0, id, check) + body


class FrameReader:
    """Cuts what comes into frames; a frame may arrive in any number of pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """All frames that are whole now. ProtocolError: the connection is of no use any more."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= HEADER.size:
                length, opcode, flags, code, id, check = HEADER.unpack_from(buffer, at)
                if length > ANSWER_BYTES_MAX:
                    raise ProtocolError(f"a frame of {length} bytes came; "
                                        f"at most {ANSWER_BYTES_MAX} are allowed")
                if flags & ~FLAGS_KNOWN:
                    raise ProtocolError(f"a frame with the unknown flags {flags:#x} came")
                end = at + HEADER.size + length
                if len(buffer) < end:
                    break
                body = bytes(memoryview(buffer)[at + HEADER.size : end])
                if flags & FLAG_CHECKED and zlib.crc32(body) != check:
                    raise ProtocolError("a frame came with a wrong checksum")
                at = end
                yield Frame(opcode, flags, code, id, body)
        finally:
            del buffer[:at]
