"""The protocol without I/O: bytes in, bytes out, and who has something to hear. No sockets, no
clock, no threads, no waiting; the blocking client and the asyncio client are thin shells around it.

    connected(now) ─> HELLO ─> greeting ── WELCOME ──> up ── GOAWAY ──> leaving
         ^                                              |                  |
         └───────────── down <── lost(error) ───────────┴──────────────────┘

A shell calls connected, receive, tick and lost as these things happen, and after each of them (and
after submit and the like) sends what take_output gives and wakes whom take_ready names. While the
connection is not up requests wait. When it is lost, reads are sent again on the next one, writes
end as OutcomeUnknown, and subscriptions go on behind the last change that came.

Not locked: the shell sees to that. Tests: tests/test_core.py.
"""

from __future__ import annotations

import enum
import random
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from . import _codec, _frames
from . import freshet_pb2 as pb
from ._errors import (
    Closed,
    Disconnected,
    Forbidden,
    FreshetError,
    Invalid,
    OutcomeUnknown,
    ProtocolError,
    Timeout,
    TooLarge,
    Unauthorized,
    problem,
)
from ._feed import Feed
from ._frames import Frame, FrameReader
from ._near import NearCache
from ._operations import Operation

T = TypeVar("T")

VERSION = 1
CLIENT = "freshet-python/0.1.0"
SENDS_MAX = 4  # of one read, over as many connections
PINGS_MAX = 16  # under way
PINGS_A_LEASE = 4
PROGRESS_MS_MIN = 50
KEEPALIVE_S = 20.0
ID_MAX = 0xFFFFFFFF
BACKOFF_FIRST_S = 0.05
BACKOFF_MAX_S = 2.0


def backoff(attempt: int, rng: random.Random) -> float:
    """Seconds to wait before trying to connect again: doubling, and never two clients alike."""
    return min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2.0 ** min(attempt, 16)) * rng.uniform(0.5, 1.0)


class State(enum.Enum):
    """Of the connection."""

    DOWN = enum.auto()
    GREETING = enum.auto()
    UP = enum.auto()
    LEAVING = enum.auto()


class Request(Generic[T]):
    """An operation under way; when done is set, error or value tells how it went."""

    __slots__ = ("operation", "body", "id", "sends", "done", "abandoned", "value", "error",
                 "waiter")

    def __init__(self, operation: Operation[T], waiter: Any = None) -> None:
        self.operation = operation
        self.body = operation.body()
        self.id = 0  # of its frame on this connection; 0: not sent
        self.sends = 0
        self.done = False
        self.abandoned = False  # nobody waits any more; its id is taken until the answer comes
        self.value: T | None = None
        self.error: FreshetError | None = None
        self.waiter = waiter


