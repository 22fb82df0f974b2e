from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class FillOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILL_OUTCOME_UNSPECIFIED: _ClassVar[FillOutcome]
    FILL_OUTCOME_WHOLE: _ClassVar[FillOutcome]
    FILL_OUTCOME_UNCACHEABLE: _ClassVar[FillOutcome]
    FILL_OUTCOME_FAILED: _ClassVar[FillOutcome]
FILL_OUTCOME_UNSPECIFIED: FillOutcome
FILL_OUTCOME_WHOLE: FillOutcome
FILL_OUTCOME_UNCACHEABLE: FillOutcome
FILL_OUTCOME_FAILED: FillOutcome

class Lookup(_message.Message):
    __slots__ = ("call", "key", "entry_bytes_max", "traceparent")
    CALL_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    ENTRY_BYTES_MAX_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    call: int
    key: bytes
    entry_bytes_max: int
    traceparent: str
    def __init__(self, call: _Optional[int] = ..., key: _Optional[bytes] = ..., entry_bytes_max: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class FillHead(_message.Message):
    __slots__ = ("call", "status", "headers", "ttl_s", "facts", "traceparent")
    CALL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    call: int
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    ttl_s: int
    facts: str
    traceparent: str
    def __init__(self, call: _Optional[int] = ..., status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., ttl_s: _Optional[int] = ..., facts: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Header(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: bytes
    value: bytes
    def __init__(self, name: _Optional[bytes] = ..., value: _Optional[bytes] = ...) -> None: ...

class FillChunk(_message.Message):
    __slots__ = ("call", "chunk")
    CALL_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    call: int
    chunk: bytes
    def __init__(self, call: _Optional[int] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class FillChunks(_message.Message):
    __slots__ = ("call", "chunks")
    CALL_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    call: int
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, call: _Optional[int] = ..., chunks: _Optional[_Iterable[bytes]] = ...) -> None: ...

class FillEnd(_message.Message):
    __slots__ = ("call", "outcome", "facts")
    CALL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    call: int
    outcome: FillOutcome
    facts: str
    def __init__(self, call: _Optional[int] = ..., outcome: _Optional[_Union[FillOutcome, str]] = ..., facts: _Optional[str] = ...) -> None: ...

class FillWhole(_message.Message):
    __slots__ = ("call", "status", "headers", "chunks", "ttl_s", "facts", "traceparent")
    CALL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    TTL_S_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    call: int
    status: int
    headers: _containers.RepeatedScalarFieldContainer[bytes]
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    ttl_s: int
    facts: str
    traceparent: str
    def __init__(self, call: _Optional[int] = ..., status: _Optional[int] = ..., headers: _Optional[_Iterable[bytes]] = ..., chunks: _Optional[_Iterable[bytes]] = ..., ttl_s: _Optional[int] = ..., facts: _Optional[str] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Leave(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: int
    def __init__(self, call: _Optional[int] = ...) -> None: ...

class AppendRun(_message.Message):
    __slots__ = ("call", "run", "first_index", "events", "is_end")
    CALL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    IS_END_FIELD_NUMBER: _ClassVar[int]
    call: int
    run: str
    first_index: int
    events: _containers.RepeatedScalarFieldContainer[bytes]
    is_end: bool
    def __init__(self, call: _Optional[int] = ..., run: _Optional[str] = ..., first_index: _Optional[int] = ..., events: _Optional[_Iterable[bytes]] = ..., is_end: _Optional[bool] = ...) -> None: ...

class ReadRun(_message.Message):
    __slots__ = ("call", "run", "first_index")
    CALL_FIELD_NUMBER: _ClassVar[int]
    RUN_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    call: int
    run: str
    first_index: int
    def __init__(self, call: _Optional[int] = ..., run: _Optional[str] = ..., first_index: _Optional[int] = ...) -> None: ...

class Call(_message.Message):
    __slots__ = ("lookup", "fill_head", "fill_chunk", "fill_end", "leave", "append_run", "read_run", "fill_whole", "fill_chunks")
    LOOKUP_FIELD_NUMBER: _ClassVar[int]
    FILL_HEAD_FIELD_NUMBER: _ClassVar[int]
    FILL_CHUNK_FIELD_NUMBER: _ClassVar[int]
    FILL_END_FIELD_NUMBER: _ClassVar[int]
    LEAVE_FIELD_NUMBER: _ClassVar[int]
    APPEND_RUN_FIELD_NUMBER: _ClassVar[int]
    READ_RUN_FIELD_NUMBER: _ClassVar[int]
    FILL_WHOLE_FIELD_NUMBER: _ClassVar[int]
    FILL_CHUNKS_FIELD_NUMBER: _ClassVar[int]
    lookup: Lookup
    fill_head: FillHead
    fill_chunk: FillChunk
    fill_end: FillEnd
    leave: Leave
    append_run: AppendRun
    read_run: ReadRun
    fill_whole: FillWhole
    fill_chunks: FillChunks
    def __init__(self, lookup: _Optional[_Union[Lookup, _Mapping]] = ..., fill_head: _Optional[_Union[FillHead, _Mapping]] = ..., fill_chunk: _Optional[_Union[FillChunk, _Mapping]] = ..., fill_end: _Optional[_Union[FillEnd, _Mapping]] = ..., leave: _Optional[_Union[Leave, _Mapping]] = ..., append_run: _Optional[_Union[AppendRun, _Mapping]] = ..., read_run: _Optional[_Union[ReadRun, _Mapping]] = ..., fill_whole: _Optional[_Union[FillWhole, _Mapping]] = ..., fill_chunks: _Optional[_Union[FillChunks, _Mapping]] = ...) -> None: ...

class Calls(_message.Message):
    __slots__ = ("calls", "probe")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedCompositeFieldContainer[Call]
    probe: int
    def __init__(self, calls: _Optional[_Iterable[_Union[Call, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...

class Hit(_message.Message):
    __slots__ = ("call", "status", "headers", "chunks", "facts", "ttl_left_s", "is_partial")
    CALL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    TTL_LEFT_S_FIELD_NUMBER: _ClassVar[int]
    IS_PARTIAL_FIELD_NUMBER: _ClassVar[int]
    call: int
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    facts: str
    ttl_left_s: int
    is_partial: bool
    def __init__(self, call: _Optional[int] = ..., status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., chunks: _Optional[_Iterable[bytes]] = ..., facts: _Optional[str] = ..., ttl_left_s: _Optional[int] = ..., is_partial: _Optional[bool] = ...) -> None: ...

class HitPart(_message.Message):
    __slots__ = ("call", "chunks", "is_last")
    CALL_FIELD_NUMBER: _ClassVar[int]
    CHUNKS_FIELD_NUMBER: _ClassVar[int]
    IS_LAST_FIELD_NUMBER: _ClassVar[int]
    call: int
    chunks: _containers.RepeatedScalarFieldContainer[bytes]
    is_last: bool
    def __init__(self, call: _Optional[int] = ..., chunks: _Optional[_Iterable[bytes]] = ..., is_last: _Optional[bool] = ...) -> None: ...

class Fill(_message.Message):
    __slots__ = ("call", "is_degraded")
    CALL_FIELD_NUMBER: _ClassVar[int]
    IS_DEGRADED_FIELD_NUMBER: _ClassVar[int]
    call: int
    is_degraded: bool
    def __init__(self, call: _Optional[int] = ..., is_degraded: _Optional[bool] = ...) -> None: ...

class Join(_message.Message):
    __slots__ = ("call", "is_degraded")
    CALL_FIELD_NUMBER: _ClassVar[int]
    IS_DEGRADED_FIELD_NUMBER: _ClassVar[int]
    call: int
    is_degraded: bool
    def __init__(self, call: _Optional[int] = ..., is_degraded: _Optional[bool] = ...) -> None: ...

class Watched(_message.Message):
    __slots__ = ("call", "is_watched")
    CALL_FIELD_NUMBER: _ClassVar[int]
    IS_WATCHED_FIELD_NUMBER: _ClassVar[int]
    call: int
    is_watched: bool
    def __init__(self, call: _Optional[int] = ..., is_watched: _Optional[bool] = ...) -> None: ...

class JoinHead(_message.Message):
    __slots__ = ("calls", "status", "headers", "facts")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedScalarFieldContainer[int]
    status: int
    headers: _containers.RepeatedCompositeFieldContainer[Header]
    facts: str
    def __init__(self, calls: _Optional[_Iterable[int]] = ..., status: _Optional[int] = ..., headers: _Optional[_Iterable[_Union[Header, _Mapping]]] = ..., facts: _Optional[str] = ...) -> None: ...

class JoinChunk(_message.Message):
    __slots__ = ("calls", "chunk")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedScalarFieldContainer[int]
    chunk: bytes
    def __init__(self, calls: _Optional[_Iterable[int]] = ..., chunk: _Optional[bytes] = ...) -> None: ...

class JoinEnd(_message.Message):
    __slots__ = ("calls", "outcome", "facts")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    calls: _containers.RepeatedScalarFieldContainer[int]
    outcome: FillOutcome
    facts: str
    def __init__(self, calls: _Optional[_Iterable[int]] = ..., outcome: _Optional[_Union[FillOutcome, str]] = ..., facts: _Optional[str] = ...) -> None: ...

class Miss(_message.Message):
    __slots__ = ("call", "is_degraded")
    CALL_FIELD_NUMBER: _ClassVar[int]
    IS_DEGRADED_FIELD_NUMBER: _ClassVar[int]
    call: int
    is_degraded: bool
    def __init__(self, call: _Optional[int] = ..., is_degraded: _Optional[bool] = ...) -> None: ...

class RunEvents(_message.Message):
    __slots__ = ("call", "first_index", "events", "is_end", "is_unknown")
    CALL_FIELD_NUMBER: _ClassVar[int]
    FIRST_INDEX_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    IS_END_FIELD_NUMBER: _ClassVar[int]
    IS_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    call: int
    first_index: int
    events: _containers.RepeatedScalarFieldContainer[bytes]
    is_end: bool
    is_unknown: bool
    def __init__(self, call: _Optional[int] = ..., first_index: _Optional[int] = ..., events: _Optional[_Iterable[bytes]] = ..., is_end: _Optional[bool] = ..., is_unknown: _Optional[bool] = ...) -> None: ...

class Reply(_message.Message):
    __slots__ = ("hit", "fill", "join", "join_head", "join_chunk", "join_end", "miss", "run_events", "hit_part", "watched")
    HIT_FIELD_NUMBER: _ClassVar[int]
    FILL_FIELD_NUMBER: _ClassVar[int]
    JOIN_FIELD_NUMBER: _ClassVar[int]
    JOIN_HEAD_FIELD_NUMBER: _ClassVar[int]
    JOIN_CHUNK_FIELD_NUMBER: _ClassVar[int]
    JOIN_END_FIELD_NUMBER: _ClassVar[int]
    MISS_FIELD_NUMBER: _ClassVar[int]
    RUN_EVENTS_FIELD_NUMBER: _ClassVar[int]
    HIT_PART_FIELD_NUMBER: _ClassVar[int]
    WATCHED_FIELD_NUMBER: _ClassVar[int]
    hit: Hit
    fill: Fill
    join: Join
    join_head: JoinHead
    join_chunk: JoinChunk
    join_end: JoinEnd
    miss: Miss
    run_events: RunEvents
    hit_part: HitPart
    watched: Watched
    def __init__(self, hit: _Optional[_Union[Hit, _Mapping]] = ..., fill: _Optional[_Union[Fill, _Mapping]] = ..., join: _Optional[_Union[Join, _Mapping]] = ..., join_head: _Optional[_Union[JoinHead, _Mapping]] = ..., join_chunk: _Optional[_Union[JoinChunk, _Mapping]] = ..., join_end: _Optional[_Union[JoinEnd, _Mapping]] = ..., miss: _Optional[_Union[Miss, _Mapping]] = ..., run_events: _Optional[_Union[RunEvents, _Mapping]] = ..., hit_part: _Optional[_Union[HitPart, _Mapping]] = ..., watched: _Optional[_Union[Watched, _Mapping]] = ...) -> None: ...

class Replies(_message.Message):
    __slots__ = ("replies", "probe")
    REPLIES_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    replies: _containers.RepeatedCompositeFieldContainer[Reply]
    probe: int
    def __init__(self, replies: _Optional[_Iterable[_Union[Reply, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...
