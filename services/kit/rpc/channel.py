"""
Channels: how gRPC itself is set up, on both sides.

gRPC has timers, retries, proxies and backoffs of its own; here they are switched off or set to the project's
rules, so that one supervised stream decides alone when to connect again. Hazards: the keepalive timeout alone does
nothing, what ends a connection is the ping timeout behind it, a minute unless set; a server that is not told to accept
pings on idle streams kills the client for them; without `so_reuseport` 0 two servers share one port in silence.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NoReturn, Protocol, TypeAlias, cast

import grpc
import grpc.aio

from services.kit.rpc.bounds import MESSAGE_BYTES_MAX
from services.kit.rpc.target import Address
from services.kit.tls import Certificates, TlsFiles

KEEPALIVE_MS = 2_000
KEEPALIVE_TIMEOUT_MS = 1_000
PING_INTERVAL_MS_MIN = 1_000
"""What a server accepts; below the clients' keepalive."""

SERVER_KEEPALIVE_MS = 10_000
SERVER_KEEPALIVE_TIMEOUT_MS = 5_000
"""A server only cleans up after clients that vanished; it must not cut those it has kept waiting itself."""

STREAMS_MAX = 4_096
"""Calls and streams at once on one server; more are refused."""

_BOTH_SIDES: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
)

_CLIENT = (
    *_BOTH_SIDES,
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    ("grpc.service_config_disable_resolution", 1),
    # Connections are not shared between channels: each try is a fresh one, without a backoff of gRPC's own.
    ("grpc.use_local_subchannel_pool", 1),
)

_SERVER = (
    *_BOTH_SIDES,
    ("grpc.keepalive_time_ms", SERVER_KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", SERVER_KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.ping_timeout_ms", SERVER_KEEPALIVE_TIMEOUT_MS),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.so_reuseport", 0),
)


class ByteStream(Protocol):
    """A client's end of one stream of raw messages, of what gRPC offers as much as is used here."""

    async def initial_metadata(self) -> object:
        """Returns when the other side has accepted the stream, or it has failed."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Messages, to the end. Raises AioRpcError unless that was proper."""
        ...

    async def read(self) -> object:
        """For a stream that has ended: raises AioRpcError unless that was proper."""
        ...

    async def write(self, message: bytes) -> None:
        """Returns when the message has left for the network."""
        ...

    async def done_writing(self) -> None:
        """Tell the other side that nothing more will come."""
        ...

    def done(self) -> bool:
        """It has ended."""
        ...

    def cancel(self) -> bool:
        """End it now."""
        ...


class ServedCall(Protocol):
    """A server's end of one stream or call of raw messages."""

    async def send_initial_metadata(self, metadata: tuple[tuple[str, str], ...]) -> None:
        """Accept."""
        ...

    async def read(self) -> object:
        """The next message as bytes, or something else at the end."""
        ...

    async def write(self, message: bytes) -> None:
        """Returns when the message has left for the network."""
        ...

    async def abort(
        self, code: grpc.StatusCode, details: str, trailing_metadata: Iterable[tuple[str, str]]
    ) -> NoReturn:
        """End with that status, by raising what gRPC wants to see raised."""
        ...

    def peer(self) -> str:
        """The client's address."""
        ...


def open_stream(channel: grpc.aio.Channel, method: str) -> ByteStream:
    """Start a stream of raw messages in both directions."""
    return cast(ByteStream, _untyped(channel).stream_stream(method)())


async def call_once(channel: grpc.aio.Channel, method: str, question: bytes) -> bytes:
    """One raw message there, one back."""
    return cast(bytes, await _untyped(channel).unary_unary(method)(question))


def call_for_many(channel: grpc.aio.Channel, method: str, question: bytes) -> AsyncIterator[bytes]:
    """One raw message there, a stream of them back."""
    return cast(AsyncIterator[bytes], aiter(_untyped(channel).unary_stream(method)(question)))


def _untyped(channel: grpc.aio.Channel) -> Any:
    """gRPC's types know neither absent serializers nor streams without a request iterator; its code does."""
    return channel


def is_unix(address: str) -> bool:
    """Unix sockets are private by their file mode and never carry TLS."""
    return address.startswith("unix:")


def open_channel(address: Address, *, certificates: Certificates | None) -> grpc.aio.Channel:
    """A channel to one replica; it connects with its first call."""
    if certificates is None or is_unix(address.dial):
        return grpc.aio.insecure_channel(address.dial, options=_CLIENT)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=certificates.authority,
        private_key=certificates.key,
        certificate_chain=certificates.certificate,
    )
    named = (("grpc.ssl_target_name_override", address.host),) if address.host else ()
    return grpc.aio.secure_channel(address.dial, credentials, options=(*_CLIENT, *named))


Handler: TypeAlias = "grpc.RpcMethodHandler[bytes, bytes]"


def make_server(handlers: Mapping[str, Handler]) -> grpc.aio.Server:
    """A server of these methods, given by their paths, that listens nowhere yet."""
    services: dict[str, dict[str, Handler]] = {}
    for path, handler in handlers.items():
        service, _, method = path.lstrip("/").partition("/")
        services.setdefault(service, {})[method] = handler
    generic = [grpc.method_handlers_generic_handler(service, methods) for service, methods in services.items()]
    return grpc.aio.server(handlers=generic, options=_SERVER, maximum_concurrent_rpcs=STREAMS_MAX)


def listen(server: grpc.aio.Server, address: str, *, tls: TlsFiles | None) -> int:
    """Give the server an address; the port it got. Raises OSError when the address is taken or not ours."""
    try:
        if tls is None or is_unix(address):
            return server.add_insecure_port(address)
        return server.add_secure_port(address, _server_credentials(tls))
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: {error}") from error


def _server_credentials(tls: TlsFiles) -> grpc.ServerCredentials:
    """Mutual TLS whose certificates are looked up at each handshake."""
    configurations: dict[Certificates, grpc.ServerCertificateConfiguration] = {}

    def fetch() -> grpc.ServerCertificateConfiguration:
        certificates = tls.current()
        if certificates not in configurations:
            configurations.clear()
            configurations[certificates] = _configuration(certificates)
        return configurations[certificates]

    return grpc.dynamic_ssl_server_credentials(fetch(), fetch, require_client_authentication=True)


def _configuration(certificates: Certificates) -> grpc.ServerCertificateConfiguration:
    pair = (certificates.key, certificates.certificate)
    return grpc.ssl_server_certificate_configuration([pair], root_certificates=certificates.authority)
