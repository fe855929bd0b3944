"""When an account runs low (money.md 25)."""

from collections.abc import Collection
from typing import Final

from contracts.ledger import ThresholdLevel

SHARES: Final[dict[ThresholdLevel, int]] = {"percent_25": 25, "percent_10": 10, "empty": 1}
"""A level is passed when no more than its percentage of the base is left."""


def passed(*, base: int, available: int, crossed: Collection[str]) -> list[ThresholdLevel]:
    """The levels passed now and not since the arming; a base of nothing has no levels."""
    if base <= 0:
        return []
    return [level for level, share in SHARES.items() if level not in crossed and available * 100 <= base * share]
