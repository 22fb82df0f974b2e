"""
Search: places that were looked into, and what was found there.

A place in which nothing is found proves nothing unless something was there. So beside the canaries, which must be
nowhere, markers are sought that the place must hold; a search that does not see them did not look.
"""

from __future__ import annotations

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tests.secrets.canaries import Canary


class Search:
    """What was found where. `markers`: for each place, what must be seen in it."""

    def __init__(self, canaries: Iterable[Canary], markers: Mapping[str, str]) -> None:
        self._canaries = tuple(canaries)
        self._markers = {place: marker.encode() for place, marker in markers.items()}
        self._found: defaultdict[str, set[str]] = defaultdict(set)
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def look(self, place: str, content: bytes | str, *, at: str = "") -> None:
        """Into this content, which is part of that place. `at` says where in it."""
        octets = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
        found = {f"{canary.name}{f' ({at})' if at else ''}" for canary in self._canaries if canary.is_in(octets)}
        with self._lock:
            self._found[place] |= found
            if self._markers[place] in octets:
                self._seen.add(place)

    def look_into_files(self, place: str, folder: Path, *, without: Callable[[Path], bool] = lambda _: False) -> None:
        """Every file below the folder, its name included. Files that go away meanwhile are passed over."""
        for path in sorted(folder.rglob("*")):
            try:
                content = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
            except FileNotFoundError:
                continue
            if not without(path):
                self.look(place, str(path.relative_to(folder)).encode() + b"\n" + content, at=path.name)

    def found(self, place: str) -> list[str]:
        """The canaries that stood there."""
        return sorted(self._found[place])

    def has_seen(self, place: str) -> bool:
        """Whether the place's marker was there, so that canaries would have been seen, too."""
        return place in self._seen


class Watch:
    """Looks into a folder again and again, for files that live only a moment. A context manager."""

    def __init__(self, search: Search, place: str, folder: Path, *, every_s: float = 0.03) -> None:
        self._look = lambda: search.look_into_files(place, folder)
        self._every_s = every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._is_over.wait(self._every_s):
            with contextlib.suppress(FileNotFoundError):  # a folder that went away meanwhile
                self._look()

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join(10)
