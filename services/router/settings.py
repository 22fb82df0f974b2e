"""Settings of the router. The values come from `config.py`, which says how each is called and what it defaults to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RouterSettings:
    """How a router runs."""

    resources: str | None = None
    """`NARROWS_RESOURCES`: the resource file; `kubernetes`; None: the built-in gateways."""
    simulator_url: str | None = None
    """`NARROWS_SIMULATOR`: where the simulator is; None: the provider is unknown."""
    are_private_upstreams_allowed: bool | None = None
    """`NARROWS_PRIVATE_UPSTREAMS`; None: on for a file, off for custom resources."""
    folder: Path | None = None
    """The router's own below `NARROWS_DATA_DIR`, for the last good resources; None: they are forgotten at a restart."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """What `valueFrom: {env: ...}` reads. Never shown: secrets stand in it."""
