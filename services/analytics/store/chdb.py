"""
chDB: ClickHouse inside this process, for one developer and for small installations.

Its library is loaded when analytics starts and not before, because it costs 170 MB of disk and as much memory. It is
loaded straight from its file: the package around it wants data frames, which nothing here makes, and changes the
process' working directory while it is imported. One thread makes every call, so a slow query holds up the next one and
never the loop.

Hazard: two processes on one folder destroy it; the caller holds the folder's lock. Hazard: a kill between two of
chDB's own writes can lose a batch, which `repair.py` mends before the folder is opened.
"""

from __future__ import annotations

import asyncio
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from services.analytics.store.engine import Row, StatementRefused, escaped
from services.analytics.store.repair import repair_folder
from services.kit.errors import SettingsInvalid

_DATABASE = "narrows"
_decode_row = msgspec.json.Decoder(list[Any]).decode


class ChdbEngine:
    """An `Engine` on a folder. Made by `open_chdb`."""

    def __init__(self, connection: Any, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    async def execute(self, statement: str, payload: bytes = b"") -> None:
        """Run a statement. Raises StatementRefused."""
        text = statement.encode() + b"\n" + payload if payload else statement.encode()
        await self._call(partial(self._query, text, "Null", {}))

    async def fetch(self, query: str, parameters: Mapping[str, str]) -> Sequence[Row]:
        """Rows of a SELECT. Raises StatementRefused."""
        values = {name: escaped(value) for name, value in parameters.items()}
        rows: Sequence[Row] = await self._call(partial(self._rows, query, values))
        return rows

    def _rows(self, query: str, values: Mapping[str, str]) -> Sequence[Row]:
        lines = self._query(query, "JSONCompactEachRow", values)
        return [_decode_row(line) for line in lines.splitlines()]

    def _query(self, text: str | bytes, output: str, values: Mapping[str, str]) -> bytes:
        try:
            answer = self._connection.query(text, output, params=values)
        except RuntimeError as error:
            raise StatementRefused(str(error)) from None
        return bytes(answer.bytes())

    async def _call(self, function: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


@asynccontextmanager
async def open_chdb(folder: Path) -> AsyncIterator[ChdbEngine]:
    """The engine on that folder, closed properly at the end. Raises SettingsInvalid where it cannot be opened."""
    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="chdb")
    loop = asyncio.get_running_loop()
    try:
        connection = await loop.run_in_executor(thread, _connect, folder)
        try:
            yield ChdbEngine(connection, thread)
        finally:
            await loop.run_in_executor(thread, connection.close)
    finally:
        thread.shutdown()


def _connect(relative: Path) -> Any:
    folder = relative.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    repair_folder(folder)
    library = _library()
    library.set_signal_handlers_enabled(False)
    try:
        connection = library.connect(str(folder))
    except RuntimeError as error:
        raise SettingsInvalid(f"NARROWS_DATA_DIR: the log store in {folder} does not open: {error}") from error
    connection.query(f"CREATE DATABASE IF NOT EXISTS {_DATABASE} ENGINE = Atomic", "Null", params={})
    connection.query(f"USE {_DATABASE}", "Null", params={})
    return connection


def _library() -> Any:
    """chDB's extension module, without its package."""
    package = importlib.util.find_spec("chdb")
    if package is None or not package.submodule_search_locations:
        raise SettingsInvalid("chDB is not installed: install chdb-core-lite, or set NARROWS_CLICKHOUSE_URL")
    path = next(Path(package.submodule_search_locations[0]).glob("_chdb*.so"))
    spec = importlib.util.spec_from_file_location("_chdb", path)
    assert spec is not None
    assert isinstance(spec.loader, importlib.machinery.ExtensionFileLoader)
    flags = sys.getdlopenflags()
    # Its own allocator must not be replaced by one that another library brought.
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        library = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(library)
    finally:
        sys.setdlopenflags(flags)
    return library
