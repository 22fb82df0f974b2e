from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class EventBatch(_message.Message):
    __slots__ = ("edge", "sequence", "columns_version", "row_count", "rows", "bodies", "traceparents")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROW_COUNT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    BODIES_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENTS_FIELD_NUMBER: _ClassVar[int]
    edge: str
    sequence: int
    columns_version: int
    row_count: int
    rows: bytes
    bodies: bytes
    traceparents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, edge: _Optional[str] = ..., sequence: _Optional[int] = ..., columns_version: _Optional[int] = ..., row_count: _Optional[int] = ..., rows: _Optional[bytes] = ..., bodies: _Optional[bytes] = ..., traceparents: _Optional[_Iterable[str]] = ...) -> None: ...

class EdgeStatus(_message.Message):
    __slots__ = ("edge", "status")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    edge: str
    status: bytes
    def __init__(self, edge: _Optional[str] = ..., status: _Optional[bytes] = ...) -> None: ...

class Events(_message.Message):
    __slots__ = ("batch", "status", "probe")
    BATCH_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    batch: EventBatch
    status: EdgeStatus
    probe: int
    def __init__(self, batch: _Optional[_Union[EventBatch, _Mapping]] = ..., status: _Optional[_Union[EdgeStatus, _Mapping]] = ..., probe: _Optional[int] = ...) -> None: ...

class Acks(_message.Message):
    __slots__ = ("acks", "probe")
    ACKS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    acks: _containers.RepeatedCompositeFieldContainer[Ack]
    probe: int
    def __init__(self, acks: _Optional[_Iterable[_Union[Ack, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("edge", "sequence")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    edge: str
    sequence: int
    def __init__(self, edge: _Optional[str] = ..., sequence: _Optional[int] = ...) -> None: ...

class LogFilter(_message.Message):
    __slots__ = ("key", "operator", "values")
    KEY_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    key: str
    operator: str
    values: bytes
    def __init__(self, key: _Optional[str] = ..., operator: _Optional[str] = ..., values: _Optional[bytes] = ...) -> None: ...

class LogQuery(_message.Message):
    __slots__ = ("account", "gateway", "filters", "search", "order_by", "order_by_direction", "page", "per_page", "with_extremes")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    FILTERS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_DIRECTION_FIELD_NUMBER: _ClassVar[int]
    PAGE_FIELD_NUMBER: _ClassVar[int]
    PER_PAGE_FIELD_NUMBER: _ClassVar[int]
    WITH_EXTREMES_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    filters: _containers.RepeatedCompositeFieldContainer[LogFilter]
    search: str
    order_by: str
    order_by_direction: str
    page: int
    per_page: int
    with_extremes: bool
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ..., filters: _Optional[_Iterable[_Union[LogFilter, _Mapping]]] = ..., search: _Optional[str] = ..., order_by: _Optional[str] = ..., order_by_direction: _Optional[str] = ..., page: _Optional[int] = ..., per_page: _Optional[int] = ..., with_extremes: _Optional[bool] = ...) -> None: ...

class LogPage(_message.Message):
    __slots__ = ("logs", "total_count", "extremes")
    LOGS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_COUNT_FIELD_NUMBER: _ClassVar[int]
    EXTREMES_FIELD_NUMBER: _ClassVar[int]
    logs: bytes
    total_count: int
    extremes: bytes
    def __init__(self, logs: _Optional[bytes] = ..., total_count: _Optional[int] = ..., extremes: _Optional[bytes] = ...) -> None: ...

class TailRequest(_message.Message):
    __slots__ = ("account", "gateway")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ...) -> None: ...

class TailRows(_message.Message):
    __slots__ = ("rows", "dropped")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    dropped: int
    def __init__(self, rows: _Optional[bytes] = ..., dropped: _Optional[int] = ...) -> None: ...
