"""When an account runs low (money.md 25)."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import orjson

from contracts.ledger import ThresholdLevel
from contracts.money import Unit

SHARES: Final[dict[ThresholdLevel, int]] = {"percent_25": 25, "percent_10": 10, "empty": 1}
"""A level is passed when no more than its percentage of the base is left."""
_FIRST: Final = max(SHARES.values())


class Crossing(NamedTuple):
    """A level that was passed: `key` names it among the account's, `at` is the customer's own figure."""

    level: ThresholdLevel
    key: str
    unit: Unit
    base: int
    available: int
    at: str | None = None


@dataclass(frozen=True, slots=True)
class Levels:
    """What a customer wants to hear of; days and spikes are looked at by the clock, the rest at each change."""

    percent: tuple[int, ...] = ()
    credits_nano: tuple[int, ...] = ()
    days_left: tuple[int, ...] = ()
    spend_spike_percent: int | None = None

    def encoded(self) -> str:
        return orjson.dumps(self).decode()


@lru_cache(maxsize=1_000)
def parse_levels(text: str) -> Levels:
    """What `Levels.encoded` wrote."""
    found = orjson.loads(text)
    return Levels(
        tuple(found["percent"]), tuple(found["credits_nano"]), tuple(found["days_left"]), found["spend_spike_percent"]
    )


def passed(*, base: int, available: int, crossed: Collection[str]) -> list[ThresholdLevel]:
    """The levels passed now and not since the arming; a base of nothing has no levels."""
    if base <= 0:
        return []
    return [level for level, share in SHARES.items() if level not in crossed and available * 100 <= base * share]


def is_near(*, base: int, available: int) -> bool:
    """Whether any of the usual levels is passed."""
    return available * 100 <= base * _FIRST


def crossings(
    unit: Unit, *, base: int, available: int, crossed: Collection[str], levels: Levels | None
) -> list[Crossing]:
    """The levels of one unit passed now and not since its arming."""
    prefix = "" if unit is Unit.CREDIT else f"{unit.value}:"
    found: list[Crossing] = []
    if levels is None:
        bare = [key.removeprefix(prefix) for key in crossed] if prefix else crossed
        return [
            Crossing(level, prefix + level, unit, base, available)
            for level in passed(base=base, available=available, crossed=bare)
        ]
    found += [
        Crossing("percent", f"{prefix}percent:{share}", unit, base, available, str(share))
        for share in levels.percent
        if available * 100 <= base * share
    ]
    found += [
        Crossing("credits", f"credits:{figure}", unit, base, available, str(figure))
        for figure in levels.credits_nano
        if unit is Unit.CREDIT and available <= figure
    ]
    if available * 100 <= base:
        found.append(Crossing("empty", f"{prefix}empty", unit, base, available))
    return [one for one in found if one.key not in crossed]


def of_unit(key: str, unit: Unit) -> bool:
    """Whether a crossed level is armed again by a grant of this unit."""
    if key.startswith(PERIODIC):
        return False
    others = [f"{other.value}:" for other in Unit if other is not Unit.CREDIT]
    return key.startswith(f"{unit.value}:") or (unit is Unit.CREDIT and not key.startswith(tuple(others)))


PERIODIC: Final = ("soft:", "overage", "spike:")
"""Levels that only a new period arms again."""
