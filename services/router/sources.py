"""
Sources: where resources come from, and word of every change.

A source gives the whole set of its documents, once at the start and again after each change, each time with a higher
revision. A file is looked at five times a second by its content, because that is what holds for every way of changing
one: an editor's rename, a ConfigMap's symlink, a copy that keeps its old time. A change counts when two looks in a row
agree, so that a half-written file is not taken for the whole.

A revision is the time of the reading, so it also rises over a restart and an edge can tell which of two is older.
Hazard: after a clock was set back by more than the pause, edges refuse what is newer until the time has passed again.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from services.contracts.router.values import Refusal
from services.kit.clock import Clock
from services.kit.errors import SettingsInvalid
from services.router.resources.documents import TEXT_BYTES_MAX, Reading, read_documents
from services.router.resources.scope import Origin
from services.router.secrets import FileSecrets, Secrets

LOOK_EVERY_S = 0.2

BUILT_IN = """\
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: main}
spec: {}
---
apiVersion: narrows.dev/v1alpha1
kind: Gateway
metadata: {namespace: local, name: limited}
spec:
  limits:
    - {name: five-per-minute, unit: requests, limit: 5, windowS: 60, technique: fixed}
"""
"""What holds without a resource file: a plain gateway, and one to see a limit with."""


class DocumentSet(NamedTuple):
    """All documents of a source at one moment."""

    revision: int
    reading: Reading


class Source(Protocol):
    """Where resources come from."""

    @property
    def name(self) -> str:
        """Key of its revision in a snapshot: `file`, `built-in`."""
        ...

    @property
    def origin(self) -> Origin:
        """What its documents may refer to."""
        ...

    @property
    def secrets(self) -> Secrets:
        """Reads what its documents refer to."""
        ...

    async def next(self) -> DocumentSet:
        """The documents now, at the first call; after that, once they differ from the last ones."""
        ...


def open_source(resources: str | None, *, environment: Mapping[str, str], clock: Clock) -> Source:
    """The source that `NARROWS_RESOURCES` names. Raises SettingsInvalid if there is none."""
    if not resources:
        return BuiltInSource(clock=clock)
    if resources == "kubernetes":
        raise SettingsInvalid("NARROWS_RESOURCES: kubernetes is not built yet; name a resource file")
    path = Path(resources)
    if not path.is_file():
        raise SettingsInvalid(f"NARROWS_RESOURCES: {resources} is no file that can be read")
    return FileSource(path, environment=environment, clock=clock)


class _Revisions:
    """Milliseconds since 1970, and never the same twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> int:
        self._last = max(self._last + 1, int(self._clock.wall_s() * 1000))
        return self._last


class BuiltInSource:
    """The gateways `local/main` and `local/limited`; never changes."""

    name = "built-in"
    origin: Origin = "file"

    def __init__(self, *, clock: Clock) -> None:
        self.secrets: Secrets = FileSecrets(environment={}, folder=Path())
        self._revisions = _Revisions(clock)
        self._is_told = False

    async def next(self) -> DocumentSet:
        """Once; then it waits for a change that does not come."""
        if self._is_told:
            await asyncio.Event().wait()
        self._is_told = True
        return DocumentSet(self._revisions.next(), read_documents(BUILT_IN, title="built-in resources"))


class FileSource:
    """A file of YAML documents, and the files that its secrets come from."""

    name = "file"
    origin: Origin = "file"

    def __init__(
        self, path: Path, *, environment: Mapping[str, str], clock: Clock, look_every_s: float = LOOK_EVERY_S
    ) -> None:
        self._path = path
        self._secrets = FileSecrets(environment=environment, folder=path.parent)
        self._revisions = _Revisions(clock)
        self._look_every_s = look_every_s
        self._taken: bytes | None = None

    @property
    def secrets(self) -> Secrets:
        """Paths in the file are relative to its folder."""
        return self._secrets

    async def next(self) -> DocumentSet:
        """The file's documents; waits for a change after the first time."""
        if self._taken is not None:
            await self._changed()
        return await asyncio.to_thread(self._take)

    async def _changed(self) -> None:
        """Until the file, or one that a secret was read from, is another than was taken, and stays so for one look."""
        before: object = None
        while True:
            await asyncio.sleep(self._look_every_s)
            now = await asyncio.to_thread(self._look)
            if now == before and now != (self._taken, self._secrets.taken()):
                return
            before = now

    def _take(self) -> DocumentSet:
        content = _content(self._path)
        self._taken = _fingerprint(content)
        self._secrets.forget()
        return DocumentSet(self._revisions.next(), _read(content, str(self._path)))

    def _look(self) -> tuple[bytes, Mapping[Path, bytes]]:
        return _fingerprint(_content(self._path)), self._secrets.look()


def _content(path: Path) -> bytes | str:
    """The file's bytes, or why it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(TEXT_BYTES_MAX + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def read_text(path: Path) -> str | Refusal:
    """The text of a resource file, or the refusal of the whole."""
    return _text(_content(path), str(path))


def _text(content: bytes | str, title: str) -> str | Refusal:
    if isinstance(content, str):
        return Refusal(title, content)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Refusal(title, "is not UTF-8 text")


def _read(content: bytes | str, title: str) -> Reading:
    text = _text(content, title)
    if isinstance(text, Refusal):
        return Reading((), (text,), is_whole=False)
    return read_documents(text, title=title)


def _fingerprint(content: bytes | str) -> bytes:
    return hashlib.sha256(content if isinstance(content, bytes) else content.encode()).digest()