class Core:
    """All connections of one client, one after the other."""

    def __init__(self, *, token: str | None = None, near: NearCache | None = None,
                 checked: bool = False, keepalive: float = KEEPALIVE_S) -> None:
        self.state = State.DOWN
        self.near = near
        self.welcome: Any = None  # the last one that came
        self.failure: FreshetError | None = None  # for good
        self._hello = pb.Hello(versions=[VERSION], token=token or "", client=CLIENT)
        if checked:
            self._hello.features.append("checked")
        if near is not None:
            self._hello.features.append("invalidate")
        self._checked = checked
        self._keepalive = keepalive
        self._reader = FrameReader()
        self._output: list[bytes] = []
        self._ready: list[Request[Any] | Feed] = []
        self._requests: dict[int, Request[Any]] = {}  # under way, by id
        self._waiting: deque[Request[Any]] = deque()  # for a connection
        self._feeds: list[Feed] = []  # all that have not ended
        self._feeds_by_id: dict[int, Feed] = {}
        self._closing: set[int] = set()  # ids of UNSUBSCRIBE under way
        self._pings: dict[int, tuple[float, bool]] = {}  # id: when it was sent, for the lease?
        self._near_feed: Feed | None = None
        self._last_id = 0
        self._heard_at = 0.0
        self._next_ping = 0.0
        self._handlers: dict[int, Callable[[Frame, float], None]] = {
            _frames.CHANGES: self._on_changes,
            _frames.INVALIDATE: self._on_invalidate,
            _frames.GOAWAY: self._on_goaway,
            _frames.ERROR: self._on_error,
            _frames.HELLO | _frames.ANSWER: self._on_welcome,
            _frames.SUBSCRIBE | _frames.ANSWER: self._on_subscribed,
            _frames.UNSUBSCRIBE | _frames.ANSWER: self._on_unsubscribed,
            _frames.PING | _frames.ANSWER: self._on_pong,
        }
        for opcode in _frames.ANSWERED:
            self._handlers.setdefault(opcode | _frames.ANSWER, self._on_answer)

    # ---- what the shell takes away ----

    def take_output(self) -> bytes:
        """What is to be sent."""
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def take_ready(self) -> list[Request[Any] | Feed]:
        """Requests that are done, and subscriptions in which something has happened."""
        ready, self._ready = self._ready, []
        return ready

    # ---- the connection ----

    def connected(self, now: float) -> None:
        """There is a new connection."""
        assert self.state is State.DOWN
        self.state = State.GREETING
        self._reader = FrameReader()
        self._output.clear()
        self._heard_at = now
        self._send(_frames.HELLO, self._new_id(), self._hello.SerializeToString())

    def receive(self, data: bytes, now: float) -> None:
        """Bytes came. A FreshetError: the connection is of no use; close it, and call lost."""
        self._heard_at = now
        for frame in self._reader.feed(data):
            if self.state is State.GREETING and frame.opcode not in (
                    _frames.HELLO | _frames.ANSWER, _frames.ERROR):
                raise ProtocolError(f"opcode {frame.opcode:#x} came before WELCOME")
            handler = self._handlers.get(frame.opcode)
            if handler is None:
                continue  # of a later version
            try:
                handler(frame, now)
            except (ValueError, TypeError, LookupError) as error:
                if isinstance(error, FreshetError):
                    raise
                raise ProtocolError(
                    f"a frame of opcode {frame.opcode:#x} cannot be read: {error}") from error

    def lost(self, error: FreshetError) -> None:
        """The connection is gone."""
        self.state = State.DOWN
        self._output.clear()
        self._pings.clear()
        self._closing.clear()
        if self.near is not None:
            self.near.suspend()
        self._near_feed = None
        self._feeds_by_id.clear()
        for feed in self._feeds:
            feed.id = 0
        again: list[Request[Any]] = []
        requests, self._requests = self._requests, {}
        for request in requests.values():
            request.id = 0
            if request.operation.repeatable and not request.abandoned:
                if request.sends < SENDS_MAX:
                    again.append(request)
                else:
                    self._finish(request, error)
            else:
                self._finish(request, self._unknown_outcome(request, str(error)))
        self._waiting.extendleft(reversed(again))
        if isinstance(error, (Unauthorized, Forbidden, Invalid, Closed)):
            self.fail(error)

    def fail(self, error: FreshetError) -> None:
        """There will be no connection any more: all that waits ends with this error."""
        if self.failure is not None:
            return
        if self.state is not State.DOWN:
            self.lost(error)
        if self.failure is not None:
            return
        self.failure = error
        while self._waiting:
            self._finish(self._waiting.popleft(), error)
        for feed in self._feeds[:]:
            self._end_feed(feed, None if isinstance(error, Closed) else error)

    def tick(self, now: float) -> float | None:
        """Sends the PINGs that are due; when to call again. Disconnected: the server is silent."""
        if self.state is not State.UP and self.state is not State.LEAVING:
            return None
        for feed in [feed for feed in self._feeds if feed.orphaned]:
            self.unsubscribe(feed)
        silent_since = now - self._heard_at
        if silent_since >= self._keepalive:
            raise Disconnected(f"nothing came from the server for {silent_since:.1f} s")
        silent_at = self._heard_at + self._keepalive
        if self.state is State.LEAVING:
            return silent_at
        if now >= self._next_ping:
            self._ping(now)
        return min(self._next_ping, silent_at)

    # ---- requests ----

    def submit(self, request: Request[Any]) -> None:
        """Sends the request, or keeps it until there is a connection."""
        if self.failure is not None:
            raise self.failure.again()
        if len(request.body) > self._body_max():
            raise TooLarge(f"the request has {len(request.body)} bytes; "
                           f"at most {self._body_max()} are allowed")
        if self.near is not None:
            request.operation.begin(self.near)
        if self.state is State.UP:
            self._start(request)
        else:
            self._waiting.append(request)

    def abandon(self, request: Request[Any]) -> FreshetError:
        """Nobody waits for the answer any more; the error that says what that means."""
        if request.id == 0:
            error: FreshetError = Disconnected("there was no connection in time")
            if request not in self._waiting:
                return error  # it has not even been submitted
            self._waiting.remove(request)
            self._finish(request, error)
            self._ready = [each for each in self._ready if each is not request]
            return error
        request.abandoned = True
        if request.operation.repeatable:
            return Timeout("no answer came in time")
        return self._unknown_outcome(request, "no answer came in time")

    # ---- subscriptions ----

    def subscribe(self, feed: Feed) -> None:
        """Begins the subscription now, or when there is a connection."""
        if self.failure is not None:
            raise self.failure.again()
        self._feeds.append(feed)
        if self.state is State.UP:
            self._subscribe(feed)

    def unsubscribe(self, feed: Feed) -> None:
        """This side wants no more of it."""
        if feed.ended:
            return
        if feed.id and self.state is State.UP:
            self._closing.add(feed.id)
            self._send(_frames.UNSUBSCRIBE, feed.id)
        self._end_feed(feed, None)

    def give_credit(self, feed: Feed) -> None:
        """Something was taken: the server may send as much more."""
        if feed.id and self.state is State.UP:
            credit = feed.credit_to_give()
            if credit:
                self._send(_frames.CREDIT, feed.id, pb.Credit(changes=credit).SerializeToString())

    def acknowledged(self, consumer: str, position: str) -> None:
        """An ACK was answered."""
        for feed in self._feeds:
            if feed.consumer == consumer:
                feed.acknowledged(position)

    # ---- sending ----

    def _send(self, opcode: int, id: int, body: bytes = b"") -> None:
        self._output.append(_frames.encode(opcode, id, body, checked=self._checked))

    def _new_id(self) -> int:
        while True:
            self._last_id = self._last_id % ID_MAX + 1
            id = self._last_id
            if not (id in self._requests or id in self._feeds_by_id or id in self._pings
                    or id in self._closing):
                return id

    def _body_max(self) -> int:
        return int(self.welcome.frame_bytes_max) if self.welcome else _frames.REQUEST_BYTES_MAX

    def _start(self, request: Request[Any]) -> None:
        request.id = self._new_id()
        request.sends += 1
        self._requests[request.id] = request
        self._send(request.operation.opcode, request.id, request.body)

    def _subscribe(self, feed: Feed) -> None:
        feed.id = self._new_id()
        self._feeds_by_id[feed.id] = feed
        self._send(_frames.SUBSCRIBE, feed.id, feed.subscribe_body())

    def _ping(self, now: float) -> None:
        """Asks for a sign of life, and for the lease; sets when to do so again."""
        tracked = self._near_feed is not None and self._near_feed.opened
        if len(self._pings) < PINGS_MAX:
            id = self._new_id()
            self._pings[id] = (now, tracked)
            self._send(_frames.PING, id)
        interval = self._keepalive / 2
        if tracked and self.near is not None:
            interval = min(interval, self.near.lease / PINGS_A_LEASE)
        self._next_ping = now + interval

    def _subscribe_near(self, near: NearCache) -> None:
        """Invalidations, from where they were heard last; else from what is published now."""
        if not near.position:
            near.clear()
        message = pb.Subscribe(invalidate=True)
        message.progress_ms = max(PROGRESS_MS_MIN, int(near.lease * 1000 / PINGS_A_LEASE))
        if near.position:
            setattr(message, "from", pb.POSITION)
            message.position = near.position
        self._near_feed = Feed(message)
        self._subscribe(self._near_feed)

    # ---- ends ----

    def _finish(self, request: Request[Any], error: FreshetError | None) -> None:
        """The request is over; each comes here once."""
        assert not request.done
        request.done = True
        request.error = error
        if self.near is not None:
            request.operation.end(self.near)
        if not request.abandoned:
            self._ready.append(request)

    def _unknown_outcome(self, request: Request[Any], why: str) -> FreshetError:
        if self.near is not None:
            request.operation.unknown(self.near)
        return OutcomeUnknown(f"the write may or may not have been kept: {why}")

    def _end_feed(self, feed: Feed, error: FreshetError | None) -> None:
        feed.end(error)
        self._feeds_by_id.pop(feed.id, None)
        feed.id = 0
        if feed in self._feeds:
            self._feeds.remove(feed)
            self._ready.append(feed)

    # ---- what comes ----

    def _on_answer(self, frame: Frame, now: float) -> None:
        request = self._requests.get(frame.id)
        if request is None:
            return  # nobody waits for it
        if frame.opcode != request.operation.opcode | _frames.ANSWER:
            raise ProtocolError(f"opcode {frame.opcode:#x} came as the answer to "
                                f"{request.operation.opcode:#x}")
        error: FreshetError | None = None
        try:
            request.value = request.operation.answer(frame.code, frame.body, self.near)
        except FreshetError as refused:
            error = refused
        except (ValueError, TypeError, LookupError) as malformed:
            error = ProtocolError(f"the answer cannot be read: {malformed}")
        if isinstance(error, ProtocolError) and not request.operation.repeatable:
            error = self._unknown_outcome(request, str(error))
        del self._requests[frame.id]
        self._finish(request, error)

    def _on_welcome(self, frame: Frame, now: float) -> None:
        if self.state is not State.GREETING:
            raise ProtocolError("a second WELCOME came")
        welcome = _codec.parse(pb.Welcome, frame.body)
        if welcome.version != VERSION:
            raise ProtocolError(f"the server chose version {welcome.version}, not {VERSION}")
        store_changed = self.welcome is not None and self.welcome.store != welcome.store
        self.welcome = welcome
        if welcome.frame_bytes_max == 0:
            welcome.frame_bytes_max = _frames.REQUEST_BYTES_MAX
        self.state = State.UP
        self._next_ping = now + self._keepalive / 2
        if self.near is not None:
            if store_changed:
                self.near.clear()
            if "invalidate" in welcome.features:
                self._subscribe_near(self.near)
        for feed in self._feeds:
            self._subscribe(feed)
        while self._waiting:
            self._start(self._waiting.popleft())

    def _on_subscribed(self, frame: Frame, now: float) -> None:
        feed = self._feeds_by_id.get(frame.id)
        if feed is None:
            return  # ended meanwhile
        feed.subscribed(_codec.parse(pb.Subscribed, frame.body).position)
        if feed is self._near_feed and self.near is not None:
            self.near.subscribed(feed.position)
            self._ping(now)
        else:
            self._ready.append(feed)

    def _on_changes(self, frame: Frame, now: float) -> None:
        feed = self._feeds_by_id.get(frame.id)
        if feed is None:
            return  # ended meanwhile
        items = _codec.unpack(frame.body)
        if feed.arrived(items, len(frame.body)):
            self._ready.append(feed)
        if self.near is not None:
            for _, _, change, *_ in items:
                keys = change.get("keys") if isinstance(change, dict) else None
                if isinstance(keys, dict):
                    self.near.changed((change.get("collection", ""), keys.get("id", "")))
        self.give_credit(feed)

    def _on_invalidate(self, frame: Frame, now: float) -> None:
        if self.near is None or self._near_feed is None or frame.id != self._near_feed.id:
            return  # ended meanwhile
        position, live, rows, *_ = _codec.unpack(frame.body)
        keys = [((row[0], row[1]), (row[2], row[3])) for row in rows]
        for pair, key in keys:
            if type(pair[0]) is not int or type(pair[1]) is not int:
                raise ValueError("an invalidation without epoch and sequence")
            hash(key)
        if type(position) is not str:
            raise ValueError("an invalidation without a position")
        self.near.invalidate(position, live is True, keys)

    def _on_unsubscribed(self, frame: Frame, now: float) -> None:
        self._closing.discard(frame.id)

    def _on_pong(self, frame: Frame, now: float) -> None:
        ping = self._pings.pop(frame.id, None)
        if ping is None:
            self._on_answer(frame, now)
        elif ping[1] and self.near is not None:
            self.near.pong(ping[0])

    def _on_goaway(self, frame: Frame, now: float) -> None:
        self.state = State.LEAVING
        for subscription in _codec.parse(pb.Goaway, frame.body).subscriptions:
            feed = self._feeds_by_id.get(subscription.id)
            if feed is not None and feed is not self._near_feed:
                feed.moved(subscription.position)

    def _on_error(self, frame: Frame, now: float) -> None:
        message = _codec.parse(pb.Error, frame.body)
        error = problem(message.status or frame.code, message.type, message.detail,
                        retry_after_ms=message.retry_after_ms, oldest=message.oldest,
                        newest=message.newest)
        if self.state is State.GREETING:
            raise error
        request = self._requests.pop(frame.id, None)
        feed = self._feeds_by_id.get(frame.id)
        if request is not None:
            if self.near is not None and isinstance(error, OutcomeUnknown):
                request.operation.unknown(self.near)
            self._finish(request, error)
        elif feed is not None:
            self._on_feed_error(feed, error)
        elif frame.id == 0:
            raise ProtocolError(f"the server refused the connection: {error}")
        self._closing.discard(frame.id)
        self._pings.pop(frame.id, None)

    def _on_feed_error(self, feed: Feed, error: FreshetError) -> None:
        if feed is self._near_feed:
            self._on_near_error(error)
        elif error.code == 409 and feed.standing and feed.consumer:
            # Slots of the group have moved, or the consumer was altered; what was not taken comes
            # again, to whoever is to have it now.
            del self._feeds_by_id[feed.id]
            self._subscribe(feed)
        else:
            self._end_feed(feed, error)

    def _on_near_error(self, error: FreshetError) -> None:
        """410: what was missed cannot be told. Anything else: it goes on without a near cache."""
        assert self.near is not None and self._near_feed is not None
        missed = error.code == 410 and self._near_feed.message.position != ""
        del self._feeds_by_id[self._near_feed.id]
        self._near_feed = None
        self.near.clear()
        if missed:
            self._subscribe_near(self.near)
