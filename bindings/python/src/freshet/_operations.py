"""Requests: how each is written, how its answer is read, and what the near cache learns from it.

An operation goes through this once: body() makes its bytes, begin() tells the near cache before it
is sent, answer() reads what came, end() is called whatever became of it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from . import _codec, _frames
from . import freshet_pb2 as pb
from ._errors import FreshetError, Invalid, ProtocolError, problem
from ._near import Key, NearCache
from ._types import ConsumerInfo, Pair, Pattern, Record, Written

T = TypeVar("T")

MGET_IDS_MAX = 1000
BATCH_OPERATIONS_MAX = 1000


class Operation(Generic[T]):
    """One request. repeatable: it changes nothing, so that it may be sent again when the
    connection was lost; what is not has an unknown outcome then."""

    opcode: int
    repeatable: bool = True

    def body(self) -> bytes:
        """The request's body; raises Invalid for what cannot be sent."""
        raise NotImplementedError

    def begin(self, near: NearCache) -> None:
        """It is about to be sent."""

    def answer(self, code: int, body: bytes, near: NearCache | None) -> T:
        """Reads the answer; anything but a FreshetError is a malformed answer."""
        raise NotImplementedError

    def end(self, near: NearCache) -> None:
        """It is over, with or without an answer."""

    def unknown(self, near: NearCache) -> None:
        """It is over, and nobody knows whether it was carried out."""


class DataOperation(Operation[T]):
    """What may be part of a batch, too: a body that is an array."""

    def fields(self) -> list[Any]:
        """The array of the request."""
        raise NotImplementedError

    def body(self) -> bytes:
        return _codec.pack(self.fields())

    def answer(self, code: int, body: bytes, near: NearCache | None) -> T:
        return self.read(code, _codec.unpack(body), body, near)

    def read(self, code: int, answer: Any, body: bytes | None, near: NearCache | None) -> T:
        """body: the bytes of the answer, if there are any for it alone."""
        raise NotImplementedError


def _options(**options: Any) -> list[Any]:
    """The options that are set, as the last element of a request; none if none is."""
    given = {name: value for name, value in options.items() if value is not None}
    return [given] if given else []


def _int(value: Any) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r} is no integer")
    return value


def _str(value: Any) -> str:
    if type(value) is not str:
        raise ValueError(f"{value!r} is no string")
    return value


def _pair(answer: Any) -> Pair:
    return _int(answer[0]), _int(answer[1])


def record_of(answer: Any, near: bool = False) -> Record | None:
    """A GET's answer [epoch, sequence, version, record]."""
    (epoch, sequence), value = _pair(answer), answer[3]
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ValueError("a record is no map")
    return Record(value, _int(answer[2]), epoch, sequence, near)


@dataclass
class Get(DataOperation[Record | None]):
    """Reads a record."""

    opcode = _frames.GET
    collection: str
    id: str
    min_position: str | None = None
    fresh: bool = False
    if_none_match: str | None = None
    begun: int = field(default=-1, init=False, repr=False, compare=False)

    @property
    def key(self) -> Key:
        """Of the record in the near cache."""
        return self.collection, self.id

    def fields(self) -> list[Any]:
        return [self.collection, self.id,
                *_options(min=self.min_position, fresh=self.fresh or None,
                          if_none_match=self.if_none_match)]

    def begin(self, near: NearCache) -> None:
        self.begun = near.begin(self.key)

    def end(self, near: NearCache) -> None:
        near.end(self.key)

    def read(self, code: int, answer: Any, body: bytes | None,
             near: NearCache | None) -> Record | None:
        if code == 304:
            raise problem(304, "", "the record is still the one with this etag")
        record = record_of(answer)
        if near is not None:
            near.fill(self.key, _pair(answer), body or _codec.pack(answer), self.begun)
        return record


@dataclass
class GetMany(Operation[list[Record | None]]):
    """Reads up to 1000 records; the answer may be shorter than asked."""

    opcode = _frames.MGET
    collection: str
    ids: Sequence[str]
    begun: list[int] = field(default_factory=list, init=False)

    def body(self) -> bytes:
        return _codec.pack([self.collection, list(self.ids)])

    def begin(self, near: NearCache) -> None:
        self.begun = [near.begin((self.collection, id)) for id in self.ids]

    def end(self, near: NearCache) -> None:
        for id in self.ids:
            near.end((self.collection, id))

    def answer(self, code: int, body: bytes, near: NearCache | None) -> list[Record | None]:
        rows = _codec.unpack(body)
        if not 0 < len(rows) <= len(self.ids):
            raise ValueError(f"{len(rows)} records for {len(self.ids)} ids")
        records = [record_of(row) for row in rows]
        if near is not None:
            for id, row, begun in zip(self.ids, rows, self.begun):
                near.fill((self.collection, id), _pair(row), _codec.pack(row), begun)
        return records


