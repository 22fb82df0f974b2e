"""Secrets: each is in one Secret, made once or the operator's own, and nowhere else."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import yaml
from cryptography import x509

from tests.charts.chart import VALUES, Chart, values_in

KEY = "sk-do-not-show-me"
URL = "redis://:do-not-show-me@store.example:6379/0"


def revealed(secret: dict[str, Any], key: str) -> str:
    return base64.b64decode(secret["data"][key]).decode()


def test_provider_keys_are_in_their_secret_and_nowhere_else(chart: Chart) -> None:
    release = chart.render(providerKeys={"values": {"OPENAI_API_KEY": KEY}})

    secrets = release.kind("Secret")
    others = [each for each in release.manifests if each["kind"] != "Secret"]
    assert revealed(secrets["narrows-provider-keys"], "OPENAI_API_KEY") == KEY
    assert KEY not in yaml.safe_dump(others)


def test_only_the_router_sees_provider_keys(chart: Chart) -> None:
    release = chart.render(providerKeys={"values": {"OPENAI_API_KEY": KEY}}, simulator={"enabled": True})

    having = {name for name, pod, _ in release.containers() if "narrows-provider-keys" in yaml.safe_dump(pod)}

    assert having == {"narrows-router"}


def test_other_provider_keys_start_the_router_anew(chart: Chart) -> None:
    annotations = [
        chart.render(providerKeys={"values": {"OPENAI_API_KEY": key}}).pod("router")["metadata"]["annotations"]
        for key in (KEY, KEY, "another")
    ]

    assert annotations[0] == annotations[1] != annotations[2]


def test_the_url_of_another_redis_is_a_secret(chart: Chart) -> None:
    release = chart.render(redis={"enabled": False, "externalURL": URL})

    others = [each for each in release.manifests if each["kind"] != "Secret"]
    assert revealed(release.kind("Secret")["narrows-redis"], "url") == URL
    assert "do-not-show-me" not in yaml.safe_dump(others)
    assert release.environment("limiter")["NARROWS_REDIS_URL"] == {
        "secretKeyRef": {"name": "narrows-redis", "key": "url"}
    }


def test_the_bundled_redis_has_a_password_that_its_clients_know(chart: Chart) -> None:
    release = chart.render()

    secret = release.kind("Secret")["narrows-redis"]
    assert revealed(secret, "url") == f"redis://:{revealed(secret, 'password')}@narrows-redis:6379/0"
    assert len(revealed(secret, "password")) >= 32
    assert release.environment("redis")["REDISCLI_AUTH"]["secretKeyRef"]["name"] == "narrows-redis"


def test_secrets_of_the_operator_take_the_place_of_all_that_the_chart_makes(chart: Chart) -> None:
    release = chart.render(values_in(VALUES / "production.yaml"))

    assert release.kind("Secret") == {}
    assert release.environment("analytics")["NARROWS_ADMIN_TOKEN"]["secretKeyRef"]["name"] == "narrows-admin-token"
    assert release.environment("edge")["NARROWS_SNAPSHOT_KEY"]["secretKeyRef"]["name"] == "narrows-seal"
    assert release.environment("cache")["NARROWS_REDIS_URL"]["secretKeyRef"]["name"] == "narrows-redis-url"
    assert release.container("router")["envFrom"] == [{"secretRef": {"name": "narrows-keys", "optional": True}}]


@pytest.mark.parametrize("key", ["tls.crt", "tls.key", "ca.crt"])
def test_the_chart_makes_the_three_files_of_mutual_tls(chart: Chart, key: str) -> None:
    secret = chart.render(tls={}).kind("Secret")["narrows-tls"]

    assert secret["type"] == "kubernetes.io/tls"
    assert revealed(secret, key).startswith("-----BEGIN")


def test_the_certificate_names_every_service_as_the_edge_calls_it(chart: Chart) -> None:
    release = chart.render(tls={})
    certificate = x509.load_pem_x509_certificate(revealed(release.kind("Secret")["narrows-tls"], "tls.crt").encode())
    authority = x509.load_pem_x509_certificate(revealed(release.kind("Secret")["narrows-tls"], "ca.crt").encode())

    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usages = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value

    certificate.verify_directly_issued_by(authority)
    for component in ("router", "limiter", "cache", "analytics"):
        called = release.environment("edge")[f"NARROWS_{component.upper()}"].removeprefix("dns:///").partition(":")[0]
        assert {called, f"{called}.narrows.svc"} <= set(names.get_values_for_type(x509.DNSName))
    assert {usage.dotted_string for usage in usages} == {"1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"}


def test_the_snapshot_key_is_32_bytes_as_the_edge_wants_them(chart: Chart) -> None:
    secret = chart.render().kind("Secret")["narrows-snapshot"]

    assert len(base64.b64decode(revealed(secret, "key"), validate=True)) == 32
