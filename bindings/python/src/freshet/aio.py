"""Freshet's client for asyncio: the same calls as freshet.connect's, with await and async for.

    import freshet.aio

    async with await freshet.aio.connect("freshet://127.0.0.1:7400") as db:
        await db.put("products", "42", {"title": "Lamp", "price": 29.99})
        print(await db.get("products", "42"))
        async for change in await db.subscribe("products", start="snapshot"):
            print(change.event_name, change.id, change.new_image)

A Client belongs to the event loop in which it was made. A cancelled call of a write may have been
carried out all the same.
"""

from __future__ import annotations

import asyncio
import builtins
import socket
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import Any, TypeVar, cast

from . import _operations as ops
from ._core import Request, State, backoff
from ._errors import Closed, Disconnected, FreshetError, NotFound, Timeout
from ._feed import Feed, Start
from ._shell import (
    Settings,
    cached_record,
    consumer_message,
    first_page,
    missing_chunks,
    new_feed,
    new_rng,
    next_page,
    now,
)
from ._types import Change, ConsumerInfo, Document, NearStatistics, Pattern, Record, Written

T = TypeVar("T")

__all__ = ["Client", "Consumers", "Subscription", "connect"]


class Client:
    """A connection to a Freshet server; made by connect(). It belongs to one event loop.

    Documents are dicts of JSON values; numbers that a float would not keep are decimal.Decimal.
    Calls raise a FreshetError: NotFound, PreconditionFailed, Busy, … While the connection is lost
    they wait for a new one, at most `timeout` seconds. Reads are then sent again; a write whose
    answer was lost is not, and ends as OutcomeUnknown.
    """

    def __init__(self, settings: Settings) -> None:
        self.consumers = Consumers(self)
        self._settings = settings
        self._core = settings.core()
        self._near = self._core.near
        self._link: _Link | None = None  # the connection that there is
        self._room = asyncio.Event()  # its buffer takes more
        self._room.set()
        self._flushing = False
        self._greeted = asyncio.Event()  # or it is known that nobody greets
        self._last_error: FreshetError | None = None
        self._task: asyncio.Task[None] | None = None

    # ---- life ----

    async def _open(self) -> None:
        self._task = asyncio.create_task(self._run(), name="freshet")
        try:
            await self._greeted.wait()
        except BaseException:
            await self.close()
            raise
        if self._core.state is not State.UP and self._last_error is not None:
            error = self._last_error
            await self.close()
            raise error.again()

    async def close(self) -> None:
        """Ends the connection; what is under way ends with Closed, subscriptions end."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._core.fail(Closed("the client has been closed"))
        self._tell()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._core.state is State.UP

    # ---- records ----

    async def get(self, collection: str, id: str, *, min_position: str | None = None,
                  fresh: bool = False, if_none_match: str | None = None,
                  timeout: float | None = None) -> Document | None:
        """The record with its id, or None if there is none.

        min_position: wait until the server has published it (Written.position, Change.position),
            else PreconditionFailed after a second. fresh: past every cache.
        if_none_match: an etag; NotModified if the record is still that one.
        """
        record = await self.get_record(collection, id, min_position=min_position, fresh=fresh,
                                       if_none_match=if_none_match, timeout=timeout)
        return record.value if record is not None else None

    async def get_record(self, collection: str, id: str, *, min_position: str | None = None,
                         fresh: bool = False, if_none_match: str | None = None,
                         timeout: float | None = None) -> Record | None:
        """As get, with version and etag: for read, change and put(if_match=record.etag)."""
        if self._near is not None and not (min_position or fresh or if_none_match):
            body = self._near.lookup((collection, id), now())
            if body is not None:
                return cached_record(body)
        operation = ops.Get(collection, id, min_position, fresh, if_none_match)
        return await self._call(operation, timeout)

    async def get_many(self, collection: str, ids: Sequence[str], *,
                       timeout: float | None = None) -> list[Document | None]:
        """The records in the order of the ids; None for each that is not there."""
        known: dict[str, Record | None] = {}
        if self._near is not None:
            at = now()
            bodies = {id: self._near.lookup((collection, id), at) for id in dict.fromkeys(ids)}
            known = {id: cached_record(body) for id, body in bodies.items() if body is not None}
        steps = missing_chunks(collection, ids, known)
        try:
            operation = next(steps)
            while True:
                operation = steps.send(await self._call(operation, timeout))
        except StopIteration as finished:
            return cast("builtins.list[Document | None]", finished.value)

    async def put(self, collection: str, id: str, document: Document, *,
                  if_match: str | None = None, if_absent: bool = False,
                  timeout: float | None = None) -> Written:
        """Makes the record, or replaces it whole.

        if_match: an etag, or "*" for any; if_absent: only if there is none; else
            PreconditionFailed.
        """
        return await self._call(ops.Put(collection, id, document, if_match, if_absent), timeout)

    async def patch(self, collection: str, id: str, patch: Document, *,
                    if_match: str | None = None, timeout: float | None = None) -> Written:
        """Changes members of the record (RFC 7396): those given are set, those that are None go."""
        return await self._call(ops.Patch(collection, id, patch, if_match), timeout)

    async def create(self, collection: str, document: Document, *,
                     idempotency_key: str | None = None,
                     timeout: float | None = None) -> Written:
        """Makes a record under a new id, which is in the answer.

        idempotency_key: the same key again gives the first answer again, for 24 hours.
        """
        return await self._call(ops.Create(collection, document, idempotency_key), timeout)

    async def delete(self, collection: str, id: str, *, if_match: str | None = None,
                     timeout: float | None = None) -> bool:
        """Deletes the record; whether there was one."""
        return await self._call(ops.Delete(collection, id, if_match), timeout)

    async def list(self, collection: str, /, *, page_size: int | None = None,
                   min_position: str | None = None, timeout: float | None = None,
                   **index: Any) -> AsyncIterator[Document]:
        """All records in the order of their ids, fetched by pages while you iterate.

        One declared index may be given by its name: list("products", category="lamps").
        """
        page = first_page(collection, page_size, min_position, index)
        while True:
            cursor, records = await self._call(page, timeout)
            for record in records:
                yield record
            if cursor is None:
                return
            page = next_page(page, cursor)

    async def batch(self, operations: Sequence[ops.BatchOperation], *,
                    timeout: float | None = None) -> builtins.list[ops.BatchResult]:
        """Several Get, Put, Patch, Delete and Create in one round trip; no transaction:
        each stands for itself, and a Get may see a Put of the same batch or not.

        Results in their order: what the call alone would return, or the FreshetError that it would
        raise.
        """
        return await self._call(ops.Batch(operations), timeout)

    # ---- changes ----

    async def subscribe(self, collection: str | None = None, pattern: Pattern | str | None = None,
                        *, start: Start = "latest", view: str = "both", enter_leave: bool = False,
                        consumer: str | None = None, member: str | None = None,
                        progress: bool = False, window: int | None = None,
                        timeout: float | None = None) -> Subscription:
        """Changes as they are committed, each once and in order; `async for` over what it returns.

        start: "latest", "earliest", "snapshot" (all records, then SYNCED, then their changes), a
            position, or a datetime with a time zone.
        pattern: an EventBridge pattern as a dict or as JSON. view: "both", "new", "old" or "keys".
        enter_leave: say with transition when a record enters or leaves what the pattern matches.
        consumer: a named consumer; collection, pattern and start are its own. member: of its group.
        progress: also PROGRESS marks, while nothing matches. window: changes under way at most.
        When the connection is lost it goes on where it was. PositionExpired ends it.
        """
        feed = new_feed(collection=collection, pattern=pattern, start=start, view=view,
                        enter_leave=enter_leave, consumer=consumer, member=member,
                        progress=progress, window=window)
        subscription = Subscription(self, feed)
        await subscription._open(self._settings.timeout if timeout is None else timeout)
        return subscription

    async def ack(self, consumer: str, position: str, *, member: str | None = None,
                  timeout: float | None = None) -> None:
        """All changes of the consumer up to the position are done with."""
        await self._call(ops.acknowledge(consumer, position, member), timeout)
        self._core.acknowledged(consumer, position)

    # ---- the rest ----

    async def stats(self, *, timeout: float | None = None) -> dict[str, float]:
        """The server's figures, under the names of its /metrics."""
        return await self._call(ops.stats(), timeout)

    async def ping(self, *, timeout: float | None = None) -> None:
        """One round trip."""
        await self._call(ops.ping(), timeout)

    def near_statistics(self) -> NearStatistics:
        """What the near cache has done; all 0 without one."""
        return NearStatistics() if self._near is None else self._near.statistics()

    # ---- a caller's side ----

    async def _call(self, operation: ops.Operation[T], timeout: float | None) -> T:
        """Sends the request and waits for its answer."""
        request = Request(operation, asyncio.get_running_loop().create_future())
        limit = asyncio.timeout(self._settings.timeout if timeout is None else timeout)
        try:
            async with limit:
                await self._room.wait()
                self._core.submit(request)
                self._send()
                await request.waiter
        except TimeoutError:
            if not limit.expired():
                raise
            if not request.done:
                raise self._core.abandon(request) from None
        except asyncio.CancelledError:
            if not request.done:
                self._core.abandon(request)
            raise
        if request.error is not None:
            raise request.error.again()
        return request.value  # type: ignore[return-value]

    def _send(self) -> None:
        """Sends what the core has to say at the end of this turn of the loop, all at once."""
        if not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        output = self._core.take_output()
        if output and self._link is not None and self._link.transport is not None:
            self._link.transport.write(output)

    def _tell(self) -> None:
        """Wakes those for whom something has come."""
        for ready in self._core.take_ready():
            if isinstance(ready, Feed):
                if ready.waiter is not None:
                    ready.waiter.set()
            elif not ready.waiter.done():
                ready.waiter.set_result(None)

    # ---- the connection ----

    async def _run(self) -> None:
        """Connects, and connects again, until the client is closed."""
        attempt = 0
        rng = new_rng()
        while True:
            error = await self._one_connection()
            first = not self._greeted.is_set()
            self._last_error = error
            attempt = 0 if self._core.state in (State.UP, State.LEAVING) else attempt + 1
            if self._core.state is not State.DOWN:
                self._core.lost(error)
            if not self._settings.reconnect or first:
                self._core.fail(error)
            self._tell()
            self._greeted.set()
            if self._core.failure is not None:
                return
            await asyncio.sleep(backoff(attempt, rng))

    async def _one_connection(self) -> FreshetError:
        """From connecting to the end; why it ended."""
        settings = self._settings
        link = self._link = _Link(self)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(settings.connect_timeout):
                await loop.create_connection(lambda: link, settings.host, settings.port)
                await link.settled.wait()
            self._greeted.set()
            return await link.ended
        except TimeoutError:
            return Timeout("the server could not be reached, or did not greet, in time")
        except OSError as error:
            return Disconnected(f"{settings.url}: {error}")
        finally:
            link.close()
            self._link = None
            self._room.set()