class _Write(DataOperation[T]):
    """What all writes have in common."""

    repeatable = False
    collection: str
    id: str

    def unknown(self, near: NearCache) -> None:
        near.forget((self.collection, self.id))

    def written(self, code: int, answer: Any, near: NearCache | None) -> Written:
        """[epoch, sequence, version, id, etag, position, changed]"""
        pair, id, etag = _pair(answer), _str(answer[3]), answer[4]
        if near is not None:
            near.written((self.collection, id), pair)
        return Written(id, _int(answer[2]), None if etag is None else _str(etag), _str(answer[5]),
                       bool(answer[6]), code == 201)


@dataclass
class Put(_Write[Written]):
    """Makes or replaces a record."""

    opcode = _frames.PUT
    collection: str
    id: str
    document: dict[str, Any]
    if_match: str | None = None
    if_absent: bool = False

    def fields(self) -> list[Any]:
        _codec.check_document(self.document)
        return [self.collection, self.id, self.document,
                *_options(if_match=self.if_match, if_none_match="*" if self.if_absent else None)]

    def read(self, code: int, answer: Any, body: bytes | None, near: NearCache | None) -> Written:
        return self.written(code, answer, near)


@dataclass
class Patch(_Write[Written]):
    """Changes members of a record: a JSON merge patch, RFC 7396."""

    opcode = _frames.PATCH
    collection: str
    id: str
    patch: dict[str, Any]
    if_match: str | None = None

    def fields(self) -> list[Any]:
        _codec.check_document(self.patch)
        return [self.collection, self.id, self.patch, *_options(if_match=self.if_match)]

    def read(self, code: int, answer: Any, body: bytes | None, near: NearCache | None) -> Written:
        return self.written(code, answer, near)


@dataclass
class Delete(_Write[bool]):
    """Deletes a record; whether there was one."""

    opcode = _frames.DELETE
    collection: str
    id: str
    if_match: str | None = None

    def fields(self) -> list[Any]:
        return [self.collection, self.id, *_options(if_match=self.if_match)]

    def read(self, code: int, answer: Any, body: bytes | None, near: NearCache | None) -> bool:
        return self.written(code, answer, near).changed


@dataclass
class Create(_Write[Written]):
    """Makes a record under an id that the server makes."""

    opcode = _frames.CREATE
    collection: str
    document: dict[str, Any]
    idempotency_key: str | None = None

    def fields(self) -> list[Any]:
        _codec.check_document(self.document)
        return [self.collection, self.document, *_options(key=self.idempotency_key)]

    def unknown(self, near: NearCache) -> None:
        """Nobody has its id."""

    def read(self, code: int, answer: Any, body: bytes | None, near: NearCache | None) -> Written:
        return self.written(code, answer, near)


BatchOperation = Get | Put | Patch | Delete | Create
BatchResult = dict[str, Any] | Written | bool | FreshetError | None


class Batch(Operation[list[BatchResult]]):
    """Several operations in one round trip; each stands for itself."""

    opcode = _frames.BATCH

    def __init__(self, operations: Sequence[BatchOperation]) -> None:
        if len(operations) > BATCH_OPERATIONS_MAX:
            raise Invalid(f"a batch has at most {BATCH_OPERATIONS_MAX} operations")
        # Copies: an operation remembers when it began, and may be part of another batch, too.
        self.operations = [copy.copy(operation) for operation in operations]
        self.repeatable = all(operation.repeatable for operation in self.operations)

    def body(self) -> bytes:
        return _codec.pack([[each.opcode, 0, each.fields()] for each in self.operations])

    def begin(self, near: NearCache) -> None:
        for operation in self.operations:
            operation.begin(near)

    def end(self, near: NearCache) -> None:
        for operation in self.operations:
            operation.end(near)

    def unknown(self, near: NearCache) -> None:
        for operation in self.operations:
            operation.unknown(near)

    def answer(self, code: int, body: bytes, near: NearCache | None) -> list[BatchResult]:
        rows = _codec.unpack(body)
        if len(rows) != len(self.operations):
            raise ValueError(f"{len(rows)} answers for {len(self.operations)} operations")
        return [self._result(operation, row[0], row[1], near)
                for operation, row in zip(self.operations, rows)]

    @staticmethod
    def _result(operation: BatchOperation, code: Any, answer: Any,
                near: NearCache | None) -> BatchResult:
        if _int(code) in (200, 201) or isinstance(operation, Get) and code == 404 \
                and len(answer) > 3:
            result = operation.read(code, answer, None, near)
            return result.value if isinstance(result, Record) else result
        if code == 304:
            return problem(code, "", "the record is still the one with this etag")
        type, detail, *more = answer
        error = problem(code, _str(type or ""), _str(detail or ""),
                        retry_after_ms=_int(more[0] or 0) if more else 0)
        if error.type == "outcome-unknown" and near is not None:
            operation.unknown(near)
        return error


