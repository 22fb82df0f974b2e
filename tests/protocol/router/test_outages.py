"""Routers that die, freeze and come back; the edge serves what it has."""

from __future__ import annotations

from pathlib import Path

from tests.protocol.router.conftest import StartRouter, edge_following, ttl_s, until
from tests.unit.router.judging import gateway


async def test_an_edge_serves_on_when_its_router_is_killed_and_takes_up_with_it_later(
    start_router: StartRouter, resources: Path, tmp_path: Path
) -> None:
    router = await start_router(resources)
    async with edge_following(router.address, tmp_path / "edge") as edge:
        await until(lambda: ttl_s(edge) == 1)

        await router.kill()
        assert ttl_s(edge) == 1

        resources.write_text(gateway("main", "{cache: {ttlS: 2}}"))
        await router.start()
        await until(lambda: ttl_s(edge) == 2)


async def test_an_edge_that_restarts_without_a_router_serves_from_its_copy(
    start_router: StartRouter, resources: Path, tmp_path: Path
) -> None:
    router = await start_router(resources)
    async with edge_following(router.address, tmp_path / "edge") as edge:
        await until(lambda: ttl_s(edge) == 1)
    await router.kill()

    async with edge_following(router.address, tmp_path / "edge") as edge:
        await until(lambda: ttl_s(edge) == 1, within_s=3)

        resources.write_text(gateway("main", "{cache: {ttlS: 2}}"))
        await router.start()
        await until(lambda: ttl_s(edge) == 2)


async def test_an_edge_with_a_copy_that_is_out_of_date_never_serves_it_when_a_router_answers(
    start_router: StartRouter, resources: Path, tmp_path: Path
) -> None:
    router = await start_router(resources)
    async with edge_following(router.address, tmp_path / "edge") as edge:
        await until(lambda: ttl_s(edge) == 1)
    resources.write_text(gateway("main", "{cache: {ttlS: 2}}"))
    await router.kill()
    await router.start()

    async with edge_following(router.address, tmp_path / "edge") as edge:
        await until(lambda: edge.current)

        assert ttl_s(edge) == 2


async def test_when_the_followed_replica_freezes_the_other_one_is_followed(
    start_router: StartRouter, resources: Path, tmp_path: Path
) -> None:
    others = tmp_path / "others.yaml"
    others.write_text(gateway("main", "{cache: {ttlS: 2}}"))
    routers = {1: await start_router(resources), 2: await start_router(others)}
    async with edge_following(",".join(router.address for router in routers.values()), tmp_path / "edge") as edge:
        await until(lambda: ttl_s(edge) in routers)
        frozen = routers.pop(ttl_s(edge) or 0)
        (other,) = routers.values()

        frozen.freeze()
        other.resources.write_text(gateway("main", "{cache: {ttlS: 3}}"))

        await until(lambda: ttl_s(edge) == 3, within_s=15)
