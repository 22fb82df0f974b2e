"""Models: the list of what the simulator has, and one of them."""

from __future__ import annotations

from typing import Any, Final

from services.dialects.catalogue import SIMULATOR_PRICES
from services.simulator.answers.answer import Answer, whole

_CREATED: Final = 1_750_000_000


def model_list() -> Answer:
    """`GET models`."""
    return whole({"object": "list", "data": [_model(name) for name in SIMULATOR_PRICES]})


def model(name: str) -> Answer | None:
    """`GET models/{name}`; None: there is no such model."""
    return whole(_model(name)) if name in SIMULATOR_PRICES else None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _CREATED, "owned_by": "narrows"}