class _Link(asyncio.Protocol):
    """One connection: its bytes to the core, and the core's clock."""

    def __init__(self, client: Client) -> None:
        loop = asyncio.get_running_loop()
        self.transport: asyncio.Transport | None = None
        self.settled = asyncio.Event()  # the server has greeted, or never will
        self.ended: asyncio.Future[FreshetError] = loop.create_future()
        self._client = client
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client._core.connected(now())
        self._client._send()

    def data_received(self, data: bytes) -> None:
        core = self._client._core
        if self.ended.done():
            return
        try:
            core.receive(data, now())
        except FreshetError as error:
            self._end(error)
        self._client._tell()
        if core.state is State.UP:
            self.settled.set()
        self._tick()

    def connection_lost(self, error: Exception | None) -> None:
        self._end(Disconnected(str(error) if error else "the server has closed the connection"))

    def pause_writing(self) -> None:
        self._client._room.clear()

    def resume_writing(self) -> None:
        self._client._room.set()

    def close(self) -> None:
        """No more of it."""
        self._end(Closed("the client has been closed"))
        if self._timer is not None:
            self._timer.cancel()
        if self.transport is not None:
            self.transport.abort()

    def _end(self, error: FreshetError) -> None:
        if not self.ended.done():
            self.ended.set_result(error)
            self.settled.set()

    def _tick(self) -> None:
        """Lets the core send what is due, and sees to it that it is asked again in time."""
        if self.ended.done():
            return
        try:
            deadline = self._client._core.tick(now())
        except FreshetError as error:
            self._end(error)
            return
        self._client._send()
        if deadline is None or self._timer is not None and self._timer_at <= deadline:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        self._timer = self._loop.call_later(max(0.001, deadline - now()), self._timed)

    def _timed(self) -> None:
        self._timer = None
        self._tick()


