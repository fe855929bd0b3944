"""Which grants a price is taken from (money.md 9, 21)."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import UUID

from contracts.gateway import Allocation
from contracts.money import Unit
from ledger.domain.grants import Grant

Portion = tuple[Grant, int]


def split(
    amount: int, *, allocation: Sequence[Allocation], grants: Sequence[Grant], admitted_at: datetime, now: datetime
) -> tuple[list[Portion], int]:
    """The portions of `amount`, one per grant, and what no grant covers; `grants` come in burn order.

    What was allocated at admission first, so that a call stays inside what it was admitted with, whatever order
    calls end in.
    """
    taken: dict[UUID, Portion] = {}
    left = amount
    for grant, limit in _sources(allocation, grants=grants, admitted_at=admitted_at, now=now):
        so_far = taken[grant.id][1] if grant.id in taken else 0
        portion = min(left, limit, grant.remaining - so_far)
        if portion > 0:
            taken[grant.id] = (grant, so_far + portion)
            left -= portion
            if left == 0:
                break
    return list(taken.values()), left


def _sources(
    allocation: Sequence[Allocation], *, grants: Sequence[Grant], admitted_at: datetime, now: datetime
) -> Iterator[tuple[Grant, int]]:
    for part in allocation:
        for grant in grants:
            if grant.id == part.slice_id and grant.unit is Unit.CREDIT is part.unit:
                yield grant, part.amount
    late: list[Grant] = []
    for grant in grants:
        if grant.unit is not Unit.CREDIT:
            continue
        if grant.valid_at(admitted_at):
            yield grant, grant.remaining
        elif grant.valid_at(now):
            late.append(grant)
    for grant in late:
        yield grant, grant.remaining
