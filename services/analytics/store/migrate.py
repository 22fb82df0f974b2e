"""
Migrate: bring an engine's tables to the version this program knows.

Runs at every start, also by several replicas at once: each statement says IF NOT EXISTS, and a version noted twice
means the same as once. A schema that is newer than the program is left alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from services.analytics.store.engine import Engine
from services.analytics.store.schema import CREATE_MIGRATIONS, INSERT_MIGRATION, MIGRATIONS, Migration

_log = logging.getLogger(__name__)


async def migrate(engine: Engine, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Apply what is missing; gives the version the tables have then. Raises StatementRefused."""
    await engine.execute(CREATE_MIGRATIONS)
    version = await applied_version(engine)
    known = max((migration.version for migration in migrations), default=0)
    if version > known:
        _log.warning("the log store's tables have version %d, this program knows %d", version, known)
    for migration in migrations:
        if migration.version > version:
            for statement in migration.statements:
                await engine.execute(statement)
            await engine.execute(INSERT_MIGRATION, b"[%d]" % migration.version)
            version = migration.version
    return version


async def applied_version(engine: Engine) -> int:
    """The newest migration that was applied; 0 for none."""
    rows = await engine.fetch("SELECT max(version) FROM migrations", {})
    return int(rows[0][0])