class Subscription:
    """The changes of one subscription: `async for` over it, or call next. Close it, or use
    `async with`."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed
        self._arrived = asyncio.Event()
        feed.waiter = self._arrived

    async def _open(self, timeout: float) -> None:
        feed = self._feed
        self._client._core.subscribe(feed)
        self._client._send()
        try:
            async with asyncio.timeout(timeout):
                while not (feed.opened or feed.ended):
                    await self._wait()
        except TimeoutError:
            self._unsubscribe()
            raise Timeout("the subscription was not answered in time") from None
        except asyncio.CancelledError:
            self._unsubscribe()
            raise
        if not feed.opened:
            raise (feed.error or Closed("the client has been closed")).again()

    async def _wait(self) -> None:
        self._arrived.clear()
        await self._arrived.wait()

    @property
    def position(self) -> str:
        """From where subscribe(start=…) goes on behind the last change that was handed out."""
        return self._feed.position

    async def next(self, timeout: float | None = None) -> Change | None:
        """The next change; None when none came in time, or the subscription has been closed.

        Raises what ended the subscription, such as PositionExpired.
        """
        change = self._take()
        if change is not None or self._feed.ended:
            return change
        try:
            async with asyncio.timeout(timeout):
                while change is None and not self._feed.ended:
                    await self._wait()
                    change = self._take()
        except TimeoutError:
            return self._take()
        return change

    def _take(self) -> Change | None:
        feed = self._feed
        change = feed.take()
        if change is not None:
            self._client._core.give_credit(feed)
            self._client._send()
        elif feed.error is not None:
            raise feed.error.again()
        return change

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Change:
        change = await self.next()
        if change is None:
            raise StopAsyncIteration
        return change

    async def ack(self, *, timeout: float | None = None) -> None:
        """All changes that were handed out are done with (a named consumer's)."""
        if self.position:
            message = self._feed.message
            await self._client.ack(message.consumer, self.position, member=message.member or None,
                                   timeout=timeout)

    def _unsubscribe(self) -> None:
        self._client._core.unsubscribe(self._feed)
        self._client._send()
        self._client._tell()

    async def close(self) -> None:
        """Ends it; whoever waits in next or iterates is woken."""
        self._feed.discard()
        self._unsubscribe()

    def __del__(self) -> None:
        self._feed.orphaned = True

    async def __aenter__(self) -> Subscription:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()


class Consumers:
    """Named consumers: positions that the server keeps. client.consumers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def put(self, name: str, *, collection: str | None = None,
                  pattern: Pattern | str | None = None, group: bool = False,
                  start: Start = "latest", timeout: float | None = None) -> ConsumerInfo:
        """Makes the consumer, or leaves one that is the same already as it is.

        group: its members, subscribe(consumer=…, member=…), share the records out among them.
        """
        message = consumer_message(name, collection, pattern, group, start)
        return await self._client._call(ops.consumer_put(message), timeout)

    async def get(self, name: str, *, timeout: float | None = None) -> ConsumerInfo | None:
        """The consumer and its lag, or None."""
        try:
            info: ConsumerInfo = await self._client._call(ops.consumer_get(name), timeout)
            return info
        except NotFound:
            return None

    async def delete(self, name: str, *, timeout: float | None = None) -> bool:
        """Deletes the consumer; whether there was one."""
        try:
            await self._client._call(ops.consumer_delete(name), timeout)
            return True
        except NotFound:
            return False

    async def list(self, *, timeout: float | None = None) -> AsyncIterator[ConsumerInfo]:
        """All consumers by name."""
        after = ""
        while True:
            consumers, more = await self._client._call(ops.consumer_list(after, 0), timeout)
            for consumer in consumers:
                yield consumer
            if not more or not consumers:
                return
            after = consumers[-1].name


async def connect(url: str, near_cache_bytes: int = 0, token: str | None = None, *,
                  lease: float = 2.0, timeout: float = 30.0, connect_timeout: float = 5.0,
                  reconnect: bool = True, checked: bool = False) -> Client:
    """Connects to freshet://HOST[:PORT]; the port is 7400 by default.

    near_cache_bytes: memory for records in this process, kept fresh by the server; 0: none.
    lease: seconds for which they are served without word from the server.
    token: credentials. timeout: seconds that a call waits at most.
    reconnect: False: a connection that is lost stays lost. checked: checksums in both directions.
    """
    client = Client(Settings(url, near_cache_bytes, token, lease, timeout, connect_timeout,
                             reconnect, checked))
    await client._open()
    return client
