"""Operators' changes, as the compacted topic `gateway.routing-changed.v1` keeps them: they win over the file."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from contracts.gateway import RoutingChanged
from gateway.routing.config import EntryKind, RoutingConfig, parse_config, section_of
from gateway.routing.errors import Problem, RoutingConfigError
from gateway.routing.secrets import is_allowed

Key = tuple[EntryKind, str]


class Overrides:
    """The newest record of each entry. At one version the first record stands, on every gateway."""

    def __init__(self) -> None:
        self._records: dict[Key, RoutingChanged] = {}

    def apply(self, event: RoutingChanged) -> bool:
        """Whether it says anything new."""
        known = self._records.get((event.kind, event.name))
        if known is not None and known.version >= event.version:
            return False
        self._records[event.kind, event.name] = event
        return True

    def find(self, kind: EntryKind, name: str) -> RoutingChanged | None:
        return self._records.get((kind, name))

    def version(self, kind: EntryKind, name: str) -> int:
        """0 when nobody has changed the entry yet."""
        known = self.find(kind, name)
        return 0 if known is None else known.version

    def effective(self) -> list[RoutingChanged]:
        """Those that say something, oldest first."""
        saying = [one for one in self._records.values() if one.spec is not None or one.enabled is not None]
        return sorted(saying, key=lambda one: (one.time, one.kind, one.name))


def merged(tables: Mapping[str, Any], overrides: Iterable[RoutingChanged]) -> RoutingConfig:
    """The file's tables under the overrides; raises `RoutingConfigError` when that makes no whole."""
    whole = {name: dict(part) if isinstance(part, dict) else part for name, part in tables.items()}
    problems = []
    for override in overrides:
        problems += _put(whole, override)
    if problems:
        raise RoutingConfigError(problems)
    return parse_config(whole)


def merged_as_far_as_possible(
    tables: Mapping[str, Any], overrides: Iterable[RoutingChanged]
) -> tuple[RoutingConfig, list[Problem]]:
    """As `merged`, but an override that does not fit is left out and named; the file itself must be right."""
    waiting, kept = list(overrides), list[RoutingChanged]()
    config = parse_config(tables)
    while True:  # again, because one may need another that came later
        left: list[RoutingChanged] = []
        problems: list[Problem] = []
        for override in waiting:
            try:
                config = merged(tables, [*kept, override])
                kept.append(override)
            except RoutingConfigError as error:
                left.append(override)
                problems.append(Problem(f"override {override.kind}:{override.name}", error.detail))
        if len(left) == len(waiting):
            return config, problems
        waiting = left


def _put(whole: dict[str, Any], override: RoutingChanged) -> list[Problem]:
    place = f"{section_of(override.kind)}.{override.name}"
    section = whole.setdefault(section_of(override.kind), {})
    problems: list[Problem] = []
    if override.spec is not None:
        if override.kind == "provider":
            problems = list(_reaching_too_far(whole, override, place=place))
        section[override.name] = dict(override.spec)
    elif override.name not in section:
        if override.kind != "model":
            return [Problem(place, "there is no such entry to enable or disable")]
        section[override.name] = {}  # a model needs no entry to be sold, so it may be switched without one
    if override.enabled is not None:
        section[override.name] = {**section[override.name], "enabled": override.enabled}
    return problems


def _reaching_too_far(whole: Mapping[str, Any], override: RoutingChanged, *, place: str) -> Iterator[Problem]:
    """An operator may point to the secrets that the file allows, not to the gateway's own or any file there is."""
    spec = override.spec or {}
    allowed = [str(one) for one in whole.get("secret_references", ())]
    credentials = spec.get("credentials")
    for at, credential in enumerate(credentials if isinstance(credentials, list) else ()):
        reference = credential.get("secret") if isinstance(credential, dict) else None
        if isinstance(reference, str) and not is_allowed(reference, allowed):
            reason = f"must be one of the references that the file allows: {', '.join(allowed) or 'none'}"
            yield Problem(f"{place}.credentials.{at}.secret", reason)
    address = str(spec.get("address", ""))
    if "${" in address and address != whole["providers"].get(override.name, {}).get("address"):
        # It would carry whatever the environment holds to whatever host stands beside it.
        yield Problem(f"{place}.address", "only the file may name variables")
