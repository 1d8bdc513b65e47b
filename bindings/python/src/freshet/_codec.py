"""Values as MessagePack and as JSON text, with numbers that stay digit for digit what they are.

A number is an int, or a float when the float prints back the same digits, or else a
decimal.Decimal ("1.50", 38 digits). MessagePack has no such type: it is extension type 1, whose
bytes are the number's text.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal
from typing import Any, TypeVar

import msgpack
from google.protobuf.message import DecodeError

from ._errors import Invalid, ProtocolError

M = TypeVar("M", bound=Any)

EXT_NUMBER = 1
DEPTH_MAX = 128
NUMBER_TEXT_MAX = 1024

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z", re.ASCII)
_EXPONENT = re.compile(r"e\+?(-?)0*([0-9])")


class _Text(Decimal):
    """A Decimal whose text is not what str() makes of it (1E2, -0, 1e-2): the text goes along, so
    that a record which is read and written back has not changed."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> _Text:
        self = super().__new__(cls, text)
        self.text = text
        return self

    def __reduce__(self) -> Any:
        return (_Text, (self.text,))

    def __copy__(self) -> _Text:
        return self

    def __deepcopy__(self, memo: Any) -> _Text:
        return self


def float_text(value: float) -> str:
    """The text of a float as the server writes it: 29.99, 1e16, 1.5e-7."""
    return _EXPONENT.sub(r"e\1\2", repr(value), 1)


def number(text: str) -> int | float | Decimal:
    """The value that keeps this JSON number's digits."""
    if len(text) > NUMBER_TEXT_MAX or not _NUMBER.match(text):
        raise ValueError(f"{text[:50]!r} is no number")
    if _INTEGER.match(text) and text != "-0":
        return int(text)
    value = float(text)
    if float_text(value) == text:
        return value
    exact = Decimal(text)
    return exact if str(exact) == text else _Text(text)


def number_text(value: int | float | Decimal) -> str:
    """The JSON text of a number."""
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise Invalid(f"{value} is no JSON number")
        return value.text if isinstance(value, _Text) else str(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Invalid(f"{value} is no JSON number")
        return float_text(value)
    return str(int(value))


def _pack_other(value: Any) -> Any:
    """For what MessagePack has no type: decimals, and integers of more than 64 bits."""
    if not isinstance(value, (Decimal, int)):
        raise Invalid(f"a {type(value).__name__} cannot be sent: documents are JSON")
    text = number_text(value)
    if isinstance(value, Decimal):
        exact = number(text)
        if isinstance(exact, float) or isinstance(exact, int) and -(1 << 63) <= exact < 1 << 64:
            return exact
    return msgpack.ExtType(EXT_NUMBER, text.encode("ascii"))


def _unpack_other(code: int, data: bytes) -> Any:
    if code != EXT_NUMBER:
        raise ValueError(f"the unknown MessagePack extension type {code}")
    return number(data.decode("ascii"))


def check(value: Any, depth: int = 0) -> None:
    """Raises Invalid for what is not JSON: NaN, infinity, keys that are no strings, other types."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return
    if kind is float:
        if not math.isfinite(value):
            raise Invalid(f"{value} is no JSON number")
        return
    if depth >= DEPTH_MAX:
        raise Invalid(f"the document is nested more than {DEPTH_MAX} deep")
    if isinstance(value, dict):
        for key, member in value.items():
            if not isinstance(key, str):
                raise Invalid(f"the key {key!r} is no string")
            check(member, depth + 1)
    elif isinstance(value, (list, tuple)):
        for member in value:
            check(member, depth + 1)
    elif isinstance(value, (float, Decimal)):
        number_text(value)
    elif not isinstance(value, (str, int)):
        raise Invalid(f"a {kind.__name__} cannot be sent: documents are JSON")


def check_document(document: Any) -> None:
    """Raises Invalid for what cannot be a document or a merge patch."""
    if not isinstance(document, dict):
        raise Invalid(f"a document is a dict, not a {type(document).__name__}")
    check(document)


def pack(value: Any) -> bytes:
    """MessagePack of lists, dicts, strings, numbers, True, False and None."""
    try:
        return bytes(msgpack.packb(value, default=_pack_other, use_bin_type=True))
    except UnicodeEncodeError as error:
        raise Invalid(f"a string that is not Unicode cannot be sent: {error}") from None
    except (TypeError, OverflowError) as error:
        raise Invalid(str(error)) from None


def unpack(data: bytes) -> Any:
    """The value in the bytes; ProtocolError if there is none, or more than one."""
    try:
        return msgpack.unpackb(data, ext_hook=_unpack_other, raw=False)
    except (ValueError, ArithmeticError, RecursionError, msgpack.UnpackException) as error:
        raise ProtocolError(f"a body that is not MessagePack: {error}") from None


def parse(kind: type[M], data: bytes) -> M:
    """The protobuf message of this kind in the bytes; ProtocolError if there is none."""
    message: M = kind()
    try:
        size = message.ParseFromString(data)
    except DecodeError as error:
        raise ProtocolError(f"a body that is no {kind.__name__}: {error}") from None
    # Of some damage protobuf only warns.
    if size != len(data):
        raise ProtocolError(f"a body that is no {kind.__name__}")
    return message


def loads(text: str) -> Any:
    """JSON text to values, numbers digit for digit."""
    return json.loads(text, parse_int=number, parse_float=number)


def dumps(value: Any) -> str:
    """Values to JSON text, numbers digit for digit."""
    if value is None or isinstance(value, (bool, str)):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (int, float, Decimal)):
        return number_text(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(key)}:{dumps(value[key])}" for key in value) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(dumps, value)) + "]"
    raise Invalid(f"a {type(value).__name__} is not JSON")
