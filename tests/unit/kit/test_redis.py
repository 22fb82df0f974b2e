"""Redis clients: every form of URL opens a client that works, fails fast and hides its password."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kit.errors import SettingsInvalid
from services.kit.redis import OUTAGES, open_redis, parse_redis_url
from tests.fakes.authority import Authority
from tests.harness.processes import unused_port
from tests.redis_server import EXECUTABLE, RedisServer

PATIENT_S = 5.0
"""For a handshake on a busy machine, where the question is trust and not time."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path, "--requirepass", "s3cret", "--unixsocket", str(tmp_path / "redis.sock")) as running:
        yield running


@pytest.mark.parametrize("form", ["redis://:s3cret@127.0.0.1:{port}/3", "unix://:s3cret@{directory}/redis.sock?db=3"])
async def test_a_url_opens_a_client_of_that_database(server: RedisServer, tmp_path: Path, form: str) -> None:
    async with open_redis(form.format(port=server.port, directory=tmp_path)) as client:
        await client.set("here", "1")
        keyspace = await client.execute_command("INFO", "keyspace")

    assert "db3" in keyspace


async def test_sentinels_name_the_master(server: RedisServer, tmp_path: Path) -> None:
    with _sentinel(tmp_path, server.port) as port:
        async with open_redis(f"redis+sentinel://:s3cret@127.0.0.1:1,127.0.0.1:{port}/mymaster/2") as client:
            await client.set("here", "1")
            value = await client.get("here")

    assert value == b"1"


async def test_a_cluster_is_found_from_any_of_its_nodes(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--cluster-enabled", "yes", "--cluster-port", str(unused_port())) as node:
        node.command("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        _wait_until(lambda: b"cluster_state:ok" in node.command("CLUSTER", "INFO"))
        async with open_redis(f"redis+cluster://127.0.0.1:1,127.0.0.1:{node.port}") as client:
            await client.set("{tag}:here", "1")
            value = await client.get("{tag}:here")

    assert value == b"1"


async def test_tls_trusts_the_authority_that_the_url_names(tmp_path: Path) -> None:
    files = Authority().write(tmp_path / "tls")
    options = [("--tls-cert-file", "tls.crt"), ("--tls-key-file", "tls.key"), ("--tls-ca-cert-file", "ca.crt")]
    arguments = [word for option, name in options for word in (option, str(files / name))]
    tls_port = unused_port()
    with RedisServer(tmp_path, "--tls-port", str(tls_port), "--tls-auth-clients", "no", *arguments):
        trusting = f"rediss://127.0.0.1:{tls_port}?ssl_ca_certs={files / 'ca.crt'}"
        async with open_redis(trusting, timeout_s=PATIENT_S) as client:
            answer = await client.ping()
        async with open_redis(f"rediss://127.0.0.1:{tls_port}", timeout_s=PATIENT_S) as client:
            with pytest.raises(OUTAGES):
                await client.ping()

    assert answer is True


async def test_a_frozen_server_costs_no_more_than_the_timeout(server: RedisServer) -> None:
    async with open_redis(f"redis://:s3cret@127.0.0.1:{server.port}") as client:
        await client.ping()
        server.freeze()
        began = time.monotonic()
        with pytest.raises(OUTAGES):
            await client.ping()
        took_s = time.monotonic() - began
        server.thaw()

    assert took_s < 0.4


async def test_a_restarted_server_is_used_again_without_a_new_client(server: RedisServer) -> None:
    async with open_redis(f"redis://:s3cret@127.0.0.1:{server.port}") as client:
        await client.ping()
        await asyncio.to_thread(server.restart)
        answer = await client.ping()

    assert answer is True


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("http://host", "starts with one of"),
        ("redis://a,b", "several hosts"),
        ("redis://host:port", "port must be a number"),
        ("redis://host/zero", "database is a number"),
        ("redis://user:1/canary@host:6379/0", "percent-encode"),
        ("redis://user:canary/2@host:6379/0", "percent-encode"),
        ("redis://host?socket_timeout=60", "unknown option 'socket_timeout'"),
        ("redis+sentinel://host", "names the master"),
        ("redis+cluster://host/1", "no numbered databases"),
    ],
)
def test_an_impossible_url_is_refused(url: str, fault: str) -> None:
    with pytest.raises(SettingsInvalid, match=fault) as refused:
        parse_redis_url(url)

    assert "canary" not in refused.value.message


def test_an_address_never_shows_its_password() -> None:
    address = parse_redis_url("rediss://user:p%40ss@host:6380/1?ssl_ca_certs=/ca.pem")

    assert (address.username, address.password, address.is_tls) == ("user", "p@ss", True)
    assert "p@ss" not in repr(address)


class _sentinel:  # noqa: N801  # reads as a context manager
    """A Sentinel process that watches the server on `master_port`."""

    def __init__(self, directory: Path, master_port: int) -> None:
        self._port = unused_port()
        self._file = directory / "sentinel.conf"
        self._file.write_text(
            f"port {self._port}\nbind 127.0.0.1\ndir {directory}\n"
            f"sentinel monitor mymaster 127.0.0.1 {master_port} 1\nsentinel auth-pass mymaster s3cret\n"
        )

    def __enter__(self) -> int:
        self._process = subprocess.Popen(
            [EXECUTABLE, str(self._file), "--sentinel"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        watcher = RedisServer(self._file.parent, port=self._port)
        _wait_until(watcher._answers)
        return self._port

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def _wait_until(is_true: object) -> None:
    deadline = time.monotonic() + 10
    while not is_true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.01)
