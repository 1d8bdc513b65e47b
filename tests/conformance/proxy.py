"""A TCP proxy between clients and a server, which does on command what networks do.

    proxy = Proxy(server_port).start()      clients connect to proxy.port
    proxy.delay(TO_CLIENT, 0.2)             what is read from now on is passed on so much later; 0: at once
    proxy.hold(TO_SERVER)                   nothing is passed on until resume()
    proxy.cut_after(TO_CLIENT, 17)          after 17 more bytes in this direction the connection that brings them is cut; once
    proxy.cut()                             all connections are cut now
    proxy.refuse(True)                      new connections are closed at once; False: no more
    proxy.target = port                     where new connections go from now on

One thread does it all; commands come from any thread and are carried out before they return. The clocks of the delays are those
of the machine, so that a delayed byte is never early. A cut sends what was to be passed on before it, and then a reset: half a
frame arrives, and no more.
"""

import collections
import contextlib
import queue
import selectors
import socket
import struct
import threading
import time

TO_SERVER, TO_CLIENT = "to_server", "to_client"
DIRECTIONS = (TO_SERVER, TO_CLIENT)
PIECE_BYTES = 1 << 16
# What one direction of a connection holds before the proxy stops reading.
HELD_BYTES_MAX = 8 << 20
COMMAND_TIMEOUT_S = 60


class Way:
    """One direction of one connection: read from `source`, due times, written to `sink`."""

    def __init__(self, direction, source, sink):
        self.direction, self.source, self.sink = direction, source, sink
        self.pieces = collections.deque()  # (due, bytes)
        self.held_bytes = 0
        self.ended = False  # the source has shut its side

    def push(self, due, data):
        self.pieces.append((due, data))
        self.held_bytes += len(data)

    def flush(self, most):
        """Writes at most so many bytes of the first piece; how many the sink took."""
        due, data = self.pieces.popleft()
        try:
            sent = self.sink.send(data[:most])
        except BlockingIOError:
            sent = 0
        self.held_bytes -= sent
        if sent < len(data):
            self.pieces.appendleft((due, data[sent:]))
        return sent


class Proxy:
    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self._passed = {TO_SERVER: 0, TO_CLIENT: 0}
        self.accepted = 0
        self._delays = dict.fromkeys(DIRECTIONS, 0.0)
        self._held = set()
        self._cuts = {}
        self._refusing = False
        self._connections = []  # pairs of ways
        self._commands = queue.SimpleQueue()
        self._bell, self._bell_end = socket.socketpair()
        self._selector = selectors.SelectSelector()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self):
        self._thread.start()
        return self

    def stop(self):
        if self._thread.is_alive():
            self._commands.put((None, None))
            self._bell.send(b"x")
            self._thread.join(COMMAND_TIMEOUT_S)

    # ---- commands ----

    def delay(self, direction, seconds):
        self._command(lambda: self._delays.__setitem__(direction, seconds))

    def hold(self, direction):
        self._command(lambda: self._held.add(direction))

    def resume(self, direction=None):
        self._command(lambda: self._held.difference_update([direction] if direction else DIRECTIONS))

    def cut_after(self, direction, size):
        self._command(lambda: self._cuts.__setitem__(direction, size))

    def cut(self):
        self._command(self._cut_all)

    def refuse(self, refusing):
        self._command(lambda: setattr(self, "_refusing", refusing))

    def clear(self):
        """No delay, no hold, no cut to come; connections stay."""

        def run():
            self._delays = dict.fromkeys(DIRECTIONS, 0.0)
            self._held.clear()
            self._cuts.clear()
            self._refusing = False

        self._command(run)

    @property
    def passed(self):
        """Bytes of all connections together. A command, so that what a peer has read already is counted."""
        counts = {}
        self._command(lambda: counts.update(self._passed))
        return counts

    @property
    def open(self):
        return len(self._connections)

    def _command(self, run):
        done = threading.Event()
        self._commands.put((run, done))
        self._bell.send(b"x")
        if not done.wait(COMMAND_TIMEOUT_S):
            raise RuntimeError("the proxy does not answer")

    # ---- the thread ----

    def _run(self):
        self.listener.setblocking(False)
        self._bell_end.setblocking(False)
        running = True
        while running:
            for key, _ in self._wait():
                if key.fileobj is self.listener:
                    self._accept()
                elif key.fileobj is self._bell_end:
                    self._bell_end.recv(PIECE_BYTES)
                elif isinstance(key.data, Way):
                    self._read(key.data)
            while not self._commands.empty():
                run, done = self._commands.get()
                if run is None:
                    running = False
                else:
                    run()
                    done.set()
            for pair in list(self._connections):
                self._pass_on(pair)
        self._cut_all()
        for one in (self.listener, self._bell, self._bell_end):
            one.close()

    def _wait(self):
        """What is ready to be read, or for what a sink has become writable; at the latest when the next piece is due."""
        self._selector.close()
        self._selector = selectors.SelectSelector()
        self._selector.register(self.listener, selectors.EVENT_READ)
        self._selector.register(self._bell_end, selectors.EVENT_READ)
        now, due = time.monotonic(), []
        for pair in self._connections:
            for way, back in (pair, pair[::-1]):
                events = 0
                if not way.ended and way.held_bytes < HELD_BYTES_MAX:
                    events |= selectors.EVENT_READ
                # This way's source is where the way back writes to.
                if back.pieces and back.direction not in self._held:
                    if back.pieces[0][0] <= now:
                        events |= selectors.EVENT_WRITE
                    else:
                        due.append(back.pieces[0][0])
                if events:
                    self._selector.register(way.source, events, way)
        timeout = max(0.0, min(due) - now) if due else None
        return [(key, events) for key, events in self._selector.select(timeout) if self._readable(key, events)]

    @staticmethod
    def _readable(key, events):
        return key.data is None or events & selectors.EVENT_READ

    def _accept(self):
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:
            return
        self.accepted += 1
        try:
            if self._refusing:
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.target), COMMAND_TIMEOUT_S)
        except OSError:
            reset(client)
            return
        for one in (client, server):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections.append((Way(TO_SERVER, client, server), Way(TO_CLIENT, server, client)))

    def _read(self, way):
        try:
            data = way.source.recv(PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._close(way)
            return
        if not data:
            way.ended = True
        else:
            way.push(time.monotonic() + self._delays[way.direction], data)

    def _pass_on(self, pair):
        for way in pair:
            try:
                self._pass_on_way(way)
            except OSError:
                self._close(way)
                return

    def _pass_on_way(self, way):
        while way.pieces and way.direction not in self._held and way.pieces[0][0] <= time.monotonic():
            left = self._cuts.get(way.direction)
            sent = way.flush(PIECE_BYTES if left is None else left) if left != 0 else 0
            self._passed[way.direction] += sent
            if left is not None:
                self._cuts[way.direction] = left - sent
                if left == sent:
                    del self._cuts[way.direction]
                    raise ConnectionAbortedError
            if sent == 0:
                return
        if way.ended and not way.pieces:
            raise ConnectionAbortedError

    def _close(self, way):
        for pair in list(self._connections):
            if way in pair:
                self._connections.remove(pair)
                # What was written before is still to arrive: an end, not a reset, on the way to the client.
                pair[0].source.close()
                reset(pair[0].sink)

    def _cut_all(self):
        for pair in list(self._connections):
            self._close(pair[0])


def reset(connection):
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
