"""The router as a client in any language sees it: generated messages over plain gRPC."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc.aio

from narrows.router.v1 import router_pb2 as pb
from tests.protocol.router.conftest import StartRouter
from tests.unit.router.judging import gateway


@asynccontextmanager
async def stream(address: str, method: str, *, answer: type) -> AsyncIterator[grpc.aio.StreamStreamCall]:
    async with grpc.aio.insecure_channel(address) as channel:
        call = channel.stream_stream(
            f"/narrows.router.v1.Router/{method}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )()
        yield call
        call.cancel()


async def test_watch_gives_stored_keys_then_the_whole_then_differences(
    start_router: StartRouter, resources: Path
) -> None:
    router = await start_router(resources)
    async with stream(router.address, "Watch", answer=pb.Snapshot) as call:
        await call.write(pb.Ack(edge="other-client", is_accepted=True))

        keys, whole = await call.read(), await call.read()
        assert keys.HasField("stored_keys")
        assert keys.version == whole.version
        assert whole.is_whole
        assert [(part.account, part.gateway) for part in whole.changed] == [("local", "main")]
        assert json.loads(whole.changed[0].content)["cache"]["ttl_s"] == 1
        assert set(whole.revisions) == {"file"}

        await call.write(pb.Ack(edge="other-client", version=whole.version, is_accepted=True))
        resources.write_text(gateway("main", "{cache: {ttlS: 1}}") + gateway("new"))

        difference = await call.read()
        assert not difference.is_whole
        assert difference.catalogue == b""
        assert [part.gateway for part in difference.changed] == ["new"]
        assert difference.revisions["file"] > whole.revisions["file"]


async def test_a_version_is_the_hash_of_the_content(start_router: StartRouter, resources: Path) -> None:
    router = await start_router(resources)
    async with stream(router.address, "Watch", answer=pb.Snapshot) as call:
        await call.write(pb.Ack(edge="other-client", is_accepted=True))
        await call.read()
        whole = await call.read()

    found = hashlib.sha256(hashlib.sha256(whole.catalogue).digest())
    for part in whole.changed:
        found.update(f"\n{part.account}/{part.gateway}\n".encode() + hashlib.sha256(part.content).digest())
    assert whole.version == found.hexdigest()[:32]


async def test_a_rejected_difference_is_followed_by_the_whole(start_router: StartRouter, resources: Path) -> None:
    router = await start_router(resources)
    async with stream(router.address, "Watch", answer=pb.Snapshot) as call:
        await call.write(pb.Ack(edge="other-client", is_accepted=True))
        await call.read()
        whole = await call.read()
        await call.write(pb.Ack(edge="other-client", version=whole.version, is_accepted=True))
        resources.write_text(gateway("new"))
        difference = await call.read()

        await call.write(pb.Ack(edge="other-client", version=difference.version, is_accepted=False, reason="no"))

        await call.read()
        again = await call.read()
        assert again.is_whole
        assert again.version == difference.version


async def test_failures_reported_come_back_as_an_ejection(start_router: StartRouter, resources: Path) -> None:
    router = await start_router(resources)
    target = {"account": "local", "gateway": "main", "provider": "openai", "base_url": "https://api.openai.com/v1"}
    async with stream(router.address, "Report", answer=pb.Health) as call:
        outcome = pb.Outcome(**target, kind=pb.OUTCOME_KIND_FAILURE, count=5)
        await call.write(pb.Outcomes(edge="other-client", running_version="v", outcomes=[outcome]))

        health = await call.read()

    assert [(item.base_url, item.ejected_for_ms) for item in health.targets] == [(target["base_url"], 5_000)]


async def test_a_probe_is_echoed(start_router: StartRouter, resources: Path) -> None:
    router = await start_router(resources)
    async with stream(router.address, "Report", answer=pb.Health) as call:
        await call.write(pb.Outcomes(probe=77))

        assert (await call.read()).probe == 77
