"""A subscription, apart from sockets, threads and waiting: what has come, what may still come, and
from where it goes on when the connection was lost.

    start ── SUBSCRIBE ──> opened ── changes ──> taken ── ERROR or close ──> ended
               ^                        |
               └── connection lost ─────┘   behind the last that came; what was not taken stays

A named consumer goes on from what is acknowledged, so that the server sends again what was taken
but not acknowledged; that is recognised by its event id and left out. What was not taken is dropped,
because slots of a group may have moved to another member meanwhile.
"""

from __future__ import annotations

import datetime
from collections import OrderedDict, deque
from typing import Any

from . import freshet_pb2 as pb
from ._errors import FreshetError, Invalid, ProtocolError
from ._types import Change

WINDOW = 2048
WINDOW_MAX = 1 << 20
WINDOW_LEAST = 8  # even when each change is as large as can be
WINDOW_BYTES = 16 << 20  # what waits to be taken, at most, about
CHANGE_BYTES_FIRST = 64 << 10  # of a change, until some have come
UNACKNOWLEDGED_MAX = 1 << 16

CHANGE, SNAPSHOT, SYNCED, PROGRESS, CAUGHT_UP = range(5)
VIEWS = {"both": pb.VIEW_BOTH, "keys": pb.VIEW_KEYS, "new": pb.VIEW_NEW, "old": pb.VIEW_OLD}
STARTS = {"latest": pb.LATEST, "earliest": pb.EARLIEST, "snapshot": pb.SNAPSHOT}

Start = str | datetime.datetime


def set_start(message: Any, start: Start) -> None:
    """from, position and time_ms of a Subscribe or Consumer message ("from" is Python's word)."""
    if isinstance(start, datetime.datetime):
        if start.tzinfo is None:
            raise Invalid("a start time needs a time zone, such as datetime.timezone.utc")
        setattr(message, "from", pb.TIME)
        message.time_ms = max(0, int(start.timestamp() * 1000))
    elif start in STARTS:
        setattr(message, "from", STARTS[start])
    elif start:
        setattr(message, "from", pb.POSITION)
        message.position = start
    else:
        raise Invalid('start is "latest", "earliest", "snapshot", a position or a datetime')


