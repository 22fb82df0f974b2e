"""
Repair: what a kill in the middle of an insert leaves behind in chDB's folder.

ClickHouse notes the token of an inserted block in the table's deduplication log first and publishes the block's part
(a directory) by renaming it second. A process killed between the two has a token without a part: the batch would be
taken for a repeated one when it comes again, and be lost. So before the folder is opened, tokens are struck out
whose part is neither there nor merged into one that is.

Killed while it writes the token, it leaves a line without its end. ClickHouse would go on in the middle of that line,
and forget it and all tokens behind it the next time it reads them; so such a line is struck out as well.

Hazard: this reads files that belong to ClickHouse. A whole line that does not look as expected is left as it is.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from services.kit.files import write_atomically

_PART = re.compile(r"(?P<partition>[^_]+)_(?P<first>\d+)_(?P<last>\d+)_\d+(?:_\d+)?")
_ADDED, _DROPPED = "1", "2"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PartName:
    """Blocks `first` to `last` of a partition."""

    partition: str
    first: int
    last: int

    def covers(self, other: PartName) -> bool:
        """Every block of the other, in the same partition, is in this one."""
        return self.first <= other.first and other.last <= self.last


def repair_folder(folder: Path) -> int:
    """Mend every table of a chDB folder that no process has open; gives the number of tokens struck out."""
    return sum(_repair_table(logs.parent) for logs in folder.glob("store/*/*/deduplication_logs"))


def struck_out(lines: Iterable[str], parts: Iterable[PartName]) -> list[str]:
    """The lines of a deduplication log without those of parts that were never published, and without a torn one."""
    known = [line for line in lines if line.endswith("\n")]
    there: defaultdict[str, list[PartName]] = defaultdict(list)
    for part in parts:
        there[part.partition].append(part)
    ended = {name for operation, name in map(_operation, known) if operation == _DROPPED}
    return [line for line in known if not _is_orphan(line, there, ended)]


def part_name(text: str) -> PartName | None:
    """None for a directory that is no published part."""
    match = _PART.fullmatch(text)
    if match is None or text.startswith(("tmp_", "delete_tmp_")):
        return None
    return PartName(match["partition"], int(match["first"]), int(match["last"]))


def _is_orphan(line: str, there: Mapping[str, Sequence[PartName]], ended: set[str]) -> bool:
    operation, name = _operation(line)
    part = part_name(name)
    if operation != _ADDED or part is None or name in ended:
        return False
    return not any(each.covers(part) for each in there.get(part.partition, ()))


def _operation(line: str) -> tuple[str, str]:
    operation, _, rest = line.partition("\t")
    return operation, rest.partition("\t")[0]


def _repair_table(table: Path) -> int:
    parts = [part for entry in table.iterdir() if entry.is_dir() and (part := part_name(entry.name)) is not None]
    struck_count = 0
    for path in (table / "deduplication_logs").glob("*.txt"):
        lines = [line.decode(errors="surrogateescape") for line in path.read_bytes().splitlines(keepends=True)]
        left = struck_out(lines, parts)
        if len(left) < len(lines):
            struck_count += len(lines) - len(left)
            write_atomically(path, "".join(left).encode(errors="surrogateescape"))
            _log.warning(
                "an insert was cut off before its rows were there; its batch will be taken when it comes again"
            )
    return struck_count
