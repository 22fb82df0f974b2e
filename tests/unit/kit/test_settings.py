from __future__ import annotations

from dataclasses import dataclass

import pytest

from services.kit import kinds
from services.kit.errors import SettingsInvalid
from services.kit.kinds import Address
from services.kit.manual import document, help_text
from services.kit.secret import Secret
from services.kit.settings import load, setting


@dataclass(frozen=True, slots=True)
class Ports:
    """Where it listens."""

    data: Address = setting("NARROWS_DATA_ADDRESS", kinds.address(), Address("127.0.0.1", 8787), meaning="applications")


@dataclass(frozen=True, slots=True)
class Few:
    """A few settings."""

    is_loud: bool = setting("NARROWS_LOUD", kinds.boolean(), False, meaning="speak up")
    token: Secret | None = setting("NARROWS_TOKEN", kinds.secret(), None, meaning="who may", is_secret=True)
    url: str | None = setting("NARROWS_URL", kinds.url("redis"), None, meaning="store", is_secret=True)
    proxy: str | None = setting("HTTPS_PROXY", kinds.proxy(), None, meaning="way out", also=("https_proxy",))
    ports: Ports = Ports()


def test_a_setting_has_its_default_until_something_is_said() -> None:
    assert load(Few(), {}, []) == Few()


def test_a_variable_sets_it_and_a_flag_wins() -> None:
    environ = {"NARROWS_DATA_ADDRESS": "0.0.0.0:1"}

    assert load(Few(), environ, []).ports.data == Address("0.0.0.0", 1)
    assert load(Few(), environ, ["--data-address", "0.0.0.0:2"]).ports.data == Address("0.0.0.0", 2)
    assert load(Few(), environ, ["--data-address=0.0.0.0:3"]).ports.data == Address("0.0.0.0", 3)


def test_a_flag_that_is_on_or_off_stands_alone() -> None:
    assert load(Few(), {}, ["--loud", "--data-address", ":1"]).is_loud


def test_an_empty_variable_is_an_unset_one() -> None:
    assert load(Few(), {"NARROWS_LOUD": ""}, []) == Few()


def test_a_variable_known_by_two_names_is_read_by_either() -> None:
    assert load(Few(), {"https_proxy": "http://p:1"}, []).proxy == "http://p:1"
    assert load(Few(), {"HTTPS_PROXY": "http://p:1"}, []).proxy == "http://p:1"


def test_everything_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load(Few(), {"NARROWS_LOUD": "x", "NARROWS_DATA_ADRESS": "y"}, ["--tokn", "z", "--data-address"])

    assert caught.value.message.splitlines() == [
        "--tokn: no such setting; did you mean --token?",
        "--data-address: needs a value (HOST:PORT)",
        "NARROWS_DATA_ADRESS: no such setting; did you mean NARROWS_DATA_ADDRESS?",
        "NARROWS_LOUD: must be on or off, is 'x'",
    ]


def test_a_flag_given_twice_is_refused() -> None:
    with pytest.raises(SettingsInvalid, match="--loud: given twice"):
        load(Few(), {}, ["--loud", "--loud"])


def test_a_name_that_resembles_nothing_points_to_the_list() -> None:
    with pytest.raises(SettingsInvalid, match="zzzzz: no such setting; --help lists all"):
        load(Few(), {}, ["zzzzz"])


def test_variables_that_kubernetes_adds_are_passed_over() -> None:
    environ = {
        "NARROWS_ROUTER_SERVICE_HOST": "10.0.0.1",
        "NARROWS_ROUTER_SERVICE_PORT_GRPC": "9001",
        "NARROWS_ROUTER_PORT": "tcp://10.0.0.1:9001",
        "NARROWS_ROUTER_PORT_9001_TCP_ADDR": "10.0.0.1",
    }

    assert load(Few(), environ, []) == Few()


def test_a_secret_shows_neither_in_errors_nor_in_the_settings() -> None:
    loaded = load(Few(), {"NARROWS_TOKEN": "hunter2", "NARROWS_URL": "redis://:hunter2@store"}, [])
    with pytest.raises(SettingsInvalid) as caught:
        load(Few(), {"NARROWS_URL": "http://:hunter2@store"}, [])

    assert "hunter2" not in repr(loaded)
    assert caught.value.message == "NARROWS_URL: must be a URL that begins with redis://"


def test_help_lists_every_setting_with_variable_and_default() -> None:
    text = help_text(Few())

    assert "--data-address HOST:PORT\n      applications [NARROWS_DATA_ADDRESS; default 127.0.0.1:8787]" in text
    assert "who may [NARROWS_TOKEN; unset]" in text


def test_the_document_has_a_table_for_each_group() -> None:
    text = document(Few())

    assert "## Ports\n\nWhere it listens.\n" in text
    assert "| `NARROWS_LOUD` | `--loud` | `on\\|off` | off | speak up |" in text
