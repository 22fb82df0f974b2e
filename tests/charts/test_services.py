"""What the chart tells each service: addresses, stores, certificates, traces, and the file of resources."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from services.config import TARGETS, read_settings
from services.router.check import check_resources
from tests.charts.chart import VALUES, Chart, Refused, values_in

SERVICES = ("edge", "router", "limiter", "cache", "analytics", "simulator")
ALL = {"simulator": {"enabled": True}, "jaeger": {"enabled": True}}


def literal(environment: Mapping[str, object]) -> dict[str, str]:
    """The variables, with a word for those that come from a Secret."""
    stand_in = {"NARROWS_REDIS_URL": "redis://store:6379/0"}
    return {
        name: value if isinstance(value, str) else stand_in.get(name, "secret") for name, value in environment.items()
    }


@pytest.mark.parametrize("path", sorted(VALUES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_service_accepts_the_settings_it_is_given(chart: Chart, path: Path) -> None:
    release = chart.render({**values_in(path), "simulator": {"enabled": True}})

    for target in SERVICES:
        settings = read_settings(literal(release.environment(target)), ["--target", target])
        assert settings.target == target


def test_every_target_but_all_has_a_deployment(chart: Chart) -> None:
    release = chart.render(ALL)

    deployed = {name.removeprefix("narrows-") for name in release.kind("Deployment")}

    assert deployed == {*TARGETS, "redis", "jaeger"} - {"all"}


def test_the_edge_asks_for_every_address_of_each_service(chart: Chart) -> None:
    release = chart.render()

    environment = release.environment("edge")
    for component in ("router", "limiter", "cache", "analytics"):
        port = next(port["port"] for port in release.kind("Service")[f"narrows-{component}"]["spec"]["ports"])
        assert environment[f"NARROWS_{component.upper()}"] == f"dns:///narrows-{component}:{port}"


def test_ports_are_those_that_the_image_listens_on(chart: Chart) -> None:
    release = chart.render(ALL)
    image = {f"NARROWS_{name}_ADDRESS": "0.0.0.0" for name in ("DATA", "ADMIN", "HEALTH", "RPC", "SIMULATOR")}

    for target in SERVICES:
        addresses = read_settings(image, ["--target", target]).addresses
        ports = {port["name"]: port["containerPort"] for port in release.container(target)["ports"]}
        assert ports.pop("health") == addresses.health.port
        listening = {
            "grpc": int(addresses.rpc.rpartition(":")[2]),
            "admin": addresses.admin.port,
            "http": addresses.simulator.port if target == "simulator" else addresses.data.port,
        }
        assert ports.items() <= listening.items(), target


def test_all_services_speak_mutual_tls_with_the_same_files(chart: Chart) -> None:
    release = chart.render()

    for target in ("edge", "router", "limiter", "cache", "analytics"):
        folder = release.environment(target)["NARROWS_TLS_DIR"]
        mounts = {mount["mountPath"]: mount["name"] for mount in release.container(target)["volumeMounts"]}
        volume = next(each for each in release.pod(target)["spec"]["volumes"] if each["name"] == mounts[folder])
        assert volume["secret"]["secretName"] == "given"


def test_without_tls_nobody_looks_for_certificates(chart: Chart) -> None:
    release = chart.render(tls={"enabled": False})

    assert "NARROWS_TLS_DIR" not in release.environment("edge")
    assert not any("-tls" in name for name in release.kind("Secret"))


def test_the_resource_file_is_what_the_values_say_and_the_router_accepts_it(chart: Chart, tmp_path: Path) -> None:
    values = values_in(VALUES / "production.yaml")
    file = tmp_path / "resources.yaml"

    text = chart.render(values).kind("ConfigMap")["narrows-resources"]["data"]["resources.yaml"]
    file.write_text(text.replace("/etc/narrows/keys/", ""))
    (file.parent / "OPENAI_API_KEY").write_text("secret")

    documents = [document for document in yaml.safe_load_all(text) if document]
    assert documents == values["resources"]
    assert check_resources(file, environment={"CI_TOKEN": "secret"}) == ()


def test_the_router_reads_the_folder_that_the_resources_are_mounted_at(chart: Chart) -> None:
    router = chart.render().container("router")

    mounts = {mount["mountPath"] for mount in router["volumeMounts"]}

    assert any(each.get("value") == "/etc/narrows/resources/resources.yaml" for each in router["env"])
    assert {"/etc/narrows/resources", "/etc/narrows/keys"} <= mounts


def test_what_was_live_last_outlives_a_container_of_the_router(chart: Chart) -> None:
    release = chart.render()

    folder = release.environment("router")["NARROWS_DATA_DIR"]
    mounts = {mount["mountPath"]: mount["name"] for mount in release.container("router")["volumeMounts"]}
    volume = next(each for each in release.pod("router")["spec"]["volumes"] if each["name"] == mounts[folder])

    assert "emptyDir" in volume


def test_no_resources_are_a_file_without_any(chart: Chart) -> None:
    empty: tuple[list[object] | None, ...] = ([], None)

    for resources in empty:
        text = chart.render(resources=resources).kind("ConfigMap")["narrows-resources"]["data"]["resources.yaml"]
        assert [document for document in yaml.safe_load_all(text) if document] == []


def test_limiter_and_cache_share_a_store_or_have_their_own(chart: Chart) -> None:
    shared = chart.render()
    alone = chart.render(redis={"enabled": False})

    for component in ("limiter", "cache"):
        assert "NARROWS_REDIS_URL" in shared.environment(component)
        assert "NARROWS_REDIS_URL" not in alone.environment(component)
    assert "narrows-redis" not in alone.kind("Deployment")
    assert "narrows-redis" not in alone.kind("PersistentVolumeClaim")


def test_the_bundled_redis_forgets_nothing_by_itself(chart: Chart) -> None:
    command = chart.render().container("redis")["command"]

    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"
    assert command[command.index("--appendonly") + 1] == "yes"


@pytest.mark.parametrize(
    ("values", "endpoint", "sampler"),
    [
        ({}, None, None),
        ({"jaeger": {"enabled": True}}, "http://narrows-jaeger:4317", "parentbased_always_on"),
        ({"telemetry": {"otlpEndpoint": "http://c:4317"}}, "http://c:4317", "parentbased_traceidratio"),
        (
            {"telemetry": {"sampler": "traceidratio"}, "jaeger": {"enabled": True}},
            "http://narrows-jaeger:4317",
            "traceidratio",
        ),
    ],
)
def test_traces_go_where_they_can_be_seen(
    chart: Chart, values: dict[str, object], endpoint: str | None, sampler: str | None
) -> None:
    environment = chart.render(values).environment("edge")

    assert environment.get("OTEL_EXPORTER_OTLP_ENDPOINT") == endpoint
    assert environment.get("OTEL_TRACES_SAMPLER") == sampler


def test_what_the_operator_adds_wins_and_stands_once(chart: Chart) -> None:
    added = [{"name": "NARROWS_DRAIN_S", "value": "7"}, {"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]

    container = chart.render(edge={"env": added}).container("edge")

    names = [each["name"] for each in container["env"]]
    assert len(names) == len(set(names))
    assert [each["value"] for each in container["env"] if each["name"] == "NARROWS_DRAIN_S"] == ["7"]
    assert "HTTPS_PROXY" in names


def test_large_numbers_are_written_as_they_are(chart: Chart) -> None:
    release = chart.render(
        edge={"bodyMemory": 1048576.0, "drainS": 7.5}, telemetry={"samplerArgument": 0.001}, jaeger={"enabled": True}
    )

    environment = release.environment("edge")

    assert environment["NARROWS_BODY_MEMORY_BYTES"] == "1048576"
    assert environment["NARROWS_DRAIN_S"] == "7.5"
    assert environment["OTEL_TRACES_SAMPLER_ARG"] == "0.001"


def test_zero_is_not_taken_for_unset(chart: Chart) -> None:
    release = chart.render(edge={"drainS": 0}, telemetry={"samplerArgument": 0}, jaeger={"enabled": True})

    assert release.environment("edge")["NARROWS_DRAIN_S"] == "0"
    assert release.environment("edge")["OTEL_TRACES_SAMPLER_ARG"] == "0"


def test_the_ingress_leads_to_the_edges_only(chart: Chart) -> None:
    ingress = chart.render(
        ingress={"host": "ai.example.com", "tlsSecret": "cert", "className": "nginx", "annotations": {"a": "b"}}
    ).kind("Ingress")["narrows-edge"]

    rule = ingress["spec"]["rules"][0]
    assert rule["host"] == "ai.example.com"
    assert [path["backend"]["service"] for path in rule["http"]["paths"]] == [
        {"name": "narrows-edge", "port": {"name": "http"}}
    ]
    assert ingress["spec"]["tls"] == [{"secretName": "cert", "hosts": ["ai.example.com"]}]
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["metadata"]["annotations"] == {"a": "b"}


def test_the_simulator_is_known_to_the_router_only_where_there_is_one(chart: Chart) -> None:
    assert chart.render(ALL).environment("router")["NARROWS_SIMULATOR"] == "http://narrows-simulator:8790"
    assert "NARROWS_SIMULATOR" not in chart.render().environment("router")


def test_notes_have_a_request_that_can_be_made(chart: Chart) -> None:
    notes = chart.notes(values_in(VALUES / "first-steps.yaml"))

    assert (
        "curl -s http://127.0.0.1:8080/v1/local/main/simulator/chat/completions -H 'Host: gateway.example' "
        "-H 'Content-Type: application/json' "
        '-d \'{"model":"simulator-small","messages":[{"role":"user","content":"Hello"}]}\''
    ) in notes
    assert "svc/narrows-jaeger 16686" in notes


def test_notes_ask_for_the_token_of_a_gateway_that_wants_one(chart: Chart) -> None:
    notes = chart.notes(values_in(VALUES / "production.yaml"))

    assert "/v1/acme/search/openai/chat/completions" in notes
    assert 'cf-aig-authorization: Bearer $GATEWAY_TOKEN"' in notes


def test_notes_warn_of_what_is_left_out(chart: Chart) -> None:
    notes = chart.notes(values_in(VALUES / "bare.yaml"))

    assert "stored provider keys are not sent" in notes
    assert "limits begin anew" in notes
    assert "There is no gateway yet" in notes


def test_a_long_release_name_still_gives_names_that_fit(chart: Chart) -> None:
    with pytest.raises(Refused, match="invalid release name"):
        chart.render_as("n" * 54)

    for manifest in chart.render_as("n" * 53).manifests:
        assert len(manifest["metadata"]["name"]) <= 63
