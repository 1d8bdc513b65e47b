"""Freshet's client: records, changes, and a near cache that is never staler than its lease.

    import freshet

    with freshet.connect("freshet://127.0.0.1:7400", near_cache_bytes=64 << 20) as db:
        db.put("products", "42", {"title": "Lamp", "price": 29.99})
        print(db.get("products", "42"))
        for change in db.subscribe("products", {"changed": ["price"]}):
            print(change.id, change.new_image)

freshet.aio has the same for asyncio.
"""

from ._codec import dumps, loads
from ._errors import (
    Busy,
    Closed,
    Conflict,
    Disconnected,
    Forbidden,
    FreshetError,
    Invalid,
    NotFound,
    NotModified,
    OutcomeUnknown,
    PositionExpired,
    PreconditionFailed,
    ProtocolError,
    ServerError,
    Timeout,
    TooLarge,
    Unauthorized,
    Unprocessable,
)
from ._operations import BatchOperation, BatchResult, Create, Delete, Get, Patch, Put
from ._sync import Client, Consumers, Subscription, connect
from ._types import Change, ConsumerInfo, NearStatistics, Record, Written

__version__ = "0.1.0"

__all__ = [
    "BatchOperation", "BatchResult", "Busy", "Change", "Client", "Closed", "Conflict",
    "ConsumerInfo", "Consumers", "Create", "Delete", "Disconnected", "Forbidden", "FreshetError",
    "Get", "Invalid", "NearStatistics", "NotFound", "NotModified", "OutcomeUnknown", "Patch",
    "PositionExpired", "PreconditionFailed", "ProtocolError", "Put", "Record", "ServerError",
    "Subscription", "Timeout", "TooLarge", "Unauthorized", "Unprocessable", "Written", "connect",
    "dumps", "loads",
]
