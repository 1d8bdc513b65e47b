"""What can go wrong. Every error of this package is a FreshetError."""

from __future__ import annotations

import copy
from typing import Any


class FreshetError(Exception):
    """Base of all errors.

    code: what REST would answer (404, 409, …); 0 when the error is the client's own.
    type: "position-expired", "outcome-unknown", "not-accepted", "disk-full", …; often empty.
    detail: what was wrong and what to do, in plain words.
    """

    default_type = ""

    def __init__(self, detail: str, *, code: int = 0, type: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.type = self.default_type if type is None else type
        self.detail = detail

    def again(self) -> FreshetError:
        """A copy to be raised: one error may end many calls, and each raise adds a traceback."""
        return copy.copy(self)

    def __str__(self) -> str:
        return f"{self.code} {self.detail}" if self.code else self.detail


class NotModified(FreshetError):
    """304: a get with if_none_match, and the record is still that one."""


class Invalid(FreshetError, ValueError):
    """400, or an argument that cannot be sent (then code is 0)."""

    default_type = "invalid"


class Unauthorized(FreshetError):
    """401: the token is missing or wrong."""


class Forbidden(FreshetError):
    """403: this may not be done with this token."""


class NotFound(FreshetError, LookupError):
    """404: there is no such record, collection or consumer."""


class Conflict(FreshetError):
    """409."""


class PositionExpired(FreshetError):
    """410: the journal cannot be read on from this position.

    Retention has passed it, or it is of another store or a lost tail. oldest and newest are the
    positions that there are; start="snapshot" begins anew without missing anything.
    """

    def __init__(self, detail: str, *, code: int = 410, type: str | None = None,
                 oldest: str = "", newest: str = "") -> None:
        super().__init__(detail, code=code, type=type)
        self.oldest = oldest
        self.newest = newest


class PreconditionFailed(FreshetError):
    """412: if_match or if_absent does not hold, or min_position was not reached in time."""


class TooLarge(FreshetError):
    """413: the document or the request is too large."""


class Unprocessable(FreshetError):
    """422: a field has the wrong type, a number too many digits."""


class ServerError(FreshetError):
    """500, 501 and whatever has no class of its own."""


class Busy(FreshetError):
    """429 or 503: nothing was changed; try again, after retry_after seconds if that is not None."""

    def __init__(self, detail: str, *, code: int = 503, type: str | None = None,
                 retry_after: float | None = None) -> None:
        super().__init__(detail, code=code, type=type)
        self.retry_after = retry_after


class OutcomeUnknown(FreshetError):
    """The write may or may not have been kept: the connection was lost, or time was over, or the
    server cannot tell. It is never sent again by itself; read the record to see."""

    default_type = "outcome-unknown"


class Disconnected(FreshetError, ConnectionError):
    """There is no connection, and what was asked has not been carried out."""

    default_type = "disconnected"


class Closed(Disconnected):
    """The client has been closed."""

    default_type = "closed"


class Timeout(FreshetError, TimeoutError):
    """No answer in time."""

    default_type = "timeout"


class ProtocolError(FreshetError):
    """What came from the server is not the protocol; the connection is given up."""

    default_type = "protocol"


_BY_CODE: dict[int, type[FreshetError]] = {
    304: NotModified,
    400: Invalid,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: PreconditionFailed,
    413: TooLarge,
    422: Unprocessable,
}


def problem(code: int, type: str, detail: str, *, retry_after_ms: int = 0, oldest: str = "",
            newest: str = "") -> FreshetError:
    """The error that the server means."""
    detail = detail or f"the server answered {code}"
    options: dict[str, Any] = {"code": code, "type": type}
    if type == "outcome-unknown":
        return OutcomeUnknown(detail, **options)
    if code == 410:
        return PositionExpired(detail, oldest=oldest, newest=newest, **options)
    if code in (429, 503):
        return Busy(detail, retry_after=retry_after_ms / 1000 if retry_after_ms else None,
                    **options)
    return _BY_CODE.get(code, ServerError)(detail, **options)
