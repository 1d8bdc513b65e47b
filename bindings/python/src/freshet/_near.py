"""The near cache: records in this process, kept fresh by the server's invalidations.

Time:      the caller passes now, in seconds of a clock that never goes back; none is read here.
Memory:    bytes_max bounds the entries; beyond it the one that was used longest ago goes.
Invariant: whoever gets a hit at `now` gets a state that was current at `now - lease` or later, and
           never one older than what this client has read, written, or been told as a change.
Why:       an entry is served only while a PONG says that all changes up to the moment of its PING
           have been heard, and only for `lease` after that moment. An answer fills the cache only
           if nothing newer was heard of its key since its request was sent: `_pending` remembers,
           for each key that is being read, the newest state that was seen meanwhile. A request
           that is sent later is answered by the server with that state or a newer one.
Freshness is judged by (epoch, sequence), never by version: versions begin anew after a delete.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace

from ._types import NearStatistics, Pair

Key = tuple[str, str]  # collection, id

LEASE_S = 2.0
# Roughly what an entry costs besides its bytes: the node, the key and its tuples.
ENTRY_OVERHEAD_BYTES = 300
NEVER: Pair = (-1, -1)
LATEST: Pair = (1 << 64, 0)  # later than any: a change of which only the key is known
LONG_AGO = float("-inf")


class _Pending:
    """A key that is being read: by how many requests, and the newest state seen meanwhile."""

    __slots__ = ("readers", "floor")

    def __init__(self) -> None:
        self.readers = 0
        self.floor = NEVER


class NearCache:
    """Bodies of GET's answers by key. Not locked: the caller sees to that."""

    def __init__(self, bytes_max: int, lease: float = LEASE_S) -> None:
        self.bytes_max = bytes_max
        self.lease = lease
        self.position = ""  # up to where changes have been heard
        self._entries: OrderedDict[Key, tuple[Pair, bytes]] = OrderedDict()
        self._pending: dict[Key, _Pending] = {}
        self._tracking = False  # changes are heard, now or when the connection is back
        self._live = False
        self._serve_until = LONG_AGO
        self._generation = 0
        self._statistics = NearStatistics()

    # ---- reads ----

    def lookup(self, key: Key, now: float) -> bytes | None:
        """The body of an answer, if it may be served now."""
        if not self._live or now >= self._serve_until:
            self._statistics.passed += 1
            return None
        entry = self._entries.get(key)
        if entry is None:
            self._statistics.misses += 1
            return None
        self._entries.move_to_end(key)
        self._statistics.hits += 1
        return entry[1]

    def begin(self, key: Key) -> int:
        """A read of the key is about to be sent; what it returns is for fill. Then call end."""
        pending = self._pending.get(key)
        if pending is None:
            pending = self._pending[key] = _Pending()
        pending.readers += 1
        return self._generation if self._tracking else -1

    def end(self, key: Key) -> None:
        """The read has been answered, or never will be."""
        pending = self._pending[key]
        pending.readers -= 1
        if pending.readers == 0:
            del self._pending[key]

    def fill(self, key: Key, pair: Pair, body: bytes, begun: int) -> None:
        """An answer came, between begin and end; it is kept if nothing newer is known."""
        # Whoever gets this answer has seen the state, whether it is kept or not.
        self._outdated(key, pair)
        entry = self._entries.get(key)
        newer = self._pending[key].floor > pair or entry is not None and entry[0] > pair
        if newer or begun != self._generation:
            self._statistics.dropped_fills += 1
            return
        self._drop(key)
        cost = self._cost(key, body)
        if cost > self.bytes_max:
            return
        self._entries[key] = (pair, body)
        self._statistics.bytes += cost
        while self._statistics.bytes > self.bytes_max:
            self._drop(next(iter(self._entries)))
            self._statistics.evictions += 1

    # ---- what makes entries old ----

    def written(self, key: Key, pair: Pair) -> None:
        """This client's own write was answered. What the server made of it (defaults, kept
        fields) is not known here, so the old state goes and the next read fetches the new."""
        self._outdated(key, pair)

    def changed(self, key: Key) -> None:
        """A change of the key is about to be handed out: what was before it is not shown again."""
        self._outdated(key, LATEST)

    def listed(self, key: Key, is_same: Callable[[bytes], bool]) -> None:
        """A list is about to hand out the record, which tells no sequence: what is cached of it
        stays only if it shows the same."""
        entry = self._entries.get(key)
        if entry is None or not is_same(entry[1]):
            self._outdated(key, LATEST)

    def forget(self, key: Key) -> None:
        """The key may have changed, and nothing is known about it."""
        self._drop(key)

    def invalidate(self, position: str, live: bool, keys: Iterable[tuple[Pair, Key]]) -> None:
        """An INVALIDATE came."""
        for pair, key in keys:
            self._statistics.invalidations += 1
            self._outdated(key, pair)
        self.position = position
        self._live = live

    def clear(self) -> None:
        """Changes have been missed: nothing may stay, nor come from requests that are under way."""
        self._entries.clear()
        self._statistics.bytes = 0
        self._generation += 1
        self._tracking = False
        self.position = ""
        self.suspend()

    # ---- the lease ----

    def subscribed(self, position: str) -> None:
        """The server will tell of every change from this position on."""
        self._tracking = True
        self.position = self.position or position

    def pong(self, sent_at: float) -> None:
        """All changes up to the moment sent_at, when the PING was sent, have been heard."""
        self._serve_until = max(self._serve_until, sent_at + self.lease)

    def suspend(self) -> None:
        """The connection is lost: entries stay, and nothing is served."""
        self._live = False
        self._serve_until = LONG_AGO

    def statistics(self) -> NearStatistics:
        """A copy."""
        return replace(self._statistics, entries=len(self._entries))

    # ---- inside ----

    @staticmethod
    def _cost(key: Key, body: bytes) -> int:
        return len(key[0]) + len(key[1]) + len(body) + ENTRY_OVERHEAD_BYTES

    def _drop(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._statistics.bytes -= self._cost(key, entry[1])

    def _outdated(self, key: Key, pair: Pair) -> None:
        """The key has the state `pair` now, or a newer one."""
        entry = self._entries.get(key)
        if entry is not None and entry[0] < pair:
            self._drop(key)
        pending = self._pending.get(key)
        if pending is not None and pending.floor < pair:
            pending.floor = pair
