"""The ways in which money comes in; each is dark until the operator opens it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Path = Literal["checkout", "top_up", "auto_top_up", "overage", "pay_per_use"]
PATHS: Final[tuple[Path, ...]] = get_args(Path)
EVERYONE: Final = "*"
"""The scope of a flag that holds for all accounts."""


@dataclass(frozen=True, slots=True)
class OpenPaths:
    """What is open for one account: its own flag says most, then the one for all, then the configuration."""

    configured: frozenset[str]
    for_all: Mapping[str, bool]
    own: Mapping[str, bool]

    def allows(self, path: Path) -> bool:
        if path in self.own:
            return self.own[path]
        return self.for_all.get(path, path in self.configured)

    def names(self) -> tuple[str, ...]:
        return tuple(path for path in PATHS if self.allows(path))


def configured_paths(words: Iterable[str]) -> frozenset[str]:
    """The paths that a setting names; raises ValueError for one that does not exist."""
    named = frozenset(word.strip() for word in words if word.strip())
    if unknown := sorted(named - set(PATHS)):
        raise ValueError(f"{', '.join(unknown)}: no such path; there are {', '.join(PATHS)}")
    return named
