"""
References: where a secret comes from. The document names a place; the secret itself never stands in a resource.

A document names exactly one place. Which places are open to it depends on where the document itself came from:
whoever may write a custom resource must not read the router's own files and environment through it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from services.router.resources.scalars import EnvironmentName, FilePath, Sha256


class SecretKeyRef(Struct, frozen=True, forbid_unknown_fields=True):
    """One entry of a Kubernetes Secret in the namespace of the resource."""

    name: Annotated[str, Meta(min_length=1, max_length=253, description="Name of the Secret.")]
    key: Annotated[str, Meta(min_length=1, max_length=253, description="Which entry of it.")]


class KeyReference(Struct, frozen=True, forbid_unknown_fields=True):
    """Where a provider key comes from: exactly one of the fields."""

    env: Annotated[
        EnvironmentName | None,
        Meta(description="An environment variable of the router. In files only."),
    ] = None
    file: Annotated[
        FilePath | None,
        Meta(
            description="A file; a relative path starts at the folder of the resource file; one newline at its end "
            "is dropped; read again when it changes. In files only."
        ),
    ] = None
    secret_key_ref: Annotated[
        SecretKeyRef | None,
        Meta(description="An entry of a Secret in the same namespace. In custom resources only."),
    ] = field(name="secretKeyRef", default=None)


class TokenReference(KeyReference, frozen=True, forbid_unknown_fields=True):
    """Where a gateway token comes from: exactly one of the fields."""

    sha256: Annotated[
        Sha256 | None,
        Meta(description="The SHA-256 of the token as hexadecimal digits, so that the token itself stands nowhere."),
    ] = None
