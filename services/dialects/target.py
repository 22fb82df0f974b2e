"""
Targets: which base url a path goes to, and which octets are appended to it.

Pure and quick: a provider with one plain base costs a prefix check, no regular expression. The path comes as the
client sent it, without its query and without the slash before it; what is returned is cut from it and never
decoded, so every octet arrives as it left. Hazard: parts of a host name may come from the path (a region, a
resource); they pass only as `[a-z0-9-]{1,63}`, so that no client ever chooses the host.
"""

from __future__ import annotations

import re

import msgspec

from services.contracts.router.values import Base, Provider
from services.kit.errors import Malformed, UnknownProvider

_HOST_PART = re.compile(r"[a-z0-9-]{1,63}")
_ACCOUNT = re.compile(r"[a-z0-9_-]{1,64}")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
_SEPARATOR = re.compile(r"/|\\|%2f|%5c", re.IGNORECASE)


def resolve_target(provider: Provider, path: str, *, account: str = "") -> tuple[str, str]:
    """
    The base url and the rest of the path that is appended to it (with one slash between, if it is not empty).

    Raises UnknownProvider when the provider has no base url yet, Malformed when the path names no target.
    """
    for base in provider.bases:
        if not base.pattern and "{" not in base.url:
            return base.url, _without_prefix(base, path)
        target = _templated_target(base, path, account)
        if target is not None:
            return target
    raise _no_base(provider)


def has_dot_segment(path: str) -> bool:
    """Does a segment of the path mean this or the parent folder, plainly or encoded (also between encoded slashes)?"""
    if "/." not in path and "%" not in path and "\\" not in path and not path.startswith("."):
        return False
    segments = _SEPARATOR.split(path)
    return any(segment.lower().replace("%2e", ".") in (".", "..") for segment in segments)


def with_base_url(provider: Provider, url: str) -> Provider:
    """
    The provider at another address: the path is still cut as before, then appended to `url`.

    `url` may use the placeholders that the provider's own bases have, as `{deployment}`.
    """
    url = url.rstrip("/")
    bases = tuple(Base(url=url, pattern=base.pattern, strip=base.strip) for base in provider.bases)
    return msgspec.structs.replace(provider, bases=bases or (Base(url=url),))


def placeholders(url: str) -> tuple[str, ...]:
    """The names that a base url wants filled."""
    return tuple(_PLACEHOLDER.findall(url))


def _without_prefix(base: Base, path: str) -> str:
    for prefix in base.strip:
        if path.startswith(prefix):
            return path[len(prefix) :]
    return path


def _templated_target(base: Base, path: str, account: str) -> tuple[str, str] | None:
    """As `resolve_target` for one base; None when the path is not of its shape."""
    path = _without_prefix(base, path)
    parts = {"account": account, "rest": path}
    if base.pattern:
        match = re.match(base.pattern, path, re.DOTALL)
        if match is None:
            return None
        parts.update({name: part for name, part in match.groupdict().items() if part is not None})
    rest = parts.pop("rest")
    return _filled(base.url, parts), rest


def _filled(url: str, parts: dict[str, str]) -> str:
    """The url with its placeholders filled; those in the host only with what a host name may hold."""
    scheme, _, after_scheme = url.partition("://")
    host, slash, base_path = after_scheme.partition("/")
    for name in _PLACEHOLDER.findall(host):
        host = host.replace(f"{{{name}}}", _host_part(name, parts.get(name, "")))
    for name in _PLACEHOLDER.findall(base_path):
        part = parts.get(name, "")
        if name == "account" and not _ACCOUNT.fullmatch(part):
            raise Malformed("the provider's base URL needs the account, which is missing or malformed")
        base_path = base_path.replace(f"{{{name}}}", part)
    return f"{scheme}://{host}{slash}{base_path}"


def _host_part(name: str, part: str) -> str:
    if not _HOST_PART.fullmatch(part):
        raise Malformed(f"the path's {name} must match [a-z0-9-]{{1,63}}: it becomes part of a host name")
    return part


def _no_base(provider: Provider) -> UnknownProvider | Malformed:
    """Why no base took the path."""
    if not provider.bases:
        return UnknownProvider(f"provider {provider.name} has no base URL: set its baseURL in the Gateway")
    names = [name for base in provider.bases for name in re.compile(base.pattern).groupindex if name != "rest"]
    wanted = " and ".join(dict.fromkeys(names))
    return Malformed(f"the path of provider {provider.name} must name its {wanted or 'target'}")
