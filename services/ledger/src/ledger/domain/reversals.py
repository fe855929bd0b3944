"""How much a reversed payment takes (money.md 23)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

ReversalState = Literal["refunded", "disputed", "won", "lost"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reversal:
    """A refund or a dispute of a payment, and what it took."""

    reversal_id: str
    payment_id: str
    state: ReversalState
    reversed_minor: int
    taken_amount: int
    taken_debt: int

    @property
    def stands(self) -> bool:
        return self.state != "won"


def share_to_take(*, grant_amount: int, paid_minor: int, reversed_minor: int, before: Collection[Reversal]) -> int:
    """The granted units that a further `reversed_minor` takes: the difference of floors, so that the parts add up."""
    if paid_minor <= 0:
        return 0
    standing = [reversal for reversal in before if reversal.stands]
    total_minor = min(paid_minor, reversed_minor + sum(reversal.reversed_minor for reversal in standing))
    already = sum(reversal.taken_amount + reversal.taken_debt for reversal in standing)
    return max(0, grant_amount * total_minor // paid_minor - already)
