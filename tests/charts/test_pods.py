"""
Pods: what every one of the chart promises a cluster, whatever the values are.

Hazard: a rule of the restricted Pod Security Standard that one container breaks keeps the whole pod from starting.
"""

from __future__ import annotations

import pytest

from tests.charts.chart import VALUES, Chart, Manifest, Release, values_in

SERVICES = ("edge", "router", "limiter", "cache", "analytics")
SETS = sorted(path.stem for path in VALUES.glob("*.yaml"))


@pytest.fixture(params=SETS)
def release(request: pytest.FixtureRequest, chart: Chart) -> Release:
    return chart.render(values_in(VALUES / f"{request.param}.yaml"))


def test_every_container_keeps_to_the_restricted_standard(release: Release) -> None:
    containers = list(release.containers())

    assert len(containers) >= len(SERVICES)
    for name, pod, container in containers:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["runAsUser"] > 0, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, name


def test_no_pod_gets_a_token_of_the_cluster_or_variables_of_its_neighbours(release: Release) -> None:
    for _, pod, _ in release.containers():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False


def test_every_container_says_how_it_is_asked_and_what_it_needs(release: Release) -> None:
    for name, _, container in release.containers():
        assert "readinessProbe" in container, name
        assert "livenessProbe" in container, name
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, name
        assert "memory" in container["resources"]["limits"], name
        assert not container["image"].endswith(":latest"), name


def test_a_probe_asks_a_port_that_the_container_has(release: Release) -> None:
    for name, _, container in release.containers():
        ports = {port["name"] for port in container["ports"]}
        probes = [probe for key, probe in container.items() if key.endswith("Probe")]
        asked = {probe[how]["port"] for probe in probes for how in ("httpGet", "tcpSocket") if how in probe}

        assert asked <= ports, name


def test_every_mount_is_of_a_whole_volume_of_the_pod(release: Release) -> None:
    for name, pod, container in release.containers():
        volumes = {volume["name"] for volume in pod["volumes"]}

        assert {mount["name"] for mount in container["volumeMounts"]} == volumes, name
        assert not any("subPath" in mount for mount in container["volumeMounts"]), name


def test_every_service_selects_the_pods_of_one_deployment_and_ports_they_have(release: Release) -> None:
    deployments = release.kind("Deployment").values()

    for name, service in release.kind("Service").items():
        chosen = [each for each in deployments if _selects(service, each["spec"]["template"])]
        assert len(chosen) == 1, name
        ports = {port["name"] for port in chosen[0]["spec"]["template"]["spec"]["containers"][0]["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, name


def test_a_deployment_selects_its_own_pods_and_no_others(release: Release) -> None:
    deployments = release.kind("Deployment")

    for name, deployment in deployments.items():
        wanted = deployment["spec"]["selector"]["matchLabels"].items()
        owned = [
            other
            for other, each in deployments.items()
            if wanted <= each["spec"]["template"]["metadata"]["labels"].items()
        ]
        assert owned == [name]


def test_component_folder_label_and_target_have_one_name(chart: Chart) -> None:
    release = chart.render(simulator={"enabled": True})

    for component in (*SERVICES, "simulator"):
        assert release.pod(component)["metadata"]["labels"]["app.kubernetes.io/component"] == component
        assert release.container(component)["args"] == ["run", "--target", component]
        assert (VALUES.parents[2] / "charts/narrows/templates" / component).is_dir()


def test_clients_of_grpc_see_every_replica(chart: Chart) -> None:
    services = chart.render().kind("Service")

    headless = {name for name, service in services.items() if service["spec"].get("clusterIP") == "None"}

    assert headless == {f"narrows-{name}" for name in ("router", "limiter", "cache", "analytics")}


def test_a_rollout_has_the_new_pod_before_the_old_one_goes(chart: Chart) -> None:
    release = chart.render()

    for component in ("edge", "router", "limiter", "cache"):
        strategy = release.deployment(component)["spec"]["strategy"]
        assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
        assert release.container(component)["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"


def test_what_owns_a_volume_is_one_process_at_a_time(chart: Chart) -> None:
    release = chart.render()

    for component in ("analytics", "redis"):
        assert release.deployment(component)["spec"]["replicas"] == 1
        assert release.deployment(component)["spec"]["strategy"] == {"type": "Recreate"}


def test_a_stopping_pod_has_time_for_all_it_has_to_do(chart: Chart) -> None:
    release = chart.render(edge={"drainS": 120})

    for component in SERVICES:
        pod = release.pod(component)["spec"]
        before = pod["containers"][0].get("lifecycle", {"preStop": {"exec": {"command": ["sleep", "0"]}}})
        slept_s = int(before["preStop"]["exec"]["command"][1])
        drain_s = 120 if component == "edge" else 3
        assert pod["terminationGracePeriodSeconds"] >= slept_s + drain_s + 15, component


def test_replicas_are_those_of_the_values_and_none_is_none(chart: Chart) -> None:
    release = chart.render(edge={"replicas": 7}, router={"replicas": 0})

    assert release.deployment("edge")["spec"]["replicas"] == 7
    assert release.deployment("router")["spec"]["replicas"] == 0


def _selects(service: Manifest, pod: Manifest) -> bool:
    return bool(service["spec"]["selector"].items() <= pod["metadata"]["labels"].items())
