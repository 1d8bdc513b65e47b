"""What the calls hand out."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
Pattern = dict[str, Any]
Pair = tuple[int, int]  # (epoch, sequence): a later state of a record has a greater one


def etag_of(pair: Pair) -> str:
    """The etag of the state that this change made."""
    return f'"0-{pair[0]:x}-{pair[1]:x}"'


@dataclass(slots=True)
class Written:
    """What a write did.

    id: of the record; of create the one that the server made.
    version: counts from 1 in one life of a record; 0 after a delete.
    etag: for if_match; None after a delete.
    position: of this write in the journal, for min_position and start.
    changed: False when the record was equal already, or was not there to be deleted.
    created: there was no such record before.
    """

    id: str
    version: int
    etag: str | None
    position: str
    changed: bool = True
    created: bool = False


@dataclass(slots=True)
class Record:
    """A record with what is known about it. near: it came out of the near cache."""

    value: Document
    version: int
    epoch: int
    sequence: int
    near: bool = False

    @property
    def etag(self) -> str:
        """For if_match and if_none_match."""
        return etag_of((self.epoch, self.sequence))


@dataclass(slots=True)
class Change:
    """One change, or a mark in the stream of changes.

    event_name: "INSERT", "MODIFY", "REMOVE"; "EVENT" for somebody's own event; "SNAPSHOT" for a
        record as it is; "SYNCED" when the snapshot is whole; "PROGRESS" (only if asked for) when
        nothing matched up to position.
    position: from where subscribe(start=…) goes on after this change.
    changed: the top-level names that were added, removed or altered by a MODIFY.
    transition: "enter" or "leave" with enter_leave=True.
    raw: all of it, as GET /changes shows it.
    """

    event_name: str
    position: str
    collection: str | None
    id: str | None
    sequence: int | None
    version: int | None
    new_image: Document | None
    old_image: Document | None
    changed: list[str]
    transition: str | None
    raw: dict[str, Any]

    @property
    def time(self) -> datetime.datetime | None:
        """When it was committed, by the server's clock."""
        text = self.raw.get("time")
        return datetime.datetime.fromisoformat(text) if isinstance(text, str) else None

    @property
    def event_id(self) -> str | None:
        """What identifies the change."""
        return self.raw.get("eventID")


@dataclass(slots=True)
class ConsumerInfo:
    """A named consumer, and how far behind it is."""

    name: str
    collection: str | None
    pattern: Pattern | None
    group: bool
    position: str
    members: int
    lag_events: int
    lag_bytes: int
    lag_seconds: float


@dataclass(slots=True)
class NearStatistics:
    """What the near cache has done.

    passed: reads that went to the server because the lease was over.
    dropped_fills: answers that were older than an invalidation.
    """

    hits: int = 0
    misses: int = 0
    passed: int = 0
    invalidations: int = 0
    dropped_fills: int = 0
    evictions: int = 0
    entries: int = 0
    bytes: int = 0