class Feed:
    """The state of one subscription. Not locked: the caller sees to that.

    message: the Subscribe with which it began; what it says of start holds until something came.
    """

    def __init__(self, message: Any, *, window: int = WINDOW, progress: bool = False) -> None:
        if not 1 <= window <= WINDOW_MAX:
            raise Invalid(f"a window is 1 to {WINDOW_MAX} changes")
        self.message = message
        self.window = window
        self.wants_progress = progress
        self.id = 0  # of its request on this connection; 0: not asked for yet
        self.opened = False  # SUBSCRIBED has come, at least once
        self.standing = False  # it has come since the last SUBSCRIBE
        self.error: FreshetError | None = None
        self.ended = False
        self.orphaned = False  # nobody has a reference to it any more
        self.position = ""  # behind the last change that was taken
        self.waiter: Any = None  # for whoever waits
        self._resume = ""  # behind the last item that came
        self._items: deque[tuple[int, str, Any]] = deque()
        self._queued = 0  # of them those that took credit
        self._credit = 0  # items that the server may still send
        self._change_bytes: float = CHANGE_BYTES_FIRST  # of one, on average
        self._unacknowledged: OrderedDict[str, str] = OrderedDict()  # event id: position

    @property
    def consumer(self) -> str:
        """Its named consumer, or ''."""
        return str(self.message.consumer)

    def subscribe_body(self) -> bytes:
        """The body of SUBSCRIBE for a new connection."""
        message = pb.Subscribe()
        message.CopyFrom(self.message)
        self.standing = False
        if self.consumer:
            self.discard()
        elif self._resume:
            set_start(message, self._resume)
        if not message.invalidate:
            # What waits to be taken keeps its place in the window.
            self._credit = max(0, self._room() - self._queued)
            message.credit = self._credit
        return bytes(message.SerializeToString())

    def subscribed(self, position: str) -> None:
        """SUBSCRIBED came."""
        self.opened = self.standing = True
        # In a snapshot it would leave out the records; before the first item that begins anew.
        if position and not self._resume and getattr(self.message, "from") != pb.SNAPSHOT:
            self._resume = self.position = position

    def moved(self, position: str) -> None:
        """GOAWAY said from where it goes on."""
        if position and (self._resume or getattr(self.message, "from") != pb.SNAPSHOT):
            self._resume = position

    def arrived(self, items: Any, size: int) -> bool:
        """CHANGES of so many bytes came; whether there is something new to take. ProtocolError,
        ValueError, …"""
        before, credit = len(self._items), self._credit
        for kind, position, change, *_ in items:
            if type(kind) is not int or type(position) is not str:
                raise ValueError("an item of CHANGES that is none")
            self._arrived(kind, position, change)
        if self._credit < credit:
            self._change_bytes += (size / (credit - self._credit) - self._change_bytes) / 8
        return len(self._items) > before

    def _arrived(self, kind: int, position: str, change: Any) -> None:
        if kind <= SNAPSHOT:
            if not isinstance(change, dict):
                raise ValueError("a change is no map")
            if self._credit <= 0:
                raise ProtocolError("more changes came than there was credit for")
            self._credit -= 1
            if change.get("eventID") in self._unacknowledged:
                return
            self._queued += 1
        self._resume = position
        if kind <= SYNCED or kind == PROGRESS and self.wants_progress:
            last = self._items[-1] if self._items else None
            if kind == PROGRESS and last and last[0] == PROGRESS:
                self._items.pop()
            self._items.append((kind, position, change))
        elif not self._items:
            self.position = position

    def take(self) -> Change | None:
        """The next change, or None if none is here."""
        if not self._items:
            return None
        kind, self.position, raw = self._items.popleft()
        if kind > SNAPSHOT:
            return _mark("SYNCED" if kind == SYNCED else "PROGRESS", self.position)
        self._queued -= 1
        if self.consumer and "eventID" in raw:
            self._unacknowledged[raw["eventID"]] = self.position
            if len(self._unacknowledged) > UNACKNOWLEDGED_MAX:
                self._unacknowledged.popitem(last=False)
        return _change(kind, self.position, raw)

    def credit_to_give(self) -> int:
        """How much CREDIT is due: half of the window at a time. It counts as given."""
        room = self._room()
        free = room - self._queued - self._credit
        if free <= 0 or free * 2 < room:
            return 0
        self._credit += free
        return free

    def _room(self) -> int:
        """The window, or fewer changes if they are large."""
        return min(self.window, max(WINDOW_LEAST, int(WINDOW_BYTES / self._change_bytes)))

    def acknowledged(self, position: str) -> None:
        """ACK was answered: what came up to there never comes again."""
        if position in self._unacknowledged.values():
            while self._unacknowledged.popitem(last=False)[1] != position:
                pass

    def discard(self) -> None:
        """Nobody wants what is here any more."""
        self._items.clear()
        self._queued = 0

    def end(self, error: FreshetError | None) -> None:
        """It is over; None: because this side wanted it."""
        if not self.ended:
            self.ended = True
            self.error = error


def _mark(name: str, position: str) -> Change:
    return Change(name, position, None, None, None, None, None, None, [], None, {})


def _change(kind: int, position: str, raw: dict[str, Any]) -> Change:
    get = raw.get
    keys = get("keys")
    return Change(
        "SNAPSHOT" if kind == SNAPSHOT else get("eventName", ""), position, get("collection"),
        keys.get("id") if isinstance(keys, dict) else None, get("sequence"), get("version"),
        get("newImage"), get("oldImage"), get("changed") or [], get("transition"), raw)
