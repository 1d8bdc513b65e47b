"""What the blocking client and the asyncio client share: settings, and the calls that take more
than one request."""

from __future__ import annotations

import random
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from . import freshet_pb2 as pb
from ._codec import number_text, unpack
from ._core import Core
from ._errors import Invalid
from ._feed import VIEWS, WINDOW, Feed, Start, set_start
from ._near import LEASE_S, NearCache
from ._operations import MGET_IDS_MAX, GetMany, ListPage, Operation, pattern_text, record_of
from ._types import Document, Pattern, Record

PORT = 7400
TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
RECEIVE_BYTES = 256 << 10


@dataclass
class Settings:
    """The arguments of connect, checked."""

    url: str
    near_cache_bytes: int = 0
    token: str | None = None
    lease: float = LEASE_S
    timeout: float = TIMEOUT_S
    connect_timeout: float = CONNECT_TIMEOUT_S
    reconnect: bool = True
    checked: bool = False
    host: str = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            port = parts.port
        except ValueError as error:
            raise Invalid(f"{self.url!r}: {error}") from None
        if parts.scheme != "freshet" or not parts.hostname or parts.path not in ("", "/") \
                or parts.query or parts.fragment or parts.username is not None:
            raise Invalid(f"{self.url!r} is no address like freshet://127.0.0.1:{PORT}")
        if self.near_cache_bytes < 0 or self.lease <= 0 or self.timeout <= 0 \
                or self.connect_timeout <= 0:
            raise Invalid("sizes and times are positive")
        self.host = parts.hostname
        self.port = PORT if port is None else port

    def core(self) -> Core:
        """The protocol's side of a client with these settings."""
        near = NearCache(self.near_cache_bytes, self.lease) if self.near_cache_bytes else None
        return Core(token=self.token, near=near, checked=self.checked)


def _clock() -> int:
    """Of Linux's clocks the one that goes on while the machine sleeps: a lease must not."""
    return getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


CLOCK = _clock()


def now() -> float:
    """Seconds of the clock by which leases and timeouts are measured."""
    return time.clock_gettime(CLOCK)


def new_rng() -> random.Random:
    """For backoff: not the program's generator, and another one in each process."""
    return random.Random()


def new_feed(*, collection: str | None, pattern: Pattern | str | None, start: Start, view: str,
             enter_leave: bool, consumer: str | None, member: str | None, progress: bool,
             window: int | None) -> Feed:
    """The subscription with these arguments."""
    if view not in VIEWS:
        raise Invalid(f"view is one of {', '.join(VIEWS)}, not {view!r}")
    if member is not None and consumer is None:
        raise Invalid("a member is of a consumer; name that, too")
    if consumer is not None and (collection or pattern or start != "latest"):
        raise Invalid("collection, pattern and start are the consumer's own; leave them out")
    message = pb.Subscribe(collection=collection or "", pattern=pattern_text(pattern),
                           view=VIEWS[view], enter_leave=enter_leave, consumer=consumer or "",
                           member=member or "")
    set_start(message, start)
    return Feed(message, window=WINDOW if window is None else window, progress=progress)


def consumer_message(name: str, collection: str | None, pattern: Pattern | str | None, group: bool,
                     start: Start) -> Any:
    """The Consumer that consumers.put sends."""
    message = pb.Consumer(name=name, collection=collection or "", pattern=pattern_text(pattern),
                          group=group)
    set_start(message, start)
    return message


def cached_record(body: bytes) -> Record | None:
    """The record in an answer's body that the near cache kept: new objects each time."""
    return record_of(unpack(body), near=True)


def _index_text(value: Any) -> str:
    """Indexed are strings, and the text of numbers and booleans."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return number_text(value)
    raise Invalid(f"an index is asked for a string, a number or a boolean, not {value!r}")


def first_page(collection: str, page_size: int | None, min_position: str | None,
               index: dict[str, Any]) -> ListPage:
    """The request for the first page of a list."""
    if len(index) > 1:
        raise Invalid("a list goes by one index at most")
    page = ListPage(collection, limit=page_size, min_position=min_position)
    for name, value in index.items():
        page.index, page.value = name, _index_text(value)
    return page


def next_page(page: ListPage, cursor: Any) -> ListPage:
    """The request for the page behind the cursor."""
    return ListPage(page.collection, limit=page.limit, cursor=cursor, index=page.index,
                    value=page.value)


def missing_chunks(
    collection: str, ids: Sequence[str], records: dict[str, Record | None]
) -> Generator[Operation[list[Record | None]], list[Record | None], list[Document | None]]:
    """get_many: yields requests, is sent their answers, and returns the values. records: what the
    near cache had already."""
    wanted = [id for id in dict.fromkeys(ids) if id not in records]
    while wanted:
        chunk = wanted[:MGET_IDS_MAX]
        answers = yield GetMany(collection, chunk)
        # An answer may be shorter than asked; it is never empty.
        records.update(zip(chunk, answers))
        wanted = wanted[len(answers) :]
    return [record.value if (record := records[id]) else None for id in ids]
