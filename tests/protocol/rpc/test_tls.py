"""Mutual TLS between services, and what happens when its files change."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from services.kit.clock import SystemClock
from services.kit.errors import SettingsInvalid
from services.kit.health import Dependencies
from services.kit.rpc.replicas import Caller, Naming, Replicas, replicas
from services.kit.rpc.server import RpcServer
from services.kit.rpc.target import parse_target
from services.kit.tls import TlsFiles
from tests.fakes.authority import Authority
from tests.fakes.owner import Owner
from tests.fakes.parrot import Parrot, conversation
from tests.protocol.rpc.conftest import Dial


@pytest.fixture
def authority() -> Authority:
    return Authority()


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


def calling(dependencies: Dependencies, *, tls: TlsFiles | None) -> Caller:
    return Caller(clock=SystemClock(), random=random.random, dependencies=dependencies, tls=tls)


def serve(parrot: Parrot, directory: Path | None, address: str = "127.0.0.1:0") -> RpcServer:
    server = RpcServer(address, tls=None if directory is None else TlsFiles(directory))
    server.add(conversation(), parrot)
    return server


async def test_peers_of_one_authority_talk_and_are_private(
    authority: Authority, parrot: Parrot, dial: Dial, owner: Owner, tmp_path: Path
) -> None:
    directory = authority.write(tmp_path / "tls")
    async with serve(parrot, directory) as server:
        links = await dial(f"127.0.0.1:{server.port}", tls=TlsFiles(directory))
        links.all()[0].send((1, "hello", b""), key=1)
        await owner.until(lambda: owner.heard)

        assert parrot.sessions[0].peer.is_private


async def test_replicas_found_by_name_are_certified_by_that_name(
    authority: Authority, parrot: Parrot, dial: Dial, tmp_path: Path
) -> None:
    directory = authority.write(tmp_path / "tls")

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with serve(parrot, directory) as server:
        links = await dial(f"dns:///parrot:{server.port}", tls=TlsFiles(directory), naming=Naming(resolve=resolve))

        assert [link.address for link in links.all()] == [f"127.0.0.1:{server.port}"]


@pytest.mark.parametrize("client", ["plaintext", "of another authority", "expecting another name"])
async def test_others_are_refused(
    authority: Authority, parrot: Parrot, owner: Owner, dependencies: Dependencies, tmp_path: Path, client: str
) -> None:
    tls = {
        "plaintext": None,
        "of another authority": TlsFiles(Authority("strangers").write(tmp_path / "strangers")),
        "expecting another name": TlsFiles(authority.write(tmp_path / "client")),
    }[client]

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with (
        serve(parrot, authority.write(tmp_path / "server")) as server,
        replicas(
            conversation(),
            owner,
            target=f"dns:///somebody-else:{server.port}",
            caller=calling(dependencies, tls=tls),
            naming=Naming(resolve=resolve),
        ),
    ):
        await owner.until(lambda: dependencies.is_down("parrot"))

    assert parrot.sessions == []


async def test_renewed_certificates_are_used_without_losing_anything(
    authority: Authority, parrot: Parrot, owner: Owner, dependencies: Dependencies, tmp_path: Path
) -> None:
    directory = authority.write(tmp_path / "tls")
    async with serve(parrot, directory) as server:
        links = Replicas(
            conversation(),
            parse_target(f"127.0.0.1:{server.port}"),
            caller=calling(dependencies, tls=TlsFiles(directory)),
            naming=Naming(every_s=0.02, drain_s=0.02),
        )
        links.listen(owner)
        await owner.until(lambda: links.any() is not None)
        first = links.any()

        other = Authority("successor")
        other.write(directory)
        seen_up = []
        await owner.until(lambda: seen_up.append(links.any() is not None) or links.any() not in (None, first))
        await owner.until(lambda: parrot.sessions[0].closed)
        second = links.any()
        assert second is not None
        second.send((1, "hello", b""), key=1)
        await owner.until(lambda: owner.heard)
        await links.close()

        assert all(seen_up)
        assert len(parrot.sessions) == 2


async def test_a_client_without_certificates_does_not_start(owner: Owner, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=str(tmp_path)):
        async with replicas(
            conversation(),
            owner,
            target="127.0.0.1:1",
            caller=calling(Dependencies(clock=SystemClock()), tls=TlsFiles(tmp_path)),
        ):
            pass


async def test_a_server_without_certificates_does_not_start(parrot: Parrot, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=str(tmp_path)):
        async with serve(parrot, tmp_path):
            pass


async def test_a_unix_socket_is_private_without_certificates(
    parrot: Parrot, dial: Dial, owner: Owner, tmp_path: Path
) -> None:
    address = f"unix://{tmp_path}/parrot.sock"
    async with serve(parrot, None, address):
        links = await dial(address)
        links.all()[0].send((1, "hello", b""), key=1)
        await owner.until(lambda: owner.heard)

        assert parrot.sessions[0].peer.is_private


async def test_plaintext_over_tcp_is_not_private(parrot: Parrot, dial: Dial) -> None:
    async with serve(parrot, None) as server:
        await dial(f"127.0.0.1:{server.port}")

        assert not parrot.sessions[0].peer.is_private
