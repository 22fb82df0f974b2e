from __future__ import annotations

import pytest

from services.config import TARGETS, Settings, Target, defaults_for, read_settings
from services.edge.answers.answers import NEAR_BYTES_MAX
from services.edge.upstream.bounds import PoolBounds
from services.kit.errors import SettingsInvalid
from services.kit.kinds import Address
from services.kit.settings import every_setting

DOCUMENTED = """
NARROWS_DATA_ADDRESS NARROWS_ADMIN_ADDRESS NARROWS_ADMIN_TOKEN NARROWS_HEALTH_ADDRESS NARROWS_RPC_ADDRESS
NARROWS_SIMULATOR_ADDRESS NARROWS_SIMULATOR NARROWS_RESOURCES NARROWS_REDIS_URL NARROWS_CLICKHOUSE_URL NARROWS_DATA_DIR
NARROWS_ROUTER NARROWS_LIMITER NARROWS_CACHE NARROWS_ANALYTICS NARROWS_TLS_DIR NARROWS_SNAPSHOT_KEY
NARROWS_BODY_MEMORY_BYTES NARROWS_MAX_BODY_BYTES NARROWS_MAX_CONNECTIONS NARROWS_SPOOL_BYTES NARROWS_DRAIN_S
NARROWS_NEAR_CACHE_BYTES
NARROWS_UPSTREAM_CA HTTPS_PROXY NO_PROXY NARROWS_PRIVATE_UPSTREAMS NARROWS_LOG_LEVEL NARROWS_LOG_FORMAT
OTEL_EXPORTER_OTLP_ENDPOINT OTEL_TRACES_SAMPLER OTEL_TRACES_SAMPLER_ARG
""".split()


@pytest.mark.parametrize("variable", DOCUMENTED)
def test_every_documented_setting_exists(variable: str) -> None:
    assert variable in {described.variable for _, described in every_setting(Settings())}


def test_no_two_settings_share_a_variable_or_a_flag() -> None:
    known = [described for _, described in every_setting(Settings())]

    assert len({described.variable for described in known}) == len(known)
    assert len({described.flag for described in known}) == len(known)


@pytest.mark.parametrize(
    ("target", "health_port", "rpc"),
    [
        ("all", 8789, "127.0.0.1:0"),
        ("edge", 8789, "127.0.0.1:0"),
        ("router", 8791, "127.0.0.1:9001"),
        ("limiter", 8792, "127.0.0.1:9002"),
        ("cache", 8793, "127.0.0.1:9003"),
        ("analytics", 8794, "127.0.0.1:9004"),
        ("simulator", 8795, "127.0.0.1:0"),
    ],
)
def test_each_target_has_ports_of_its_own(target: Target, health_port: int, rpc: str) -> None:
    addresses = read_settings({}, ["--target", target]).addresses

    assert (addresses.health, addresses.rpc) == (Address("127.0.0.1", health_port), rpc)


def test_the_simulator_has_a_port_of_its_own_only_where_it_runs_alone() -> None:
    assert read_settings({}, []).addresses.simulator.port == 0
    assert read_settings({}, ["--target", "simulator"]).addresses.simulator.port == 8790


def test_an_image_sets_only_the_host() -> None:
    environ = {"NARROWS_RPC_ADDRESS": "0.0.0.0", "NARROWS_HEALTH_ADDRESS": "0.0.0.0", "NARROWS_TARGET": "cache"}

    addresses = read_settings(environ, []).addresses

    assert (str(addresses.health), addresses.rpc) == ("0.0.0.0:8793", "0.0.0.0:9003")


def test_defaults_are_those_that_are_documented() -> None:
    settings = read_settings({}, [])

    assert settings.target == "all"
    assert str(settings.addresses.data) == "127.0.0.1:8787"
    assert str(settings.addresses.admin) == "127.0.0.1:8788"
    assert settings.bounds.body_memory_bytes == 256 * 1024 * 1024
    assert settings.bounds.max_body_bytes == 25 * 1024 * 1024
    assert settings.bounds.max_connections == 10_000
    assert settings.bounds.spool_bytes == 1024 * 1024 * 1024
    assert settings.bounds.near_cache_bytes == NEAR_BYTES_MAX
    assert settings.bounds.drain_s == 30
    assert str(settings.stores.data_dir) == ".narrows"
    assert settings.upstream.are_private_allowed is None
    assert settings.logs.format is None


def test_connections_to_providers_are_bounded_as_the_client_bounds_them_itself() -> None:
    connections = read_settings({}, []).connections

    assert (connections.connections_max, connections.per_origin_max) == (10_000, 10_000)
    assert PoolBounds() == PoolBounds(
        connections_max=connections.connections_max,
        connections_per_origin_max=connections.per_origin_max,
        waiting_max=connections.waiting_max,
        wait_s=connections.wait_s,
        idle_s=connections.idle_s,
        age_s=connections.age_s,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_defaults(target: Target) -> None:
    assert defaults_for(target).target == target


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="--target: must be one of all, edge, router"):
        read_settings({}, ["--target", "edgy"])
