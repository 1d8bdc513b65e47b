"""A client of server-sent events, as the standard reads them (HTML, 9.2.6), and pages of changes.

    with sse.Stream(server, "/changes?collection=pets") as stream:
        event = stream.next()
        event.name, event.id, event.data        # "insert", the position, the change
"""

import json
import socket
import time
import urllib.parse

import support

TIMEOUT_S = support.REQUEST_TIMEOUT_S


class Event:
    """One event. comments: the lines that stood before it and begin with ':'."""

    def __init__(self, name, id, text, comments=()):
        self.name = name
        self.id = id
        self.text = text
        self.comments = list(comments)

    @property
    def data(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"Event({self.name}, {self.id}, {self.text[:300]})"


class Closed(Exception):
    """The stream has ended."""


class Stream:
    """A connection of its own. receive_bytes: a small buffer in the kernel, for clients that do not read."""

    def __init__(self, server, target, headers=None, version="1.1", receive_bytes=None, method="GET"):
        self.socket = socket.socket()
        if receive_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(TIMEOUT_S)
        self.socket.connect(("127.0.0.1", server.port))
        fields = {"Host": "localhost", "Accept": "text/event-stream", **(headers or {})}
        head = f"{method} {target} HTTP/{version}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
        self.socket.sendall(head.encode())
        self.raw = b""  # as it came, behind the head
        self.text = b""  # without the framing of chunks
        self.ended = False
        self.comments = []
        self.retry = None
        self.last_id = None
        self._read_head()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def _receive(self):
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionResetError:
            piece = b""
        if piece == b"":
            self.ended = True
        return piece

    def _read_head(self):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = self._receive()
            if piece == b"":
                raise Closed(data)
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            self.headers[name.lower()] = value
        self.chunked = self.headers.get("transfer-encoding") == "chunked"
        self._take(rest)

    def _take(self, piece):
        """Undoes the chunks as far as they are there."""
        if not self.chunked:
            self.text += piece
            return
        self.raw += piece
        at = 0
        while (end := self.raw.find(b"\r\n", at)) >= 0:
            size = int(self.raw[at:end], 16)
            if len(self.raw) < end + 4 + size:
                break
            if size == 0:
                self.ended = True
            self.text += self.raw[end + 2 : end + 2 + size]
            at = end + 4 + size
        self.raw = self.raw[at:]

    def next(self, timeout_s=TIMEOUT_S):
        """The next event; Closed when there is none any more, TimeoutError when none comes in time."""
        deadline = time.monotonic() + timeout_s
        while True:
            event = self._parse()
            if event is not None:
                return event
            if self.ended:
                raise Closed
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self.socket.settimeout(left)
            self._take(self._receive())

    def _parse(self):
        """One block up to its blank line; None when no whole event is there. Blocks without data are none."""
        while b"\n\n" in self.text:
            block, _, self.text = self.text.partition(b"\n\n")
            name, data = "message", []
            for line in block.decode("utf-8").split("\n"):
                field, _, value = line.partition(":")
                value = value[1:] if value.startswith(" ") else value
                if field == "":
                    self.comments.append(value)
                elif field == "event":
                    name = value
                elif field == "data":
                    data.append(value)
                elif field == "id":
                    self.last_id = value
                elif field == "retry":
                    self.retry = int(value)
                else:
                    raise AssertionError(f"unknown field {line!r}")
            if data:
                comments, self.comments = self.comments, []
                return Event(name, self.last_id, "\n".join(data), comments)
        return None

    def find(self, name, timeout_s=TIMEOUT_S):
        """Reads on to the next event of that name."""
        deadline = time.monotonic() + timeout_s
        while True:
            event = self.next(max(deadline - time.monotonic(), 0.001))
            if event.name == name:
                return event

    def changes(self, count):
        """So many changes; what is not about a change is passed over."""
        found = []
        while len(found) < count:
            event = self.next()
            if event.name not in ("progress", "synced"):
                found.append(event)
        return found


def target(path="/changes", **query):
    """The path with its query; a pattern may be an object."""
    if "pattern" in query and not isinstance(query["pattern"], str):
        query["pattern"] = json.dumps(query["pattern"])
    return path + ("?" + urllib.parse.urlencode({k: v for k, v in query.items() if v is not None}) if query else "")
