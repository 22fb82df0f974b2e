from __future__ import annotations

import msgspec

from services.contracts.router.values import Gateway
from tests.unit.router.judging import Desk, gateway, provider, rules


def test_a_good_document_is_live_beside_a_bad_one() -> None:
    desk = Desk().take(gateway("bad", "{cache: {ttlS: -1}}"), gateway("good"))

    assert desk.names == ["good"]
    assert desk.refusals == ["Gateway local/bad: spec.cache.ttlS: must be at least 0, is -1"]


def test_the_last_good_version_stays_live() -> None:
    desk = Desk().take(gateway(spec="{cache: {ttlS: 300}}"))

    desk.take(gateway(spec="{cache: {ttlS: -1}}"))

    assert desk.gateway().cache.ttl_s == 300
    assert len(desk.refusals) == 1


def test_a_mended_document_takes_effect_and_is_refused_no_longer() -> None:
    desk = Desk().take(gateway(spec="{cache: {ttlS: 300}}")).take(gateway(spec="{cache: {ttlS: -1}}"))

    desk.take(gateway(spec="{cache: {ttlS: 60}}"))

    assert desk.gateway().cache.ttl_s == 60
    assert desk.refusals == []


def test_a_removed_gateway_goes() -> None:
    desk = Desk().take(gateway("main"), gateway("other"))

    desk.take(gateway("other"))

    assert desk.names == ["other"]


def test_text_that_is_no_yaml_changes_nothing() -> None:
    desk = Desk().take(gateway("main"), gateway("other"))

    desk.take("kind: [Gateway\n")

    assert desk.names == ["main", "other"]
    assert len(desk.refusals) == 1


def test_a_piece_that_is_no_yaml_leaves_the_other_documents_alone() -> None:
    desk = Desk().take(gateway("main", "{cache: {ttlS: 1}}"), gateway("other"))

    desk.take(gateway("main", "{cache: {ttlS: 2}}"), "---\nkind: Gateway\nmetadata: {name: other\n")

    assert desk.gateway("main").cache.ttl_s == 2
    assert desk.names == ["main", "other"]
    assert len(desk.refusals) == 1


def test_a_document_that_does_not_say_what_it_is_removes_nothing() -> None:
    desk = Desk().take(gateway("main"))

    desk.take("kind: Gatewya\nmetadata: {namespace: local, name: main}\n", gateway("new"))

    assert desk.names == ["main", "new"]


def test_a_text_without_documents_removes_nothing() -> None:
    desk = Desk().take(gateway("main"))

    desk.take("")

    assert desk.names == ["main"]
    assert desk.refusals == ["resources.yaml: holds no document; to remove everything, leave one gateway"]


def test_of_two_documents_of_one_name_the_first_stands() -> None:
    desk = Desk().take(gateway(spec="{cache: {ttlS: 1}}"), gateway(spec="{cache: {ttlS: 2}}"))

    assert desk.gateway().cache.ttl_s == 1
    assert desk.refusals == ["Gateway local/main: metadata.name: declared again by document 2; document 1 stands"]


def test_a_custom_provider_is_known_to_the_gateways_of_its_namespace() -> None:
    desk = Desk().take(gateway(spec="{allowedProviders: [custom-vllm]}"), provider("vllm"))

    assert desk.refusals == []
    assert desk.gateway().providers["custom-vllm"].bases[0].url == "http://127.0.0.1:8000/v1"


def test_a_custom_provider_is_unknown_in_another_namespace() -> None:
    other = provider("vllm").replace("namespace: local", "namespace: other")

    desk = Desk().take(gateway(spec="{allowedProviders: [custom-vllm]}"), other)

    assert desk.names == []
    assert len(desk.refusals) == 1


def test_a_refused_provider_keeps_its_last_good_version_for_gateways() -> None:
    desk = Desk().take(gateway(spec="{allowedProviders: [custom-vllm]}"), provider("vllm"))

    desk.take(gateway(spec="{allowedProviders: [custom-vllm], cache: {ttlS: 5}}"), provider("vllm", "{}"))

    assert desk.gateway().cache.ttl_s == 5
    assert "custom-vllm" in desk.gateway().providers
    assert desk.refusals == ["Provider local/vllm: spec.baseURL: is required"]


def test_a_gateway_whose_provider_went_stays_as_it_was() -> None:
    desk = Desk().take(gateway(spec="{allowedProviders: [custom-vllm]}"), provider("vllm"))

    desk.take(gateway(spec="{allowedProviders: [custom-vllm]}"))

    assert "custom-vllm" in desk.gateway().providers
    assert len(desk.refusals) == 1


def test_a_host_belongs_to_the_older_gateway_and_the_younger_lives_without_it() -> None:
    desk = Desk().take(
        gateway("b", "{hosts: [AI.example.com]}"), gateway("a", "{hosts: [ai.example.com, a.example.com]}")
    )

    hosts = {
        name: msgspec.json.decode(content, type=Gateway).hosts
        for (_, name), content in desk.release.content.gateways.items()
    }
    assert hosts == {"b": ("ai.example.com",), "a": ("a.example.com",)}
    assert desk.refusals == [
        "Gateway local/a: spec.hosts[0]: ai.example.com belongs to Gateway local/b, which is older"
    ]


def test_a_missing_secret_refuses_its_gateway_only() -> None:
    asking = gateway("asking", "{authentication: {tokens: [{name: ci, valueFrom: {env: NOT_SET}}]}}")

    desk = Desk().take(asking, gateway("other"))

    assert desk.names == ["other"]


def test_custom_resources_may_not_read_the_routers_own_files_and_environment() -> None:
    spec = "{authentication: {tokens: [{name: a, valueFrom: {env: A}}, {name: b, valueFrom: {file: b}}]}}"
    desk = Desk(rules(origin="kubernetes", environment={"A": "a-token"}))

    desk.take(gateway(spec=spec))

    assert desk.names == []
    assert desk.refusals[0].count("SourceNotAllowed") == 2


def test_the_same_documents_in_another_order_are_the_same_version() -> None:
    one = Desk().take(gateway("a"), gateway("b"), provider("x"), provider("y")).release
    other = Desk().take(provider("y"), gateway("b"), provider("x"), gateway("a")).release

    assert one.version == other.version


def test_refusals_are_bounded() -> None:
    desk = Desk().take(*(gateway(f"g{number}", "{cache: []}") for number in range(1_500)))

    assert len(desk.refusals) == 1_001
    assert desk.refusals[-1] == "resources: 500 more are refused"


def test_a_refusal_is_one_line_whatever_was_written() -> None:
    desk = Desk().take(gateway(spec='{retries: {backoff: "a\\nFATAL forged"}, "x\\ny": 1}'))

    assert len(desk.refusals) == 1
    assert "\n" not in desk.refusals[0]
