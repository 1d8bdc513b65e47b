"""The blocking client: one socket, one thread that reads it, any number of threads that ask.

A caller puts its request into the core and on the socket, and waits; the reader thread hands
answers out, keeps the lease alive, and connects again when the connection is lost. One lock guards the core
and the socket's sending side; nobody waits for anything while holding it.
"""

from __future__ import annotations

import builtins
import select
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, TypeVar

from . import _operations as ops
from ._core import Request, State, backoff
from ._errors import Closed, Disconnected, FreshetError, NotFound, Timeout
from ._feed import Feed, Start
from ._shell import (
    RECEIVE_BYTES,
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


class Client:
    """A connection to a Freshet server; made by connect(). Any number of threads may use it.

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
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._outgoing = bytearray()
        self._wake_reader, self._wake_writer = socket.socketpair()
        self._wake_reader.setblocking(False)
        self._wake_writer.setblocking(False)
        self._closing = threading.Event()
        self._greeted = threading.Event()
        self._last_error: FreshetError | None = None
        self._thread = threading.Thread(target=self._run, name="freshet", daemon=True)

    # ---- life ----

    def _open(self) -> None:
        self._thread.start()
        # The reader bounds connecting and greeting; it says in any case how they went.
        self._greeted.wait()
        if self._core.state is not State.UP and self._last_error is not None:
            error = self._last_error
            self.close()
            raise error.again()

    def close(self) -> None:
        """Ends the connection; what is under way ends with Closed, subscriptions end."""
        self._closing.set()
        self._wake()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()
        with self._lock:
            self._fail(Closed("the client has been closed"))
        self._wake_reader.close()
        self._wake_writer.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._core.state is State.UP

    # ---- records ----

    def get(self, collection: str, id: str, *, min_position: str | None = None,
            fresh: bool = False, if_none_match: str | None = None,
            timeout: float | None = None) -> Document | None:
        """The record with its id, or None if there is none.

        min_position: wait until the server has published it (Written.position, Change.position),
            else PreconditionFailed after a second. fresh: past every cache.
        if_none_match: an etag; NotModified if the record is still that one.
        """
        record = self.get_record(collection, id, min_position=min_position, fresh=fresh,
                                 if_none_match=if_none_match, timeout=timeout)
        return record.value if record is not None else None

    def get_record(self, collection: str, id: str, *, min_position: str | None = None,
                   fresh: bool = False, if_none_match: str | None = None,
                   timeout: float | None = None) -> Record | None:
        """As get, with version and etag: for read, change and put(if_match=record.etag)."""
        if self._near is not None and not (min_position or fresh or if_none_match):
            with self._lock:
                body = self._near.lookup((collection, id), now())
            if body is not None:
                return cached_record(body)
        return self._call(ops.Get(collection, id, min_position, fresh, if_none_match), timeout)

    def get_many(self, collection: str, ids: Sequence[str], *,
                 timeout: float | None = None) -> list[Document | None]:
        """The records in the order of the ids; None for each that is not there."""
        known: dict[str, Record | None] = {}
        if self._near is not None:
            with self._lock:
                at = now()
                bodies = {id: self._near.lookup((collection, id), at) for id in dict.fromkeys(ids)}
            known = {id: cached_record(body) for id, body in bodies.items() if body is not None}
        steps = missing_chunks(collection, ids, known)
        try:
            operation = next(steps)
            while True:
                operation = steps.send(self._call(operation, timeout))
        except StopIteration as finished:
            values: list[Document | None] = finished.value
            return values

    def put(self, collection: str, id: str, document: Document, *, if_match: str | None = None,
            if_absent: bool = False, timeout: float | None = None) -> Written:
        """Makes the record, or replaces it whole.

        if_match: an etag, or "*" for any; if_absent: only if there is none; else
            PreconditionFailed.
        """
        return self._call(ops.Put(collection, id, document, if_match, if_absent), timeout)

    def patch(self, collection: str, id: str, patch: Document, *, if_match: str | None = None,
              timeout: float | None = None) -> Written:
        """Changes members of the record (RFC 7396): those given are set, those that are None go."""
        return self._call(ops.Patch(collection, id, patch, if_match), timeout)

    def create(self, collection: str, document: Document, *, idempotency_key: str | None = None,
               timeout: float | None = None) -> Written:
        """Makes a record under a new id, which is in the answer.

        idempotency_key: the same key again gives the first answer again, for 24 hours.
        """
        return self._call(ops.Create(collection, document, idempotency_key), timeout)

    def delete(self, collection: str, id: str, *, if_match: str | None = None,
               timeout: float | None = None) -> bool:
        """Deletes the record; whether there was one."""
        return self._call(ops.Delete(collection, id, if_match), timeout)

    def list(self, collection: str, /, *, page_size: int | None = None,
             min_position: str | None = None, timeout: float | None = None,
             **index: Any) -> Iterator[Document]:
        """All records in the order of their ids, fetched by pages while you iterate.

        One declared index may be given by its name: list("products", category="lamps").
        """
        page = first_page(collection, page_size, min_position, index)
        while True:
            cursor, records = self._call(page, timeout)
            yield from records
            if cursor is None:
                return
            page = next_page(page, cursor)

    def batch(self, operations: Sequence[ops.BatchOperation], *,
              timeout: float | None = None) -> builtins.list[ops.BatchResult]:
        """Several Get, Put, Patch, Delete and Create in one round trip; no transaction:
        each stands for itself, and a Get may see a Put of the same batch or not.

        Results in their order: what the call alone would return, or the FreshetError that it would
        raise.
        """
        return self._call(ops.Batch(operations), timeout)

    # ---- changes ----

    def subscribe(self, collection: str | None = None, pattern: Pattern | str | None = None, *,
                  start: Start = "latest", view: str = "both", enter_leave: bool = False,
                  consumer: str | None = None, member: str | None = None, progress: bool = False,
                  window: int | None = None, timeout: float | None = None) -> Subscription:
        """Changes as they are committed, each once and in order; iterate over what it returns.

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
        subscription._open(self._settings.timeout if timeout is None else timeout)
        return subscription

    def ack(self, consumer: str, position: str, *, member: str | None = None,
            timeout: float | None = None) -> None:
        """All changes of the consumer up to the position are done with."""
        self._call(ops.acknowledge(consumer, position, member), timeout)
        with self._lock:
            self._core.acknowledged(consumer, position)

    # ---- the rest ----

    def stats(self, *, timeout: float | None = None) -> dict[str, float]:
        """The server's figures, under the names of its /metrics."""
        return self._call(ops.stats(), timeout)

    def ping(self, *, timeout: float | None = None) -> None:
        """One round trip."""
        self._call(ops.ping(), timeout)

    def near_statistics(self) -> NearStatistics:
        """What the near cache has done; all 0 without one."""
        if self._near is None:
            return NearStatistics()
        with self._lock:
            return self._near.statistics()

    # ---- a caller's side ----

    def _call(self, operation: ops.Operation[T], timeout: float | None) -> T:
        """Sends the request and waits for its answer."""
        waiter = threading.Lock()
        waiter.acquire()
        request = Request(operation, waiter)
        with self._lock:
            self._core.submit(request)
            self._send()
        if not self._wait(request, self._settings.timeout if timeout is None else timeout):
            with self._lock:
                if not request.done:
                    raise self._core.abandon(request)
        if request.error is not None:
            raise request.error.again()
        return request.value  # type: ignore[return-value]

    def _wait(self, request: Request[Any], timeout: float) -> bool:
        try:
            limit = max(0.0, min(timeout, threading.TIMEOUT_MAX))
            return bool(request.waiter.acquire(timeout=limit))
        except BaseException:  # such as KeyboardInterrupt: nobody will take the answer
            with self._lock:
                if not request.done:
                    self._core.abandon(request)
            raise

    def _send(self) -> None:
        """Holding the lock: sends what the core has to say, as far as the socket takes it."""
        output = self._core.take_output()
        if output:
            self._outgoing += output
        if not self._outgoing or self._socket is None:
            return
        try:
            del self._outgoing[: self._socket.send(self._outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self._outgoing.clear()  # the reader finds out, too, and says why
        if self._outgoing and threading.current_thread() is not self._thread:
            self._wake()

    def _wake(self) -> None:
        try:
            self._wake_writer.send(b"\0")
        except OSError:
            pass  # it has been woken often enough, or has ended

    def _tell(self) -> None:
        """Holding the lock: wakes those for whom something has come."""
        for ready in self._core.take_ready():
            if isinstance(ready, Feed):
                if ready.waiter is not None:
                    ready.waiter.notify_all()
            else:
                ready.waiter.release()

    def _fail(self, error: FreshetError) -> None:
        self._core.fail(error)
        self._tell()

    # ---- the reader thread ----

    def _run(self) -> None:
        attempt = 0
        rng = new_rng()
        while not self._closing.is_set():
            error = self._one_connection()
            with self._lock:
                self._last_error = error
                attempt = 0 if self._core.state in (State.UP, State.LEAVING) else attempt + 1
                if self._core.state is not State.DOWN:
                    self._core.lost(error)
                first = not self._greeted.is_set()
                if not self._settings.reconnect or first:
                    self._core.fail(error)
                self._tell()
                failed = self._core.failure is not None
            self._greeted.set()
            if failed:
                return
            self._closing.wait(backoff(attempt, rng))

    def _one_connection(self) -> FreshetError:
        """From connecting to the end; why it ended."""
        connection: socket.socket | None = None
        try:
            address = (self._settings.host, self._settings.port)
            connection = socket.create_connection(address, self._settings.connect_timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setblocking(False)
            with self._lock:
                self._socket = connection
                self._outgoing.clear()
                self._core.connected(now())
                self._send()
            self._serve(connection)
        except FreshetError as error:
            return error
        except OSError as error:
            return Disconnected(f"{self._settings.url}: {error}")
        finally:
            with self._lock:
                self._socket = None
            if connection is not None:
                connection.close()
        return Closed("the client has been closed")

    def _serve(self, connection: socket.socket) -> None:
        """Reads until the connection or the client ends."""
        greet_by = now() + self._settings.connect_timeout
        poll = select.poll()
        poll.register(self._wake_reader, select.POLLIN)
        while not self._closing.is_set():
            with self._lock:
                deadline = self._core.tick(now())
                self._send()
                wanted = select.POLLIN | (select.POLLOUT if self._outgoing else 0)
            if deadline is None:
                deadline = greet_by
                if now() >= greet_by:
                    raise Timeout("the server did not greet in time")
            poll.register(connection, wanted)
            for descriptor, _ in poll.poll(max(0.0, deadline - now()) * 1000 + 1):
                if descriptor == connection.fileno():
                    self._receive(connection, wanted)
                else:
                    self._wake_reader.recv(4096)

    def _receive(self, connection: socket.socket, wanted: int) -> None:
        try:
            data = connection.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return  # only writable
        if not data:
            raise Disconnected("the server has closed the connection")
        with self._lock:
            try:
                self._core.receive(data, now())
            finally:
                self._send()
                self._tell()
        if not self._greeted.is_set() and self._core.state is State.UP:
            self._greeted.set()


class Subscription:
    """The changes of one subscription: iterate over it, or call next. Close it, or use `with`."""

    def __init__(self, client: Client, feed: Feed) -> None:
        self._client = client
        self._feed = feed
        self._condition = threading.Condition(client._lock)
        feed.waiter = self._condition

    def _open(self, timeout: float) -> None:
        feed = self._feed
        with self._condition:
            self._client._core.subscribe(feed)
            self._client._send()
            try:
                done = self._condition.wait_for(lambda: feed.opened or feed.ended, timeout)
            except BaseException:
                self._unsubscribe()
                raise
            if not done:
                self._unsubscribe()
                raise Timeout("the subscription was not answered in time")
        if not feed.opened:
            raise (feed.error or Closed("the client has been closed")).again()

    @property
    def position(self) -> str:
        """From where subscribe(start=…) goes on behind the last change that was handed out."""
        return self._feed.position

    def next(self, timeout: float | None = None) -> Change | None:
        """The next change; None when none came in time, or the subscription has been closed.

        Raises what ended the subscription, such as PositionExpired.
        """
        feed = self._feed
        by = None if timeout is None else time.monotonic() + timeout
        with self._condition:
            while True:
                change = feed.take()
                if change is not None:
                    self._client._core.give_credit(feed)
                    self._client._send()
                    return change
                if feed.ended:
                    if feed.error is not None:
                        raise feed.error.again()
                    return None
                left = None if by is None else by - time.monotonic()
                if left is not None and left <= 0:
                    return None
                self._condition.wait(left)

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Change:
        change = self.next()
        if change is None:
            raise StopIteration
        return change

    def ack(self, *, timeout: float | None = None) -> None:
        """All changes that were handed out are done with (a named consumer's)."""
        if self.position:
            message = self._feed.message
            self._client.ack(message.consumer, self.position, member=message.member or None,
                             timeout=timeout)

    def _unsubscribe(self) -> None:
        self._client._core.unsubscribe(self._feed)
        self._client._send()
        self._client._tell()

    def close(self) -> None:
        """Ends it; whoever waits in next or iterates is woken. May be called from any thread."""
        with self._condition:
            self._feed.discard()
            self._unsubscribe()

    def __del__(self) -> None:
        # The collector runs anywhere, also where the lock is held: the reader ends it by and by.
        self._feed.orphaned = True

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class Consumers:
    """Named consumers: positions that the server keeps. client.consumers."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, name: str, *, collection: str | None = None,
            pattern: Pattern | str | None = None, group: bool = False, start: Start = "latest",
            timeout: float | None = None) -> ConsumerInfo:
        """Makes the consumer, or leaves one that is the same already as it is.

        group: its members, subscribe(consumer=…, member=…), share the records out among them.
        """
        message = consumer_message(name, collection, pattern, group, start)
        return self._client._call(ops.consumer_put(message), timeout)

    def get(self, name: str, *, timeout: float | None = None) -> ConsumerInfo | None:
        """The consumer and its lag, or None."""
        try:
            return self._client._call(ops.consumer_get(name), timeout)
        except NotFound:
            return None

    def delete(self, name: str, *, timeout: float | None = None) -> bool:
        """Deletes the consumer; whether there was one."""
        try:
            self._client._call(ops.consumer_delete(name), timeout)
            return True
        except NotFound:
            return False

    def list(self, *, timeout: float | None = None) -> Iterator[ConsumerInfo]:
        """All consumers by name."""
        after = ""
        while True:
            consumers, more = self._client._call(ops.consumer_list(after, 0), timeout)
            yield from consumers
            if not more or not consumers:
                return
            after = consumers[-1].name


def connect(url: str, near_cache_bytes: int = 0, token: str | None = None, *, lease: float = 2.0,
            timeout: float = 30.0, connect_timeout: float = 5.0, reconnect: bool = True,
            checked: bool = False) -> Client:
    """Connects to freshet://HOST[:PORT]; the port is 7400 by default.

    near_cache_bytes: memory for records in this process, kept fresh by the server; 0: none.
    lease: seconds for which they are served without word from the server.
    token: credentials. timeout: seconds that a call waits at most.
    reconnect: False: a connection that is lost stays lost. checked: checksums in both directions.
    """
    client = Client(Settings(url, near_cache_bytes, token, lease, timeout, connect_timeout,
                             reconnect, checked))
    client._open()
    return client
