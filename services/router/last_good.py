"""
Last good: the documents that were live, for a start at which some of them are wrong.

A bad resource leaves its last good version live; that must hold over a restart of the router too, or a restart in the
wrong moment would take gateways down that ran until then. So what is live is kept as it was written, in a file of the
router's own folder. It holds references to secrets and no secret; they are read again. What the resource file does not
declare any more is not brought back: the copy is only what a refused document falls back to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from services.kit.files import write_atomically
from services.router.resources.documents import Document

FORMAT_VERSION = 1

_log = logging.getLogger(__name__)


class _Stored(msgspec.Struct, frozen=True):
    format: int
    source: str
    documents: tuple[Document, ...]


class LastGood:
    """One file. `source` names where its documents came from: those of another one are not used."""

    def __init__(self, path: Path, *, source: str) -> None:
        self._path = path
        self._source = source
        self._written: tuple[Document, ...] | None = None

    def read(self) -> tuple[Document, ...]:
        """What was live last; nothing where there is no copy that can be used."""
        try:
            stored = msgspec.json.decode(self._path.read_bytes(), type=_Stored)
        except FileNotFoundError:
            return ()
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("the copy of the last good resources cannot be used: %s", error)
            return ()
        is_ours = stored.format == FORMAT_VERSION and stored.source == self._source
        return stored.documents if is_ours else ()

    def write(self, documents: Iterable[Document]) -> None:
        """Replace the copy, unless it holds the same. A disk that does not take it stops nothing."""
        live = tuple(documents)
        if live == self._written:
            return
        try:
            write_atomically(self._path, msgspec.json.encode(_Stored(FORMAT_VERSION, self._source, live)))
            self._written = live
        except OSError as error:
            _log.warning("the last good resources could not be copied to disk: %s", error.strerror)
