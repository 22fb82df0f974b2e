from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Technique(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TECHNIQUE_UNSPECIFIED: _ClassVar[Technique]
    TECHNIQUE_FIXED: _ClassVar[Technique]
    TECHNIQUE_SLIDING: _ClassVar[Technique]
TECHNIQUE_UNSPECIFIED: Technique
TECHNIQUE_FIXED: Technique
TECHNIQUE_SLIDING: Technique

class Bucket(_message.Message):
    __slots__ = ("account", "gateway", "limit_name", "technique", "window_s", "key_values")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    LIMIT_NAME_FIELD_NUMBER: _ClassVar[int]
    TECHNIQUE_FIELD_NUMBER: _ClassVar[int]
    WINDOW_S_FIELD_NUMBER: _ClassVar[int]
    KEY_VALUES_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    limit_name: str
    technique: Technique
    window_s: int
    key_values: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ..., limit_name: _Optional[str] = ..., technique: _Optional[_Union[Technique, str]] = ..., window_s: _Optional[int] = ..., key_values: _Optional[_Iterable[str]] = ...) -> None: ...

class Ask(_message.Message):
    __slots__ = ("bucket_index", "sequence", "limit", "waiting", "ahead", "traceparents")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    AHEAD_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENTS_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    limit: int
    waiting: int
    ahead: int
    traceparents: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ..., limit: _Optional[int] = ..., waiting: _Optional[int] = ..., ahead: _Optional[int] = ..., traceparents: _Optional[_Iterable[str]] = ...) -> None: ...

class Report(_message.Message):
    __slots__ = ("bucket_index", "sequence", "spent", "returned", "is_closed", "limit")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    IS_CLOSED_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    spent: int
    returned: int
    is_closed: bool
    limit: int
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ..., spent: _Optional[int] = ..., returned: _Optional[int] = ..., is_closed: _Optional[bool] = ..., limit: _Optional[int] = ...) -> None: ...

class LeaseRequests(_message.Message):
    __slots__ = ("edge", "buckets", "asks", "reports", "probe")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    ASKS_FIELD_NUMBER: _ClassVar[int]
    REPORTS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    edge: str
    buckets: _containers.RepeatedCompositeFieldContainer[Bucket]
    asks: _containers.RepeatedCompositeFieldContainer[Ask]
    reports: _containers.RepeatedCompositeFieldContainer[Report]
    probe: int
    def __init__(self, edge: _Optional[str] = ..., buckets: _Optional[_Iterable[_Union[Bucket, _Mapping]]] = ..., asks: _Optional[_Iterable[_Union[Ask, _Mapping]]] = ..., reports: _Optional[_Iterable[_Union[Report, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...

class Grant(_message.Message):
    __slots__ = ("bucket_index", "sequence", "units", "valid_ms", "remaining", "reset_ms", "edges")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    VALID_MS_FIELD_NUMBER: _ClassVar[int]
    REMAINING_FIELD_NUMBER: _ClassVar[int]
    RESET_MS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    units: int
    valid_ms: int
    remaining: int
    reset_ms: int
    edges: int
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ..., units: _Optional[int] = ..., valid_ms: _Optional[int] = ..., remaining: _Optional[int] = ..., reset_ms: _Optional[int] = ..., edges: _Optional[int] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("bucket_index", "sequence", "retry_after_ms", "reset_ms", "edges")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_MS_FIELD_NUMBER: _ClassVar[int]
    RESET_MS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    retry_after_ms: int
    reset_ms: int
    edges: int
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ..., retry_after_ms: _Optional[int] = ..., reset_ms: _Optional[int] = ..., edges: _Optional[int] = ...) -> None: ...

class Closed(_message.Message):
    __slots__ = ("bucket_index", "sequence")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class ReportAck(_message.Message):
    __slots__ = ("bucket_index", "sequence", "spent", "returned", "is_closed")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    SPENT_FIELD_NUMBER: _ClassVar[int]
    RETURNED_FIELD_NUMBER: _ClassVar[int]
    IS_CLOSED_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    spent: int
    returned: int
    is_closed: bool
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ..., spent: _Optional[int] = ..., returned: _Optional[int] = ..., is_closed: _Optional[bool] = ...) -> None: ...

class StoreDown(_message.Message):
    __slots__ = ("bucket_index", "sequence", "error_code", "message")
    BUCKET_INDEX_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    bucket_index: int
    sequence: int
    error_code: int
    message: str
    def __init__(self, bucket_index: _Optional[int] = ..., sequence: _Optional[int] = ..., error_code: _Optional[int] = ..., message: _Optional[str] = ...) -> None: ...

class LeaseGrants(_message.Message):
    __slots__ = ("buckets", "grants", "refusals", "closed", "acks", "store_down", "probe")
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    GRANTS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    CLOSED_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    STORE_DOWN_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    buckets: _containers.RepeatedCompositeFieldContainer[Bucket]
    grants: _containers.RepeatedCompositeFieldContainer[Grant]
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    closed: _containers.RepeatedCompositeFieldContainer[Closed]
    acks: _containers.RepeatedCompositeFieldContainer[ReportAck]
    store_down: _containers.RepeatedCompositeFieldContainer[StoreDown]
    probe: int
    def __init__(self, buckets: _Optional[_Iterable[_Union[Bucket, _Mapping]]] = ..., grants: _Optional[_Iterable[_Union[Grant, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., closed: _Optional[_Iterable[_Union[Closed, _Mapping]]] = ..., acks: _Optional[_Iterable[_Union[ReportAck, _Mapping]]] = ..., store_down: _Optional[_Iterable[_Union[StoreDown, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...
