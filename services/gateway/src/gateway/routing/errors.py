"""What can be wrong with a configuration, place by place."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kit.errors import ConflictError, InvalidError, NotFoundError


class Problem(NamedTuple):
    """One wrong place: which field, and why. Neither holds what was written there: it could be a secret."""

    field: str
    reason: str

    def __str__(self) -> str:
        return f"{self.field}: {self.reason}"


class RoutingConfigError(InvalidError):
    """The configuration cannot be used; `problems` names each field and the reason."""

    code = "invalid_routing"

    def __init__(self, problems: Sequence[Problem]) -> None:
        named = "; ".join(str(problem) for problem in problems[:5])
        super().__init__(named, extra={"errors": [problem._asdict() for problem in problems]})
        self.problems = tuple(problems)


class UnknownEntryError(NotFoundError):
    code = "unknown_routing_entry"


class VersionMismatchError(ConflictError):
    """Somebody changed the entry in between; `version` is what it has now."""

    code = "routing_version_mismatch"

    def __init__(self, expected: int, found: int) -> None:
        detail = f"The entry is at version {found}, not {expected}; read it again."
        super().__init__(detail, field="expected_version", extra={"version": found})


def problems_of(errors: Iterable[Mapping[str, Any]], *, under: str = "") -> list[Problem]:
    """Pydantic's findings as places in the file."""
    return [Problem(_place(error["loc"], under=under), _reason(error)) for error in errors]


def _place(location: Sequence[str | int], *, under: str) -> str:
    return ".".join([*filter(None, [under]), *map(str, location)]) or "the file"


def _reason(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "is not a known setting"
    return str(error["msg"]).removeprefix("Value error, ")
