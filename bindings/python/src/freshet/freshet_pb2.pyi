# Made by bindings/python/generate.py from protocol/freshet.proto: run it again.
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

CONSUMER_DELETE: ConsumerAction
CONSUMER_GET: ConsumerAction
CONSUMER_LIST: ConsumerAction
CONSUMER_PUT: ConsumerAction
DESCRIPTOR: _descriptor.FileDescriptor
EARLIEST: From
LATEST: From
POSITION: From
SNAPSHOT: From
TIME: From
VIEW_BOTH: View
VIEW_KEYS: View
VIEW_NEW: View
VIEW_OLD: View

class Ack(_message.Message):
    __slots__ = ["consumer", "member", "position"]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    consumer: str
    member: str
    position: str
    def __init__(self, consumer: _Optional[str] = ..., position: _Optional[str] = ..., member: _Optional[str] = ...) -> None: ...

class Consumer(_message.Message):
    __slots__ = ["action", "after", "collection", "group", "limit", "name", "pattern", "position", "time_ms"]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    action: ConsumerAction
    after: str
    collection: str
    group: bool
    limit: int
    name: str
    pattern: str
    position: str
    time_ms: int
    def __init__(self, action: _Optional[_Union[ConsumerAction, str]] = ..., name: _Optional[str] = ..., collection: _Optional[str] = ..., pattern: _Optional[str] = ..., group: bool = ..., position: _Optional[str] = ..., time_ms: _Optional[int] = ..., after: _Optional[str] = ..., limit: _Optional[int] = ..., **kwargs) -> None: ...

class ConsumerInfo(_message.Message):
    __slots__ = ["collection", "group", "lag_bytes", "lag_events", "lag_seconds", "members", "name", "pattern", "position"]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    LAG_BYTES_FIELD_NUMBER: _ClassVar[int]
    LAG_EVENTS_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    collection: str
    group: bool
    lag_bytes: int
    lag_events: int
    lag_seconds: float
    members: int
    name: str
    pattern: str
    position: str
    def __init__(self, name: _Optional[str] = ..., collection: _Optional[str] = ..., pattern: _Optional[str] = ..., group: bool = ..., position: _Optional[str] = ..., members: _Optional[int] = ..., lag_events: _Optional[int] = ..., lag_bytes: _Optional[int] = ..., lag_seconds: _Optional[float] = ...) -> None: ...

class Consumers(_message.Message):
    __slots__ = ["consumers", "more"]
    CONSUMERS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    consumers: _containers.RepeatedCompositeFieldContainer[ConsumerInfo]
    more: bool
    def __init__(self, consumers: _Optional[_Iterable[_Union[ConsumerInfo, _Mapping]]] = ..., more: bool = ...) -> None: ...

class Credit(_message.Message):
    __slots__ = ["changes"]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    changes: int
    def __init__(self, changes: _Optional[int] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ["detail", "newest", "oldest", "retry_after_ms", "status", "type"]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    NEWEST_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    detail: str
    newest: str
    oldest: str
    retry_after_ms: int
    status: int
    type: str
    def __init__(self, status: _Optional[int] = ..., type: _Optional[str] = ..., detail: _Optional[str] = ..., retry_after_ms: _Optional[int] = ..., oldest: _Optional[str] = ..., newest: _Optional[str] = ...) -> None: ...

class Goaway(_message.Message):
    __slots__ = ["detail", "subscriptions"]
    class Subscription(_message.Message):
        __slots__ = ["id", "position"]
        ID_FIELD_NUMBER: _ClassVar[int]
        POSITION_FIELD_NUMBER: _ClassVar[int]
        id: int
        position: str
        def __init__(self, id: _Optional[int] = ..., position: _Optional[str] = ...) -> None: ...
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_FIELD_NUMBER: _ClassVar[int]
    detail: str
    subscriptions: _containers.RepeatedCompositeFieldContainer[Goaway.Subscription]
    def __init__(self, detail: _Optional[str] = ..., subscriptions: _Optional[_Iterable[_Union[Goaway.Subscription, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ["client", "features", "token", "versions"]
    CLIENT_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    client: str
    features: _containers.RepeatedScalarFieldContainer[str]
    token: str
    versions: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, versions: _Optional[_Iterable[int]] = ..., features: _Optional[_Iterable[str]] = ..., token: _Optional[str] = ..., client: _Optional[str] = ...) -> None: ...

class Stats(_message.Message):
    __slots__ = ["metrics"]
    class Metric(_message.Message):
        __slots__ = ["name", "value"]
        NAME_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        name: str
        value: float
        def __init__(self, name: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    METRICS_FIELD_NUMBER: _ClassVar[int]
    metrics: _containers.RepeatedCompositeFieldContainer[Stats.Metric]
    def __init__(self, metrics: _Optional[_Iterable[_Union[Stats.Metric, _Mapping]]] = ...) -> None: ...

class Subscribe(_message.Message):
    __slots__ = ["collection", "consumer", "credit", "enter_leave", "invalidate", "member", "pattern", "position", "progress_ms", "time_ms", "view"]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    CONSUMER_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    ENTER_LEAVE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    INVALIDATE_FIELD_NUMBER: _ClassVar[int]
    MEMBER_FIELD_NUMBER: _ClassVar[int]
    PATTERN_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_MS_FIELD_NUMBER: _ClassVar[int]
    TIME_MS_FIELD_NUMBER: _ClassVar[int]
    VIEW_FIELD_NUMBER: _ClassVar[int]
    collection: str
    consumer: str
    credit: int
    enter_leave: bool
    invalidate: bool
    member: str
    pattern: str
    position: str
    progress_ms: int
    time_ms: int
    view: View
    def __init__(self, collection: _Optional[str] = ..., pattern: _Optional[str] = ..., position: _Optional[str] = ..., time_ms: _Optional[int] = ..., view: _Optional[_Union[View, str]] = ..., enter_leave: bool = ..., credit: _Optional[int] = ..., progress_ms: _Optional[int] = ..., invalidate: bool = ..., consumer: _Optional[str] = ..., member: _Optional[str] = ..., **kwargs) -> None: ...

class Subscribed(_message.Message):
    __slots__ = ["position"]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: str
    def __init__(self, position: _Optional[str] = ...) -> None: ...

class Welcome(_message.Message):
    __slots__ = ["features", "frame_bytes_max", "position", "requests_max", "server", "store", "subscriptions_max", "version"]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    FRAME_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_MAX_FIELD_NUMBER: _ClassVar[int]
    SERVER_FIELD_NUMBER: _ClassVar[int]
    STORE_FIELD_NUMBER: _ClassVar[int]
    SUBSCRIPTIONS_MAX_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    features: _containers.RepeatedScalarFieldContainer[str]
    frame_bytes_max: int
    position: str
    requests_max: int
    server: str
    store: bytes
    subscriptions_max: int
    version: int
    def __init__(self, version: _Optional[int] = ..., features: _Optional[_Iterable[str]] = ..., server: _Optional[str] = ..., store: _Optional[bytes] = ..., frame_bytes_max: _Optional[int] = ..., requests_max: _Optional[int] = ..., subscriptions_max: _Optional[int] = ..., position: _Optional[str] = ...) -> None: ...

class From(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class View(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class ConsumerAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