@dataclass
class ListPage(Operation[tuple[Any, list[dict[str, Any]]]]):
    """A page of records in id order, and the cursor of the next; None after the last."""

    opcode = _frames.LIST
    collection: str
    limit: int | None = None
    cursor: Any = None
    index: str | None = None
    value: str | None = None
    min_position: str | None = None

    def body(self) -> bytes:
        return _codec.pack([self.collection,
                            *_options(limit=self.limit, cursor=self.cursor, index=self.index,
                                      value=self.value, min=self.min_position)])

    def answer(self, code: int, body: bytes,
               near: NearCache | None) -> tuple[Any, list[dict[str, Any]]]:
        cursor, records, *_ = _codec.unpack(body)
        if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
            raise ValueError("a list that has something else than records")
        if near is not None:
            for record in records:
                packed = _codec.pack(record)
                near.listed((self.collection, _str(record.get("id"))),
                            lambda body: _codec.pack(_codec.unpack(body)[3]) == packed)
        return cursor, records


class _Control(Operation[T]):
    """A protobuf message each way."""

    def __init__(self, opcode: int, body: bytes, read: Callable[[bytes], T],
                 repeatable: bool = True) -> None:
        self.opcode = opcode
        self._body = body
        self._read = read
        self.repeatable = repeatable

    def body(self) -> bytes:
        return self._body

    def answer(self, code: int, body: bytes, near: NearCache | None) -> T:
        return self._read(body)


def pattern_text(pattern: Pattern | str | None) -> str:
    """A pattern as JSON; a string is that already."""
    if pattern is None or isinstance(pattern, str):
        return pattern or ""
    return _codec.dumps(pattern)


def _consumer_info(info: Any) -> ConsumerInfo:
    return ConsumerInfo(
        name=info.name, collection=info.collection or None,
        pattern=json.loads(info.pattern) if info.pattern else None, group=info.group,
        position=info.position, members=info.members, lag_events=info.lag_events,
        lag_bytes=info.lag_bytes, lag_seconds=info.lag_seconds)


def _consumers(body: bytes) -> tuple[list[ConsumerInfo], bool]:
    message = _codec.parse(pb.Consumers, body)
    return [_consumer_info(info) for info in message.consumers], message.more


def _one_consumer(body: bytes) -> ConsumerInfo:
    consumers, _ = _consumers(body)
    if len(consumers) != 1:
        raise ProtocolError(f"{len(consumers)} consumers came for one")
    return consumers[0]


def _nothing(body: bytes) -> None:
    return None


def consumer_put(message: Any) -> Operation[ConsumerInfo]:
    """message: a Consumer with its name, collection, pattern, group and start."""
    message.action = pb.CONSUMER_PUT
    return _Control(_frames.CONSUMER, message.SerializeToString(), _one_consumer, False)


def consumer_get(name: str) -> Operation[ConsumerInfo]:
    """One consumer; NotFound."""
    message = pb.Consumer(action=pb.CONSUMER_GET, name=name)
    return _Control(_frames.CONSUMER, message.SerializeToString(), _one_consumer)


def consumer_delete(name: str) -> Operation[None]:
    """NotFound if there is none."""
    message = pb.Consumer(action=pb.CONSUMER_DELETE, name=name)
    return _Control(_frames.CONSUMER, message.SerializeToString(), _nothing, False)


def consumer_list(after: str, limit: int) -> Operation[tuple[list[ConsumerInfo], bool]]:
    """A page of consumers by name, and whether there are more."""
    message = pb.Consumer(action=pb.CONSUMER_LIST, after=after, limit=limit)
    return _Control(_frames.CONSUMER, message.SerializeToString(), _consumers)


def acknowledge(consumer: str, position: str, member: str | None) -> Operation[None]:
    """Acknowledging twice does no harm, so that it is repeatable."""
    message = pb.Ack(consumer=consumer, position=position, member=member or "")
    return _Control(_frames.ACK, message.SerializeToString(), _nothing)


def stats() -> Operation[dict[str, float]]:
    """The server's figures by the names of /metrics."""
    def read(body: bytes) -> dict[str, float]:
        return {metric.name: metric.value for metric in _codec.parse(pb.Stats, body).metrics}

    return _Control(_frames.STATS, b"", read)


def ping() -> Operation[None]:
    """A round trip."""
    return _Control(_frames.PING, b"", _nothing)
