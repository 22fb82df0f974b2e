from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest

from services.contracts.router.values import Refusal, StoredKey, StoredKeys
from services.edge.configuration.disk_copy import DiskCopy
from services.edge.configuration.live import Live, updated
from services.edge.configuration.sealing import Sealer
from services.kit.secret import Secret
from tests.unit.edge.configuration.streams import gateway, release, whole

KEY = StoredKey("local", "main", "openai", "default", "sk-canary")
RAW_KEY = base64.b64encode(bytes(range(32))).decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "edge" / "snapshot"


def copy_at(path: Path, key: str | None = RAW_KEY) -> DiskCopy:
    return DiskCopy(path, sealer=None if key is None else Sealer(Secret(key)))


def some_live() -> Live:
    return updated(None, whole(gateway("main", ttl_s=5), gateway("other"), revision=7), StoredKeys("", (KEY,)))


@pytest.mark.parametrize("key", [RAW_KEY, "correct horse battery staple"])
def test_a_sealed_copy_comes_back_whole_with_its_keys(path: Path, key: str) -> None:
    copy_at(path, key).write(some_live())

    assert copy_at(path, key).read() == some_live()


def test_a_sealed_copy_shows_nothing(path: Path) -> None:
    copy_at(path).write(some_live())

    content = path.read_bytes()
    assert content.startswith(b"narrows-snapshot 1 sealed\n")
    assert b"sk-canary" not in content
    assert b"local" not in content


def test_without_the_setting_stored_keys_are_left_out(path: Path) -> None:
    copy_at(path, None).write(some_live())

    live = copy_at(path, None).read()

    assert live is not None
    assert live.keys == {}
    assert live.snapshot == some_live().snapshot
    assert b"sk-canary" not in path.read_bytes()


def test_a_plain_copy_is_read_by_an_edge_that_seals(path: Path) -> None:
    copy_at(path, None).write(some_live())

    live = copy_at(path).read()

    assert live is not None
    assert live.version == some_live().version


def test_two_seals_of_the_same_are_different(path: Path) -> None:
    copy = copy_at(path)
    copy.write(some_live())
    first = path.read_bytes()

    copy.write(some_live())

    assert path.read_bytes() != first


def test_a_copy_is_for_its_owner_only_and_leaves_nothing_beside_it(path: Path) -> None:
    copy_at(path).write(some_live())

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["snapshot"]


def test_without_a_copy_there_is_nothing(path: Path) -> None:
    assert copy_at(path).read() is None


@pytest.mark.parametrize("key", [RAW_KEY, None], ids=["sealed", "plain"])
@pytest.mark.parametrize("position", [-1, 40, 100, 700])
def test_a_damaged_copy_is_set_aside_with_a_warning(
    path: Path, key: str | None, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    copy_at(path, key).write(some_live())
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)

    assert copy_at(path, key).read() is None

    assert [file.name for file in path.parent.iterdir()] == ["snapshot.damaged"]
    assert "is damaged and set aside as snapshot.damaged" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"hello", b"narrows-snapshot 1 plain\n", b"narrows-snapshot 1 sealed\nx"]
)
def test_a_copy_that_was_cut_off_is_set_aside(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(content)

    assert copy_at(path).read() is None
    assert path.with_name("snapshot.damaged").exists()


def test_a_copy_sealed_with_another_key_is_set_aside(path: Path) -> None:
    copy_at(path).write(some_live())

    assert copy_at(path, base64.b64encode(bytes(32)).decode()).read() is None
    assert path.with_name("snapshot.damaged").exists()


def test_a_sealed_copy_without_the_key_is_left_where_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    copy_at(path).write(some_live())

    assert copy_at(path, None).read() is None
    assert path.exists()
    assert "NARROWS_SNAPSHOT_KEY is not set" in caplog.text


def test_a_copy_of_a_later_format_is_left_where_it_is(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"narrows-snapshot 2 plain\nwhatever")

    assert copy_at(path).read() is None
    assert path.exists()
    assert "a format that this version does not know" in caplog.text


def test_revisions_and_refusals_are_kept(path: Path) -> None:
    published = release(gateway("main"), revision=9, refusals=(Refusal("Gateway local/bad", "spec: no"),))
    update = whole(gateway("main"), revision=9)
    live = updated(None, update, None)
    assert live.version == published.version

    copy_at(path).write(live)

    read = copy_at(path).read()
    assert read is not None
    assert read.snapshot.revisions == {"file": 9}
