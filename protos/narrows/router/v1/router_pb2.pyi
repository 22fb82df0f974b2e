from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OutcomeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OUTCOME_KIND_UNSPECIFIED: _ClassVar[OutcomeKind]
    OUTCOME_KIND_SUCCESS: _ClassVar[OutcomeKind]
    OUTCOME_KIND_FAILURE: _ClassVar[OutcomeKind]
OUTCOME_KIND_UNSPECIFIED: OutcomeKind
OUTCOME_KIND_SUCCESS: OutcomeKind
OUTCOME_KIND_FAILURE: OutcomeKind

class Ack(_message.Message):
    __slots__ = ("edge", "version", "is_accepted", "reason", "probe")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    edge: str
    version: str
    is_accepted: bool
    reason: str
    probe: int
    def __init__(self, edge: _Optional[str] = ..., version: _Optional[str] = ..., is_accepted: _Optional[bool] = ..., reason: _Optional[str] = ..., probe: _Optional[int] = ...) -> None: ...

class GatewayContent(_message.Message):
    __slots__ = ("account", "gateway", "content")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    content: bytes
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class StoredKey(_message.Message):
    __slots__ = ("account", "gateway", "provider", "alias", "key")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ALIAS_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    provider: str
    alias: str
    key: str
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ..., provider: _Optional[str] = ..., alias: _Optional[str] = ..., key: _Optional[str] = ...) -> None: ...

class StoredKeys(_message.Message):
    __slots__ = ("version", "keys")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    version: str
    keys: _containers.RepeatedCompositeFieldContainer[StoredKey]
    def __init__(self, version: _Optional[str] = ..., keys: _Optional[_Iterable[_Union[StoredKey, _Mapping]]] = ...) -> None: ...

class Refusal(_message.Message):
    __slots__ = ("resource", "reason")
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    resource: str
    reason: str
    def __init__(self, resource: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("version", "is_whole", "revisions", "catalogue", "changed", "removed", "refusals", "stored_keys", "are_keys_withheld", "has_more", "probe")
    class RevisionsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IS_WHOLE_FIELD_NUMBER: _ClassVar[int]
    REVISIONS_FIELD_NUMBER: _ClassVar[int]
    CATALOGUE_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    REMOVED_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    STORED_KEYS_FIELD_NUMBER: _ClassVar[int]
    ARE_KEYS_WITHHELD_FIELD_NUMBER: _ClassVar[int]
    HAS_MORE_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    version: str
    is_whole: bool
    revisions: _containers.ScalarMap[str, int]
    catalogue: bytes
    changed: _containers.RepeatedCompositeFieldContainer[GatewayContent]
    removed: _containers.RepeatedCompositeFieldContainer[GatewayContent]
    refusals: _containers.RepeatedCompositeFieldContainer[Refusal]
    stored_keys: StoredKeys
    are_keys_withheld: bool
    has_more: bool
    probe: int
    def __init__(self, version: _Optional[str] = ..., is_whole: _Optional[bool] = ..., revisions: _Optional[_Mapping[str, int]] = ..., catalogue: _Optional[bytes] = ..., changed: _Optional[_Iterable[_Union[GatewayContent, _Mapping]]] = ..., removed: _Optional[_Iterable[_Union[GatewayContent, _Mapping]]] = ..., refusals: _Optional[_Iterable[_Union[Refusal, _Mapping]]] = ..., stored_keys: _Optional[_Union[StoredKeys, _Mapping]] = ..., are_keys_withheld: _Optional[bool] = ..., has_more: _Optional[bool] = ..., probe: _Optional[int] = ...) -> None: ...

class Outcome(_message.Message):
    __slots__ = ("account", "gateway", "provider", "base_url", "kind", "count", "traceparent")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    TRACEPARENT_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    provider: str
    base_url: str
    kind: OutcomeKind
    count: int
    traceparent: str
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ..., provider: _Optional[str] = ..., base_url: _Optional[str] = ..., kind: _Optional[_Union[OutcomeKind, str]] = ..., count: _Optional[int] = ..., traceparent: _Optional[str] = ...) -> None: ...

class Outcomes(_message.Message):
    __slots__ = ("edge", "running_version", "outcomes", "probe")
    EDGE_FIELD_NUMBER: _ClassVar[int]
    RUNNING_VERSION_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    edge: str
    running_version: str
    outcomes: _containers.RepeatedCompositeFieldContainer[Outcome]
    probe: int
    def __init__(self, edge: _Optional[str] = ..., running_version: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[Outcome, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...

class TargetHealth(_message.Message):
    __slots__ = ("account", "gateway", "provider", "base_url", "ejected_for_ms")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    GATEWAY_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    EJECTED_FOR_MS_FIELD_NUMBER: _ClassVar[int]
    account: str
    gateway: str
    provider: str
    base_url: str
    ejected_for_ms: int
    def __init__(self, account: _Optional[str] = ..., gateway: _Optional[str] = ..., provider: _Optional[str] = ..., base_url: _Optional[str] = ..., ejected_for_ms: _Optional[int] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("targets", "probe")
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    targets: _containers.RepeatedCompositeFieldContainer[TargetHealth]
    probe: int
    def __init__(self, targets: _Optional[_Iterable[_Union[TargetHealth, _Mapping]]] = ..., probe: _Optional[int] = ...) -> None: ...
